//! The two tracks: each fitted on one half of the images, each judging the other half.

use super::{DRAWS, Draws, blocks, halves, neighbours};
use crate::{
    error::Result,
    kernels::vectors,
    pipeline::{
        Ctx,
        ridge::{
            Space, Weighted,
            gram::{Packed, dot},
            single,
        },
    },
};
use rayon::prelude::*;

/// Ridge of the maps.
const MAP: f64 = 0.1;
/// Rows of a block of work.
const ROWS: usize = 192;
/// A caption and the images it is judged with, by their place in a list: its own first.
pub(super) type Case = (u32, Vec<u32>);

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
            let track = Track::new(space, &taught, ctx)?;
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

/// Maps both ways, fitted on one half.
pub(super) struct Track {
    to_images: Packed,
    to_texts: Packed,
    text_mean: Vec<f32>,
    image_mean: Vec<f32>,
}

impl Track {
    pub fn new(space: &Space, weights: &[f32], ctx: &Ctx) -> Result<Self> {
        let pairs = Weighted::new(space, weights)?;
        let cross = pairs.cross(ctx)?;
        Ok(Self {
            // Packed at once: these matrices are what costs memory.
            to_images: Packed::new(pairs.to_images(pairs.texts(ctx)?, &cross, MAP)?.map.view()),
            to_texts: Packed::new(pairs.to_texts(pairs.images(ctx)?, &cross, MAP)?.map.view()),
            text_mean: single(&pairs.text_mean),
            image_mean: single(&pairs.image_mean),
        })
    }

    /// Of each case's caption with each of its `images`, one case after the other: the cosine of the two, and what the maps say of them, the cosine of
    /// the image expected with the image plus that of the caption expected with the caption. (Sides of different width have
    /// no cosine.)
    pub fn judge(&self, space: &Space, images: &[u32], cases: &[Case], ctx: &Ctx) -> Result<Vec<[f32; 2]>> {
        let (d, dt) = (self.image_mean.len(), self.text_mean.len());
        let (mut seen, mut expected) = (vec![0f32; images.len() * d], vec![0f32; images.len() * dt]);
        let blocks = seen.par_chunks_mut(ROWS * d).zip(expected.par_chunks_mut(ROWS * dt)).zip(images.par_chunks(ROWS));
        blocks.for_each(|((seen, expected), images)| {
            let rows = seen.chunks_exact_mut(d).zip(images);
            rows.for_each(|(row, &i)| space.image(i as usize, &self.image_mean, 1.0, row));
            let mut found = Vec::new();
            self.to_texts.times(seen, &mut found);
            for (row, found) in expected.chunks_exact_mut(dt).zip(found.chunks_exact(self.to_texts.line)) {
                row.copy_from_slice(&found[..dt]);
                direct(row);
            }
            seen.chunks_exact_mut(d).for_each(direct);
        });
        let blocks: Vec<Vec<[f32; 2]>> = cases
            .par_chunks(ROWS)
            .map(|cases| {
                ctx.check()?;
                Ok(self.block(space, images, (&seen, &expected), cases))
            })
            .collect::<Result<_>>()?;
        Ok(blocks.concat())
    }

    fn block(
        &self,
        space: &Space,
        images: &[u32],
        (seen, expected): (&[f32], &[f32]),
        cases: &[Case],
    ) -> Vec<[f32; 2]> {
        let (d, dt) = (self.image_mean.len(), self.text_mean.len());
        let mut texts = vec![0f32; cases.len() * dt];
        let rows = texts.chunks_exact_mut(dt).zip(cases);
        rows.for_each(|(row, case)| space.text(case.0 as usize, &self.text_mean, 1.0, row));
        let mut found = Vec::new();
        self.to_images.times(&texts, &mut found);
        let rows = texts.chunks_exact_mut(dt).zip(found.chunks_exact_mut(self.to_images.line)).zip(cases);
        let mut out = Vec::new();
        rows.for_each(|((text, found), (row, places))| {
            direct(text);
            let found = &mut found[..d];
            direct(found);
            let pair = |&at: &u32| {
                let at = at as usize;
                let agreement = dot(found, &seen[at * d..][..d]) + dot(text, &expected[at * dt..][..dt]);
                [space.cosine(images[at] as usize, *row as usize), agreement]
            };
            out.extend(places.iter().map(pair));
        });
        out
    }
}

/// Scales a row to length 1, unless it has none.
fn direct(row: &mut [f32]) {
    let length = f64::from(dot(row, row)).sqrt();
    if length > 0.0 {
        row.iter_mut().for_each(|v| *v = (f64::from(*v) / length) as f32);
    }
}
