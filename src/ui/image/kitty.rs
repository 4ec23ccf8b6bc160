//! The kitty graphics protocol, in as few bytes as it allows: palette PNGs, sent once and placed by number.
//! <https://sw.kovidgoyal.net/kitty/graphics-protocol/>

use base64::{Engine, engine::general_purpose::STANDARD};
use color_quant::NeuQuant;
use image::RgbImage;
use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Color, Style},
};
use std::fmt::Write;

/// Base64 letters that one escape code may carry.
const CHUNK: usize = 4096;

/// Asks whether the protocol is spoken.
pub const QUESTION: &str = "\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\";

/// Sends a picture under a number, without showing it.
pub fn transmit(id: u32, png: &[u8]) -> String {
    let letters = STANDARD.encode(png);
    let mut out = String::with_capacity(letters.len() + letters.len() / CHUNK * 16 + 64);
    let mut rest = letters.as_str();
    let mut head = format!("q=2,a=t,f=100,t=d,i={id},");
    while !rest.is_empty() {
        let (part, left) = rest.split_at(rest.len().min(CHUNK));
        let _ = write!(out, "\x1b_G{head}m={};{part}\x1b\\", u8::from(!left.is_empty()));
        (rest, head) = (left, String::new());
    }
    out
}

/// Shows picture `id`, or the part of it at these pixels (left, top, width, height), as placement `place` on `width` by
/// `height` cells from the cursor, which stays where it is.
pub fn place(id: u32, place: u32, (width, height): (u16, u16), part: Option<[u32; 4]>) -> String {
    let part = part.map_or(String::new(), |[x, y, w, h]| format!("x={x},y={y},w={w},h={h},"));
    format!("\x1b_Gq=2,a=p,i={id},p={place},{part}c={width},r={height},C=1\x1b\\")
}

/// Makes picture `id` ready to be shown by letters on so many cells.
pub fn prepare_letters(id: u32, (width, height): (u16, u16)) -> String {
    format!("\x1b_Gq=2,a=p,U=1,i={id},c={width},r={height}\x1b\\")
}

/// The letter that stands for a cell of a picture.
const LETTER: char = '\u{10eeee}';
/// Marks on it that number the rows, from kitty's list (`rowcolumn-diacritics.txt`).
const MARKS: [char; 60] = [
    '\u{305}', '\u{30d}', '\u{30e}', '\u{310}', '\u{312}', '\u{33d}', '\u{33e}', '\u{33f}', '\u{346}', '\u{34a}',
    '\u{34b}', '\u{34c}', '\u{350}', '\u{351}', '\u{352}', '\u{357}', '\u{35b}', '\u{363}', '\u{364}', '\u{365}',
    '\u{366}', '\u{367}', '\u{368}', '\u{369}', '\u{36a}', '\u{36b}', '\u{36c}', '\u{36d}', '\u{36e}', '\u{36f}',
    '\u{483}', '\u{484}', '\u{485}', '\u{486}', '\u{487}', '\u{592}', '\u{593}', '\u{594}', '\u{595}', '\u{597}',
    '\u{598}', '\u{599}', '\u{59c}', '\u{59d}', '\u{59e}', '\u{59f}', '\u{5a0}', '\u{5a1}', '\u{5a8}', '\u{5a9}',
    '\u{5ab}', '\u{5ac}', '\u{5af}', '\u{5c4}', '\u{610}', '\u{611}', '\u{612}', '\u{613}', '\u{614}', '\u{615}',
];
/// Rows that a picture of letters may have.
pub const ROWS: u16 = MARKS.len() as u16;

/// Fills cells with the letters of picture `id`, which their colour names: the first one of a row has its number, the others
/// follow from it.
pub fn letters(cells: &mut Buffer, area: Rect, id: u32) {
    let style = Style::reset().fg(Color::Indexed(id as u8));
    for (y, mark) in (area.y..area.bottom()).zip(MARKS) {
        for x in area.x..area.right() {
            let Some(cell) = cells.cell_mut((x, y)) else { continue };
            let symbol = if x == area.x { format!("{LETTER}{mark}") } else { LETTER.to_string() };
            cell.set_symbol(&symbol).set_style(style);
        }
    }
}

/// What tmux passes on to the terminal around it: each code by itself, with its escapes doubled.
pub fn through_tmux(codes: &str) -> String {
    let one = |code: &str| format!("\x1bPtmux;{}\x1b\\", code.replace('\x1b', "\x1b\x1b"));
    codes.split_inclusive("\x1b\\").map(one).collect()
}

/// Width and height of a PNG, by its head.
pub fn size(png: &[u8]) -> (u32, u32) {
    let at = |from: usize| png.get(from..from + 4).and_then(|b| b.try_into().ok()).map_or(1, u32::from_be_bytes);
    (at(16), at(20))
}

/// Takes a placement off the screen; the picture stays in the terminal's memory.
pub fn remove(id: u32, place: u32) -> String {
    format!("\x1b_Gq=2,a=d,d=i,i={id},p={place}\x1b\\")
}

/// Forgets a picture.
pub fn forget(id: u32) -> String {
    format!("\x1b_Gq=2,a=d,d=I,i={id}\x1b\\")
}

/// At most 256 colours that a picture comes down to (NeuQuant; the same every time).
pub struct Palette {
    /// Red, green and blue of each.
    pub rgb: Vec<u8>,
    map: NeuQuant,
}

impl Palette {
    /// The `n` colours of a picture.
    pub fn new(picture: &RgbImage, n: usize) -> Self {
        let rgba: Vec<u8> = picture.pixels().flat_map(|p| [p.0[0], p.0[1], p.0[2], 255]).collect();
        // One pixel in five teaches a large picture's palette; a small one needs them all.
        let sample = if picture.width() * picture.height() > 20_000 { 5 } else { 1 };
        let map = NeuQuant::new(sample, n, &rgba);
        Self { rgb: map.color_map_rgb(), map }
    }

    /// The nearest colour's number.
    pub fn nearest(&self, [r, g, b]: [u8; 3]) -> u8 {
        self.map.index_of(&[r, g, b, 255]) as u8
    }
}

/// A PNG with a palette.
pub fn png(picture: &RgbImage) -> Result<Vec<u8>, png::EncodingError> {
    let colours = Palette::new(picture, 256);
    let pixels: Vec<u8> = picture.pixels().map(|p| colours.nearest(p.0)).collect();
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, picture.width(), picture.height());
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_palette(colours.rgb);
    encoder.set_compression(png::Compression::High);
    encoder.write_header()?.write_image_data(&pixels)?;
    Ok(out)
}
