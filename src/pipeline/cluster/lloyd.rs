//! Lloyd's rounds by GEMM, with Hamerly's bounds (SDM 2010) to skip rows whose nearest centre cannot have changed.

use super::{ClusterSettings, Clusters, too_many};
use crate::{
    error::{Error, Result},
    pipeline::{
        Ctx,
        dense::{self, BLOCK},
    },
};
use candle_core::{Device, Tensor};
use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;
use std::{borrow::Cow, collections::HashSet};

/// Rows to cluster, shifted to mean zero: |x|² - 2xc + |c|² then loses the fewest digits.
pub(super) struct Points<'a> {
    /// `[n, d]`, contiguous.
    pub rows: Array2<f32>,
    /// |x|² of each row.
    pub squares: Vec<f32>,
    pub weights: Cow<'a, [u32]>,
    mean: Vec<f64>,
}

/// Centres (shifted as the points are) and what belongs to them.
pub(super) struct Partition {
    pub centres: Array2<f32>,
    pub labels: Vec<u32>,
    pub inertia: f64,
    pub rounds: usize,
}

/// Per row: its cluster, an upper bound of the distance to its centre, a lower bound of that to any other.
struct Bounds {
    labels: Vec<u32>,
    upper: Vec<f32>,
    lower: Vec<f32>,
}

impl<'a> Points<'a> {
    pub fn new(rows: ArrayView2<f32>, weights: Cow<'a, [u32]>) -> Self {
        let mean = dense::mean(rows, |i| f64::from(weights[i]));
        let mut shifted = rows.as_standard_layout().into_owned();
        shifted.axis_iter_mut(Axis(0)).into_par_iter().for_each(|mut row| {
            row.iter_mut().zip(&mean).for_each(|(v, m)| *v = (f64::from(*v) - m) as f32);
        });
        Self::shifted(shifted, weights, mean)
    }

    fn shifted(rows: Array2<f32>, weights: Cow<'a, [u32]>, mean: Vec<f64>) -> Self {
        let squares = rows.axis_iter(Axis(0)).into_par_iter().map(|r| dense::square(r) as f32).collect();
        Self { rows, squares, weights, mean }
    }

    /// Some of the rows, in the same shifted space.
    pub fn subset(&self, chosen: &[usize]) -> Points<'static> {
        let weights = chosen.iter().map(|&i| self.weights[i]).collect();
        Points::shifted(self.rows.select(Axis(0), chosen), Cow::Owned(weights), self.mean.clone())
    }

    /// Centres shifted as the rows are.
    pub fn centre(&self, centres: ArrayView2<f32>) -> Array2<f32> {
        let mut out = centres.to_owned();
        out.outer_iter_mut()
            .for_each(|mut row| row.iter_mut().zip(&self.mean).for_each(|(v, m)| *v = (f64::from(*v) - m) as f32));
        out
    }

    /// Back to where the rows came from.
    pub fn finish(&self, found: Partition) -> Clusters {
        let mut centroids = found.centres;
        centroids
            .outer_iter_mut()
            .for_each(|mut row| row.iter_mut().zip(&self.mean).for_each(|(v, m)| *v = (f64::from(*v) + m) as f32));
        Clusters { centroids, labels: found.labels, inertia: found.inertia, iterations: found.rounds }
    }

    /// Row `i` as a slice.
    pub fn row(&self, i: usize) -> &[f32] {
        let d = self.rows.ncols();
        self.rows.as_slice().map_or(&[], |all| &all[i * d..(i + 1) * d])
    }

    /// Squared distance of row `i` to `centre`, without cancellation.
    pub fn distance(&self, i: usize, centre: &[f32]) -> f64 {
        let mut sums = [0f32; 8];
        let (row, d) = (self.row(i), centre.len());
        for (x, c) in row.chunks(8).zip(centre.chunks(8)) {
            sums.iter_mut().zip(x.iter().zip(c)).for_each(|(s, (x, c))| *s += (x - c) * (x - c));
        }
        debug_assert_eq!(row.len(), d);
        sums.iter().map(|&s| f64::from(s)).sum()
    }

    /// Mean variance of the columns: the scale of the tolerance.
    fn variance(&self) -> f64 {
        let total: f64 = self.weights.iter().map(|&w| f64::from(w)).sum();
        let sum: f64 = self.squares.iter().zip(self.weights.iter()).map(|(&s, &w)| f64::from(s) * f64::from(w)).sum();
        sum / total / self.rows.ncols().max(1) as f64
    }

    /// Weighted squared distances to the own centres, summed in block order.
    pub fn inertia(&self, centres: &Array2<f32>, labels: &[u32]) -> f64 {
        let parts: Vec<f64> = labels
            .par_chunks(BLOCK)
            .enumerate()
            .map(|(b, block)| {
                let at = |(i, &label): (usize, &u32)| {
                    let row = b * BLOCK + i;
                    f64::from(self.weights[row]) * self.distance(row, slice(centres, label))
                };
                block.iter().enumerate().map(at).sum()
            })
            .collect();
        parts.iter().sum()
    }
}

