//! Real pairs: yardsticks that know no prototypes, and the pairs nearest to prototypes.

use super::Method;
use crate::{
    error::{Error, Result},
    kernels::vectors,
    pipeline::{
        Ctx,
        prototypes::Prototype,
        space::{
            embeddings::{Embeddings, Kept},
            nearest, stats,
        },
    },
};
use ndarray::{ArrayView1, ArrayView2, Axis, s};
use rand::{Rng, SeedableRng, seq::index};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// A real pair and what the student is to match it with.
#[derive(Clone, Debug, PartialEq)]
pub struct SelectedPair {
    /// Row of the training pairs: its image and caption.
    pub row: u32,
    /// The text target, `[d]`.
    pub text: Vec<f32>,
}

/// `m` real pairs by a yardstick that knows no prototypes, from all training rows. k-centre and herding see a pair as its
/// two embeddings, each scaled to length 1, side by side; k-centre starts at a row drawn by `seed`.
///
/// # Errors
/// [`Error::Setting`] for more pairs than rows or a method that needs prototypes, [`Error::Shape`], [`Error::Cancelled`].
pub fn real_pairs(method: Method, data: &Embeddings, m: usize, seed: u64, ctx: &Ctx) -> Result<Vec<SelectedPair>> {
    let n = data.text.nrows();
    if m > n {
        return Err(Error::setting("cluster.prototypes", format!("{m} pairs asked of {n}; ask for at most {n}")));
    }
    let scores = stats::similarities(data, ctx)?;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let rows = match method {
        Method::Random | Method::Lors | Method::Mdw | Method::Covmatch | Method::Apm => {
            index::sample(&mut rng, n, m).into_iter().map(|r| r as u32).collect()
        }
        Method::ClipScore => top(&scores, m),
        Method::Kcenter => k_center(&Joint::new(data), m, &mut rng, ctx)?,
        Method::Herding => herding(&Joint::new(data), m, ctx)?,
        other => return Err(Error::setting("method", format!("{other} needs prototypes"))),
    };
    Ok(rows.into_iter().map(|row| SelectedPair { row, text: data.text.row(row as usize).to_vec() }).collect())
}

/// For each prototype the real pair (among the kept rows) nearest to it: by image or by text, no image or caption
/// taken twice while others are left. In the order of the prototypes.
///
/// # Errors
/// [`Error::Setting`] for a method that uses no prototypes or too few rows, [`Error::Shape`], [`Error::Cancelled`].
pub fn nearest_pairs(
    method: Method,
    data: &Embeddings,
    kept: &Kept,
    prototypes: &[Prototype],
    ctx: &Ctx,
) -> Result<Vec<SelectedPair>> {
    kept.check(data)?;
    let by_image = match method {
        Method::NearestImage => true,
        Method::NearestText => false,
        other => return Err(Error::setting("method", format!("{other} is not chosen by prototypes"))),
    };
    let (rows, side) = if by_image { (&data.image, "images") } else { (&data.text, "captions") };
    // The first kept pair of each image stands for it.
    let mut pair_of = vec![None; rows.nrows()];
    for &row in &kept.0 {
        let at = if by_image { data.image_of[row as usize] } else { row };
        pair_of[at as usize].get_or_insert(row);
    }
    let left = pair_of.iter().flatten().count();
    if left < prototypes.len() {
        let message = format!("{} prototypes, but only {left} kept {side}", prototypes.len());
        return Err(Error::setting("cluster.prototypes", message));
    }
    let half: fn(&Prototype) -> &[f32] = if by_image { |p| &p.image } else { |p| &p.text };
    let queries = vectors::stack(prototypes.iter().map(half), rows.ncols())?;
    let side = nearest::Side { queries: queries.view(), rows: rows.view(), of: None };
    let ranked = nearest::nearest(&[side], prototypes.len(), |r| pair_of[r].is_some(), ctx)?;
    let chosen = nearest::distinct(&ranked, |row| row);
    let pick = |((list, at), prototype): ((&Vec<nearest::Candidate>, Option<usize>), &Prototype)| {
        let row = pair_of[list.get(at?)?.row as usize]?;
        let text = if by_image { prototype.text.clone() } else { data.text.row(row as usize).to_vec() };
        Some(SelectedPair { row, text })
    };
    Ok(ranked.iter().zip(chosen).zip(prototypes).filter_map(pick).collect())
}

fn top(scores: &[f32], m: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..scores.len() as u32).collect();
    order.sort_by(|&a, &b| scores[b as usize].total_cmp(&scores[a as usize]).then(a.cmp(&b)));
    order.truncate(m);
    order
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
fn k_center(points: &Joint, m: usize, rng: &mut ChaCha8Rng, ctx: &Ctx) -> Result<Vec<u32>> {
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
fn herding(points: &Joint, m: usize, ctx: &Ctx) -> Result<Vec<u32>> {
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
