//! Pictures in ordinary cells: two pixels a cell as upper half-blocks, or a ramp of letters where there is no colour.
//! Works in every terminal, inside tmux and over any link.

use super::theme::{Depth, indexed};
use image::{RgbImage, imageops};
use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Color, Style},
};

/// Dark to light.
const RAMP: &[u8] = b" .:-=+*#%@";

/// The part of `area` that a picture of this size fills, keeping its shape: a cell is about twice as high as wide.
pub fn fitted(area: Rect, picture: &RgbImage) -> Rect {
    let (w, h) = (f64::from(picture.width().max(1)), f64::from(picture.height().max(1)));
    let scale = (f64::from(area.width) / w).min(f64::from(area.height) * 2.0 / h);
    let width = ((w * scale).round() as u16).clamp(u16::from(area.width > 0), area.width);
    let height = ((h * scale / 2.0).round() as u16).clamp(u16::from(area.height > 0), area.height);
    Rect { x: area.x + (area.width - width) / 2, y: area.y, width, height }
}

/// Draws `picture` into `area`, centred across, from its top.
pub fn draw(buf: &mut Buffer, area: Rect, picture: &RgbImage, depth: Depth, ascii: bool) {
    let area = fitted(area.intersection(buf.area), picture);
    if area.is_empty() || picture.width() == 0 || picture.height() == 0 {
        return;
    }
    let (w, h) = (u32::from(area.width), u32::from(area.height) * 2);
    let small = imageops::resize(picture, w, h, imageops::FilterType::Triangle);
    let off = tolerance(&small);
    for y in 0..area.height {
        // A cell that looks as the one before costs three bytes on the wire instead of forty.
        let mut before: Option<[[u8; 3]; 2]> = None;
        for x in 0..area.width {
            let own = pixels(&small, x.into(), y.into());
            let seen = before.filter(|b| alike(*b, own, off)).unwrap_or(own);
            before = Some(seen);
            let Some(cell) = buf.cell_mut((area.x + x, area.y + y)) else { continue };
            if ascii || depth == Depth::None {
                cell.set_char(letter(seen[0], seen[1])).set_style(Style::reset());
            } else {
                cell.set_char('▀').set_style(Style::reset().fg(colour(seen[0], depth)).bg(colour(seen[1], depth)));
            }
        }
    }
}

/// How far a channel may be off, of 255, where a cell takes the colours of the one before: the first is seen by nobody, the
/// others only where a picture would cost a remote link more than [`dear`] otherwise.
const OFF: [u8; 7] = [6, 10, 16, 24, 36, 54, 80];
/// Bytes of a cell whose colours differ from those of the one before, and of one that has the same.
const COST: (usize, usize) = (39, 3);

/// Bytes that a picture of so many cells may cost.
fn dear(cells: usize) -> usize {
    (10 * cells).max(2600)
}

/// The two pixels of a cell.
fn pixels(small: &RgbImage, x: u32, y: u32) -> [[u8; 3]; 2] {
    [0, 1].map(|below| small.get_pixel(x, y * 2 + below).0)
}

fn tolerance(small: &RgbImage) -> u8 {
    let (width, height) = (small.width(), small.height() / 2);
    let cost = |off: u8| {
        let mut bytes = 0;
        for y in 0..height {
            let mut before: Option<[[u8; 3]; 2]> = None;
            for x in 0..width {
                let own = pixels(small, x, y);
                let same = before.is_some_and(|b| alike(b, own, off));
                bytes += if same { COST.1 } else { COST.0 };
                before = before.filter(|_| same).or(Some(own));
            }
        }
        bytes
    };
    let most = dear((width * height) as usize);
    OFF.into_iter().find(|off| cost(*off) <= most).unwrap_or(OFF[OFF.len() - 1])
}

fn alike(a: [[u8; 3]; 2], b: [[u8; 3]; 2], off: u8) -> bool {
    a.iter().flatten().zip(b.iter().flatten()).all(|(a, b)| a.abs_diff(*b) <= off)
}

