//! What each method starts from that matches no clusters.

use super::{Dry, Run, Stage, Step, cost, each, kept_name};
use crate::{
    error::{Error, Result},
    fingerprint::Fingerprint,
    kernels::vectors,
    pipeline::{
        Ctx,
        cluster::{ImageCluster, TextCluster},
        methods::{
            Start,
            choice::{Asked, Choice, JointCluster},
        },
        prototypes::{Prototype, Prototypes, mean},
        recipe::Recipe,
        space::embeddings::{Embeddings, Kept},
        store::Json,
    },
};
use ndarray::ArrayView1;

/// Prototypes by a choice among the kept pairs.
pub(super) struct Choose;

impl Step for Choose {
    fn cost(&self, dry: &mut Dry) -> Result<()> {
        let (recipe, ctx, n) = (dry.recipe, dry.ctx, dry.sample.pairs());
        let (m, pairs) = (recipe.cluster.prototypes, dry.bench.dataset.train.pairs.len());
        let named = dry.kept()?.map(|(kept, source)| name(&kept, recipe, source));
        dry.there = named.is_some_and(|name| dry.bench.store.cost::<Json<Choice>>(&name).is_some());
        let weights = vec![1.0; n];
        let (choice, one) = cost(|| choose(recipe, &dry.sample, &weights, ctx))?;
        let stage = Stage::new(NAME, (m, "pairs"), dry.there).costs(each(one, n, pairs), dry.held, 0);
        dry.plan.add(stage);
        dry.found.prototypes.list = prototypes(choice, &dry.sample, &Kept((0..n as u32).collect()));
        Ok(())
    }

    fn make(&self, run: &mut Run) -> Result<()> {
        let (bench, recipe, ctx) = (run.bench, run.recipe, run.ctx);
        let (embedded, found) = (bench.embeddings(ctx)?, run.found.to_mut());
        let (data, source) = (&embedded.0, &embedded.1);
        let weights = bench.weights(&found.kept, &recipe.prune, ctx)?;
        let name = name(&found.kept, recipe, source);
        let Json(choice) = bench.staged(NAME, &name, || Ok(Json(choose(recipe, data, &weights, ctx)?)))?;
        found.prototypes = Prototypes { list: prototypes(choice, data, &found.kept), empty: 0 };
        found.fingerprint = Fingerprint::of_stage("prototypes", &(&recipe.caption, name), &[source]);
        Ok(())
    }
}

const NAME: &str = "choose";

fn name(kept: &Kept, recipe: &Recipe, source: &Fingerprint) -> Fingerprint {
    let (origin, m) = (recipe.method.method.origin(), recipe.cluster.prototypes);
    let of = (origin, kept_name(kept, source), recipe.prune.method, m, recipe.seed);
    Fingerprint::of_stage(NAME, &of, &[source])
}

/// What the recipe's method chooses by what each pair counts.
pub(in crate::pipeline) fn choose(recipe: &Recipe, data: &Embeddings, weights: &[f32], ctx: &Ctx) -> Result<Choice> {
    let Start::Choice(choose) = recipe.method.method.start() else {
        return Err(Error::setting("method", format!("{} chooses nothing itself", recipe.method.method)));
    };
    choose(&Asked { data, weights, m: recipe.cluster.prototypes, seed: recipe.seed, ctx })
}

/// In the order of choice; an image is a prototype with the mean of its kept captions.
pub(in crate::pipeline) fn prototypes(choice: Choice, data: &Embeddings, kept: &Kept) -> Vec<Prototype> {
    let images = match choice {
        Choice::Clusters(clusters) => return clusters.into_iter().enumerate().map(prototype).collect(),
        Choice::Images(images) => images,
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

fn prototype((i, JointCluster { image, text, rows }): (usize, JointCluster)) -> Prototype {
    let similarity = match image.len() == text.len() {
        true => vectors::cosine(ArrayView1::from(&image), ArrayView1::from(&text)) as f32,
        false => 0.0,
    };
    let (image_cluster, text_cluster) = (ImageCluster(i as u32), TextCluster(i as u32));
    Prototype { image, text, support: rows.len() as u32, similarity, image_cluster, text_cluster, rows }
}
