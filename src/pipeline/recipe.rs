//! The settings of every stage together.

use super::{
    cluster::ClusterSettings,
    draw::synthesize,
    methods::Way,
    prototypes::{PrototypeSettings, caption::CaptionSettings},
    ridge::targets::TargetSettings,
    trust::prune::PruneSettings,
};
use serde::{Deserialize, Serialize};

/// What makes a distilled set out of a data set: the settings of every stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// Seed of everything random.
    pub seed: u64,
    /// How pairs are got.
    pub method: Way,
    /// Dropping mismatched pairs.
    pub prune: PruneSettings,
    /// Clustering; its `prototypes` is M for every method.
    pub cluster: ClusterSettings,
    /// Matched clusters to prototypes.
    pub prototype: PrototypeSettings,
    /// Choosing captions.
    pub caption: CaptionSettings,
    /// Decoding prototypes to images.
    pub synthesis: synthesize::Settings,
    /// What students match pictures with.
    pub targets: TargetSettings,
}
