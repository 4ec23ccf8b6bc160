//! Real pairs: chosen as they are, or nearest to prototypes.

use super::{Dry, Prototyped, Run, Stage, Step, cost};
use crate::{
    data::Pair,
    error::Result,
    kernels::vectors,
    pipeline::{
        methods::{
            Method,
            select::{self, SelectedPair},
        },
        set::{folder::DistilledSet, pair::DistilledPair},
        space::embeddings::Embeddings,
    },
};
use ndarray::ArrayView1;

/// Pairs by a yardstick that knows no prototypes.
pub(super) struct Pick;

impl Step for Pick {
    fn cost(&self, dry: &mut Dry) -> Result<()> {
        let (method, m, sample) = (dry.recipe.method.method, dry.recipe.cluster.prototypes, &dry.sample);
        let picking =
            |m: usize| Ok(cost(|| select::real_pairs(method, sample, m, dry.recipe.seed, dry.ctx))?.1.seconds);
        let first = picking(1)?;
        let each = if m > 1 { (picking(2)? - first).max(0.0) } else { 0.0 };
        let seconds =
            (first + each * (m - 1) as f64) * dry.bench.dataset.train.pairs.len() as f64 / sample.pairs() as f64;
        dry.plan.add(Stage::new(method.name(), (m, "pairs"), false).costs(seconds, dry.held, 0));
        Ok(())
    }

    fn make(&self, run: &mut Run) -> Result<()> {
        let (embedded, recipe) = (run.bench.embeddings(run.ctx)?, run.recipe);
        let (method, m) = (recipe.method.method, recipe.cluster.prototypes);
        let chosen = select::real_pairs(method, &embedded.0, m, recipe.seed, run.ctx)?;
        take(run, &embedded.0, &chosen)
    }
}

/// The real pair nearest to each prototype.
pub(super) struct Nearest;

impl Step for Nearest {
    fn cost(&self, _: &mut Dry) -> Result<()> {
        // A product of M rows with all others: little beside what led to the prototypes.
        Ok(())
    }

    fn make(&self, run: &mut Run) -> Result<()> {
        let (embedded, method, found) = (run.bench.embeddings(run.ctx)?, run.recipe.method.method, &run.found);
        let (data, list) = (&embedded.0, &found.prototypes.list);
        let by = if method == Method::NearestText { method } else { Method::NearestImage };
        let mut chosen = select::nearest_pairs(by, data, &found.kept, list, run.ctx)?;
        if !method.clusters() {
            own_words(&mut chosen, data, found);
        }
        take(run, data, &chosen)
    }
}

/// Real images with the captions that their prototypes have.
fn own_words(pairs: &mut [SelectedPair], data: &Embeddings, found: &Prototyped) {
    for (pair, caption) in pairs.iter_mut().zip(&found.captions) {
        // Its own words where they describe this image, else the first that do.
        let own = |row: &u32| data.image_of[*row as usize] == data.image_of[pair.row as usize];
        pair.row = caption.candidates.iter().map(|c| c.row).find(own).unwrap_or(pair.row);
    }
}

/// Makes these pairs the set.
fn take(run: &mut Run, data: &Embeddings, chosen: &[SelectedPair]) -> Result<()> {
    let train = &run.bench.dataset.train;
    let image_row = |c: &SelectedPair| data.image.row(data.image_of[c.row as usize] as usize).to_vec();
    let pair = |c: &SelectedPair| {
        let Pair { image, caption } = &train.pairs[c.row as usize];
        let (image_row, text) = (image_row(c), data.text.row(c.row as usize));
        let similarity = vectors::cosine(ArrayView1::from(&image_row), text) as f32;
        DistilledPair {
            image: train.images[image.index()].clone(),
            caption: caption.clone(),
            support: 1,
            similarity,
            uid: train.uids.get(image.index()).copied().flatten(),
        }
    };
    let images: Vec<Vec<f32>> = chosen.iter().map(image_row).collect();
    run.set = DistilledSet {
        method: String::new(),
        pairs: chosen.iter().map(pair).collect(),
        image_prototypes: vectors::stack(images.iter().map(Vec::as_slice), data.image.ncols())?,
        text_prototypes: vectors::stack(chosen.iter().map(|c| c.text.as_slice()), data.text.ncols())?,
        correspondence: None,
    };
    run.rows = chosen.iter().map(|c| Some(c.row)).collect();
    Ok(())
}
