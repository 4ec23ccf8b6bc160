//! Targets whose cross-covariance with the pictures is that of all pairs, after CovMatch (Lee and Chung, NeurIPS 2025, arXiv
//! 2510.18583), as a yardstick. No more than the paper's abstract was at hand.
//!
//! As there: real and synthetic pairs shall have one cross-covariance, while each side is kept as features of its kind are.
//! Not as there: features are CLIP's and no encoder learns beside them, pictures are real ones at random and stay so, and what
//! keeps the other side is a ridge towards the pictures' own captions. So the best targets are known in closed form.

use crate::{
    error::Result,
    kernels::{cholesky::Cholesky, vectors},
    pipeline::{
        Ctx,
        ridge::{
            Space, Texts, Weighted,
            targets::{around, seen},
        },
        space::embeddings::Embeddings,
    },
};
use ndarray::{Array2, ArrayView1, ArrayView2};

/// The ridge that stands in for the paper's weight of what keeps each side: of .01, .1, 1 and 10 the best on the demo's
/// validation split.
pub const RIDGE: f64 = 0.1;

/// Targets `X` `[m, dt]` that lower `|Xᵀ Y / m - C|² + ridge |X - captions|²`, where `Y` are `pictures` `[m, d]` of length 1, `C` the
/// weighted cross-covariance of all pairs and the ridge relative to the mean eigenvalue of `Y Yᵀ / m²`. Pictures that are all
/// alike keep their `captions` `[m, dt]`.
///
/// # Errors
/// [`crate::error::Error::Shape`] for widths or weights that do not fit or a ridge of 0, [`crate::error::Error::Cancelled`].
pub fn covmatch(
    (pictures, captions): (ArrayView2<f32>, ArrayView2<f32>),
    data: &Embeddings,
    weights: &[f32],
    ridge: f64,
    ctx: &Ctx,
) -> Result<Array2<f32>> {
    let (seen, m) = (seen(pictures, data)? / pictures.nrows().max(1) as f64, pictures.nrows());
    if captions.dim() != (m, data.text.ncols()) {
        return Err(vectors::shape(
            "captions",
            format!("[{m}, {}]", data.text.ncols()),
            format!("{:?}", captions.dim()),
        ));
    }
    vectors::finite("captions", captions)?;
    let space = Space::new(data, Texts::Raw)?;
    let pairs = Weighted::new(&space, weights)?;
    let mut inner = seen.dot(&seen.t());
    let step = ridge * inner.diag().sum() / m.max(1) as f64;
    if inner.diag().sum() <= 0.0 {
        return Ok(captions.to_owned());
    }
    inner.diag_mut().mapv_inplace(|v| v + step);
    let own = captions.mapv(f64::from) - ArrayView1::from(&pairs.text_mean);
    let wanted = seen.dot(&pairs.cross(ctx)?.t()) + own * step;
    Ok(around(&pairs.text_mean, Cholesky::new(inner)?.solve(wanted.view())))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::pipeline::ridge::sample;
    use ndarray::s;

    /// The cross-covariance of pictures and targets, `[dt, d]`.
    fn cross(pictures: ArrayView2<f32>, targets: &Array2<f32>, data: &Embeddings) -> Array2<f64> {
        targets.mapv(f64::from).t().dot(&seen(pictures, data).unwrap()) / targets.nrows() as f64
    }

    #[test]
    fn the_cross_covariance_is_that_of_all_pairs_by_weight_if_the_ridge_is_small() {
        let (data, _) = sample::pairs(90, 2, [6, 4], 0.2, 8);
        let weights: Vec<f32> = (0..180).map(|r| (r % 5) as f32 / 4.0).collect();
        let (pictures, captions) =
            (data.image.view().slice_move(s![..20, ..]), data.text.view().slice_move(s![..20, ..]));
        let space = Space::new(&data, Texts::Raw).unwrap();
        let wanted = Weighted::new(&space, &weights).unwrap().cross(&Ctx::quiet()).unwrap();
        let off = |targets: &Array2<f32>| {
            (cross(pictures, targets, &data) - &wanted).mapv(|v| v * v).sum() / wanted.mapv(|v| v * v).sum()
        };
        let of = |ridge| covmatch((pictures, captions), &data, &weights, ridge, &Ctx::quiet()).unwrap();
        assert!(off(&of(1e-6)) < 1e-6 && off(&captions.to_owned()) > 0.01, "{}", off(&of(1e-6)));
        assert!(off(&of(RIDGE)) < off(&captions.to_owned()));
    }

    #[test]
    fn a_large_ridge_and_pictures_all_alike_leave_the_captions_as_they_are() {
        let (data, _) = sample::pairs(40, 1, [6, 4], 0.0, 9);
        let captions = data.text.view().slice_move(s![..5, ..]);
        let same = Array2::from_shape_fn((5, 6), |(_, j)| j as f32);
        for (pictures, ridge) in [(data.image.view().slice_move(s![..5, ..]), 1e9), (same.view(), RIDGE)] {
            let found = covmatch((pictures, captions), &data, &[1.0; 40], ridge, &Ctx::quiet()).unwrap();
            assert!((found - captions).iter().all(|v| v.abs() < 1e-4));
        }
        let wide = Array2::zeros((5, 5));
        assert!(covmatch((same.view(), wide.view()), &data, &[1.0; 40], RIDGE, &Ctx::quiet()).is_err());
    }
}
