//! What the panes draw with: text that stays in its column, bars, titles and pictures.

use super::{halfblock, text, theme::Theme};
use crate::app::{Action, Picture, WIDE};
use ratatui::{buffer::Buffer, layout::Rect, style::Style};

/// A picture on screen, for a protocol that prints real pixels over its cells.
#[derive(Clone, Debug)]
pub struct Placed {
    /// Its cells.
    pub area: Rect,
    /// It.
    pub picture: Picture,
    /// Its cells that something lies over.
    pub under: Vec<Rect>,
}

/// How pictures are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cells {
    /// Half-blocks.
    #[default]
    Half,
    /// Letters.
    Ascii,
    /// Not at all.
    Off,
}

/// A frame being drawn.
pub struct Canvas<'a> {
    /// Its cells.
    pub buf: &'a mut Buffer,
    /// Its colours.
    pub theme: &'a Theme,
    /// How pictures become cells.
    pub cells: Cells,
    /// Rules, bars and marks in plain ASCII.
    pub ascii: bool,
    /// Pictures drawn.
    pub placed: Vec<Placed>,
    /// What pointing at cells does; the later one lies on top.
    pub hits: Vec<(Rect, Action)>,
}

impl Canvas<'_> {
    /// Whether there is room for one part of a pane at a time.
    pub fn narrow(&self) -> bool {
        self.buf.area.width < WIDE
    }

    /// Text at `(x, y)`, at most `width` cells of it; returns the cells used.
    pub fn put(&mut self, x: u16, y: u16, width: u16, words: &str, style: Style) -> u16 {
        let area = self.buf.area;
        if y < area.y || y >= area.bottom() || x >= area.right() {
            return 0;
        }
        let width = width.min(area.right() - x);
        let mut end = x;
        for cluster in text::clusters(&text::fit(words, width.into())) {
            for at in end + 1..end + text::width(cluster) as u16 {
                // Covered by the cluster.
                self.buf[(at, y)].reset();
            }
            self.buf[(end, y)].set_symbol(cluster).set_style(style);
            end += text::width(cluster) as u16;
        }
        end - x
    }

    /// Pointing at these cells does this.
    pub fn touch(&mut self, area: Rect, action: Action) {
        self.hits.push((area, action));
    }

    /// A line that can be pointed at.
    pub fn touch_line(&mut self, x: u16, y: u16, width: u16, action: Action) {
        self.touch(Rect { x, y, width, height: 1 }, action);
    }

    /// Text that ends where the `width` cells from `x` end.
    pub fn right(&mut self, x: u16, y: u16, width: u16, words: &str, style: Style) {
        let used = (text::columns(words) as u16).min(width);
        self.put(x + width - used, y, used, words, style);
    }

    /// Pieces one after the other; returns where they end.
    pub fn pieces(&mut self, x: u16, y: u16, width: u16, pieces: &[(&str, Style)]) -> u16 {
        let end = x.saturating_add(width);
        pieces.iter().fold(x, |at, (words, style)| at + self.put(at, y, end.saturating_sub(at), words, *style))
    }

    /// A section's title with a faint rule behind it and, at its end, a remark.
    pub fn title(&mut self, area: Rect, title: &str, remark: &str) {
        if area.is_empty() {
            return;
        }
        let used = self.put(area.x, area.y, area.width, title, self.theme.strong);
        let remark_width = (text::columns(remark) as u16).min(area.width.saturating_sub(used + 2));
        let rule = area.width.saturating_sub(used + 1 + if remark_width > 0 { remark_width + 1 } else { 0 });
        self.rule(area.x + used + 1, area.y, rule);
        self.put(area.right() - remark_width, area.y, remark_width, remark, self.theme.dim);
    }

    /// A faint horizontal line.
    pub fn rule(&mut self, x: u16, y: u16, width: u16) {
        let line = if self.ascii { "-" } else { "─" }.repeat(usize::from(width));
        self.put(x, y, width, &line, self.theme.faint);
    }

    /// A track of `width` cells, filled from the left to `share`.
    pub fn bar(&mut self, x: u16, y: u16, width: u16, share: f64) {
        let full = ((share.clamp(0.0, 1.0) * f64::from(width)).round() as u16).min(width);
        let (on, off) = if self.ascii { ("=", "-") } else { ("━", "─") };
        self.put(x, y, full, &on.repeat(full.into()), self.theme.accent);
        self.put(x + full, y, width - full, &off.repeat((width - full).into()), self.theme.faint);
    }

    /// A slider: a bar with a knob; `to` says what pointing at a share of it does.
    pub fn slider(&mut self, x: u16, y: u16, width: u16, share: f64, to: impl Fn(f64) -> Action) {
        for i in 0..width {
            self.touch_line(x + i, y, 1, to(f64::from(i) / f64::from(width.max(2) - 1)));
        }
        self.bar(x, y, width, share);
        let at = (share.clamp(0.0, 1.0) * f64::from(width.saturating_sub(1))).round() as u16;
        self.put(x + at, y, 1, if self.ascii { "O" } else { "●" }, self.theme.accent);
    }

    /// Lays a style over a line, as for the selected one.
    pub fn shade(&mut self, x: u16, y: u16, width: u16, style: Style) {
        let line = Rect { x, y, width, height: 1 }.intersection(self.buf.area);
        self.buf.set_style(line, Style { fg: None, ..style });
    }

    /// A picture, centred in `area`; an even ground where there is none yet.
    pub fn picture(&mut self, area: Rect, picture: Option<&Picture>) {
        let area = area.intersection(self.buf.area);
        match (picture, self.cells) {
            (_, Cells::Off) => {}
            (Some(picture), cells) => {
                halfblock::draw(self.buf, area, picture, self.theme.depth, cells == Cells::Ascii);
                let area = halfblock::fitted(area, picture);
                self.placed.push(Placed { area, picture: picture.clone(), under: Vec::new() });
            }
            (None, _) => {
                let width = (area.height * 2).min(area.width);
                let at = Rect { x: area.x + (area.width - width) / 2, width, ..area };
                self.buf.set_style(at, self.theme.ground);
                let dot = if self.ascii { "." } else { "·" };
                self.put(at.x + width / 2, at.y + at.height / 2, 1, dot, self.theme.ground.patch(self.theme.dim));
            }
        }
    }

    /// Text in lines, broken at spaces; returns how many lines it took.
    pub fn paragraph(&mut self, area: Rect, words: &str, style: Style) -> u16 {
        let lines = text::wrap(words, area.width.into(), area.height.into());
        for (line, y) in lines.iter().zip(area.y..) {
            self.put(area.x, y, area.width, line, style);
        }
        lines.len() as u16
    }

    /// Grey words in the middle, for a pane that has nothing to show yet.
    pub fn empty(&mut self, area: Rect, lines: &[&str]) {
        let down = area.height.saturating_sub(lines.len() as u16) / 3;
        self.top(Rect { y: area.y + down, height: area.height - down, ..area }, lines);
    }

    /// Grey words in the middle of each line, from the top.
    pub fn top(&mut self, area: Rect, lines: &[&str]) {
        let y = area.y;
        let wrapped = |line: &&str| match text::wrap(line, area.width.into(), area.height.into()) {
            none if none.is_empty() => vec![String::new()],
            lines => lines,
        };
        for (line, y) in lines.iter().flat_map(wrapped).zip(y..area.bottom()) {
            let width = (text::columns(&line) as u16).min(area.width);
            self.put(area.x + (area.width - width) / 2, y, width, &line, self.theme.dim);
        }
    }

    /// Empties cells of all that was drawn; returns those that are on screen.
    pub fn cover(&mut self, area: Rect) -> Rect {
        use ratatui::widgets::{Clear, Widget};
        let area = area.intersection(self.buf.area);
        Clear.render(area, self.buf);
        self.hits.retain(|(hit, _)| !hit.intersects(area));
        // Real pixels would lie over it.
        self.placed.retain(|p| p.area.intersection(area) != p.area);
        for placed in self.placed.iter_mut().filter(|p| p.area.intersects(area)) {
            placed.under.push(placed.area.intersection(area));
        }
        area
    }

    /// An emptied box with a border, for what lies on top; returns its inside.
    pub fn dialog(&mut self, area: Rect, title: &str) -> Rect {
        use ratatui::widgets::{Block, BorderType, Padding, Widget};
        // Nothing beneath can be pointed at.
        self.hits.clear();
        let area = self.cover(area);
        let borders = if self.ascii { ASCII } else { BorderType::Rounded.to_border_set() };
        let title = format!(" {title} ");
        let block = Block::bordered().border_set(borders).border_style(self.theme.faint).title(title);
        let block = block.title_style(self.theme.strong).padding(Padding::horizontal(1));
        let inner = block.inner(area);
        block.render(area, self.buf);
        inner
    }
}

const ASCII: ratatui::symbols::border::Set<'static> = ratatui::symbols::border::Set {
    top_left: "+",
    top_right: "+",
    bottom_left: "+",
    bottom_right: "+",
    vertical_left: "|",
    vertical_right: "|",
    horizontal_top: "-",
    horizontal_bottom: "-",
};

/// Splits off the left `width` cells, with a gap of two between the parts.
pub fn columns(area: Rect, width: u16) -> (Rect, Rect) {
    let width = width.min(area.width);
    let gap = (area.width - width).min(2);
    let right = Rect { x: area.x + width + gap, width: area.width - width - gap, ..area };
    (Rect { width, ..area }, right)
}

/// Splits off the upper `height` lines.
pub fn rows(area: Rect, height: u16) -> (Rect, Rect) {
    let height = height.min(area.height);
    (Rect { height, ..area }, Rect { y: area.y + height, height: area.height - height, ..area })
}
