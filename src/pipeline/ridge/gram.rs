//! Products for the solvers, in float32 tiles where the rows lie and float64 sums: moments of many rows, and rows times a
//! matrix. Sums are folded in the order of fixed chunks, so the bytes do not depend on the number of threads.

use crate::pipeline::Ctx;
use crate::{
    error::Result,
    kernels::simd::{DEPTH, run, tile, width},
};
use ndarray::{Array2, ArrayView2};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

/// Rows of a chunk: so many products are summed in float32.
const CHUNK: usize = 16 * DEPTH;
/// Rows turned at once: a cache line of the turned block.
const TURN: usize = 16;
/// Floats from one turned row to the next: not a power of two, which would put all into the same lines of a cache.
const STRIDE: usize = DEPTH + TURN;

/// A matrix `[depth, columns]`, packed for [`Packed::times`].
pub(crate) struct Packed {
    values: Vec<f32>,
    depth: usize,
    /// Floats of a row of products: the columns and the filling of the last panel.
    pub line: usize,
}

impl Packed {
    /// Packs `matrix`, rounded to float32.
    pub fn new(matrix: ArrayView2<f64>) -> Self {
        let (panel, (depth, columns)) = (width(), matrix.dim());
        let line = columns.next_multiple_of(panel);
        let mut values = vec![0f32; line * depth];
        for (k, row) in matrix.outer_iter().enumerate() {
            let value = |(j, v): (usize, &f64)| values[j / panel * panel * depth + k * panel + j % panel] = *v as f32;
            row.iter().enumerate().for_each(value);
        }
        Self { values, depth, line }
    }

    /// `left [n, depth]` times the matrix: `out [n, line]`. Each row depends on its own numbers alone, to the bit.
    pub fn times(&self, left: &[f32], out: &mut Vec<f32>) {
        let rows = left.len().checked_div(self.depth).unwrap_or(0);
        out.clear();
        out.resize(rows * self.line, 0.0);
        let (stride, depth) = (self.depth, self.depth);
        run(Tiles { left, stride, depth, panels: &self.values, out, line: self.line, more: false, half: false });
    }
}

/// `Σ a aᵀ` over `n` rows of `d` numbers that `fill` writes: `[d, d]`, symmetric to the bit.
///
/// # Errors
/// [`crate::error::Error::Cancelled`].
pub(crate) fn gram(n: usize, d: usize, fill: impl Fn(usize, &mut [f32]) + Sync, ctx: &Ctx) -> Result<Array2<f64>> {
    let sum = moments(
        n,
        [d, d],
        true,
        |i, a, b| {
            fill(i, a);
            b.copy_from_slice(a);
        },
        ctx,
    )?;
    Ok(Array2::from_shape_fn((d, d), |(i, j)| sum[[i.min(j), i.max(j)]]))
}

/// `Σ a bᵀ` over `n` pairs of rows of the two `widths` that `fill` writes.
///
/// # Errors
/// [`crate::error::Error::Cancelled`].
pub(crate) fn cross(
    n: usize,
    widths: [usize; 2],
    fill: impl Fn(usize, &mut [f32], &mut [f32]) + Sync,
    ctx: &Ctx,
) -> Result<Array2<f64>> {
    moments(n, widths, false, fill, ctx)
}

fn moments(
    n: usize,
    widths: [usize; 2],
    half: bool,
    fill: impl Fn(usize, &mut [f32], &mut [f32]) + Sync,
    ctx: &Ctx,
) -> Result<Array2<f64>> {
    let mut sum = Array2::<f64>::zeros((widths[0], widths[1]));
    let chunks: Vec<usize> = (0..n).step_by(CHUNK).collect();
    // As many at a time as there are threads: each holds a whole matrix.
    for group in chunks.chunks(rayon::current_num_threads().min(16)) {
        let part = |&from: &usize| {
            ctx.check()?;
            let mut block = Block::new(widths, half);
            for first in (from..n.min(from + CHUNK)).step_by(DEPTH) {
                block.take(first, n.min(first + DEPTH).min(from + CHUNK), &fill);
            }
            Ok(block.sum)
        };
        let parts = group.par_iter().map(part).collect::<Result<Vec<_>>>()?;
        for part in parts {
            let line = widths[1].next_multiple_of(width());
            for (mut sum, part) in sum.outer_iter_mut().zip(part.chunks_exact(line.max(1))) {
                sum.iter_mut().zip(part).for_each(|(s, &v)| *s += f64::from(v));
            }
        }
    }
    Ok(sum)
}

