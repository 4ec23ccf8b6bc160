//! k-means on embeddings: images and captions apart.
//!
//! The reference runs scikit-learn's `MiniBatchKMeans` on one row per caption. Here every image is one row weighted by
//! its captions (the same objective, a fifth of the work), seeded by greedy k-means++ and refined by full Lloyd rounds.

mod groups;
mod lloyd;
mod narrow;
mod parts;
mod points;
mod refine;
mod seed;
mod sums;

use super::setting;
use super::{
    Ctx,
    space::embeddings::{Embeddings, Kept, fits},
};
use crate::error::{Error, Result};
use crate::kernels::vectors;
pub use lloyd::Standing;
use ndarray::{Array2, ArrayView2};
use parts::Elsewhere;
pub use parts::{Others, PART, Start};
use points::{Partition, Points};
use refine::{Hands, Here, refine_here};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
pub use sums::Assigned;

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
    /// Stop when a round's means save no more than this share of the inertia. (scikit-learn's `tol` sums the shifts of
    /// all centres: of its rounds at 145,000 rows, M = 100, four in five were for the last 0.02 %.)
    pub tolerance: f64,
    /// Seed of the starts.
    pub seed: u64,
    /// Cluster directions (rows of length 1) instead of raw embeddings.
    pub normalise: bool,
}

impl Default for ClusterSettings {
    fn default() -> Self {
        Self { prototypes: 100, n_init: 3, breath: 5, max_iter: 300, tolerance: 1e-5, seed: 42, normalise: false }
    }
}

