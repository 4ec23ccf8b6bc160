//! Inner products of rows where they lie with a few packed ones, by [`tile`]. A GEMM library would have the rows copied
//! first, and all the products written before any is read.

use super::simd::{DEPTH, run, tile, width};
use pulp::{Simd, WithSimd};

/// Rows packed for [`Panels::products`] in groups of [`Panels::width`], column by column; the last is filled with zeros.
pub(crate) struct Panels {
    values: Vec<f32>,
    rows: usize,
    columns: usize,
    /// Rows of a panel.
    pub width: usize,
}

impl Panels {
    pub fn new<'a>(rows: impl ExactSizeIterator<Item = &'a [f32]>, columns: usize) -> Self {
        let (width, count) = (width(), rows.len());
        let mut values = vec![0.0; count.next_multiple_of(width) * columns];
        for (i, row) in rows.enumerate() {
            let slots = values[i / width * width * columns + i % width..].iter_mut().step_by(width);
            slots.zip(row).for_each(|(slot, &v)| *slot = v);
        }
        Self { values, rows: count, columns, width }
    }

    /// How many panels there are.
    pub fn count(&self) -> usize {
        self.rows.div_ceil(self.width)
    }

    /// Packed rows in panel `p`.
    pub fn filled(&self, p: usize) -> usize {
        self.width.min(self.rows - p * self.width)
    }

    /// The products of `rows` with panel `p`: `[rows, width]`. Each depends on its two rows alone, to the bit.
    pub fn products(&self, p: usize, rows: &[&[f32]], out: &mut Vec<f32>) {
        out.clear();
        out.resize(rows.len() * self.width, 0.0);
        let size = self.width * self.columns;
        let panel = &self.values[p * size..(p + 1) * size];
        run(Products { panel, columns: self.columns, rows, out });
    }
}

struct Products<'a> {
    panel: &'a [f32],
    columns: usize,
    rows: &'a [&'a [f32]],
    out: &'a mut [f32],
}

impl WithSimd for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let width = 2 * S::F32_LANES;
        for from in (0..self.columns).step_by(DEPTH) {
            let to = self.columns.min(from + DEPTH);
            let (panel, _) = S::as_simd_f32s(&self.panel[from * width..to * width]);
            let mut at = 0;
            while at < self.rows.len() {
                let out = &mut self.out[at * width..];
                let cut = |i: usize| &self.rows[at + i][from..to];
                at += match self.rows.len() - at {
                    6.. => tile::<S, 6>(simd, std::array::from_fn(cut), panel, out, width, true),
                    3.. => tile::<S, 3>(simd, std::array::from_fn(cut), panel, out, width, true),
                    _ => tile::<S, 1>(simd, [cut(0)], panel, out, width, true),
                };
            }
        }
    }
}

/// |row - mean - centre|² in 16 partial sums; the difference to the mean is rounded as centres are, so that a row in
/// its centre is at no distance from it.
pub(crate) fn gap(row: &[f32], mean: &[f64], centre: &[f32]) -> f64 {
    run(Gap(row, mean, centre))
}

struct Gap<'a>(&'a [f32], &'a [f64], &'a [f32]);

impl WithSimd for Gap<'_> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> f64 {
        let square = |x: f32, m: f64, c: f32| ((f64::from(x) - m) as f32 - c).powi(2);
        let ((rows, row), (means, mean)) = (self.0.as_chunks::<16>(), self.1.as_chunks::<16>());
        let (centres, centre) = self.2.as_chunks::<16>();
        let mut sums = [0f32; 16];
        for ((x, m), c) in rows.iter().zip(means).zip(centres) {
            for k in 0..16 {
                sums[k] += square(x[k], m[k], c[k]);
            }
        }
        let rest: f32 = row.iter().zip(mean).zip(centre).map(|((&x, &m), &c)| square(x, m, c)).sum();
        sums.iter().map(|&s| f64::from(s)).sum::<f64>() + f64::from(rest)
    }
}

/// The inner product in 32 partial sums. [`super::vectors::dot`], in eight that wait for one another, makes a warm
/// start a twentieth slower.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    run(Dot(a, b))
}

struct Dot<'a>(&'a [f32], &'a [f32]);

impl WithSimd for Dot<'_> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f32 {
        let ((a, a_rest), (b, b_rest)) = (S::as_simd_f32s(self.0), S::as_simd_f32s(self.1));
        let ((a, a_last), (b, b_last)) = (a.as_chunks::<4>(), b.as_chunks::<4>());
        let mut sums = [simd.splat_f32s(0.0); 4];
        for (a, b) in a.iter().zip(b) {
            for k in 0..4 {
                sums[k] = simd.mul_add_e_f32s(a[k], b[k], sums[k]);
            }
        }
        for (a, b) in a_last.iter().zip(b_last) {
            sums[0] = simd.mul_add_e_f32s(*a, *b, sums[0]);
        }
        let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
        sums.iter().map(|&s| simd.reduce_sum_f32s(s)).sum::<f32>() + rest
    }
}

