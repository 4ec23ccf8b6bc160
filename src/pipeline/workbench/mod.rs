//! A data set, checkpoints and a store, and the stages in order. What was computed before is taken from the store.

pub mod able;
pub mod dry;
mod given;
mod glimpse;
mod look;
mod once;
mod provenance;
mod rounds;
mod score;
mod stages;
mod tasks;

use super::{
    Ctx,
    cluster::{ImageClusters, TextClusters},
    engine::Engine,
    prototypes::{Prototypes, assign::Matching, caption::CaptionChoice},
    space::{
        embeddings::{Embeddings, Kept},
        order::Order,
        rows::Rows,
        stats::{self, Stats, StatsSettings},
    },
    store::Store,
    trust::{Trust, prune::PruneSettings},
};
use crate::{
    caught::lock,
    data::{Dataset, ready::Picked},
    error::Result,
    fingerprint::Fingerprint,
    machine,
    models::{clip::Clip, demo, device::Backend, hub::Hub, unclip::Unclip, weights::Checkpoint},
};
use once::Once;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

/// The checkpoints a workbench works with.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    /// A Hugging Face `CLIPModel`.
    pub clip: Checkpoint,
    /// A diffusers Stable unCLIP pipeline.
    pub decoder: Checkpoint,
    /// A folder with a timm encoder in each sub-folder.
    pub encoders: Checkpoint,
    /// Where encoders are that have a name on the hub.
    pub hub: Hub,
}

impl Checkpoints {
    /// Those that ship in the binary, and no cache.
    pub fn demo() -> Self {
        Self { clip: demo::clip(), decoder: demo::decoder(), encoders: demo::encoders(), hub: Hub::new("") }
    }
}

/// The prototypes of a data set and everything that led to them.
#[derive(Clone, Debug)]
pub struct Prototyped {
    /// Rows that survived pruning.
    pub kept: Kept,
    /// What they were matched from, where they were.
    pub clusters: Option<Matched>,
    /// Matched prototypes are sorted by similarity, others by when they were chosen.
    pub prototypes: Prototypes,
    /// Ranked captions of each prototype.
    pub captions: Vec<CaptionChoice>,
    /// Names what made all this.
    pub fingerprint: Fingerprint,
}

/// Clusters of both sides.
#[derive(Clone, Debug)]
pub struct Matched {
    /// Clusters of the kept rows' images.
    pub images: ImageClusters,
    /// Clusters of the kept rows' captions.
    pub texts: TextClusters,
    /// How many kept rows each image cluster shares with each text cluster, and which were matched.
    pub matching: Matching,
}

/// Everything the stages need; each part is loaded and computed at most once.
pub struct Workbench {
    dataset: Dataset,
    checkpoints: Checkpoints,
    store: Store,
    backend: Backend,
    clip: Once<Clip>,
    decoder: Once<Unclip>,
    decoder_name: Once<Fingerprint>,
    embeddings: Once<(Embeddings, Fingerprint)>,
    trust: Once<Trust>,
    order: Once<Order>,
    stands: Mutex<rounds::Stands>,
    engine: Option<Arc<dyn Engine>>,
    seconds: Mutex<BTreeMap<String, f64>>,
    memory: u64,
}

impl Workbench {
    /// Nothing is loaded or computed until it is asked for.
    pub fn new(dataset: Dataset, checkpoints: Checkpoints, store: Store, backend: Backend) -> Self {
        Self {
            dataset,
            checkpoints,
            store,
            backend,
            clip: Once::default(),
            decoder: Once::default(),
            decoder_name: Once::default(),
            embeddings: Once::default(),
            trust: Once::default(),
            order: Once::default(),
            stands: Mutex::default(),
            engine: None,
            seconds: Mutex::default(),
            memory: machine::memory().map_or(u64::MAX, |m| m.available),
        }
    }

    /// The same with `bytes` of memory to use, whatever the machine has: ready features of more than half of it are copied and mapped.
    #[must_use]
    pub fn within(self, bytes: u64) -> Self {
        Self { memory: bytes, ..self }
    }

    /// What is distilled.
    pub fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// Where finished stages are kept.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Where the big networks compute, and in what numbers.
    pub fn backend(&self) -> &Backend {
        &self.backend
    }

