//! The dry run of an evaluation.

use super::cost::{Plan, Stage, cost};
use super::{FEW, each, grown};
use crate::pipeline::workbench::{
    Workbench,
    score::{Student, model},
};
use crate::{
    caught::lock,
    data::{ImageId, ImageSource},
    error::Result,
    pipeline::{
        Ctx, Report,
        score::{
            evaluate::{self, Captions, Images, Selection, Settings, Texts},
            features::{BATCH, encode_features},
        },
        set::folder::DistilledSet,
        space::embed,
        store::{Json, arrays::Arrays},
    },
};
use ndarray::Array2;
use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use std::{
    sync::{Arc, Mutex},
    time::Instant,
};

impl Workbench {
    /// Plans [`Self::evaluate`] of `set`, or of `pairs` pairs that are yet to be made; `label` tells several apart.
    ///
    /// # Errors
    /// As [`Self::plan`]; [`crate::error::Error::Setting`] if there is no test split.
    pub fn plan_scores(
        &self,
        (set, pairs, label): (Option<&DistilledSet>, usize, &str),
        settings: &Settings,
        seed: u64,
        plan: &mut Plan,
        ctx: &Ctx,
    ) -> Result<()> {
        settings.check()?;
        let val = settings.selection == Selection::Validation;
        let mut parts = vec![settings.split.name()];
        parts.extend(val.then_some("val").filter(|val| parts != [*val]));
        let mut trained = Vec::new();
        let mut done = set.is_some() && self.store.knows("evaluate");
        for name in &settings.encoders {
            let encoder = self.student(name, settings.pixels)?;
            for part in &parts {
                self.plan_features(&encoder, settings, part, plan, ctx)?;
            }
            let pictures: Vec<ImageSource> = match set {
                Some(set) => set.pairs.iter().map(|p| p.image.clone()).collect(),
                None => self.dataset.test.images.iter().take(FEW).cloned().collect(),
            };
            let some = &pictures[..pictures.len().min(FEW)];
            let (_, one) = cost(|| encode_features(&encoder.network, settings.features, some, ctx))?;
            let stage = Stage::new(format!("{name} images{label}"), (pairs, "images"), false);
            plan.add(stage.costs(each(one, some.len(), pairs), grown(one, some.len(), BATCH), 0));
            if done {
                trained.push((name.as_str(), encode_features(&encoder.network, settings.features, &pictures, ctx)?));
            } else {
                let width = encoder.network.width(settings.features);
                trained.push((name.as_str(), random(pairs.min(settings.batch), width)));
            }
        }
        for part in &parts {
            self.plan_captions(part, plan, ctx)?;
        }
        if let (true, Some(set)) = (done, set) {
            let named: Vec<_> = trained.iter().map(|(name, rows)| (*name, rows)).collect();
            let name = self.scores_name(set, &named, settings, seed)?;
            done = self.store.cost::<Json<serde_json::Value>>(&name).is_some();
        }
        let runs = settings.encoders.len() * settings.runs;
        let mut stage = Stage::new(format!("evaluate{label}"), (runs * settings.epochs, "epochs"), done);
        if !stage.is_done() {
            let one = self.try_training(&trained[0].1, pairs, settings, ctx)?;
            // Runs go beside each other, each on one thread.
            let rounds = runs.div_ceil(rayon::current_num_threads().max(1)) as f64;
            stage = stage.costs(rounds * one, 0, 0);
        }
        plan.add(stage);
        Ok(())
    }

