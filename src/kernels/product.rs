//! Matrix products in float32 on one CPU, the right side packed once in panels for [`tile`]. A GEMM library would pack the
//! weights again at every call, which for a convolution over few pixels costs as much as the product.
//!
//! Every number is summed in one order, whatever rows stand beside it and however many threads work.

use super::bfloat16::{Bfloat16, Pair, pair};
use super::simd::{self, DEPTH, run, tile};
use candle_core::{CpuStorage, Layout, Result, Storage, Tensor, bail};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use std::{cell::Cell, fmt, ops::Range};

/// Rows of the left side at a time: with [`DEPTH`] columns they stay in the second-level cache, and there are enough of
/// them to hide that every panel comes from memory.
const ROWS: usize = 288;
/// Floats of the left side at a time, unless those are few rows.
const LEFT: usize = 1 << 22;
/// Rows of a register tile.
const TILE: usize = 6;
/// Panels a thread takes at once.
const PANELS: usize = 20;

thread_local! {
    /// Memory that is asked for again and again: fresh pages cost more than filling them.
    static SPARE: Cell<Vec<Vec<f32>>> = const { Cell::new(Vec::new()) };
}

/// `len` floats of no particular value for `work`.
pub(crate) fn scratch<T>(len: usize, work: impl FnOnce(&mut [f32]) -> T) -> T {
    // Taken out while `work` runs: meanwhile this thread may steal work that asks for more.
    let mut spare = SPARE.take();
    let mut held = spare.pop().unwrap_or_default();
    SPARE.set(spare);
    if held.len() < len + 16 {
        held.resize(len + 16, 0.);
    }
    let start = whole(&held);
    let made = work(&mut held[start..start + len]);
    let mut spare = SPARE.take();
    spare.push(held);
    SPARE.set(spare);
    made
}

/// The numbers of a tensor on the CPU.
pub(crate) fn floats<'a>(s: &'a CpuStorage, l: &Layout) -> Result<&'a [f32]> {
    match l.contiguous_offsets() {
        Some((from, to)) => Ok(&s.as_slice::<f32>()?[from..to]),
        None => bail!("a kernel needs contiguous input, not {l:?}"),
    }
}

/// Shows `work` the numbers of `x`.
pub(crate) fn read<T>(x: &Tensor, work: impl FnOnce(&[f32]) -> Result<T>) -> Result<T> {
    let x = x.contiguous()?;
    let (storage, layout) = x.storage_and_layout();
    match &*storage {
        Storage::Cpu(s) => work(floats(s, layout)?),
        _ => bail!("a kernel needs a tensor on the CPU"),
    }
}

/// A distance between rows in memory, at least `columns` in whole panels of any machine (16 or 32), that does not put them
/// into the same few lines of a cache.
pub(crate) fn apart(columns: usize) -> usize {
    ((columns.div_ceil(32) * 2) | 1) * 16
}

/// Where the first whole line of a cache begins: a vector that lies across two costs two loads.
fn whole(x: &[f32]) -> usize {
    (x.as_ptr() as usize).wrapping_neg() / 4 % 16
}

/// A matrix `[depth, width]`, in panels of a few columns.
pub(crate) struct Packed {
    /// From `start` on; of bfloat16 a [`Pair`] in the place of each float.
    values: Vec<f32>,
    start: usize,
    pub depth: usize,
    pub width: usize,
    panel: usize,
    pairs: Option<Bfloat16>,
}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Packed [{}, {}]", self.depth, self.width)
    }
}

impl Packed {
    /// The matrix of `value(row, column)`.
    pub fn new(depth: usize, width: usize, value: impl Fn(usize, usize) -> f32 + Sync) -> Self {
        Self::pack((depth, width), simd::width(), None, value)
    }

    /// The same, its numbers and those it is multiplied with rounded to bfloat16.
    pub fn rounded(pairs: Bfloat16, depth: usize, width: usize, value: impl Fn(usize, usize) -> f32 + Sync) -> Self {
        let value = |k: usize, j: usize| if k < depth { value(k, j) } else { 0.0 };
        let both = |k: usize, j: usize| f32::from_bits(pair(value(2 * k, j), value(2 * k + 1, j)));
        Self::pack((depth, width), Bfloat16::PANEL, Some(pairs), both)
    }

    fn pack(
        (depth, width): (usize, usize),
        panel: usize,
        pairs: Option<Bfloat16>,
        word: impl Fn(usize, usize) -> f32 + Sync,
    ) -> Self {
        let mut packed = Self { values: Vec::new(), start: 0, depth, width, panel, pairs };
        let many = panel * packed.words();
        packed.values = vec![0f32; packed.padded() * packed.words() + 16];
        packed.start = whole(&packed.values);
        let end = packed.values.len() - 16 + packed.start;
        packed.values[packed.start..end].par_chunks_mut(many.max(1)).enumerate().for_each(|(p, out)| {
            let columns = panel.min(width - p * panel);
            for (k, out) in out.chunks_exact_mut(panel).enumerate() {
                out[..columns].iter_mut().enumerate().for_each(|(j, out)| *out = word(k, p * panel + j));
            }
        });
        packed
    }

