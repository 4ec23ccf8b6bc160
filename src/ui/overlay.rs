//! What lies over a pane: help, palette, the question before leaving. Printed from the table of commands.

use super::{
    canvas::{Canvas, rows},
    status::FOOT,
};
use crate::app::{self, Command, Field, HelpLine, Modal, State, TOUR, completions, matching};
use ratatui::layout::Rect;

/// Draws what is on top, if anything is.
pub fn draw(canvas: &mut Canvas, area: Rect, state: &State) {
    match &state.modal {
        Some(Modal::Help(scroll)) => help(canvas, area, state, *scroll),
        Some(Modal::Palette(query, at)) => palette(canvas, area, state, query, *at),
        Some(Modal::Tour(at)) => tour(canvas, area, *at),
        Some(Modal::TakeOver) => take_over(canvas, area),
        Some(Modal::Quit) => quit(canvas, area, state),
        Some(Modal::Upload { name, said, .. }) => upload(canvas, area, name, said),
        Some(Modal::Line(field)) => line(canvas, area, state, field),
        Some(Modal::Ask(..)) | None => {}
    }
}

fn centred(area: Rect, width: u16, height: u16) -> Rect {
    let (width, height) = (width.min(area.width.saturating_sub(4)), height.min(area.height.saturating_sub(2)));
    Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height }
}

fn keys(state: &State, command: &Command) -> String {
    state.keys.of(command).iter().map(ToString::to_string).collect::<Vec<_>>().join("  ")
}

fn help(canvas: &mut Canvas, area: Rect, state: &State, scroll: usize) {
    let theme = *canvas.theme;
    let lines = app::help(state.pane, state.help_width());
    let inner = canvas.dialog(centred(area, 84, lines.len().min(state.help_room()) as u16 + 2), "keys and words");
    let room = usize::from(inner.height);
    let top = scroll.min(lines.len().saturating_sub(room));
    for (y, line) in (inner.y..inner.bottom()).zip(lines.iter().skip(top)) {
        let (left, style, right) = match line {
            HelpLine::Head(words) => {
                canvas.put(inner.x, y, inner.width, words, theme.strong);
                continue;
            }
            HelpLine::Key(c) => (keys(state, c), theme.accent, c.title),
            HelpLine::Word(word, means) => ((*word).to_owned(), theme.strong, means.as_str()),
        };
        canvas.put(inner.x + 1, y, 15, &left, style);
        canvas.put(inner.x + 17, y, inner.width.saturating_sub(17), right, theme.text);
    }
    if lines.len() > room {
        let words = format!(" {} of {}  j/k scroll, Esc leaves ", (top + room).min(lines.len()), lines.len());
        canvas.right(inner.x, inner.bottom(), inner.width, &words, theme.dim);
    }
}

/// A step of the tour, over the foot of the pane that it is about.
fn tour(canvas: &mut Canvas, area: Rect, at: usize) {
    let theme = *canvas.theme;
    let Some((pane, words)) = TOUR.get(at) else { return };
    let width = area.width.min(84).saturating_sub(4);
    let lines = super::text::wrap(words, usize::from(width).saturating_sub(4), 6);
    let height = lines.len() as u16 + 4;
    let (area, _) = rows(area, area.height.saturating_sub(FOOT));
    // The slider that it speaks of stands at the foot of the data.
    let slider = if *pane == app::Pane::Data { 3 } else { 0 };
    let y = area.bottom().saturating_sub(height + slider);
    let at_foot = Rect { x: (area.width - width) / 2, y, width, height };
    let inner = canvas.dialog(at_foot, &format!("{} of {}: {}", at + 1, TOUR.len(), pane.title()));
    for (line, y) in lines.iter().zip(inner.y..inner.bottom()) {
        canvas.put(inner.x, y, inner.width, line, theme.text);
    }
    let next = if at + 1 < TOUR.len() { " goes on   " } else { " ends it   " };
    let keys =
        [("Tab", theme.accent), (next, theme.dim), ("any other key", theme.accent), (" ends the tour", theme.dim)];
    canvas.pieces(inner.x, inner.bottom().saturating_sub(1), inner.width, &keys);
}

