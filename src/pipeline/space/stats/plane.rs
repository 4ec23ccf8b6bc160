//! The embeddings seen in a plane: both modalities about their own mean, along the two directions of largest joint
//! variance (principal components of the covariance; Pearson 1901).

use super::spectrum::covariance;
use crate::{
    error::Result,
    kernels::vectors,
    pipeline::{Ctx, space::embeddings::Embeddings},
};
use linfa_linalg::eigh::{EigSort, EighInto};
use ndarray::{Array1, Array2, ArrayView2, Axis, s};

/// Where every embedding lies in the plane.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plane {
    /// Of each image.
    pub image: Vec<[f32; 2]>,
    /// Of each pair's caption.
    pub text: Vec<[f32; 2]>,
}

/// Projects unit embeddings, each modality about its own mean: the gap between the two is a number of its own, and would
/// hide everything else here.
///
/// # Errors
/// [`crate::error::Error::Cancelled`], [`crate::error::Error::Tensor`].
pub fn plane(data: &Embeddings, ctx: &Ctx) -> Result<Plane> {
    let (image, text) = (data.image.view(), data.text.view());
    let d = image.ncols();
    let both = (covariance(image, true, ctx)? + covariance(text, true, ctx)?) / 2.0;
    ctx.check()?;
    let fail = |e: linfa_linalg::LinalgError| vectors::shape("principal directions", d, e);
    let (_, mut axes) = both.eigh_into().map_err(fail)?.sort_eig_desc();
    // An eigenvector has no sign of its own: its largest entry is made positive.
    for mut axis in axes.columns_mut() {
        let largest = axis.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap_or(1.0);
        axis *= largest.signum();
    }
    let axes = axes.slice(s![.., ..d.min(2)]).mapv(|v| v as f32);
    Ok(Plane { image: points(image, &axes), text: points(text, &axes) })
}

/// Directions about their mean along the axes, a block at a time.
fn points(rows: ArrayView2<f32>, axes: &Array2<f32>) -> Vec<[f32; 2]> {
    let mean = Array1::from(vectors::mean_direction(rows, |_| 1.0)).mapv(|v| v as f32).insert_axis(Axis(0));
    let mut all = Vec::with_capacity(rows.nrows());
    for block in rows.axis_chunks_iter(Axis(0), vectors::BLOCK) {
        let flat = (vectors::unit(block) - &mean).dot(axes);
        all.extend(flat.outer_iter().map(|p| [p[0], p.get(1).copied().unwrap_or(0.0)]));
    }
    all
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_planted_plane_is_found_and_pairs_stay_together() {
        // Points on an ellipse in directions 3 and 1, far along a common axis so that making them unit hardly bends them.
        let row = |i: usize, far: f32| {
            let t = i as f32;
            let mut row = [0f32; 6];
            (row[3], row[1], row[5]) = (t.cos() * 2.0, t.sin(), far);
            row
        };
        let rows = |far: f32| Array2::from_shape_fn((60, 6), |(i, j)| row(i, far)[j]);
        let data = Embeddings::new(rows(100.0), rows(-100.0), (0..60).collect()).unwrap();
        let found = plane(&data, &Ctx::quiet()).unwrap();
        for i in 0..60 {
            let [x, y] = found.image[i];
            let expected = [(i as f32).cos() * 0.02, (i as f32).sin() * 0.01];
            let mean = [0, 1]
                .map(|k| (0..60).map(|i| [(i as f32).cos() * 0.02, (i as f32).sin() * 0.01][k]).sum::<f32>() / 60.0);
            assert!(
                (x - expected[0] + mean[0]).abs() < 1e-4 && (y - expected[1] + mean[1]).abs() < 1e-4,
                "{i}: {x} {y}"
            );
            assert!((found.text[i][0] - x).abs() < 1e-4 && (found.text[i][1] - y).abs() < 1e-4);
        }
    }
}
