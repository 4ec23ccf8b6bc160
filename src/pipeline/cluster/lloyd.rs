//! Lloyd's rounds. Bounds as in Yinyang k-means (Ding et al., ICML 2015) skip what cannot have changed: one lower bound
//! per row and group of centres, a group being a panel of the kernel. The result is that of plain rounds.

use super::{
    ClusterSettings,
    groups::Groups,
    points::{BLOCK, Partition, Points, Sums, shift, slice},
    too_many,
};
use crate::kernels::panels::{self, Panels};
use crate::{error::Result, kernels::simd, pipeline::Ctx};
use ndarray::Array2;
use rayon::prelude::*;
use std::collections::HashSet;

/// Per row: its cluster, an upper bound of the distance to its centre, and for each group of centres a lower bound of
/// the distance to any of them but its own, in units: they are most of what clustering holds.
struct Bounds {
    labels: Vec<u32>,
    upper: Vec<f32>,
    lower: Vec<u16>,
    /// Of lower bounds. The largest is 16 times the rows' mean distance to their mean; a bound that is less than it could
    /// be costs time alone.
    unit: f32,
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

/// Lloyd's rounds until no row changes its cluster, the means save too little or `max_iter` is reached; otherwise
/// scikit-learn's `_kmeans_single_lloyd`, including its rule that the labels returned belong to the centres returned.
pub(super) fn refine(
    points: &Points,
    mut centres: Array2<f32>,
    settings: &ClusterSettings,
    ctx: &Ctx,
) -> Result<Partition> {
    let mut shifts = vec![0f32; centres.nrows()];
    let mut bounds = Bounds::new(points, centres.nrows());
    let groups = Groups::new(&centres);
    let mut sums = Sums::new(centres.nrows(), points.columns);
    let spread = points.spread();
    let (mut rounds, mut settled) = (0, false);
    while rounds < settings.max_iter {
        ctx.step("cluster", rounds, settings.max_iter)?;
        let before = bounds.labels.clone();
        let changed = relabel(&Round::new(points, &centres, &groups, &shifts, bounds.unit), &mut bounds, ctx)?;
        sums.follow(points, &before, &bounds.labels);
        let mended = sums.empty();
        shifts = if mended == 0 {
            sums.move_to_means(points, &mut centres)
        } else {
            let moved = mend(points, &centres, &bounds.labels)?;
            let old = std::mem::replace(&mut centres, moved);
            old.outer_iter().zip(centres.outer_iter()).map(|(a, b)| shift(a.iter().zip(b))).collect()
        };
        rounds += 1;
        settled = changed == 0 && mended == 0;
        if settled || (mended == 0 && sums.saved(&centres, &shifts, spread) <= settings.tolerance) {
            break;
        }
    }
    if !settled {
        relabel(&Round::new(points, &centres, &groups, &shifts, bounds.unit), &mut bounds, ctx)?;
    }
    let mut labels = bounds.labels;
    fill(points, &mut centres, &mut labels)?;
    let inertia = points.inertia(&centres, &labels);
    Ok(Partition { centres, labels, inertia, rounds })
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
        Self { labels: vec![Sums::NONE; n], upper: vec![f32::INFINITY; n], lower: vec![0; n * groups], unit }
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

    /// Gives the rows of a block their nearest centres; returns how many changed.
    fn relabel(&self, first: usize, mut block: Block) -> usize {
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
        let mut changed = 0;
        for i in active {
            let (score, label, next) = best[i];
            changed += usize::from(block.labels[i] != label);
            block.labels[i] = label;
            block.upper[i] = self.distance(first + i, score);
            block.lower[i * groups + self.groups.of[label as usize]] = self.below(self.distance(first + i, next));
        }
        changed
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

/// Gives every row its nearest centre (the lowest number of equals); returns how many rows changed.
fn relabel(round: &Round, bounds: &mut Bounds, ctx: &Ctx) -> Result<usize> {
    let groups = round.drift.len();
    let blocks = bounds
        .labels
        .par_chunks_mut(BLOCK)
        .zip(bounds.upper.par_chunks_mut(BLOCK))
        .zip(bounds.lower.par_chunks_mut(BLOCK * groups))
        .enumerate();
    blocks
        .map(|(b, ((labels, upper), lower))| {
            ctx.check()?;
            Ok(round.relabel(b * BLOCK, Block { labels, upper, lower }))
        })
        .try_reduce(|| 0, |a, b| Ok(a + b))
}

/// The nearest centre of each row.
pub(super) fn labels(points: &Points, centres: &Array2<f32>, ctx: &Ctx) -> Result<Vec<u32>> {
    let (shifts, groups) = (vec![0.0; centres.nrows()], Groups::new(centres));
    let mut bounds = Bounds::new(points, centres.nrows());
    relabel(&Round::new(points, centres, &groups, &shifts, bounds.unit), &mut bounds, ctx)?;
    Ok(bounds.labels)
}

/// The means where clusters are empty: each takes the row that lies farthest from its own centre.
fn mend(points: &Points, centres: &Array2<f32>, labels: &[u32]) -> Result<Array2<f32>> {
    let mut labels = labels.to_vec();
    fill(points, &mut centres.clone(), &mut labels)?;
    Ok(centres_of(points, &labels, centres.nrows()))
}

/// Moves the farthest rows into empty clusters, one each, never emptying another.
fn fill(points: &Points, centres: &mut Array2<f32>, labels: &mut [u32]) -> Result<()> {
    let mut size = vec![0usize; centres.nrows()];
    labels.iter().for_each(|&l| size[l as usize] += 1);
    let empty: Vec<usize> = (0..size.len()).filter(|&k| size[k] == 0).collect();
    if empty.is_empty() {
        return Ok(());
    }
    let gaps = points.gaps(centres, labels);
    let mut far: Vec<(f64, usize)> = gaps.into_iter().zip(0..).filter(|f| f.0 > 0.0).collect();
    far.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let mut far = far.into_iter();
    // Exact copies of a row taken already would only make another empty cluster.
    let mut taken = HashSet::new();
    for k in empty {
        let free = |&(_, i): &(f64, usize)| size[labels[i] as usize] > 1 && !taken.contains(&bits(points.row(i)));
        let Some((_, i)) = far.find(free) else {
            let distinct: HashSet<Vec<u32>> = (0..labels.len()).map(|i| bits(points.row(i))).collect();
            return Err(too_many(size.len(), distinct.len(), "distinct "));
        };
        taken.insert(bits(points.row(i)));
        size[labels[i] as usize] -= 1;
        size[k] = 1;
        labels[i] = k as u32;
        centres.row_mut(k).iter_mut().zip(points.shifted(i)).for_each(|(c, v)| *c = v);
    }
    Ok(())
}

fn bits(row: &[f32]) -> Vec<u32> {
    row.iter().map(|v| v.to_bits()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::borrow::Cow;

    /// Lloyd's rounds that measure every distance every time.
    fn plain(points: &Points, mut centres: Array2<f32>) -> Vec<u32> {
        let mut sums = Sums::new(centres.nrows(), points.columns);
        let mut before = vec![Sums::NONE; points.len()];
        loop {
            let after = labels(points, &centres, &Ctx::quiet()).unwrap();
            if after == before {
                return after;
            }
            sums.follow(points, &before, &after);
            if sums.empty() == 0 {
                sums.move_to_means(points, &mut centres);
            } else {
                centres = mend(points, &centres, &after).unwrap();
            }
            before = after;
        }
    }

    /// In double precision.
    fn nearest(points: &Points, centres: &Array2<f32>, row: usize) -> u32 {
        let gap =
            |k: &u32| points.shifted(row).zip(slice(centres, *k)).map(|(x, c)| f64::from(x - c).powi(2)).sum::<f64>();
        (0..centres.nrows() as u32).min_by(|a, b| gap(a).total_cmp(&gap(b))).unwrap()
    }

    #[test]
    fn what_the_bounds_skip_changes_nothing() {
        let value = |i: usize, j: usize| (((i * 1009 + j * 9176 + i * i * j * 31) % 8191) as f32 / 8191.0).powi(2);
        let near = Array2::from_shape_fn((1900, 12), |(i, j)| 30.0 + value(i, j) + 3.0 * value(i % 37, j + 40));
        // A row so far away that the others' bounds are coarse and its own all the largest there is.
        for (far, of) in [(0.0, 12), (2e4, 12), (400.0, 1)] {
            let mut rows = near.clone();
            rows.row_mut(777).iter_mut().take(of).for_each(|v| *v += far);
            let values = Cow::Borrowed(rows.as_slice().unwrap());
            let points = Points::new(values, 12, None, Cow::Owned(vec![1; 1900])).unwrap();
            for m in [3, 16, 50, 90] {
                let start: Vec<usize> = (0..m).map(|k| k * 7).collect();
                let settings = ClusterSettings { tolerance: 0.0, ..ClusterSettings::default() };
                let found = refine(&points, points.seeds(&start), &settings, &Ctx::quiet()).unwrap();
                assert_eq!(found.labels, plain(&points, points.seeds(&start)), "{far} {m}");
                let wrong = (0..1900).filter(|&i| found.labels[i] != nearest(&points, &found.centres, i)).count();
                assert!(wrong <= 2, "{far} {m}: {wrong} rows are not at their nearest centre");
            }
        }
    }

    #[test]
    fn means_save_the_share_of_the_inertia_that_is_told() {
        let rows = Array2::from_shape_fn((300, 5), |(i, j)| ((i * 37 + j * 101 + i * j) % 97) as f32 / 9.0);
        let weights = (0..300).map(|i| 1 + i % 3).collect();
        let points = Points::new(Cow::Borrowed(rows.as_slice().unwrap()), 5, None, Cow::Owned(weights)).unwrap();
        let mut centres = points.seeds(&[0, 50, 100, 200]);
        let labels = labels(&points, &centres, &Ctx::quiet()).unwrap();
        let before = points.inertia(&centres, &labels);
        let mut sums = Sums::new(4, 5);
        sums.follow(&points, &vec![Sums::NONE; 300], &labels);
        let shifts = sums.move_to_means(&points, &mut centres);
        let after = points.inertia(&centres, &labels);
        let told = sums.saved(&centres, &shifts, points.spread());
        assert!(after < before && (told / (before / after - 1.0) - 1.0).abs() < 1e-4, "{told} {before} {after}");
    }
}