    /// Words in a column.
    fn words(&self) -> usize {
        if self.pairs.is_some() { self.depth.div_ceil(2) } else { self.depth }
    }

    /// Floats in a row of products, the last panel's filling included.
    pub fn padded(&self) -> usize {
        self.width.next_multiple_of(self.panel)
    }

    /// `left [rows, depth]`, a row every `stride` floats, times the matrix: `out`, a row every `line` floats, each
    /// [`Packed::padded`] long; for float32.
    pub fn times(&self, left: &[f32], stride: usize, out: &mut [f32], line: usize) {
        self.part(left, stride, 0..self.padded() / self.panel, out, line);
    }

    fn part(&self, left: &[f32], stride: usize, panels: Range<usize>, out: &mut [f32], line: usize) {
        let tiles = Tiles { matrix: self, left, stride, panels, out, line };
        match self.pairs {
            None => run(tiles),
            Some(pairs) => tiles.by(pairs),
        }
    }

    /// Rows that `fill(row, slot)` writes, times the matrix: `finish(row, products, out)` makes of each row's `width`
    /// products its share of `out`, which all rows share alike.
    pub fn each<F, G>(&self, rows: usize, fill: F, out: &mut [f32], finish: G)
    where
        F: Fn(usize, &mut [f32]) + Sync,
        G: Fn(usize, &mut [f32], &mut [f32]) + Sync,
    {
        if rows == 0 || out.is_empty() {
            return;
        }
        let (line, stride) = (out.len() / rows, apart(self.words()));
        let most = (LEFT / stride).clamp(ROWS / 3, ROWS);
        let many = rows.div_ceil(rows.div_ceil(most)).next_multiple_of(TILE);
        out.par_chunks_mut(many * line).enumerate().for_each(|(chunk, out)| {
            let (first, rows) = (chunk * many, out.len() / line);
            scratch(rows * stride + (rows + 1) * self.padded(), |memory| {
                let (left, memory) = memory.split_at_mut(rows * stride);
                let (products, row) = memory.split_at_mut(rows * self.padded());
                let slots = left.chunks_exact_mut(stride).enumerate();
                match self.pairs {
                    None => slots.for_each(|(i, slot)| fill(first + i, &mut slot[..self.depth])),
                    Some(_) => scratch(2 * self.words(), |numbers| {
                        numbers[2 * self.words() - 1] = 0.0;
                        for (i, slot) in slots {
                            fill(first + i, &mut numbers[..self.depth]);
                            run(Round { row: numbers, pairs: bytemuck::cast_slice_mut(slot) });
                        }
                    }),
                }
                let group = PANELS * self.panel;
                let part = |(g, out): (usize, &mut [f32])| {
                    let count = out.len() / rows / self.panel;
                    self.part(left, stride, g * PANELS..g * PANELS + count, out, count * self.panel);
                };
                products.par_chunks_mut(rows * group).enumerate().for_each(part);
                for (i, out) in out.chunks_exact_mut(line).enumerate() {
                    for (row, group) in row.chunks_mut(group).zip(products.chunks(rows * group)) {
                        let wide = group.len() / rows;
                        row.copy_from_slice(&group[i * wide..][..wide]);
                    }
                    finish(first + i, &mut row[..self.width], out);
                }
            });
        });
    }
}

struct Tiles<'a> {
    matrix: &'a Packed,
    left: &'a [f32],
    stride: usize,
    panels: Range<usize>,
    out: &'a mut [f32],
    line: usize,
}

impl Tiles<'_> {
    #[inline(always)]
    fn by<K: Kernel>(self, kernel: K) {
        let (m, width, words) = (self.matrix, self.matrix.panel, self.matrix.words());
        let rows = self.out.len() / self.line.max(1);
        for from in (0..words).step_by(K::DEPTH) {
            let to = words.min(from + K::DEPTH);
            for p in self.panels.clone() {
                let panel = &m.values[m.start + p * width * words..][..width * words];
                let panel = &panel[from * width..to * width];
                let column = (p - self.panels.start) * width;
                let mut at = 0;
                while at < rows {
                    let left = &self.left[at * self.stride..];
                    let cut = |r: usize| &left[r * self.stride + from..][..to - from];
                    let out = &mut self.out[at * self.line + column..];
                    let (line, more) = (self.line, from > 0);
                    at += match rows - at {
                        TILE.. => kernel.tile::<TILE>(std::array::from_fn(cut), panel, out, line, more),
                        4.. => kernel.tile::<4>(std::array::from_fn(cut), panel, out, line, more),
                        2.. => kernel.tile::<2>(std::array::from_fn(cut), panel, out, line, more),
                        _ => kernel.tile::<1>([cut(0)], panel, out, line, more),
                    };
                }
            }
        }
    }
}