    fn plan_features(
        &self,
        encoder: &Student,
        settings: &Settings,
        part: &str,
        plan: &mut Plan,
        ctx: &Ctx,
    ) -> Result<()> {
        let split = self.split(part)?;
        let (kind, n) = (settings.features, split.images.len());
        let ready = split.features.contains_key(model(&encoder.name));
        let done = ready || self.store.cost::<Arrays>(&self.features_name(encoder, kind, part)).is_some();
        let mut stage = Stage::new(format!("{} {part} images", encoder.name), (n, "images"), done);
        if !done && !plan.has(&stage.stage) {
            let some = &split.images[..n.min(FEW)];
            let (_, one) = cost(|| encode_features(&encoder.network, kind, some, ctx))?;
            let bytes = (4 * n * encoder.network.width(kind)) as u64;
            stage = stage.costs(each(one, some.len(), n), bytes + grown(one, some.len(), BATCH), bytes);
        }
        plan.add(stage);
        Ok(())
    }

    fn plan_captions(&self, part: &str, plan: &mut Plan, ctx: &Ctx) -> Result<()> {
        let split = self.split(part)?;
        let n = split.pairs.len();
        let name = format!("embed {part} captions");
        if split.ready.is_some() {
            plan.add(Stage::new(name, (n, "captions"), true));
            return Ok(());
        }
        let clip = self.clip()?;
        let done = self.store.cost::<Arrays>(&self.captions_name(part, &clip)).is_some();
        let mut stage = Stage::new(name, (n, "captions"), done);
        if !done && !plan.has(&stage.stage) {
            let texts = split.texts();
            let some: Vec<&str> = texts.iter().take(FEW).map(AsRef::as_ref).collect();
            let (_, one) = cost(|| embed::embed_captions(&some, &clip, ctx))?;
            let bytes = (4 * n * clip.width()) as u64;
            stage = stage.costs(each(one, some.len(), n), 2 * bytes + grown(one, some.len(), embed::TEXTS), bytes);
        }
        plan.add(stage);
        Ok(())
    }

    /// Seconds of one run: a few epochs and recalls are done on random features of the real sizes.
    fn try_training(&self, train: &Array2<f32>, pairs: usize, settings: &Settings, ctx: &Ctx) -> Result<f64> {
        let (test, m) = (self.split(settings.split.name())?, train.nrows());
        let width = match &test.ready {
            Some(ready) => ready.texts().dim().1,
            None => self.clip()?.width(),
        };
        let image_of: Vec<ImageId> = test.pairs.iter().map(|p| p.image).collect();
        let (images, texts) = (random(test.images.len(), train.ncols()), random(image_of.len(), width));
        let (own, few) =
            (random(m, width), Settings { runs: 1, epochs: FEW, selection: Selection::Last, ..settings.clone() });
        let images = [Images { encoder: "", train: train.view(), test: images.view(), val: None }];
        let captions = Captions { text: texts.view(), image_of: &image_of };
        let texts = Texts { train: own.view(), soft: None, test: captions, val: None };
        // An epoch ends with a step, a recall with a point of R-mean.
        let seen: Arc<Mutex<Vec<(bool, Instant)>>> = Arc::default();
        let watcher = seen.clone();
        let watched = ctx.watched(move |report| {
            let epoch = matches!(report, Report::Step { .. });
            if epoch || matches!(&report, Report::Point { series, .. } if series.contains("R-mean,")) {
                lock(&watcher).push((epoch, Instant::now()));
            }
        });
        evaluate::evaluate(&images, &texts, &few, 0, &watched)?;
        let seen = lock(&seen);
        let mean = |wanted: bool| {
            let times = seen.windows(2).filter(|w| w[1].0 == wanted).map(|w| (w[1].1 - w[0].1).as_secs_f64());
            let (sum, n) = times.fold((0.0, 0), |(sum, n), t| (sum + t, n + 1));
            sum / f64::from(n.max(1))
        };
        let recalls = (0..settings.epochs).filter(|&epoch| settings.looks_at(epoch)).count();
        let batches = pairs as f64 / m.max(1) as f64;
        Ok(mean(true) * batches * settings.epochs as f64 + mean(false) * recalls as f64)
    }
}

/// Numbers of which only the size matters.
fn random(rows: usize, columns: usize) -> Array2<f32> {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(0);
    Array2::from_shape_simple_fn((rows, columns), || StandardNormal.sample(&mut rng))
}
