//! The rows to cluster, where they lie: nothing is copied, and only centres are shifted to the rows' mean, so that
//! |x - c|² = |x - m|² + |c - m|² + 2 m(c - m) - 2 x(c - m) loses few digits however far off the mean `m` is.

use super::Clusters;
use crate::kernels::panels;
use crate::{error::Result, kernels::vectors, pipeline::Ctx};
use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;
use std::borrow::Cow;

/// Rows of a block of work, a multiple of the kernel's 6.
pub(super) const BLOCK: usize = 192;

/// Rows to cluster.
pub(super) struct Points<'a> {
    values: Cow<'a, [f32]>,
    /// Which rows of `values`; all if absent.
    index: Option<Cow<'a, [u32]>>,
    pub columns: usize,
    /// |x - m|² of each row.
    pub squares: Vec<f32>,
    pub weights: Cow<'a, [u32]>,
    mean: Vec<f64>,
}

/// Centres (shifted to the points' mean) and what belongs to them.
pub(super) struct Partition {
    pub centres: Array2<f32>,
    pub labels: Vec<u32>,
    pub inertia: f64,
    pub rounds: usize,
}

impl<'a> Points<'a> {
    /// Rows of `columns` values; `index` says which; `weights` has one entry for each of them.
    ///
    /// # Errors
    /// [`crate::error::Error::Shape`] for NaN, infinity and values whose squares are not finite.
    pub fn new(
        values: Cow<'a, [f32]>,
        columns: usize,
        index: Option<Cow<'a, [u32]>>,
        weights: Cow<'a, [u32]>,
    ) -> Result<Self> {
        let mut points = Self { values, index, columns, squares: Vec::new(), weights, mean: Vec::new() };
        points.mean = points.weighted_mean();
        let origin = vec![0f32; columns];
        points.squares = (0..points.len()).into_par_iter().map(|i| points.gap(i, &origin) as f32).collect();
        match points.squares.iter().position(|s| !s.is_finite()) {
            None => Ok(points),
            Some(first) => {
                let bad = (0..points.len()).find(|&i| points.row(i).iter().any(|v| !v.is_finite()));
                let found = format!("NaN or infinity in row {}", bad.unwrap_or(first));
                Err(vectors::shape("rows to cluster", "values with finite squares", found))
            }
        }
    }

    fn weighted_mean(&self) -> Vec<f64> {
        let starts: Vec<usize> = (0..self.len()).step_by(4096).collect();
        let parts: Vec<Vec<f64>> = starts
            .into_par_iter()
            .map(|from| {
                let mut sum = vec![0.0; self.columns];
                let rows = from..self.len().min(from + 4096);
                rows.for_each(|i| panels::add(&mut sum, f64::from(self.weights[i]), self.row(i)));
                sum
            })
            .collect();
        let total: f64 = self.weights.iter().map(|&w| f64::from(w)).sum();
        let mut mean = vec![0.0; self.columns];
        parts.iter().for_each(|part| mean.iter_mut().zip(part).for_each(|(m, p)| *m += p / total));
        mean
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.weights.len()
    }

    /// Row `i`, not shifted.
    pub fn row(&self, i: usize) -> &[f32] {
        let at = self.index.as_ref().map_or(i, |index| index[i] as usize);
        &self.values[at * self.columns..(at + 1) * self.columns]
    }

    /// Row `i` shifted as centres are.
    pub fn shifted(&self, i: usize) -> impl Iterator<Item = f32> {
        self.row(i).iter().zip(&self.mean).map(|(&v, m)| (f64::from(v) - m) as f32)
    }

    /// Some of the rows as centres.
    pub fn seeds(&self, rows: &[usize]) -> Array2<f32> {
        let mut centres = Array2::zeros((rows.len(), self.columns));
        for (mut centre, &row) in centres.outer_iter_mut().zip(rows) {
            centre.iter_mut().zip(self.shifted(row)).for_each(|(c, v)| *c = v);
        }
        centres
    }

    /// Squared distance of row `i` to a (shifted) centre.
    pub fn gap(&self, i: usize, centre: &[f32]) -> f64 {
        panels::gap(self.row(i), &self.mean, centre)
    }

    /// The mean's length.
    pub fn far(&self) -> f32 {
        self.mean.iter().map(|m| m * m).sum::<f64>().sqrt() as f32
    }

