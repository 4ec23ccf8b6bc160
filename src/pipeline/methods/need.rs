//! Which images a student needs most: a greedy A-optimal choice.

use crate::error::{Error, Result};
use crate::{
    kernels::vectors,
    pipeline::{
        Ctx,
        methods::choice::{Asked, Choice},
        ridge::{
            Space, Texts, Weighted,
            gram::{Packed, exact},
            single,
        },
        space::embeddings::Embeddings,
    },
};
use ndarray::{Array1, Array2};
use rayon::prelude::*;

/// The ridge of a choice by need, relative to the mean eigenvalue: of .1 to .3 the best on the demo's validation split.
const LAM: f64 = 0.3;
/// Ridge of the map that says which image each caption asks for.
const MAP: f64 = 0.1;
/// Rows of a block of work.
const BLOCK: usize = 192;

/// What the method starts from.
pub(super) fn choose(asked: &Asked) -> Result<Choice> {
    by_need(asked.data, asked.weights, asked.m, LAM, asked.ctx).map(Choice::Images)
}

/// Chooses the `m` images that best explain what the trusted captions ask for (greedy A-optimal design with ridge `lam`, among
/// images that have a caption of weight 0.5 or more): their numbers in the order of choice.
///
/// # Errors
/// [`Error::Setting`] if there are fewer than `m` such images or `lam` is not above 0, [`Error::Shape`], [`Error::Cancelled`].
pub fn by_need(data: &Embeddings, weights: &[f32], m: usize, lam: f64, ctx: &Ctx) -> Result<Vec<u32>> {
    if !(lam > 0.0 && lam.is_finite()) {
        return Err(Error::setting("need.lam", format!("must be above 0, not {lam}")));
    }
    let space = Space::new(data, Texts::Unit)?;
    let pairs = Weighted::new(&space, weights)?;
    let mut free = vec![false; data.image.nrows()];
    data.image_of.iter().zip(weights).for_each(|(&i, &w)| free[i as usize] |= w >= 0.5);
    let trusted = free.iter().filter(|f| **f).count();
    if m > trusted {
        let message = format!("{m} images asked of {trusted} that are trusted; ask for at most {trusted}");
        return Err(Error::setting("cluster.prototypes", message));
    }
    let mut need = Need::new(&space, &pairs, lam, ctx)?;
    let mut chosen = Vec::with_capacity(m);
    while chosen.len() < m {
        ctx.step("images by need", chosen.len(), m)?;
        let best =
            (0..free.len()).filter(|&i| free[i]).max_by(|&a, &b| need.gain(a).total_cmp(&need.gain(b)).then(b.cmp(&a)));
        let Some(best) = best else { break };
        free[best] = false;
        chosen.push(best as u32);
        need.take(best);
    }
    Ok(chosen)
}

/// What each image f would explain, `fᵀ A C A f / (lam + fᵀ A f)`: both forms are kept up to date, so that a choice costs two
/// products with each image.
struct Need<'a> {
    space: &'a Space<'a>,
    /// The images' mean, and what brings them to length 1 on the whole.
    mean: Vec<f32>,
    factor: f32,
    lam: f64,
    /// Second moments of the images that captions ask for.
    wanted: Array2<f64>,
    /// What is not yet explained.
    left: Array2<f64>,
    above: Vec<f64>,
    below: Vec<f64>,
}

impl<'a> Need<'a> {
    fn new(space: &'a Space, pairs: &Weighted, lam: f64, ctx: &Ctx) -> Result<Self> {
        let d = space.data.image.ncols();
        let texts = pairs.texts(ctx)?;
        let map = pairs.to_images(texts.clone(), &pairs.cross(ctx)?, MAP)?.map;
        let mean = single(&vectors::mean_direction(space.data.image.view(), |_| 1.0));
        let mut need = Self {
            space,
            mean,
            factor: 1.0,
            lam,
            wanted: map.t().dot(&texts.dot(&map)),
            left: Array2::eye(d),
            above: Vec::new(),
            below: Vec::new(),
        };
        let squares = need.squares();
        let scale = squares.iter().sum::<f64>() / squares.len().max(1) as f64;
        if scale > 0.0 {
            need.factor = (1.0 / scale.sqrt()) as f32;
            need.wanted /= scale;
            need.below = squares.into_iter().map(|s| s / scale).collect();
        } else {
            need.below = squares;
        }
        need.above = need.products(&need.wanted, ctx)?;
        Ok(need)
    }

    fn gain(&self, i: usize) -> f64 {
        self.above[i] / (self.lam + self.below[i])
    }

    /// `fᵀ f` of every image.
    fn squares(&self) -> Vec<f64> {
        let square = |i: usize| {
            let mut row = vec![0f32; self.mean.len()];
            self.image(i, &mut row);
            exact(&row, &row)
        };
        (0..self.above_len()).into_par_iter().map(square).collect()
    }