impl ClusterSettings {
    /// # Errors
    /// [`Error::Setting`] for a value out of range.
    pub fn check(&self) -> Result<()> {
        setting::check("cluster", self)
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

/// Where a search starts, and who does the rounds over all rows.
pub enum Search<'a> {
    /// From nothing.
    Anew,
    /// From an earlier result, of any number of clusters.
    From(&'a Clusters),
    /// From nothing; the rounds by others.
    With(&'a mut dyn Others),
}

/// Clusters the images of the kept pairs, each weighted by how many of its pairs were kept.
///
/// # Errors
/// As [`fit`].
pub fn cluster_images(
    data: &Embeddings,
    kept: &Kept,
    search: Search,
    settings: &ClusterSettings,
    ctx: &Ctx,
) -> Result<ImageClusters> {
    fits(data)?;
    kept.check(data)?;
    let mut count = vec![0u32; data.image.nrows()];
    kept.0.iter().for_each(|&row| count[data.image_of[row as usize] as usize] += 1);
    let used: Vec<u32> = (0..count.len() as u32).filter(|&i| count[i as usize] > 0).collect();
    let weights: Vec<u32> = used.iter().map(|&i| count[i as usize]).collect();
    let rows = data.image.view();
    let points = prepare(&rows, Some(&used), &weights, settings)?;
    let mut found = run(&points, (&used, &weights), search, settings, ctx)?;
    let mut label_of = vec![0u32; count.len()];
    used.iter().zip(&found.labels).for_each(|(&i, &label)| label_of[i as usize] = label);
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
    search: Search,
    settings: &ClusterSettings,
    ctx: &Ctx,
) -> Result<TextClusters> {
    kept.check(data)?;
    let ones = vec![1; kept.0.len()];
    let rows = data.text.view();
    let points = prepare(&rows, Some(&kept.0), &ones, settings)?;
    run(&points, (&kept.0, &ones), search, settings, ctx).map(TextClusters)
}

fn run(
    points: &Points,
    (index, weights): (&[u32], &[u32]),
    from: Search,
    settings: &ClusterSettings,
    ctx: &Ctx,
) -> Result<Clusters> {
    if let Search::From(start) = from {
        return resume(points, start.centroids.view(), settings, ctx);
    }
    if let Search::With(others) = from
        && others.begin(index, weights, settings)?
    {
        return search(points, settings, &mut Elsewhere(others, None), ctx);
    }
    search(points, settings, &mut Here::default(), ctx)
}

/// k-means of `rows` `[n, d]`, row `i` counted `weights[i]` times.
/// With more than 16 M (and 8,192) rows the starts compete on a sample, and if the rows are wide in a narrower space;
/// the winner is refined on every row.
///
/// # Errors
/// [`Error::Setting`] if there are fewer distinct rows than clusters, [`Error::Shape`] for NaN or a wrong number of
/// weights, [`Error::Cancelled`].
pub fn fit(rows: ArrayView2<f32>, weights: &[u32], settings: &ClusterSettings, ctx: &Ctx) -> Result<Clusters> {
    search(&prepare(&rows, None, weights, settings)?, settings, &mut Here::default(), ctx)
}

fn search(points: &Points, settings: &ClusterSettings, hands: &mut dyn Hands, ctx: &Ctx) -> Result<Clusters> {
    let sample = seed::sample(points, settings);
    let drawn = sample.as_ref().unwrap_or(points);
    let narrow = narrow::narrow(drawn, settings, ctx)?;
    let found = match race(narrow.as_ref().unwrap_or(drawn), settings, ctx) {
        // Few distinct rows, and fewer of them in the sample or the narrow space.
        Err(Error::Setting { .. }) if sample.is_some() || narrow.is_some() => race(points, settings, ctx)?,
        other if sample.is_none() && narrow.is_none() => other?,
        other => {
            let centres = lloyd::centres_of(drawn, &other?.labels, settings.prototypes);
            refine::refine(points, centres, settings, hands, ctx)?
        }
    };
    Ok(points.finish(found))
}

/// The best of `n_init` starts, improved.
fn race(points: &Points, settings: &ClusterSettings, ctx: &Ctx) -> Result<Partition> {
    let mut best: Option<Partition> = None;
    for start in 0..settings.n_init {
        let rows = seed::plus_plus(points, None, settings.prototypes, seed::rng(settings.seed, start), ctx)?;
        let found = refine_here(points, points.seeds(&rows), settings, ctx)?;
        if best.as_ref().is_none_or(|b| found.inertia < b.inertia) {
            best = Some(found);
        }
    }
    let Some(best) = best else { return Err(Error::setting("cluster.n_init", "must be at least 1")) };
    breathe(points, best, settings, ctx)
}

/// The share of the error that a breath must save to be followed by another as deep.
const WORTH: f64 = 3e-4;

/// Leaves a poor local optimum by adding centres where the error is largest and merging as many where they serve least
/// (after Fritzke's breathing k-means, arXiv 2006.15666): the deeper breaths first, each
/// depth until it no longer helps.
fn breathe(points: &Points, mut best: Partition, settings: &ClusterSettings, ctx: &Ctx) -> Result<Partition> {
    let (m, mut breath, mut taken) = (settings.prototypes, settings.breath, 0);
    while breath > 0 && m > 1 && best.inertia > 0.0 {
        let rng = seed::rng(settings.seed, settings.n_init + taken);
        taken += 1;
        let more = seed::grow(points, best.centres.clone(), m + breath, rng, ctx)?;
        let found = match refine_here(points, more, settings, ctx) {
            Ok(grown) => refine_here(points, seed::merge(points, grown.centres, m, ctx)?, settings, ctx)?,
            // As many distinct rows as centres: there is no better place for any.
            Err(Error::Setting { .. }) => break,
            Err(other) => return Err(other),
        };
        let gain = 1.0 - found.inertia / best.inertia;
        if gain > 0.0 {
            best = found;
        }
        if gain < WORTH {
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
    resume(&prepare(&rows, None, weights, settings)?, start, settings, ctx)
}

fn resume(points: &Points, start: ArrayView2<f32>, settings: &ClusterSettings, ctx: &Ctx) -> Result<Clusters> {
    if start.ncols() != points.columns {
        return Err(vectors::shape("starting centres and rows", points.columns, start.ncols()));
    }
    vectors::finite("starting centres", start)?;
    let sample = seed::sample(points, settings);
    let drawn = sample.as_ref().unwrap_or(points);
    let mut centres = points.centre(start);
    if centres.nrows() > settings.prototypes {
        centres = seed::merge(drawn, centres, settings.prototypes, ctx)?;
    } else if centres.nrows() < settings.prototypes {
        let rng = seed::rng(settings.seed, 0);
        centres = seed::grow(drawn, centres, settings.prototypes, rng, ctx)?;
    }
    let found = refine_here(points, centres, settings, ctx)?;
    Ok(points.finish(found))
}

/// The rows to cluster, all or those of `index`, none of them copied unless directions are wanted.
fn prepare<'a>(
    rows: &'a ArrayView2<f32>,
    index: Option<&'a [u32]>,
    weights: &'a [u32],
    settings: &ClusterSettings,
) -> Result<Points<'a>> {
    settings.check()?;
    let n = index.map_or(rows.nrows(), <[u32]>::len);
    if weights.len() != n {
        return Err(vectors::shape("weights of the rows", n, weights.len()));
    }
    if settings.prototypes > n {
        return Err(too_many(settings.prototypes, n, ""));
    }
    if let Some(row) = weights.iter().position(|&w| w == 0) {
        return Err(vectors::shape("weights of the rows", "at least 1", format!("0 for row {row}")));
    }
    let values = match rows.as_slice() {
        _ if settings.normalise => Cow::Owned(vectors::unit(rows.view()).into_raw_vec_and_offset().0),
        Some(values) => Cow::Borrowed(values),
        None => Cow::Owned(rows.iter().copied().collect()),
    };
    Points::new(values, rows.ncols(), index.map(Cow::Borrowed), Cow::Borrowed(weights))
}

fn too_many(wanted: usize, rows: usize, kind: &str) -> Error {
    Error::setting(
        "cluster.prototypes",
        format!("{wanted} prototypes asked of {rows} {kind}rows; ask for at most {rows}"),
    )
}
