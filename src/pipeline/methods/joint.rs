//! k-means on pairs as points, image and caption side by side: every cluster is a prototype, there is nothing to match.

use crate::error::{Error, Result};
use crate::{
    kernels::vectors,
    pipeline::{
        Ctx,
        cluster::{self, ClusterSettings},
        methods::choice::{Asked, Choice, JointCluster},
        ridge::{Space, Texts, gram::Packed},
        space::embeddings::Embeddings,
    },
};
use ndarray::{Array2, ArrayView2, s};
use rand::{SeedableRng, seq::index};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// Images of a chunk, whose sums are added up in order.
const CHUNK: usize = 2048;
/// Rows of a block of products.
const ROWS: usize = 192;
/// Most rounds over all pairs.
const ROUNDS: usize = 100;
/// Stop when a round saves no more than this share of the inertia.
const TOLERANCE: f64 = 1e-4;
/// Pairs among which the search begins.
const SAMPLE: usize = 8192;

/// What the method starts from.
pub(super) fn choose(asked: &Asked) -> Result<Choice> {
    joint_clusters(asked.data, asked.weights, asked.m, asked.seed, asked.ctx).map(Choice::Clusters)
}

/// k-means with `m` centres on `[image; text]`, both of length 1, every pair counted by its weight; pairs of a weight below
/// 0.5 take no part. The search begins on a sample; no cluster is empty: one that runs dry begins anew at the pair that is
/// worst off.
///
/// # Errors
/// [`Error::Setting`] if there are fewer different trusted pairs than clusters, [`Error::Shape`], [`Error::Cancelled`].
pub fn joint_clusters(data: &Embeddings, weights: &[f32], m: usize, seed: u64, ctx: &Ctx) -> Result<Vec<JointCluster>> {
    if weights.len() != data.pairs() {
        return Err(vectors::shape("weights of the pairs", data.pairs(), weights.len()));
    }
    let pairs = Pairs { space: Space::new(data, Texts::Unit)?, weights };
    let trusted: Vec<u32> = (0..weights.len() as u32).filter(|&r| weights[r as usize] >= 0.5).collect();
    if m == 0 || m > trusted.len() {
        let message = format!("{m} clusters asked of {} trusted pairs", trusted.len());
        return Err(Error::setting("cluster.prototypes", message));
    }
    let mut centres = pairs.start(&trusted, m, seed, ctx)?;
    let (mut round, mut before) = (0, f64::INFINITY);
    let labels = loop {
        ctx.step("joint clusters", round, ROUNDS)?;
        let found = pairs.round(&centres, ctx)?;
        let dry = found.total.iter().filter(|t| **t <= 0.0).count();
        round += 1;
        if dry == 0 && (found.inertia >= before * (1.0 - TOLERANCE) || round >= ROUNDS) {
            break found.labels;
        }
        if round >= 2 * ROUNDS {
            let message = format!("{m} clusters asked of fewer different pairs");
            return Err(Error::setting("cluster.prototypes", message));
        }
        before = found.inertia;
        pairs.moved(&found, &mut centres);
    };
    let mut rows = vec![Vec::new(); m];
    trusted.iter().for_each(|&r| rows[labels[r as usize] as usize].push(r));
    Ok(rows.into_iter().map(|rows| pairs.cluster(rows)).collect())
}

struct Pairs<'a> {
    space: Space<'a>,
    weights: &'a [f32],
}

/// What one round found.
struct Round {
    /// The centre of each pair; [`Round::NONE`] for those that take no part.
    labels: Vec<u32>,
    /// Half the squared distance of each pair to it, less a constant.
    gaps: Vec<f32>,
    /// Weighted sums, `[m, d + dt]`, and weights of the clusters.
    sums: Array2<f64>,
    total: Vec<f64>,
    inertia: f64,
}

impl Round {
    const NONE: u32 = u32::MAX;
}

