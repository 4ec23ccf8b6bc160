//! From the pipeline's types to what the panes show.

use crate::{
    app::{Cloud, EncoderScore, Near, Noise, Proto, Protos, Rows, Score, Summary},
    data::Dataset,
    fingerprint::Fingerprint,
    kernels::vectors::cosine,
    pipeline::{
        prototypes::Prototype,
        score::evaluate::{EncoderRecall, Measured},
        set::folder::DistilledSet,
        space::{
            embeddings::Embeddings,
            stats::{Plane, Stats},
        },
        trust::{Certificate, Trust, Witness},
        workbench::{Matched, Prototyped},
    },
};
use ndarray::ArrayView1;
use rayon::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Nearest real pairs kept per prototype.
const NEAREST: usize = 12;

pub fn rows(dataset: &Dataset, split: Measured) -> Rows {
    let train = &dataset.train;
    let judge = match split {
        Measured::Test => &dataset.test,
        Measured::Val => &dataset.val,
    };
    Rows {
        captions: train.pairs.iter().map(|p| p.caption.clone()).collect(),
        image_of: train.pairs.iter().map(|p| p.image.0).collect(),
        images: train.images.len(),
        judged_on: (judge.images.len(), judge.pairs.len()),
        named: std::sync::OnceLock::new(),
    }
}

pub fn summary(stats: &Stats, plane: Plane) -> Summary {
    const MEDIAN: usize = 3;
    Summary {
        width: stats.width,
        norms: [stats.image.norms.at[MEDIAN], stats.text.norms.at[MEDIAN]],
        ranks: [stats.image.effective_rank, stats.text.effective_rank],
        gap: stats.modality_gap,
        duplicates: (stats.duplicates.count, stats.duplicates.compared),
        doubtful: stats.doubtful,
        cloud: Arc::new(Cloud { image: plane.image, text: plane.text }),
    }
}

/// Scores of all pairs, and what is to be believed of them.
pub fn noise(trust: &Trust) -> (Vec<f32>, Noise) {
    let (n, kept) = (trust.weights.len(), trust.kept().0.len());
    let noise = Noise {
        trust: trust.weights.clone(),
        null: trust.null.clone(),
        share: trust.share,
        upper: trust.upper,
        witness: match trust.witness {
            Witness::Shuffle => "by captions re-paired at random",
            Witness::Neighbours => "by captions re-paired among like images",
            Witness::Mixture => "by two humps of the scores",
        },
        expected: trust.expected,
        // A little more than the share, so that no rounding leaves one pair less.
        proposed: if kept == n { 0.0 } else { ((n - kept) as f64 + 0.5) / n as f64 },
    };
    (trust.scores.clone(), noise)
}

pub fn protos(found: &Prototyped, sure: Option<&[Certificate]>, data: &Embeddings, basis: Fingerprint) -> Protos {
    let list = &found.prototypes.list;
    let proto = |(i, p): (usize, &Prototype)| {
        let own = ArrayView1::from(&p.image);
        let image_of = |row: u32| data.image_of[row as usize];
        // An image has several captions, and is compared once.
        let mut known = BTreeMap::new();
        for &row in &p.rows {
            let image = image_of(row);
            known.entry(image).or_insert_with(|| cosine(own, data.image.row(image as usize)) as f32);
        }
        let tightness = known.values().sum::<f32>() / known.len().max(1) as f32;
        let mut rows: Vec<Near> = p.rows.iter().map(|&row| Near { row, cosine: known[&image_of(row)] }).collect();
        rows.sort_by(|a, b| b.cosine.total_cmp(&a.cosine).then(a.row.cmp(&b.row)));
        let mut seen = BTreeSet::new();
        let nearest = rows.iter().filter(|near| seen.insert(image_of(near.row))).take(NEAREST).copied().collect();
        let others = list.iter().enumerate().filter(|(j, _)| *j != i);
        let other =
            others.map(|(j, o)| (j, cosine(own, ArrayView1::from(&o.image)) as f32)).max_by(|a, b| a.1.total_cmp(&b.1));
        let choice = &found.captions[i];
        Proto {
            similarity: p.similarity,
            support: p.support as usize,
            tightness,
            rows,
            nearest,
            other,
            candidates: choice.candidates.iter().map(|c| Near { row: c.row, cosine: c.similarity }).collect(),
            chosen: choice.chosen,
            sure: sure
                .and_then(|s| s.get(i))
                .map(|c| (c.expected_mismatched as f32, (c.margin > 0.0).then_some(c.replaceable))),
        }
    };
    let shared = |a: &Prototype, clusters: &Matched| {
        list.iter().map(|b| clusters.matching.shared(a.image_cluster, b.text_cluster)).collect()
    };
    let table = found.clusters.as_ref().map(|c| list.iter().map(|a| shared(a, c)).collect());
    Protos {
        list: list.par_iter().enumerate().map(proto).collect(),
        empty: found.prototypes.empty,
        basis,
        table: table.unwrap_or_default(),
    }
}

/// Recall of a set: `name` for one that was put together here; others are named by what they hold.
pub fn score(set: &DistilledSet, name: Option<&Fingerprint>, dataset: &Dataset, recalls: &[EncoderRecall]) -> Score {
    let content = || {
        let captions: Vec<&str> = set.pairs.iter().map(|p| p.caption.as_str()).collect();
        Fingerprint::of_stage("yardstick", &(&set.method, captions), &[&dataset.fingerprint])
    };
    let encoder = |r: &EncoderRecall| EncoderScore {
        encoder: r.encoder.clone(),
        runs: r.runs.len(),
        mean: r.mean.all(),
        sd: r.sd.all(),
        r_mean: [r.r_mean, r.r_mean_sd],
    };
    Score {
        method: set.method.clone(),
        set: name.cloned().unwrap_or_else(content),
        pairs: set.pairs.len(),
        edited: 0,
        epochs: 0,
        protocol: None,
        after: None,
        encoders: recalls.iter().map(encoder).collect(),
        curves: Vec::new(),
    }
}
