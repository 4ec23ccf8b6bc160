//! Coefficients to pixels, with libjpeg's integers: `jidctint.c` (the transform), `jdsample.c` (triangle filters),
//! `jdcolor.c` (colour).

use super::{Block, Component};
use image::RgbImage;

/// One colour's samples, and how many pixels each stands for.
pub(super) struct Plane {
    values: Vec<u8>,
    stride: usize,
    width: usize,
    height: usize,
    across: usize,
    down: usize,
}

impl Plane {
    /// `None` if the factors of the colours do not divide each other, or no scan brought this one.
    pub fn new(component: &Component, (most_h, most_v): (usize, usize)) -> Option<Self> {
        if !most_h.is_multiple_of(component.h) || !most_v.is_multiple_of(component.v) {
            return None;
        }
        let (table, stride) = (component.table?, 8 * component.stride);
        let mut values = vec![0; component.blocks.len() * 64];
        for (i, block) in component.blocks.iter().enumerate() {
            let corner = i / component.stride * 8 * stride + i % component.stride * 8;
            transform(block, &table, &mut values[corner..], stride);
        }
        let (across, down) = (most_h / component.h, most_v / component.v);
        Some(Self { values, stride, width: component.width, height: component.height, across, down })
    }

    fn row(&self, y: usize) -> &[u8] {
        let y = y.min(self.height - 1);
        &self.values[y * self.stride..][..self.width]
    }

    /// Row `y` of the picture; of a coarser plane some pixels more than it is wide.
    fn pixels(&self, y: usize, out: &mut Vec<u8>) {
        out.clear();
        let near = self.row(y / self.down);
        match (self.across, self.down) {
            (1, 1) => out.extend_from_slice(near),
            (2, 1) if self.width > 2 => wider(near, out),
            (1, 2) => {
                let (far, bias) = (self.neighbour(y), 1 + (y % 2) as u32);
                out.extend(near.iter().zip(far).map(|(&n, &f)| ((3 * u32::from(n) + u32::from(f) + bias) >> 2) as u8));
            }
            (2, 2) if self.width > 2 => wider_between(near, self.neighbour(y), out),
            (across, _) => out.extend(near.iter().flat_map(|&v| std::iter::repeat_n(v, across))),
        }
    }

    /// Of two rows for each sample, the upper one leans on the sample above, the lower one on that below.
    fn neighbour(&self, y: usize) -> &[u8] {
        self.row(if y.is_multiple_of(2) { (y / 2).saturating_sub(1) } else { y / 2 + 1 })
    }
}

/// Two pixels for each sample, 3/4 of it and 1/4 of its neighbour on that side.
fn wider(row: &[u8], out: &mut Vec<u8>) {
    let at = |i: usize| u32::from(row[i]);
    let last = row.len() - 1;
    for i in 0..=last {
        out.push(if i == 0 { row[0] } else { ((3 * at(i) + at(i - 1) + 1) >> 2) as u8 });
        out.push(if i == last { row[last] } else { ((3 * at(i) + at(i + 1) + 2) >> 2) as u8 });
    }
}

/// The same in both directions.
fn wider_between(near: &[u8], far: &[u8], out: &mut Vec<u8>) {
    let at = |i: usize| 3 * u32::from(near[i]) + u32::from(far[i]);
    let last = near.len() - 1;
    for i in 0..=last {
        let here = at(i);
        out.push(((if i == 0 { 4 * here } else { 3 * here + at(i - 1) } + 8) >> 4) as u8);
        out.push(((if i == last { 4 * here } else { 3 * here + at(i + 1) } + 7) >> 4) as u8);
    }
}

