//! What a scene holds, and how one is drawn by lot from its seed.
//!
//! Frequencies fall off roughly as Zipf's law does and depend on each other (boats are mostly at sea, trees mostly green), so
//! the world has frequent and rare clusters as a photo collection has.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// Names of the backdrops; a [`Scene`] refers to them by index.
pub const BACKDROPS: [&str; 8] = ["meadow", "night", "beach", "snow", "sea", "desert", "room", "road"];
/// Names of the shapes; an [`Object`] refers to them by index.
pub const SHAPES: [&str; 12] =
    ["ball", "box", "triangle", "star", "heart", "tree", "house", "boat", "ring", "cross", "moon", "car"];
/// Names of the colours; an [`Object`] refers to them by index.
pub const COLOURS: [&str; 10] =
    ["red", "blue", "yellow", "green", "white", "orange", "purple", "pink", "brown", "black"];
/// Names of the sizes; an [`Object`] refers to them by index.
pub const SIZES: [&str; 2] = ["small", "big"];
/// Names of the places, left to right; an [`Object`] refers to them by index.
pub const SLOTS: [&str; 3] = ["left", "centre", "right"];

const BACKDROP_WEIGHTS: [u32; 8] = [24, 13, 15, 9, 18, 6, 11, 10];
const SHAPE_WEIGHTS: [u32; 12] = [14, 9, 6, 10, 7, 17, 15, 9, 5, 4, 6, 12];
const COLOUR_WEIGHTS: [u32; 10] = [20, 16, 13, 10, 11, 9, 8, 7, 6, 5];
/// One, two or three objects.
const COUNT_WEIGHTS: [u32; 3] = [11, 50, 39];

/// `(backdrop, shape, factor)`: pairs met more often, or less often, than their own frequencies say.
const SHAPE_BY_BACKDROP: [(usize, usize, u32); 18] = [
    (0, 5, 30),
    (0, 6, 20),
    (0, 7, 2),
    (1, 3, 40),
    (1, 10, 50),
    (2, 0, 40),
    (2, 8, 25),
    (2, 7, 20),
    (3, 5, 20),
    (3, 9, 25),
    (4, 7, 60),
    (4, 11, 2),
    (4, 5, 3),
    (5, 2, 40),
    (6, 1, 40),
    (6, 4, 30),
    (7, 11, 50),
    (7, 6, 20),
];
/// `(shape, colour, factor)`, as above.
const COLOUR_BY_SHAPE: [(usize, usize, u32); 14] = [
    (5, 3, 50),
    (6, 8, 40),
    (6, 4, 20),
    (7, 4, 30),
    (3, 2, 50),
    (10, 2, 40),
    (10, 4, 30),
    (4, 0, 40),
    (4, 7, 50),
    (11, 0, 25),
    (11, 9, 40),
    (1, 8, 30),
    (0, 5, 25),
    (8, 6, 30),
];

/// One thing in a scene; every field is an index into the table of names of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Object {
    /// Index into [`SHAPES`]; no two objects of a scene share it.
    pub shape: usize,
    /// Index into [`COLOURS`].
    pub colour: usize,
    /// Index into [`SIZES`].
    pub size: usize,
    /// Index into [`SLOTS`]; no two objects of a scene share it.
    pub slot: usize,
    /// Offset from the slot's centre in pixels, right and down.
    pub jitter: (i32, i32),
}

/// A backdrop with one to three objects, listed left to right.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scene {
    /// What the scene, its picture and its captions are drawn from.
    pub seed: u64,
    /// Index into [`BACKDROPS`].
    pub backdrop: usize,
    /// How far the horizon lies below its usual place, in pixels.
    pub horizon: i32,
    /// The objects, left to right.
    pub objects: Vec<Object>,
}

impl Scene {
    /// The scene of a seed.
    pub fn from_seed(seed: u64) -> Self {
        let mut lots = Lots::new(seed, 0);
        let backdrop = lots.weighted(&BACKDROP_WEIGHTS);
        let horizon = lots.between(-2, 2);
        let count = 1 + lots.weighted(&COUNT_WEIGHTS);
        let mut slots = [0, 1, 2];
        lots.shuffle(&mut slots);
        let mut shapes = tilted(&SHAPE_WEIGHTS, &SHAPE_BY_BACKDROP, backdrop);
        let mut objects: Vec<Object> = slots[..count]
            .iter()
            .map(|&slot| {
                let shape = lots.weighted(&shapes);
                shapes[shape] = 0;
                let colour = lots.weighted(&tilted(&COLOUR_WEIGHTS, &COLOUR_BY_SHAPE, shape));
                let size = lots.below(SIZES.len());
                // Big objects nearly fill their slot, so they move less.
                let reach = if size == 1 { 1 } else { 2 };
                let jitter = (lots.between(-reach, reach), lots.between(-2, 2));
                Object { shape, colour, size, slot, jitter }
            })
            .collect();
        objects.sort_by_key(|object| object.slot);
        Self { seed, backdrop, horizon, objects }
    }
}

/// `weights` in tenths, with the factors (in tenths) of the pairs that start with `given`.
fn tilted<const N: usize>(weights: &[u32; N], pairs: &[(usize, usize, u32)], given: usize) -> [u32; N] {
    let mut tilted = weights.map(|weight| weight * 10);
    for &(_, item, factor) in pairs.iter().filter(|pair| pair.0 == given) {
        tilted[item] = weights[item] * factor;
    }
    tilted
}

/// Draws by lot in integer arithmetic only, so that a world does not depend on the platform or on a library's sampling.
pub(super) struct Lots(ChaCha8Rng);

impl Lots {
    /// The stream `stream` of `seed`: independent lots for independent uses.
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Self(rng)
    }

    /// A whole number in `0..n`; `n` is at most 2^32.
    pub(super) fn below(&mut self, n: usize) -> usize {
        ((u64::from(self.0.next_u32()) * n as u64) >> 32) as usize
    }

    /// A whole number in `low..=high`.
    pub(super) fn between(&mut self, low: i32, high: i32) -> i32 {
        low + self.below((high - low + 1) as usize) as i32
    }

    /// True in `percent` of 100 cases.
    pub(super) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// An index, each as often as its weight says. The weights must not all be zero.
    pub(super) fn weighted(&mut self, weights: &[u32]) -> usize {
        let total: u32 = weights.iter().sum();
        let mut lot = self.below(total as usize) as u32;
        for (index, &weight) in weights.iter().enumerate() {
            if lot < weight {
                return index;
            }
            lot -= weight;
        }
        weights.len() - 1
    }

    /// One of `items`, each as often as any other. There must be at least one.
    pub(super) fn pick<'a>(&mut self, items: &[&'a str]) -> &'a str {
        items[self.below(items.len())]
    }

    /// Fisher–Yates.
    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}
