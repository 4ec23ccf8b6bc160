//! A dry run: which stages the store has, and what the others cost by what a few items of each cost here and now. Nothing is
//! written. Clustering and matching are tried on a sample of the rows; where there are none yet, on random ones, which
//! take as many rounds as any.

mod choice;
pub mod cost;
mod score;
mod tries;

use super::dry::cost::{Cost, Plan, Stage, cost};
use super::{Workbench, cluster_name, kept_name, matrix};
use crate::pipeline::recipe::Recipe;
use crate::{
    data::ImageSource,
    error::Result,
    fingerprint::Fingerprint,
    pipeline::{
        Ctx,
        cluster::{Clusters, ImageClusters, TextClusters},
        draw::{
            requests::{image_name, requests},
            synthesize::{self, Request},
        },
        methods::{Method, Start, Targets, Way, select},
        prototypes::{self, assign, caption},
        space::{
            embed,
            embeddings::{Embeddings, Kept},
        },
        store::{arrays::Arrays, encode_png},
        trust::prune::{self, PruneMethod},
    },
};
use choice::along;
use image::RgbImage;
use ndarray::{Array2, ArrayView2};
use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use std::{collections::HashSet, sync::Arc};
use tries::{try_clustering, try_drawing};

/// Items that are tried.
const FEW: usize = 2;
/// Rows that are tried where a row costs next to nothing.
const SAMPLE: usize = 1024;

/// What will be asked of the decoder, or something like it, and whether it is the real thing.
type Asked = (Vec<Request>, bool);

/// The training embeddings, if they are at hand.
type Known = Option<Arc<(Embeddings, Fingerprint)>>;

impl Workbench {
    /// Plans [`Self::distil`].
    ///
    /// # Errors
    /// Whatever would stop the run at once: unreadable images, a broken checkpoint, settings out of range.
    pub fn plan(&self, recipe: &Recipe, plan: &mut Plan, ctx: &Ctx) -> Result<()> {
        self.can_draw(recipe.method)?;
        plan.undrawn = self.undrawn();
        self.plan_embeddings(plan, ctx)?;
        let known = self.known(recipe.method, ctx)?;
        let pairs = self.dataset.train.pairs.len();
        let m = recipe.cluster.prototypes;
        let (way, start) = (recipe.method, recipe.method.method.start());
        if start == Start::Pairs {
            let sample = self.sample(&known, SAMPLE.max(FEW * m))?;
            let few = m.min(FEW);
            let (_, one) = cost(|| select::real_pairs(way.method, &sample, few, recipe.seed, ctx))?;
            let steps =
                if matches!(way.method, Method::Kcenter | Method::Herding) { m as f64 / few as f64 } else { 1.0 };
            let seconds = one.seconds * pairs as f64 / sample.pairs() as f64 * steps;
            plan.add(Stage::new(way.method.name(), (m, "pairs"), false).costs(seconds, self.held(&known), 0));
            return self.plan_writing(m, sample.width(), (None, self.held(&known)), plan);
        }
        let (found, width) = match start {
            Start::Clusters => self.plan_prototypes(recipe, &known, plan, ctx)?,
            _ => self.plan_choice(recipe, &known, plan, ctx)?,
        };
        let held = self.held(&known);
        let picture = if way.draws() { self.plan_pictures(recipe, found, held, plan, ctx)? } else { None };
        if way.targets() == Targets::Solved || way.retells() {
            self.plan_targets(recipe, &known, plan, ctx)?;
        }
        self.plan_writing(m, width, (picture, held), plan)
    }

