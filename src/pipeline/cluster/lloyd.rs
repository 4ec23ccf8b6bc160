//! A round of Lloyd's: every row to its nearest centre. Bounds as in Yinyang k-means (Ding et al., ICML 2015) skip what cannot have changed: one lower bound
//! per row and group of centres, a group being a panel of the kernel. The result is that of plain rounds.

use super::{
    groups::Groups,
    points::{BLOCK, Points, shift, slice},
    sums::{Assigned, Sums},
};
use crate::kernels::panels::{self, Panels};
use crate::{error::Result, kernels::simd, pipeline::Ctx};
use ndarray::Array2;
use rayon::prelude::*;

/// Per row: an upper bound of the distance to its centre, and for each group of centres a lower bound of the distance to
/// any of them but its own, in units: they are most of what clustering holds.
struct Bounds {
    upper: Vec<f32>,
    lower: Vec<u16>,
    /// Of lower bounds. The largest is 16 times the rows' mean distance to their mean; a bound that is less than it could
    /// be costs time alone.
    unit: f32,
}

/// Where rows stand after a round: what the next one starts from, by whoever does it. Without it a round takes longer
/// and comes to the same.
pub struct Standing {
    bounds: Bounds,
    groups: Groups,
    centres: Array2<f32>,
    assigned: Assigned,
}

/// Centres and what a round needs to know of them.
struct Round<'a> {
    points: &'a Points<'a>,
    panels: Panels,
    groups: &'a Groups,
    /// Of each centre, and in the order of the panels.
    offsets: [Vec<f32>; 2],
    centres: &'a Array2<f32>,
    /// How far each centre moved since the bounds were true, and the farthest of each group in units.
    shifts: &'a [f32],
    drift: Vec<u16>,
    unit: f32,
    /// How much longer than a row's distance to the mean all its rounding errors together could be.
    slack: f32,
}

/// How far each centre is from where it was.
pub(super) fn shifts(old: &Array2<f32>, new: &Array2<f32>) -> Vec<f32> {
    old.outer_iter().zip(new.outer_iter()).map(|(a, b)| shift(a.iter().zip(b))).collect()
}

impl Standing {
    /// Of rows that belong nowhere yet.
    pub(super) fn new(points: &Points, centres: &Array2<f32>) -> Self {
        Self {
            bounds: Bounds::new(points, centres.nrows()),
            groups: Groups::new(centres),
            centres: centres.clone(),
            assigned: Assigned::none(points, centres.nrows()),
        }
    }

    /// Whether it can be that of these rows and centres, by their numbers.
    pub(super) fn fits(&self, points: &Points, centres: &Array2<f32>) -> bool {
        self.assigned.labels.len() == points.len() && self.centres.dim() == centres.dim()
    }

    /// Bytes that it holds.
    pub fn bytes(&self) -> u64 {
        let (rows, (m, d)) = (self.assigned.labels.len(), self.centres.dim());
        (8 * rows + 2 * self.bounds.lower.len() + 12 * m * d) as u64
    }

    /// Gives the rows, which must be those of the last round, the nearest of these centres.
    pub(super) fn round(&mut self, points: &Points, centres: &Array2<f32>, ctx: &Ctx) -> Result<&Assigned> {
        let shifts = shifts(&self.centres, centres);
        self.centres.assign(centres);
        let before = self.assigned.labels.clone();
        let round = Round::new(points, centres, &self.groups, &shifts, self.bounds.unit);
        relabel(&round, &mut self.bounds, &mut self.assigned.labels, ctx)?;
        self.assigned.sums.follow(points, &before, &self.assigned.labels);
        Ok(&self.assigned)
    }
}

/// How much weight has each centre as its nearest.
pub(super) fn nearest_weight(points: &Points, centres: &Array2<f32>, ctx: &Ctx) -> Result<Vec<f64>> {
    let mut weight = vec![0f64; centres.nrows()];
    let labels = labels(points, centres, ctx)?;
    labels.iter().zip(points.weights.iter()).for_each(|(&k, &w)| weight[k as usize] += f64::from(w));
    Ok(weight)
}

/// Centres of a partition, of which `points` may have more columns than those it was found in.
pub(super) fn centres_of(points: &Points, labels: &[u32], clusters: usize) -> Array2<f32> {
    let mut sums = Sums::new(clusters, points.columns);
    sums.follow(points, &vec![Sums::NONE; labels.len()], labels);
    let mut centres = Array2::zeros((clusters, points.columns));
    sums.move_to_means(points, &mut centres);
    centres
}

impl Bounds {
    fn new(points: &Points, centres: usize) -> Self {
        let (n, groups) = (points.len(), centres.div_ceil(simd::width()));
        let unit = points.radius() * 16.0 / f32::from(u16::MAX);
        Self { upper: vec![f32::INFINITY; n], lower: vec![0; n * groups], unit }
    }
}

impl<'a> Round<'a> {
    fn new(points: &'a Points<'a>, centres: &'a Array2<f32>, groups: &'a Groups, shifts: &'a [f32], unit: f32) -> Self {
        let panels = Panels::new(groups.order.iter().map(|&k| slice(centres, k)), points.columns);
        let farthest = |group: &[u32]| group.iter().map(|&k| shifts[k as usize]).fold(0.0, f32::max);
        let drift = groups.order.chunks(panels.width).map(|group| (farthest(group) / unit).ceil() as u16).collect();
        let offsets = points.offsets(centres);
        let ordered = groups.order.iter().map(|&k| offsets[k as usize]).collect();
        let slack = 1e-5 * points.far();
        Self { points, panels, groups, offsets: [offsets, ordered], centres, shifts, drift, unit, slack }
    }

