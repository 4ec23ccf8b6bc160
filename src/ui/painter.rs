//! From cells to the terminal: what changed, and no more; columns stay where they are although the terminal may have
//! another idea of a cluster's width than [`text`]. Such a cluster is drawn on blanks, what follows is placed anew, and
//! when it goes everything goes that it may have reached.

use super::{terminal, text};
use crossterm::{cursor, queue, terminal::ClearType};
use ratatui::{
    backend::{Backend, CrosstermBackend},
    buffer::{Buffer, Cell},
    layout::Rect,
    style::{Modifier, Style},
};
use std::io::{self, Write};

/// Draws frames on a terminal, whose screen is blank at first.
pub struct Painter<W: Write> {
    to: CrosstermBackend<W>,
    /// What the terminal shows.
    shown: Buffer,
}

/// A frame's cells, and what is to become of them whatever the terminal shows.
pub struct Frame {
    /// All of them.
    pub cells: Buffer,
    /// Drawn although they did not change.
    pub again: Vec<Rect>,
    /// Pixels lie over these: no neighbour's width is a reason to draw them.
    pub covered: Vec<Rect>,
    /// Pixels hide these: they are not drawn until nothing hides them any more.
    pub under: Vec<Rect>,
    /// Where the cursor stands, if it is seen.
    pub cursor: Option<(u16, u16)>,
}

impl<W: Write> Painter<W> {
    /// A painter on a blank screen.
    pub fn new(to: W) -> Self {
        Self { to: CrosstermBackend::new(to), shown: Buffer::empty(Rect::ZERO) }
    }

    /// Everything is drawn in the next frame, on a cleared screen.
    pub fn forget(&mut self) {
        self.shown = Buffer::empty(Rect::ZERO);
    }

    /// Brings a frame to the terminal.
    ///
    /// # Errors
    /// If the terminal is gone.
    pub fn draw(&mut self, mut frame: Frame) -> io::Result<()> {
        for area in std::mem::take(&mut frame.under) {
            let hidden = area.intersection(frame.cells.area);
            hidden.positions().for_each(|at| frame.cells[at] = hides());
        }
        queue!(self.to, cursor::Hide)?;
        if frame.cells.area != self.shown.area {
            queue!(self.to, crossterm::terminal::Clear(ClearType::All))?;
            self.shown = Buffer::empty(frame.cells.area);
        }
        for y in 0..frame.cells.area.height {
            self.line(&frame, y)?;
        }
        self.shown = frame.cells;
        if let Some((x, y)) = frame.cursor {
            queue!(self.to, cursor::MoveTo(x, y), cursor::Show)?;
        }
        Backend::flush(&mut self.to)
    }

    fn line(&mut self, frame: &Frame, y: u16) -> io::Result<()> {
        let changed = changed(&self.shown, frame, y);
        // Cells that can be drawn one after the other.
        let mut run: Vec<(u16, u16, &Cell)> = Vec::new();
        for (x, w) in heads(&frame.cells, y) {
            if !changed[usize::from(x)] {
                continue;
            }
            let cell = &frame.cells[(x, y)];
            if text::reach(cell.symbol()).is_none() {
                run.push((x, y, cell));
                continue;
            }
            let mut blank = Cell::EMPTY;
            blank.set_style(cell.style());
            self.to.draw(run.drain(..).chain((x..x + w).map(|x| (x, y, &blank))))?;
            self.to.draw(std::iter::once((x, y, cell)))?;
        }
        self.to.draw(run.into_iter())
    }
}

/// Clusters of a line: the cell where each starts, and how many it takes.
fn heads(buf: &Buffer, y: u16) -> impl Iterator<Item = (u16, u16)> {
    let (mut x, end) = (0, buf.area.width);
    std::iter::from_fn(move || {
        let at = x;
        let width = (at < end).then(|| text::width(buf[(at, y)].symbol()).max(1) as u16)?.min(end - at);
        x += width;
        Some((at, width))
    })
}

/// Which cells of a line are to be drawn.
fn changed(shown: &Buffer, frame: &Frame, y: u16) -> Vec<bool> {
    let (next, width) = (&frame.cells, frame.cells.area.width);
    let within = |areas: &[Rect], x| areas.iter().any(|a| a.contains((x, y).into()));
    let mut all: Vec<bool> = (0..width).map(|x| shown[(x, y)] != next[(x, y)] || within(&frame.again, x)).collect();
    // What a cluster may have drawn over, there and beside it.
    let mut spread = |buf: &Buffer| {
        for (x, w) in heads(buf, y) {
            if !(x..x + w).any(|x| all[usize::from(x)]) {
                continue;
            }
            let reach = text::reach(buf[(x, y)].symbol()).map_or(w, |r| w.max(r as u16));
            for at in x..(x + reach).min(width) {
                all[usize::from(at)] |= at < x + w || !within(&frame.covered, at);
            }
        }
    };
    spread(shown);
    spread(next);
    let hidden = hides();
    (0..width).for_each(|x| all[usize::from(x)] &= next[(x, y)] != hidden);
    all
}