    /// The rows' distance to the mean, on the whole.
    pub fn radius(&self) -> f32 {
        (self.squares.iter().map(|&s| f64::from(s)).sum::<f64>() / self.len() as f64).sqrt() as f32
    }

    /// Some of the rows, shifted by the same mean.
    pub fn subset(&self, chosen: &[usize]) -> Points<'_> {
        let at = |&i: &usize| self.index.as_ref().map_or(i as u32, |index| index[i]);
        Points {
            values: Cow::Borrowed(&self.values),
            index: Some(chosen.iter().map(at).collect()),
            columns: self.columns,
            squares: chosen.iter().map(|&i| self.squares[i]).collect(),
            weights: chosen.iter().map(|&i| self.weights[i]).collect(),
            mean: self.mean.clone(),
        }
    }

    /// Coordinates along `axes` (orthonormal rows `[p, d]`), a copy of `p` columns.
    ///
    /// # Errors
    /// [`crate::error::Error::Cancelled`].
    pub fn along(&self, axes: &Array2<f32>, ctx: &Ctx) -> Result<Points<'_>> {
        let panels = panels::Panels::new(lines(axes), self.columns);
        let offset: Vec<f32> = axes.outer_iter().map(|axis| self.dot_mean(flat_row(&axis)) as f32).collect();
        let mut values = vec![0f32; self.len() * offset.len()];
        values.par_chunks_mut(BLOCK * offset.len()).enumerate().try_for_each(|(b, out)| {
            ctx.check()?;
            let rows = self.block(b);
            let mut found = Vec::new();
            for p in 0..panels.count() {
                panels.products(p, &rows, &mut found);
                for (out, found) in out.chunks_exact_mut(offset.len()).zip(found.chunks_exact(panels.width)) {
                    let (out, offset) = (&mut out[p * panels.width..], &offset[p * panels.width..]);
                    out.iter_mut().zip(found).zip(offset).for_each(|((o, f), m)| *o = f - m);
                }
            }
            Ok(())
        })?;
        Points::new(Cow::Owned(values), offset.len(), None, Cow::Borrowed(&self.weights))
    }

    /// The rows of block `b`.
    pub fn block(&self, b: usize) -> Vec<&[f32]> {
        (b * BLOCK..self.len().min((b + 1) * BLOCK)).map(|i| self.row(i)).collect()
    }

    fn dot_mean(&self, centre: &[f32]) -> f64 {
        centre.iter().zip(&self.mean).map(|(&c, m)| f64::from(c) * m).sum()
    }

    /// What each centre adds to |x - m|² - 2 x(c - m) to make it |x - c|².
    pub fn offsets(&self, centres: &Array2<f32>) -> Vec<f32> {
        centres.outer_iter().map(|c| (vectors::square(c) + 2.0 * self.dot_mean(flat_row(&c))) as f32).collect()
    }

    /// Centres shifted to the mean.
    pub fn centre(&self, centres: ArrayView2<f32>) -> Array2<f32> {
        self.moved(centres.to_owned(), -1.0)
    }

    /// Centres where the rows are.
    fn restored(&self, centres: Array2<f32>) -> Array2<f32> {
        self.moved(centres, 1.0)
    }

    fn moved(&self, mut centres: Array2<f32>, sign: f64) -> Array2<f32> {
        for mut row in centres.outer_iter_mut() {
            row.iter_mut().zip(&self.mean).for_each(|(v, m)| *v = (f64::from(*v) + sign * m) as f32);
        }
        centres
    }

    /// Shifted weighted mean from a sum of rows.
    fn mean_of<'s>(&'s self, sum: &'s [f64], total: f64) -> impl Iterator<Item = f32> + 's {
        sum.iter().zip(&self.mean).map(move |(s, m)| (s / total - m) as f32)
    }

    /// Back to where the rows came from.
    pub fn finish(&self, found: Partition) -> Clusters {
        let centroids = self.restored(found.centres);
        Clusters { centroids, labels: found.labels, inertia: found.inertia, iterations: found.rounds }
    }

    /// Weighted squared distances to the mean: the inertia of one cluster.
    pub fn spread(&self) -> f64 {
        self.squares.iter().zip(self.weights.iter()).map(|(&s, &w)| f64::from(s) * f64::from(w)).sum()
    }

    /// Squared distance of each row to its centre.
    pub fn gaps(&self, centres: &Array2<f32>, labels: &[u32]) -> Vec<f64> {
        labels.par_iter().enumerate().map(|(i, &label)| self.gap(i, slice(centres, label))).collect()
    }

    /// Weighted squared distances to the own centres, summed in row order.
    pub fn inertia(&self, centres: &Array2<f32>, labels: &[u32]) -> f64 {
        let gaps = self.gaps(centres, labels);
        gaps.iter().zip(self.weights.iter()).map(|(gap, &w)| gap * f64::from(w)).sum()
    }
}

