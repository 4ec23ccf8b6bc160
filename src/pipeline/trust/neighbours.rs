//! Captions re-paired with images near to their own: what a mismatched pair looks like that is wrong in details only.

use super::{DRAWS, null::Sorted, tracks::Track};
use crate::{
    error::Result,
    pipeline::{
        Ctx,
        ridge::Space,
        space::nearest::{Side, nearest},
    },
};
use ndarray::Axis;

/// Captions that are re-paired, of each half.
const CAPTIONS: usize = 2048;
/// Images among which neighbours are looked for, of each half.
const AMONG: usize = 8192;
/// Neighbours of an image among all, of which [`DRAWS`] are taken; among fewer images fewer are as near.
const NEAR: usize = 20;
/// Captions judged at once.
const BLOCK: usize = 256;

/// Cosines and agreements of captions of `half`, which is in random order, with images near to their own: of the best caption
/// of each image, and the better half of those, as they are hardly mismatched already.
pub(super) fn judge(space: &Space, track: &Track, half: &[u32], scores: &[f32], ctx: &Ctx) -> Result<Vec<[f32; 2]>> {
    let score = |r: u32| scores[r as usize];
    let best = |&i: &u32| {
        let rows = space.rows_of(i as usize);
        rows.iter().copied().max_by(|&a, &b| score(a).total_cmp(&score(b)).then(b.cmp(&a)))
    };
    let among = &half[..half.len().min(AMONG)];
    let mut asked: Vec<(usize, u32)> = among.iter().enumerate().filter_map(|(at, i)| Some((at, best(i)?))).collect();
    let many = (NEAR * among.len() / space.data.image.nrows()).clamp(DRAWS, NEAR);
    let middle = Sorted::new(&asked.iter().map(|a| score(a.1)).collect::<Vec<_>>()).map_or(0.0, |s| s.quantile(0.5));
    asked.retain(|a| f64::from(score(a.1)) >= middle);
    asked.truncate(CAPTIONS);
    let mut found = Vec::new();
    for asked in asked.chunks(BLOCK) {
        let images: Vec<usize> = asked.iter().map(|&(at, _)| among[at] as usize).collect();
        let queries = space.data.image.view().select(Axis(0), &images);
        let side = Side { queries: queries.view(), rows: space.data.image.view(), of: Some(among) };
        let near = nearest(&[side], many + 1, |_| true, ctx)?;
        let (mut images, mut cases) = (Vec::new(), Vec::new());
        for (k, (&(own, row), near)) in asked.iter().zip(&near).enumerate() {
            // Evenly from near to far, another start for each caption.
            let others: Vec<u32> = near.iter().map(|c| c.row).filter(|&at| at as usize != own).take(many).collect();
            let step = (others.len() / DRAWS).max(1);
            let taken = others.iter().skip(k % step).step_by(step).take(DRAWS);
            let first = images.len() as u32;
            images.extend(taken.map(|&at| among[at as usize]));
            cases.push((row, (first..images.len() as u32).collect()));
        }
        found.extend(track.judge(space, &images, &cases, ctx)?);
    }
    Ok(found)
}

/// Quantiles of the second null at which the scores below are counted.
const QUANTILES: [f64; 5] = [0.05, 0.1, 0.2, 0.3, 0.4];
/// The least share of all pairs that is believed.
const LEAST: f64 = 0.02;

/// What is mismatched besides a `share` of re-pairings at random, if it is told apart for sure. What near neighbours score lies
/// closer to what matched pairs do, so it is believed only where hardly any of the latter scores: the middle one above
/// all but 2 % of the second null; and if it is the same at all low scores, as it is of a second hump, but not of a tail.
pub(super) fn speaks(scores: &Sorted, null: &Sorted, near: &Sorted, share: f64) -> Option<f64> {
    let middle = scores.quantile((1.0 + share) / 2.0);
    if middle < near.quantile(0.98) {
        return None;
    }
    let n = scores.len() as f64;
    let read = QUANTILES.map(|q| {
        let at = near.quantile(q);
        let (all, random) = (scores.below(at), null.below(at));
        let of_share = (share * (1.0 - share) / n).sqrt() * random;
        let error = ((all + 1.0 / n) * (1.0 - all) / n + of_share * of_share).sqrt();
        ((all - share * random) / q, error / q)
    });
    let mut ratios = read.map(|r| r.0);
    ratios.sort_by(f64::total_cmp);
    let found = ratios[2];
    let surest = read[QUANTILES.len() - 1];
    let sure = surest.0 - 3.0 * surest.1 > LEAST && found > LEAST;
    (sure && read.iter().all(|(ratio, error)| ratio + 2.0 * error > found / 2.0)).then_some(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, Normal};

    fn drawn(n: usize, mean: f32, deviation: f32) -> Vec<f32> {
        let normal = Normal::new(mean, deviation).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(n as u64);
        (0..n).map(|_| normal.sample(&mut rng)).collect()
    }

    /// What the second null says of 10,000 scores, of which some are drawn as each null is; matched pairs score 4.
    fn said(random: usize, near: usize, mean: f32) -> Option<f64> {
        let matched = drawn(10_000 - random - near, 4.0, 0.45);
        let scores = [drawn(random, 0.0, 1.0), drawn(near, mean, 0.65), matched].concat();
        let [scores, null, near] =
            [scores, drawn(50_000, 0.0, 1.0), drawn(10_001, mean, 0.65)].map(|s| Sorted::new(&s).unwrap());
        speaks(&scores, &null, &near, random as f64 / 1e4)
    }

    #[test]
    fn captions_at_images_near_to_their_own_are_heard_of_besides_those_at_random_ones() {
        for (random, near) in [(0, 1000), (0, 4000), (1500, 2500)] {
            let found = said(random, near, 2.0).unwrap();
            assert!((found - near as f64 / 1e4).abs() < 0.03, "{random} {near}: {found}");
        }
    }

    #[test]
    fn nothing_is_said_of_clean_pairs_of_random_ones_or_where_neighbours_score_like_matched_pairs() {
        assert_eq!([said(0, 0, 2.0), said(2000, 0, 2.0), said(6000, 0, 2.0)], [None; 3]);
        assert_eq!([said(0, 0, 3.6), said(0, 2000, 3.6), said(0, 0, 3.0)], [None; 3]);
    }
}
