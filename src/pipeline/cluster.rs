//! k-means on embeddings: images and captions apart.
//!
//! The reference runs scikit-learn's `MiniBatchKMeans` on one row per caption. Here every image is one row weighted by
//! its captions (the same objective, a fifth of the work), seeded by greedy k-means++ and refined by full Lloyd rounds.

mod lloyd;
mod seed;

use super::{
    Ctx, dense,
    embed::Embeddings,
    prune::{self, Kept},
};
use crate::error::{Error, Result};
use lloyd::Points;
use ndarray::{Array2, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

/// Number of an image cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ImageCluster(pub u32);

/// Number of a text cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TextCluster(pub u32);

/// How to cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClusterSettings {
    /// M, the number of clusters of either side and so of distilled pairs.
    pub prototypes: usize,
    /// Starts, of which the one of lowest inertia is kept.
    pub n_init: usize,
    /// After the starts, up to this many centres at once are added and merged to leave a poor optimum; 0 for speed.
    pub breath: usize,
    /// Most Lloyd rounds of a start.
    pub max_iter: usize,
    /// Stop when the centres' summed squared shift is below this share of the mean column variance (scikit-learn's `tol`).
    pub tolerance: f64,
    /// Seed of the starts.
    pub seed: u64,
    /// Cluster directions (rows of length 1) instead of raw embeddings.
    pub normalise: bool,
}

impl Default for ClusterSettings {
    fn default() -> Self {
        Self { prototypes: 100, n_init: 3, breath: 5, max_iter: 300, tolerance: 1e-4, seed: 42, normalise: false }
    }
}

impl ClusterSettings {
    /// # Errors
    /// [`Error::Setting`] for a value out of range.
    pub fn check(&self) -> Result<()> {
        for (name, value) in [("prototypes", self.prototypes), ("n_init", self.n_init), ("max_iter", self.max_iter)] {
            if value == 0 {
                return Err(Error::setting(format!("cluster.{name}"), "must be at least 1"));
            }
        }
        if !(self.tolerance >= 0.0 && self.tolerance.is_finite()) {
            return Err(Error::setting("cluster.tolerance", format!("must be 0 or more, not {}", self.tolerance)));
        }
        Ok(())
    }
}

/// A partition of rows into M clusters, none of them empty.
#[derive(Clone, Debug, PartialEq)]
pub struct Clusters {
    /// `[M, d]`
    pub centroids: Array2<f32>,
    /// The cluster of each row.
    pub labels: Vec<u32>,
    /// Weighted sum of squared distances to the centroids.
    pub inertia: f64,
    /// Lloyd rounds of the kept start.
    pub iterations: usize,
}

/// Clusters of images; `labels` has one entry per kept pair.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageClusters(pub Clusters);

/// Clusters of captions; `labels` has one entry per kept pair.
#[derive(Clone, Debug, PartialEq)]
pub struct TextClusters(pub Clusters);

/// Clusters the images of the kept pairs, each weighted by how many of its pairs were kept.
/// `start` (from an earlier result, of any number of clusters) warm-starts the search.
///
/// # Errors
/// As [`fit`].
pub fn cluster_images(
    data: &Embeddings,
    kept: &Kept,
    start: Option<&ImageClusters>,
    settings: &ClusterSettings,
    ctx: &Ctx,
) -> Result<ImageClusters> {
    prune::fits(data)?;
    kept.check(data)?;
    let mut count = vec![0u32; data.image.nrows()];
    kept.0.iter().for_each(|&row| count[data.image_of[row as usize] as usize] += 1);
    let used: Vec<usize> = (0..count.len()).filter(|&i| count[i] > 0).collect();
    let weights: Vec<u32> = used.iter().map(|&i| count[i]).collect();
    let rows = data.image.select(Axis(0), &used);
    let start = start.map(|s| s.0.centroids.view());
    let mut found = run(rows.view(), &weights, start, settings, ctx)?;
    let mut label_of = vec![0u32; count.len()];
    used.iter().zip(&found.labels).for_each(|(&i, &label)| label_of[i] = label);
    found.labels = kept.0.iter().map(|&row| label_of[data.image_of[row as usize] as usize]).collect();
    Ok(ImageClusters(found))
}

/// Clusters the captions of the kept pairs.
///
/// # Errors
/// As [`fit`].
pub fn cluster_texts(
    data: &Embeddings,
    kept: &Kept,
    start: Option<&TextClusters>,
    settings: &ClusterSettings,
    ctx: &Ctx,
) -> Result<TextClusters> {
    kept.check(data)?;
    let used: Vec<usize> = kept.0.iter().map(|&row| row as usize).collect();
    let rows = data.text.select(Axis(0), &used);
    let start = start.map(|s| s.0.centroids.view());
    run(rows.view(), &vec![1; used.len()], start, settings, ctx).map(TextClusters)
}

fn run(
    rows: ArrayView2<f32>,
    weights: &[u32],
    start: Option<ArrayView2<f32>>,
    settings: &ClusterSettings,
    ctx: &Ctx,
) -> Result<Clusters> {
    match start {
        Some(start) => fit_from(rows, weights, start, settings, ctx),
        None => fit(rows, weights, settings, ctx),
    }
}