/// A centre as a slice.
pub(super) fn slice(centres: &Array2<f32>, label: u32) -> &[f32] {
    let d = centres.ncols();
    &flat(centres)[label as usize * d..(label as usize + 1) * d]
}

/// All values of centres, which are always in row order.
fn flat(centres: &Array2<f32>) -> &[f32] {
    centres.as_slice().unwrap_or(&[])
}

/// The centres.
pub(super) fn lines(centres: &Array2<f32>) -> impl ExactSizeIterator<Item = &[f32]> {
    flat(centres).chunks_exact(centres.ncols().max(1))
}

/// How far it is from one point of a pair to the other.
pub(super) fn shift<'a>(values: impl Iterator<Item = (&'a f32, &'a f32)>) -> f32 {
    values.map(|(&a, &b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt() as f32
}

fn flat_row<'a>(row: &ndarray::ArrayView1<'a, f32>) -> &'a [f32] {
    row.to_slice().unwrap_or(&[])
}

/// The sums of the rows of each cluster, kept up with the rows that move.
pub(super) struct Sums {
    rows: Vec<Vec<f64>>,
    total: Vec<f64>,
}

impl Sums {
    /// The label of a row that belongs nowhere yet.
    pub const NONE: u32 = u32::MAX;

    pub fn new(clusters: usize, columns: usize) -> Self {
        Self { rows: vec![vec![0.0; columns]; clusters], total: vec![0.0; clusters] }
    }

    /// Rows left `before` and joined `after`; in row order within each cluster, whatever the number of threads.
    pub fn follow(&mut self, points: &Points, before: &[u32], after: &[u32]) {
        let moved = || before.iter().zip(after).zip(0u32..).filter(|((b, a), _)| b != a);
        // Counted first: lists that grew would take as much again.
        let mut size = vec![0; self.total.len()];
        moved().flat_map(|((&b, &a), _)| [b, a]).filter(|&k| k != Self::NONE).for_each(|k| size[k as usize] += 1);
        let mut moves: Vec<Vec<(u32, f32)>> = size.into_iter().map(Vec::with_capacity).collect();
        for ((&b, &a), i) in moved() {
            if b != Self::NONE {
                moves[b as usize].push((i, -1.0));
            }
            moves[a as usize].push((i, 1.0));
        }
        let sums = self.rows.par_iter_mut().zip(&mut self.total);
        sums.zip(&moves).for_each(|((sum, total), moves)| {
            for &(i, sign) in moves {
                let (i, sign) = (i as usize, f64::from(sign));
                let w = sign * f64::from(points.weights[i]);
                *total += w;
                panels::add(sum, w, points.row(i));
            }
        });
    }

    /// Whether a cluster has no rows.
    pub fn empty(&self) -> usize {
        self.total.iter().filter(|&&t| t <= 0.0).count()
    }

    /// Moves the centres to the means (shifted); how far each.
    pub fn move_to_means(&self, points: &Points, centres: &mut Array2<f32>) -> Vec<f32> {
        let mut mean = vec![0f32; points.columns];
        let rows = centres.outer_iter_mut().zip(&self.rows).zip(&self.total);
        rows.map(|((mut centre, sum), &total)| {
            mean.iter_mut().zip(points.mean_of(sum, total)).for_each(|(m, v)| *m = v);
            let moved = shift(centre.iter().zip(&mean));
            centre.iter_mut().zip(&mean).for_each(|(c, m)| *c = *m);
            moved
        })
        .collect()
    }

    /// What moving to the means `centres` by `shifts` saved, as a share of the inertia now, of rows of this `spread`.
    pub fn saved(&self, centres: &Array2<f32>, shifts: &[f32], spread: f64) -> f64 {
        let (mut saved, mut left) = (0.0, spread);
        for ((centre, &shift), weight) in centres.outer_iter().zip(shifts).zip(&self.total) {
            saved += weight * f64::from(shift).powi(2);
            left -= weight * vectors::square(centre);
        }
        saved / left.max(f64::MIN_POSITIVE)
    }
}
