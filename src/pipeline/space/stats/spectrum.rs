//! The effective rank of a set of embeddings (after Roy and Vetterli, EUSIPCO 2007, on the covariance's eigenvalues).

use crate::{error::Result, kernels::vectors, pipeline::Ctx};
use linfa_linalg::eigh::EigValshInto;
use ndarray::{Array2, ArrayView2, Axis, CowArray};
use rayon::prelude::*;

/// Rows per partial covariance.
const ROWS: usize = 4096;

/// exp of the entropy of the covariance's spectrum, from 1 (a line) to d (a ball); 0 if all rows are the same.
///
/// # Errors
/// [`crate::error::Error::Cancelled`], [`crate::error::Error::Tensor`].
pub fn effective_rank(rows: ArrayView2<f32>, ctx: &Ctx) -> Result<f64> {
    let d = rows.ncols();
    let covariance = covariance(rows, false, ctx)?;
    ctx.check()?;
    let spectrum = covariance.eigvalsh_into().map_err(|e| vectors::shape("eigenvalues of the covariance", d, e))?;
    let total: f64 = spectrum.iter().map(|v| v.max(0.0)).sum();
    if total <= 0.0 {
        return Ok(0.0);
    }
    let entropy: f64 = spectrum.iter().map(|v| v / total).filter(|&p| p > 0.0).map(|p| -p * p.ln()).sum();
    Ok(entropy.exp())
}

/// `[d, d]`, of the rows or of their directions; partial products in single, their sum in double precision.
pub(super) fn covariance(rows: ArrayView2<f32>, directions: bool, ctx: &Ctx) -> Result<Array2<f64>> {
    let d = rows.ncols();
    let mean = if directions { vectors::mean_direction(rows, |_| 1.0) } else { vectors::mean(rows, |_| 1.0) };
    let blocks: Vec<_> = rows.axis_chunks_iter(Axis(0), ROWS).collect();
    let mut sum = vec![0f64; d * d];
    // A few at a time: each partial result is d x d.
    for group in blocks.chunks(8) {
        let parts = group
            .par_iter()
            .map(|block| {
                ctx.check()?;
                let block: CowArray<f32, _> = if directions { vectors::unit(*block).into() } else { block.into() };
                let shifted =
                    Array2::from_shape_fn((d, block.nrows()), |(j, i)| (f64::from(block[[i, j]]) - mean[j]) as f32);
                let left = vectors::tensor(shifted.view())?;
                vectors::product(&left, &left)
            })
            .collect::<Result<Vec<_>>>()?;
        parts.iter().for_each(|part| sum.iter_mut().zip(part).for_each(|(s, &v)| *s += f64::from(v)));
    }
    let n = rows.nrows().max(1) as f64;
    // GEMM need not round both triangles alike; the solver wants a symmetric matrix.
    Ok(Array2::from_shape_fn((d, d), |(i, j)| (sum[i * d + j] + sum[j * d + i]) / (2.0 * n)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_line_has_rank_one_and_a_cross_of_equal_axes_all_of_them() {
        let line = Array2::from_shape_fn((50, 5), |(i, j)| i as f32 * (j + 1) as f32);
        assert!((effective_rank(line.view(), &Ctx::quiet()).unwrap() - 1.0).abs() < 1e-3);
        let cross = Array2::from_shape_fn((10, 5), |(i, j)| if i / 2 == j { [3.0, -3.0][i % 2] } else { 0.0 });
        assert!((effective_rank(cross.view(), &Ctx::quiet()).unwrap() - 5.0).abs() < 1e-6);
        let point = Array2::from_elem((4, 5), 7.0);
        assert_eq!(effective_rank(point.view(), &Ctx::quiet()).unwrap(), 0.0);
    }
}
