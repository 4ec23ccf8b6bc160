//! The frame: header, tabs, the pane in front, the status line and the keys.

use super::{
    canvas::{Canvas, Cells, Placed, rows},
    overlay, panels, status,
    theme::Theme,
};
use crate::{
    app::{Action, Job, Pane, State, Work, count},
    fsio::printable,
};
use ratatui::{buffer::Buffer, layout::Rect};

/// The smallest terminal that shows every pane: half of a usual one, one part of a pane at a time.
pub const LEAST: (u16, u16) = (60, 16);

/// How to draw, as opposed to what.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Colours.
    pub theme: Theme,
    /// Pictures.
    pub cells: Cells,
    /// No character beyond ASCII for rules, bars and plots.
    pub ascii: bool,
}

/// What a frame holds besides its cells.
#[derive(Clone, Debug, Default)]
pub struct Drawn {
    /// The pictures on screen.
    pub placed: Vec<Placed>,
    /// Where a line is being typed.
    pub cursor: Option<(u16, u16)>,
    /// What pointing at cells does; the later one lies on top.
    pub hits: Vec<(Rect, Action)>,
}

impl Drawn {
    /// What pointing at a cell does.
    pub fn at(&self, x: u16, y: u16) -> Option<Action> {
        self.hits.iter().rev().find(|(area, _)| area.contains((x, y).into())).map(|(_, action)| *action)
    }
}

/// Draws the whole state.
pub fn draw(buf: &mut Buffer, state: &State, look: &Look) -> Drawn {
    let area = buf.area;
    let (theme, cells, ascii) = (&look.theme, look.cells, look.ascii);
    let mut canvas = Canvas { buf, theme, cells, ascii, placed: Vec::new(), hits: Vec::new() };
    if area.width < LEAST.0 || area.height < LEAST.1 {
        too_small(&mut canvas, area);
        return Drawn::default();
    }
    let inner = Rect { x: 1, width: area.width - 2, ..area };
    // A line of air under the tabs where there is room for it.
    let (head, rest) = rows(inner, if area.height >= 30 { 4 } else { 3 });
    let (body, foot) = rows(rest, rest.height - status::FOOT);
    header(&mut canvas, head, state);
    panels::draw(&mut canvas, body, state);
    canvas.rule(0, foot.y, area.width);
    let cursor = status::draw(&mut canvas, Rect { y: foot.y + 1, height: 2, ..foot }, state);
    overlay::draw(&mut canvas, area, state);
    Drawn { placed: canvas.placed, cursor, hits: canvas.hits }
}

fn too_small(canvas: &mut Canvas, area: Rect) {
    let needs = format!("{}x{}", LEAST.0, LEAST.1);
    let said = [format!("needs {needs}, has {}x{}", area.width, area.height), format!("needs {needs}"), needs];
    let Some(words) = said.iter().find(|words| words.len() <= usize::from(area.width)) else { return };
    let x = (area.width - words.len() as u16) / 2;
    canvas.put(x, area.height / 2, area.width, words, canvas.theme.text);
}

fn header(canvas: &mut Canvas, area: Rect, state: &State) {
    let theme = *canvas.theme;
    let right = set_words(state);
    let width = (super::text::columns(&right) as u16).min(area.width);
    canvas.right(area.x, area.y, area.width, &right, if state.behind { theme.warn } else { theme.dim });
    let left = area.width.saturating_sub(width + 2);
    let name = state.name.as_deref().map(printable).unwrap_or_default();
    let size = match (state.rows.images, state.rows.captions.len()) {
        (_, 0) => String::new(),
        (images, pairs) => format!("  {} images · {} pairs", count(images), count(pairs)),
    };
    canvas.pieces(
        area.x,
        area.y,
        left,
        &[("protostill", theme.strong), ("  ", theme.text), (&name, theme.text), (&size, theme.dim)],
    );
    tabs(canvas, Rect { y: area.y + 1, height: 2, ..area }, state);
}

/// `50 prototypes · set 3f2a91bc · 12 pictures stale`
fn set_words(state: &State) -> String {
    let looks_on = if state.elsewhere.is_some() { "looking on · " } else { "" };
    let mut words = format!("{looks_on}{} prototypes", count(state.draft.config.cluster.prototypes));
    if state.behind {
        let works = state.latest(|w| matches!(w, Work::Prototypes(_))).is_some_and(Job::is_alive);
        words.push_str(if works { " · clustering" } else { " · not clustered" });
    } else if let Some(set) = state.set() {
        words.push_str(&format!(" · set {}", &set.as_str()[..8]));
        match state.outdated().len() {
            0 => words.push_str(" · all fresh"),
            n if n == state.pairs.len() && state.made.is_empty() => words.push_str(" · no pictures yet"),
            n => words.push_str(&format!(" · {n} to synthesise")),
        }
    }
    words
}

fn tabs(canvas: &mut Canvas, area: Rect, state: &State) {
    let theme = *canvas.theme;
    canvas.rule(0, area.y + 1, canvas.buf.area.width);
    let mut x = area.x;
    for (n, pane) in Pane::ALL.into_iter().enumerate() {
        let (number, title) = ((n + 1).to_string(), pane.title());
        let active = pane == state.pane;
        let width = title.len() as u16 + 2;
        canvas.put(x, area.y, 1, &number, if active { theme.accent } else { theme.dim });
        canvas.put(x + 2, area.y, width, title, if active { theme.strong } else { theme.dim });
        if active {
            let line = if canvas.ascii { "=" } else { "━" }.repeat(usize::from(width));
            canvas.put(x, area.y + 1, width, &line, theme.accent);
        }
        canvas.touch(Rect { x, y: area.y, width, height: 2 }, Action::Show(pane));
        x += width + if canvas.narrow() { 2 } else { 3 };
    }
}