/// `sum += factor * row`, in double precision, of values rounded to `grid`.
pub(crate) fn add(sum: &mut [f64], factor: f64, row: &[f32], grid: Grid) {
    run(Add(sum, factor, row, grid));
}

/// Multiples that values are rounded to, so coarse that sums of them are exact: the same in whatever order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Grid(f64);

impl Grid {
    /// For sums of up to `most` in size: two digits short of the 53 that double precision has, a power of two.
    pub fn of(most: f64) -> Self {
        let unit = 2f64.powi((most.max(f64::MIN_POSITIVE).log2().ceil() as i32).max(-900) - 51);
        // Next to this number the unit is the last digit that there is: what is added to it is rounded to the unit.
        Self(1.5 * 2f64.powi(52) * unit)
    }

    /// The number that the grid is made of.
    pub fn anchor(self) -> f64 {
        self.0
    }

    /// The grid with this [`Self::anchor`].
    pub fn anchored(anchor: f64) -> Self {
        Self(anchor)
    }

    /// The nearest multiple.
    #[inline(always)]
    fn round(self, value: f64) -> f64 {
        (value + self.0) - self.0
    }
}

struct Add<'a>(&'a mut [f64], f64, &'a [f32], Grid);

impl WithSimd for Add<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        self.0.iter_mut().zip(self.2).for_each(|(s, &v)| *s += self.1 * self.3.round(f64::from(v)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_those_of_a_plain_loop_whatever_the_shape_and_the_company() {
        for (n, m, d) in [(1, 1, 1), (7, 16, 3), (9, 33, 256), (13, 5, 515)] {
            let value = |i: usize| ((i * 7919) % 23) as f32 - 11.0;
            let left: Vec<f32> = (0..n * d).map(value).collect();
            let right: Vec<f32> = (0..m * d).map(|i| value(i + 5)).collect();
            let panels = Panels::new(right.chunks_exact(d), d);
            let rows: Vec<&[f32]> = left.chunks_exact(d).collect();
            let (mut all, mut alone) = (Vec::new(), Vec::new());
            for p in 0..panels.count() {
                panels.products(p, &rows, &mut all);
                for (i, row) in rows.iter().enumerate() {
                    panels.products(p, &[row], &mut alone);
                    assert_eq!(alone, all[i * panels.width..(i + 1) * panels.width]);
                    for k in 0..panels.filled(p) {
                        let other = &right[(p * panels.width + k) * d..][..d];
                        // Whole numbers below 2^24: exact in any order.
                        let plain: f32 = row.iter().zip(other).map(|(a, b)| a * b).sum();
                        assert_eq!(alone[k], plain, "{n} {m} {d}");
                    }
                }
            }
        }
    }

    #[test]
    fn gaps_and_sums_are_those_of_plain_loops() {
        let a: Vec<f32> = (0..37).map(|i| i as f32).collect();
        let b: Vec<f32> = (0..37).map(|i| (i % 5) as f32).collect();
        let plain: f64 = a.iter().zip(&b).map(|(a, b)| f64::from(a - b).powi(2)).sum();
        assert_eq!(gap(&a, &[0.0; 37], &b), plain);
        assert_eq!(dot(&a, &b), a.iter().zip(&b).map(|(a, b)| a * b).sum::<f32>());
        let mut sum = vec![1.0; 37];
        add(&mut sum, -2.0, &a, Grid::of(100.0));
        assert_eq!(sum[36], 1.0 - 72.0);
    }

    #[test]
    fn sums_on_a_grid_are_the_same_in_any_order_and_as_near_as_a_centre_can_tell() {
        let rows: Vec<[f32; 1]> = (1..20_000).map(|i| [(i as f32).sin() / (i as f32).powi(3)]).collect();
        let most = rows.iter().map(|r| r[0].abs()).fold(0.0, f32::max);
        for scale in [1.0, 1e-30, 1e30] {
            let rows: Vec<[f32; 1]> = rows.iter().map(|r| [r[0] * scale]).collect();
            let grid = Grid::of(f64::from(most) * f64::from(scale) * 3.0 * rows.len() as f64);
            let sum = |rows: &mut dyn Iterator<Item = &[f32; 1]>| {
                let mut sum = [0.0];
                rows.for_each(|row| add(&mut sum, 3.0, row, grid));
                sum[0]
            };
            let there = sum(&mut rows.iter());
            assert_eq!(there.to_bits(), sum(&mut rows.iter().rev()).to_bits());
            let plain: f64 = rows.iter().map(|r| 3.0 * f64::from(r[0])).sum();
            assert!((there / plain - 1.0).abs() < 1e-8, "{scale} {there} {plain}");
            let apart: [f64; 2] = [0, 1].map(|k| sum(&mut rows.iter().skip(k).step_by(2)));
            assert_eq!(there.to_bits(), (apart[0] + apart[1]).to_bits());
        }
    }
}
