//! Ridge regression from one side of the pairs to the other, every pair counted by its weight.

pub(crate) mod gram;
pub mod targets;

use super::{Ctx, space::embeddings::Embeddings};
use crate::error::Result;
use crate::kernels::{cholesky::Cholesky, vectors};
use ndarray::{Array2, ArrayView1, ArrayView2};
use rayon::prelude::*;

/// Rows of a partial sum.
const BLOCK: usize = 4096;

/// Weighted, centred ridge regression: `(a - from) map + to`.
#[derive(Clone, Debug, PartialEq)]
pub struct Ridge {
    /// `[a, b]`
    pub map: Array2<f64>,
    /// Weighted mean of what it maps from, `[a]`.
    pub from: Vec<f64>,
    /// Weighted mean of what it maps to, `[b]`.
    pub to: Vec<f64>,
}

impl Ridge {
    /// Of the second moments of the one side `[a, a]` and with the other `[a, b]`, both per unit of weight; `lam` is
    /// relative to the mean eigenvalue. A side that does not vary maps to nothing.
    ///
    /// # Errors
    /// [`crate::error::Error::Shape`] for a `lam` that leaves the moments singular.
    pub fn solve(mut own: Array2<f64>, with: ArrayView2<f64>, lam: f64, from: Vec<f64>, to: Vec<f64>) -> Result<Self> {
        let step = lam * own.diag().sum() / own.nrows().max(1) as f64;
        if own.diag().sum() <= 0.0 {
            return Ok(Self { map: Array2::zeros(with.dim()), from, to });
        }
        own.diag_mut().mapv_inplace(|v| v + step);
        Ok(Self { map: Cholesky::new(own)?.solve(with), from, to })
    }
}

/// How captions are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Texts {
    /// By their direction.
    Unit,
    /// As they are.
    Raw,
}

/// Pairs as the solvers see them: images of length 1, captions of length 1 or raw. Rows are scaled as they are met, so that
/// nothing is copied.
pub(crate) struct Space<'a> {
    pub data: &'a Embeddings,
    /// What scales each image.
    image: Vec<f32>,
    /// What scales each caption.
    text: Vec<f32>,
    /// The captions of image `i` are `rows[first[i]..first[i + 1]]`, ascending.
    first: Vec<u32>,
    rows: Vec<u32>,
}

impl<'a> Space<'a> {
    /// # Errors
    /// [`crate::error::Error::Shape`] if a pair has no image, or for NaN and infinity.
    pub fn new(data: &'a Embeddings, texts: Texts) -> Result<Self> {
        let (images, rows) = (data.image.nrows(), data.text.nrows());
        if data.image_of.len() != rows {
            return Err(vectors::shape("captions with an image", rows, data.image_of.len()));
        }
        if let Some(image) = data.image_of.iter().find(|&&i| i as usize >= images) {
            return Err(vectors::shape("image of a caption", format!("below {images}"), image));
        }
        let mut first = vec![0u32; data.image.nrows() + 1];
        data.image_of.iter().for_each(|&i| first[i as usize + 1] += 1);
        (1..first.len()).for_each(|i| first[i] += first[i - 1]);
        let (mut next, mut rows) = (first.clone(), vec![0; data.image_of.len()]);
        for (row, &i) in data.image_of.iter().enumerate() {
            rows[next[i as usize] as usize] = row as u32;
            next[i as usize] += 1;
        }
        let image = scales("image embeddings", data.image.view())?;
        let mut text = scales("text embeddings", data.text.view())?;
        if texts == Texts::Raw {
            text.fill(1.0);
        }
        Ok(Self { data, image, text, first, rows })
    }

    /// The captions of image `i`.
    pub fn rows_of(&self, i: usize) -> &[u32] {
        &self.rows[self.first[i] as usize..self.first[i + 1] as usize]
    }

    /// The cosine of an image and a caption; 0 if they are not of the same width.
    pub fn cosine(&self, i: usize, r: usize) -> f32 {
        let (image, text) = (self.data.image.row(i), self.data.text.row(r));
        match (image.to_slice(), text.to_slice()) {
            (Some(a), Some(b)) if a.len() == b.len() => self.image[i] * self.text[r] * gram::dot(a, b),
            _ => 0.0,
        }
    }