/// k-means of `rows` `[n, d]`, row `i` counted `weights[i]` times.
/// With more than 16 M (and 8,192) rows the starts compete on a sample; the winner is refined on every row.
///
/// # Errors
/// [`Error::Setting`] if there are fewer distinct rows than clusters, [`Error::Shape`] for NaN or a wrong number of
/// weights, [`Error::Cancelled`].
pub fn fit(rows: ArrayView2<f32>, weights: &[u32], settings: &ClusterSettings, ctx: &Ctx) -> Result<Clusters> {
    let points = prepare(rows, weights, settings)?;
    let sample = seed::sample(&points, settings);
    let race = sample.as_ref().unwrap_or(&points);
    let mut best: Option<lloyd::Partition> = None;
    for start in 0..settings.n_init {
        let centres = seed::plus_plus(race, None, settings.prototypes, seed::rng(settings.seed, start), ctx)?;
        let found = lloyd::refine(race, centres, settings, ctx)?;
        if best.as_ref().is_none_or(|b| found.inertia < b.inertia) {
            best = Some(found);
        }
    }
    let Some(mut best) = best else { return Err(Error::setting("cluster.n_init", "must be at least 1")) };
    best = breathe(race, best, settings, ctx)?;
    if sample.is_some() {
        best = lloyd::refine(&points, best.centres, settings, ctx)?;
    }
    Ok(points.finish(best))
}

/// Leaves a poor local optimum by adding centres where the error is largest and merging as many where they serve least
/// (after Fritzke's breathing k-means, arXiv 2006.15666): the deeper breaths first, until none helps.
fn breathe(
    points: &Points,
    mut best: lloyd::Partition,
    settings: &ClusterSettings,
    ctx: &Ctx,
) -> Result<lloyd::Partition> {
    let (m, mut breath, mut taken) = (settings.prototypes, settings.breath, 0);
    while breath > 0 && m > 1 && best.inertia > 0.0 {
        let rng = seed::rng(settings.seed, settings.n_init + taken);
        taken += 1;
        let more = seed::plus_plus(points, Some(best.centres.clone()), m + breath, rng, ctx)?;
        let found = match lloyd::refine(points, more, settings, ctx) {
            Ok(grown) => lloyd::refine(points, seed::merge(points, grown.centres, m, ctx)?, settings, ctx)?,
            // As many distinct rows as centres: there is no better place for any.
            Err(Error::Setting { .. }) => break,
            Err(other) => return Err(other),
        };
        if found.inertia < best.inertia * (1.0 - 1e-6) {
            best = found;
        } else {
            breath -= 1;
        }
    }
    Ok(best)
}

/// k-means from given centres `[m, d]` (in the space of the rows, normalised if the settings say so). Fewer centres than
/// wanted are added by k-means++ where the error is largest; surplus ones are merged, cheapest first (Ward's cost).
///
/// # Errors
/// As [`fit`].
pub fn fit_from(
    rows: ArrayView2<f32>,
    weights: &[u32],
    start: ArrayView2<f32>,
    settings: &ClusterSettings,
    ctx: &Ctx,
) -> Result<Clusters> {
    if start.ncols() != rows.ncols() {
        return Err(dense::shape("starting centres and rows", rows.ncols(), start.ncols()));
    }
    dense::finite("starting centres", start)?;
    let points = prepare(rows, weights, settings)?;
    let mut centres = points.centre(start);
    if centres.nrows() > settings.prototypes {
        centres = seed::merge(&points, centres, settings.prototypes, ctx)?;
    } else if centres.nrows() < settings.prototypes {
        let rng = seed::rng(settings.seed, 0);
        centres = seed::plus_plus(&points, Some(centres), settings.prototypes, rng, ctx)?;
    }
    let found = lloyd::refine(&points, centres, settings, ctx)?;
    Ok(points.finish(found))
}

fn prepare<'a>(rows: ArrayView2<f32>, weights: &'a [u32], settings: &ClusterSettings) -> Result<Points<'a>> {
    settings.check()?;
    if weights.len() != rows.nrows() {
        return Err(dense::shape("weights of the rows", rows.nrows(), weights.len()));
    }
    dense::finite("rows to cluster", rows)?;
    if settings.prototypes > rows.nrows() {
        return Err(too_many(settings.prototypes, rows.nrows(), ""));
    }
    if let Some(row) = weights.iter().position(|&w| w == 0) {
        return Err(dense::shape("weights of the rows", "at least 1", format!("0 for row {row}")));
    }
    Ok(if settings.normalise {
        Points::new(dense::unit(rows).view(), weights.into())
    } else {
        Points::new(rows, weights.into())
    })
}

fn too_many(wanted: usize, rows: usize, kind: &str) -> Error {
    Error::setting(
        "cluster.prototypes",
        format!("{wanted} prototypes asked of {rows} {kind}rows; ask for at most {rows}"),
    )
}
