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
    for y in 0..area.height {
        // A cell that looks as the one before costs three bytes on the wire instead of forty.
        let mut before: Option<[[u8; 3]; 2]> = None;
        for x in 0..area.width {
            let at = |dy| small.get_pixel(u32::from(x), u32::from(y) * 2 + dy).0;
            let own = [at(0), at(1)];
            let seen = before.filter(|b| alike(b[0], own[0]) && alike(b[1], own[1])).unwrap_or(own);
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

/// Most that a channel may be off, of 255, where a cell takes the colours of the one before.
const OFF: u8 = 6;

fn alike(a: [u8; 3], b: [u8; 3]) -> bool {
    a.iter().zip(b).all(|(a, b)| a.abs_diff(b) <= OFF)
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
        assert!(seen.iter().enumerate().all(|(x, v)| (x as u8 * 3).abs_diff(*v) <= OFF), "{seen:?}");
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
