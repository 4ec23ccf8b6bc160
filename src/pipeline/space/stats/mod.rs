//! What the embeddings look like: agreement, spread, gap, duplicates, doubtful pairs. All of it can go to `--json`.

mod plane;
mod spectrum;

pub use plane::{Plane, plane};
pub use spectrum::effective_rank;

use super::{
    embeddings::{Embeddings, Kept, fits},
    nearest::Candidate,
    noise::clean_split,
};
use crate::error::{Error, Result};
use crate::{kernels::vectors, pipeline::Ctx};
use ndarray::{ArrayView2, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// What to measure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StatsSettings {
    /// Images of a higher cosine count as near-duplicates.
    pub duplicate: f64,
    /// Most images compared with each other (evenly spaced ones of more): the cost is quadratic.
    pub compared: usize,
    /// Length of the lists of duplicates and worst pairs.
    pub examples: usize,
    /// Bins of a histogram.
    pub bins: usize,
}

impl Default for StatsSettings {
    fn default() -> Self {
        Self { duplicate: 0.99, compared: 30_000, examples: 10, bins: 40 }
    }
}

impl StatsSettings {
    /// # Errors
    /// [`Error::Setting`] for a value out of range.
    pub fn check(&self) -> Result<()> {
        if !(-1.0..=1.0).contains(&self.duplicate) {
            return Err(Error::setting("stats.duplicate", format!("must be from -1 to 1, not {}", self.duplicate)));
        }
        if self.bins == 0 { Err(Error::setting("stats.bins", "must be at least 1")) } else { Ok(()) }
    }
}

/// The cosine of every pair, `[pairs]`; 0 for an embedding of length 0.
///
/// # Errors
/// [`Error::Shape`] if the arrays do not fit or hold a NaN, [`Error::Cancelled`].
pub fn similarities(data: &Embeddings, ctx: &Ctx) -> Result<Vec<f32>> {
    fits(data)?;
    let texts = data.text.view();
    let blocks: Vec<_> =
        texts.axis_chunks_iter(Axis(0), vectors::BLOCK).zip(data.image_of.chunks(vectors::BLOCK)).collect();
    let parts: Vec<Vec<f32>> = blocks
        .into_par_iter()
        .map(|(texts, images)| {
            ctx.check()?;
            let pair = |(text, &image)| vectors::cosine(data.image.row(image as usize), text) as f32;
            Ok(texts.outer_iter().zip(images).map(pair).collect())
        })
        .collect::<Result<_>>()?;
    Ok(parts.concat())
}

/// Minimum, 5 %, quarter, median, three quarters, 95 %, maximum, and the mean (numpy's linear rule). All 0 for no values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// How many values.
    pub count: usize,
    /// Mean.
    pub mean: f64,
    /// At 0, 0.05, 0.25, 0.5, 0.75, 0.95 and 1.
    pub at: [f64; 7],
}

/// Counts in equal bins between two ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// Left end of the first bin.
    pub from: f64,
    /// Right end of the last.
    pub to: f64,
    /// One count per bin.
    pub counts: Vec<usize>,
}

/// One side of the data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Side {
    /// Lengths of the raw embeddings.
    pub norms: Quantiles,
    /// exp of the entropy of the covariance's spectrum: how many directions are really used.
    pub effective_rank: f64,
}

/// Pair cosines of some rows; the histograms of kept and pruned share their ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// Quantiles.
    pub quantiles: Quantiles,
    /// Histogram over the range of all pairs.
    pub histogram: Histogram,
}

/// Two images that are nearly the same.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Duplicate {
    /// One image.
    pub a: u32,
    /// The other, of higher number.
    pub b: u32,
    /// Their cosine.
    pub similarity: f32,
}

