//! The rows to cluster, where they lie: nothing is copied, and only centres are shifted to the rows' mean, so that
//! |x - c|² = |x - m|² + |c - m|² + 2 m(c - m) - 2 x(c - m) loses few digits however far off the mean `m` is.

use super::Clusters;
use crate::kernels::panels::{self, Grid};
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
    pub mean: Vec<f64>,
    /// Of sums of rows, so that those of any parts of the rows, in any order, come to the same.
    pub grid: Grid,
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
        let (squares, mean, grid) = (Vec::new(), Vec::new(), Grid::of(0.0));
        let mut points = Self { values, index, columns, squares, weights, mean, grid };
        points.grid = points.fine();
        points.mean = points.weighted_mean();
        points.squares = points.distances();
        match points.squares.iter().position(|s| !s.is_finite()) {
            None => Ok(points),
            Some(first) => {
                let bad = (0..points.len()).find(|&i| points.row(i).iter().any(|v| !v.is_finite()));
                let found = format!("NaN or infinity in row {}", bad.unwrap_or(first));
                Err(vectors::shape("rows to cluster", "values with finite squares", found))
            }
        }
    }

    /// Some of the rows, of which all have this mean and this grid.
    pub fn part(values: Cow<'a, [f32]>, weights: &'a [u32], mean: &[f64], grid: Grid) -> Self {
        let (weights, mean, squares) = (Cow::Borrowed(weights), mean.to_vec(), Vec::new());
        let mut points = Self { values, index: None, columns: mean.len(), squares, weights, mean, grid };
        points.squares = points.distances();
        points
    }

    /// Of the rows to their mean, squared.
    fn distances(&self) -> Vec<f32> {
        let origin = vec![0f32; self.columns];
        (0..self.len()).into_par_iter().map(|i| self.gap(i, &origin) as f32).collect()
    }

    /// The finest grid on which sums of all rows are exact.
    fn fine(&self) -> Grid {
        let largest = |i: usize| self.row(i).iter().fold(0.0, |most: f32, v| most.max(v.abs()));
        let most = (0..self.len()).into_par_iter().map(largest).reduce(|| 0.0, f32::max);
        Grid::of(f64::from(most) * self.total())
    }

    fn total(&self) -> f64 {
        self.weights.iter().map(|&w| f64::from(w)).sum()
    }

    fn weighted_mean(&self) -> Vec<f64> {
        let zeros = || vec![0.0; self.columns];
        let sum = (0..self.len())
            .into_par_iter()
            .fold(zeros, |mut sum, i| {
                panels::add(&mut sum, f64::from(self.weights[i]), self.row(i), self.grid);
                sum
            })
            .reduce(zeros, |mut a, b| {
                a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
                a
            });
        let total = self.total();
        sum.into_iter().map(|s| s / total).collect()
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
            grid: self.grid,
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
    pub fn mean_of<'s>(&'s self, sum: &'s [f64], total: f64) -> impl Iterator<Item = f32> + 's {
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
