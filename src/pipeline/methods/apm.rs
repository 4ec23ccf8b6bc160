//! Targets that make the projector of the set that of all pairs, after analytic parameter matching (APM; Bo and Wang, ICML
//! 2026), as a yardstick. No more than the paper's abstract and its public reviews were at hand.
//!
//! As there: projectors are linear, least squares give them in closed form, and what the set teaches is matched in them, without
//! training. Not as there: features are CLIP's, pictures are real ones at random and stay so, only the projector from images to
//! texts is matched, and a ridge stands for what the paper does against moments of low rank.

use crate::{
    error::Result,
    pipeline::{
        Ctx,
        ridge::{
            Space, Texts, Weighted,
            targets::{around, seen},
        },
        space::embeddings::Embeddings,
    },
};
use ndarray::{Array2, ArrayView2};

/// Ridge of the projector, relative to the mean eigenvalue: of .001, .01, .1 and 1 the best on the demo's validation split.
const RIDGE: f64 = 0.01;

/// `pictures` `[m, d]` through the projector from images to texts that all pairs teach, by weight: `[m, dt]`. Of all targets for
/// these pictures they bring the projector that the set teaches the nearest to it, as far as the pictures reach.
///
/// # Errors
/// [`crate::error::Error::Shape`] for widths or weights that do not fit, [`crate::error::Error::Cancelled`].
pub fn apm(pictures: ArrayView2<f32>, data: &Embeddings, weights: &[f32], ctx: &Ctx) -> Result<Array2<f32>> {
    let (seen, space) = (seen(pictures, data)?, Space::new(data, Texts::Raw)?);
    let pairs = Weighted::new(&space, weights)?;
    let projector = pairs.to_texts(pairs.images(ctx)?, &pairs.cross(ctx)?, RIDGE)?.map;
    Ok(around(&pairs.text_mean, seen.dot(&projector)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::pipeline::ridge::{Ridge, sample};
    use ndarray::{Axis, s};

    /// The projector that pictures and targets teach, `[d, dt]`.
    fn taught(pictures: ArrayView2<f32>, targets: &Array2<f32>, data: &Embeddings) -> Array2<f64> {
        let (seen, targets) = (seen(pictures, data).unwrap(), targets.mapv(f64::from));
        let targets = &targets - &targets.mean_axis(Axis(0)).unwrap();
        Ridge::solve(seen.t().dot(&seen), seen.t().dot(&targets).view(), 1e-9, vec![], vec![]).unwrap().map
    }

    #[test]
    fn the_set_teaches_the_projector_of_all_pairs_as_far_as_its_pictures_reach() {
        let (data, _) = sample::pairs(90, 2, [6, 4], 0.2, 8);
        let weights: Vec<f32> = (0..180).map(|r| (r % 5) as f32 / 4.0).collect();
        let space = Space::new(&data, Texts::Raw).unwrap();
        let pairs = Weighted::new(&space, &weights).unwrap();
        let (images, cross) = (pairs.images(&Ctx::quiet()).unwrap(), pairs.cross(&Ctx::quiet()).unwrap());
        let all = pairs.to_texts(images, &cross, RIDGE).unwrap().map;
        for m in [4, 20] {
            let pictures = data.image.view().slice_move(s![..m, ..]);
            let found = apm(pictures, &data, &weights, &Ctx::quiet()).unwrap();
            let off = |targets: &Array2<f32>| (taught(pictures, targets, &data) - &all).mapv(|v| v * v).sum().sqrt();
            let reach = seen(pictures, &data).unwrap().dot(&(taught(pictures, &found, &data) - &all));
            assert!(reach.iter().all(|v| v.abs() < 1e-4), "{m}: {reach}");
            assert!(m == 4 || off(&found) < 1e-3, "{}", off(&found));
            let captions = data.text.view().slice_move(s![..m, ..]).to_owned();
            assert!(off(&found) < 0.9 * off(&captions), "{m}: {} {}", off(&found), off(&captions));
        }
    }

    #[test]
    fn pictures_all_alike_get_the_mean_caption() {
        let (data, _) = sample::pairs(30, 2, [6, 4], 0.0, 6);
        let mean = data.text.view().mean_axis(Axis(0)).unwrap();
        let pictures = Array2::from_shape_fn((3, 6), |(_, j)| j as f32);
        let found = apm(pictures.view(), &data, &[1.0; 60], &Ctx::quiet()).unwrap();
        assert!((found - &mean).iter().all(|v| v.abs() < 1e-4));
        assert!(apm(Array2::zeros((3, 5)).view(), &data, &[1.0; 60], &Ctx::quiet()).is_err());
    }
}
