//! Real pixels over the cells that hold a picture: half-blocks stand there at once, pixels follow when the screen has been
//! still for a moment. The only file that knows viuer, which speaks iTerm2's protocol and sixel; kitty's we speak
//! ourselves, since viuer's raw RGBA is too much for a remote link.

pub mod ask;
mod kitty;

use super::canvas::Placed;
use crate::app::Picture;
use ask::Answer;
use crossterm::{cursor::MoveTo, queue};
use image::{DynamicImage, ImageFormat, RgbImage, imageops};
use ratatui::{
    buffer::{Buffer, CellDiffOption},
    layout::Rect,
};
use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// How long a picture stands still before its pixels are sent.
const STILL: Duration = Duration::from_millis(150);
/// Pixels sent per cell, at most: more would cost a remote link more than eyes gain.
const DENSITY: (u32, u32) = (8, 16);
/// Pictures a terminal keeps for us.
const KEPT: usize = 96;

/// Whether kitty holds pictures that must go when the program does.
static IN_KITTY: AtomicBool = AtomicBool::new(false);

/// How pixels reach a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// kitty, ghostty, WezTerm.
    Kitty,
    /// iTerm2, WezTerm, Konsole, mintty.
    Iterm2,
    /// foot, xterm, mlterm, tmux when built so.
    Sixel,
}

/// Which protocol is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wish {
    /// The best that the terminal says it knows.
    #[default]
    Auto,
    /// This one.
    Only(Protocol),
    /// Cells alone.
    Cells,
}

/// What was agreed on, and why, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// None for cells alone.
    pub protocol: Option<Protocol>,
    /// `kitty graphics: the terminal says that it knows them`
    pub why: String,
    /// What the user typed meanwhile.
    pub typed: Vec<u8>,
}

/// How long `info` waits for the terminal; the explorer waits beside its work, as long as nobody types.
const PATIENCE: Duration = Duration::from_secs(1);

/// Asks and settles how pixels are sent; the terminal must be in raw mode, and nobody else may be reading from it.
pub fn agree(wish: Wish, var: impl Fn(&str) -> Option<String>) -> Agreed {
    let ask = || ask::question().and_then(|()| ask::listen(Some(PATIENCE)));
    settle(wish, if wish == Wish::Cells { Ok(Vec::new()) } else { ask() }, var)
}

/// Settles how pixels are sent by what the terminal answered.
pub fn settle(wish: Wish, answer: io::Result<Vec<u8>>, var: impl Fn(&str) -> Option<String>) -> Agreed {
    let cells = |why: &str| Agreed { protocol: None, why: format!("half-blocks: {why}"), typed: Vec::new() };
    if wish == Wish::Cells {
        return cells("as asked");
    }
    let Answer { kitty, sixel, whole, rest: typed } = match answer {
        Ok(answer) => Answer::new(&answer),
        Err(e) => return cells(&format!("the terminal cannot be asked: {e}")),
    };
    let inside = var("TMUX").is_some_and(|v| !v.is_empty());
    let iterm2 = viuer::is_iterm_supported();
    let (protocol, why) = match wish {
        Wish::Only(Protocol::Kitty) => (Some(Protocol::Kitty), "kitty graphics: as asked"),
        Wish::Only(Protocol::Iterm2) if iterm2 => (Some(Protocol::Iterm2), "iTerm2's protocol: as asked"),
        Wish::Only(Protocol::Iterm2) => {
            (None, "half-blocks: TERM_PROGRAM and LC_TERMINAL name no terminal with iTerm2's protocol")
        }
        Wish::Only(Protocol::Sixel) if sixel => (Some(Protocol::Sixel), "sixel: as asked"),
        Wish::Only(Protocol::Sixel) => (None, "half-blocks: the terminal's attributes do not name sixel"),
        _ if kitty => (Some(Protocol::Kitty), KITTY),
        _ if iterm2 && !inside => (Some(Protocol::Iterm2), "iTerm2's protocol: the environment names such a terminal"),
        _ if sixel => (Some(Protocol::Sixel), "sixel: among the terminal's attributes"),
        _ if inside => (None, "half-blocks: tmux passes no pictures on"),
        _ if whole => (None, "half-blocks: the terminal names no picture protocol"),
        _ => (None, "half-blocks: the terminal has not answered"),
    };
    // viuer asks for itself, once, and waits for the answer: only a terminal that has just answered is asked again.
    let protocol = protocol.filter(|p| *p != Protocol::Sixel || viuer::is_sixel_supported());
    Agreed { protocol, why: why.to_owned(), typed }
}