/// A centre as a slice.
pub(super) fn slice(centres: &Array2<f32>, label: u32) -> &[f32] {
    let d = centres.ncols();
    centres.as_slice().map_or(&[], |all| &all[label as usize * d..(label as usize + 1) * d])
}

/// Lloyd's rounds until no row changes its cluster, the centres stand still or `max_iter` is reached; scikit-learn's
/// `_kmeans_single_lloyd`, including its rule that the labels returned belong to the centres returned.
pub(super) fn refine(
    points: &Points,
    mut centres: Array2<f32>,
    settings: &ClusterSettings,
    ctx: &Ctx,
) -> Result<Partition> {
    let n = points.rows.nrows();
    let mut bounds = Bounds { labels: vec![0; n], upper: vec![f32::INFINITY; n], lower: vec![0.0; n] };
    let limit = settings.tolerance * points.variance();
    let (mut rounds, mut settled) = (0, false);
    while rounds < settings.max_iter {
        ctx.step("cluster", rounds, settings.max_iter)?;
        let changed = relabel(points, &centres, &mut bounds, ctx)?;
        let (moved, mended) = means(points, &centres, &bounds.labels)?;
        let shifts: Vec<f32> = (0..centres.nrows()).map(|k| shift(&centres, &moved, k)).collect();
        centres = moved;
        bounds.drift(&shifts);
        rounds += 1;
        settled = changed == 0 && mended == 0;
        if settled || (mended == 0 && shifts.iter().map(|&s| f64::from(s * s)).sum::<f64>() <= limit) {
            break;
        }
    }
    if !settled {
        relabel(points, &centres, &mut bounds, ctx)?;
    }
    let mut labels = bounds.labels;
    fill(points, &mut centres, &mut labels)?;
    let inertia = points.inertia(&centres, &labels);
    Ok(Partition { centres, labels, inertia, rounds })
}