    /// Embedding, or reading ready features.
    pub(super) fn plan_embeddings(&self, plan: &mut Plan, ctx: &Ctx) -> Result<()> {
        let train = &self.dataset.train;
        if plan.has("embed images") || plan.has("read features") {
            return Ok(());
        }
        if train.ready.is_some() {
            return self.plan_reading(plan);
        }
        let clip = self.clip()?;
        let done = self.store.cost::<Arrays>(&self.embedding_name(&clip)).is_some();
        let mut seen = HashSet::new();
        let texts = train.texts();
        let unique: Vec<&str> = texts.iter().map(AsRef::as_ref).filter(|c| seen.insert(*c)).collect();
        let (n, u, row) = (train.images.len(), unique.len(), 4 * clip.width() as u64);
        let mut images = Stage::new("embed images", (n, "images"), done);
        let mut captions = Stage::new("embed captions", (u, "captions"), done);
        if !done && n > 0 {
            let some = &train.images[..n.min(FEW)];
            let (_, one) = cost(|| embed::embed_images(some, &clip, ctx))?;
            let batch = grown(one, some.len(), embed::IMAGES);
            images = images.costs(each(one, some.len(), n), row * n as u64 + batch, 0);
            let some = &unique[..u.min(FEW)];
            let (_, one) = cost(|| embed::embed_captions(some, &clip, ctx))?;
            let (all, batch) = (train.pairs.len() as u64, grown(one, some.len(), embed::TEXTS));
            let memory = row * (n as u64 + all) + batch;
            captions = captions.costs(each(one, some.len(), u), memory, row * (n as u64 + all));
        }
        plan.add(images);
        plan.add(captions);
        Ok(())
    }

    fn plan_reading(&self, plan: &mut Plan) -> Result<()> {
        let Some(ready) = &self.dataset.train.ready else { return Ok(()) };
        let (image, text) = (ready.images()?, ready.texts());
        let some = |n: usize| (0..n.min(SAMPLE)).collect::<Vec<_>>();
        let (a, b) = (some(image.dim().0), some(text.dim().0));
        let (_, one) = cost(|| Embeddings::new(image.some(&a)?, text.some(&b)?, vec![0; b.len()]))?;
        let rows = image.dim().0 + text.dim().0;
        let seconds = one.seconds * rows as f64 / (a.len() + b.len()).max(1) as f64;
        let (mut memory, mut disk) = (matrix(image) + matrix(text), 0);
        if !self.fits(image, text) {
            memory = 0; // the system gives mapped pages to whoever needs them
            disk = matrix(image) + matrix(text);
        }
        plan.add(Stage::new("read features", (rows, "rows"), false).costs(seconds, memory, disk));
        Ok(())
    }

    /// The embeddings, where the store has them, or where they tell what else it has and are read without writing.
    pub(super) fn known(&self, way: Way, ctx: &Ctx) -> Result<Known> {
        let there = match &self.dataset.train.ready {
            None => self.store.cost::<Arrays>(&self.embedding_name(&*self.clip()?)).is_some(),
            Some(ready) => {
                let (image, text) = (ready.images()?, ready.texts());
                let clustered = way.method.start() != Start::Pairs && self.store.knows("trust")
                    || way.method.start() == Start::Clusters && self.store.knows("cluster images");
                clustered && self.fits(image, text)
            }
        };
        if there { self.embeddings(ctx).map(Some) } else { Ok(None) }
    }

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