/// Near-duplicate images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Duplicates {
    /// Images compared with each other.
    pub compared: usize,
    /// Pairs of them above the threshold.
    pub count: u64,
    /// The closest.
    pub examples: Vec<Duplicate>,
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// Images.
    pub images: usize,
    /// Pairs.
    pub pairs: usize,
    /// Embedding width.
    pub width: usize,
    /// The image side.
    pub image: Side,
    /// The text side.
    pub text: Side,
    /// Pairs that stay.
    pub kept: Agreement,
    /// Pairs that pruning drops.
    pub pruned: Agreement,
    /// Distance between the mean directions of images and texts (Liang et al. 2022).
    pub modality_gap: f64,
    /// Near-duplicate images.
    pub duplicates: Duplicates,
    /// Pairs of lowest cosine, worst first.
    pub worst: Vec<Candidate>,
    /// Share of pairs that are more likely mismatched than not, by a two-part mixture of their losses.
    pub doubtful: f64,
    /// Why no mixture could be fitted, if so; then no pair counts as doubtful.
    pub mixture_note: Option<String>,
}

/// Measures everything.
///
/// # Errors
/// [`Error::Setting`], [`Error::Shape`] for arrays that do not fit or hold a NaN, [`Error::Cancelled`].
pub fn stats(data: &Embeddings, kept: &Kept, settings: &StatsSettings, ctx: &Ctx) -> Result<Stats> {
    settings.check()?;
    ctx.step("stats", 0, 5)?;
    let scores = similarities(data, ctx)?;
    kept.check(data)?;
    let (kept, pruned) = agreement(&scores, kept, settings.bins);
    ctx.step("stats", 1, 5)?;
    let split = clean_split(&scores)?;
    ctx.step("stats", 2, 5)?;
    let image = side(data.image.view(), ctx)?;
    ctx.step("stats", 3, 5)?;
    let text = side(data.text.view(), ctx)?;
    ctx.step("stats", 4, 5)?;
    let mut order: Vec<u32> = (0..scores.len() as u32).collect();
    order.sort_by(|&a, &b| scores[a as usize].total_cmp(&scores[b as usize]).then(a.cmp(&b)));
    let worst = order.iter().take(settings.examples);
    Ok(Stats {
        images: data.image.nrows(),
        pairs: data.text.nrows(),
        width: data.text.ncols(),
        image,
        text,
        kept,
        pruned,
        modality_gap: modality_gap(data),
        duplicates: duplicates(data.image.view(), settings, ctx)?,
        worst: worst.map(|&row| Candidate { row, similarity: scores[row as usize] }).collect(),
        doubtful: split.doubtful,
        mixture_note: split.note,
    })
}

/// Quantiles of `values`, in any order.
pub fn quantiles(values: &[f32]) -> Quantiles {
    let mut sorted = values.to_vec();
    sorted.sort_by(f32::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return Quantiles::default() };
    let at = |q: f64| {
        let place = q * last as f64;
        let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
        f64::from(low) + (f64::from(high) - f64::from(low)) * place.fract()
    };
    let mean = sorted.iter().map(|&v| f64::from(v)).sum::<f64>() / sorted.len() as f64;
    Quantiles { count: sorted.len(), mean, at: [0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0].map(at) }
}

/// Counts of `values` between `from` and `to`; what lies outside counts in the end bins.
pub fn histogram(values: &[f32], (from, to): (f64, f64), bins: usize) -> Histogram {
    let mut counts = vec![0; bins];
    let scale = if to > from { bins as f64 / (to - from) } else { 0.0 };
    for &v in values {
        let bin = ((f64::from(v) - from) * scale).max(0.0) as usize;
        counts[bin.min(bins - 1)] += 1;
    }
    Histogram { from, to, counts }
}

fn agreement(scores: &[f32], kept: &Kept, bins: usize) -> (Agreement, Agreement) {
    let mut stays = vec![false; scores.len()];
    kept.0.iter().for_each(|&row| stays[row as usize] = true);
    let all = quantiles(scores).at;
    let part = |wanted: bool| {
        let values: Vec<f32> = scores.iter().zip(&stays).filter(|s| *s.1 == wanted).map(|s| *s.0).collect();
        Agreement { quantiles: quantiles(&values), histogram: histogram(&values, (all[0], all[6]), bins) }
    };
    (part(true), part(false))
}

fn side(rows: ArrayView2<f32>, ctx: &Ctx) -> Result<Side> {
    let norms: Vec<f32> = rows.outer_iter().map(|row| vectors::square(row).sqrt() as f32).collect();
    Ok(Side { norms: quantiles(&norms), effective_rank: effective_rank(rows, ctx)? })
}