    /// Image `i` as it lies, and what scales it.
    pub fn image_row(&self, i: usize) -> (&[f32], f64) {
        (self.data.image.row(i).to_slice().unwrap_or(&[]), f64::from(self.image[i]))
    }

    /// `factor (image i - mean)`.
    pub fn image(&self, i: usize, mean: &[f32], factor: f32, out: &mut [f32]) {
        shifted(self.data.image.row(i), self.image[i], mean, factor, out);
    }

    /// `factor (caption r - mean)`.
    pub fn text(&self, r: usize, mean: &[f32], factor: f32, out: &mut [f32]) {
        shifted(self.data.text.row(r), self.text[r], mean, factor, out);
    }
}

/// What scales each row to length 1; 0 for one without a direction.
fn scales(what: &'static str, rows: ArrayView2<f32>) -> Result<Vec<f32>> {
    let scale = |(i, row): (usize, ArrayView1<f32>)| {
        let row = row.to_slice().unwrap_or(&[]);
        match gram::exact(row, row) {
            square if !square.is_finite() => {
                Err(vectors::shape(what, "values with finite squares", format!("NaN or infinity in row {i}")))
            }
            square if square > 0.0 => Ok((1.0 / square.sqrt()) as f32),
            _ => Ok(0.0),
        }
    };
    // The first bad row's error, whichever thread met it.
    let scales: Vec<Result<f32>> = rows.outer_iter().into_par_iter().enumerate().map(scale).collect();
    scales.into_iter().collect()
}

fn shifted(row: ArrayView1<f32>, scale: f32, mean: &[f32], factor: f32, out: &mut [f32]) {
    let row = row.to_slice().unwrap_or(&[]);
    out.iter_mut().zip(row).zip(mean).for_each(|((o, v), m)| *o = factor * (scale * v - m));
}

/// In float32.
pub(crate) fn single(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&v| v as f32).collect()
}

/// The pairs of a space that have a weight, and their weighted means.
pub(crate) struct Weighted<'a> {
    space: &'a Space<'a>,
    weights: &'a [f32],
    /// Captions of some weight, and the images that have one.
    texts: Vec<u32>,
    images: Vec<u32>,
    /// Of each image of the data.
    image_weight: Vec<f64>,
    /// All weight.
    pub total: f64,
    /// Weighted mean of the captions, `[dt]`.
    pub text_mean: Vec<f64>,
    /// Weighted mean of the images, `[d]`.
    pub image_mean: Vec<f64>,
}

impl<'a> Weighted<'a> {
    /// # Errors
    /// [`crate::error::Error::Shape`] unless there is one weight from 0 to 1 a pair, some of them above 0.
    pub fn new(space: &'a Space, weights: &'a [f32]) -> Result<Self> {
        let n = space.data.pairs();
        if weights.len() != n {
            return Err(vectors::shape("weights of the pairs", n, weights.len()));
        }
        if let Some(row) = weights.iter().position(|w| !(0.0..=1.0).contains(w)) {
            return Err(vectors::shape("weight of a pair", "from 0 to 1", format!("{} in row {row}", weights[row])));
        }
        let texts: Vec<u32> = (0..n as u32).filter(|&r| weights[r as usize] > 0.0).collect();
        if texts.is_empty() {
            return Err(vectors::shape("weights of the pairs", "some above 0", "none"));
        }
        let mut image_weight = vec![0.0; space.data.image.nrows()];
        for (row, &i) in space.data.image_of.iter().enumerate() {
            image_weight[i as usize] += f64::from(weights[row]);
        }
        let images: Vec<u32> = (0..image_weight.len() as u32).filter(|&i| image_weight[i as usize] > 0.0).collect();
        let total = texts.iter().map(|&r| f64::from(weights[r as usize])).sum();
        let (of_text, of_image) = (|r: usize| f64::from(weights[r]), |i: usize| image_weight[i]);
        let text_mean = mean(space.data.text.view(), &texts, |r| of_text(r) * f64::from(space.text[r]) / total);
        let image_mean = mean(space.data.image.view(), &images, |i| of_image(i) * f64::from(space.image[i]) / total);
        Ok(Self { space, weights, texts, images, image_weight, total, text_mean, image_mean })
    }