/// The inner product of two rows.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    run(Dot(a, b)) as f32
}

/// The same in double precision: of parts that are short enough to be summed in float32.
pub(crate) fn exact(a: &[f32], b: &[f32]) -> f64 {
    run(Dot(a, b))
}

/// Numbers summed in float32.
const PART: usize = 128;

struct Dot<'a>(&'a [f32], &'a [f32]);

impl WithSimd for Dot<'_> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> f64 {
        self.0.chunks(PART).zip(self.1.chunks(PART)).map(|(a, b)| f64::from(part(a, b))).sum()
    }
}

#[inline(always)]
fn part(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<32>(), b.as_chunks::<32>());
    let mut sums = [0f32; 32];
    for (a, b) in a.iter().zip(b) {
        (0..32).for_each(|k| sums[k] += a[k] * b[k]);
    }
    // Halved rather than added up one after the other, which would take as long as all of the above.
    let mut width = 16;
    while width > 0 {
        (0..width).for_each(|k| sums[k] += sums[k + width]);
        width /= 2;
    }
    sums[0] + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f32>()
}

/// Up to [`DEPTH`] pairs of rows: the left ones turned, the right ones packed, and the sum of their products so far.
struct Block {
    widths: [usize; 2],
    half: bool,
    rows: Vec<f32>,
    turned: Vec<f32>,
    panels: Vec<f32>,
    sum: Vec<f32>,
    some: bool,
}

impl Block {
    fn new(widths: [usize; 2], half: bool) -> Self {
        let line = widths[1].next_multiple_of(width());
        Self {
            widths,
            half,
            rows: vec![0.0; TURN * (widths[0] + widths[1])],
            turned: vec![0.0; STRIDE * widths[0]],
            panels: vec![0.0; DEPTH * line],
            sum: vec![0.0; line * widths[0]],
            some: false,
        }
    }

    fn take(&mut self, from: usize, to: usize, fill: &impl Fn(usize, &mut [f32], &mut [f32])) {
        let ([a, b], panel) = (self.widths, width());
        for start in (0..to - from).step_by(TURN) {
            let (left, right) = self.rows.split_at_mut(TURN * a);
            for k in 0..TURN {
                let (left, right) = (&mut left[k * a..][..a], &mut right[k * b..][..b]);
                if from + start + k < to {
                    fill(from + start + k, left, right);
                } else {
                    left.fill(0.0);
                    right.fill(0.0);
                }
                for (p, strip) in right.chunks(panel).enumerate() {
                    self.panels[(p * DEPTH + start + k) * panel..][..strip.len()].copy_from_slice(strip);
                }
            }
            for (j, slot) in self.turned.chunks_exact_mut(STRIDE).enumerate() {
                slot[start..start + TURN].iter_mut().zip(left[j..].iter().step_by(a)).for_each(|(s, v)| *s = *v);
            }
        }
        let depth = (to - from).next_multiple_of(TURN);
        let line = b.next_multiple_of(panel);
        let (left, panels) = (&self.turned, &self.panels);
        let (out, more, half) = (&mut self.sum[..], self.some, self.half);
        run(Tiles { left, stride: STRIDE, depth, panels, out, line, more, half });
        self.some = true;
    }
}