    /// Pruning to captions: what will be asked of the decoder, or something like it, and whether it is the real thing;
    /// and the width of the rows.
    fn plan_prototypes(&self, recipe: &Recipe, known: &Known, plan: &mut Plan, ctx: &Ctx) -> Result<(Asked, usize)> {
        let (pairs, m, held) = (self.dataset.train.pairs.len(), recipe.cluster.prototypes, self.held(known));
        let kept = match recipe.prune.method {
            PruneMethod::ClipScore => pairs - (recipe.prune.ratio * pairs as f64).floor() as usize,
            PruneMethod::Trust => pairs,
        };
        let sample = self.sample(known, (2 * SAMPLE).max(4 * m).min(kept))?;
        let s = sample.pairs();
        let judged = self.plan_judging(&recipe.prune, known, &sample, plan, ctx)?;
        let done = self.clusters_there(recipe, known.as_ref().filter(|_| judged), ctx)?;
        let images = pairs.min(self.dataset.train.images.len()).min(kept);
        let tried = |side: &str, rows: ArrayView2<f32>, n: usize, done: bool, plan: &mut Plan| -> Result<Clusters> {
            let (found, seconds) = try_clustering(rows, n, &recipe.cluster, ctx)?;
            let copy = if recipe.cluster.normalise { 4 * (n * rows.ncols()) as u64 } else { 0 };
            let disk = 4 * (m * rows.ncols() + kept) as u64;
            let unit = if side == "images" { "images" } else { "captions" };
            plan.add(Stage::new(format!("cluster {side}"), (n, unit), done).costs(seconds, held + copy, disk));
            Ok(found)
        };
        let a = ImageClusters(tried("images", sample.image.view(), images, done[0], plan)?);
        let b = TextClusters(tried("captions", sample.text.view(), kept, done[1], plan)?);
        let (matching, one) = cost(|| assign::assign(&a, &b, ctx))?;
        plan.add(Stage::new("match", (m, "clusters"), false).costs(one.seconds, held, 0));
        let (all, first) = (Kept((0..s as u32).collect()), &self.dataset.train.pairs[..s]);
        let settings = caption::CaptionSettings { distinct: false, ..recipe.caption.clone() };
        let ((list, captions), one) = cost(|| {
            let list = prototypes::prototypes(&sample, &all, (&a, &b), &matching, &recipe.prototype, ctx)?.list;
            let captions = caption::captions(&list, &sample, first, &settings, ctx)?;
            Ok((list, captions))
        })?;
        plan.add(Stage::new("rank captions", (pairs, "captions"), false).costs(each(one, s, pairs), held, 0));
        if done == [true; 2] {
            let found = self.prototypes(recipe, ctx)?;
            let words: Vec<&str> = found.captions.iter().map(|c| c.text(&self.dataset.train.pairs)).collect();
            return Ok(((requests(recipe.seed, &found.prototypes.list, &words), true), sample.width()));
        }
        let words: Vec<&str> = captions.iter().map(|c| c.text(first)).collect();
        Ok(((requests(recipe.seed, &list, &words), false), sample.width()))
    }

    /// Whether the store has the clusters of both sides; `known` only if what is kept of it is known.
    fn clusters_there(
        &self,
        recipe: &Recipe,
        known: Option<&Arc<(Embeddings, Fingerprint)>>,
        ctx: &Ctx,
    ) -> Result<[bool; 2]> {
        let Some(known) = known else { return Ok([false; 2]) };
        let rows = kept_name(&self.kept(&recipe.prune, ctx)?, &known.1);
        let name = |side| cluster_name(side, &rows, &recipe.cluster, &known.1);
        Ok(["images", "captions"].map(|side| self.store.cost::<Arrays>(&name(side)).is_some()))
    }

