//! Where k-means starts: greedy k-means++ (Arthur and Vassilvitskii 2007, with scikit-learn's 2 + ln M candidates a
//! step), one centre at a time over each row's best distance so far; and merging when fewer clusters are wanted.

use super::{
    ClusterSettings,
    kernel::{self, Panels},
    lloyd,
    points::{BLOCK, Points, lines, slice},
};
use crate::{
    error::Result,
    pipeline::{Ctx, dense},
};
use ndarray::{Array2, Axis};
use rand::{Rng, SeedableRng, seq::index};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use std::ops::Range;

/// Centres drawn at once.
const AT_ONCE: usize = 4;

/// The generator of one start.
pub(super) fn rng(seed: u64, start: usize) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(start as u64);
    rng
}

/// Rows for the starts to compete on, if that is fewer than all.
pub(super) fn sample<'a>(points: &'a Points, settings: &ClusterSettings) -> Option<Points<'a>> {
    let (n, wanted) = (points.len(), (settings.prototypes * 16).max(8192));
    // A sample of most rows would save nothing.
    (n > wanted + wanted / 2).then(|| {
        let mut chosen = index::sample(&mut rng(settings.seed, usize::MAX), n, wanted).into_vec();
        chosen.sort_unstable();
        points.subset(&chosen)
    })
}

/// `start` and as many of the points as make it `m` centres.
pub(super) fn grow(points: &Points, start: Array2<f32>, m: usize, rng: ChaCha8Rng, ctx: &Ctx) -> Result<Array2<f32>> {
    let rows = plus_plus(points, Some(&start), m, rng, ctx)?;
    let mut centres = start;
    centres.append(Axis(0), points.seeds(&rows).view()).map_err(|e| dense::shape("centres", m, e))?;
    Ok(centres)
}

/// The rows that make `m` centres of those of `start`.
pub(super) fn plus_plus(
    points: &Points,
    start: Option<&Array2<f32>>,
    m: usize,
    mut rng: ChaCha8Rng,
    ctx: &Ctx,
) -> Result<Vec<usize>> {
    let start = start.filter(|centres| centres.nrows() > 0);
    let mut best = match start {
        None => vec![f32::INFINITY; points.len()],
        Some(centres) => {
            let labels = lloyd::labels(points, centres, ctx)?;
            points.gaps(centres, &labels).into_iter().map(|gap| gap as f32).collect()
        }
    };
    let (trials, have) = (2 + (m as f64).ln() as usize, start.map_or(0, Array2::nrows));
    let mut rows = Vec::with_capacity(m - have);
    while have + rows.len() < m {
        ctx.check()?;
        // Late centres hardly change the odds of the next: several to a pass over the rows.
        let turns = if have + rows.len() < AT_ONCE * 8 { 1 } else { AT_ONCE.min(m - have - rows.len()) };
        let drawn = draw(points, &best, trials * turns, &mut rng);
        let near = distances(points, &points.seeds(&drawn), ctx)?;
        for first in (0..drawn.len()).step_by(trials.min(drawn.len())) {
            let chosen = lowest(points, &best, &near, first..drawn.len().min(first + trials));
            let columns = near.iter().flat_map(|block| block.chunks_exact(drawn.len()));
            best.iter_mut().zip(columns).for_each(|(b, row)| *b = b.min(row[chosen]));
            best[drawn[chosen]] = 0.0;
            rows.push(drawn[chosen]);
        }
    }
    Ok(rows)
}

/// Squared distances of every row to every candidate: blocks of `[rows, candidates]`.
fn distances(points: &Points, candidates: &Array2<f32>, ctx: &Ctx) -> Result<Vec<Vec<f32>>> {
    let (panels, offsets) = (Panels::new(lines(candidates), points.columns), points.offsets(candidates));
    let block = |(b, squares): (usize, &[f32])| {
        ctx.check()?;
        let (rows, mut out, mut products) = (points.block(b), vec![0f32; squares.len() * offsets.len()], Vec::new());
        for p in 0..panels.count() {
            let from = p * panels.width;
            let offsets = &offsets[from..from + panels.filled(p)];
            panels.products(p, &rows, &mut products);
            let found = products.chunks_exact(panels.width).zip(squares);
            for (out, (products, square)) in out.chunks_exact_mut(candidates.nrows()).zip(found) {
                let out = out[from..].iter_mut().zip(products).zip(offsets);
                out.for_each(|((o, product), offset)| *o = (square + offset - 2.0 * product).max(0.0));
            }
        }
        Ok(out)
    };
    points.squares.par_chunks(BLOCK).enumerate().map(block).collect()
}

/// The candidate of `among` that leaves the least weighted error.
fn lowest(points: &Points, best: &[f32], near: &[Vec<f32>], among: Range<usize>) -> usize {
    let blocks = best.par_chunks(BLOCK).zip(points.weights.par_chunks(BLOCK)).zip(near);
    let parts: Vec<Vec<f64>> = blocks
        .map(|((best, weights), near)| {
            let mut sums = vec![0f64; among.len()];
            for ((&b, &w), row) in best.iter().zip(weights).zip(near.chunks_exact(near.len() / best.len())) {
                let row = &row[among.clone()];
                sums.iter_mut().zip(row).for_each(|(s, &v)| *s += f64::from(b.min(v)) * f64::from(w));
            }
            sums
        })
        .collect();
    let totals: Vec<f64> = (0..among.len()).map(|k| parts.iter().map(|part| part[k]).sum()).collect();
    among.start + (0..totals.len()).min_by(|&a, &b| totals[a].total_cmp(&totals[b])).unwrap_or(0)
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

/// Merges centres, cheapest pair first by Ward's cost `w_a w_b / (w_a + w_b) |a - b|²`, until `m` are left.
pub(super) fn merge(points: &Points, centres: Array2<f32>, m: usize, ctx: &Ctx) -> Result<Array2<f32>> {
    let mut weight = lloyd::nearest_weight(points, &centres, ctx)?;
    let mut rows: Vec<Vec<f64>> = centres.outer_iter().map(|c| c.iter().map(|&v| f64::from(v)).collect()).collect();
    let cost = |rows: &[Vec<f64>], weight: &[f64], a: usize, b: usize| {
        let gap: f64 = rows[a].iter().zip(&rows[b]).map(|(x, y)| (x - y) * (x - y)).sum();
        gap * weight[a] * weight[b] / (weight[a] + weight[b]).max(f64::MIN_POSITIVE)
    };
    // Centres are shifted already.
    let origin = vec![0.0; points.columns];
    let first = |a: usize, b: usize| {
        let gap = kernel::gap(slice(&centres, a as u32), &origin, slice(&centres, b as u32));
        gap * weight[a] * weight[b] / (weight[a] + weight[b]).max(f64::MIN_POSITIVE)
    };
    let n = rows.len();
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
