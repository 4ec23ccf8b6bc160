//! How far each pair can be trusted: two tracks, each fitted on half of the images, judge the other half, and re-pairings at
//! random say what a mismatched pair looks like. Our own reading of what MDW (arXiv 2506.01586) asks for.

mod certificate;
mod judged;
mod mixture;
mod neighbours;
mod null;
pub mod prune;
mod tracks;

pub use certificate::{Certificate, certificates};

use super::space::embeddings::{Embeddings, Kept};
use super::{
    Ctx,
    ridge::{Space, Texts},
};
use crate::error::Result;
use crate::kernels::vectors;
use judged::Judged;
use null::{Mismatched, Sorted};
use rand::{Rng, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Re-pairings of each caption.
pub const DRAWS: usize = 5;
/// Most images among which captions are re-paired: what a track says of them is held at once.
const BLOCK: usize = 2048;
/// Fits and judgements, each with the weights that the one before gave.
const ROUNDS: usize = 2;
/// A bound above which nothing is told: nearly all pairs may be mismatched.
const UNTOLD: f64 = 0.95;
/// With fewer images nothing can be said.
const FEWEST: usize = 32;
/// Most scores of the null that are kept to be drawn.
const SHOWN: usize = 4096;

/// How to judge.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrustSettings {
    /// Seed of the halves and of the re-pairings.
    pub seed: u64,
}

/// Which null said how many pairs are mismatched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Witness {
    /// Captions with images at random.
    Shuffle,
    /// Captions with images near to their own, besides.
    Neighbours,
    /// The lower of two humps of the scores.
    Mixture,
}

/// What is to be believed of each pair, and of all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trust {
    /// 1 - the local false discovery rate of each pair: how likely it is matched. `[pairs]`
    pub weights: Vec<f32>,
    /// Score of each pair: 0 is the mean of re-paired ones, 1 their standard deviation. `[pairs]`
    pub scores: Vec<f32>,
    /// Scores of some re-paired captions, ascending.
    pub null: Vec<f32>,
    /// Share of mismatched pairs.
    pub share: f64,
    /// It is no higher than this with 95 % confidence (Dvoretzky, Kiefer and Wolfowitz on both distributions).
    pub upper: f64,
    /// What the share rests on.
    pub witness: Witness,
    /// Mismatched pairs to expect among those kept.
    pub expected: f64,
}

impl Trust {
    /// What a manifest says of it.
    pub fn about(&self) -> serde_json::Value {
        serde_json::json!({
            "share": self.share,
            "upper": self.upper,
            "witness": self.witness,
            "kept": self.kept().0.len(),
            "expected_mismatched": self.expected,
        })
    }

    /// The pairs that are more likely matched than not.
    pub fn kept(&self) -> Kept {
        Kept((0..self.weights.len() as u32).filter(|&r| self.weights[r as usize] >= 0.5).collect())
    }
}

/// What chance decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draws {
    /// All images in random order: the first half is judged by what the second taught, and the other way round.
    pub order: Vec<u32>,
    /// [`DRAWS`] images of other captions for each caption, from the same half; its own image stands for none.
    pub partners: Vec<u32>,
}

impl Draws {
    /// Draws by `seed`.
    ///
    /// # Errors
    /// [`crate::error::Error::Shape`] for arrays that do not fit.
    pub fn new(data: &Embeddings, seed: u64) -> Result<Self> {
        let space = Space::new(data, Texts::Unit)?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut order: Vec<u32> = (0..data.image.nrows() as u32).collect();
        order.shuffle(&mut rng);
        let mut partners = vec![0; data.pairs() * DRAWS];
        for half in halves(&order) {
            for block in blocks(half) {
                let rows: Vec<u32> = block.iter().flat_map(|&i| space.rows_of(i as usize)).copied().collect();
                for &row in &rows {
                    let own = data.image_of[row as usize];
                    for slot in &mut partners[row as usize * DRAWS..][..DRAWS] {
                        let mut tries = (0..8).map(|_| data.image_of[rows[rng.random_range(0..rows.len())] as usize]);
                        *slot = tries.find(|&i| i != own).unwrap_or(own);
                    }
                }
            }
        }
        Ok(Self { order, partners })
    }
}