/// Stands for a cell that pixels hide: like none that a pane draws.
fn hides() -> Cell {
    let mut cell = Cell::new("\u{2400}");
    cell.set_style(Style::new().add_modifier(Modifier::HIDDEN));
    cell
}

/// The largest window that is drawn; the rest of a larger one stays empty. No screen there is shows more letters.
const MOST: (u16, u16) = (1200, 500);
/// Where nobody knows.
const USUAL: (u16, u16) = (80, 24);

/// The part of a window of so many columns and lines that is drawn.
pub fn bounded((columns, lines): (u16, u16)) -> (u16, u16) {
    if columns == 0 || lines == 0 {
        return USUAL;
    }
    (columns.min(MOST.0), lines.min(MOST.1))
}

/// The part of the terminal's window that is drawn.
///
/// # Errors
/// If the terminal is gone.
pub fn area() -> io::Result<Rect> {
    let (width, height) = bounded(terminal::size()?);
    Ok(Rect { x: 0, y: 0, width, height })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A terminal that gives every character `wide` cells, and knows nothing but CUP; letters over its last column stay there.
    fn on(wide: usize, bytes: &[u8], columns: usize) -> Vec<char> {
        let (mut line, mut at) = (vec![' '; columns], 0);
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let mut rest = text.as_str();
        while let Some(c) = rest.chars().next() {
            rest = &rest[c.len_utf8()..];
            if c == '\u{1b}' {
                let end = rest.find(|c: char| c.is_ascii_alphabetic()).unwrap();
                if &rest[end..=end] == "H" {
                    at = rest[..end].rsplit(';').next().unwrap().parse::<usize>().unwrap() - 1;
                } else if &rest[..=end] == "[2J" {
                    line.fill(' ');
                }
                rest = &rest[end + 1..];
            } else {
                let w = if text::reach(&c.to_string()).is_some() { wide } else { text::width(&c.to_string()) };
                (0..w).filter(|i| at + i < columns).for_each(|i| line[at + i] = c);
                at += w;
            }
        }
        line
    }

    fn frame(words: &str, covered: Vec<Rect>) -> Frame {
        let mut cells = Buffer::empty(Rect::new(0, 0, 40, 1));
        let mut x = 0;
        for cluster in text::clusters(words) {
            cells[(x, 0)].set_symbol(cluster);
            x += text::width(cluster) as u16;
        }
        Frame { cells, again: Vec::new(), covered, under: Vec::new(), cursor: None }
    }

    const WRITINGS: [&str; 6] =
        ["🇩🇪🇫🇷 ok", "हिन्दी में ok", "பூனை கா ok", "น้ำ ทำ ok", "👩👧 1\u{20e3} ok", "e\u{301}☔ ok"];

    #[test]
    fn whatever_width_a_terminal_gives_a_cluster_words_after_it_stay_in_their_columns_and_nothing_remains() {
        for (words, wide) in WRITINGS.iter().flat_map(|w| (0..3).map(move |wide| (*w, wide))) {
            let mut bytes = Vec::new();
            let mut painter = Painter::new(&mut bytes);
            painter.draw(frame(words, vec![])).unwrap();
            drop(painter);
            let at = text::columns(words) - 2;
            assert_eq!(on(wide, &bytes, 40)[at..at + 2], ['o', 'k'], "{words} at {wide}");
            for next in ["", "short", "a line that is longer than the words before"] {
                let mut bytes = Vec::new();
                let mut painter = Painter::new(&mut bytes);
                painter.draw(frame(words, vec![])).unwrap();
                painter.draw(frame(&text::fit(next, 40), vec![])).unwrap();
                drop(painter);
                let left: String = on(wide, &bytes, 40).into_iter().collect();
                assert_eq!(left.trim_end(), text::fit(next, 40), "{words} at {wide}");
            }
        }
    }

    #[test]
    fn a_frame_that_did_not_change_costs_nothing_and_pixels_are_not_drawn_over_for_a_neighbour() {
        let covered = || vec![Rect::new(2, 0, 6, 1)];
        let drawn = |words: &[&str]| {
            let mut bytes = Vec::new();
            let mut painter = Painter::new(&mut bytes);
            words.iter().for_each(|w| painter.draw(frame(w, covered())).unwrap());
            drop(painter);
            String::from_utf8(bytes).unwrap()
        };
        let first = drawn(&["कि"]).len();
        let text = drawn(&["कि", "कि", ""])[first..].to_owned();
        assert_eq!(text.matches(' ').count(), 2, "{text:?}");
    }

    #[test]
    fn a_window_of_any_size_takes_little_memory() {
        assert_eq!(bounded((65_535, 65_535)), MOST);
        assert_eq!((bounded((0, 0)), bounded((132, 43))), (USUAL, (132, 43)));
    }
}
