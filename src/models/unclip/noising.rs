//! The unCLIP condition: an image embedding, noised in normalised space, beside its noise level.

use super::{config::NormalizerConfig, schedule::Schedule, unet::sinusoids};
use crate::{
    error::{Error, Result, said},
    models::{files::DIFFUSERS, weights::Part},
};
use candle_core::{DType, Device};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// `n` standard normal numbers of `seed`; each `stream` has its own.
pub fn noise(seed: u64, stream: u64, n: usize) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    (0..n).map(|_| rng.sample(StandardNormal)).collect()
}

/// `StableUnCLIPImageNormalizer` and the scheduler that noises what it normalised.
pub(super) struct Noising {
    mean: Vec<f32>,
    std: Vec<f32>,
    schedule: Schedule,
}

/// Width of the embeddings that `normalizer` is for.
pub(super) fn width_of(normalizer: &Part<'_>) -> Result<usize> {
    Ok(normalizer.json::<NormalizerConfig>("config.json")?.embedding_dim)
}

impl Noising {
    /// Reads both parts of the checkpoint.
    pub fn load(normalizer: &Part<'_>, scheduler: &Part<'_>) -> Result<Self> {
        let width = width_of(normalizer)?;
        let vb = normalizer.weights(DIFFUSERS, DType::F32, &Device::Cpu)?;
        let file = normalizer.path(&normalizer.weights_file(DIFFUSERS)?);
        let row = |name| -> candle_core::Result<Vec<f32>> { vb.get((1, width), name)?.flatten_all()?.to_vec1() };
        let wrong = |e: candle_core::Error| Error::input(&file, said(&e));
        let (mean, std) = (row("mean").map_err(wrong)?, row("std").map_err(wrong)?);
        if std.iter().any(|s| !s.is_normal()) {
            return Err(Error::input(&file, "`std` must be finite and not 0"));
        }
        Ok(Self { mean, std, schedule: Schedule::load(scheduler)? })
    }

    /// Width of an image embedding.
    pub fn width(&self) -> usize {
        self.mean.len()
    }

    /// How many noise levels there are.
    pub fn levels(&self) -> usize {
        self.schedule.len()
    }

    /// Class labels of `image` at noise `level`: the noised embedding and the level's sinusoids, `2 width` numbers.
    pub fn label(&self, image: &[f32], noise: &[f32], level: usize) -> candle_core::Result<Vec<f32>> {
        let alpha = self.schedule.alpha(level);
        let (keep, add) = (alpha.sqrt() as f32, (1. - alpha).sqrt() as f32);
        let rows = image.iter().zip(noise).zip(self.mean.iter().zip(&self.std));
        let mut label: Vec<f32> =
            rows.map(|((x, e), (mean, std))| ((x - mean) * (1. / std) * keep + e * add) * std + mean).collect();
        label
            .extend(sinusoids(&[level as f64], self.width(), true, 0., &Device::Cpu)?.flatten_all()?.to_vec1::<f32>()?);
        Ok(label)
    }
}
