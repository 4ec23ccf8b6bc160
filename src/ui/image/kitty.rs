//! The kitty graphics protocol, in as few bytes as it allows: palette PNGs, sent once and placed by number. (viuer sends
//! raw RGBA: ten times as much.) <https://sw.kovidgoyal.net/kitty/graphics-protocol/>

use base64::{Engine, engine::general_purpose::STANDARD};
use color_quant::NeuQuant;
use image::RgbImage;
use std::fmt::Write;

/// Base64 letters that one escape code may carry.
const CHUNK: usize = 4096;

/// Asks whether the protocol is spoken.
pub const QUESTION: &str = "\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\";

/// Takes every picture off the screen and out of the terminal's memory.
pub const WIPE: &str = "\x1b_Gq=2,a=d,d=A\x1b\\";

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

/// The nearest of at most 256 colours for each pixel, and these colours (NeuQuant; the same every time).
pub fn palette(picture: &RgbImage) -> (Vec<u8>, Vec<u8>) {
    let rgba: Vec<u8> = picture.pixels().flat_map(|p| [p.0[0], p.0[1], p.0[2], 255]).collect();
    // One pixel in five teaches a large picture's palette; a small one needs them all.
    let sample = if picture.width() * picture.height() > 20_000 { 5 } else { 1 };
    let colours = NeuQuant::new(sample, 256, &rgba);
    (rgba.chunks_exact(4).map(|p| colours.index_of(p) as u8).collect(), colours.color_map_rgb())
}

/// A PNG with a palette.
pub fn png(picture: &RgbImage) -> Result<Vec<u8>, png::EncodingError> {
    let (pixels, colours) = palette(picture);
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, picture.width(), picture.height());
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_palette(colours);
    encoder.set_compression(png::Compression::High);
    encoder.write_header()?.write_image_data(&pixels)?;
    Ok(out)
}
