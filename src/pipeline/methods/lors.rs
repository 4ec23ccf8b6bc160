//! Targets and similarities learned together, after LoRS (Xu et al., ICML 2024, arXiv 2406.03793), as a yardstick.
//!
//! As there: the set begins with real pairs drawn at random; its pairs are as similar as `S = diag(a) + (α / r) L Rᵀ` says,
//! with `a` ones, `L` normal and `R` zeros at first, α and r as in its scripts; a student takes as many steps on the set as
//! there, with the extended InfoNCE that `S` weighs (the paper has it beside two forms of cross-entropy, one of which it
//! prefers); its rate is learned too, and gradients go back through all its steps.
//!
//! Not as there: features are CLIP's and frozen, pictures stay as they are, and the student is one linear map from captions to
//! images. It begins at random, not at an expert's checkpoint, and what is lowered is its loss on real pairs, not its distance
//! from the expert. `S` is made symmetric and kept from falling below 0, which the students' loss needs; steps are Adam's.
//!
//! `mdw` is the same with a rank of all pairs, so that every similarity is free: what MDW's abstract (arXiv 2506.01586) says of its
//! correspondences. Steps scaled by maps of the pictures, which it says too, have nothing to scale where pictures stay.

#[cfg(test)]
mod tests;

use crate::{
    error::{Error, Result},
    kernels::vectors,
    pipeline::{
        Ctx,
        ridge::{Space, Texts, Weighted, single},
        space::embeddings::Embeddings,
    },
};
use candle_core::{DType, Device, Result as Computed, Tensor, Var};
use candle_nn::{
    AdamW, Optimizer, ParamsAdamW,
    ops::{log_softmax, softmax},
};
use ndarray::{Array2, ArrayView2};
use rand::{Rng, SeedableRng, seq::index};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// Steps of a student on the set (`--syn_steps`).
const STEPS: usize = 8;
/// Weight of the low-rank part (`--alpha`).
const ALPHA: f64 = 3.0;
/// Real pairs that judge a student.
const BATCH: usize = 256;
/// Divides cosines: the students' own.
const TEMPERATURE: f64 = 0.07;
/// What a pair is worth to itself besides: no row of `S` is all zeros.
const FLOOR: f64 = 0.01;
/// Adam's step for similarities and the rate; for targets, whose rows are about 1 long, in units of a number of theirs.
const STEP: f64 = 0.02;

/// How much is learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LorsSettings {
    /// Rank of what is learned of the similarities (`--sim_rank`).
    pub rank: usize,
    /// Students that are trained, one after the other.
    pub students: usize,
}

impl Default for LorsSettings {
    fn default() -> Self {
        Self { rank: 10, students: 300 }
    }
}

/// Learns targets `[m, dt]`, beginning at `captions` `[m, dt]`, and how far pairs belong together, `[m, m]` (symmetric, no
/// number below 0, no row of zeros), for pictures whose CLIP rows are `pictures` `[m, d]`. Real pairs of no weight take no part.
///
/// # Errors
/// [`Error::Shape`] for widths or weights that do not fit, [`Error::Cancelled`].
pub fn lors(
    (pictures, captions): (ArrayView2<f32>, ArrayView2<f32>),
    data: &Embeddings,
    weights: &[f32],
    (settings, seed): (LorsSettings, u64),
    ctx: &Ctx,
) -> Result<(Array2<f32>, Array2<f32>)> {
    let space = Space::new(data, Texts::Raw)?;
    let real = Real::new(&space, weights, (pictures, captions))?;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let set = Set::new(&real, (pictures, captions), settings.rank, &mut rng)?;
    let mut adam = set.adam().map_err(Error::tensor("learn targets"))?;
    for done in 0..settings.students {
        ctx.step("lors", done, settings.students)?;
        let start = start((captions.ncols(), pictures.ncols()), &mut rng)?;
        let batch = real.batch(&mut rng)?;
        let learn = || {
            let slopes = loss(&batch, &set.student(start)?)?.backward()?;
            adam.iter_mut().try_for_each(|a| a.step(&slopes))
        };
        learn().map_err(Error::tensor("learn targets"))?;
    }
    let mut targets = array(&set.texts)?;
    targets.outer_iter_mut().for_each(|mut row| {
        row.iter_mut().zip(&real.text_mean).for_each(|(v, m)| *v = *v * real.scale + m);
    });
    Ok((targets, array(&set.similarity().map_err(Error::tensor("learn similarities"))?)?))
}