impl Draws {
    /// An error unless each image has its place and each caption its partners.
    fn check(&self, data: &Embeddings) -> Result<()> {
        let images = data.image.nrows();
        let mut sorted = self.order.clone();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..images as u32) {
            return Err(vectors::shape("order of the images", format!("each of {images} once"), "others"));
        }
        if self.partners.len() != data.pairs() * DRAWS || self.partners.iter().any(|&i| i as usize >= images) {
            return Err(vectors::shape("images to re-pair captions with", data.pairs() * DRAWS, self.partners.len()));
        }
        Ok(())
    }
}

/// The halves of the images.
fn halves(order: &[u32]) -> [&[u32]; 2] {
    let (a, b) = order.split_at(order.len() / 2);
    [a, b]
}

/// Images of a half, in parts of like size.
fn blocks(half: &[u32]) -> impl Iterator<Item = &[u32]> {
    let many = half.len().div_ceil(BLOCK).max(1);
    half.chunks(half.len().div_ceil(many).max(1))
}

/// Judges every pair. Where all may be mismatched for what can be told (few images, an embedding that tells nothing), every
/// pair is kept and the bound says so.
///
/// # Errors
/// [`crate::error::Error::Shape`] for arrays that do not fit, [`crate::error::Error::Cancelled`].
pub fn trust(data: &Embeddings, settings: &TrustSettings, ctx: &Ctx) -> Result<Trust> {
    trust_by(data, &Draws::new(data, settings.seed)?, ctx)
}

/// The same with given draws.
///
/// # Errors
/// As [`trust`].
pub fn trust_by(data: &Embeddings, draws: &Draws, ctx: &Ctx) -> Result<Trust> {
    let space = Space::new(data, Texts::Unit)?;
    draws.check(data)?;
    let mut weights = vec![1f32; data.pairs()];
    let rounds = if data.image.nrows() < FEWEST { 0..0 } else { 0..ROUNDS };
    for round in rounds {
        ctx.step("trust", round, ROUNDS)?;
        let last = round + 1 == ROUNDS;
        let judged = Judged::new(&space, &weights, draws, last, ctx)?;
        let (Some(scores), Some(null)) = (Sorted::new(&judged.scores), Sorted::new(&judged.null)) else { break };
        let share = null::share(&scores, &null);
        let random = Mismatched(vec![(share, null)]);
        if last {
            return verdict(data, judged, &scores, random);
        }
        weights = random.weights(&judged.scores, &scores);
    }
    Ok(unknown(data.pairs()))
}

/// Hears the other witnesses, and believes the one of the largest share.
fn verdict(data: &Embeddings, judged: Judged, scores: &Sorted, random: Mismatched) -> Result<Trust> {
    let (images, mut witness, mut wrong) = (data.image.nrows(), Witness::Shuffle, random);
    let mut behind = images;
    if let Some(near) = Sorted::new(&judged.near)
        && let [(share, null)] = &wrong.0[..]
        && let Some(more) = neighbours::speaks(scores, null, &near, *share)
    {
        (witness, behind) = (Witness::Neighbours, near.len() / DRAWS);
        wrong.0.push((more, near));
    }
    let mut upper = wrong.upper(scores, [images, behind]);
    if let Some((share, hump)) = mixture::lower(scores)?
        && share > upper
    {
        (witness, wrong) = (Witness::Mixture, Mismatched(vec![(share, hump)]));
        upper = wrong.upper(scores, [images, images]);
    }
    if upper >= UNTOLD {
        // All pairs look like re-paired ones: few of them, or an embedding that does not tell them apart.
        tracing::warn!("matched pairs cannot be told from mismatched ones here; all are kept");
        let (n, share) = (data.pairs(), wrong.share());
        return Ok(Trust { scores: judged.scores, share, upper, expected: share * n as f64, ..unknown(n) });
    }
    let weights = wrong.weights(&judged.scores, scores);
    let lowest =
        (0..weights.len()).filter(|&r| weights[r] >= 0.5).map(|r| judged.scores[r]).fold(f32::INFINITY, f32::min);
    let (share, expected) = (wrong.share(), weights.len() as f64 * wrong.above(lowest));
    let null = wrong.0.last().map_or_else(Vec::new, |part| part.1.sample(SHOWN));
    Ok(Trust { weights, scores: judged.scores, null, share, upper, witness, expected })
}

