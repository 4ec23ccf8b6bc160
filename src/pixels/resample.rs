//! Pillow's antialiased resize, bit for bit: the fixed-point arithmetic of its `Resample.c` for 8-bit channels.
//!
//! Horizontally first, then vertically, rounded to bytes between, as Pillow 11.3 does (measured). Pillow 13.0 takes the
//! other order for some tall images that shrink, where its bytes differ from these by up to 7 in the golden images.

use super::room;
use image::RgbImage;
use rayon::prelude::*;
use std::ops::Range;

/// Fraction bits of a coefficient: 8 bits of pixel and 2 of headroom fit beside them in an `i32`.
const PRECISION_BITS: u32 = 32 - 8 - 2;

/// A resampling kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Triangle, Pillow's 2.
    Bilinear,
    /// Keys' cubic with a = -0.5, Pillow's 3.
    Bicubic,
    /// Windowed sinc over three lobes, Pillow's 1.
    Lanczos,
}

impl Filter {
    fn support(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
            Self::Lanczos => 3.0,
        }
    }

    fn at(self, x: f64) -> f64 {
        match self {
            Self::Bilinear => (1.0 - x.abs()).max(0.0),
            Self::Bicubic => cubic(x.abs()),
            Self::Lanczos if (-3.0..3.0).contains(&x) => sinc(x) * sinc(x / 3.0),
            Self::Lanczos => 0.0,
        }
    }
}

fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 {
        return 1.0;
    }
    let x = x * std::f64::consts::PI;
    x.sin() / x
}

/// What one output pixel is made of: input pixels from `start` on, and their weights.
struct Taps {
    start: usize,
    weights: Vec<i32>,
}

/// Taps of the output pixels `window` of a line of `input` pixels resized to `output`.
fn taps(input: u32, output: u32, window: Range<u32>, filter: Filter) -> Vec<Taps> {
    let scale = f64::from(input) / f64::from(output);
    let filter_scale = scale.max(1.0);
    let support = filter.support() * filter_scale;
    let one = |i: u32| {
        let center = (f64::from(i) + 0.5) * scale;
        // C's casts cut towards zero.
        let start = ((center - support + 0.5) as i64).max(0);
        let end = ((center + support + 0.5) as i64).min(i64::from(input));
        let inverse = 1.0 / filter_scale;
        let weights: Vec<f64> =
            (0..end - start).map(|x| filter.at(((x + start) as f64 - center + 0.5) * inverse)).collect();
        let sum: f64 = weights.iter().sum();
        let fixed = |w: &f64| {
            let w = if sum == 0.0 { *w } else { w / sum } * f64::from(1 << PRECISION_BITS);
            (if w < 0.0 { w - 0.5 } else { w + 0.5 }) as i32
        };
        Taps { start: start as usize, weights: weights.iter().map(fixed).collect() }
    };
    window.map(one).collect()
}

fn clip8(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

/// The part `xs` by `ys` of `image` resized to `size` (width, height): the same bytes as resizing it whole and cutting,
/// but nothing outside the part is computed, however long the image.
pub(super) fn resize_window(
    image: &RgbImage,
    size: (u32, u32),
    xs: Range<u32>,
    ys: Range<u32>,
    filter: Filter,
) -> RgbImage {
    let (width, height) = (xs.len() as u32, ys.len() as u32);
    if width == 0 || height == 0 || image.width() == 0 || image.height() == 0 {
        return RgbImage::new(width, height);
    }
    let columns = taps(image.width(), size.0, xs.clone(), filter);
    let rows = taps(image.height(), size.1, ys.clone(), filter);
    let first = rows.iter().map(|t| t.start).min().unwrap_or(0);
    let last = rows.iter().map(|t| t.start + t.weights.len()).max().unwrap_or(0);
    let wide = horizontal(image, first..last, &columns, (size.0 == image.width()).then_some(xs.start as usize));
    let line = 3 * width as usize;
    if size.1 == image.height() {
        let skip = (ys.start as usize - first) * line;
        let part = wide[skip..skip + line * height as usize].to_vec();
        return RgbImage::from_raw(width, height, part).unwrap_or_default();
    }
    RgbImage::from_raw(width, height, vertical(&wide, first, line, &rows)).unwrap_or_default()
}

/// Lines `lines` of `image`, each resampled by `columns`, or only cut from `cut` on where the width stays.
fn horizontal(image: &RgbImage, lines: Range<usize>, columns: &[Taps], cut: Option<usize>) -> Vec<u8> {
    let (source, target) = (3 * image.width() as usize, 3 * columns.len());
    let mut out = vec![0u8; target * lines.len()];
    out.par_chunks_mut(target).zip(lines).with_min_len(room::lines(8)).for_each(|(out, y)| {
        let line = &image.as_raw()[y * source..(y + 1) * source];
        if let Some(x) = cut {
            out.copy_from_slice(&line[3 * x..3 * x + target]);
            return;
        }
        for (out, taps) in out.chunks_exact_mut(3).zip(columns) {
            let mut sum = [1i32 << (PRECISION_BITS - 1); 3];
            for (pixel, w) in line[3 * taps.start..].chunks_exact(3).zip(&taps.weights) {
                for c in 0..3 {
                    sum[c] = sum[c].wrapping_add(i32::from(pixel[c]).wrapping_mul(*w));
                }
            }
            out.copy_from_slice(&sum.map(clip8));
        }
    });
    out
}

/// Lines made of lines of `image`, whose first is line `first` of the original.
fn vertical(image: &[u8], first: usize, line: usize, rows: &[Taps]) -> Vec<u8> {
    let mut out = vec![0u8; line * rows.len()];
    out.par_chunks_mut(line).zip(rows).with_min_len(room::lines(8)).for_each(|(out, taps)| {
        let mut sums = vec![1i32 << (PRECISION_BITS - 1); line];
        for (source, w) in image[(taps.start - first) * line..].chunks_exact(line).zip(&taps.weights) {
            for (sum, byte) in sums.iter_mut().zip(source) {
                *sum = sum.wrapping_add(i32::from(*byte).wrapping_mul(*w));
            }
        }
        for (out, sum) in out.iter_mut().zip(sums) {
            *out = clip8(sum);
        }
    });
    out
}
