//! 3 x 3 convolutions with 16 multiplications in place of 36 for every 2 x 2 pixels (Winograd; Lavin and Gray,
//! arXiv 1509.09308, F(2 x 2, 3 x 3)), channels last, in float32 on one CPU.
//!
//! A pixel's bits depend on its window and on its place in the image alone.

use super::gather::Windows;
use crate::kernels::{
    product::{Packed, apart, scratch},
    simd::run,
};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

/// Tiles at a time, and floats of their transforms.
const TILES: usize = 192;
const LEFT: usize = 1 << 20;

/// What a kernel of three becomes in one dimension.
const KERNEL: [[f32; 3]; 4] = [[1., 0., 0.], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0., 0., 1.]];

/// A transformed kernel: a matrix `[in, out]` for each of 4 x 4 places.
pub(super) struct Winograd(Vec<Packed>);

impl Winograd {
    /// Whether this way pays: with few channels the transforms cost more than they save; with many, there are few pixels
    /// and the weights, larger by 16 / 9, are most of what is read.
    pub fn suits(input: usize, output: usize) -> bool {
        input.min(output) >= 16 && input * output <= 640 * 1280
    }

    /// Of a kernel `[out, in, 3, 3]`.
    pub fn new(kernel: &[f32], input: usize, output: usize) -> Self {
        let value = |place: usize, k: usize, j: usize| {
            let (rows, columns) = (&KERNEL[place / 4], &KERNEL[place % 4]);
            let taps = kernel[(j * input + k) * 9..][..9].chunks_exact(3).zip(rows);
            taps.map(|(line, r)| r * line.iter().zip(columns).map(|(v, c)| v * c).sum::<f32>()).sum()
        };
        Self((0..16).map(|place| Packed::new(input, output, |k, j| value(place, k, j))).collect())
    }

    /// Channels that come out.
    pub fn width(&self) -> usize {
        self.0[0].width
    }

    /// `x`, images as `at` says with stride 1, -> `out [b, h, w, out]`; `finish(pixel, row)` sees each pixel's channels.
    pub fn run(&self, x: &[f32], at: Windows, out: &mut [f32], finish: impl Fn(usize, &mut [f32]) + Sync) {
        let (width, (h, w)) = (self.0[0].width, at.out());
        let line = w * width;
        let lines = out.len() / line.max(1);
        let tiles = w.div_ceil(2);
        let rows = (LEFT / (16 * apart(self.0[0].depth))).clamp(TILES / 4, TILES).div_ceil(tiles);
        // Where heights are even, pairs of lines may run on from one image to the next.
        let together = if h.is_multiple_of(2) { lines } else { h };
        out.par_chunks_mut((together * line).max(1)).enumerate().for_each(|(part, out)| {
            out.par_chunks_mut(2 * rows * line).enumerate().for_each(|(chunk, out)| {
                let first = part * together + chunk * 2 * rows;
                self.lines(x, at, first, out, |pixel, row| finish(first * w + pixel, row));
            });
        });
    }

    /// The lines from `first` on, counted through all images.
    fn lines(&self, x: &[f32], at: Windows, first: usize, out: &mut [f32], finish: impl Fn(usize, &mut [f32])) {
        let (c, width, (h, w)) = (self.0[0].depth, self.0[0].width, at.out());
        let (across, lines) = (w.div_ceil(2), out.len() / (w * width));
        let tiles = lines.div_ceil(2) * across;
        let (stride, wide) = (apart(c), self.0[0].padded());
        scratch(16 * (tiles * (stride + wide) + c.max(wide)), |memory| {
            let (left, memory) = memory.split_at_mut(16 * tiles * stride);
            let (products, room) = memory.split_at_mut(16 * tiles * wide);
            let zeros = vec![0f32; c];
            for tile in 0..tiles {
                let (line, column) = (first + tile / across * 2, tile % across * 2);
                let patch = |i: usize| at.pixel(x, c, line / h, (line % h + i / 4, column + i % 4)).unwrap_or(&zeros);
                let out = &mut left[tile * stride..];
                run(Forward { patch: std::array::from_fn(patch), room, out, plane: tiles * stride });
            }
            let planes = products.par_chunks_mut((tiles * wide).max(1)).zip(left.par_chunks((tiles * stride).max(1)));
            planes.zip(&self.0).for_each(|((out, left), matrix)| matrix.times(left, stride, out, wide));
            for tile in 0..tiles {
                run(Back { products: &products[tile * wide..], plane: tiles * wide, room, width });
                let (line, column) = (tile / across * 2, tile % across * 2);
                for i in (0..4).filter(|i| line + i / 2 < lines && column + i % 2 < w) {
                    let pixel = (line + i / 2) * w + column + i % 2;
                    let row = &mut out[pixel * width..][..width];
                    row.copy_from_slice(&room[(8 + i) * width..][..width]);
                    finish(pixel, row);
                }
            }
        });
    }
}

/// `out = a + sign b`
#[inline(always)]
fn mix(out: &mut [f32], a: &[f32], b: &[f32], sign: f32) {
    out.iter_mut().zip(a).zip(b).for_each(|((o, a), b)| *o = a + sign * b);
}

/// Where the first, and from where the second comes, and its sign: the transform of four pixels in one dimension.
const PIXELS: [(usize, usize, f32); 4] = [(0, 2, -1.), (1, 2, 1.), (2, 1, -1.), (1, 3, -1.)];

/// Of a patch of 4 x 4 pixels to 16 places, `plane` floats apart.
struct Forward<'a> {
    patch: [&'a [f32]; 16],
    room: &'a mut [f32],
    out: &'a mut [f32],
    plane: usize,
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let c = self.patch[0].len();
        for (i, (a, b, sign)) in PIXELS.into_iter().enumerate() {
            for j in 0..4 {
                let room = &mut self.room[(4 * i + j) * c..][..c];
                mix(room, self.patch[4 * a + j], self.patch[4 * b + j], sign);
            }
        }
        for i in 0..4 {
            for (j, (a, b, sign)) in PIXELS.into_iter().enumerate() {
                let from = |k: usize| &self.room[(4 * i + k) * c..][..c];
                mix(&mut self.out[(4 * i + j) * self.plane..][..c], from(a), from(b), sign);
            }
        }
    }
}

/// Of 16 places, `plane` floats apart, to 2 x 2 pixels: the last four of twelve rows of `room`.
struct Back<'a> {
    products: &'a [f32],
    plane: usize,
    room: &'a mut [f32],
    width: usize,
}

/// `out = a + sign b + sign c`, by which three of four places make one of two pixels.
#[inline(always)]
fn gather(out: &mut [f32], [a, b, c]: [&[f32]; 3], sign: f32) {
    out.iter_mut().zip(a).zip(b).zip(c).for_each(|(((o, a), b), c)| *o = (a + sign * b) + sign * c);
}

impl WithSimd for Back<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let n = self.width;
        let (half, pixels) = self.room.split_at_mut(8 * n);
        for i in 0..2 {
            for j in 0..4 {
                let from = |k: usize| &self.products[(4 * (i + k) + j) * self.plane..][..n];
                gather(&mut half[(4 * i + j) * n..][..n], [from(0), from(1), from(2)], if i == 0 { 1. } else { -1. });
            }
        }
        for i in 0..2 {
            for j in 0..2 {
                let from = |k: usize| &half[(4 * i + j + k) * n..][..n];
                gather(&mut pixels[(2 * i + j) * n..][..n], [from(0), from(1), from(2)], if j == 0 { 1. } else { -1. });
            }
        }
    }
}