/// Why kitty graphics, if the terminal was asked.
pub const KITTY: &str = "kitty graphics: the terminal says that it knows them";

/// A picture made ready for a protocol, off the loop.
#[derive(Debug)]
pub struct Ready {
    placed: Placed,
    form: Form,
}

#[derive(Debug)]
enum Form {
    /// A PNG for kitty.
    Png(Vec<u8>),
    /// Few pixels of few colours, for viuer.
    Plain(DynamicImage),
}

/// Bytes of a PNG that a cell may cost where pictures go as files: 40 by 20 cells cost less than 80 KiB in base64.
const FILE: usize = 75;

/// Scales a picture to its cells and reduces it to 256 colours: enough for a preview, a fifth of the bytes.
fn prepare(placed: Placed, protocol: Protocol) -> io::Result<Ready> {
    let Rect { width, height, .. } = placed.area;
    let (wide, high) = (u32::from(width) * DENSITY.0, u32::from(height) * DENSITY.1);
    let small = scaled(&placed.picture, wide, high);
    let form = match protocol {
        Protocol::Kitty => Form::Png(kitty::png(&small).map_err(io::Error::other)?),
        Protocol::Sixel => Form::Plain(few_colours(&small)?),
        // viuer writes no palette, so that a restless picture costs more here: it is sent with fewer pixels.
        Protocol::Iterm2 => {
            let most = FILE * usize::from(width) * usize::from(height);
            let mut few = few_colours(&small)?;
            for eighths in (4..8).rev() {
                let mut file = io::Cursor::new(Vec::new());
                few.write_to(&mut file, ImageFormat::Png).map_err(io::Error::other)?;
                if file.get_ref().len() <= most {
                    break;
                }
                few = few_colours(&scaled(&placed.picture, wide * eighths / 8, high * eighths / 8))?;
            }
            Form::Plain(few)
        }
    };
    Ok(Ready { placed, form })
}

/// The picture in at most 256 colours.
fn few_colours(picture: &RgbImage) -> io::Result<DynamicImage> {
    let (pixels, colours) = kitty::palette(picture);
    let colour = |i: u8| [0, 1, 2].map(|c| colours[usize::from(i) * 3 + c]);
    let bytes = pixels.into_iter().flat_map(colour).collect();
    let few = RgbImage::from_raw(picture.width(), picture.height(), bytes);
    Ok(few.ok_or_else(|| io::Error::other("a picture lost pixels"))?.into())
}

/// At most so many pixels; smaller pictures are left to the terminal, which enlarges them itself.
fn scaled(picture: &Picture, width: u32, height: u32) -> RgbImage {
    if picture.width() <= width && picture.height() <= height {
        return picture.as_ref().clone();
    }
    imageops::resize(picture.as_ref(), width.max(1), height.max(1), imageops::FilterType::Triangle)
}

/// A picture on screen.
#[derive(Debug)]
struct Shown {
    placed: Placed,
    /// kitty's numbers of the picture and of the placement.
    ids: (u32, u32),
}

/// The pixels on screen, and those that should be.
#[derive(Debug, Default)]
pub struct Overlay {
    protocol: Option<Protocol>,
    wanted: Vec<Placed>,
    shown: Vec<Shown>,
    /// Pictures kitty has, with the size they were sent for, the latest last.
    sent: Vec<(Picture, (u16, u16), u32)>,
    due: Option<Instant>,
    last: u32,
}

fn same(a: &Placed, b: &Placed) -> bool {
    a.area == b.area && Arc::ptr_eq(&a.picture, &b.picture)
}

impl Overlay {
    /// Speaks `protocol` from now on.
    pub fn speak(&mut self, protocol: Option<Protocol>) {
        self.protocol = protocol;
        self.due = Some(Instant::now());
    }

    /// What it speaks.
    pub fn protocol(&self) -> Option<Protocol> {
        self.protocol
    }

