//! Where k-means starts: greedy k-means++ (Arthur and Vassilvitskii 2007, with scikit-learn's 2 + ln M candidates a
//! step), one centre at a time over each row's best distance so far; and merging when fewer clusters are wanted.

use super::{ClusterSettings, lloyd::Points};
use crate::{
    error::Result,
    pipeline::{Ctx, dense},
};
use candle_core::Tensor;
use ndarray::{Array2, Axis};
use rand::{Rng, SeedableRng, seq::index};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// Rows of a block: the products here are narrow, so that blocks are worth being longer than elsewhere.
const BLOCK: usize = 2 * dense::BLOCK;

/// The generator of one start.
pub(super) fn rng(seed: u64, start: usize) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(start as u64);
    rng
}

/// Rows for the starts to compete on, if that is fewer than all.
pub(super) fn sample(points: &Points, settings: &ClusterSettings) -> Option<Points<'static>> {
    let (n, wanted) = (points.rows.nrows(), (settings.prototypes * 16).max(8192));
    // A sample of most rows would save nothing.
    (n > wanted + wanted / 2).then(|| {
        let mut chosen = index::sample(&mut rng(settings.seed, usize::MAX), n, wanted).into_vec();
        chosen.sort_unstable();
        points.subset(&chosen)
    })
}

/// Adds centres to `start` until there are `m`.
pub(super) fn plus_plus(
    points: &Points,
    start: Option<Array2<f32>>,
    m: usize,
    mut rng: ChaCha8Rng,
    ctx: &Ctx,
) -> Result<Array2<f32>> {
    let n = points.rows.nrows();
    let blocks: Vec<Tensor> = points.rows.axis_chunks_iter(Axis(0), BLOCK).map(dense::tensor).collect::<Result<_>>()?;
    let mut best = vec![f32::INFINITY; n];
    let mut centres = start.unwrap_or_else(|| Array2::zeros((0, points.rows.ncols())));
    for block in centres.axis_chunks_iter(Axis(0), 64) {
        let near = distances(points, &blocks, &block.to_owned(), ctx)?;
        let least = |row: &[f32]| row.iter().copied().fold(f32::INFINITY, f32::min);
        best.iter_mut().zip(near.chunks_exact(block.nrows())).for_each(|(b, row)| *b = b.min(least(row)));
    }
    let trials = 2 + (m as f64).ln() as usize;
    while centres.nrows() < m {
        ctx.check()?;
        let drawn = draw(points, &best, trials, &mut rng);
        let candidates = points.rows.select(Axis(0), &drawn);
        let near = distances(points, &blocks, &candidates, ctx)?;
        let chosen = lowest(points, &best, &near, drawn.len());
        best.iter_mut().zip(near.chunks_exact(drawn.len())).for_each(|(b, row)| *b = b.min(row[chosen]));
        best[drawn[chosen]] = 0.0;
        centres
            .append(Axis(0), candidates.select(Axis(0), &[chosen]).view())
            .map_err(|e| dense::shape("centres", m, e))?;
    }
    Ok(centres)
}

/// Squared distances of every row to every candidate: `[n, candidates]`.
fn distances(points: &Points, blocks: &[Tensor], candidates: &Array2<f32>, ctx: &Ctx) -> Result<Vec<f32>> {
    let right = dense::tensor(candidates.view())?;
    let squares: Vec<f32> = candidates.outer_iter().map(|c| dense::square(c) as f32).collect();
    let parts: Vec<Vec<f32>> = blocks
        .par_iter()
        .zip(points.squares.par_chunks(BLOCK))
        .map(|(block, x2)| {
            ctx.check()?;
            let mut out = dense::product(block, &right)?;
            for (row, x2) in out.chunks_exact_mut(squares.len()).zip(x2) {
                row.iter_mut().zip(&squares).for_each(|(p, c2)| *p = (x2 + c2 - 2.0 * *p).max(0.0));
            }
            Ok(out)
        })
        .collect::<Result<_>>()?;
    Ok(parts.concat())
}

/// Rows drawn with probability weight x squared distance; the first centre by weight alone.
fn draw(points: &Points, best: &[f32], trials: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let fresh = best.first().is_some_and(|b| b.is_infinite());
    let mut total = 0.0;
    let mass = |(&b, &w): (&f32, &u32)| if fresh { f64::from(w) } else { f64::from(b) * f64::from(w) };
    let sums: Vec<f64> = best
        .iter()
        .zip(points.weights.iter())
        .map(|pair| {
            total += mass(pair);
            total
        })
        .collect();
    let last = best.len() - 1;
    let trials = if fresh { 1 } else { trials };
    // Nothing left to cover: any row does, Lloyd's rounds mend or refuse it.
    let pick = |u: f64| if total > 0.0 { sums.partition_point(|&s| s <= u * total).min(last) } else { 0 };
    (0..trials).map(|_| pick(rng.random::<f64>())).collect()
}

