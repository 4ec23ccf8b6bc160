//! A first look at other prototypes while the true ones are found: from what was found before, or of a sample where there are
//! many pairs.

use super::{
    Prototyped, Workbench,
    stages::{choose, cluster::matched},
};
use crate::{
    data::Pair,
    error::Result,
    fingerprint::Fingerprint,
    pipeline::{
        Ctx,
        cluster::{self, ClusterSettings, Search},
        methods::Start,
        prototypes::{Prototypes, caption},
        recipe::Recipe,
        space::embeddings::{Embeddings, Kept},
    },
};
use ndarray::Axis;
use std::collections::HashMap;

/// Pairs of a sample: enough to see the groups, few enough to answer a slider.
const SAMPLE: usize = 5000;
/// With so many times as many pairs a sample is looked at.
const MANY: usize = 5;

/// Some of the kept pairs, with numbers of their own.
struct Sample {
    data: Embeddings,
    pairs: Vec<Pair>,
    /// The row of each in all data.
    rows: Vec<u32>,
}

impl Workbench {
    /// A first look at [`Self::prototypes_of`], and how many pairs were looked at if not all; none where there is nothing
    /// to look from. It takes a fraction of the time, but depends on what was found before, so nothing is made of it and
    /// nothing kept.
    ///
    /// # Errors
    /// As [`Self::prototypes_of`].
    pub fn glimpse(
        &self,
        kept: Kept,
        before: Option<&Prototyped>,
        recipe: &Recipe,
        ctx: &Ctx,
    ) -> Result<Option<(Prototyped, Option<usize>)>> {
        let embedded = self.embeddings(ctx)?;
        if kept.0.len() > MANY * SAMPLE {
            let sample = self.some_of(&embedded.0, &kept);
            let enough = recipe.cluster.prototypes <= sample.data.image.nrows() / 4;
            return if enough { self.glance(sample, before, recipe, ctx).map(Some) } else { Ok(None) };
        }
        let clusters = before.and_then(|b| b.clusters.as_ref());
        let Some(clusters) = clusters.filter(|_| recipe.method.method.clusters()) else {
            return Ok(None);
        };
        let (images, texts) = rayon::join(
            || cluster::cluster_images(&embedded.0, &kept, Search::From(&clusters.images.0), &recipe.cluster, ctx),
            || cluster::cluster_texts(&embedded.0, &kept, Search::From(&clusters.texts.0), &recipe.cluster, ctx),
        );
        let fingerprint = Fingerprint::of_stage("glimpse", &(&kept, &recipe.cluster), &[]);
        let (clusters, prototypes) = matched(&embedded.0, &kept, (images?, texts?), recipe, ctx)?;
        let pairs = &self.dataset.train.pairs;
        let captions = caption::captions(&prototypes.list, &embedded.0, pairs, &recipe.caption, ctx)?;
        let clusters = Some(clusters);
        Ok(Some((Prototyped { kept, clusters, prototypes, captions, fingerprint }, None)))
    }

    /// Kept pairs, evenly.
    fn some_of(&self, data: &Embeddings, kept: &Kept) -> Sample {
        let step = (kept.0.len() / SAMPLE).max(1);
        let rows: Vec<u32> = kept.0.iter().copied().step_by(step).take(SAMPLE).collect();
        let (mut images, mut place) = (Vec::new(), HashMap::new());
        let image_of = rows.iter().map(|row| {
            let image = data.image_of[*row as usize];
            *place.entry(image).or_insert_with(|| {
                images.push(image as usize);
                images.len() as u32 - 1
            })
        });
        let image_of: Vec<u32> = image_of.collect();
        let texts: Vec<usize> = rows.iter().map(|row| *row as usize).collect();
        let pairs = texts.iter().map(|row| self.dataset.train.pairs[*row].clone()).collect();
        let fingerprint = Fingerprint::of_stage("sample", &rows, &[&data.fingerprint]);
        let image = data.image.view().select(Axis(0), &images).into();
        let text = data.text.view().select(Axis(0), &texts).into();
        Sample { data: Embeddings { image, text, image_of, fingerprint }, pairs, rows }
    }

    /// Prototypes of a sample, told in the rows of all data.
    fn glance(
        &self,
        sample: Sample,
        before: Option<&Prototyped>,
        recipe: &Recipe,
        ctx: &Ctx,
    ) -> Result<(Prototyped, Option<usize>)> {
        let Sample { data, pairs, rows } = sample;
        let all = Kept((0..rows.len() as u32).collect());
        let (clusters, mut prototypes) = if !matches!(recipe.method.method.start(), Start::Choice(_)) {
            // One start from scratch costs as much as several from what was found before.
            let quick = ClusterSettings { n_init: 1, breath: 0, ..recipe.cluster.clone() };
            let warm = before.and_then(|b| b.clusters.as_ref());
            let [from_images, from_texts] = match warm {
                Some(warm) => [Search::From(&warm.images.0), Search::From(&warm.texts.0)],
                None => [Search::Anew, Search::Anew],
            };
            let (images, texts) = rayon::join(
                || cluster::cluster_images(&data, &all, from_images, &quick, ctx),
                || cluster::cluster_texts(&data, &all, from_texts, &quick, ctx),
            );
            let (clusters, prototypes) = matched(&data, &all, (images?, texts?), recipe, ctx)?;
            (Some(clusters), prototypes)
        } else {
            let trusted = self.weights(&Kept(rows.clone()), &recipe.prune, ctx)?;
            let weights: Vec<f32> = rows.iter().map(|row| trusted[*row as usize]).collect();
            let list = choose::prototypes(choose::choose(recipe, &data, &weights, ctx)?, &data, &all);
            (None, Prototypes { list, empty: 0 })
        };
        let mut captions = caption::captions(&prototypes.list, &data, &pairs, &recipe.caption, ctx)?;
        let own = |row: &mut u32| *row = rows[*row as usize];
        prototypes.list.iter_mut().for_each(|p| p.rows.iter_mut().for_each(own));
        captions.iter_mut().for_each(|c| c.candidates.iter_mut().for_each(|c| own(&mut c.row)));
        let looked_at = rows.len();
        let fingerprint = data.fingerprint;
        Ok((Prototyped { kept: Kept(rows), clusters, prototypes, captions, fingerprint }, Some(looked_at)))
    }
}