/// Real pairs: images of length 1 and captions, both without their weighted means, captions in units of the set's own.
struct Real<'a> {
    space: &'a Space<'a>,
    weights: &'a [f32],
    /// Images that have a caption of some weight.
    images: Vec<u32>,
    image_mean: Vec<f32>,
    text_mean: Vec<f32>,
    /// Root mean square of the lengths of the set's captions without the mean.
    scale: f32,
}

impl<'a> Real<'a> {
    fn new(
        space: &'a Space,
        weights: &'a [f32],
        (pictures, captions): (ArrayView2<f32>, ArrayView2<f32>),
    ) -> Result<Self> {
        let found = Weighted::new(space, weights)?;
        let (image_mean, text_mean) = (single(&found.image_mean), single(&found.text_mean));
        for (what, given, own) in [
            ("widths of pictures and images", pictures.ncols(), image_mean.len()),
            ("widths of targets and captions", captions.ncols(), text_mean.len()),
            ("pictures and captions", captions.nrows(), pictures.nrows()),
        ] {
            if given != own {
                return Err(vectors::shape(what, own, given));
            }
        }
        vectors::finite("rows of the pictures", pictures)?;
        vectors::finite("captions", captions)?;
        let square = |(v, m): (&f32, &f32)| f64::from(v - m).powi(2);
        let squares: f64 = captions.outer_iter().map(|r| r.iter().zip(&text_mean).map(square).sum::<f64>()).sum();
        let scale = (squares / captions.nrows().max(1) as f64).sqrt() as f32;
        let weighs = |&i: &u32| space.rows_of(i as usize).iter().any(|&r| weights[r as usize] > 0.0);
        let images = (0..space.data.image.nrows() as u32).filter(weighs).collect();
        Ok(Self { space, weights, images, image_mean, text_mean, scale: if scale > 0.0 { scale } else { 1.0 } })
    }

    /// Images drawn at random `[b, d]`, each with one of its captions `[b, dt]`, by weight.
    fn batch(&self, rng: &mut ChaCha8Rng) -> Result<(Tensor, Tensor)> {
        let n = BATCH.min(self.images.len());
        let mut images = Array2::zeros((n, self.image_mean.len()));
        let mut texts = Array2::zeros((n, self.text_mean.len()));
        for (k, at) in index::sample(rng, self.images.len(), n).into_iter().enumerate() {
            let i = self.images[at] as usize;
            let rows = self.space.rows_of(i);
            let mut left = rng.random_range(0.0..1.0) * rows.iter().map(|&r| self.weights[r as usize]).sum::<f32>();
            let own = rows.iter().filter(|&&r| self.weights[r as usize] > 0.0).find(|&&r| {
                left -= self.weights[r as usize];
                left < 0.0
            });
            let (mut image, mut text) = (images.row_mut(k), texts.row_mut(k));
            if let (Some(image), Some(text)) = (image.as_slice_mut(), text.as_slice_mut()) {
                self.space.image(i, &self.image_mean, 1.0, image);
                let row = own.or(rows.last()).map_or(0, |&r| r as usize);
                self.space.text(row, &self.text_mean, 1.0 / self.scale, text);
            }
        }
        Ok((vectors::tensor(vectors::unit(images.view()).view())?, vectors::tensor(texts.view())?))
    }
}

/// What is learned.
struct Set {
    /// Pictures as the batches' images are, `[m, d]`.
    images: Tensor,
    /// Targets as the batches' captions are, `[m, dt]`.
    texts: Var,
    /// Logarithm of the students' rate.
    rate: Var,
    diag: Var,
    left: Var,
    right: Var,
    eye: Tensor,
    rank: usize,
}

impl Set {
    fn new(
        real: &Real,
        (pictures, captions): (ArrayView2<f32>, ArrayView2<f32>),
        rank: usize,
        rng: &mut ChaCha8Rng,
    ) -> Result<Self> {
        let (m, rank) = (pictures.nrows(), rank.max(1));
        let mean = |mean: &[f32]| ndarray::Array1::from(mean.to_vec());
        let images = vectors::unit((vectors::unit(pictures) - mean(&real.image_mean)).view());
        let texts = (&captions - &mean(&real.text_mean)) / real.scale;
        let (images, texts) = (vectors::tensor(images.view())?, vectors::tensor(texts.view())?);
        let left = normal((m, rank), rng)?;
        let build = || {
            let (cpu, f32) = (&Device::Cpu, DType::F32);
            Ok(Self {
                images,
                texts: Var::from_tensor(&texts)?,
                rate: Var::zeros(1, f32, cpu)?,
                diag: Var::ones(m, f32, cpu)?,
                left: Var::from_tensor(&left)?,
                right: Var::zeros((m, rank), f32, cpu)?,
                eye: Tensor::eye(m, f32, cpu)?,
                rank,
            })
        };
        build().map_err(Error::tensor("learn targets"))
    }

