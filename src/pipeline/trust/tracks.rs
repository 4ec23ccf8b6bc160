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

/// Maps between the sides, fitted on one half.
pub(super) struct Track {
    /// Costs most: there are more captions than images.
    to_images: Option<Packed>,
    to_texts: Packed,
    text_mean: Vec<f32>,
    image_mean: Vec<f32>,
}

impl Track {
    /// The map from images to texts, and, for `both`, the one back.
    pub fn new(space: &Space, weights: &[f32], both: bool, ctx: &Ctx) -> Result<Self> {
        let pairs = Weighted::new(space, weights)?;
        let cross = pairs.cross(ctx)?;
        // Packed at once: these matrices are what costs memory.
        let to_images = || Ok(Packed::new(pairs.to_images(pairs.texts(ctx)?, &cross, MAP)?.map.view()));
        Ok(Self {
            to_images: both.then(to_images).transpose()?,
            to_texts: Packed::new(pairs.to_texts(pairs.images(ctx)?, &cross, MAP)?.map.view()),
            text_mean: single(&pairs.text_mean),
            image_mean: single(&pairs.image_mean),
        })
    }

    /// Of each case's caption with each of its `images`, one case after the other: the cosine of the two, and what the maps say
    /// of them, the cosine of the caption expected with the caption plus, with both maps, that of the image expected with the
    /// image. (Sides of different width have no cosine.)
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
        let (mut found, mut line) = (Vec::new(), 0);
        if let Some(map) = &self.to_images {
            map.times(&texts, &mut found);
            line = map.line;
        }
        let mut out = Vec::new();
        for (k, (text, (row, places))) in texts.chunks_exact_mut(dt).zip(cases).enumerate() {
            direct(text);
            let mut asked = found.get_mut(k * line..k * line + d.min(line));
            if let Some(asked) = &mut asked {
                direct(asked);
            }
            out.extend(places.iter().map(|&at| {
                let at = at as usize;
                let mut agreement = dot(text, &expected[at * dt..][..dt]);
                if let Some(asked) = &asked {
                    agreement += dot(asked, &seen[at * d..][..d]);
                }
                [space.cosine(images[at] as usize, *row as usize), agreement]
            }));
        }
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