/// The candidate that leaves the least weighted error.
fn lowest(points: &Points, best: &[f32], near: &[f32], candidates: usize) -> usize {
    let parts: Vec<Vec<f64>> = best
        .par_chunks(BLOCK)
        .zip(near.par_chunks(BLOCK * candidates))
        .zip(points.weights.par_chunks(BLOCK))
        .map(|((best, near), weights)| {
            let mut sums = vec![0f64; candidates];
            for ((&b, row), &w) in best.iter().zip(near.chunks_exact(candidates)).zip(weights) {
                sums.iter_mut().zip(row).for_each(|(s, &v)| *s += f64::from(b.min(v)) * f64::from(w));
            }
            sums
        })
        .collect();
    let total = |k: usize| parts.iter().map(|p| p[k]).sum::<f64>();
    let totals: Vec<f64> = (0..candidates).map(total).collect();
    (0..candidates).min_by(|&a, &b| totals[a].total_cmp(&totals[b])).unwrap_or(0)
}

/// Merges centres, cheapest pair first by Ward's cost `w_a w_b / (w_a + w_b) |a - b|²`, until `m` are left.
pub(super) fn merge(points: &Points, centres: Array2<f32>, m: usize, ctx: &Ctx) -> Result<Array2<f32>> {
    let mut weight = nearest_weight(points, &centres, ctx)?;
    let mut rows: Vec<Vec<f64>> = centres.outer_iter().map(|c| c.iter().map(|&v| f64::from(v)).collect()).collect();
    let cost = |rows: &[Vec<f64>], weight: &[f64], a: usize, b: usize| {
        let gap: f64 = rows[a].iter().zip(&rows[b]).map(|(x, y)| (x - y) * (x - y)).sum();
        gap * weight[a] * weight[b] / (weight[a] + weight[b]).max(f64::MIN_POSITIVE)
    };
    let right = dense::tensor(centres.view())?;
    let products = dense::product(&right, &right)?;
    let n = rows.len();
    // |a - b|² from products: the first table is m² d work.
    let first = |a: usize, b: usize| {
        let at = |i: usize, j: usize| f64::from(products[i * n + j]);
        let gap = (at(a, a) + at(b, b) - 2.0 * at(a, b)).max(0.0);
        gap * weight[a] * weight[b] / (weight[a] + weight[b]).max(f64::MIN_POSITIVE)
    };
    let mut table: Vec<Vec<f64>> = (0..n).map(|a| (0..a).map(|b| first(a, b)).collect()).collect();
    while rows.len() > m {
        ctx.check()?;
        let pairs = table.iter().enumerate().flat_map(|(a, row)| row.iter().enumerate().map(move |(b, &c)| (c, a, b)));
        let Some((_, a, b)) = pairs.min_by(|x, y| x.0.total_cmp(&y.0)) else { break };
        let total = (weight[a] + weight[b]).max(f64::MIN_POSITIVE);
        let (wa, wb) = (weight[a] / total, weight[b] / total);
        rows[b] = rows[a].iter().zip(&rows[b]).map(|(x, y)| wa * x + wb * y).collect();
        weight[b] += weight[a];
        rows.remove(a);
        weight.remove(a);
        table.remove(a);
        for row in table.iter_mut().skip(a) {
            row.remove(a);
        }
        for other in (0..rows.len()).filter(|&o| o != b) {
            table[other.max(b)][other.min(b)] = cost(&rows, &weight, other, b);
        }
    }
    Ok(Array2::from_shape_fn((rows.len(), centres.ncols()), |(i, j)| rows[i][j] as f32))
}

/// How much weight has each centre as its nearest.
fn nearest_weight(points: &Points, centres: &Array2<f32>, ctx: &Ctx) -> Result<Vec<f64>> {
    let mut weight = vec![0f64; centres.nrows()];
    for (b, block) in points.rows.axis_chunks_iter(Axis(0), BLOCK).enumerate() {
        ctx.check()?;
        let products = dense::product(&dense::tensor(block)?, &dense::tensor(centres.view())?)?;
        let squares: Vec<f32> = centres.outer_iter().map(|c| dense::square(c) as f32).collect();
        for (i, row) in products.chunks_exact(centres.nrows()).enumerate() {
            let score = |k: usize| squares[k] - 2.0 * row[k];
            let near = (0..row.len()).min_by(|&x, &y| score(x).total_cmp(&score(y))).unwrap_or(0);
            weight[near] += f64::from(points.weights[b * BLOCK + i]);
        }
    }
    Ok(weight)
}
