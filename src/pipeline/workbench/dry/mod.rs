//! A dry run: which stages the store has, and what the others cost by what a few items of each cost here and now. Nothing is
//! written. Clustering and matching are tried on a sample of the rows; where there are none yet, on random ones, which
//! take as many rounds as any.

pub mod cost;
mod score;

use super::{Prototyped, Workbench, matrix};
use crate::{
    data::ImageSource,
    error::Result,
    fingerprint::Fingerprint,
    pipeline::{
        Ctx,
        recipe::Recipe,
        space::{
            embeddings::{Embeddings, Kept},
            rows::Rows,
        },
        store::encode_png,
    },
};
use cost::{Cost, Plan, Stage, cost, line};
use image::RgbImage;
use ndarray::{Array2, ArrayView2, s};
use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use std::sync::Arc;

/// Items that are tried.
pub(super) const FEW: usize = 2;
/// Rows that are tried where a row costs next to nothing.
pub(super) const SAMPLE: usize = 1024;

/// The training embeddings, if they are at hand.
pub(super) type Known = Option<Arc<(Embeddings, Fingerprint)>>;

/// A dry run and what its steps have found so far.
pub(super) struct Dry<'a> {
    pub bench: &'a Workbench,
    pub recipe: &'a Recipe,
    pub plan: &'a mut Plan,
    pub ctx: &'a Ctx,
    pub known: Known,
    /// Bytes of features that a run holds and the dry run does not.
    pub held: u64,
    /// Some pairs, each with an image of its own.
    pub sample: Embeddings,
    /// Whether the store has what the steps so far leave there.
    pub there: bool,
    /// Prototypes and captions: the real ones where the store has them, else those of the sample.
    pub found: Prototyped,
    /// One that was drawn.
    pub picture: Option<RgbImage>,
}

impl<'a> Dry<'a> {
    pub fn new(bench: &'a Workbench, recipe: &'a Recipe, plan: &'a mut Plan, ctx: &'a Ctx) -> Result<Self> {
        let known = bench.known(recipe.method, ctx)?;
        let sample = bench.sample(&known, (2 * SAMPLE).max(4 * recipe.cluster.prototypes))?;
        let (there, held, found) = (known.is_some(), bench.held(&known), bench.nothing());
        Ok(Self { bench, recipe, plan, ctx, known, held, sample, there, found, picture: None })
    }

    /// What is kept and what the embeddings are called, if the store tells.
    pub fn kept(&self) -> Result<Option<(Kept, &Fingerprint)>> {
        let known = self.known.as_ref().filter(|_| self.there);
        known.map(|known| Ok((self.bench.kept(&self.recipe.prune, self.ctx)?, &known.1))).transpose()
    }

    /// Plans to write the set's folder: pictures and two matrices.
    pub fn write(&mut self) -> Result<()> {
        let m = self.recipe.cluster.prototypes;
        let (bytes, one) = match &self.picture {
            Some(picture) => cost(|| Ok(encode_png(picture)?.len()))?,
            None => {
                let some: &[ImageSource] = &self.bench.dataset.train.images;
                let some = &some[..some.len().min(FEW)];
                let (sizes, one) =
                    cost(|| some.iter().map(|i| Ok(encode_png(&i.decode()?)?.len())).collect::<Result<Vec<_>>>())?;
                let n = some.len().max(1);
                (sizes.iter().sum::<usize>() / n, Cost { seconds: one.seconds / n as f64, ..one })
            }
        };
        let disk = (m * (bytes + 8 * self.sample.width())) as u64;
        let stage = Stage::new("write the set", (m, "pairs"), false);
        self.plan.add(stage.costs(m as f64 * one.seconds, self.held + one.memory, disk));
        Ok(())
    }
}

impl Workbench {
    /// Bytes of features that a run holds and the dry run does not.
    fn held(&self, known: &Known) -> u64 {
        let (n, t) = (self.dataset.train.images.len() as u64, self.dataset.train.pairs.len() as u64);
        match (&self.dataset.train.ready, known) {
            (_, Some(_)) => 0,
            (Some(ready), _) => {
                let (image, text) = (ready.images().unwrap_or(ready.texts()), ready.texts());
                if self.fits(image, text) { matrix(image) + matrix(text) } else { 0 }
            }
            (None, _) => 4 * (n + t) * self.clip().map_or(0, |clip| clip.width() as u64),
        }
    }

    /// Some pairs with their embeddings, each with an image of its own.
    fn sample(&self, known: &Known, wanted: usize) -> Result<Embeddings> {
        let train = &self.dataset.train;
        let n = wanted.min(train.pairs.len());
        let at: Vec<usize> = (0..n).map(|i| i * train.pairs.len() / n.max(1)).collect();
        let of: Vec<usize> = at.iter().map(|&i| train.pairs[i].image.index()).collect();
        let (image, text) = match (known, &train.ready) {
            (Some(known), _) => {
                let rows = |rows: ArrayView2<f32>, at: &[usize]| rows.select(ndarray::Axis(0), at);
                (rows(known.0.image.view(), &of), rows(known.0.text.view(), &at))
            }
            (None, Some(ready)) => (ready.images()?.some(&of)?, ready.texts().some(&at)?),
            (None, None) => {
                let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(0);
                let width = self.clip()?.width();
                let mut draw = || Array2::from_shape_simple_fn((n, width), || StandardNormal.sample(&mut rng));
                (draw(), draw())
            }
        };
        Embeddings::new(image, text, (0..n as u32).collect())
    }
}

/// Seconds for `n` items, of which `tried` were tried.
pub(super) fn each(one: Cost, tried: usize, n: usize) -> f64 {
    one.seconds * n as f64 / tried.max(1) as f64
}

/// Memory of a whole batch.
pub(super) fn grown(one: Cost, tried: usize, batch: usize) -> u64 {
    one.memory * batch as u64 / tried.max(1) as u64
}

/// Seconds that `work` takes on `pairs` pairs, by half of the sample and by all of it.
pub(super) fn along(sample: &Embeddings, pairs: usize, mut work: impl FnMut(&Embeddings) -> Result<()>) -> Result<f64> {
    let mut timed = |n: usize| {
        let rows = |x: &Rows| x.view().slice_move(s![..n, ..]).to_owned();
        let part = Embeddings::new(rows(&sample.image), rows(&sample.text), (0..n as u32).collect())?;
        Ok((n, cost(|| work(&part))?.1.seconds))
    };
    Ok(line(timed(sample.pairs().div_ceil(2))?, timed(sample.pairs())?, pairs))
}