/// Rows `left`, one every `stride` floats, times packed panels.
struct Tiles<'a> {
    left: &'a [f32],
    stride: usize,
    /// Numbers summed.
    depth: usize,
    panels: &'a [f32],
    out: &'a mut [f32],
    line: usize,
    /// Add to what is in `out`.
    more: bool,
    /// Only what lies on and above the diagonal, and a little more.
    half: bool,
}

impl WithSimd for Tiles<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (width, line) = (2 * S::F32_LANES, self.line.max(1));
        let (all, whole) = (self.out.len() / line, self.panels.len() / (line / width).max(1));
        for from in (0..self.depth).step_by(DEPTH) {
            let (to, more) = (self.depth.min(from + DEPTH), self.more || from > 0);
            for (p, panel) in self.panels.chunks_exact(whole.max(1)).enumerate() {
                let (panel, _) = S::as_simd_f32s(&panel[from * width..to * width]);
                let rows = if self.half { all.min((p + 1) * width) } else { all };
                let mut at = 0;
                while at < rows {
                    let left = &self.left[at * self.stride..];
                    let cut = |r: usize| &left[r * self.stride + from..][..to - from];
                    let out = &mut self.out[at * line + p * width..];
                    at += match rows - at {
                        6.. => tile::<S, 6>(simd, std::array::from_fn(cut), panel, out, line, more),
                        4.. => tile::<S, 4>(simd, std::array::from_fn(cut), panel, out, line, more),
                        2.. => tile::<S, 2>(simd, std::array::from_fn(cut), panel, out, line, more),
                        _ => tile::<S, 1>(simd, [cut(0)], panel, out, line, more),
                    };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Whole numbers, small enough for sums to be exact in any order.
    fn value(i: usize) -> f32 {
        ((i * 7919) % 23) as f32 - 11.0
    }

    #[test]
    fn moments_are_those_of_a_plain_loop_whatever_the_shape() {
        for (n, a, b) in [(1, 1, 1), (7, 3, 33), (300, 40, 5), (CHUNK + 270, 9, 34)] {
            let (left, right) = (|i: usize, j: usize| value(i * a + j), |i: usize, j: usize| value(i * b + j + 5));
            let fill = |i: usize, x: &mut [f32], y: &mut [f32]| {
                x.iter_mut().enumerate().for_each(|(j, v)| *v = left(i, j));
                y.iter_mut().enumerate().for_each(|(j, v)| *v = right(i, j));
            };
            let found = cross(n, [a, b], fill, &Ctx::quiet()).unwrap();
            let plain = |(i, j)| (0..n).map(|k| f64::from(left(k, i)) * f64::from(right(k, j))).sum::<f64>();
            assert_eq!(found, Array2::from_shape_fn((a, b), plain), "{n} {a} {b}");
            let squares = gram(n, b, |i, y| fill(i, &mut vec![0.0; a], y), &Ctx::quiet()).unwrap();
            let plain = |(i, j)| (0..n).map(|k| f64::from(right(k, i)) * f64::from(right(k, j))).sum::<f64>();
            assert_eq!(squares, Array2::from_shape_fn((b, b), plain), "{n} {b}");
        }
    }

    #[test]
    fn rows_times_a_matrix_are_those_of_a_plain_loop() {
        for (n, k, m) in [(1, 1, 1), (7, 3, 33), (20, 515, 40)] {
            let matrix = Array2::from_shape_fn((k, m), |(i, j)| f64::from(value(i * m + j)));
            let left: Vec<f32> = (0..n * k).map(|i| value(i + 3)).collect();
            let (packed, mut out) = (Packed::new(matrix.view()), Vec::new());
            packed.times(&left, &mut out);
            for (row, out) in left.chunks_exact(k).zip(out.chunks_exact(packed.line)) {
                for j in 0..m {
                    let plain: f64 = (0..k).map(|i| f64::from(row[i]) * matrix[[i, j]]).sum();
                    assert_eq!(f64::from(out[j]), plain, "{n} {k} {m}");
                }
            }
        }
    }
}
