//! The pixels on screen, and those that should be: what a frame takes off, leaves, covers or shows at once.

use super::{Form, Protocol, Ready, SMALL, kitty, prepare};
use crate::{
    app::Picture,
    ui::{canvas::Placed, painter::Frame, terminal},
};
use crossterm::{cursor::MoveTo, queue};
use ratatui::layout::Rect;
use std::{
    fmt::Write as _,
    io::{self, Write},
    sync::Arc,
    time::{Duration, Instant},
};

/// How long a picture stands still before its pixels are sent.
const STILL: Duration = Duration::from_millis(150);
/// Pictures a terminal keeps for us.
const KEPT: usize = 96;

/// A picture on screen.
#[derive(Debug)]
struct Shown {
    placed: Placed,
    /// kitty's numbers of the picture and of the placements of its visible parts.
    id: u32,
    places: Vec<u32>,
}

/// A picture that kitty has.
#[derive(Debug)]
struct Sent {
    picture: Picture,
    /// The cells that it was sent for.
    cells: (u16, u16),
    /// Its pixels there.
    pixels: (u32, u32),
    id: u32,
}

/// The pixels on screen, and those that should be.
#[derive(Debug, Default)]
pub struct Overlay {
    protocol: Option<Protocol>,
    /// tmux stands between: pictures are letters there, which it moves and hides as it does all others.
    through: bool,
    wanted: Vec<Placed>,
    shown: Vec<Shown>,
    /// The latest last.
    sent: Vec<Sent>,
    /// Whoever wiped the screen may have forgotten the pictures too.
    doubtful: bool,
    due: Option<Instant>,
    last: u32,
    /// Pixels of a cell, as the terminal answered.
    cell: Option<(u16, u16)>,
}

fn same(a: &Placed, b: &Placed) -> bool {
    a.area == b.area && Arc::ptr_eq(&a.picture, &b.picture)
}

fn alike(a: &Placed, b: &Placed) -> bool {
    same(a, b) && a.under == b.under
}

impl Overlay {
    /// Speaks `protocol` from now on, perhaps through tmux; a cell has so many pixels if the system does not know better.
    pub fn speak(&mut self, protocol: Option<Protocol>, through: bool, cell: Option<(u16, u16)>) {
        (self.protocol, self.through, self.cell) = (protocol, through, cell.or(self.cell));
        self.due = Some(Instant::now());
    }

    /// What it speaks.
    pub fn protocol(&self) -> Option<Protocol> {
        self.protocol
    }

    /// Takes note of a frame and the pictures in it. Returns what takes the others off the screen, and shows those at once that
    /// the terminal has.
    pub fn frame(&mut self, frame: &mut Frame, placed: Vec<Placed>) -> String {
        let moved = placed.len() != self.wanted.len() || !placed.iter().zip(&self.wanted).all(|(a, b)| alike(a, b));
        if moved {
            self.due = Some(Instant::now() + STILL);
        }
        self.wanted = placed;
        match self.protocol {
            None => String::new(),
            Some(Protocol::Kitty) if self.through => {
                self.as_letters(frame);
                String::new()
            }
            Some(Protocol::Kitty) => self.place_all(frame),
            Some(_) => {
                self.leave_painted(frame);
                String::new()
            }
        }
    }

    /// Pixels that were painted into cells: what was written over them since is gone there.
    fn leave_painted(&mut self, frame: &mut Frame) {
        let wanted = &self.wanted;
        self.shown.retain_mut(|shown| {
            let Some(now) = wanted.iter().find(|w| same(w, &shown.placed)) else {
                // Its pixels lie over cells that may not have changed.
                frame.again.push(shown.placed.area);
                return false;
            };
            let bared = shown.placed.under.iter().any(|hidden| !now.under.contains(hidden));
            shown.placed.under.clone_from(&now.under);
            !bared
        });
        frame.covered = self.shown.iter().map(|s| s.placed.area).collect();
    }

    /// kitty's pictures: those that it has are placed at once, around what lies over them, and no cell is drawn beneath.
    fn place_all(&mut self, frame: &mut Frame) -> String {
        let (mut out, wanted) = (String::new(), std::mem::take(&mut self.wanted));
        self.shown.retain(|shown| {
            let stays = wanted.iter().any(|w| alike(w, &shown.placed));
            if !stays {
                shown.places.iter().for_each(|place| out.push_str(&kitty::remove(shown.id, *place)));
            }
            stays
        });
        for placed in &wanted {
            if !self.doubtful && !self.shown.iter().any(|s| alike(placed, &s.placed)) && self.has(placed).is_some() {
                out.push_str(&self.place(placed));
            }
        }
        self.wanted = wanted;
        frame.under = self.shown.iter().flat_map(|s| visible(&s.placed)).collect();
        out
    }

