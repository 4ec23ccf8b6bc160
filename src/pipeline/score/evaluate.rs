//! The evaluation protocol: a student learns from the distilled pairs, several times, and is asked to retrieve the test
//! split (Choi, Mo, Chae, arXiv 2602.19756; first of Wu et al., arXiv 2308.07545).

use super::recall::{Ranker, Recall};
use crate::pipeline::setting;
use crate::{
    data::ImageId,
    error::{Error, Result},
    kernels::vectors,
    models::{
        encoders::{Features, Pixels},
        head::Head,
        host::normalise_rows,
        train::{Trainer, Training},
    },
    pipeline::{Ctx, Report},
};
use ndarray::{Array2, ArrayView2, s};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    sync::atomic::{AtomicUsize, Ordering},
};

/// How the student is trained and judged; the defaults are the protocol's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Names of the image encoders: sub-folders of the encoders' folder, paths of others, or names on the hub.
    pub encoders: Vec<String>,
    /// What of them describes an image.
    pub features: Features,
    /// How they are shown images.
    pub pixels: Pixels,
    /// Trainings with different initialisation.
    pub runs: usize,
    /// Passes over the distilled pairs.
    pub epochs: usize,
    /// Learning rate before `drop_at`.
    pub lr: f64,
    /// SGD's momentum.
    pub momentum: f64,
    /// Weight decay on every parameter.
    pub weight_decay: f64,
    /// Pairs in a batch, or all if there are fewer.
    pub batch: usize,
    /// Divides the cosines.
    pub temperature: f64,
    /// Dropout inside the projection head.
    pub dropout: f64,
    /// First epoch (from 0) at a tenth of the learning rate.
    pub drop_at: usize,
    /// Which epoch is reported.
    pub selection: Selection,
    /// Which split recall is measured on.
    pub split: Measured,
}

/// A split that recall is measured on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Measured {
    /// The one that results are reported on.
    #[default]
    Test,
    /// The one to tune on.
    Val,
}

impl Measured {
    /// Its name.
    pub fn name(self) -> &'static str {
        if self == Self::Val { "val" } else { "test" }
    }
}

/// Which epoch's student a run reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Selection {
    /// The last.
    #[default]
    Last,
    /// Of eleven over the training, the one with the best R-mean on the validation split.
    Validation,
    /// Of the same eleven, the one with the best R-mean on the *test* split, as the reference implementation does it.
    /// It sees the answers: for comparison with published numbers only.
    #[serde(alias = "best-on-test (reference)")]
    BestOnTest,
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Last => "last",
            Self::Validation => "validation",
            Self::BestOnTest => "best-on-test (reference)",
        })
    }
}

impl Default for Settings {
    fn default() -> Self {
        let Training { epochs, lr, momentum, weight_decay, batch, temperature, dropout, drop_at } = Training::default();
        let (encoders, selection) = (vec!["nf_resnet".into(), "vit".into()], Selection::Last);
        Self {
            encoders,
            features: Features::Logits,
            pixels: Pixels::default(),
            runs: 5,
            epochs,
            lr,
            momentum,
            weight_decay,
            batch,
            temperature,
            dropout,
            drop_at,
            selection,
            split: Measured::default(),
        }
    }
}

impl Settings {
    /// # Errors
    /// [`Error::Setting`] naming the first setting that is out of range.
    pub fn check(&self) -> Result<()> {
        setting::check("evaluation", self)
    }

    /// The part about training.
    pub fn training(&self) -> Training {
        let Self { epochs, lr, momentum, weight_decay, batch, temperature, dropout, drop_at, .. } = *self;
        Training { epochs, lr, momentum, weight_decay, batch, temperature, dropout, drop_at }
    }

    /// Whether selection looks at `epoch`: at every tenth of the training, hence at eleven epochs with the last.
    pub(in crate::pipeline) fn looks_at(&self, epoch: usize) -> bool {
        epoch.is_multiple_of(((self.epochs - 1) / 10).max(1)) || epoch + 1 == self.epochs
    }
}

/// What one image encoder sees: frozen features, one row per image.
#[derive(Clone, Copy, Debug)]
pub struct Images<'a> {
    /// The encoder's name, as in [`Settings::encoders`] but without the organisation of the hub.
    pub encoder: &'a str,
    /// Of the distilled images, `[M, c]`.
    pub train: ArrayView2<'a, f32>,
    /// Of the test images, `[I, c]`.
    pub test: ArrayView2<'a, f32>,
    /// Of the validation images, where selection needs them.
    pub val: Option<ArrayView2<'a, f32>>,
}

