//! From pairs to prototypes: which pairs are trusted, and what each method starts from.

use super::{Prototyped, Workbench, kept_name};
use crate::pipeline::recipe::Recipe;
use crate::{
    error::Result,
    fingerprint::Fingerprint,
    kernels::vectors,
    pipeline::{
        Ctx,
        cluster::{ImageCluster, TextCluster},
        methods::{
            Start,
            coreset::coreset,
            coverage::coverage,
            joint::{JointCluster, joint_clusters},
            need::by_need,
        },
        prototypes::{Prototype, Prototypes, caption, mean},
        space::embeddings::{Embeddings, Kept},
        store::Json,
        trust::{
            Certificate, Trust, TrustSettings, certificates,
            prune::{self, PruneMethod, PruneSettings},
            trust,
        },
    },
};
use ndarray::ArrayView1;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The ridge of a choice by need, relative to the mean eigenvalue: of .1 to .3 the best on the demo's validation split.
const NEED: f64 = 0.3;

impl Workbench {
    /// What is to be believed of each training pair.
    ///
    /// # Errors
    /// As [`Self::embeddings`].
    pub fn trust(&self, ctx: &Ctx) -> Result<Arc<Trust>> {
        self.trust.get(|| {
            let embedded = self.embeddings(ctx)?;
            let (settings, name) = (TrustSettings::default(), trust_name(&embedded.1));
            let Json(found) = self.staged("trust", &name, || Ok(Json(trust(&embedded.0, &settings, ctx)?)))?;
            Ok(found)
        })
    }

    /// The rows that are not pruned.
    ///
    /// # Errors
    /// As [`Self::embeddings`], and those of [`prune::prune`].
    pub fn kept(&self, settings: &PruneSettings, ctx: &Ctx) -> Result<Kept> {
        match settings.method {
            PruneMethod::Trust => Ok(self.trust(ctx)?.kept()),
            PruneMethod::ClipScore => prune::prune(&self.embeddings(ctx)?.0, settings, ctx),
        }
    }

    /// What each pair counts where pairs teach: nothing unless it is kept, and as much as it is trusted. `[pairs]`
    pub(super) fn weights(&self, kept: &Kept, settings: &PruneSettings, ctx: &Ctx) -> Result<Vec<f32>> {
        let trusted = match settings.method {
            PruneMethod::Trust => Some(self.trust(ctx)?),
            PruneMethod::ClipScore => None,
        };
        let mut weights = vec![0.0; self.embeddings(ctx)?.0.pairs()];
        for &row in &kept.0 {
            // One that a person keeps is trusted, whatever its score.
            weights[row as usize] = trusted.as_ref().map_or(1.0, |t| t.weights[row as usize].max(0.5));
        }
        Ok(weights)
    }

    /// What the caption of each prototype withstands, where pairs were judged.
    ///
    /// # Errors
    /// As [`Self::embeddings`].
    pub fn certificates(
        &self,
        found: &Prototyped,
        settings: &PruneSettings,
        ctx: &Ctx,
    ) -> Result<Option<Vec<Certificate>>> {
        if settings.method != PruneMethod::Trust {
            return Ok(None);
        }
        let (embedded, trust) = (self.embeddings(ctx)?, self.trust(ctx)?);
        certificates(&found.prototypes.list, &found.captions, &embedded.0, &trust.weights, ctx).map(Some)
    }

    /// What a manifest says of trust: the share of mismatched pairs, and what each prototype's caption withstands.
    ///
    /// # Errors
    /// As [`Self::prototypes`].
    pub fn trusted(&self, recipe: &Recipe, ctx: &Ctx) -> Result<Option<serde_json::Value>> {
        if recipe.prune.method != PruneMethod::Trust {
            return Ok(None);
        }
        let mut about = self.trust(ctx)?.about();
        if recipe.method.method.start() != Start::Pairs {
            about["prototypes"] =
                serde_json::json!(self.certificates(&self.prototypes(recipe, ctx)?, &recipe.prune, ctx)?);
        }
        Ok(Some(about))
    }

