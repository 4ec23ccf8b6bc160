//! A track: maps between the sides, fitted on one half of the images to judge the other half.

use crate::{
    error::Result,
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
