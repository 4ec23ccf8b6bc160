//! Where rows belong, and the sums of the rows of each cluster: exact, and so the same whoever adds which of them.

use super::points::Points;
use crate::{
    error::Result,
    kernels::{panels, vectors},
    pipeline::store::arrays::Arrays,
};
use ndarray::{Array1, Array2, Ix1, Ix2};
use rayon::prelude::*;

/// Where rows belong.
#[derive(Clone, Debug, PartialEq)]
pub struct Assigned {
    /// The cluster of each row; empty where only the sums are known.
    pub labels: Vec<u32>,
    pub(super) sums: Sums,
}

impl Assigned {
    /// Rows that belong nowhere yet.
    pub(super) fn none(points: &Points, clusters: usize) -> Self {
        Self { labels: vec![Sums::NONE; points.len()], sums: Sums::new(clusters, points.columns) }
    }

    /// That of rows and of those that follow them.
    ///
    /// # Errors
    /// [`crate::error::Error::Shape`] for other clusters.
    pub fn and(mut self, more: Self) -> Result<Self> {
        let (own, other) = (self.sums.dim(), more.sums.dim());
        if own != other {
            return Err(vectors::shape("sums of clusters", format!("{own:?}"), format!("{other:?}")));
        }
        self.labels.extend(more.labels);
        for (sum, more) in self.sums.rows.iter_mut().zip(&more.sums.rows) {
            sum.iter_mut().zip(more).for_each(|(s, m)| *s += m);
        }
        self.sums.total.iter_mut().zip(&more.sums.total).for_each(|(t, m)| *t += m);
        Ok(self)
    }

    /// Whether a cluster has no rows.
    pub fn has_empty(&self) -> bool {
        self.sums.total.iter().any(|&t| t <= 0.0)
    }

    /// The same without labels.
    #[must_use]
    pub fn sums(&self) -> Self {
        Self { labels: Vec::new(), sums: self.sums.clone() }
    }

    /// For the store.
    pub fn to_arrays(&self) -> Arrays {
        let (m, d) = self.sums.dim();
        let sums = Array2::from_shape_fn((m, d), |(k, j)| self.sums.rows[k][j]);
        Arrays::new()
            .with_u32("labels", &Array1::from(self.labels.clone()))
            .with_f64("sums", &sums)
            .with_f64("totals", &Array1::from(self.sums.total.clone()))
    }

    /// From the store.
    ///
    /// # Errors
    /// [`crate::error::Error::Input`] for something else.
    pub fn of_arrays(arrays: &Arrays) -> Result<Self> {
        let (sums, total) = (arrays.f64::<Ix2>("sums")?, arrays.f64::<Ix1>("totals")?.to_vec());
        let rows: Vec<Vec<f64>> = sums.outer_iter().map(|row| row.to_vec()).collect();
        if rows.len() != total.len() {
            return Err(vectors::shape("totals of clusters", rows.len(), total.len()));
        }
        Ok(Self { labels: arrays.u32::<Ix1>("labels")?.to_vec(), sums: Sums { rows, total } })
    }
}

/// The sums of the rows of each cluster, kept up with the rows that move.
#[derive(Clone, Debug, PartialEq)]
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

    /// Rows left `before` and joined `after`. The sums depend on where the rows are now, not on how they came there.
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
                panels::add(sum, w, points.row(i), points.grid);
            }
        });
    }

    /// Clusters and columns.
    fn dim(&self) -> (usize, usize) {
        (self.rows.len(), self.rows.first().map_or(0, Vec::len))
    }

    /// Moves the centres to the means (shifted).
    pub fn move_to_means(&self, points: &Points, centres: &mut Array2<f32>) {
        let rows = centres.outer_iter_mut().zip(&self.rows).zip(&self.total);
        rows.for_each(|((mut centre, sum), &total)| {
            centre.iter_mut().zip(points.mean_of(sum, total)).for_each(|(c, v)| *c = v);
        });
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
