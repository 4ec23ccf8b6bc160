//! Real pixels over the cells that hold a picture: half-blocks stand there at once, pixels follow when the screen has been
//! still for a moment. Whatever the protocol and the cells, a picture costs a remote link at most [`MOST`] bytes. The only
//! file that knows viuer, which speaks iTerm2's protocol where it finds such a terminal; what it will not do (a protocol that
//! is asked for against the environment) or not in few bytes (kitty, sixel) we do ourselves.

pub mod ask;
mod kitty;
mod sixel;

use super::{canvas::Placed, painter::Frame, terminal};
use crate::app::Picture;
use ask::Answer;
use base64::{Engine, engine::general_purpose::STANDARD};
use crossterm::{cursor::MoveTo, queue};
use image::{DynamicImage, ImageFormat, Rgb, RgbImage, imageops};
use ratatui::layout::Rect;
use std::{
    io::{self, Write},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

/// How long a picture stands still before its pixels are sent.
const STILL: Duration = Duration::from_millis(150);
/// Pixels sent per cell, at most: more would cost a remote link more than eyes gain.
const DENSITY: (u16, u16) = (8, 16);
/// Bytes on the wire for a picture, at most.
pub const MOST: usize = 80 * 1024;
/// Pixels of a cell where the terminal does not say: smaller than any there is, so that no neighbour is painted over.
const SMALL: (u16, u16) = (6, 12);
/// Pictures a terminal keeps for us.
const KEPT: usize = 96;

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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agreed {
    /// None for cells alone.
    pub protocol: Option<Protocol>,
    /// `kitty graphics: the terminal says that it knows them`
    pub why: String,
    /// What the user typed meanwhile.
    pub typed: Vec<u8>,
    /// Pixels of a cell, across and down, if the terminal answered that.
    pub cell: Option<(u16, u16)>,
    /// Whether the ground is light, if it answered that.
    pub light: Option<bool>,
}

/// How long `info` waits for the terminal, and the explorer for one that is spoken to anyway; else the explorer waits
/// beside its work, as long as nobody types.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// Asks and settles how pixels are sent; the terminal must be in raw mode, and nobody else may be reading from it.
pub fn agree(wish: Wish, var: impl Fn(&str) -> Option<String>) -> Agreed {
    let ask = || ask::question(true).and_then(|()| ask::listen(Some(PATIENCE)));
    settle(wish, ask(), var)
}

/// Settles how pixels are sent by what the terminal answered. What was asked for is spoken whatever the terminal says.
pub fn settle(wish: Wish, answer: io::Result<Vec<u8>>, var: impl Fn(&str) -> Option<String>) -> Agreed {
    let answer = match (answer, wish) {
        (Ok(answer), _) => Answer::new(&answer),
        (Err(_), Wish::Only(_)) => Answer::new(&[]),
        (Err(e), _) => {
            let why = format!("half-blocks: the terminal cannot be asked: {e}");
            return Agreed { why, ..Agreed::default() };
        }
    };
    let Answer { kitty, sixel, whole, cell, light, .. } = answer;
    let inside = var("TMUX").is_some_and(|v| !v.is_empty());
    let iterm2 = viuer::is_iterm_supported();
    let unless = |known: bool, lack: &str| if known { String::new() } else { format!(", although {lack}") };
    let (protocol, why) = match wish {
        Wish::Only(Protocol::Kitty) => {
            let lack = "the terminal does not say that it knows them";
            (Some(Protocol::Kitty), format!("kitty graphics: as asked{}", unless(kitty, lack)))
        }
        Wish::Only(Protocol::Iterm2) => {
            let lack = "TERM_PROGRAM and LC_TERMINAL name no terminal that knows it";
            (Some(Protocol::Iterm2), format!("iTerm2's protocol: as asked{}", unless(iterm2, lack)))
        }
        Wish::Only(Protocol::Sixel) => {
            let lack = "it is not among the terminal's attributes";
            (Some(Protocol::Sixel), format!("sixel: as asked{}", unless(sixel, lack)))
        }
        _ if kitty => (Some(Protocol::Kitty), KITTY.into()),
        _ if iterm2 && !inside => {
            (Some(Protocol::Iterm2), "iTerm2's protocol: the environment names such a terminal".into())
        }
        _ if sixel => (Some(Protocol::Sixel), "sixel: among the terminal's attributes".into()),
        _ if inside => (None, "half-blocks: tmux passes no pictures on".into()),
        _ if whole => (None, "half-blocks: the terminal names no picture protocol".into()),
        _ => (None, "half-blocks: the terminal has not answered".into()),
    };
    Agreed { protocol, why, typed: answer.rest, cell, light }
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
    /// What to print where the picture's first cell is.
    Code(String),
    /// For viuer.
    Plain(DynamicImage),
}

/// Scales a picture to its cells, of so many pixels each, and reduces it to few colours: enough for a preview, a fifth of
/// the bytes.
fn prepare(placed: Placed, protocol: Protocol, (wide, high): (u16, u16)) -> io::Result<Ready> {
    let Rect { width, height, .. } = placed.area;
    let pixels = |wide: u16, high: u16| (u32::from(width) * u32::from(wide), u32::from(height) * u32::from(high));
    let small = scaled(&placed.picture, pixels(wide.min(DENSITY.0), high.min(DENSITY.1)));
    let form = match protocol {
        Protocol::Kitty => Form::Png(file(small)?),
        Protocol::Sixel => Form::Code(sixel::encode(&small, pixels(wide, high), MOST)),
        Protocol::Iterm2 if viuer::is_iterm_supported() => Form::Plain(plain(small)?),
        Protocol::Iterm2 => {
            let file = file(small)?;
            let head = format!("size={};width={width};height={height}", file.len());
            let letters = STANDARD.encode(&file);
            Form::Code(format!("\x1b]1337;File=inline=1;preserveAspectRatio=0;{head}:{letters}\x07"))
        }
    };
    Ok(Ready { placed, form })
}

/// A PNG that costs at most [`MOST`] bytes on the wire.
fn file(picture: RgbImage) -> io::Result<Vec<u8>> {
    let png = |picture: &RgbImage| kitty::png(picture).map_err(io::Error::other);
    Ok(within(picture, |small| png(small).map(|png| (png.len(), png)))?.1)
}

/// A picture of few colours whose PNG, as viuer writes it, costs at most [`MOST`] bytes on the wire.
fn plain(picture: RgbImage) -> io::Result<DynamicImage> {
    let few = |picture: &RgbImage| {
        let colours = kitty::Palette::new(picture, 256);
        let nearest = |p: &Rgb<u8>| Rgb([0, 1, 2].map(|c| colours.rgb[usize::from(colours.nearest(p.0)) * 3 + c]));
        let few = RgbImage::from_fn(picture.width(), picture.height(), |x, y| nearest(picture.get_pixel(x, y)));
        let (mut file, few) = (io::Cursor::new(Vec::new()), DynamicImage::from(few));
        few.write_to(&mut file, ImageFormat::Png).map_err(io::Error::other)?;
        Ok((file.into_inner().len(), few))
    };
    Ok(within(picture, few)?.1)
}

/// What `make` makes of a picture, and its bytes before they are written in base64: a restless or large picture has fewer
/// pixels, until it keeps within [`MOST`].
fn within<T>(picture: RgbImage, make: impl Fn(&RgbImage) -> io::Result<(usize, T)>) -> io::Result<(usize, T)> {
    let mut made = make(&picture)?;
    for eighths in [7, 6, 5, 4, 3, 2, 1] {
        if made.0 <= MOST * 3 / 4 - 1024 {
            break;
        }
        let (width, height) = (picture.width() * eighths / 8, picture.height() * eighths / 8);
        made = make(&imageops::resize(&picture, width.max(1), height.max(1), imageops::FilterType::Triangle))?;
    }
    Ok(made)
}

/// At most so many pixels; smaller pictures are left to the terminal, which enlarges them itself.
fn scaled(picture: &Picture, (width, height): (u32, u32)) -> RgbImage {
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
    /// Pixels of a cell, as the terminal answered.
    cell: Option<(u16, u16)>,
}

fn same(a: &Placed, b: &Placed) -> bool {
    a.area == b.area && Arc::ptr_eq(&a.picture, &b.picture)
}

impl Overlay {
    /// Speaks `protocol` from now on; a cell has so many pixels if the system does not know better.
    pub fn speak(&mut self, protocol: Option<Protocol>, cell: Option<(u16, u16)>) {
        (self.protocol, self.cell) = (protocol, cell.or(self.cell));
        self.due = Some(Instant::now());
    }

    /// What it speaks.
    pub fn protocol(&self) -> Option<Protocol> {
        self.protocol
    }

    /// Takes note of a frame and the pictures in it. Returns what takes the others off the screen.
    pub fn frame(&mut self, frame: &mut Frame, placed: Vec<Placed>) -> String {
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
                // Its pixels lie over cells that may not have changed.
                frame.again.push(shown.placed.area);
            }
            stays
        });
        frame.covered = self.shown.iter().map(|s| s.placed.area).collect();
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
        let cell = terminal::cell().or(self.cell).unwrap_or(SMALL);
        let missing = self.wanted.iter().filter(|w| !self.shown.iter().any(|s| same(w, &s.placed)));
        missing.cloned().map(|placed| move || prepare(placed, protocol, cell)).collect()
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
            Form::Code(code) => {
                let mut out = io::stdout();
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
                terminal::IN_KITTY.store(true, Ordering::SeqCst);
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