/// What all students read.
#[derive(Clone, Copy, Debug)]
pub struct Texts<'a> {
    /// The distilled pairs' text targets (prototypes), `[M, d]`.
    pub train: ArrayView2<'a, f32>,
    /// How far each distilled picture belongs to each target, `[M, M]`, where it is not to its own alone.
    pub soft: Option<ArrayView2<'a, f32>>,
    /// The test captions.
    pub test: Captions<'a>,
    /// The validation captions, where selection needs them.
    pub val: Option<Captions<'a>>,
}

/// Embedded captions and the images they belong to.
#[derive(Clone, Copy, Debug)]
pub struct Captions<'a> {
    /// `[T, d]`
    pub text: ArrayView2<'a, f32>,
    /// The image of each, `[T]`.
    pub image_of: &'a [ImageId],
}

/// What one encoder's students reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EncoderRecall {
    /// The encoder's name.
    pub encoder: String,
    /// How the epoch was chosen.
    pub selection: Selection,
    /// Every run's recall on the test split.
    pub runs: Vec<Recall>,
    /// The epoch that every run reports, from 0.
    pub epochs: Vec<usize>,
    /// Mean over the runs.
    pub mean: Recall,
    /// Population standard deviation over the runs (divided by their number, as the reference's `np.std`).
    pub sd: Recall,
    /// Mean of the runs' R-means.
    pub r_mean: f64,
    /// Population standard deviation of the runs' R-means.
    pub r_mean_sd: f64,
}

/// Trains and tests every encoder's students. Runs go beside each other, each on one thread; the result depends on
/// `seed` alone, and a run's draws on `seed` and its number.
///
/// # Errors
/// [`Error::Shape`] if rows do not fit or numbers are not finite, [`Error::Setting`] for settings out of range or
/// selection on a validation split that is not there, [`Error::Cancelled`] within an epoch of cancelling.
pub fn evaluate<'a>(
    images: &[Images<'a>],
    texts: &Texts<'a>,
    settings: &'a Settings,
    seed: u64,
    ctx: &Ctx,
) -> Result<Vec<EncoderRecall>> {
    settings.check()?;
    let students = images.iter().map(|i| Student::new(i, texts, settings)).collect::<Result<Vec<_>>>()?;
    let tasks: Vec<_> = (0..students.len() * settings.runs).map(|i| (i / settings.runs, i % settings.runs)).collect();
    let progress = Progress { ctx, done: AtomicUsize::new(0), total: tasks.len() * settings.epochs };
    let outcomes =
        tasks.into_par_iter().map(|(i, run)| students[i].run(run, seed, &progress)).collect::<Result<Vec<_>>>()?;
    let each = outcomes.chunks(settings.runs).zip(images);
    Ok(each.map(|(runs, images)| summarise(images.encoder, settings.selection, runs)).collect())
}

fn summarise(encoder: &str, selection: Selection, outcomes: &[(usize, Recall)]) -> EncoderRecall {
    let runs: Vec<Recall> = outcomes.iter().map(|(_, recall)| *recall).collect();
    let column = |i: usize| mean_and_sd(runs.iter().map(|run| run.all()[i]));
    let (r_mean, r_mean_sd) = mean_and_sd(runs.iter().map(Recall::r_mean));
    EncoderRecall {
        encoder: encoder.to_owned(),
        selection,
        epochs: outcomes.iter().map(|(epoch, _)| *epoch).collect(),
        mean: Recall::from_all(std::array::from_fn(|i| column(i).0)),
        sd: Recall::from_all(std::array::from_fn(|i| column(i).1)),
        runs,
        r_mean,
        r_mean_sd,
    }
}

/// The mean, and the population standard deviation.
pub(crate) fn mean_and_sd(values: impl ExactSizeIterator<Item = f64> + Clone) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.clone().sum::<f64>() / count;
    (mean, (values.map(|v| (v - mean).powi(2)).sum::<f64>() / count).sqrt())
}

struct Progress<'a> {
    ctx: &'a Ctx,
    done: AtomicUsize,
    total: usize,
}

impl Progress<'_> {
    fn epoch(&self) -> Result<()> {
        self.ctx.step("evaluate", self.done.fetch_add(1, Ordering::Relaxed) + 1, self.total)
    }

    fn point(&self, series: String, epoch: usize, y: f64) {
        self.ctx.report(Report::Point { series, x: epoch as f64, y });
    }
}

/// One encoder's side of the protocol, its features scaled to unit rows.
struct Student<'a> {
    name: &'a str,
    settings: &'a Settings,
    image: Array2<f32>,
    text: ArrayView2<'a, f32>,
    soft: Option<ArrayView2<'a, f32>>,
    test: Gallery<'a>,
    val: Option<Gallery<'a>>,
}

