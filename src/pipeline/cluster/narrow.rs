//! A narrower space for the starts to compete in. k-means looks at the subspace of its centres alone: what of a row
//! lies outside adds the same to every distance. The span of some rough centres is close to that subspace, and a
//! fraction as wide.

use super::{ClusterSettings, points::Points, refine::refine_here, seed};
use crate::{
    error::{Error, Result},
    pipeline::Ctx,
};
use ndarray::Array2;
use rand::seq::index;

/// Dimensions of the narrow space.
const AXES: usize = 128;

/// Rows at least this wide are worth it.
const WIDE: usize = 2 * AXES;

/// The points along the span of rough centres, if that is much narrower than the points are.
///
/// # Errors
/// [`Error::Cancelled`].
pub(super) fn narrow<'a>(points: &'a Points, settings: &ClusterSettings, ctx: &Ctx) -> Result<Option<Points<'a>>> {
    // So many centres span more than the narrow space holds.
    if settings.prototypes > AXES || points.columns < WIDE || points.len() < 4 * AXES {
        return Ok(None);
    }
    let mut rng = seed::rng(settings.seed, usize::MAX - 1);
    let start = points.seeds(&index::sample(&mut rng, points.len(), AXES).into_vec());
    let rough = ClusterSettings { max_iter: 2, tolerance: 0.0, ..settings.clone() };
    match refine_here(points, start, &rough, ctx) {
        Ok(found) => points.along(&orthonormal(&found.centres), ctx).map(Some),
        // Fewer distinct rows than axes.
        Err(Error::Setting { .. }) => Ok(None),
        Err(other) => Err(other),
    }
}

/// An orthonormal basis of the rows' span, by Gram and Schmidt, each row twice.
fn orthonormal(rows: &Array2<f32>) -> Array2<f32> {
    let mut axes: Vec<Vec<f64>> = Vec::new();
    for row in rows.outer_iter() {
        let mut rest: Vec<f64> = row.iter().map(|&v| f64::from(v)).collect();
        let whole = dot(&rest, &rest).sqrt();
        for _ in 0..2 {
            for axis in &axes {
                let along = dot(axis, &rest);
                rest.iter_mut().zip(axis).for_each(|(r, a)| *r -= along * a);
            }
        }
        let length = dot(&rest, &rest).sqrt();
        // What is left of a dependent row is rounding error.
        if length > 1e-4 * whole {
            rest.iter_mut().for_each(|r| *r /= length);
            axes.push(rest);
        }
    }
    Array2::from_shape_fn((axes.len(), rows.ncols()), |(i, j)| axes[i][j] as f32)
}

/// In eight sums that need not wait for one another.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0f64; 8];
    for (a, b) in a.chunks(8).zip(b.chunks(8)) {
        sums.iter_mut().zip(a.iter().zip(b)).for_each(|(s, (x, y))| *s += x * y);
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_orthonormal_and_span_the_rows_dependent_ones_left_out() {
        let mut rows = Array2::from_shape_fn((5, 9), |(i, j)| ((i * 31 + j * 17) % 13) as f32 - 6.0);
        let double = &rows.row(0) * 2.0 - rows.row(1);
        rows.row_mut(4).assign(&double);
        let axes = orthonormal(&rows);
        assert_eq!(axes.nrows(), 4);
        let gram = axes.dot(&axes.t());
        let off = |((i, j), v): ((usize, usize), &f32)| (v - f32::from(u8::from(i == j))).abs();
        assert!(gram.indexed_iter().map(off).fold(0.0, f32::max) < 1e-6);
        let back = rows.dot(&axes.t()).dot(&axes);
        assert!((back - rows).iter().all(|v| v.abs() < 1e-4));
    }
}
