//! Sixels (DEC STD 070): bands of six lines, in few colours and long runs, so that a picture costs a remote link little.

use super::kitty;
use image::{RgbImage, imageops};
use std::fmt::Write;

/// Colours. More cost more bytes than eyes gain.
const COLOURS: usize = 64;
/// Gaps of more cells than this are cheaper to name than to draw one by one.
const GAP: usize = 8;

/// `picture` on `width` by `height` pixels, in at most `most` bytes: where neighbours are alike they take the same colour,
/// the more so the less fits; a picture that is too restless even so becomes coarser.
pub fn encode(picture: &RgbImage, (width, height): (u32, u32), most: usize) -> String {
    let mut best = String::new();
    for coarse in [1, 2, 3, 4, 6, 8, 12, 16, 32] {
        let (w, h) = (width.min(picture.width()) / coarse, height.min(picture.height()) / coarse);
        let (w, h) = (w.max(1), h.max(1));
        let small = imageops::resize(picture, w, h, imageops::FilterType::Triangle);
        let colours = kitty::Palette::new(&small, COLOURS);
        for alike in [6, 12, 24, 40] {
            let pixels = settle(&small, &colours, alike);
            let at = |x: u32, y: u32| pixels[((y * h / height) * w + x * w / width) as usize];
            let (w, h) = (width as usize, height as usize);
            best = draw(w, h, &colours.rgb, |x, y| at(x as u32, y as u32));
            if best.len() <= most {
                return best;
            }
        }
    }
    best
}

/// The colour of each pixel: that of the pixel before or above, if it is at most `alike` off, else the nearest.
fn settle(picture: &RgbImage, colours: &kitty::Palette, alike: i32) -> Vec<u8> {
    let width = picture.width() as usize;
    let mut out: Vec<u8> = Vec::with_capacity(width * picture.height() as usize);
    for (i, pixel) in picture.pixels().enumerate() {
        let off = |n: u8| {
            let colour = &colours.rgb[usize::from(n) * 3..][..3];
            colour.iter().zip(pixel.0).map(|(&a, b)| (i32::from(a) - i32::from(b)).pow(2)).sum::<i32>()
        };
        let left = (i % width > 0).then(|| out[i - 1]);
        let above = (i >= width).then(|| out[i - width]);
        let near = left.into_iter().chain(above).filter(|&n| off(n) <= alike * alike).min_by_key(|&n| off(n));
        out.push(near.unwrap_or_else(|| colours.nearest(pixel.0)));
    }
    out
}

/// A colour's part of a band: where it starts, and its columns of six.
struct Piece {
    colour: u8,
    start: usize,
    columns: Vec<u8>,
}

fn draw(width: usize, height: usize, colours: &[u8], at: impl Fn(usize, usize) -> u8) -> String {
    let mut out = format!("\x1bP0;1q\"1;1;{width};{height}");
    for (n, colour) in colours.chunks_exact(3).enumerate() {
        let [r, g, b] = [0, 1, 2].map(|c| (u32::from(colour[c]) * 100 + 127) / 255);
        let _ = write!(out, "#{n};2;{r};{g};{b}");
    }
    for top in (0..height).step_by(6) {
        let mut left = pieces(width, top..(top + 6).min(height), &at);
        left.sort_by_key(|p| p.start);
        let mut first = true;
        while !left.is_empty() {
            if !std::mem::take(&mut first) {
                out.push('$');
            }
            // As many pieces as follow one another without going back.
            let mut x = 0;
            left.retain(|piece| {
                if piece.start < x {
                    return true;
                }
                let _ = write!(out, "#{}", piece.colour);
                runs(&mut out, std::iter::repeat_n(0, piece.start - x).chain(piece.columns.iter().copied()));
                x = piece.start + piece.columns.len();
                false
            });
        }
        out.push('-');
    }
    out.push_str("\x1b\\");
    out
}

fn pieces(width: usize, lines: std::ops::Range<usize>, at: &impl Fn(usize, usize) -> u8) -> Vec<Piece> {
    let (mut done, mut open) = (Vec::new(), Vec::<Option<Piece>>::new());
    for x in 0..width {
        for (bit, y) in lines.clone().enumerate() {
            let colour = at(x, y);
            let slot = usize::from(colour);
            if open.len() <= slot {
                open.resize_with(slot + 1, || None);
            }
            if open[slot].as_ref().is_some_and(|p| p.start + p.columns.len() + GAP < x) {
                done.extend(open[slot].take());
            }
            let piece = open[slot].get_or_insert_with(|| Piece { colour, start: x, columns: Vec::new() });
            piece.columns.resize(x - piece.start + 1, 0);
            piece.columns[x - piece.start] |= 1 << bit;
        }
    }
    done.extend(open.into_iter().flatten());
    done
}

/// Columns of six as letters, with what repeats counted.
fn runs(out: &mut String, mut columns: impl Iterator<Item = u8>) {
    let Some(mut last) = columns.next() else { return };
    let mut n = 1;
    let mut put = |column: u8, n: usize| {
        let letter = char::from(b'?' + column);
        match n {
            1..4 => (0..n).for_each(|_| out.push(letter)),
            _ => drop(write!(out, "!{n}{letter}")),
        }
    };
    for column in columns {
        if column == last {
            n += 1;
        } else {
            put(std::mem::replace(&mut last, column), std::mem::replace(&mut n, 1));
        }
    }
    put(last, n);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restless_picture_on_a_large_screen_keeps_within_its_bytes() {
        let noise = |x: u32, y: u32, c: u32| {
            let v = (x.wrapping_mul(0x9e37_79b9) ^ y.wrapping_mul(0x85eb_ca6b) ^ (c + 1)).wrapping_mul(0xc2b2_ae35);
            (v >> 13) as u8
        };
        let picture = RgbImage::from_fn(512, 512, |x, y| image::Rgb([0, 1, 2].map(|c| noise(x, y, c))));
        let code = encode(&picture, (1000, 1000), 60_000);
        assert!(code.len() <= 60_000, "{}", code.len());
        assert!(code.starts_with("\x1bP0;1q\"1;1;1000;1000#0;2;") && code.ends_with("-\x1b\\"));
    }

    #[test]
    fn runs_are_counted_and_a_picture_of_one_colour_is_a_few_letters_a_band() {
        let mut out = String::new();
        runs(&mut out, [1, 1, 1, 1, 63, 0, 0].into_iter());
        assert_eq!(out, "!4@~??");
        let even = RgbImage::from_pixel(8, 8, image::Rgb([255, 0, 0]));
        assert!(
            encode(&even, (400, 12), 4096).ends_with("!400~-#0!400~-\x1b\\")
                || encode(&even, (400, 12), 4096).len() < 2048
        );
    }
}
