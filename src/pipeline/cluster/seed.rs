//! Where k-means starts: greedy k-means++ (Arthur and Vassilvitskii 2007, with scikit-learn's 2 + ln M candidates a
//! step), one centre at a time over each row's best distance so far; and merging when fewer clusters are wanted.

use super::{
    ClusterSettings, lloyd,
    points::{BLOCK, Points, lines, slice},
};
use crate::kernels::panels::{self, Panels};
use crate::{error::Result, kernels::vectors, pipeline::Ctx};
use ndarray::{Array1, Array2, Axis, concatenate};
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
    concatenate(Axis(0), &[start.view(), points.seeds(&rows).view()]).map_err(|e| vectors::shape("centres", m, e))
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
    let (mut rows, mut near) = (Vec::with_capacity(m - have), Vec::new());
    while have + rows.len() < m {
        ctx.check()?;
        // Late centres hardly change the odds of the next: several to a pass over the rows.
        let turns = if have + rows.len() < AT_ONCE * 8 { 1 } else { AT_ONCE.min(m - have - rows.len()) };
        let drawn = draw(points, &best, trials * turns, &mut rng);
        distances(points, &points.seeds(&drawn), &mut near, ctx)?;
        for first in (0..drawn.len()).step_by(trials.min(drawn.len())) {
            let chosen = lowest(points, &best, &near, first..drawn.len().min(first + trials));
            best.iter_mut().zip(near.chunks_exact(drawn.len())).for_each(|(b, row)| *b = b.min(row[chosen]));
            best[drawn[chosen]] = 0.0;
            rows.push(drawn[chosen]);
        }
    }
    Ok(rows)
}

/// Squared distances of every row to every candidate: `[n, candidates]` in `out`.
fn distances(points: &Points, candidates: &Array2<f32>, out: &mut Vec<f32>, ctx: &Ctx) -> Result<()> {
    let (panels, offsets) = (Panels::new(lines(candidates), points.columns), points.offsets(candidates));
    let many = offsets.len();
    out.resize(points.len() * many, 0.0);
    let blocks = out.par_chunks_mut(BLOCK * many).zip(points.squares.par_chunks(BLOCK)).enumerate();
    blocks.try_for_each(|(b, (out, squares))| {
        ctx.check()?;
        let (rows, mut products) = (points.block(b), Vec::new());
        for p in 0..panels.count() {
            let from = p * panels.width;
            let offsets = &offsets[from..from + panels.filled(p)];
            panels.products(p, &rows, &mut products);
            let found = products.chunks_exact(panels.width).zip(squares);
            for (out, (products, square)) in out.chunks_exact_mut(many).zip(found) {
                let out = out[from..].iter_mut().zip(products).zip(offsets);
                out.for_each(|((o, product), offset)| *o = (square + offset - 2.0 * product).max(0.0));
            }
        }
        Ok(())
    })
}

/// The candidate of `among` that leaves the least weighted error.
fn lowest(points: &Points, best: &[f32], near: &[f32], among: Range<usize>) -> usize {
    let many = near.len() / best.len();
    let blocks = best.par_chunks(BLOCK).zip(points.weights.par_chunks(BLOCK)).zip(near.par_chunks(BLOCK * many));
    let parts: Vec<Vec<f64>> = blocks
        .map(|((best, weights), near)| {
            let mut sums = vec![0f64; among.len()];
            for ((&b, &w), row) in best.iter().zip(weights).zip(near.chunks_exact(many)) {
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
pub(super) fn merge(points: &Points, mut centres: Array2<f32>, m: usize, ctx: &Ctx) -> Result<Array2<f32>> {
    let mut weight = lloyd::nearest_weight(points, &centres, ctx)?;
    // Centres are shifted already.
    let origin = vec![0.0; points.columns];
    let cost = |centres: &Array2<f32>, weight: &[f64], a: usize, b: usize| {
        let gap = panels::gap(slice(centres, a as u32), &origin, slice(centres, b as u32));
        gap * weight[a] * weight[b] / (weight[a] + weight[b]).max(f64::MIN_POSITIVE)
    };
    let mut left: Vec<usize> = (0..centres.nrows()).collect();
    let row = |&a: &usize| (0..a).map(|b| cost(&centres, &weight, a, b)).collect();
    let mut table: Vec<Vec<f64>> = left.iter().map(row).collect();
    while left.len() > m {
        ctx.check()?;
        let below = |(i, &a): (usize, &usize)| left[..i].iter().map(move |&b| (a, b));
        let pairs = left.iter().enumerate().flat_map(below);
        let Some((a, b)) = pairs.min_by(|&(a, b), &(c, d)| table[a][b].total_cmp(&table[c][d])) else { break };
        let total = (weight[a] + weight[b]).max(f64::MIN_POSITIVE);
        let (wa, wb) = (weight[a] / total, weight[b] / total);
        let merged = |(&x, &y): (&f32, &f32)| (wa * f64::from(x) + wb * f64::from(y)) as f32;
        let row = centres.row(a).iter().zip(centres.row(b)).map(merged).collect();
        centres.row_mut(b).assign(&Array1::from_vec(row));
        weight[b] += weight[a];
        left.retain(|&k| k != a);
        for &other in left.iter().filter(|&&k| k != b) {
            table[other.max(b)][other.min(b)] = cost(&centres, &weight, other, b);
        }
    }
    Ok(centres.select(Axis(0), &left))
}
