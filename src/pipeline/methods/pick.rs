//! Yardsticks that know no prototypes: each picks rows of all pairs. k-centre and herding see a pair as its two embeddings, each
//! scaled to length 1, side by side.

use crate::{
    error::Result,
    kernels::vectors,
    pipeline::{
        Ctx,
        space::{embeddings::Embeddings, stats},
    },
};
use ndarray::{ArrayView1, ArrayView2, Axis, s};
use rand::{Rng, seq::index};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

pub(super) fn random(data: &Embeddings, m: usize, rng: &mut ChaCha8Rng, _: &Ctx) -> Result<Vec<u32>> {
    Ok(index::sample(rng, data.pairs(), m).into_iter().map(|row| row as u32).collect())
}

pub(super) fn clip_score(data: &Embeddings, m: usize, _: &mut ChaCha8Rng, ctx: &Ctx) -> Result<Vec<u32>> {
    let scores = stats::similarities(data, ctx)?;
    let mut order: Vec<u32> = (0..scores.len() as u32).collect();
    order.sort_by(|&a, &b| scores[b as usize].total_cmp(&scores[a as usize]).then(a.cmp(&b)));
    order.truncate(m);
    Ok(order)
}

/// Pairs as points: both halves scaled to length 1, which is done as they are met, so that nothing is copied.
struct Joint<'a> {
    image: Side<'a>,
    text: Side<'a>,
    image_of: &'a [u32],
}

/// Rows and what scales each to length 1; 0 for those without a direction.
struct Side<'a> {
    rows: ArrayView2<'a, f32>,
    scale: Vec<f32>,
}

impl<'a> Side<'a> {
    fn new(rows: ArrayView2<'a, f32>) -> Self {
        let scale = |row: ArrayView1<f32>| match vectors::norm(row) {
            length if length > 0.0 => (1.0 / length) as f32,
            _ => 0.0,
        };
        Self { rows, scale: rows.axis_iter(Axis(0)).into_par_iter().map(scale).collect() }
    }

    fn products(&self, query: &[f32]) -> Vec<f32> {
        let one =
            |(row, scale): (ArrayView1<f32>, &f32)| row.as_slice().map_or(0.0, |r| scale * vectors::dot(r, query));
        self.rows.axis_iter(Axis(0)).into_par_iter().zip(&self.scale).map(one).collect()
    }

    fn row(&self, row: usize) -> Vec<f32> {
        vectors::unit(self.rows.slice(s![row..=row, ..])).into_raw_vec_and_offset().0
    }
}

impl<'a> Joint<'a> {
    fn new(data: &'a Embeddings) -> Self {
        Self { image: Side::new(data.image.view()), text: Side::new(data.text.view()), image_of: &data.image_of }
    }

    /// The inner product of every pair with one point: `[pairs]`. Every image counts once, however many captions it has.
    fn products(&self, image: &[f32], text: &[f32], ctx: &Ctx) -> Result<Vec<f32>> {
        ctx.check()?;
        let images = self.image.products(image);
        let mut out = self.text.products(text);
        out.iter_mut().zip(self.image_of).for_each(|(o, &i)| *o += images[i as usize]);
        Ok(out)
    }

    fn row(&self, row: usize) -> (Vec<f32>, Vec<f32>) {
        (self.image.row(self.image_of[row] as usize), self.text.row(row))
    }
}

/// Farthest first: squared distance of points of length √2 is 4 - 2 x·c.
pub(super) fn k_center(data: &Embeddings, m: usize, rng: &mut ChaCha8Rng, ctx: &Ctx) -> Result<Vec<u32>> {
    let points = Joint::new(data);
    let n = points.image_of.len();
    let (mut closest, mut chosen) = (vec![f32::NEG_INFINITY; n], Vec::with_capacity(m));
    while chosen.len() < m {
        ctx.step("k-centre", chosen.len(), m)?;
        let next = match chosen.len() {
            0 => rng.random_range(0..n),
            _ => (0..n).min_by(|&a, &b| closest[a].total_cmp(&closest[b])).unwrap_or(0),
        };
        chosen.push(next as u32);
        let (image, text) = points.row(next);
        let near = points.products(&image, &text, ctx)?;
        closest.iter_mut().zip(near).for_each(|(c, v)| *c = c.max(v));
        closest[next] = f32::INFINITY;
    }
    Ok(chosen)
}

/// Next is the row that brings the mean of the chosen closest to the mean μ of all: with lengths equal, the one of
/// largest product with (k + 1) μ - (sum of the k chosen).
pub(super) fn herding(data: &Embeddings, m: usize, _: &mut ChaCha8Rng, ctx: &Ctx) -> Result<Vec<u32>> {
    let points = Joint::new(data);
    let n = points.image_of.len();
    let mut uses = vec![0f64; points.image.rows.nrows()];
    points.image_of.iter().for_each(|&i| uses[i as usize] += 1.0);
    let image_mean = vectors::mean_direction(points.image.rows, |i| uses[i]);
    let text_mean = vectors::mean_direction(points.text.rows, |_| 1.0);
    let (mut image_goal, mut text_goal) = (image_mean.clone(), text_mean.clone());
    let (mut free, mut chosen) = (vec![true; n], Vec::with_capacity(m));
    while chosen.len() < m {
        ctx.step("herding", chosen.len(), m)?;
        let single = |goal: &[f64]| goal.iter().map(|&v| v as f32).collect::<Vec<_>>();
        let scores = points.products(&single(&image_goal), &single(&text_goal), ctx)?;
        let best = (0..n).filter(|&r| free[r]).max_by(|&a, &b| scores[a].total_cmp(&scores[b]).then(b.cmp(&a)));
        let Some(best) = best else { break };
        free[best] = false;
        chosen.push(best as u32);
        let (image, text) = points.row(best);
        step(&mut image_goal, &image_mean, &image);
        step(&mut text_goal, &text_mean, &text);
    }
    Ok(chosen)
}

fn step(goal: &mut [f64], mean: &[f64], taken: &[f32]) {
    goal.iter_mut().zip(mean).zip(taken).for_each(|((g, m), &t)| *g += m - f64::from(t));
}
