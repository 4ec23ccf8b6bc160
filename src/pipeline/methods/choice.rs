//! What a method may do of its own: choose what prototypes are made of, or pick real pairs.

use crate::{
    error::Result,
    pipeline::{Ctx, space::embeddings::Embeddings},
};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Chooses what prototypes are made of.
pub type Choose = fn(&Asked) -> Result<Choice>;

/// Picks so many rows of all pairs.
pub type Pick = fn(&Embeddings, usize, &mut ChaCha8Rng, &Ctx) -> Result<Vec<u32>>;

/// What a choice is made of.
pub struct Asked<'a> {
    /// All pairs.
    pub data: &'a Embeddings,
    /// What each of them counts.
    pub weights: &'a [f32],
    /// How many prototypes.
    pub m: usize,
    /// For what is random.
    pub seed: u64,
    /// Progress and cancelling.
    pub ctx: &'a Ctx,
}

/// Pairs whose image and caption both lie near together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JointCluster {
    /// Weighted mean raw image embedding, `[d]`.
    pub image: Vec<f32>,
    /// Weighted mean raw text embedding, `[dt]`.
    pub text: Vec<f32>,
    /// Its pairs, ascending.
    pub rows: Vec<u32>,
}

/// What a method chose.
#[derive(Serialize, Deserialize)]
pub enum Choice {
    /// Images by number, each for all its captions.
    Images(Vec<u32>),
    /// Clusters of pairs.
    Clusters(Vec<JointCluster>),
}