impl Pairs<'_> {
    fn widths(&self) -> (usize, usize) {
        (self.space.data.image.ncols(), self.space.data.text.ncols())
    }

    /// Pair `r` as a point.
    fn point(&self, r: usize, out: &mut [f32]) {
        let (image, text) = out.split_at_mut(self.widths().0);
        let (d, dt) = (vec![0.0; image.len()], vec![0.0; text.len()]);
        self.space.image(self.space.data.image_of[r] as usize, &d, 1.0, image);
        self.space.text(r, &dt, 1.0, text);
    }

    /// The centres of a sample.
    fn start(&self, trusted: &[u32], m: usize, seed: u64, ctx: &Ctx) -> Result<Array2<f32>> {
        let (d, dt) = self.widths();
        let n = trusted.len().min(SAMPLE.max(16 * m));
        let mut drawn = index::sample(&mut ChaCha8Rng::seed_from_u64(seed), trusted.len(), n).into_vec();
        drawn.sort_unstable();
        let mut rows = Array2::zeros((n, d + dt));
        for (mut row, &k) in rows.outer_iter_mut().zip(&drawn) {
            row.as_slice_mut().into_iter().for_each(|row| self.point(trusted[k] as usize, row));
        }
        let settings = ClusterSettings { prototypes: m, seed, ..ClusterSettings::default() };
        match cluster::fit(rows.view(), &vec![1; n], &settings, ctx) {
            Ok(found) => Ok(found.centroids),
            // Few different pairs, and fewer of them in the sample: what lacks is found on the way.
            Err(Error::Setting { .. }) if n < trusted.len() => Ok(rows.slice(s![..m, ..]).to_owned()),
            Err(other) => Err(other),
        }
    }

    /// Every pair to its nearest centre.
    fn round(&self, centres: &Array2<f32>, ctx: &Ctx) -> Result<Round> {
        let (n, (d, dt)) = (self.weights.len(), self.widths());
        let [image, text] =
            [s![.., ..d], s![.., d..]].map(|part| Packed::new(centres.slice(part).t().mapv(f64::from).view()));
        let half: Vec<f32> = centres.outer_iter().map(|c| (vectors::square(c) / 2.0) as f32).collect();
        let m = half.len();
        let mut round = Round {
            labels: vec![Round::NONE; n],
            gaps: vec![f32::NEG_INFINITY; n],
            sums: Array2::zeros((m, d + dt)),
            total: vec![0.0; m],
            inertia: 0.0,
        };
        let images: Vec<usize> = (0..self.space.data.image.nrows()).collect();
        let chunks: Vec<&[usize]> = images.chunks(CHUNK).collect();
        for group in chunks.chunks(rayon::current_num_threads().min(16)) {
            let parts = group.par_iter().map(|images| {
                ctx.check()?;
                Ok(self.chunk(images, &image, &text, &half))
            });
            for (rows, sums, total) in parts.collect::<Result<Vec<_>>>()? {
                round.sums += &sums;
                round.total.iter_mut().zip(total).for_each(|(a, b)| *a += b);
                for (row, label, gap) in rows {
                    round.labels[row as usize] = label;
                    round.gaps[row as usize] = gap;
                    // |x - c|² with |x|² = 2.
                    round.inertia += f64::from(self.weights[row as usize]) * (2.0 + 2.0 * f64::from(gap));
                }
            }
        }
        Ok(round)
    }

    /// The trusted pairs of some images: label and gap of each, and their sums.
    #[allow(clippy::type_complexity)]
    fn chunk(
        &self,
        images: &[usize],
        image: &Packed,
        text: &Packed,
        half: &[f32],
    ) -> (Vec<(u32, u32, f32)>, Array2<f64>, Vec<f64>) {
        let (m, (d, dt)) = (half.len(), self.widths());
        let (mut rows, mut sums, mut total) = (Vec::new(), Array2::<f64>::zeros((m, d + dt)), vec![0.0; m]);
        let (mut left, mut of_image, mut of_text) = (Vec::new(), Vec::new(), Vec::new());
        let pairs: Vec<(usize, u32)> = images
            .iter()
            .flat_map(|&i| self.space.rows_of(i).iter().map(move |&r| (i, r)))
            .filter(|&(_, r)| self.weights[r as usize] >= 0.5)
            .collect();
        let (zero, blank) = (vec![0.0; d], vec![0.0; dt]);
        let mut point = vec![0f32; d + dt];
        for pairs in pairs.chunks(ROWS) {
            // Every image once, however many of its captions are here.
            let mut own: Vec<usize> = pairs.iter().map(|p| p.0).collect();
            own.dedup();
            left.resize(own.len() * d, 0.0);
            left.chunks_exact_mut(d).zip(&own).for_each(|(row, &i)| self.space.image(i, &zero, 1.0, row));
            image.times(&left, &mut of_image);
            left.resize(pairs.len() * dt, 0.0);
            left.chunks_exact_mut(dt).zip(pairs).for_each(|(row, p)| self.space.text(p.1 as usize, &blank, 1.0, row));
            text.times(&left, &mut of_text);
            let mut at = 0;
            for (&(i, r), of_text) in pairs.iter().zip(of_text.chunks_exact(text.line)) {
                at += usize::from(own[at] != i);
                let of_image = &of_image[at * image.line..];
                let gap = |k: usize| half[k] - of_image[k] - of_text[k];
                let best = (0..m).fold((0, gap(0)), |best, k| if gap(k) < best.1 { (k, gap(k)) } else { best });
                rows.push((r, best.0 as u32, best.1));
                self.point(r as usize, &mut point);
                let w = f64::from(self.weights[r as usize]);
                total[best.0] += w;
                sums.row_mut(best.0).iter_mut().zip(&point).for_each(|(s, &v)| *s += w * f64::from(v));
            }
        }
        (rows, sums, total)
    }

    /// Moves the centres to the means; those that ran dry to the pairs farthest from theirs.
    fn moved(&self, found: &Round, centres: &mut Array2<f32>) {
        let dry = found.total.iter().filter(|t| **t <= 0.0).count();
        let mut far: Vec<u32> =
            (0..found.gaps.len() as u32).filter(|&r| found.labels[r as usize] != Round::NONE).collect();
        if dry > 0 {
            let gap = |r: u32| found.gaps[r as usize];
            far.sort_by(|&a, &b| gap(b).total_cmp(&gap(a)).then(a.cmp(&b)));
        }
        let mut far = far.into_iter();
        for (k, mut centre) in centres.outer_iter_mut().enumerate() {
            if found.total[k] > 0.0 {
                let mean = found.sums.row(k).mapv(|v| (v / found.total[k]) as f32);
                centre.assign(&mean);
            } else if let (Some(r), Some(slot)) = (far.next(), centre.as_slice_mut()) {
                self.point(r as usize, slot);
            }
        }
    }

    /// The weighted means of raw rows.
    fn cluster(&self, rows: Vec<u32>) -> JointCluster {
        let (data, (d, dt)) = (self.space.data, self.widths());
        let total: f64 = rows.iter().map(|&r| f64::from(self.weights[r as usize])).sum();
        let mean = |of: ArrayView2<f32>, width: usize, row: &dyn Fn(u32) -> usize| {
            let mut sum = vec![0f64; width];
            for &r in &rows {
                let w = f64::from(self.weights[r as usize]) / total;
                sum.iter_mut().zip(of.row(row(r))).for_each(|(s, &v)| *s += w * f64::from(v));
            }
            sum.into_iter().map(|v| v as f32).collect()
        };
        let image = mean(data.image.view(), d, &|r| data.image_of[r as usize] as usize);
        let text = mean(data.text.view(), dt, &|r| r as usize);
        JointCluster { image, text, rows }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::fingerprint::Fingerprint;
    use ndarray::Array2;

    /// Pairs about five directions, the image of the one and the caption of the other side, `copies` of each.
    fn planted(copies: usize) -> Embeddings {
        let n = 5 * copies;
        let value = |i: usize, j: usize, width: usize| {
            let noise = ((i * 7919 + j * 104_729) % 101) as f32 / 1010.0;
            noise + 3.0 * f32::from(i % 5 == j % width)
        };
        let (image, text) = (
            Array2::from_shape_fn((n, 6), |(i, j)| value(i, j, 6)),
            Array2::from_shape_fn((n, 5), |(i, j)| value(i, j, 5)),
        );
        let image_of = (0..n as u32).collect();
        Embeddings { image: image.into(), text: text.into(), image_of, fingerprint: Fingerprint::of_bytes(b"") }
    }

    #[test]
    fn planted_clusters_are_found_and_their_means_are_weighted_and_raw() {
        let data = planted(40);
        let weights: Vec<f32> = (0..200).map(|r| if r == 7 { 0.4 } else { 0.5 + (r % 3) as f32 / 4.0 }).collect();
        let mut found = joint_clusters(&data, &weights, 5, 3, &Ctx::quiet()).unwrap();
        found.sort_by_key(|c| c.rows[0] % 5);
        for (k, cluster) in (0..5).zip(&found) {
            let rows: Vec<u32> = (0..200).filter(|r| r % 5 == k && *r != 7).collect();
            assert_eq!(cluster.rows, rows);
            let total: f32 = rows.iter().map(|&r| weights[r as usize]).sum();
            let mean: f32 =
                rows.iter().map(|&r| weights[r as usize] * data.text.row(r as usize)[2]).sum::<f32>() / total;
            assert!((cluster.text[2] - mean).abs() < 1e-5 && cluster.image.len() == 6);
        }
    }

    #[test]
    fn no_cluster_is_empty_even_if_there_are_as_many_as_pairs() {
        let data = planted(4);
        let mut rows: Vec<u32> = Vec::new();
        for cluster in joint_clusters(&data, &[1.0; 20], 20, 3, &Ctx::quiet()).unwrap() {
            assert_eq!(cluster.rows.len(), 1);
            rows.extend(cluster.rows);
        }
        rows.sort_unstable();
        assert_eq!(rows, (0..20).collect::<Vec<u32>>());
        assert!(joint_clusters(&data, &[1.0; 20], 21, 3, &Ctx::quiet()).is_err());
        assert!(joint_clusters(&data, &[0.4; 20], 1, 3, &Ctx::quiet()).is_err());
    }

    #[test]
    fn a_centre_that_runs_dry_begins_anew_where_a_pair_is_worst_off() {
        let data = planted(40);
        let (space, weights) = (Space::new(&data, Texts::Unit).unwrap(), vec![1.0; 200]);
        let pairs = Pairs { space, weights: &weights };
        let mut centres = Array2::zeros((3, 11));
        centres.row_mut(2).fill(-1.0);
        let before = pairs.round(&centres, &Ctx::quiet()).unwrap();
        assert!(before.total[2] == 0.0);
        pairs.moved(&before, &mut centres);
        let after = pairs.round(&centres, &Ctx::quiet()).unwrap();
        assert!(after.total.iter().filter(|t| **t > 0.0).count() > 1 && after.inertia < before.inertia);
    }
}