fn modality_gap(data: &Embeddings) -> f64 {
    let (image, text) =
        (vectors::mean_direction(data.image.view(), |_| 1.0), vectors::mean_direction(data.text.view(), |_| 1.0));
    image.iter().zip(&text).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()
}

/// Near-duplicates among `images` `[n, d]`.
///
/// # Errors
/// [`Error::Cancelled`], [`Error::Tensor`].
pub fn duplicates(images: ArrayView2<f32>, settings: &StatsSettings, ctx: &Ctx) -> Result<Duplicates> {
    let n = images.nrows().min(settings.compared);
    let at: Vec<usize> = (0..n).map(|i| i * images.nrows() / n).collect();
    let unit = vectors::unit(images.select(Axis(0), &at).view());
    let blocks = unit.axis_chunks_iter(Axis(0), vectors::BLOCK).map(vectors::tensor).collect::<Result<Vec<_>>>()?;
    let tiles: Vec<(usize, usize)> = (0..blocks.len()).flat_map(|a| (a..blocks.len()).map(move |b| (a, b))).collect();
    let found: Vec<(u64, Vec<Duplicate>)> = tiles
        .into_par_iter()
        .map(|(a, b)| {
            ctx.check()?;
            let products = vectors::product(&blocks[a], &blocks[b])?;
            let width = products.len() / blocks[a].dims()[0];
            let mut hits: Vec<Duplicate> = Vec::new();
            for (k, &similarity) in products.iter().enumerate().filter(|p| f64::from(*p.1) > settings.duplicate) {
                let (i, j) = (a * vectors::BLOCK + k / width, b * vectors::BLOCK + k % width);
                if i < j {
                    hits.push(Duplicate { a: at[i] as u32, b: at[j] as u32, similarity });
                }
            }
            let count = hits.len() as u64;
            closest(&mut hits, settings.examples);
            Ok((count, hits))
        })
        .collect::<Result<_>>()?;
    let count = found.iter().map(|f| f.0).sum();
    let mut examples: Vec<Duplicate> = found.into_iter().flat_map(|f| f.1).collect();
    closest(&mut examples, settings.examples);
    Ok(Duplicates { compared: n, count, examples })
}

fn closest(hits: &mut Vec<Duplicate>, n: usize) {
    hits.sort_by(|x, y| y.similarity.total_cmp(&x.similarity).then((x.a, x.b).cmp(&(y.a, y.b))));
    hits.truncate(n);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ndarray::Array2;
    use rand::{Rng, SeedableRng};

    #[test]
    fn quantiles_follow_the_linear_rule_of_numpy() {
        let q = quantiles(&[4.0, 1.0, 3.0, 2.0]);
        let expected = [1.0, 1.15, 1.75, 2.5, 3.25, 3.85, 4.0];
        assert!(q.at.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{q:?}");
        assert_eq!(quantiles(&[]).count, 0);
    }

    #[test]
    fn every_value_falls_into_one_bin() {
        let h = histogram(&[0.0, 0.24, 0.25, 1.0, 2.0, -1.0], (0.0, 1.0), 4);
        assert_eq!(h.counts, [3, 1, 0, 2]);
    }

    #[test]
    fn planted_copies_are_found_and_nothing_else() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let mut images = Array2::from_shape_simple_fn((700, 16), || rng.random_range(-1f32..1.0));
        let copy = images.row(3).to_owned();
        images.row_mut(600).assign(&(copy * 2.0));
        let settings = StatsSettings { duplicate: 0.8, ..Default::default() };
        let brute = (0..700).flat_map(|a| (a + 1..700).map(move |b| (a, b)));
        let expected = brute.filter(|&(a, b)| vectors::cosine(images.row(a), images.row(b)) > 0.8).count();
        let found = duplicates(images.view(), &settings, &Ctx::quiet()).unwrap();
        assert_eq!(found.count as usize, expected);
        assert!(expected > 1 && expected < 10_000, "{expected}");
        assert!(found.examples.iter().any(|d| (d.a, d.b) == (3, 600)));
    }
}
