//! Real pixels over the cells that hold a picture: half-blocks stand there at once, pixels follow when the screen has been
//! still for a moment. Whatever the protocol and the cells, a picture costs a remote link at most [`MOST`] bytes. The only
//! file that knows viuer, which speaks iTerm2's protocol where it finds such a terminal; what it will not do (a protocol that
//! is asked for against the environment) or not in few bytes (kitty, sixel) we do ourselves.

pub mod ask;
mod kitty;
mod overlay;
mod sixel;

use super::canvas::Placed;
use crate::app::Picture;
pub use overlay::Overlay;

use ask::Answer;
use base64::{Engine, engine::general_purpose::STANDARD};
use image::{DynamicImage, ImageFormat, Rgb, RgbImage, imageops};
use ratatui::layout::Rect;
use std::{io, time::Duration};

/// Pixels sent per cell, at most: more would cost a remote link more than eyes gain.
const DENSITY: (u16, u16) = (8, 16);
/// Bytes on the wire for a picture, at most.
pub const MOST: usize = 80 * 1024;
/// Pixels of a cell where the terminal does not say: smaller than any there is, so that no neighbour is painted over.
const SMALL: (u16, u16) = (6, 12);

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
    /// It is spoken through tmux.
    pub through: bool,
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
        _ if kitty && inside => (Some(Protocol::Kitty), THROUGH.into()),
        _ if kitty => (Some(Protocol::Kitty), KITTY.into()),
        _ if iterm2 && !inside => {
            (Some(Protocol::Iterm2), "iTerm2's protocol: the environment names such a terminal".into())
        }
        _ if sixel => (Some(Protocol::Sixel), "sixel: among the terminal's attributes".into()),
        _ if inside => (None, "half-blocks: tmux passes no pictures on".into()),
        _ if whole => (None, "half-blocks: the terminal names no picture protocol".into()),
        _ => (None, "half-blocks: the terminal has not answered".into()),
    };
    Agreed { protocol, through: kitty && inside, why, typed: answer.rest, cell, light }
}

/// Why kitty graphics, if the terminal was asked.
pub const KITTY: &str = "kitty graphics: the terminal says that it knows them";

/// The same, if tmux passed question and answer on.
pub const THROUGH: &str = "kitty graphics: the terminal knows them, and tmux passes them on";

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
