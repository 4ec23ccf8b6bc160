//! Symmetric systems in double precision, a block of columns at a time.

use super::vectors;
use crate::error::Result;
use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, linalg::general_mat_mul, s};
use rayon::prelude::*;

/// Columns of a block.
const BLOCK: usize = 64;

/// `A = L Lᵀ`, of which the lower triangle is kept.
pub(crate) struct Cholesky(Array2<f64>);

impl Cholesky {
    /// Factors a symmetric matrix, of which the lower triangle is read.
    ///
    /// # Errors
    /// [`crate::error::Error::Shape`] if it is not positive definite.
    pub fn new(mut a: Array2<f64>) -> Result<Self> {
        let n = a.nrows();
        for from in (0..n).step_by(BLOCK) {
            let to = n.min(from + BLOCK);
            corner(a.slice_mut(s![from..to, from..to]))?;
            let (mut above, mut below) = a.view_mut().split_at(Axis(0), to);
            let corner = above.slice_mut(s![from.., from..to]);
            let (panel, mut rest) = below.view_mut().split_at(Axis(1), to);
            let mut panel = panel.slice_move(s![.., from..]);
            panel.outer_iter_mut().into_par_iter().for_each(|mut row| {
                for i in 0..row.len() {
                    let known: f64 = (0..i).map(|k| corner[[i, k]] * row[k]).sum();
                    row[i] = (row[i] - known) / corner[[i, i]];
                }
            });
            let panel = panel.to_owned();
            rest.axis_chunks_iter_mut(Axis(0), BLOCK).into_par_iter().enumerate().for_each(|(b, rest)| {
                let (from, to) = (b * BLOCK, b * BLOCK + rest.nrows());
                let (left, right) = (panel.slice(s![from..to, ..]), panel.slice(s![..to, ..]));
                general_mat_mul(-1.0, &left, &right.t(), 1.0, &mut rest.slice_move(s![.., ..to]));
            });
        }
        Ok(Self(a))
    }

    /// `A⁻¹ b` for `b [n, m]`.
    pub fn solve(&self, b: ArrayView2<f64>) -> Array2<f64> {
        let mut out = b.to_owned();
        out.axis_chunks_iter_mut(Axis(1), BLOCK).into_par_iter().for_each(|mut x| {
            let mut own = x.to_owned();
            self.forward(&mut own);
            self.backward(&mut own);
            x.assign(&own);
        });
        out
    }

    /// `L⁻¹ x`.
    fn forward(&self, x: &mut Array2<f64>) {
        let n = self.0.nrows();
        for from in (0..n).step_by(BLOCK) {
            let to = n.min(from + BLOCK);
            let (known, mut rest) = x.view_mut().split_at(Axis(0), from);
            let mut own = rest.slice_mut(s![..to - from, ..]);
            general_mat_mul(-1.0, &self.0.slice(s![from..to, ..from]), &known, 1.0, &mut own);
            for i in 0..to - from {
                for k in 0..i {
                    subtract(&mut own, i, k, self.0[[from + i, from + k]]);
                }
                own.row_mut(i).mapv_inplace(|v| v / self.0[[from + i, from + i]]);
            }
        }
    }

    /// `L⁻ᵀ x`.
    fn backward(&self, x: &mut Array2<f64>) {
        let n = self.0.nrows();
        for from in (0..n).step_by(BLOCK).rev() {
            let to = n.min(from + BLOCK);
            let (mut head, known) = x.view_mut().split_at(Axis(0), to);
            let mut own = head.slice_mut(s![from.., ..]);
            general_mat_mul(-1.0, &self.0.slice(s![to.., from..to]).t(), &known, 1.0, &mut own);
            for i in (0..to - from).rev() {
                for k in i + 1..to - from {
                    subtract(&mut own, i, k, self.0[[from + k, from + i]]);
                }
                own.row_mut(i).mapv_inplace(|v| v / self.0[[from + i, from + i]]);
            }
        }
    }
}

/// Row `i` less `factor` times row `k`.
fn subtract(x: &mut ArrayViewMut2<f64>, i: usize, k: usize, factor: f64) {
    let (mut own, other) = x.multi_slice_mut((s![i, ..], s![k, ..]));
    own.scaled_add(-factor, &other);
}

/// The factor of a small matrix, in place.
fn corner(mut a: ArrayViewMut2<f64>) -> Result<()> {
    for i in 0..a.nrows() {
        for j in 0..=i {
            let known: f64 = (0..j).map(|k| a[[i, k]] * a[[j, k]]).sum();
            let left = a[[i, j]] - known;
            if i == j && !(left > 0.0 && left.is_finite()) {
                return Err(vectors::shape(
                    "a matrix to solve",
                    "positive definite",
                    format!("{left} on its diagonal"),
                ));
            }
            a[[i, j]] = if i == j { left.sqrt() } else { left / a[[j, j]] };
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_solved_gives_the_right_side_back_whatever_the_size() {
        for (n, m) in [(1, 1), (5, 3), (64, 64), (150, 70)] {
            let b = Array2::from_shape_fn((n, m), |(i, j)| ((i * 31 + j * 17) % 13) as f64 - 6.0);
            let half = Array2::from_shape_fn((n, n), |(i, j)| ((i * 7 + j * 5) % 11) as f64 / 11.0);
            let a = half.dot(&half.t()) + Array2::<f64>::eye(n);
            let x = Cholesky::new(a.clone()).unwrap().solve(b.view());
            assert!((a.dot(&x) - &b).iter().all(|v| v.abs() < 1e-9), "{n} {m}");
        }
    }

    #[test]
    fn a_matrix_that_is_not_positive_definite_is_refused() {
        assert!(Cholesky::new(Array2::zeros((3, 3))).is_err());
        assert!(Cholesky::new(-Array2::<f64>::eye(100)).is_err());
    }
}
