//! The paper's prototypes: image and caption clusters, matched.

use super::{Dry, Matched, Rounds, Run, Stage, Step, cost, kept_name, line};
use crate::{
    error::Result,
    fingerprint::Fingerprint,
    pipeline::{
        Ctx,
        cluster::{self, ClusterSettings, Clusters, ImageClusters, Search, TextClusters},
        prototypes::{self, Prototypes, assign},
        recipe::Recipe,
        space::{
            embed::Side,
            embeddings::{Embeddings, Kept},
        },
        store::arrays::Arrays,
        trust::prune::PruneMethod,
    },
};
use ndarray::ArrayView2;
use std::time::Instant;

/// Clusters of both sides, matched and averaged.
pub(super) struct Cluster;

pub(super) const NAMES: [&str; 2] = ["cluster images", "cluster captions"];

impl Step for Cluster {
    fn cost(&self, dry: &mut Dry) -> Result<()> {
        let (recipe, ctx, train, held) = (dry.recipe, dry.ctx, &dry.bench.dataset.train, dry.held);
        let (pairs, m) = (train.pairs.len(), recipe.cluster.prototypes);
        let kept = match recipe.prune.method {
            PruneMethod::ClipScore => pairs - (recipe.prune.ratio * pairs as f64).floor() as usize,
            PruneMethod::Trust => pairs,
        };
        let done = dry.kept()?.map_or([false; 2], |(kept, source)| {
            let rows = kept_name(&kept, source);
            let made = |side| dry.bench.store.cost::<Arrays>(&name(side, &rows, &recipe.cluster, source)).is_some();
            [Side::Images, Side::Captions].map(made)
        });
        dry.there = done == [true; 2];
        let mut tried = |side: Side, rows: ArrayView2<f32>, (n, unit)| -> Result<Clusters> {
            let (found, seconds) = try_clustering(rows, n, &recipe.cluster, ctx)?;
            let copy = if recipe.cluster.normalise { 4 * (n * rows.ncols()) as u64 } else { 0 };
            let disk = 4 * (m * rows.ncols() + kept) as u64;
            let side = side as usize;
            dry.plan.add(Stage::new(NAMES[side], (n, unit), done[side]).costs(seconds, held + copy, disk));
            Ok(found)
        };
        let images = (pairs.min(train.images.len()).min(kept), "images");
        let sides = (
            ImageClusters(tried(Side::Images, dry.sample.image.view(), images)?),
            TextClusters(tried(Side::Captions, dry.sample.text.view(), (kept, "captions"))?),
        );
        let all = Kept((0..dry.sample.pairs() as u32).collect());
        let (found, one) = cost(|| matched(&dry.sample, &all, sides.clone(), recipe, ctx))?;
        dry.found.prototypes = found.1;
        dry.plan.add(Stage::new("match", (m, "clusters"), false).costs(one.seconds, held, 0));
        Ok(())
    }

    fn make(&self, run: &mut Run) -> Result<()> {
        let (bench, recipe, ctx) = (run.bench, run.recipe, run.ctx);
        let (embedded, found) = (bench.embeddings(ctx)?, run.found.to_mut());
        let (data, source, settings) = (&embedded.0, &embedded.1, &recipe.cluster);
        let rows = kept_name(&found.kept, source);
        let clusters = |side: Side, fit: &dyn Fn(Search) -> Result<Clusters>| {
            let name = name(side, &rows, settings, source);
            let mut rounds = bench.engine.as_deref().map(|engine| Rounds::new(bench, engine, side));
            let search = rounds.as_mut().map_or(Search::Anew, |rounds| Search::With(rounds));
            let made = bench.staged(NAMES[side as usize], &name, || fit(search).map(|found| arrays_of(&found)))?;
            rounds.into_iter().for_each(Rounds::end);
            cluster_of(&made)
        };
        let kept = &found.kept;
        let images =
            clusters(Side::Images, &|from| cluster::cluster_images(data, kept, from, settings, ctx).map(|c| c.0))?;
        let texts =
            clusters(Side::Captions, &|from| cluster::cluster_texts(data, kept, from, settings, ctx).map(|c| c.0))?;
        let sides = (ImageClusters(images), TextClusters(texts));
        let (clusters, prototypes) = matched(data, &found.kept, sides, recipe, ctx)?;
        (found.clusters, found.prototypes) = (Some(clusters), prototypes);
        let of = (&rows, settings, &recipe.prototype, &recipe.caption);
        found.fingerprint = Fingerprint::of_stage("prototypes", &of, &[source]);
        Ok(())
    }
}

fn name(side: Side, rows: &Fingerprint, settings: &ClusterSettings, source: &Fingerprint) -> Fingerprint {
    Fingerprint::of_version(2, "cluster", &(side.name(), rows, settings), &[source])
}

/// Matches clusters and averages them.
pub(in crate::pipeline) fn matched(
    data: &Embeddings,
    kept: &Kept,
    (images, texts): (ImageClusters, TextClusters),
    recipe: &Recipe,
    ctx: &Ctx,
) -> Result<(Matched, Prototypes)> {
    let matching = assign::assign(&images, &texts, ctx)?;
    let prototypes = prototypes::prototypes(data, kept, (&images, &texts), &matching, &recipe.prototype, ctx)?;
    Ok((Matched { images, texts, matching }, prototypes))
}

/// Clusters half of a sample, then all of it: the clusters, and seconds for `n` rows by these two.
fn try_clustering(rows: ArrayView2<f32>, n: usize, settings: &ClusterSettings, ctx: &Ctx) -> Result<(Clusters, f64)> {
    let half = rows.nrows().div_ceil(2).max(settings.prototypes).min(rows.nrows());
    let timed = |s: usize| {
        let start = Instant::now();
        let found = cluster::fit(rows.slice(ndarray::s![..s, ..]), &vec![1; s], settings, ctx)?;
        Ok((found, (s, start.elapsed().as_secs_f64())))
    };
    let (_, less) = timed(half)?;
    let (found, more) = timed(rows.nrows())?;
    Ok((found, line(less, more, n)))
}

fn arrays_of(found: &Clusters) -> Arrays {
    let bits = found.inertia.to_bits();
    let about = ndarray::arr1(&[bits as u32, (bits >> 32) as u32, found.iterations as u32]);
    Arrays::new()
        .with_f32("centroids", &found.centroids)
        .with_u32("labels", &ndarray::ArrayView1::from(&found.labels))
        .with_u32("about", &about)
}

fn cluster_of(arrays: &Arrays) -> Result<Clusters> {
    let about = arrays.u32::<ndarray::Ix1>("about")?;
    let [low, high, iterations] = [0, 1, 2].map(|i| about.get(i).copied().unwrap_or(0));
    Ok(Clusters {
        centroids: arrays.f32("centroids")?,
        labels: arrays.u32::<ndarray::Ix1>("labels")?.to_vec(),
        inertia: f64::from_bits(u64::from(high) << 32 | u64::from(low)),
        iterations: iterations as usize,
    })
}
