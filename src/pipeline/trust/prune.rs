//! Leaves out the pairs whose image and caption agree least.

use super::{TrustSettings, trust};
use crate::{
    error::Result,
    pipeline::{
        Ctx, setting,
        space::{
            embeddings::{Embeddings, Kept},
            stats::similarities,
        },
    },
};
use serde::{Deserialize, Serialize};

/// What a pair is judged by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PruneMethod {
    /// Whether it is more likely matched than re-paired at random (see [`crate::pipeline::trust`]): as many are dropped as
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
    /// [`crate::error::Error::Setting`] for a ratio that is not in [0, 1).
    pub fn check(&self) -> Result<()> {
        setting::check("prune", self)
    }
}

/// Drops the pairs that are not trusted, or the `floor(ratio · N)` of lowest similarity; of equals the earlier row goes first.
///
/// # Errors
/// As [`similarities`], and [`crate::error::Error::Setting`] as [`PruneSettings::check`].
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
