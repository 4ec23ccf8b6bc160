//! How a scene looks: 64x64, flat colours and smooth gradients with a few features.

use image::RgbImage;
use tiny_skia::{Pixmap, PremultipliedColorU8};

use super::scene::{Object, Scene};
use super::shapes::{Pen, Rgb, circle, line_through, mix, polygon, rect};

/// Width and height of a scene's picture in pixels.
pub const SIDE: u32 = 64;

/// By index into [`COLOURS`](super::COLOURS).
const INKS: [Rgb; 10] = [
    (222, 40, 36),
    (36, 80, 226),
    (252, 216, 36),
    (24, 136, 48),
    (250, 250, 250),
    (250, 132, 20),
    (140, 48, 184),
    (252, 128, 188),
    (124, 74, 38),
    (26, 26, 30),
];
const BLACK: usize = 9;
const WHITE: usize = 4;

/// Centres of the places.
const SLOT_X: [i32; 3] = [11, 32, 53];
/// Where things stand.
const GROUND: f32 = 53.0;
/// The height at which stars and moons hang.
const SKY: f32 = 24.0;
const STAR: usize = 3;
const MOON: usize = 10;

/// Stars of the night sky; they never move, so that a small network can learn them.
const STARS: [(f32, f32); 8] =
    [(5.0, 6.0), (17.0, 11.0), (27.0, 4.0), (38.0, 9.0), (49.0, 5.0), (59.0, 12.0), (8.0, 24.0), (43.0, 26.0)];
/// Snowflakes, likewise.
const FLAKES: [(f32, f32); 8] =
    [(6.0, 8.0), (20.0, 4.0), (31.0, 13.0), (45.0, 7.0), (57.0, 15.0), (14.0, 22.0), (42.0, 25.0), (60.0, 30.0)];

impl Scene {
    /// Draws the scene, `SIDE` pixels wide and high.
    pub fn render(&self) -> RgbImage {
        let mut bytes = vec![0; (SIDE * SIDE * 3) as usize];
        if let Some(mut picture) = Pixmap::new(SIDE, SIDE) {
            backdrop(&mut picture, self.backdrop, self.horizon as f32);
            for object in &self.objects {
                draw(&mut picture, object);
            }
            for (rgb, pixel) in bytes.chunks_exact_mut(3).zip(picture.pixels()) {
                rgb.copy_from_slice(&[pixel.red(), pixel.green(), pixel.blue()]);
            }
        }
        RgbImage::from_raw(SIDE, SIDE, bytes).unwrap_or_default()
    }
}

fn draw(picture: &mut Pixmap, object: &Object) {
    let radius = if object.size == 1 { 10.5 } else { 6.5 };
    let x = (SLOT_X[object.slot] + object.jitter.0) as f32;
    let height = if matches!(object.shape, STAR | MOON) { SKY } else { GROUND - radius };
    let colour = INKS[object.colour];
    let edge = match object.colour {
        BLACK => (214, 214, 222),
        WHITE => (96, 98, 110),
        _ => mix(colour, (0, 0, 0), 0.58),
    };
    Pen::new(picture, (x, height + object.jitter.1 as f32), radius).shape(object.shape, colour, edge);
}

/// Paints backdrop `index` with everything along the horizon moved down by `shift`.
fn backdrop(picture: &mut Pixmap, index: usize, shift: f32) {
    match index {
        0 => meadow(picture, shift),
        1 => night(picture, shift),
        2 => beach(picture, shift),
        3 => snow(picture, shift),
        4 => sea(picture, shift),
        5 => desert(picture, shift),
        6 => room(picture, shift),
        _ => road(picture, shift),
    }
}

/// Fills the rows from `top` to `bottom` with a gradient from `above` to `below`.
fn band(picture: &mut Pixmap, top: f32, bottom: f32, above: Rgb, below: Rgb) {
    let (first, last) = (top as usize, (bottom as usize).min(SIDE as usize));
    for row in first..last {
        let share = (row - first) as f32 / (last - first).max(2) as f32;
        let (r, g, b) = mix(above, below, share);
        let Some(pixel) = PremultipliedColorU8::from_rgba(r, g, b, 255) else { continue };
        let start = row * SIDE as usize;
        picture.pixels_mut()[start..start + SIDE as usize].fill(pixel);
    }
}

/// A pen in pixels whose origin lies `shift` pixels below the picture's top left corner.
fn pixels(picture: &mut Pixmap, shift: f32) -> Pen<'_> {
    Pen::new(picture, (0.0, shift), 1.0)
}

fn meadow(picture: &mut Pixmap, shift: f32) {
    band(picture, 0.0, 64.0, (138, 206, 252), (214, 240, 255));
    let mut pen = pixels(picture, shift);
    pen.fill(circle(16.0, 74.0, 44.0), (150, 212, 106));
    band(picture, 36.0 + shift, 64.0, (140, 208, 96), (104, 184, 72));
}

