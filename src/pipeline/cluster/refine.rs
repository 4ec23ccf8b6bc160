//! Lloyd's rounds, one after the other, whoever does them.

use super::{
    ClusterSettings,
    lloyd::{Standing, centres_of, shifts},
    points::{Partition, Points},
    sums::Assigned,
    too_many,
};
use crate::{error::Result, pipeline::Ctx};
use ndarray::Array2;
use std::collections::HashSet;

/// Lloyd's rounds until no centre moves, the means save too little or `max_iter` is reached; otherwise scikit-learn's
/// `_kmeans_single_lloyd`, including its rule that the labels returned belong to the centres returned.
pub(super) fn refine(
    points: &Points,
    mut centres: Array2<f32>,
    settings: &ClusterSettings,
    hands: &mut dyn Hands,
    ctx: &Ctx,
) -> Result<Partition> {
    let spread = points.spread();
    let (mut rounds, mut settled) = (0, None);
    while rounds < settings.max_iter {
        ctx.step("cluster", rounds, settings.max_iter)?;
        let assigned = hands.round(points, &centres, false, ctx)?;
        let mended = assigned.has_empty();
        let old = centres.clone();
        if mended {
            centres = mend(points, &old, &assigned.labels)?;
        } else {
            assigned.sums.move_to_means(points, &mut centres);
        }
        let shifts = shifts(&old, &centres);
        rounds += 1;
        let still = !mended && shifts.iter().all(|s| *s == 0.0) && !assigned.labels.is_empty();
        settled = still.then(|| assigned.labels.clone());
        if !mended && assigned.sums.saved(&centres, &shifts, spread) <= settings.tolerance {
            break;
        }
    }
    let mut labels = match settled {
        Some(labels) => labels,
        None => hands.round(points, &centres, true, ctx)?.labels.clone(),
    };
    fill(points, &mut centres, &mut labels)?;
    let inertia = points.inertia(&centres, &labels);
    Ok(Partition { centres, labels, inertia, rounds })
}

/// The same by this process alone.
pub(super) fn refine_here(
    points: &Points,
    centres: Array2<f32>,
    settings: &ClusterSettings,
    ctx: &Ctx,
) -> Result<Partition> {
    refine(points, centres, settings, &mut Here::default(), ctx)
}

/// Who does rounds.
pub(super) trait Hands {
    /// Gives every row its nearest centre. The labels may be left out unless they are `wanted`, or a cluster is empty.
    fn round(&mut self, points: &Points, centres: &Array2<f32>, wanted: bool, ctx: &Ctx) -> Result<&Assigned>;
}

/// This process.
#[derive(Default)]
pub(super) struct Here(Option<Standing>);

impl Hands for Here {
    fn round(&mut self, points: &Points, centres: &Array2<f32>, _: bool, ctx: &Ctx) -> Result<&Assigned> {
        self.0.get_or_insert_with(|| Standing::new(points, centres)).round(points, centres, ctx)
    }
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
    use crate::pipeline::cluster::{lloyd::labels, points::slice, sums::Sums};
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
            if HashSet::<u32>::from_iter(after.iter().copied()).len() == centres.nrows() {
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
                let found = refine_here(&points, points.seeds(&start), &settings, &Ctx::quiet()).unwrap();
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
        let old = centres.clone();
        sums.move_to_means(&points, &mut centres);
        let shifts = shifts(&old, &centres);
        let after = points.inertia(&centres, &labels);
        let told = sums.saved(&centres, &shifts, points.spread());
        assert!(after < before && (told / (before / after - 1.0) - 1.0).abs() < 1e-4, "{told} {before} {after}");
    }
}
