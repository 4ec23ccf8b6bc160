//! Text targets solved for after the pictures exist, and how far pairs stand for one another.

use super::{Space, Texts, Weighted};
use crate::error::Result;
use crate::pipeline::setting;
use crate::{
    kernels::{cholesky::Cholesky, vectors},
    pipeline::{Ctx, space::embeddings::Embeddings},
};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

/// Settings of solved targets and of soft correspondences.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TargetSettings {
    /// Ridge of the map from captions to images, relative to its mean eigenvalue; above 0.
    pub lam: f64,
    /// Ridge of the pictures' own inner products, relative to their mean; above 0.
    pub mu: f64,
    /// What a pair's correspondence gives to the others, from 0 to 1.
    pub eps: f64,
    /// The temperature of their cosines, above 0.
    pub tau: f64,
}

impl Default for TargetSettings {
    fn default() -> Self {
        Self { lam: 1.0, mu: 1.0, eps: 0.3, tau: 0.3 }
    }
}

impl TargetSettings {
    /// # Errors
    /// [`crate::error::Error::Setting`] naming the first that is out of range.
    pub fn check(&self) -> Result<()> {
        setting::check("targets", self)
    }
}

/// Solved text targets for pictures whose CLIP rows are `pictures` `[m, d]`: `[m, dt]`. A student trained on them is pushed to
/// the map from captions to images that all of `data` would teach. Pictures that are all alike get the mean caption.
///
/// # Errors
/// [`crate::error::Error::Setting`] as [`TargetSettings::check`], [`crate::error::Error::Shape`] for widths or weights that do not fit,
/// [`crate::error::Error::Cancelled`].
pub fn solve(
    pictures: ArrayView2<f32>,
    data: &Embeddings,
    weights: &[f32],
    settings: &TargetSettings,
    ctx: &Ctx,
) -> Result<Array2<f32>> {
    settings.check()?;
    let (seen, m) = (seen(pictures, data)?, pictures.nrows());
    let space = Space::new(data, Texts::Raw)?;
    let pairs = Weighted::new(&space, weights)?;
    let texts = pairs.texts(ctx)?;
    let spread = texts.diag().sum();
    let map = pairs.to_images(texts, &pairs.cross(ctx)?, settings.lam)?.map;
    let mut inner = seen.dot(&seen.t());
    let step = settings.mu * inner.diag().sum() / m.max(1) as f64;
    let mut out = Array2::<f64>::zeros((m, data.text.ncols()));
    if step > 0.0 {
        inner.diag_mut().mapv_inplace(|v| v + step);
        out = Cholesky::new(inner)?.solve(seen.dot(&map.t()).view());
        let length = (out.iter().map(|v| v * v).sum::<f64>() / m as f64).sqrt();
        if length > 0.0 {
            out *= spread.sqrt() / length;
        }
    }
    Ok(around(&pairs.text_mean, out))
}

/// Pictures as the solvers see them, of length 1 and without their mean: the images' mean goes with theirs.
///
/// # Errors
/// [`crate::error::Error::Shape`] unless they are as wide as the images, of finite numbers.
pub(crate) fn seen(pictures: ArrayView2<f32>, data: &Embeddings) -> Result<Array2<f64>> {
    if pictures.ncols() != data.image.ncols() {
        return Err(vectors::shape("widths of pictures and images", data.image.ncols(), pictures.ncols()));
    }
    vectors::finite("rows of the pictures", pictures)?;
    let seen = vectors::unit(pictures).mapv(f64::from);
    let mean = seen.mean_axis(Axis(0)).unwrap_or_else(|| Array1::zeros(pictures.ncols()));
    Ok(seen - mean)
}

/// Rows found without the mean caption, with it.
pub(crate) fn around(mean: &[f64], rows: Array2<f64>) -> Array2<f32> {
    (rows + ArrayView1::from(mean)).mapv(|v| v as f32)
}

/// How far each pair of `targets` `[m, dt]` stands for each other, `[m, m]`, symmetric: rows and columns, each divided by its
/// sum, are what a student is to answer. `1 - eps` of a pair is its own; `eps` is shared by the softmax of the cosines of
/// centred targets.
///
/// # Errors
/// [`crate::error::Error::Setting`] as [`TargetSettings::check`], [`crate::error::Error::Shape`] for widths or weights that do not fit.
pub fn soft_correspondence(
    targets: ArrayView2<f32>,
    data: &Embeddings,
    weights: &[f32],
    settings: &TargetSettings,
) -> Result<Array2<f32>> {
    settings.check()?;
    if targets.ncols() != data.text.ncols() {
        return Err(vectors::shape("widths of targets and captions", data.text.ncols(), targets.ncols()));
    }
    vectors::finite("targets", targets)?;
    let space = Space::new(data, Texts::Raw)?;
    let mean = Array1::from(Weighted::new(&space, weights)?.text_mean);
    let mut rows = targets.mapv(f64::from) - &mean;
    for mut row in rows.outer_iter_mut() {
        let length = row.iter().map(|v| v * v).sum::<f64>().sqrt();
        row.mapv_inplace(|v| if length > 0.0 { v / length } else { 0.0 });
    }
    let mut given = rows.dot(&rows.t()).mapv(|c| ((c - 1.0) / settings.tau).exp());
    given.diag_mut().fill(0.0);
    for mut row in given.outer_iter_mut() {
        let sum = row.sum();
        row.mapv_inplace(|v| if sum > 0.0 { settings.eps * v / sum } else { 0.0 });
    }
    given.diag_mut().fill(1.0 - settings.eps);
    Ok(((&given + &given.t()) / 2.0).mapv(|v| v as f32))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::pipeline::ridge::sample;

    #[test]
    fn one_picture_and_pictures_all_alike_get_the_mean_caption_and_no_nan() {
        let (data, _) = sample::pairs(30, 2, [6, 4], 0.0, 6);
        let (weights, mean) = (vec![1.0; 60], data.text.view().mean_axis(Axis(0)).unwrap());
        for m in [1, 3] {
            let pictures = Array2::from_shape_fn((m, 6), |(_, j)| j as f32);
            let found = solve(pictures.view(), &data, &weights, &TargetSettings::default(), &Ctx::quiet()).unwrap();
            assert!(found.dim() == (m, 4) && (found - &mean).iter().all(|v| v.abs() < 1e-4));
        }
        let one = data.text.view().slice_move(ndarray::s![..1, ..]);
        let soft = soft_correspondence(one, &data, &weights, &TargetSettings::default()).unwrap();
        assert_eq!(soft, Array2::from_elem((1, 1), 0.7));
    }

    #[test]
    fn targets_vary_as_much_as_captions_do() {
        let (data, _) = sample::pairs(80, 2, [6, 4], 0.0, 7);
        let pictures = data.image.view().slice_move(ndarray::s![..20, ..]);
        let found = solve(pictures, &data, &[1.0; 160], &TargetSettings::default(), &Ctx::quiet()).unwrap();
        let mean = data.text.view().mean_axis(Axis(0)).unwrap();
        let spread = |rows: &Array2<f32>| (rows - &mean).mapv(|v| v * v).sum() / rows.nrows() as f32;
        let (ours, theirs) = (spread(&found), spread(&data.text.view().to_owned()));
        assert!((ours / theirs - 1.0).abs() < 1e-3, "{ours} {theirs}");
    }
}