/// What is said of too little.
fn unknown(n: usize) -> Trust {
    let (weights, scores) = (vec![1.0; n], vec![0.0; n]);
    Trust { weights, scores, null: Vec::new(), share: 0.0, upper: 1.0, witness: Witness::Shuffle, expected: 0.0 }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::pipeline::{
        methods::{coreset::coreset, joint::joint_clusters, need::by_need},
        ridge::{sample, targets},
    };

    fn judged(data: &Embeddings) -> Trust {
        trust(data, &TrustSettings { seed: 1 }, &Ctx::quiet()).unwrap()
    }

    #[test]
    fn the_share_of_captions_at_other_images_is_found_and_most_of_them_are_not_kept() {
        for (widths, share) in [([16, 16], 0.0), ([16, 16], 0.3), ([24, 16], 0.3), ([16, 16], 0.7)] {
            let (data, wrong) = sample::pairs(600, 3, widths, share, 11);
            let (found, n) = (judged(&data), data.pairs() as f64);
            let truth = wrong.iter().filter(|w| **w).count() as f64 / n;
            assert_eq!(found.witness, Witness::Shuffle);
            assert!((found.share - truth).abs() < 0.05 && found.upper > truth, "{widths:?} {share}: {}", found.share);
            let kept = found.kept().0;
            let among = kept.iter().filter(|&&r| wrong[r as usize]).count() as f64;
            assert!(kept.len() as f64 > 0.9 * (1.0 - truth) * n, "{widths:?} {share}: {}", kept.len());
            assert!(among <= 0.25 * truth * n && among < 2.0 * found.expected + 10.0, "{among} {}", found.expected);
        }
    }

    #[test]
    fn every_number_is_the_same_on_one_thread_and_on_three() {
        let (data, _) = sample::pairs(700, 7, [40, 33], 0.3, 12);
        let all = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let (found, ctx) = (judged(&data), Ctx::quiet());
                let chosen = by_need(&data, &found.weights, 9, 0.3, &ctx).unwrap();
                let pictures = data.image.view().slice_move(ndarray::s![..12, ..]);
                let targets = targets::solve(pictures, &data, &found.weights, &Default::default(), &ctx).unwrap();
                let joint = joint_clusters(&data, &found.weights, 9, 1, &ctx).unwrap();
                let pairs = coreset(&data, &found.weights, 9, &ctx).unwrap();
                (found, chosen, targets, joint, pairs)
            })
        };
        assert!(all(1) == all(3));
    }

    #[test]
    fn with_too_few_images_every_pair_is_trusted_and_the_bound_says_nothing() {
        for images in [1, 2, 3, 31] {
            let (data, _) = sample::pairs(images.max(2), 2, [4, 4], 0.0, 13);
            let data = if images == 1 { Embeddings { image_of: vec![0; 4], ..data } } else { data };
            let found = judged(&data);
            assert!(found.upper == 1.0 && found.kept().0.len() == data.pairs(), "{images}: {}", found.upper);
        }
    }

    #[test]
    fn draws_that_do_not_fit_are_refused() {
        let (data, _) = sample::pairs(60, 2, [6, 6], 0.0, 15);
        let good = Draws::new(&data, 1).unwrap();
        let refused = |draws: &Draws| trust_by(&data, draws, &Ctx::quiet()).unwrap_err().to_string();
        let twice = Draws { order: vec![3; 60], ..good.clone() };
        assert!(refused(&twice).contains("each of 60 once"), "{}", refused(&twice));
        let short = Draws { partners: good.partners[1..].to_vec(), ..good.clone() };
        assert!(refused(&short).contains("found 599"), "{}", refused(&short));
        // From the other half.
        let row = data.image_of.iter().position(|i| *i == good.order[0]).unwrap();
        let mut apart = good.clone();
        apart.partners[row * DRAWS] = good.order[59];
        assert!(refused(&apart).contains("same part"), "{}", refused(&apart));
    }
}