    /// Second moments of the captions, `[dt, dt]`.
    ///
    /// # Errors
    /// [`crate::error::Error::Cancelled`].
    pub fn texts(&self, ctx: &Ctx) -> Result<Array2<f64>> {
        let mean = single(&self.text_mean);
        let fill = |k: usize, out: &mut [f32]| {
            let r = self.texts[k] as usize;
            self.space.text(r, &mean, self.weights[r].sqrt(), out);
        };
        Ok(gram::gram(self.texts.len(), mean.len(), fill, ctx)? / self.total)
    }

    /// Second moments of the images, `[d, d]`.
    ///
    /// # Errors
    /// [`crate::error::Error::Cancelled`].
    pub fn images(&self, ctx: &Ctx) -> Result<Array2<f64>> {
        let mean = single(&self.image_mean);
        let fill = |k: usize, out: &mut [f32]| {
            let i = self.images[k] as usize;
            self.space.image(i, &mean, self.image_weight[i].sqrt() as f32, out);
        };
        Ok(gram::gram(self.images.len(), mean.len(), fill, ctx)? / self.total)
    }

    /// Second moments of captions with images, `[dt, d]`; the captions of an image are added up first.
    ///
    /// # Errors
    /// [`crate::error::Error::Cancelled`].
    pub fn cross(&self, ctx: &Ctx) -> Result<Array2<f64>> {
        let (text, image) = (single(&self.text_mean), single(&self.image_mean));
        let fill = |k: usize, a: &mut [f32], b: &mut [f32]| {
            let i = self.images[k] as usize;
            self.space.image(i, &image, 1.0, b);
            a.fill(0.0);
            for &r in self.space.rows_of(i) {
                let (r, scale) = (r as usize, self.space.text[r as usize]);
                let (w, row) = (self.weights[r], self.space.data.text.row(r));
                let row = row.to_slice().unwrap_or(&[]);
                a.iter_mut().zip(row).zip(&text).for_each(|((a, v), m)| *a += w * (scale * v - m));
            }
        };
        Ok(gram::cross(self.images.len(), [text.len(), image.len()], fill, ctx)? / self.total)
    }

    /// The map from captions to images.
    ///
    /// # Errors
    /// As [`Ridge::solve`].
    pub fn to_images(&self, texts: Array2<f64>, cross: &Array2<f64>, lam: f64) -> Result<Ridge> {
        Ridge::solve(texts, cross.view(), lam, self.text_mean.clone(), self.image_mean.clone())
    }

    /// The map from images to captions.
    ///
    /// # Errors
    /// As [`Ridge::solve`].
    pub fn to_texts(&self, images: Array2<f64>, cross: &Array2<f64>, lam: f64) -> Result<Ridge> {
        Ridge::solve(images, cross.t(), lam, self.image_mean.clone(), self.text_mean.clone())
    }
}

/// `Σ factor(row) row` over `chosen` rows.
fn mean(rows: ArrayView2<f32>, chosen: &[u32], factor: impl Fn(usize) -> f64 + Sync) -> Vec<f64> {
    let part = |chosen: &[u32]| {
        let mut sum = vec![0.0; rows.ncols()];
        for &r in chosen {
            let factor = factor(r as usize);
            sum.iter_mut().zip(rows.row(r as usize)).for_each(|(s, &v)| *s += factor * f64::from(v));
        }
        sum
    };
    let parts: Vec<Vec<f64>> = chosen.par_chunks(BLOCK).map(part).collect();
    let mut sum = vec![0.0; rows.ncols()];
    parts.iter().for_each(|part| sum.iter_mut().zip(part).for_each(|(s, v)| *s += v));
    sum
}