    /// kitty's pictures through tmux: letters that stand for their rows.
    fn as_letters(&mut self, frame: &mut Frame) {
        let wanted = std::mem::take(&mut self.wanted);
        self.shown.clear();
        for placed in wanted.iter().filter(|w| w.under.is_empty() && w.area.height <= kitty::ROWS) {
            let Some(at) = self.has(placed) else { continue };
            let id = self.sent[at].id;
            kitty::letters(&mut frame.cells, placed.area, id);
            self.shown.push(Shown { placed: placed.clone(), id, places: Vec::new() });
        }
        self.wanted = wanted;
    }

    /// Where in `sent` a picture is.
    fn has(&self, placed: &Placed) -> Option<usize> {
        let cells = (placed.area.width, placed.area.height);
        self.sent.iter().position(|s| s.cells == cells && Arc::ptr_eq(&s.picture, &placed.picture))
    }

    /// Places the visible parts of a picture that kitty has.
    fn place(&mut self, placed: &Placed) -> String {
        let Some(at) = self.has(placed) else { return String::new() };
        let sent = self.sent.remove(at);
        let (mut out, mut places) = (String::new(), Vec::new());
        for part in visible(placed) {
            self.last += 1;
            places.push(self.last);
            // The cursor of a line being typed stays where it was.
            let _ = write!(out, "\x1b7\x1b[{};{}H", part.y + 1, part.x + 1);
            out.push_str(&kitty::place(sent.id, self.last, (part.width, part.height), crop(&sent, placed.area, part)));
            out.push_str("\x1b8");
        }
        self.shown.push(Shown { placed: placed.clone(), id: sent.id, places });
        self.sent.push(sent);
        out
    }

    /// When pixels are to be sent, if any are.
    pub fn due(&self) -> Option<Instant> {
        self.due.filter(|_| self.protocol.is_some())
    }

    /// The screen has been still: what is to be prepared, on whatever thread.
    pub fn prepare(&mut self) -> Vec<impl FnOnce() -> io::Result<Ready> + Send + 'static> {
        self.due = None;
        let Some(protocol) = self.protocol else { return Vec::new() };
        let cell = terminal::cell().or(self.cell).unwrap_or(SMALL);
        let shown = &self.shown;
        // What is painted would lie over what covers it.
        let can = |w: &&Placed| protocol == Protocol::Kitty && !self.through || w.under.is_empty();
        let missing = self.wanted.iter().filter(can).filter(|w| !shown.iter().any(|s| same(w, &s.placed)));
        missing.cloned().map(|placed| move || prepare(placed, protocol, cell)).collect()
    }

    /// Sends a picture that is ready, unless the screen has moved on.
    ///
    /// # Errors
    /// If the terminal is gone.
    pub fn show(&mut self, ready: Ready) -> io::Result<()> {
        let now = self.wanted.iter().find(|w| same(w, &ready.placed)).cloned();
        let Some(now) = now.filter(|_| !self.shown.iter().any(|s| same(&s.placed, &ready.placed))) else {
            return Ok(());
        };
        let (area, mut out) = (now.area, io::stdout());
        match ready.form {
            Form::Png(png) => return self.send_to_kitty(&now, &png),
            _ if !now.under.is_empty() => return Ok(()),
            Form::Code(code) => {
                // The cursor of a line being typed stays where it was.
                write!(out, "\x1b7")?;
                queue!(out, MoveTo(area.x, area.y))?;
                write!(out, "{code}\x1b8")?;
            }
            Form::Plain(picture) => {
                let config = viuer::Config {
                    x: area.x,
                    y: area.y as i16,
                    width: Some(area.width.into()),
                    height: Some(area.height.into()),
                    restore_cursor: true,
                    use_kitty: false,
                    ..viuer::Config::default()
                };
                viuer::print(&picture, &config).map_err(io::Error::other)?;
            }
        }
        self.shown.push(Shown { placed: now, id: 0, places: Vec::new() });
        Ok(())
    }

    /// Sends a picture unless it is there, and places it; through tmux the next frame has its letters.
    fn send_to_kitty(&mut self, placed: &Placed, png: &[u8]) -> io::Result<()> {
        let mut out = io::stdout();
        let wrap = |code: String| if self.through { kitty::through_tmux(&code) } else { code };
        let cells = (placed.area.width, placed.area.height);
        if self.has(placed).is_none() {
            self.last += 1;
            // A letter's colour names the picture: one of 255.
            let id = if self.through { self.last % 255 + 1 } else { self.last };
            write!(out, "{}", wrap(kitty::transmit(id, png)))?;
            if self.through {
                write!(out, "{}", wrap(kitty::prepare_letters(id, cells)))?;
            }
            terminal::pictures_are_in_kitty(self.through);
            self.sent.push(Sent { picture: placed.picture.clone(), cells, pixels: kitty::size(png), id });
        }
        if self.sent.len() > KEPT {
            write!(out, "{}", wrap(kitty::forget(self.sent.remove(0).id)))?;
        }
        self.doubtful = false;
        if self.through { Ok(()) } else { write!(out, "{}", self.place(placed)) }
    }

    /// The screen was wiped: whatever was shown is gone, and comes again.
    pub fn wiped(&mut self) -> String {
        let gone = match self.protocol {
            Some(Protocol::Kitty) if !self.through => {
                let places = self.shown.iter().flat_map(|s| s.places.iter().map(|place| (s.id, *place)));
                places.map(|(id, place)| kitty::remove(id, place)).collect()
            }
            _ => String::new(),
        };
        self.shown.clear();
        if self.through {
            // Another terminal may be at the other end of tmux now.
            self.sent.clear();
        }
        (self.doubtful, self.due) = (true, Some(Instant::now() + STILL));
        gone
    }
}

