//! The kitty graphics protocol, in as few bytes as it allows: palette PNGs, sent once and placed by number.
//! <https://sw.kovidgoyal.net/kitty/graphics-protocol/>

use base64::{Engine, engine::general_purpose::STANDARD};
use color_quant::NeuQuant;
use image::RgbImage;
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

/// Shows picture `id` as placement `place` on `width` by `height` cells from the cursor, which stays where it is.
pub fn place(id: u32, place: u32, (width, height): (u16, u16)) -> String {
    format!("\x1b_Gq=2,a=p,i={id},p={place},c={width},r={height},C=1\x1b\\")
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
