//! The two tracks: each fitted on one half of the images, each judging the other half.

use super::{
    DRAWS, Draws, blocks, halves, neighbours,
    tracks::{Case, Track},
};
use crate::{
    error::Result,
    kernels::vectors,
    pipeline::{Ctx, ridge::Space},
};

/// Scores of the pairs and of the re-pairings, in units of the latter.
pub(super) struct Judged {
    /// `[pairs]`
    pub scores: Vec<f32>,
    /// Of captions with images of others, in no order.
    pub null: Vec<f32>,
    /// Of trusted captions with images near to their own; only in the last round.
    pub near: Vec<f32>,
}

impl Judged {
    pub fn new(space: &Space, weights: &[f32], draws: &Draws, last: bool, ctx: &Ctx) -> Result<Self> {
        let mut judged = Self { scores: vec![0.0; weights.len()], null: Vec::new(), near: Vec::new() };
        let halves = halves(&draws.order);
        let mut taught = weights.to_vec();
        for (half, other) in [(halves[0], halves[1]), (halves[1], halves[0])] {
            taught.copy_from_slice(weights);
            half.iter().flat_map(|&i| space.rows_of(i as usize)).for_each(|&r| taught[r as usize] = 0.0);
            if other.is_empty() || taught.iter().all(|w| *w == 0.0) {
                continue;
            }
            // A first look needs one map: the other costs five times as much and changes nothing that lasts.
            let track = Track::new(space, &taught, last, ctx)?;
            let scale = judged.half(space, &track, half, draws, ctx)?;
            if last {
                let near = neighbours::judge(space, &track, half, &judged.scores, ctx)?;
                judged.near.extend(near.iter().map(|&pair| scale.score(pair)));
            }
        }
        Ok(judged)
    }

    /// Judges the pairs of `half`.
    fn half(&mut self, space: &Space, track: &Track, half: &[u32], draws: &Draws, ctx: &Ctx) -> Result<Scale> {
        let mut place = vec![0u32; draws.order.len()];
        let (mut rows, mut own, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for images in blocks(half) {
            images.iter().zip(0..).for_each(|(&i, at)| place[i as usize] = at);
            let at = |&i: &u32| match place[i as usize] {
                at if images.get(at as usize) == Some(&i) => Ok(at),
                _ => Err(vectors::shape("image of a re-paired caption", "from the same part of the images", i)),
            };
            let case = |&row: &u32| {
                let mine = space.data.image_of[row as usize];
                let partners = draws.partners[row as usize * DRAWS..][..DRAWS].iter().filter(|&&i| i != mine);
                Ok((row, std::iter::once(&mine).chain(partners).map(at).collect::<Result<_>>()?))
            };
            let cases =
                images.iter().flat_map(|&i| space.rows_of(i as usize)).map(case).collect::<Result<Vec<Case>>>()?;
            let mut found = track.judge(space, images, &cases, ctx)?.into_iter();
            for (row, places) in &cases {
                rows.push(*row);
                own.extend(found.next());
                others.extend(found.by_ref().take(places.len() - 1));
            }
        }
        let scale = Scale::new(&own, &others);
        rows.iter().zip(&own).for_each(|(&r, &pair)| self.scores[r as usize] = scale.score(pair));
        self.null.extend(others.iter().map(|&pair| scale.score(pair)));
        Ok(scale)
    }
}

/// What brings cosine and agreement to one score.
pub(super) struct Scale {
    parts: [(f64, f64); 2],
    /// Whether the cosine counts.
    cosine: bool,
    whole: (f64, f64),
}

/// Where the cosine tells pairs from re-pairings less than this share of what agreement does, it is left out: the sides need not
/// lie in one space.
const WORTH: f64 = 0.25;

impl Scale {
    /// The scale on which the scores of `null` have mean 0 and standard deviation 1.
    pub fn new(own: &[[f32; 2]], null: &[[f32; 2]]) -> Self {
        let parts = [0, 1].map(|side| spread(null.iter().map(|pair| f64::from(pair[side]))));
        let told = [0, 1].map(|side| {
            let (mean, deviation) = parts[side];
            own.iter().map(|pair| f64::from(pair[side]) - mean).sum::<f64>() / deviation
        });
        let mut scale = Self { parts, cosine: told[0] > WORTH * told[1], whole: (0.0, 1.0) };
        scale.whole = spread(null.iter().map(|&pair| scale.raw(pair)));
        scale
    }

    fn raw(&self, pair: [f32; 2]) -> f64 {
        let [cosine, agreement] = [0, 1].map(|k| (f64::from(pair[k]) - self.parts[k].0) / self.parts[k].1);
        agreement + if self.cosine { cosine } else { 0.0 }
    }

    pub fn score(&self, pair: [f32; 2]) -> f32 {
        ((self.raw(pair) - self.whole.0) / self.whole.1) as f32
    }
}

/// Mean and standard deviation; the latter 1 if there is none.
fn spread(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let n = values.clone().count().max(1) as f64;
    let mean = values.clone().sum::<f64>() / n;
    let deviation = (values.map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
    (mean, if deviation > 0.0 { deviation } else { 1.0 })
}
