//! Stages in pieces that others can do.

use super::Workbench;
use crate::{
    error::{Error, Result},
    fingerprint::Fingerprint,
    models::clip::Clip,
    pipeline::{
        Ctx,
        draw::{
            requests::image_name,
            synthesize::{self, Request},
        },
        engine::{Engine, Task},
        space::{
            embed::{self, Side},
            order::order,
        },
        store::{Artefact, arrays::Arrays},
    },
};
use image::RgbImage;
use std::sync::Arc;

impl Workbench {
    /// The same, with what can be done elsewhere done by `engine`.
    #[must_use]
    pub fn on(self, engine: Arc<dyn Engine>) -> Self {
        Self { engine: Some(engine), ..self }
    }

    /// Does a task here, unless it is done already; the name of what it leaves in the store.
    ///
    /// # Errors
    /// Those of the stage.
    pub fn carry_out(&self, task: &Task, ctx: &Ctx) -> Result<Fingerprint> {
        let (side, index) = match task {
            Task::Draw(request, settings) => {
                self.synthesise(std::slice::from_ref(request), settings, ctx, &mut |_, _| Ok(()))?;
                return Ok(image_name(request, settings, &self.made_by(settings)?));
            }
            Task::Assign { side, rows, start } => return self.assign(*side, rows, start, ctx),
            Task::Images(part) => (Side::Images, *part),
            Task::Captions(part) => (Side::Captions, *part),
        };
        let clip = self.clip()?;
        let name = part_name(side, index, &self.embedding_name(&clip));
        let _alone = self.store.alone(&name, ctx)?;
        if self.store.cost::<Arrays>(&name).is_none() {
            let order = self.order.get(|| order(&self.dataset.train, &clip))?;
            self.store.stage("embed part", &name, || {
                let rows = embed::part(&self.dataset.train, &order, &clip, (side, index), ctx)?;
                Ok(Arrays::new().holding("rows", rows))
            })?;
        }
        Ok(name)
    }

    /// Has the parts of the embeddings made elsewhere, if there is an elsewhere.
    pub(super) fn embed_elsewhere(&self, clip: &Clip, whole: &Fingerprint, ctx: &Ctx) -> Result<()> {
        let Some(engine) = &self.engine else { return Ok(()) };
        let order = self.order.get(|| order(&self.dataset.train, clip))?;
        let [images, captions] = embed::parts(&self.dataset.train, &order);
        for (side, parts, stage) in
            [(Side::Images, images, "embed images"), (Side::Captions, captions, "embed captions")]
        {
            let task = |part| if side == Side::Images { Task::Images(part) } else { Task::Captions(part) };
            let tasks = (0..parts).map(|part| (task(part), part_name(side, part, whole))).collect();
            self.elsewhere::<Arrays>(&**engine, stage, tasks, ctx)?;
        }
        Ok(())
    }

    /// Has pictures made elsewhere, if there is an elsewhere.
    pub(super) fn draw_elsewhere(
        &self,
        requests: &[Request],
        settings: &synthesize::Settings,
        made_by: &Fingerprint,
        ctx: &Ctx,
    ) -> Result<()> {
        let Some(engine) = &self.engine else { return Ok(()) };
        let settings = settings.as_drawn();
        let task = |r: &Request| (Task::Draw(r.clone(), settings.clone()), image_name(r, &settings, made_by));
        self.elsewhere::<RgbImage>(&**engine, synthesize::STAGE, requests.iter().map(task).collect(), ctx)
    }

    /// Has those of the tasks done that left nothing in the store yet.
    pub(super) fn elsewhere<T: Artefact>(
        &self,
        engine: &dyn Engine,
        stage: &'static str,
        mut tasks: Vec<(Task, Fingerprint)>,
        ctx: &Ctx,
    ) -> Result<()> {
        let total = tasks.len();
        let there = |name: &Fingerprint| self.store.cost::<T>(name).is_some();
        tasks.retain(|(_, name)| !there(name));
        if tasks.is_empty() {
            return Ok(());
        }
        let (tasks, names): (Vec<_>, Vec<_>) = tasks.into_iter().unzip();
        let mut left: Vec<&Fingerprint> = names.iter().collect();
        let mut watch = || {
            left.retain(|name| !there(name));
            ctx.step(stage, total - left.len(), total)
        };
        let made = engine.run(&tasks, &mut watch)?;
        if let Some(odd) = made.iter().zip(&names).position(|(made, name)| made != name) {
            let message =
                format!("{} came from other data, checkpoints or numbers than those here", tasks[odd].words());
            return Err(
                Error::setting("executors", message).or("give all the same files, --precision and kind of device")
            );
        }
        Ok(())
    }
}

/// Names what the training rows' features come from.
pub(super) fn source_name(bench: &Workbench) -> Result<Fingerprint> {
    match bench.dataset.train.ready {
        Some(_) => Ok(Fingerprint::of_stage("ready embeddings", &"train", &[&bench.dataset.fingerprint])),
        None => Ok(bench.embedding_name(&*bench.clip()?)),
    }
}

/// Names a part of the embeddings that are called `whole`.
pub(super) fn part_name(side: Side, index: usize, whole: &Fingerprint) -> Fingerprint {
    Fingerprint::of_stage("embed part", &(side.name(), index), &[whole])
}