fn palette(canvas: &mut Canvas, area: Rect, state: &State, query: &Field, at: usize) {
    let theme = *canvas.theme;
    let found = matching(state.pane, query.text());
    let inner = canvas.dialog(centred(area, 70, 18), "commands");
    let used = canvas.put(inner.x, inner.y, inner.width, "› ", theme.accent);
    let used = used + canvas.put(inner.x + used, inner.y, inner.width - used, query.text(), theme.text);
    canvas.put(inner.x + used, inner.y, 1, if canvas.ascii { "_" } else { "▏" }, theme.accent);
    canvas.rule(inner.x, inner.y + 1, inner.width);
    let room = usize::from(inner.height.saturating_sub(2));
    let top = crate::app::Cursor(at).top(found.len(), room);
    for (i, (y, command)) in (inner.y + 2..inner.bottom()).zip(found.iter().skip(top)).enumerate() {
        canvas.put(inner.x, y, inner.width - 12, command.title, theme.text);
        canvas.right(inner.x, y, inner.width, &keys(state, command), theme.dim);
        if top + i == at {
            canvas.shade(inner.x, y, inner.width, theme.selected);
        }
    }
    // The name by which its keys are bound.
    if let Some(command) = found.get(at) {
        canvas.right(inner.x, inner.bottom(), inner.width, &format!(" {} ", command.id), theme.dim);
    }
    if found.is_empty() {
        canvas.put(inner.x, inner.y + 2, inner.width, "no command has these words", theme.dim);
    }
}

/// What the command line may become, above it.
fn line(canvas: &mut Canvas, area: Rect, state: &State, field: &Field) {
    let theme = *canvas.theme;
    let (settings, commands) = completions(state.pane, field.text());
    let settings = settings.iter().map(|s| (format!("{} {}", s.name, s.value), s.title));
    let lines: Vec<_> = settings.chain(commands.iter().map(|c| (c.id.to_owned(), c.title))).collect();
    // The line that is typed stands in the foot.
    let (area, _) = rows(area, area.height.saturating_sub(FOOT));
    let height = (lines.len().max(1) as u16 + 2).min(area.height).min(14);
    let at = Rect { y: area.bottom() - height, height, width: area.width.min(84), ..area };
    let inner = canvas.dialog(at, "command line");
    for (y, (name, title)) in (inner.y..inner.bottom()).zip(&lines) {
        canvas.put(inner.x, y, 23, name, theme.accent);
        canvas.put(inner.x + 24, y, inner.width.saturating_sub(24), title, theme.text);
    }
    if lines.is_empty() {
        canvas.put(inner.x, inner.y, inner.width, "nothing begins so", theme.dim);
    }
    let over = lines.len().saturating_sub(usize::from(inner.height));
    if over > 0 {
        canvas.right(inner.x, inner.bottom(), inner.width, &format!(" {over} more "), theme.dim);
    }
}

/// What an upload would take along, as `push` says it; the question stays in sight however long that is.
fn upload(canvas: &mut Canvas, area: Rect, name: &str, said: &[String]) {
    let theme = *canvas.theme;
    let width = usize::from(area.width.saturating_sub(8).min(80));
    let lines: Vec<String> = said.iter().flat_map(|line| super::text::wrap(line, width, 3)).collect();
    let inner = canvas.dialog(centred(area, 84, lines.len() as u16 + 4), &format!("upload to {name}?"));
    let (text, foot) = rows(inner, inner.height.saturating_sub(1));
    for (line, y) in lines.iter().zip(text.y..text.bottom()) {
        canvas.put(text.x, y, text.width, line, theme.text);
    }
    let keys = [("y", theme.accent), (" uploads it   ", theme.dim), ("n", theme.accent), (" leaves it", theme.dim)];
    canvas.pieces(foot.x, foot.y, foot.width, &keys);
}

fn take_over(canvas: &mut Canvas, area: Rect) {
    let theme = *canvas.theme;
    let inner = canvas.dialog(centred(area, 64, 6), "another process works in this session");
    let said =
        ["Here it is looked at. To act, take it over:", "the other ends after its step, and its queue goes on here."];
    for (words, y) in said.iter().zip(inner.y..) {
        canvas.put(inner.x, y, inner.width, words, theme.text);
    }
    let keys =
        [("y", theme.accent), (" take it over   ", theme.dim), ("n", theme.accent), (" keep looking", theme.dim)];
    canvas.pieces(inner.x, inner.y + 3, inner.width, &keys);
}

fn quit(canvas: &mut Canvas, area: Rect, state: &State) {
    let theme = *canvas.theme;
    let alive: Vec<_> = state.jobs.iter().filter(|j| j.is_alive()).collect();
    let inner = canvas.dialog(centred(area, 60, 6), "quit");
    let words = match alive.as_slice() {
        [job] => format!("Still at work: {}.", job.title()),
        jobs => format!("{} jobs are still at work.", jobs.len()),
    };
    canvas.put(inner.x, inner.y, inner.width, &words, theme.text);
    canvas.put(inner.x, inner.y + 1, inner.width, "Decisions and finished pictures are kept.", theme.dim);
    let mut keys = vec![("y", theme.accent), (" stop and quit   ", theme.dim)];
    if !state.lines_of_queue().is_empty() {
        keys.extend([("d", theme.accent), (" go on without a terminal   ", theme.dim)]);
    }
    keys.extend([("n", theme.accent), (" stay", theme.dim)]);
    canvas.pieces(inner.x, inner.y + 3, inner.width, &keys);
}