    /// Drawing pictures; one of them, if there is a prototype to try.
    fn plan_pictures(
        &self,
        recipe: &Recipe,
        (asked, complete): Asked,
        held: u64,
        plan: &mut Plan,
        ctx: &Ctx,
    ) -> Result<Option<RgbImage>> {
        let (decoder, settings) = (self.decoder()?, &recipe.synthesis);
        settings.fits(&decoder)?;
        let made_by = self.made_by(settings)?;
        let all = if complete { asked.len() } else { recipe.cluster.prototypes };
        let there: Vec<Fingerprint> = if complete { asked.as_slice() } else { &[] }
            .iter()
            .map(|r| image_name(r, settings, &made_by))
            .filter(|name| self.store.cost::<RgbImage>(name).is_some())
            .collect();
        let mut stage = Stage { done: there.len(), ..Stage::new("synthesise", (all, "images"), false) };
        if stage.is_done()
            && let Some(name) = there.first()
            && let Some((picture, _)) = self.store.get::<RgbImage>(name)?
        {
            plan.add(stage);
            return Ok(Some(picture));
        }
        let shape = decoder.latent_shape(settings.size.unwrap_or(decoder.size()))?;
        let (missing, many) = (all - there.len(), settings.candidates);
        let drawn: Vec<Request> = asked.iter().flat_map(|r| (0..many).map(|k| r.candidate(k))).collect();
        let batch = settings.batch(shape).min(missing * many).min(drawn.len()).max(1);
        let steps = settings.steps.min(FEW);
        let few = synthesize::Settings { steps, batch: Some(batch), preview_every: 0, ..settings.clone() };
        let (mut pictures, tried, memory) = try_drawing(&decoder, &drawn[..batch.min(drawn.len())], &few, ctx)?;
        let calls = decoder.calls(settings.scheduler, settings.steps)?;
        let mut seconds = (missing * many).div_ceil(batch) as f64 * (tried.around + calls as f64 * tried.call);
        if many > 1 {
            let (clip, few) = (self.clip()?, pictures.iter().cloned().map(ImageSource::Memory).collect::<Vec<_>>());
            let all = (missing * many) as f64 / few.len().max(1) as f64;
            seconds += cost(|| embed::embed_images(&few, &clip, ctx))?.1.seconds * all;
        }
        let picture = pictures.pop();
        let png = picture.as_ref().map_or(Ok(0), |p| encode_png(p).map(|png| png.len() as u64))?;
        stage = stage.costs(seconds, held + memory, png * missing as u64);
        plan.add(stage);
        Ok(picture)
    }

    /// The set's folder: pictures and two matrices.
    fn plan_writing(
        &self,
        m: usize,
        width: usize,
        (picture, held): (Option<RgbImage>, u64),
        plan: &mut Plan,
    ) -> Result<()> {
        let (bytes, one) = match picture {
            Some(picture) => cost(|| Ok(encode_png(&picture)?.len()))?,
            None => {
                let some: &[ImageSource] = &self.dataset.train.images;
                let some = &some[..some.len().min(FEW)];
                let (sizes, one) =
                    cost(|| some.iter().map(|i| Ok(encode_png(&i.decode()?)?.len())).collect::<Result<Vec<_>>>())?;
                let n = some.len().max(1);
                (sizes.iter().sum::<usize>() / n, Cost { seconds: one.seconds / n as f64, ..one })
            }
        };
        let disk = (m * (bytes + 8 * width)) as u64;
        plan.add(Stage::new("write the set", (m, "pairs"), false).costs(
            m as f64 * one.seconds,
            held + one.memory,
            disk,
        ));
        Ok(())
    }

    /// Plans [`Self::stats`].
    ///
    /// # Errors
    /// As [`Self::plan`].
    pub fn plan_stats(&self, settings: &prune::PruneSettings, plan: &mut Plan, ctx: &Ctx) -> Result<()> {
        use crate::pipeline::space::stats::{StatsSettings, stats};
        self.plan_embeddings(plan, ctx)?;
        let known = self.known(Method::Random.into(), ctx)?;
        let pairs = self.dataset.train.pairs.len();
        let sample = self.sample(&known, 2 * SAMPLE)?;
        self.plan_judging(settings, &known, &sample, plan, ctx)?;
        let measure = |part: &Embeddings| {
            let kept = prune::prune(part, settings, ctx)?;
            stats(part, &kept, &StatsSettings::default(), ctx).map(drop)
        };
        let seconds = along(&sample, pairs, measure)?;
        plan.add(Stage::new("stats", (pairs, "pairs"), false).costs(seconds, self.held(&known), 0));
        Ok(())
    }
}

/// Seconds for `n` items, of which `tried` were tried.
fn each(one: Cost, tried: usize, n: usize) -> f64 {
    one.seconds * n as f64 / tried.max(1) as f64
}

/// Memory of a whole batch.
fn grown(one: Cost, tried: usize, batch: usize) -> u64 {
    one.memory * batch as u64 / tried.max(1) as u64
}