fn shift(old: &Array2<f32>, new: &Array2<f32>, k: usize) -> f32 {
    old.row(k).iter().zip(new.row(k)).map(|(&a, &b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt() as f32
}

impl Bounds {
    /// Centres moved by `shifts`: widen the bounds by as much.
    fn drift(&mut self, shifts: &[f32]) {
        let (mut first, mut second, mut far) = (0f32, 0f32, 0);
        for (k, &s) in shifts.iter().enumerate() {
            if s > first {
                (second, first, far) = (first, s, k);
            } else if s > second {
                second = s;
            }
        }
        for ((&label, upper), lower) in self.labels.iter().zip(&mut self.upper).zip(&mut self.lower) {
            *upper += shifts[label as usize];
            *lower -= if label as usize == far { second } else { first };
        }
    }
}

/// Gives every row its nearest centre (the lowest number of equals); returns how many rows changed.
fn relabel(points: &Points, centres: &Array2<f32>, bounds: &mut Bounds, ctx: &Ctx) -> Result<usize> {
    let right = dense::tensor(centres.view())?;
    let squares: Vec<f32> = centres.outer_iter().map(|c| dense::square(c) as f32).collect();
    let blocks = bounds
        .labels
        .par_chunks_mut(BLOCK)
        .zip(bounds.upper.par_chunks_mut(BLOCK))
        .zip(bounds.lower.par_chunks_mut(BLOCK))
        .enumerate();
    blocks
        .map(|(b, ((labels, upper), lower))| {
            ctx.check()?;
            relabel_block(points, b * BLOCK, (&right, &squares), labels, upper, lower)
        })
        .try_reduce(|| 0, |a, b| Ok(a + b))
}

fn relabel_block(
    points: &Points,
    first: usize,
    (right, squares): (&Tensor, &[f32]),
    labels: &mut [u32],
    upper: &mut [f32],
    lower: &mut [f32],
) -> Result<usize> {
    // The slack is far above the rounding error of a distance, so that bounds never hide a true change.
    let doubtful = |i: usize| upper[i] + 1e-3 * points.squares[first + i].sqrt() >= lower[i];
    let active: Vec<usize> = (0..labels.len()).filter(|&i| doubtful(i)).collect();
    if active.is_empty() {
        return Ok(0);
    }
    let d = points.rows.ncols();
    let mut left = Vec::with_capacity(active.len() * d);
    active.iter().for_each(|&i| left.extend_from_slice(points.row(first + i)));
    let left = Tensor::from_vec(left, (active.len(), d), &Device::Cpu).map_err(Error::tensor("copy a block"))?;
    let products = dense::product(&left, right)?;
    let mut changed = 0;
    for (&i, xc) in active.iter().zip(products.chunks_exact(squares.len())) {
        let (mut best, mut next, mut at) = (f32::INFINITY, f32::INFINITY, 0);
        for (k, (p, c2)) in xc.iter().zip(squares).enumerate() {
            let score = c2 - 2.0 * p;
            if score < best {
                (next, best, at) = (best, score, k as u32);
            } else if score < next {
                next = score;
            }
        }
        changed += usize::from(labels[i] != at || upper[i].is_infinite());
        let x2 = points.squares[first + i];
        (labels[i], upper[i], lower[i]) = (at, (x2 + best).max(0.0).sqrt(), (x2 + next).max(0.0).sqrt());
    }
    Ok(changed)
}

/// Rows of each cluster, ascending.
fn members(labels: &[u32], m: usize) -> Vec<Vec<u32>> {
    let mut rows = vec![Vec::new(); m];
    labels.iter().enumerate().for_each(|(i, &label)| rows[label as usize].push(i as u32));
    rows
}

/// Weighted means of the clusters, in double precision and row order. An empty cluster takes the row that lies
/// farthest from its own centre; the second value counts those.
fn means(points: &Points, centres: &Array2<f32>, labels: &[u32]) -> Result<(Array2<f32>, usize)> {
    let m = centres.nrows();
    let mut rows = members(labels, m);
    let mended = rows.iter().filter(|r| r.is_empty()).count();
    if mended > 0 {
        let mut labels = labels.to_vec();
        fill(points, &mut centres.clone(), &mut labels)?;
        rows = members(&labels, m);
    }
    let mut out = Array2::zeros(centres.dim());
    out.axis_iter_mut(Axis(0)).into_par_iter().zip(&rows).for_each(|(mut centre, rows)| {
        let (mut total, mut sum) = (0.0, vec![0f64; centre.len()]);
        for &i in rows {
            let w = f64::from(points.weights[i as usize]);
            total += w;
            sum.iter_mut().zip(points.row(i as usize)).for_each(|(s, &v)| *s += w * f64::from(v));
        }
        centre.iter_mut().zip(sum).for_each(|(c, s)| *c = (s / total) as f32);
    });
    Ok((out, mended))
}

/// Moves the farthest rows into empty clusters, one each, never emptying another.
fn fill(points: &Points, centres: &mut Array2<f32>, labels: &mut [u32]) -> Result<()> {
    let mut size = vec![0usize; centres.nrows()];
    labels.iter().for_each(|&l| size[l as usize] += 1);
    let empty: Vec<usize> = (0..size.len()).filter(|&k| size[k] == 0).collect();
    if empty.is_empty() {
        return Ok(());
    }
    let mut far: Vec<(f64, usize)> =
        (0..labels.len()).map(|i| (points.distance(i, slice(centres, labels[i])), i)).filter(|f| f.0 > 0.0).collect();
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
        centres.row_mut(k).assign(&points.rows.row(i));
    }
    Ok(())
}

fn bits(row: &[f32]) -> Vec<u32> {
    row.iter().map(|v| v.to_bits()).collect()
}