    /// Takes note of a frame: `placed` are the pictures in `buf`. Returns what takes the others off the screen.
    pub fn frame(&mut self, buf: &mut Buffer, placed: Vec<Placed>) -> String {
        let mut out = String::new();
        let Some(protocol) = self.protocol else {
            self.wanted = placed;
            return out;
        };
        self.shown.retain(|shown| {
            let stays = placed.iter().any(|p| same(p, &shown.placed));
            if !stays && protocol == Protocol::Kitty {
                out.push_str(&kitty::remove(shown.ids.0, shown.ids.1));
            } else if !stays {
                anew(buf, shown.placed.area);
            }
            stays
        });
        let moved = placed.len() != self.wanted.len() || !placed.iter().zip(&self.wanted).all(|(a, b)| same(a, b));
        if moved {
            self.due = Some(Instant::now() + STILL);
        }
        self.wanted = placed;
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
        let missing = self.wanted.iter().filter(|w| !self.shown.iter().any(|s| same(w, &s.placed)));
        missing.cloned().map(|placed| move || prepare(placed, protocol)).collect()
    }

    /// Sends a picture that is ready, unless the screen has moved on.
    ///
    /// # Errors
    /// If the terminal is gone.
    pub fn show(&mut self, ready: Ready) -> io::Result<()> {
        let is_there = |s: &Shown| same(&s.placed, &ready.placed);
        if !self.wanted.iter().any(|w| same(w, &ready.placed)) || self.shown.iter().any(is_there) {
            return Ok(());
        }
        let area = ready.placed.area;
        let mut ids = (0, 0);
        match ready.form {
            Form::Png(png) => ids = self.send_to_kitty(&ready.placed, &png)?,
            Form::Plain(picture) => {
                let config = viuer::Config {
                    x: area.x,
                    y: area.y as i16,
                    width: Some(area.width.into()),
                    height: Some(area.height.into()),
                    restore_cursor: true,
                    use_kitty: false,
                    use_iterm: self.protocol == Some(Protocol::Iterm2),
                    use_sixel: self.protocol == Some(Protocol::Sixel),
                    ..viuer::Config::default()
                };
                viuer::print(&picture, &config).map_err(io::Error::other)?;
            }
        }
        self.shown.push(Shown { placed: ready.placed, ids });
        Ok(())
    }

    fn send_to_kitty(&mut self, placed: &Placed, png: &[u8]) -> io::Result<(u32, u32)> {
        let mut out = io::stdout();
        let cells = (placed.area.width, placed.area.height);
        let known = self.sent.iter().position(|(p, size, _)| *size == cells && Arc::ptr_eq(p, &placed.picture));
        let entry = match known {
            Some(at) => self.sent.remove(at),
            None => {
                self.last += 1;
                write!(out, "{}", kitty::transmit(self.last, png))?;
                IN_KITTY.store(true, Ordering::SeqCst);
                (placed.picture.clone(), cells, self.last)
            }
        };
        let id = entry.2;
        self.sent.push(entry);
        if self.sent.len() > KEPT {
            write!(out, "{}", kitty::forget(self.sent.remove(0).2))?;
        }
        self.last += 1;
        // The cursor of a line being typed stays where it was.
        write!(out, "\x1b7")?;
        queue!(out, MoveTo(placed.area.x, placed.area.y))?;
        write!(out, "{}\x1b8", kitty::place(id, self.last, cells))?;
        Ok((id, self.last))
    }

    /// The screen was wiped: whatever was shown is gone, and comes again.
    pub fn wiped(&mut self) -> String {
        let gone: String = match self.protocol {
            Some(Protocol::Kitty) => self.shown.iter().map(|s| kitty::remove(s.ids.0, s.ids.1)).collect(),
            _ => String::new(),
        };
        self.shown.clear();
        self.due = Some(Instant::now() + STILL);
        gone
    }
}

/// Has cells printed although they did not change, for pixels lie over them.
fn anew(buf: &mut Buffer, area: Rect) {
    for position in area.intersection(buf.area).positions() {
        if let Some(cell) = buf.cell_mut(position) {
            cell.set_diff_option(CellDiffOption::AlwaysUpdate);
        }
    }
}

/// What takes every picture out of the terminal, when the program leaves it.
pub fn wipe() -> &'static str {
    if IN_KITTY.swap(false, Ordering::SeqCst) { kitty::WIPE } else { "" }
}