impl WithSimd for Tiles<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        self.by(Single(simd));
    }
}

/// A register tile.
trait Kernel: Copy {
    /// Words of a column at a time.
    const DEPTH: usize;

    /// As [`super::simd::tile`].
    fn tile<const R: usize>(self, rows: [&[f32]; R], panel: &[f32], out: &mut [f32], line: usize, more: bool) -> usize;
}

/// Of float32.
#[derive(Clone, Copy)]
struct Single<S>(S);

impl<S: Simd> Kernel for Single<S> {
    const DEPTH: usize = DEPTH;

    #[inline(always)]
    fn tile<const R: usize>(self, rows: [&[f32]; R], panel: &[f32], out: &mut [f32], line: usize, more: bool) -> usize {
        tile::<S, R>(self.0, rows, S::as_simd_f32s(panel).0, out, line, more)
    }
}

impl Kernel for Bfloat16 {
    const DEPTH: usize = DEPTH / 2;

    #[inline(always)]
    fn tile<const R: usize>(self, rows: [&[f32]; R], panel: &[f32], out: &mut [f32], line: usize, more: bool) -> usize {
        let rows = rows.map(bytemuck::cast_slice::<f32, Pair>);
        Bfloat16::tile(self, rows, bytemuck::cast_slice(panel), out, line, more)
    }
}

/// Rounds a row to bfloat16.
struct Round<'a> {
    row: &'a [f32],
    pairs: &'a mut [Pair],
}

impl WithSimd for Round<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let (row, _) = self.row.as_chunks::<2>();
        self.pairs.iter_mut().zip(row).for_each(|(out, [low, high])| *out = pair(*low, *high));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whole numbers, small enough for sums to be exact in any order.
    fn value(i: usize) -> f32 {
        ((i * 7919) % 23) as f32 - 11.0
    }

    #[test]
    fn products_are_those_of_a_plain_loop_whatever_the_shape_and_the_company() {
        for (n, m, d) in [(1, 1, 1), (7, 16, 3), (9, 33, 256), (13, 5, 515), (101, 700, 20), (200, 3, 9)] {
            let packed = Packed::new(d, m, |k, j| value(j * d + k + 5));
            let all = |rows: Range<usize>| {
                let mut out = vec![0.0; rows.len() * m];
                let fill = |i: usize, slot: &mut [f32]| {
                    slot.iter_mut().enumerate().for_each(|(k, v)| *v = value((rows.start + i) * d + k));
                };
                packed.each(rows.len(), fill, &mut out, |_, sums, out| out.copy_from_slice(sums));
                out
            };
            let found = all(0..n);
            for i in 0..n {
                assert_eq!(all(i..i + 1), found[i * m..(i + 1) * m]);
                for j in 0..m {
                    let plain: f32 = (0..d).map(|k| value(i * d + k) * value(j * d + k + 5)).sum();
                    assert_eq!(found[i * m + j], plain, "{n} {m} {d}");
                }
            }
        }
    }

    #[test]
    fn products_of_bfloat16_are_those_of_a_plain_loop_over_rounded_numbers() {
        let Some(pairs) = Bfloat16::here() else { return };
        let small = |i: usize| value(i) + 1.0 / 512.0; // rounded off
        for (n, m, d) in [(1, 1, 1), (7, 16, 3), (9, 33, 256), (13, 5, 515), (101, 700, 20)] {
            let packed = Packed::rounded(pairs, d, m, |k, j| small(j * d + k + 5));
            let fill =
                |i: usize, slot: &mut [f32]| slot.iter_mut().enumerate().for_each(|(k, v)| *v = small(i * d + k));
            let mut found = vec![0.0; n * m];
            packed.each(n, fill, &mut found, |_, sums, out| out.copy_from_slice(sums));
            let near = |i: usize| half::bf16::from_f32(small(i)).to_f64();
            for (i, row) in found.chunks_exact(m).enumerate() {
                for (j, found) in row.iter().enumerate() {
                    let terms = (0..d).map(|k| near(i * d + k) * near(j * d + k + 5));
                    let size: f64 = terms.clone().map(f64::abs).sum();
                    assert!((f64::from(*found) - terms.sum::<f64>()).abs() <= 1e-6 * size, "{n} {m} {d}");
                }
            }
        }
    }

    #[test]
    fn scratch_memory_is_not_shared_with_work_that_asks_for_more() {
        scratch(10, |outer| {
            outer.fill(1.0);
            scratch(20, |inner| inner.fill(2.0));
            assert_eq!(outer, [1.0; 10]);
        });
    }
}
