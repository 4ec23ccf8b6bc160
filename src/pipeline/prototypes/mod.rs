//! One image prototype and one text prototype per pair of matched clusters.

pub mod assign;
pub mod caption;

use super::setting;
use crate::error::Result;
use crate::{
    kernels::vectors,
    pipeline::{
        Ctx,
        cluster::{ImageCluster, ImageClusters, TextCluster, TextClusters},
        space::embeddings::{Embeddings, Kept},
    },
};
use assign::Matching;
use ndarray::ArrayView1;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What to do with matched clusters that share no row (the reference averages nothing there: NaN).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EmptySupport {
    /// No prototype: fewer pairs than asked for.
    Drop,
    /// The two centroids: an image and a text that need not belong together.
    Centroid,
    /// The image cluster takes the text cluster it shares most rows with, even if another has that one too.
    /// The default: every prototype rests on real pairs, and there are as many as asked for.
    #[default]
    Rematch,
}

/// How to build prototypes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PrototypeSettings {
    /// The policy for empty supports.
    pub empty: EmptySupport,
}

impl PrototypeSettings {
    /// # Errors
    /// None: every value is allowed.
    pub fn check(&self) -> Result<()> {
        setting::check("prototype", self)
    }
}

/// A distilled point: what an image and its caption look like on average in one corner of the data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prototype {
    /// Mean raw image embedding, `[d]`.
    pub image: Vec<f32>,
    /// Mean raw text embedding, `[d]`: the student's target.
    pub text: Vec<f32>,
    /// Number of pairs averaged; 0 only under [`EmptySupport::Centroid`].
    pub support: u32,
    /// Cosine between the two means.
    pub similarity: f32,
    /// Where the images lie.
    pub image_cluster: ImageCluster,
    /// Where the captions lie.
    pub text_cluster: TextCluster,
    /// The pairs averaged: rows of the original data.
    pub rows: Vec<u32>,
}

/// Prototypes, best-agreeing first, and how many matched clusters shared no row.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Prototypes {
    /// Sorted by similarity, highest first; of equals the lower image cluster.
    pub list: Vec<Prototype>,
    /// Matched clusters without a shared row, to which the policy was applied.
    pub empty: usize,
}

/// Averages the raw embeddings over the rows of each pair of matched clusters.
///
/// # Errors
/// [`crate::error::Error::Shape`] if labels and kept rows do not fit, [`crate::error::Error::Cancelled`].
pub fn prototypes(
    data: &Embeddings,
    kept: &Kept,
    (image, text): (&ImageClusters, &TextClusters),
    matching: &Matching,
    settings: &PrototypeSettings,
    ctx: &Ctx,
) -> Result<Prototypes> {
    kept.check(data)?;
    if image.0.labels.len() != kept.0.len() || text.0.labels.len() != kept.0.len() {
        return Err(vectors::shape(
            "labels of the kept rows",
            kept.0.len(),
            image.0.labels.len().min(text.0.labels.len()),
        ));
    }
    let mut cells: BTreeMap<(u32, u32), Vec<u32>> = BTreeMap::new();
    let labels = image.0.labels.iter().zip(&text.0.labels);
    kept.0.iter().zip(labels).for_each(|(&row, (&i, &j))| cells.entry((i, j)).or_default().push(row));
    let (mut list, mut empty) = (Vec::with_capacity(matching.text_of.len()), 0);
    for (i, &matched) in matching.text_of.iter().enumerate() {
        ctx.step("prototypes", i, matching.text_of.len())?;
        let (from, mut to) = (ImageCluster(i as u32), matched);
        if matching.shared(from, to) == 0 {
            empty += 1;
            match settings.empty {
                EmptySupport::Drop => continue,
                EmptySupport::Centroid => {}
                EmptySupport::Rematch => to = closest(matching.table.row(i), matched),
            }
        }
        let rows = cells.get(&(from.0, to.0)).cloned().unwrap_or_default();
        list.push(build(data, (image, text), (from, to), rows));
    }
    list.sort_by(|a, b| b.similarity.total_cmp(&a.similarity).then(a.image_cluster.cmp(&b.image_cluster)));
    Ok(Prototypes { list, empty })
}

/// The text cluster that shares most rows, the lowest of equals.
fn closest(counts: ArrayView1<u32>, matched: TextCluster) -> TextCluster {
    let most = counts.iter().enumerate().max_by(|a, b| a.1.cmp(b.1).then(b.0.cmp(&a.0)));
    most.map_or(matched, |(j, _)| TextCluster(j as u32))
}

fn build(
    data: &Embeddings,
    (image, text): (&ImageClusters, &TextClusters),
    (image_cluster, text_cluster): (ImageCluster, TextCluster),
    rows: Vec<u32>,
) -> Prototype {
    let (image, text) = if rows.is_empty() {
        (
            image.0.centroids.row(image_cluster.0 as usize).to_vec(),
            text.0.centroids.row(text_cluster.0 as usize).to_vec(),
        )
    } else {
        let images = rows.iter().map(|&r| data.image.row(data.image_of[r as usize] as usize));
        let texts = rows.iter().map(|&r| data.text.row(r as usize));
        (mean(images, data.image.ncols()), mean(texts, data.text.ncols()))
    };
    let similarity = vectors::cosine(ArrayView1::from(&image), ArrayView1::from(&text)) as f32;
    Prototype { image, text, support: rows.len() as u32, similarity, image_cluster, text_cluster, rows }
}

/// The mean of rows, `[d]`.
pub(super) fn mean<'a>(rows: impl ExactSizeIterator<Item = ArrayView1<'a, f32>>, d: usize) -> Vec<f32> {
    let (count, mut sum) = (rows.len() as f64, vec![0f64; d]);
    rows.for_each(|row| sum.iter_mut().zip(row).for_each(|(s, &v)| *s += f64::from(v)));
    sum.into_iter().map(|s| (s / count) as f32).collect()
}