/// The picture of one plane, or of three.
pub(super) fn to_rgb(planes: &[Plane], (width, height): (usize, usize), ycc: bool) -> Option<RgbImage> {
    let mut pixels = Vec::with_capacity(3 * width * height);
    let mut rows = [const { Vec::new() }; 3];
    for y in 0..height {
        planes.iter().zip(&mut rows).for_each(|(plane, row)| plane.pixels(y, row));
        let [a, b, c] = &rows;
        if planes.len() == 1 {
            a[..width].iter().for_each(|&v| pixels.extend([v; 3]));
            continue;
        }
        for ((&a, &b), &c) in a[..width].iter().zip(&b[..width]).zip(&c[..width]) {
            pixels.extend(if ycc { colour(a, b, c) } else { [a, b, c] });
        }
    }
    RgbImage::from_raw(width as u32, height as u32, pixels)
}

/// ITU-R BT.601 in 16 bits after the point.
fn colour(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    let (y, cb, cr) = (i32::from(y), i32::from(cb) - 128, i32::from(cr) - 128);
    let half = 1 << 15;
    let red = (91_881 * cr + half) >> 16;
    let green = (-22_554 * cb - 46_802 * cr + half) >> 16;
    let blue = (116_130 * cb + half) >> 16;
    [red, green, blue].map(|shift| (y + shift).clamp(0, 255) as u8)
}

/// Bits after the point of the constants, and those kept between columns and rows.
const POINT: u32 = 13;
const KEPT: u32 = 2;

/// Loeffler, Ligtenberg and Moschytz' transform (ICASSP 1989), columns then rows.
fn transform(block: &Block, table: &[u16; 64], out: &mut [u8], stride: usize) {
    let mut between = [0i32; 64];
    for x in 0..8 {
        let column: [i32; 8] = std::array::from_fn(|y| i32::from(block[8 * y + x]) * i32::from(table[8 * y + x]));
        for (y, v) in line(column).into_iter().enumerate() {
            between[8 * y + x] = rounded(v, POINT - KEPT);
        }
    }
    for (y, row) in between.as_chunks::<8>().0.iter().enumerate() {
        for (to, v) in out[y * stride..].iter_mut().zip(line(*row)) {
            *to = (rounded(v, POINT + KEPT + 3) + 128).clamp(0, 255) as u8;
        }
    }
}

fn rounded(v: i32, bits: u32) -> i32 {
    v.wrapping_add(1 << (bits - 1)) >> bits
}

/// Eight coefficients to eight samples, both in the scale of the constants. Wrapping, as damaged files overflow.
fn line(c: [i32; 8]) -> [i32; 8] {
    let times = |v: i32, constant: i32| v.wrapping_mul(constant);
    let add = |values: &[i32]| values.iter().fold(0i32, |sum, &v| sum.wrapping_add(v));
    let z = times(add(&[c[2], c[6]]), 4433);
    let (e2, e3) = (add(&[z, times(c[6], -15_137)]), add(&[z, times(c[2], 6270)]));
    let (e0, e1) = (c[0].wrapping_add(c[4]) << POINT, c[0].wrapping_sub(c[4]) << POINT);
    let even = [e0.wrapping_add(e3), e1.wrapping_add(e2), e1.wrapping_sub(e2), e0.wrapping_sub(e3)];
    let z5 = times(add(&[c[7], c[3], c[5], c[1]]), 9633);
    let (z1, z2) = (times(add(&[c[7], c[1]]), -7373), times(add(&[c[5], c[3]]), -20_995));
    let z3 = add(&[times(add(&[c[7], c[3]]), -16_069), z5]);
    let z4 = add(&[times(add(&[c[5], c[1]]), -3196), z5]);
    let odd = [
        add(&[times(c[1], 12_299), z1, z4]),
        add(&[times(c[3], 25_172), z2, z3]),
        add(&[times(c[5], 16_819), z2, z4]),
        add(&[times(c[7], 2446), z1, z3]),
    ];
    std::array::from_fn(|i| match i {
        0..4 => even[i].wrapping_add(odd[i]),
        _ => even[7 - i].wrapping_sub(odd[7 - i]),
    })
}