    /// Distances only bounded, made sure to err on the near side.
    fn slack(&self, row: usize) -> f32 {
        self.slack + 1e-3 * self.points.squares[row].sqrt()
    }

    /// A distance as a lower bound.
    fn below(&self, distance: f32) -> u16 {
        (distance / self.unit) as u16
    }

    /// What a lower bound surely is.
    fn surely(&self, lower: u16, row: usize) -> f32 {
        f32::from(lower) * self.unit - self.slack(row)
    }

    /// Widens the bounds by what the centres moved, then measures the own distance of rows in doubt;
    /// the rows (of the block) still in doubt.
    fn doubtful(&self, first: usize, block: &mut Block) -> Vec<usize> {
        let groups = self.drift.len();
        let mut found = Vec::new();
        for i in 0..block.labels.len() {
            let lower = &mut block.lower[i * groups..(i + 1) * groups];
            lower.iter_mut().zip(&self.drift).for_each(|(l, &d)| *l = l.saturating_sub(d));
            if block.upper[i].is_infinite() {
                found.push(i);
                continue;
            }
            block.upper[i] += self.shifts[block.labels[i] as usize];
            let least = self.surely(lower.iter().copied().fold(u16::MAX, u16::min), first + i);
            if block.upper[i] >= least {
                let label = block.labels[i];
                let product = panels::dot(self.points.row(first + i), slice(self.centres, label));
                block.upper[i] = self.distance(first + i, self.offsets[0][label as usize] - 2.0 * product);
                if block.upper[i] >= least {
                    found.push(i);
                }
            }
        }
        found
    }

    /// Gives the rows of a block their nearest centres.
    fn relabel(&self, first: usize, mut block: Block) {
        let groups = self.drift.len();
        let active = self.doubtful(first, &mut block);
        // Score of the nearest centre met so far, its number, and the next best score in its group.
        let mut best = vec![(f32::INFINITY, 0u32, f32::INFINITY); block.labels.len()];
        let (mut rows, mut members, mut out) = (Vec::new(), Vec::new(), Vec::new());
        for p in 0..groups {
            let own = |i: usize| self.groups.of.get(block.labels[i] as usize) == Some(&p);
            let near = |i: usize| block.upper[i] >= self.surely(block.lower[i * groups + p], first + i);
            members.clear();
            members.extend(active.iter().copied().filter(|&i| own(i) || near(i)));
            rows.clear();
            rows.extend(members.iter().map(|&i| self.points.row(first + i)));
            self.panels.products(p, &rows, &mut out);
            let from = p * self.panels.width;
            let offsets = &self.offsets[1][from..from + self.panels.filled(p)];
            for (&i, products) in members.iter().zip(out.chunks_exact(self.panels.width)) {
                let (least, at, next) = two_least(products, offsets);
                block.lower[i * groups + p] = self.below(self.distance(first + i, least));
                let label = self.groups.order.get(from + at).copied().unwrap_or(0);
                if least < best[i].0 || (least == best[i].0 && label < best[i].1) {
                    best[i] = (least, label, next);
                }
            }
        }
        for i in active {
            let (score, label, next) = best[i];
            block.labels[i] = label;
            block.upper[i] = self.distance(first + i, score);
            block.lower[i * groups + self.groups.of[label as usize]] = self.below(self.distance(first + i, next));
        }
    }

    fn distance(&self, row: usize, score: f32) -> f32 {
        (self.points.squares[row] + score).max(0.0).sqrt()
    }
}

/// The least of `offset - 2 product`, where it is (the first of equals), and the next.
#[inline(always)]
fn two_least(products: &[f32], offsets: &[f32]) -> (f32, usize, f32) {
    let (mut best, mut next, mut at) = (f32::INFINITY, f32::INFINITY, 0);
    for (k, (p, c)) in products.iter().zip(offsets).enumerate() {
        let score = c - 2.0 * p;
        next = next.min(score.max(best));
        if score < best {
            (best, at) = (score, k);
        }
    }
    (best, at, next)
}

/// The bounds of a block of rows.
struct Block<'a> {
    labels: &'a mut [u32],
    upper: &'a mut [f32],
    lower: &'a mut [u16],
}

/// Gives every row its nearest centre (the lowest number of equals).
fn relabel(round: &Round, bounds: &mut Bounds, labels: &mut [u32], ctx: &Ctx) -> Result<()> {
    let groups = round.drift.len();
    let blocks = labels
        .par_chunks_mut(BLOCK)
        .zip(bounds.upper.par_chunks_mut(BLOCK))
        .zip(bounds.lower.par_chunks_mut(BLOCK * groups))
        .enumerate();
    blocks.try_for_each(|(b, ((labels, upper), lower))| {
        ctx.check()?;
        round.relabel(b * BLOCK, Block { labels, upper, lower });
        Ok(())
    })
}

/// The nearest centre of each row.
pub(super) fn labels(points: &Points, centres: &Array2<f32>, ctx: &Ctx) -> Result<Vec<u32>> {
    let (shifts, groups) = (vec![0.0; centres.nrows()], Groups::new(centres));
    let (mut bounds, mut labels) = (Bounds::new(points, centres.nrows()), vec![Sums::NONE; points.len()]);
    relabel(&Round::new(points, centres, &groups, &shifts, bounds.unit), &mut bounds, &mut labels, ctx)?;
    Ok(labels)
}