/// What of a picture's cells is seen beside what lies over it.
fn visible(placed: &Placed) -> Vec<Rect> {
    placed
        .under
        .iter()
        .fold(vec![placed.area], |parts, over| parts.into_iter().flat_map(|p| beside(p, *over)).collect())
}

/// `area` without `over`: above, below, left and right of it.
fn beside(area: Rect, over: Rect) -> Vec<Rect> {
    let over = over.intersection(area);
    if over.is_empty() {
        return vec![area];
    }
    let band = |y: u16, height: u16| Rect { y, height, ..area };
    let side = |x: u16, width: u16| Rect { x, width, ..over };
    let parts = [
        band(area.y, over.y - area.y),
        band(over.bottom(), area.bottom() - over.bottom()),
        side(area.x, over.x - area.x),
        side(over.right(), area.right() - over.right()),
    ];
    parts.into_iter().filter(|part| !part.is_empty()).collect()
}

/// The pixels of a sent picture that belong to a part of its cells; none for all of it.
fn crop(sent: &Sent, area: Rect, part: Rect) -> Option<[u32; 4]> {
    let scale = |cells: u16, of: u16, pixels: u32| u32::from(cells) * pixels / u32::from(of.max(1));
    let (x, y) = (part.x - area.x, part.y - area.y);
    let [left, top] = [scale(x, area.width, sent.pixels.0), scale(y, area.height, sent.pixels.1)];
    let right = scale(x + part.width, area.width, sent.pixels.0);
    let bottom = scale(y + part.height, area.height, sent.pixels.1);
    (part != area).then(|| [left, top, (right - left).max(1), (bottom - top).max(1)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_seen_beside_a_dialog_is_all_that_it_leaves_and_nothing_twice() {
        let picture = Picture::default();
        let area = Rect::new(10, 10, 20, 10);
        for over in [
            Rect::new(0, 0, 15, 15),
            Rect::new(12, 12, 4, 4),
            Rect::new(5, 14, 60, 2),
            Rect::new(0, 0, 99, 99),
            Rect::new(40, 40, 5, 5),
        ] {
            let placed = Placed { area, picture: picture.clone(), under: vec![over] };
            let parts = visible(&placed);
            for (x, y) in (0..60).flat_map(|x| (0..60).map(move |y| (x, y))) {
                let times = parts.iter().filter(|p| p.contains((x, y).into())).count();
                let seen = area.contains((x, y).into()) && !over.contains((x, y).into());
                assert_eq!(times, usize::from(seen), "{over:?} {x} {y}");
            }
        }
    }
}