    /// `fᵀ S f` of every image.
    fn products(&self, s: &Array2<f64>, ctx: &Ctx) -> Result<Vec<f64>> {
        let (n, d, packed) = (self.above_len(), self.mean.len(), Packed::new(s.view()));
        let mut out = vec![0.0; n];
        out.par_chunks_mut(BLOCK).enumerate().try_for_each(|(b, out)| {
            ctx.check()?;
            let (mut rows, mut found) = (vec![0f32; out.len() * d], Vec::new());
            rows.chunks_exact_mut(d.max(1)).enumerate().for_each(|(k, row)| self.image(b * BLOCK + k, row));
            packed.times(&rows, &mut found);
            let pairs = rows.chunks_exact(d.max(1)).zip(found.chunks_exact(packed.line.max(1)));
            for (out, (row, found)) in out.iter_mut().zip(pairs) {
                *out = row.iter().zip(found).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
            }
            Ok(())
        })?;
        Ok(out)
    }

    fn above_len(&self) -> usize {
        self.space.data.image.nrows()
    }

    /// Image `i` as it is seen here.
    fn image(&self, i: usize, out: &mut [f32]) {
        self.space.image(i, &self.mean, self.factor, out);
    }

    /// Takes image `i` out of what is left to explain: `A -= v vᵀ / s` with `v = A f`, `s = lam + fᵀ v`. Of every other image g
    /// with h = (gᵀ v) / s, `gᵀ A g` falls by h² s, and `gᵀ A C A g` changes by h² vᵀ C v - 2 h gᵀ A C v.
    fn take(&mut self, i: usize) {
        let d = self.mean.len();
        let mut row = vec![0f32; d];
        self.image(i, &mut row);
        let f: Array1<f64> = row.iter().map(|&v| f64::from(v)).collect();
        let v = self.left.dot(&f);
        let s = self.lam + f.dot(&v);
        let asked = self.wanted.dot(&v);
        let (z, square) = (self.left.dot(&asked), v.dot(&asked));
        let rows = self.left.outer_iter_mut().into_par_iter().zip(v.as_slice().unwrap_or(&[]));
        rows.for_each(|(mut row, &own)| row.scaled_add(-own / s, &v));
        let (factor, space) = (f64::from(self.factor), self.space);
        let [v, z] = [&v, &z].map(|v| v.iter().map(|&v| v as f32).collect::<Vec<_>>());
        let (mean_v, mean_z) = (exact(&self.mean, &v), exact(&self.mean, &z));
        let blocks = self.above.par_chunks_mut(BLOCK).zip(self.below.par_chunks_mut(BLOCK)).enumerate();
        blocks.for_each(|(b, (above, below))| {
            for (k, (above, below)) in above.iter_mut().zip(below).enumerate() {
                let (row, scale) = space.image_row(b * BLOCK + k);
                let [gv, gz] = [(&v, mean_v), (&z, mean_z)].map(|(v, mean)| factor * (scale * exact(row, v) - mean));
                let h = gv / s;
                *below -= h * gv;
                *above += h * (h * square - 2.0 * gz);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::pipeline::ridge::sample;

    #[test]
    fn forms_kept_up_to_date_are_those_of_what_is_left() {
        let (data, _) = sample::pairs(50, 2, [9, 6], 0.0, 5);
        let (space, weights) = (Space::new(&data, Texts::Unit).unwrap(), vec![1.0; 100]);
        let pairs = Weighted::new(&space, &weights).unwrap();
        let mut need = Need::new(&space, &pairs, 0.2, &Ctx::quiet()).unwrap();
        [3, 17, 4].into_iter().for_each(|i| need.take(i));
        let (a, c) = (&need.left, &need.wanted);
        for i in 0..50 {
            let mut row = vec![0f32; 9];
            need.image(i, &mut row);
            let f: Array1<f64> = row.iter().map(|&v| f64::from(v)).collect();
            let af = a.dot(&f);
            assert!((need.below[i] - f.dot(&af)).abs() < 1e-5 && (need.above[i] - af.dot(&c.dot(&af))).abs() < 1e-5);
        }
    }

    #[test]
    fn images_without_a_trusted_caption_are_not_chosen_and_too_many_are_refused() {
        let (data, _) = sample::pairs(30, 2, [6, 6], 0.0, 6);
        let weights: Vec<f32> = (0..60).map(|r| if r < 30 { 0.4 } else { 0.9 }).collect();
        let mut chosen = by_need(&data, &weights, 15, 0.3, &Ctx::quiet()).unwrap();
        chosen.sort_unstable();
        assert_eq!(chosen, (15..30).collect::<Vec<u32>>());
        let refused = by_need(&data, &weights, 16, 0.3, &Ctx::quiet()).unwrap_err().to_string();
        assert!(refused.contains("at most 15"), "{refused}");
        assert!(by_need(&data, &weights, 5, 0.0, &Ctx::quiet()).is_err());
    }
}