    /// Seconds each stage took when it was computed, in this process or long ago.
    pub fn seconds(&self) -> BTreeMap<String, f64> {
        lock(&self.seconds).clone()
    }

    /// CLIP, loaded on first use.
    ///
    /// # Errors
    /// Whatever is wrong with the checkpoint.
    pub fn clip(&self) -> Result<Arc<Clip>> {
        self.clip.get(|| Clip::load(&self.checkpoints.clip, self.backend.clip(), self.backend.device()))
    }

    /// The decoder, loaded on first use.
    ///
    /// # Errors
    /// Whatever is wrong with the checkpoint.
    pub fn decoder(&self) -> Result<Arc<Unclip>> {
        let (dtype, device) = (self.backend.decoder(), self.backend.device());
        self.decoder.get(|| Unclip::load(&self.checkpoints.decoder, dtype, device))
    }

    /// Names the space that captions are embedded in: CLIP's, or that of the ready features.
    ///
    /// # Errors
    /// Whatever is wrong with the checkpoint.
    fn space(&self) -> Result<Fingerprint> {
        match self.dataset.test.ready {
            Some(_) => Ok(Fingerprint::of_stage("ready space", &"", &[&self.dataset.fingerprint])),
            None => Ok(self.clip()?.fingerprint().clone()),
        }
    }

    /// Names what the rows' features come from, whatever computed them: CLIP's checkpoint, or ready features.
    ///
    /// # Errors
    /// As [`Self::embeddings`].
    pub fn origin(&self, ctx: &Ctx) -> Result<Fingerprint> {
        match self.dataset.train.ready {
            Some(_) => Ok(self.embeddings(ctx)?.0.fingerprint.clone()),
            None => Ok(self.clip()?.checkpoint().clone()),
        }
    }

    /// Embeddings of the training split: those that came with the data set, else CLIP's.
    ///
    /// # Errors
    /// Unreadable images, a broken checkpoint, a full disk, cancellation.
    pub fn embeddings(&self, ctx: &Ctx) -> Result<Arc<(Embeddings, Fingerprint)>> {
        self.embeddings.get(|| self.embedded(ctx))
    }

    /// Whether ready features are held in memory.
    fn fits(&self, image: &Picked, text: &Picked) -> bool {
        matrix(image) + matrix(text) <= self.memory / 2
    }

    /// Ready features in memory, or, if they do not fit, in a copy that is mapped, in the store's folder: what others can cut
    /// is not mapped.
    fn rows(&self, picked: &Picked, fits: bool) -> Result<Rows> {
        if fits {
            return Ok(picked.read()?.into());
        }
        Rows::spilled(self.store.dir(), picked.dim(), |to| picked.copy_to(to))
    }

    /// Statistics of the training embeddings, kept and pruned rows apart.
    ///
    /// # Errors
    /// As [`Self::embeddings`].
    pub fn stats(&self, prune: &PruneSettings, ctx: &Ctx) -> Result<Stats> {
        let (embedded, kept) = (self.embeddings(ctx)?, self.kept(prune, ctx)?);
        stats::stats(&embedded.0, &kept, &StatsSettings::default(), ctx)
    }

    /// What a run starts with.
    fn nothing(&self) -> Prototyped {
        Prototyped {
            kept: Kept(Vec::new()),
            clusters: None,
            prototypes: Prototypes::default(),
            captions: Vec::new(),
            fingerprint: self.dataset.fingerprint.clone(),
        }
    }

    /// A stage's result, from the store or computed and kept; what it cost is remembered either way.
    fn staged<T: super::store::Artefact>(
        &self,
        stage: &str,
        name: &Fingerprint,
        compute: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let found = self.store.stage(stage, name, compute)?;
        self.spent(stage, found.seconds);
        Ok(found.value)
    }

    fn spent(&self, stage: &str, seconds: f64) {
        *lock(&self.seconds).entry(stage.to_owned()).or_default() += seconds;
    }
}

fn kept_name(kept: &Kept, source: &Fingerprint) -> Fingerprint {
    Fingerprint::of_stage("kept", kept, &[source])
}

/// Bytes of features in memory.
fn matrix(picked: &Picked) -> u64 {
    let (n, d) = picked.dim();
    4 * (n as u64) * (d as u64)
}