impl<'a> Student<'a> {
    fn new(images: &Images<'a>, texts: &Texts<'a>, settings: &'a Settings) -> Result<Self> {
        same("rows of distilled images and texts", images.train.nrows(), texts.train.nrows())?;
        if images.train.is_empty() || texts.train.is_empty() {
            let (expected, found) = ("at least one".into(), "none".into());
            return Err(Error::Shape { what: "distilled pairs", expected, found });
        }
        vectors::finite("the distilled images' features", images.train)?;
        vectors::finite("the distilled pairs' text targets", texts.train)?;
        if let Some(soft) = texts.soft {
            same("rows of the correspondence", texts.train.nrows(), soft.nrows())?;
            same("columns of the correspondence", texts.train.nrows(), soft.ncols())?;
        }
        let widths = (images.train.ncols(), texts.train.ncols());
        let val = match (settings.selection, images.val, texts.val) {
            (Selection::Validation, Some(images), Some(captions)) => Some(Gallery::new(images, captions, widths)?),
            (Selection::Validation, ..) => {
                return Err(Error::setting("evaluation.selection", "`validation` needs a validation split"));
            }
            _ => None,
        };
        let mut image = images.train.to_owned();
        normalise_rows(&mut image);
        let test = Gallery::new(images.test, texts.test, widths)?;
        Ok(Self { name: images.encoder, settings, image, text: texts.train, soft: texts.soft, test, val })
    }

    /// Trains one head; the epoch that is reported and its recall on the test split.
    fn run(&self, run: usize, seed: u64, progress: &Progress<'_>) -> Result<(usize, Recall)> {
        let (settings, training) = (self.settings, self.settings.training());
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(run as u64);
        let series = |what: &str| format!("{}/run {}/{what}", self.name, run + 1);
        let mut trainer = Trainer::new(Head::init(self.text.ncols(), self.image.ncols(), &mut rng), training);
        let mut best: Option<(f64, usize, Head, Option<Recall>)> = None;
        for epoch in 0..settings.epochs {
            let batches = training.batches(self.text.nrows(), &mut rng);
            let loss = trainer.epoch(epoch, &batches, (self.image.view(), self.text), self.soft, &mut rng);
            progress.epoch()?;
            progress.point(series("loss"), epoch, loss);
            // The last epoch is taken whatever it is worth; on the way there, its recall is only watched.
            let last = settings.selection == Selection::Last;
            let judge = match settings.selection {
                Selection::Last | Selection::BestOnTest => Some(&self.test),
                Selection::Validation => self.val.as_ref(),
            };
            let Some(judge) = judge.filter(|_| settings.looks_at(epoch)) else { continue };
            let recall = judge.recall(&trainer.head, progress.ctx)?;
            progress.point(series(&format!("R-mean, {}", settings.selection)), epoch, recall.r_mean());
            if last || best.as_ref().is_none_or(|(r_mean, ..)| recall.r_mean() > *r_mean) {
                let on_test = (settings.selection != Selection::Validation).then_some(recall);
                best = Some((recall.r_mean(), epoch, trainer.head.clone(), on_test));
            }
        }
        let (epoch, head, known) = match best {
            Some((_, epoch, head, known)) => (epoch, head, known),
            None => (settings.epochs - 1, trainer.head, None),
        };
        let recall = known.map_or_else(|| self.test.recall(&head, progress.ctx), Ok)?;
        progress.point(series("R-mean"), epoch, recall.r_mean());
        Ok((epoch, recall))
    }
}

/// A split to retrieve from.
struct Gallery<'a> {
    image: Array2<f32>, // unit rows
    captions: Captions<'a>,
}

impl<'a> Gallery<'a> {
    fn new(image: ArrayView2<'_, f32>, captions: Captions<'a>, (classes, width): (usize, usize)) -> Result<Self> {
        same("width of the image features", image.ncols(), classes)?;
        same("width of the captions' embeddings", captions.text.ncols(), width)?;
        same("captions and their images", captions.text.nrows(), captions.image_of.len())?;
        vectors::finite("the images' features", image)?;
        vectors::finite("the captions' embeddings", captions.text)?;
        Ranker::new(image.nrows(), captions.image_of)?;
        let mut image = image.to_owned();
        normalise_rows(&mut image);
        Ok(Self { image, captions })
    }

    /// Projects and scores block by block.
    fn recall(&self, head: &Head, ctx: &Ctx) -> Result<Recall> {
        let (images, text) = (self.image.nrows(), self.captions.text);
        let mut ranker = Ranker::new(images, self.captions.image_of)?;
        let block = Ranker::block(images);
        for from in (0..text.nrows()).step_by(block) {
            ctx.check()?;
            let mut projected = head.forward(text.slice(s![from..(from + block).min(text.nrows()), ..]));
            normalise_rows(&mut projected);
            ranker.push(projected.dot(&self.image.t()).view())?;
        }
        ranker.finish()
    }
}

fn same(what: &'static str, expected: usize, found: usize) -> Result<()> {
    let shape = || Error::Shape { what, expected: expected.to_string(), found: found.to_string() };
    if expected == found { Ok(()) } else { Err(shape()) }
}
