//! What a stage is given besides its inputs: a way to be seen and to be stopped.

use crate::error::{Error, Result};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// What a running stage tells whoever watches.
#[derive(Clone, Debug)]
pub enum Report {
    /// `done` of `total` units of the stage's own work.
    Step {
        /// The stage's name, e.g. `embed images`.
        stage: &'static str,
        /// Units finished.
        done: usize,
        /// Units in all.
        total: usize,
    },
    /// A preview of image `index` while it denoises: RGB.
    Preview {
        /// Which prototype.
        index: usize,
        /// Denoising steps done.
        step: usize,
        /// The estimate of the finished image.
        pixels: image::RgbImage,
    },
    /// Some more rows: what is being embedded can be looked at while it is.
    Embedded(Embedded),
    /// A number of a series, e.g. the training loss or R-mean of an epoch.
    Point {
        /// The series, e.g. `vit/run 2/loss`.
        series: String,
        /// The position, e.g. the epoch.
        x: f64,
        /// The value.
        y: f64,
    },
}

impl Report {
    /// As a line of JSON says it; none for what the statistics tell at the end.
    pub fn json(&self) -> Option<serde_json::Value> {
        match self {
            Self::Step { stage, done, total } => {
                Some(serde_json::json!({"stage": stage, "done": done, "total": total}))
            }
            Self::Point { series, x, y } => Some(serde_json::json!({"series": series, "x": x, "y": y})),
            Self::Preview { index, step, .. } => Some(serde_json::json!({"preview": index, "step": step})),
            Self::Embedded(_) => None,
        }
    }
}

/// What is known of rows as they are embedded, in any order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Embedded {
    /// Lengths of image features.
    pub images: Vec<f32>,
    /// Lengths of caption features.
    pub texts: Vec<f32>,
    /// Cosines of pairs.
    pub cosines: Vec<f32>,
    /// Distance between the mean directions of images and of the captions so far.
    pub gap: Option<f64>,
    /// Effective rank of images and of captions, and of how many of them.
    pub ranks: [Option<(f64, usize)>; 2],
    /// Pairs of images that are near-duplicates, and among how many.
    pub duplicates: Option<(u64, usize)>,
}

impl Embedded {
    /// Takes up what came later.
    pub fn extend(&mut self, more: Self) {
        self.images.extend(more.images);
        self.texts.extend(more.texts);
        self.cosines.extend(more.cosines);
        self.gap = more.gap.or(self.gap);
        self.ranks = [0, 1].map(|side| more.ranks[side].or(self.ranks[side]));
        self.duplicates = more.duplicates.or(self.duplicates);
    }
}

/// Carried by every stage: reports progress, and ends the stage when its job was cancelled.
#[derive(Clone)]
pub struct Ctx {
    cancel: Arc<AtomicBool>,
    report: Arc<dyn Fn(Report) + Send + Sync>,
}

impl Ctx {
    /// Sends reports to `report`; stops when `cancel` is set.
    pub fn new(cancel: Arc<AtomicBool>, report: impl Fn(Report) + Send + Sync + 'static) -> Self {
        Self { cancel, report: Arc::new(report) }
    }

    /// Nobody watches and nobody cancels: tests and benches.
    pub fn quiet() -> Self {
        Self::new(Arc::default(), |_| {})
    }

    /// The same job, watched by another.
    pub fn watched(&self, report: impl Fn(Report) + Send + Sync + 'static) -> Self {
        Self::new(self.cancel.clone(), report)
    }

    /// Reports that `done` of `total` is finished; call once per batch or denoising step.
    ///
    /// # Errors
    /// [`Error::Cancelled`] once the job was cancelled.
    pub fn step(&self, stage: &'static str, done: usize, total: usize) -> Result<()> {
        self.check()?;
        self.report(Report::Step { stage, done, total });
        Ok(())
    }

    /// Passes anything else to the watcher.
    pub fn report(&self, report: Report) {
        (self.report)(report);
    }

    /// # Errors
    /// [`Error::Cancelled`] once the job was cancelled.
    pub fn check(&self) -> Result<()> {
        if self.cancel.load(Ordering::Relaxed) { Err(Error::Cancelled) } else { Ok(()) }
    }
}
