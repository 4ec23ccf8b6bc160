//! Rounds done by others, part by part of the rows. Which rows are nearest to which centre depends on row and centres
//! alone, and sums of rows are exact: whoever does which part, in whatever order, a round comes to the same.

use super::{ClusterSettings, lloyd::Standing, points::Points, refine::Hands, sums::Assigned};
use crate::{
    error::Result,
    kernels::{panels::Grid, vectors},
    pipeline::{Ctx, store::arrays::Arrays},
};
use ndarray::{Array1, Array2};
use std::borrow::Cow;

/// Rows of a part.
pub const PART: usize = 1 << 16;

/// Others who have the same rows.
pub trait Others: Send {
    /// Tells which rows are clustered and how often each counts; whether others do the rounds.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`].
    fn begin(&mut self, index: &[u32], weights: &[u32], settings: &ClusterSettings) -> Result<bool>;

    /// Has each row given the nearest centre, part by part; the labels may be left out unless they are `wanted` or a
    /// cluster is empty.
    ///
    /// # Errors
    /// Those of the engine; [`crate::error::Error::Cancelled`].
    fn round(&mut self, from: &Start, wanted: bool, ctx: &Ctx) -> Result<Assigned>;
}

/// What a round starts from.
pub struct Start {
    /// `[M, d]`, shifted by the mean.
    centres: Array2<f32>,
    /// Of all rows.
    mean: Vec<f64>,
    grid: Grid,
}

impl Start {
    fn new(points: &Points, centres: &Array2<f32>) -> Self {
        Self { centres: centres.clone(), mean: points.mean.clone(), grid: points.grid }
    }

    /// For the store.
    pub fn to_arrays(&self) -> Arrays {
        let grid = Array1::from_elem(1, self.grid.anchor());
        Arrays::new()
            .with_f32("centres", &self.centres)
            .with_f64("mean", &Array1::from(self.mean.clone()))
            .with_f64("grid", &grid)
    }

    /// From the store.
    ///
    /// # Errors
    /// [`crate::error::Error::Input`] for something else.
    pub fn of_arrays(arrays: &Arrays) -> Result<Self> {
        let (mean, grid) = (arrays.f64::<ndarray::Ix1>("mean")?.to_vec(), arrays.f64::<ndarray::Ix1>("grid")?);
        let grid = Grid::anchored(grid.first().copied().unwrap_or_default());
        Ok(Self { centres: arrays.f32("centres")?, mean, grid })
    }

    /// Gives these rows, those of a part, their nearest centres; `standing` is where they stood in an earlier round.
    ///
    /// # Errors
    /// [`crate::error::Error::Shape`] for rows of another width, [`crate::error::Error::Cancelled`].
    pub fn assign(
        &self,
        rows: &Array2<f32>,
        weights: &[u32],
        standing: &mut Option<Standing>,
        ctx: &Ctx,
    ) -> Result<Assigned> {
        let (expected, found) = ((weights.len(), self.mean.len()), rows.dim());
        if found != expected || self.centres.ncols() != expected.1 {
            return Err(vectors::shape("rows to cluster", format!("{expected:?}"), format!("{found:?}")));
        }
        let values = Cow::Borrowed(rows.as_slice().unwrap_or_default());
        let points = Points::part(values, weights, &self.mean, self.grid);
        let standing = match standing.take() {
            Some(was) if was.fits(&points, &self.centres) => standing.insert(was),
            _ => standing.insert(Standing::new(&points, &self.centres)),
        };
        standing.round(&points, &self.centres, ctx).cloned()
    }
}

/// Rounds by others.
pub(super) struct Elsewhere<'a>(pub &'a mut dyn Others, pub Option<Assigned>);

impl Hands for Elsewhere<'_> {
    fn round(&mut self, points: &Points, centres: &Array2<f32>, wanted: bool, ctx: &Ctx) -> Result<&Assigned> {
        let found = self.0.round(&Start::new(points, centres), wanted, ctx)?;
        Ok(self.1.insert(found))
    }
}