fn letter(top: [u8; 3], bottom: [u8; 3]) -> char {
    let light = |[r, g, b]: [u8; 3]| 299 * u32::from(r) + 587 * u32::from(g) + 114 * u32::from(b);
    let place = (light(top) + light(bottom)) / 2 * RAMP.len() as u32 / 255_001;
    char::from(RAMP[place as usize])
}

/// The nearest colour there is.
fn colour([r, g, b]: [u8; 3], depth: Depth) -> Color {
    match depth {
        Depth::True => Color::Rgb(r, g, b),
        Depth::Ansi256 => Color::Indexed(indexed([r, g, b])),
        Depth::Ansi16 | Depth::None => {
            let bit = |v: u8| u8::from(v > 127);
            let bright = u8::from(r.max(g).max(b) > 191) * 8;
            Color::Indexed(bright + bit(r) + 2 * bit(g) + 4 * bit(b))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn drawn(area: Rect, picture: &RgbImage, depth: Depth) -> Buffer {
        let mut buf = Buffer::empty(Rect::new(0, 0, 8, 4));
        draw(&mut buf, area, picture, depth, false);
        buf
    }

    #[test]
    fn a_cell_shows_its_upper_and_its_lower_pixel() {
        let picture = RgbImage::from_fn(2, 2, |x, y| image::Rgb([x as u8 * 200, y as u8 * 100, 7]));
        let buf = drawn(Rect::new(0, 0, 2, 1), &picture, Depth::True);
        let cell = buf.cell((1, 0)).unwrap();
        assert_eq!((cell.symbol(), cell.fg, cell.bg), ("▀", Color::Rgb(200, 0, 7), Color::Rgb(200, 100, 7)));
    }

    #[test]
    fn a_cell_that_is_all_but_like_the_one_before_takes_its_colours_and_a_slow_change_is_followed() {
        let ramp = RgbImage::from_fn(16, 2, |x, _| image::Rgb([x as u8 * 3; 3]));
        let mut buf = Buffer::empty(Rect::new(0, 0, 16, 1));
        draw(&mut buf, Rect::new(0, 0, 16, 1), &ramp, Depth::True, false);
        let shade = |x: u16| match buf.cell((x, 0)).unwrap().fg {
            Color::Rgb(r, ..) => r,
            other => panic!("{other:?}"),
        };
        let seen: Vec<u8> = (0..16).map(shade).collect();
        assert_eq!(seen[..4], [0, 0, 0, 9]);
        assert!(seen.iter().enumerate().all(|(x, v)| (x as u8 * 3).abs_diff(*v) <= OFF[0]), "{seen:?}");
    }

    #[test]
    fn a_restless_picture_is_told_in_fewer_colours_the_larger_it_is() {
        let noise =
            |x: u32, y: u32| (x.wrapping_mul(0x9e37_79b9) ^ y.wrapping_mul(0x85eb_ca6b)).wrapping_mul(0xc2b2_ae35);
        let grain = |side: u32, most: u32| {
            RgbImage::from_fn(side, side, |x, y| image::Rgb([128 + (noise(x, y) >> 13) as u8 % most as u8; 3]))
        };
        assert_eq!([tolerance(&grain(14, 60)), tolerance(&grain(64, 5))], [24, 6]);
        assert!(tolerance(&grain(64, 60)) >= 36);
    }

    #[test]
    fn a_picture_keeps_its_shape_and_stays_inside() {
        let wide = RgbImage::new(40, 10);
        assert_eq!(fitted(Rect::new(0, 0, 8, 4), &wide), Rect::new(0, 0, 8, 1));
        assert_eq!(fitted(Rect::new(0, 0, 20, 4), &RgbImage::new(8, 8)), Rect::new(6, 0, 8, 4));
        drawn(Rect::new(6, 2, 30, 30), &wide, Depth::True);
        drawn(Rect::new(0, 0, 0, 0), &wide, Depth::True);
    }

    #[test]
    fn without_colour_light_is_a_dense_letter() {
        let grey = RgbImage::from_pixel(2, 2, image::Rgb([255; 3]));
        assert_eq!(drawn(Rect::new(0, 0, 2, 1), &grey, Depth::None).cell((0, 0)).unwrap().symbol(), "@");
    }
}