    /// Who steps: for the targets, and for all else.
    fn adam(&self) -> Computed<[AdamW; 2]> {
        let adam = |vars, lr| AdamW::new(vars, ParamsAdamW { lr, weight_decay: 0.0, ..Default::default() });
        let own = [&self.rate, &self.diag, &self.left, &self.right].map(Var::clone).to_vec();
        let width = self.texts.dims()[1].max(1) as f64;
        Ok([adam(vec![self.texts.clone()], STEP / width.sqrt())?, adam(own, STEP)?])
    }

    /// `S`, as the students' loss takes it: `[m, m]`.
    fn similarity(&self) -> Computed<Tensor> {
        let low = (self.left.matmul(&self.right.t()?)? * (ALPHA / self.rank as f64))?;
        let low = ((&low + low.t()?)? * 0.5)?;
        (low + self.eye.broadcast_mul(&self.diag)?)?.relu()? + (&self.eye * FLOOR)?
    }

    /// The map `[dt, d]` of a student that began at `map` and took its steps on the set.
    fn student(&self, mut map: Tensor) -> Computed<Tensor> {
        let similarity = self.similarity()?;
        let rows = similarity.broadcast_div(&similarity.sum_keepdim(1)?)?;
        let wanted = (rows + similarity.broadcast_div(&similarity.sum_keepdim(0)?)?)?;
        let (turned, rate) = (self.texts.t()?.contiguous()?, self.rate.exp()?);
        for _ in 0..STEPS {
            map = (map.clone() - turned.matmul(&self.slope(&map, &wanted)?)?.broadcast_mul(&rate)?)?;
        }
        Ok(map)
    }

    /// The slope of [`crate::models::loss::symmetric_info_nce`] by the mapped targets, `[m, d]`, written out: what goes back
    /// through a step is a slope of this.
    fn slope(&self, map: &Tensor, wanted: &Tensor) -> Computed<Tensor> {
        let (unit, length) = unit(&self.texts.matmul(map)?)?;
        let logits = (self.images.matmul(&unit.t()?)? / TEMPERATURE)?; // [m images, m texts]
        let slope = ((softmax(&logits, 1)? + softmax(&logits, 0)?)? - wanted)?;
        let per = 0.5 / (self.eye.dims()[0].max(1) as f64 * TEMPERATURE);
        let slope = (slope.t()?.contiguous()?.matmul(&self.images)? * per)?;
        let along = (&slope * &unit)?.sum_keepdim(1)?;
        (slope - unit.broadcast_mul(&along)?)?.broadcast_div(&length)
    }
}

/// Symmetric InfoNCE of a student's map on real pairs.
fn loss((images, texts): &(Tensor, Tensor), map: &Tensor) -> Computed<Tensor> {
    let (unit, _) = unit(&texts.matmul(map)?)?;
    let logits = (images.matmul(&unit.t()?)? / TEMPERATURE)?;
    let own = Tensor::eye(images.dims()[0], DType::F32, &Device::Cpu)?;
    let both = (log_softmax(&logits, 1)? + log_softmax(&logits, 0)?)?;
    (both * own)?.sum_all()? * (-0.5 / images.dims()[0].max(1) as f64)
}

/// Rows of length 1, and their lengths; one of zeros stays one.
fn unit(rows: &Tensor) -> Computed<(Tensor, Tensor)> {
    let length = (rows.sqr()?.sum_keepdim(1)? + 1e-12)?.sqrt()?;
    Ok((rows.broadcast_div(&length)?, length))
}

/// A student before its first step, `[dt, d]`: it keeps the lengths of rows, more or less.
fn start(shape: (usize, usize), rng: &mut ChaCha8Rng) -> Result<Tensor> {
    (normal(shape, rng)? / (shape.1.max(1) as f64).sqrt()).map_err(Error::tensor("learn targets"))
}

fn normal(shape: (usize, usize), rng: &mut ChaCha8Rng) -> Result<Tensor> {
    let draw = || <StandardNormal as Distribution<f32>>::sample(&StandardNormal, rng);
    vectors::tensor(Array2::from_shape_simple_fn(shape, draw).view())
}

fn array(of: &Tensor) -> Result<Array2<f32>> {
    let read = || Ok((of.dims2()?, of.flatten_all()?.to_vec1::<f32>()?));
    let (dim, values) = read().map_err(Error::tensor("learn targets"))?;
    Array2::from_shape_vec(dim, values).map_err(|e| vectors::shape("what was learned", "a matrix", e))
}