    /// Prototypes that no matched clusters are needed for.
    pub(super) fn chosen(&self, start: Start, kept: Kept, recipe: &Recipe, ctx: &Ctx) -> Result<Prototyped> {
        let embedded = self.embeddings(ctx)?;
        let (data, source) = (&embedded.0, &embedded.1);
        let (m, seed) = (recipe.cluster.prototypes, recipe.seed);
        let weights = self.weights(&kept, &recipe.prune, ctx)?;
        let name = choice_name(&kept, recipe, source);
        let Json(choice) =
            self.staged("choose", &name, || Ok(Json(Choice::new(start, data, &weights, (m, seed), ctx)?)))?;
        let list = choice.prototypes(data, &kept);
        let prototypes = Prototypes { list, empty: 0 };
        let captions = caption::captions(&prototypes.list, data, &self.dataset.train.pairs, &recipe.caption, ctx)?;
        let fingerprint = Fingerprint::of_stage("prototypes", &(&recipe.caption, name), &[source]);
        Ok(Prototyped { kept, clusters: None, prototypes, captions, fingerprint })
    }
}

/// Names what is believed of the pairs.
pub(super) fn trust_name(source: &Fingerprint) -> Fingerprint {
    Fingerprint::of_stage("trust", &TrustSettings::default(), &[source])
}

/// Names what a method chose.
pub(super) fn choice_name(kept: &Kept, recipe: &Recipe, source: &Fingerprint) -> Fingerprint {
    let (start, m) = (recipe.method.method.start(), recipe.cluster.prototypes);
    let of = (start, kept_name(kept, source), recipe.prune.method, m, recipe.seed);
    Fingerprint::of_stage("choose", &of, &[source])
}

/// What a method chose.
#[derive(Serialize, Deserialize)]
pub(super) enum Choice {
    /// Images by number.
    Images(Vec<u32>),
    /// Clusters of pairs.
    Clusters(Vec<JointCluster>),
}

impl Choice {
    /// Chooses `m` by what each pair counts.
    pub fn new(start: Start, data: &Embeddings, weights: &[f32], (m, seed): (usize, u64), ctx: &Ctx) -> Result<Self> {
        Ok(match start {
            Start::Joint => Self::Clusters(joint_clusters(data, weights, m, seed, ctx)?),
            Start::Coreset => {
                let one = |row: u32| JointCluster {
                    image: data.image.row(data.image_of[row as usize] as usize).to_vec(),
                    text: data.text.row(row as usize).to_vec(),
                    rows: vec![row],
                };
                Self::Clusters(coreset(data, weights, m, ctx)?.into_iter().map(one).collect())
            }
            Start::Coverage => Self::Images(coverage(data, weights, m, seed, ctx)?),
            Start::Need | Start::Clusters | Start::Pairs => Self::Images(by_need(data, weights, m, NEED, ctx)?),
        })
    }

    /// In the order of choice; an image is a prototype with the mean of its kept captions.
    pub fn prototypes(self, data: &Embeddings, kept: &Kept) -> Vec<Prototype> {
        let images = match self {
            Self::Clusters(clusters) => return clusters.into_iter().enumerate().map(prototype).collect(),
            Self::Images(images) => images,
        };
        let mut rows_of = vec![Vec::new(); data.image.nrows()];
        kept.0.iter().for_each(|&row| rows_of[data.image_of[row as usize] as usize].push(row));
        let one = |image: u32| {
            let rows = std::mem::take(&mut rows_of[image as usize]);
            let text = mean(rows.iter().map(|&row| data.text.row(row as usize)), data.text.ncols());
            JointCluster { image: data.image.row(image as usize).to_vec(), text, rows }
        };
        images.into_iter().map(one).enumerate().map(prototype).collect()
    }
}

fn prototype((i, JointCluster { image, text, rows }): (usize, JointCluster)) -> Prototype {
    let similarity = match image.len() == text.len() {
        true => vectors::cosine(ArrayView1::from(&image), ArrayView1::from(&text)) as f32,
        false => 0.0,
    };
    let (image_cluster, text_cluster) = (ImageCluster(i as u32), TextCluster(i as u32));
    Prototype { image, text, support: rows.len() as u32, similarity, image_cluster, text_cluster, rows }
}
