//! Leaves out the pairs whose image and caption agree least.

use super::{
    embeddings::{Embeddings, Kept, fits},
    trust::{TrustSettings, trust},
};
use crate::error::{Error, Result};
use crate::{kernels::vectors, pipeline::Ctx};
use ndarray::Axis;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// What a pair is judged by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PruneMethod {
    /// Whether it is more likely matched than re-paired at random (see [`super::trust`]): as many are dropped as
    /// are mismatched.
    #[default]
    Trust,
    /// The cosine between the image's and the caption's embedding: a share is dropped, mismatched or not (the paper's).
    ClipScore,
}

/// How to prune.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PruneSettings {
    /// The share of pairs that `clip-score` drops, from 0 to below 1.
    pub ratio: f64,
    /// The judge.
    pub method: PruneMethod,
}

impl Default for PruneSettings {
    fn default() -> Self {
        Self { ratio: 0.2, method: PruneMethod::default() }
    }
}

impl PruneSettings {
    /// # Errors
    /// [`Error::Setting`] for a ratio that is not in [0, 1).
    pub fn check(&self) -> Result<()> {
        if (0.0..1.0).contains(&self.ratio) {
            return Ok(());
        }
        Err(Error::setting("prune.ratio", format!("must be from 0 to below 1, not {}", self.ratio)))
    }
}

/// The cosine of every pair, `[pairs]`; 0 for an embedding of length 0.
///
/// # Errors
/// [`Error::Shape`] if the arrays do not fit or hold a NaN, [`Error::Cancelled`].
pub fn similarities(data: &Embeddings, ctx: &Ctx) -> Result<Vec<f32>> {
    fits(data)?;
    let texts = data.text.view();
    let blocks: Vec<_> =
        texts.axis_chunks_iter(Axis(0), vectors::BLOCK).zip(data.image_of.chunks(vectors::BLOCK)).collect();
    let parts: Vec<Vec<f32>> = blocks
        .into_par_iter()
        .map(|(texts, images)| {
            ctx.check()?;
            let pair = |(text, &image)| vectors::cosine(data.image.row(image as usize), text) as f32;
            Ok(texts.outer_iter().zip(images).map(pair).collect())
        })
        .collect::<Result<_>>()?;
    Ok(parts.concat())
}

/// Drops the pairs that are not trusted, or the `floor(ratio · N)` of lowest similarity; of equals the earlier row goes first.
///
/// # Errors
/// As [`similarities`], and [`Error::Setting`] as [`PruneSettings::check`].
pub fn prune(data: &Embeddings, settings: &PruneSettings, ctx: &Ctx) -> Result<Kept> {
    settings.check()?;
    match settings.method {
        PruneMethod::Trust => Ok(trust(data, &TrustSettings::default(), ctx)?.kept()),
        PruneMethod::ClipScore => Ok(lowest_dropped(&similarities(data, ctx)?, settings.ratio)),
    }
}

/// The rows left when the `floor(ratio · N)` lowest `scores` are dropped: what a threshold slider shows at once.
pub fn lowest_dropped(scores: &[f32], ratio: f64) -> Kept {
    let mut order: Vec<u32> = (0..scores.len() as u32).collect();
    order.sort_by(|&a, &b| scores[a as usize].total_cmp(&scores[b as usize]).then(a.cmp(&b)));
    let dropped = (ratio * scores.len() as f64).floor() as usize;
    let mut kept = order.split_off(dropped.min(order.len()));
    kept.sort_unstable();
    Kept(kept)
}
