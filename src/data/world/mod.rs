//! The demo world: small captioned pictures drawn from a seed.
//!
//! Nobody should need a download to see the tool work, so the program draws a data set itself: scenes of a backdrop and
//! one to three objects, 64x64, with five captions each that describe them in part. It is written as any other data set
//! comes ([`write()`]), or used in memory ([`World`], [`dataset()`]). The look and the grammar are frozen: the shipped
//! checkpoints were trained on them.

mod caption;
mod dataset;
mod draw;
mod noise;
mod scene;
mod shapes;
#[cfg(test)]
mod tests;
mod write;

pub use caption::{CAPTIONS, Caption, Claim, Mention, Relation};
pub use dataset::dataset;
pub use draw::SIDE;
pub use noise::{Among, Swapped};
pub use scene::{BACKDROPS, COLOURS, Object, SHAPES, SIZES, SLOTS, Scene};
pub use write::write;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Scenes in the validation split.
pub const VAL_SCENES: usize = 500;
/// Scenes in the test split.
pub const TEST_SCENES: usize = 1_000;
/// The seed of the world that the shipped checkpoints were trained on.
pub const DEFAULT_SEED: u64 = 1;

/// Scene seeds kept for each part.
const PART_SEEDS: u64 = 1 << 40;

/// The split that a scene belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// Of any size.
    Train,
    /// [`VAL_SCENES`] scenes.
    Val,
    /// [`TEST_SCENES`] scenes.
    Test,
}

impl Part {
    /// All of them, in the order in which they are written.
    pub const ALL: [Part; 3] = [Part::Train, Part::Val, Part::Test];

    /// "train", "val" or "test".
    pub fn name(self) -> &'static str {
        match self {
            Part::Train => "train",
            Part::Val => "val",
            Part::Test => "test",
        }
    }
}

/// Which world is meant, and how much of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorldSpec {
    /// Scenes in the training split; each has [`CAPTIONS`] captions.
    pub scenes: usize,
    /// The share of training captions that are swapped between scenes, 0 to 1.
    pub noise: f32,
    /// The seed of the world.
    pub seed: u64,
    /// Between which scenes.
    #[serde(default, skip_serializing_if = "Among::is_all")]
    pub among: Among,
    /// The seed of what is swapped, where it is not the world's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise_seed: Option<u64>,
}

impl WorldSpec {
    /// With captions swapped between any scenes.
    pub const fn new(scenes: usize, noise: f32, seed: u64) -> Self {
        Self { scenes, noise, seed, among: Among::All, noise_seed: None }
    }

    /// For each training caption (`CAPTIONS` to a scene, scene by scene) the scene it is shown with.
    pub fn shown(&self) -> Vec<usize> {
        noise::shown(self)
    }

    /// Says what is wrong with it, if anything.
    ///
    /// # Errors
    /// [`Error::Setting`] when there are no scenes, more than a `u32` counts, or `noise` is not a share.
    pub fn check(&self) -> Result<()> {
        if self.scenes == 0 || u32::try_from(self.scenes).is_err() {
            return Err(Error::setting("scenes", format!("{} is not between 1 and {}", self.scenes, u32::MAX)));
        }
        if !(0.0..=1.0).contains(&self.noise) {
            return Err(Error::setting("noise", format!("{} is not a share between 0 and 1", self.noise)));
        }
        Ok(())
    }

    /// Scenes of a split.
    pub fn scenes_in(&self, part: Part) -> usize {
        match part {
            Part::Train => self.scenes,
            Part::Val => VAL_SCENES,
            Part::Test => TEST_SCENES,
        }
    }
}

/// A world in memory: a rule that gives the scene at any index of any split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct World {
    first: u64,
}

impl World {
    /// The world of a seed.
    pub fn new(seed: u64) -> Self {
        // The finaliser of SplitMix64 (Steele et al. 2014), so that neighbouring seeds do not share scenes; the low bits
        // are left to the splits.
        let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self { first: (z ^ (z >> 31)) & !(4 * PART_SEEDS - 1) }
    }

    /// The seed of a scene. Parts lie in ranges of their own, so no scene seed is in two.
    pub fn scene_seed(&self, part: Part, index: usize) -> u64 {
        self.first + part as u64 * PART_SEEDS + index as u64 % PART_SEEDS
    }

    /// The scene at `index` of `part`.
    pub fn scene(&self, part: Part, index: usize) -> Scene {
        Scene::from_seed(self.scene_seed(part, index))
    }

    /// The first `scenes` scenes of `part` with their captions, one `(index of the scene, caption)` for each caption.
    pub fn captions(self, part: Part, scenes: usize) -> impl Iterator<Item = (usize, String)> {
        (0..scenes).flat_map(move |index| self.scene(part, index).captions().into_iter().map(move |text| (index, text)))
    }
}