fn night(picture: &mut Pixmap, shift: f32) {
    band(picture, 0.0, 64.0, (10, 14, 50), (52, 50, 112));
    let mut pen = pixels(picture, 0.0);
    for (x, y) in STARS {
        pen.fill(circle(x, y, 1.1), (255, 252, 224));
    }
    band(picture, 46.0 + shift, 64.0, (28, 52, 56), (18, 34, 40));
}

fn beach(picture: &mut Pixmap, shift: f32) {
    band(picture, 0.0, 64.0, (150, 220, 250), (220, 244, 255));
    band(picture, 22.0 + shift, 36.0 + shift, (44, 160, 196), (96, 208, 212));
    band(picture, 36.0 + shift, 64.0, (250, 232, 176), (238, 208, 140));
    pixels(picture, shift).line(line_through(&[(0.0, 36.0), (64.0, 36.0)]), (250, 252, 252), 2.0);
}

fn snow(picture: &mut Pixmap, shift: f32) {
    band(picture, 0.0, 64.0, (150, 164, 190), (204, 214, 230));
    let mut pen = pixels(picture, shift);
    pen.fill(circle(50.0, 78.0, 46.0), (226, 234, 246));
    band(picture, 40.0 + shift, 64.0, (246, 249, 255), (228, 236, 248));
    let mut pen = pixels(picture, 0.0);
    for (x, y) in FLAKES {
        pen.fill(circle(x, y, 1.4), (255, 255, 255));
    }
}

fn sea(picture: &mut Pixmap, shift: f32) {
    band(picture, 0.0, 64.0, (176, 214, 244), (226, 240, 250));
    band(picture, 24.0 + shift, 64.0, (40, 138, 190), (16, 84, 140));
    let mut pen = pixels(picture, shift);
    for (x, y) in [(6.0, 31.0), (26.0, 34.0), (46.0, 30.0), (2.0, 58.0), (22.0, 60.0), (43.0, 58.0)] {
        let wave = line_through(&[(x, y), (x + 4.0, y - 2.0), (x + 8.0, y), (x + 12.0, y - 2.0), (x + 16.0, y)]);
        pen.line(wave, (150, 208, 232), 1.2);
    }
}

fn desert(picture: &mut Pixmap, shift: f32) {
    band(picture, 0.0, 64.0, (250, 170, 112), (255, 226, 176));
    let mut pen = pixels(picture, shift);
    pen.fill(polygon(&[(-4.0, 36.0), (20.0, 24.0), (40.0, 36.0)]), (206, 136, 76));
    pen.fill(polygon(&[(24.0, 36.0), (48.0, 20.0), (72.0, 36.0)]), (192, 120, 64));
    band(picture, 36.0 + shift, 64.0, (226, 164, 96), (206, 140, 74));
}

fn room(picture: &mut Pixmap, shift: f32) {
    band(picture, 0.0, 64.0, (226, 206, 220), (226, 206, 220));
    let mut pen = pixels(picture, 0.0);
    for stripe in 0..4 {
        let left = 4.0 + 16.0 * stripe as f32;
        pen.fill(rect(left, 0.0, left + 8.0, 64.0), (216, 190, 210));
    }
    band(picture, 42.0 + shift, 64.0, (198, 150, 106), (176, 126, 84));
    let mut pen = pixels(picture, shift);
    pen.fill(rect(0.0, 40.0, 64.0, 43.0), (250, 244, 240));
    for (far, near) in [(16.0, 8.0), (32.0, 32.0), (48.0, 56.0)] {
        pen.line(line_through(&[(far, 43.0), (near, 70.0)]), (146, 100, 64), 1.0);
    }
}

fn road(picture: &mut Pixmap, shift: f32) {
    band(picture, 0.0, 64.0, (190, 200, 208), (222, 226, 228));
    let mut pen = pixels(picture, shift);
    for (left, top, right) in [(0.0, 14.0, 11.0), (14.0, 20.0, 26.0), (38.0, 12.0, 48.0), (51.0, 19.0, 64.0)] {
        pen.fill(rect(left, top, right, 36.0), (150, 158, 172));
    }
    band(picture, 36.0 + shift, 64.0, (106, 108, 114), (84, 86, 92));
    let mut pen = pixels(picture, shift);
    pen.fill(rect(0.0, 34.0, 64.0, 37.0), (206, 206, 200));
    let mut pen = pixels(picture, 0.0);
    for left in [2.0, 19.0, 36.0, 53.0] {
        pen.fill(rect(left, 58.0, left + 10.0, 61.0), (246, 246, 240));
    }
}