#[cfg(test)]
pub(crate) mod sample {
    use super::*;
    use crate::fingerprint::Fingerprint;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, StandardNormal};

    /// Images of `widths[0]` numbers with `per` captions of `widths[1]` each, both of eight hidden ones and noise, in one space if
    /// the widths are equal; a share of the captions is with the image of another.
    pub fn pairs(images: usize, per: usize, widths: [usize; 2], share: f64, seed: u64) -> (Embeddings, Vec<bool>) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut normal = |shape| {
            Array2::from_shape_simple_fn(shape, || {
                <StandardNormal as Distribution<f32>>::sample(&StandardNormal, &mut rng)
            })
        };
        let hidden = normal((images, 8));
        let own: Vec<usize> = (0..images * per).map(|r| r / per).collect();
        let mix = widths.map(|d| normal((8, d)));
        let image = hidden.dot(&mix[0]) + normal((images, widths[0])) * 0.5 + 1.0;
        let mix = if widths[0] == widths[1] { &mix[0] } else { &mix[1] };
        let text = hidden.select(ndarray::Axis(0), &own).dot(mix);
        let text = text + normal((images * per, widths[1])) * 0.5 - 2.0;
        let moved = |r: usize| (r * 7919 % 1000) as f64 / 1000.0 < share;
        let shown = |r: usize| if moved(r) { (own[r] + rng.random_range(1..images)) % images } else { own[r] };
        let image_of: Vec<u32> = (0..own.len()).map(shown).map(|i| i as u32).collect();
        let wrong = image_of.iter().zip(&own).map(|(&a, &b)| a as usize != b).collect();
        (
            Embeddings { image: image.into(), text: text.into(), image_of, fingerprint: Fingerprint::of_bytes(b"") },
            wrong,
        )
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ndarray::Axis;

    #[test]
    fn a_ridge_satisfies_its_normal_equations_both_ways() {
        let (data, _) = sample::pairs(60, 3, [9, 6], 0.2, 3);
        let weights: Vec<f32> = (0..180).map(|r| (r % 5) as f32 / 4.0).collect();
        let space = Space::new(&data, Texts::Raw).unwrap();
        let pairs = Weighted::new(&space, &weights).unwrap();
        let cross = pairs.cross(&Ctx::quiet()).unwrap();
        let both = [
            (pairs.to_images(pairs.texts(&Ctx::quiet()).unwrap(), &cross, 0.3).unwrap(), false),
            (pairs.to_texts(pairs.images(&Ctx::quiet()).unwrap(), &cross, 0.3).unwrap(), true),
        ];
        let of: Vec<usize> = data.image_of.iter().map(|&i| i as usize).collect();
        let image = vectors::unit(data.image.view()).select(Axis(0), &of).mapv(f64::from);
        let (text, w) =
            (data.text.view().mapv(f64::from), Array2::from_shape_fn((180, 1), |(r, _)| f64::from(weights[r])));
        for (ridge, back) in both {
            let (a, b) = if back { (&image, &text) } else { (&text, &image) };
            let centred = |x: &Array2<f64>| x - &((x * &w).sum_axis(Axis(0)) / w.sum());
            let (a, b) = (centred(a), centred(b));
            let own = (&a * &w).t().dot(&a) / w.sum();
            let lam = 0.3 * own.diag().sum() / own.nrows() as f64;
            let off = (&a * &w).t().dot(&(&b - &a.dot(&ridge.map))) / w.sum() - &ridge.map * lam;
            assert!(off.iter().all(|v| v.abs() < 1e-5), "{back}");
        }
    }

    #[test]
    fn pairs_of_no_weight_take_no_part_and_weights_out_of_range_are_refused() {
        let (data, _) = sample::pairs(40, 2, [5, 5], 0.0, 4);
        let mut weights = vec![1.0; 80];
        weights[40..].fill(0.0);
        let of = |data: &Embeddings, weights: &[f32]| {
            let space = Space::new(data, Texts::Unit)?;
            let pairs = Weighted::new(&space, weights)?;
            Ok::<_, crate::error::Error>((pairs.texts(&Ctx::quiet())?, pairs.cross(&Ctx::quiet())?, pairs.image_mean))
        };
        let some = |n: usize| data.text.view().slice_move(ndarray::s![..n, ..]).to_owned();
        let half = Embeddings { text: some(40).into(), image_of: data.image_of[..40].to_vec(), ..data.clone() };
        assert_eq!(of(&data, &weights).unwrap(), of(&half, &[1.0; 40]).unwrap());
        for bad in [vec![1.0; 79], vec![0.0; 80], vec![1.5; 80], vec![f32::NAN; 80]] {
            assert!(of(&data, &bad).is_err());
        }
        let mut text = data.text.clone().into_array();
        text[[7, 3]] = f32::NAN;
        let bad = Embeddings { text: text.into(), ..data.clone() };
        assert!(of(&bad, &weights).unwrap_err().to_string().contains("NaN or infinity in row 7"));
        let bad = Embeddings { image_of: vec![40; 80], ..data };
        assert!(of(&bad, &weights).unwrap_err().to_string().contains("below 40"));
    }
}
