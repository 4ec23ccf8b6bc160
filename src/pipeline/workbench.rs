//! A data set, checkpoints and a store, and the stages in order. What was computed before is taken from the store.

use super::{
    Ctx,
    arrays::Arrays,
    assign::{self, Matching},
    caption::{self, CaptionChoice, CaptionSettings},
    cluster::{self, ClusterSettings, Clusters, ImageClusters, TextClusters},
    distilled::{DistilledPair, DistilledSet},
    embed::{self, Embeddings},
    evaluate::{self, EncoderRecall},
    features::encode_features,
    prototype::{self, PrototypeSettings, Prototypes},
    prune::{self, Kept, PruneSettings},
    select::{self, Method, SelectedPair},
    stats::{self, Stats, StatsSettings},
    store::{Json, Store},
    synthesize::{self, Request},
};
use crate::{
    data::{Dataset, ImageId, ImageSource, Pair, Split},
    error::{Error, Result},
    fingerprint::Fingerprint,
    models::{clip::Clip, encoders::Encoder, unclip::Unclip, weights::Checkpoint},
};
use candle_core::{DType, Device};
use image::RgbImage;
use ndarray::Array2;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Parts of a decoder and their files, in the layouts that diffusers and transformers write.
const DECODER: [(&str, &[&str]); 7] = [
    ("image_noising_scheduler", &["scheduler_config.json"]),
    ("image_normalizer", NETWORK),
    ("scheduler", &["scheduler_config.json"]),
    ("text_encoder", NETWORK),
    ("tokenizer", &["tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"]),
    ("unet", NETWORK),
    ("vae", NETWORK),
];
const NETWORK: &[&str] = &["config.json", "model.safetensors", "diffusion_pytorch_model.safetensors"];

/// What makes a distilled set out of a data set: the settings of every stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// Seed of everything random.
    pub seed: u64,
    /// How pairs are got.
    pub method: Method,
    /// Dropping mismatched pairs.
    pub prune: PruneSettings,
    /// Clustering; its `prototypes` is M for every method.
    pub cluster: ClusterSettings,
    /// Matched clusters to prototypes.
    pub prototype: PrototypeSettings,
    /// Choosing captions.
    pub caption: CaptionSettings,
    /// Decoding prototypes to images.
    pub synthesis: synthesize::Settings,
}

/// The checkpoints a workbench works with.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    /// A Hugging Face `CLIPModel`.
    pub clip: Checkpoint,
    /// A diffusers Stable unCLIP pipeline.
    pub decoder: Checkpoint,
    /// A folder with a timm encoder in each sub-folder.
    pub encoders: Checkpoint,
}

/// The prototypes of a data set and everything that led to them.
#[derive(Clone, Debug)]
pub struct Prototyped {
    /// Rows that survived pruning.
    pub kept: Kept,
    /// Clusters of the kept rows' images.
    pub images: ImageClusters,
    /// Clusters of the kept rows' captions.
    pub texts: TextClusters,
    /// How many kept rows each image cluster shares with each text cluster, and which were matched.
    pub matching: Matching,
    /// Matched, averaged, sorted by similarity.
    pub prototypes: Prototypes,
    /// Ranked captions of each prototype.
    pub captions: Vec<CaptionChoice>,
    /// Names what made all this.
    pub fingerprint: Fingerprint,
}

/// Everything the stages need; each part is loaded and computed at most once.
pub struct Workbench {
    dataset: Dataset,
    checkpoints: Checkpoints,
    store: Store,
    device: Device,
    clip: Once<Clip>,
    decoder: Once<Unclip>,
    decoder_name: Once<Fingerprint>,
    embeddings: Once<(Embeddings, Fingerprint)>,
    seconds: Mutex<BTreeMap<String, f64>>,
}

impl Workbench {
    /// Nothing is loaded or computed until it is asked for.
    pub fn new(dataset: Dataset, checkpoints: Checkpoints, store: Store, device: Device) -> Self {
        Self {
            dataset,
            checkpoints,
            store,
            device,
            clip: Once::default(),
            decoder: Once::default(),
            decoder_name: Once::default(),
            embeddings: Once::default(),
            seconds: Mutex::default(),
        }
    }

    /// What is distilled.
    pub fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// Where finished stages are kept.
    pub fn store(&self) -> &Store {
        &self.store
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
        self.clip.get(|| Clip::load(&self.checkpoints.clip, DType::F32, &self.device))
    }

    /// The decoder, loaded on first use.
    ///
    /// # Errors
    /// Whatever is wrong with the checkpoint.
    pub fn decoder(&self) -> Result<Arc<Unclip>> {
        self.decoder.get(|| Unclip::load(&self.checkpoints.decoder, DType::F32, &self.device))
    }

    /// Embeddings of the training split.
    ///
    /// # Errors
    /// Unreadable images, a broken checkpoint, a full disk, cancellation.
    pub fn embeddings(&self, ctx: &Ctx) -> Result<Arc<(Embeddings, Fingerprint)>> {
        self.embeddings.get(|| {
            let clip = self.clip()?;
            let name = Fingerprint::of_stage("embed", &"train", &[&self.dataset.fingerprint, clip.fingerprint()]);
            let arrays = self.staged("embed", &name, || {
                let found = embed::embed(&self.dataset.train, &clip, ctx)?;
                Ok(Arrays::new()
                    .with_f32("image", &found.image)
                    .with_f32("text", &found.text)
                    .with_u32("image_of", &ndarray::Array1::from(found.image_of)))
            })?;
            let image_of = arrays.u32::<ndarray::Ix1>("image_of")?.to_vec();
            Ok((Embeddings::new(arrays.f32("image")?, arrays.f32("text")?, image_of)?, name))
        })
    }

    /// Statistics of the training embeddings, kept and pruned rows apart.
    ///
    /// # Errors
    /// As [`Self::embeddings`].
    pub fn stats(&self, prune: &PruneSettings, ctx: &Ctx) -> Result<Stats> {
        let embedded = self.embeddings(ctx)?;
        let kept = prune::prune(&embedded.0, prune, ctx)?;
        stats::stats(&embedded.0, &kept, &StatsSettings::default(), ctx)
    }

    /// Prune, cluster, match, average, rank captions.
    ///
    /// # Errors
    /// As [`Self::embeddings`]; [`Error::Setting`] for more prototypes than there are rows to make them of.
    pub fn prototypes(&self, recipe: &Recipe, ctx: &Ctx) -> Result<Prototyped> {
        let kept = prune::prune(&self.embeddings(ctx)?.0, &recipe.prune, ctx)?;
        self.prototypes_of(kept, recipe, ctx)
    }

    /// The same for rows that were chosen otherwise, by a person for instance.
    ///
    /// # Errors
    /// As [`Self::prototypes`].
    pub fn prototypes_of(&self, kept: Kept, recipe: &Recipe, ctx: &Ctx) -> Result<Prototyped> {
        let embedded = self.embeddings(ctx)?;
        let (data, source) = (&embedded.0, &embedded.1);
        let rows = Fingerprint::of_stage("kept", &kept, &[source]);
        let clusters = |side: &str, fit: &dyn Fn() -> Result<Clusters>| {
            let settings = (side, &rows, &recipe.cluster);
            let name = Fingerprint::of_stage("cluster", &settings, &[source]);
            cluster_of(&self.staged(&format!("cluster {side}"), &name, || fit().map(|found| arrays_of(&found)))?)
        };
        let images =
            clusters("images", &|| cluster::cluster_images(data, &kept, None, &recipe.cluster, ctx).map(|c| c.0))?;
        let texts =
            clusters("captions", &|| cluster::cluster_texts(data, &kept, None, &recipe.cluster, ctx).map(|c| c.0))?;
        let (images, texts) = (ImageClusters(images), TextClusters(texts));
        let matching = assign::assign(&images, &texts, ctx)?;
        let prototypes = prototype::prototypes(data, &kept, (&images, &texts), &matching, &recipe.prototype, ctx)?;
        let pairs = &self.dataset.train.pairs;
        let captions = caption::captions(&prototypes.list, data.text.view(), pairs, &recipe.caption, ctx)?;
        let settings = (&rows, &recipe.cluster, &recipe.prototype, &recipe.caption);
        let fingerprint = Fingerprint::of_stage("prototypes", &settings, &[source]);
        Ok(Prototyped { kept, images, texts, matching, prototypes, captions, fingerprint })
    }

    /// Names the decoder: a hash of every file of it that an image depends on.
    fn decoder_name(&self) -> Result<Arc<Fingerprint>> {
        self.decoder_name.get(|| {
            let parts = DECODER.iter().map(|(part, files)| self.checkpoints.decoder.part(part).fingerprint(files));
            Ok(Fingerprint::of_stage("decoder", &parts.collect::<Result<Vec<_>>>()?, &[]))
        })
    }

    /// The images of these requests that the store has.
    ///
    /// # Errors
    /// A decoder or a store that cannot be read.
    pub fn made(&self, requests: &[Request], settings: &synthesize::Settings) -> Result<Vec<Option<RgbImage>>> {
        let made_by = self.decoder_name()?;
        let image = |r: &Request| Ok(self.store.get::<RgbImage>(&image_name(r, settings, &made_by))?.map(|(i, _)| i));
        requests.iter().map(image).collect()
    }

    /// Decodes image embeddings, each unless the store has its image; `finished` sees each as it is there.
    ///
    /// # Errors
    /// A broken checkpoint, settings out of range, a full disk, cancellation.
    pub fn synthesise(
        &self,
        requests: &[Request],
        settings: &synthesize::Settings,
        ctx: &Ctx,
        finished: &mut dyn FnMut(usize, RgbImage) -> Result<()>,
    ) -> Result<()> {
        let decoder = self.decoder()?;
        settings.check(&decoder)?;
        let made_by = self.decoder_name()?;
        let names: Vec<Fingerprint> = requests.iter().map(|r| image_name(r, settings, &made_by)).collect();
        let mut missing = Vec::new();
        for (i, name) in names.iter().enumerate() {
            match self.store.get::<RgbImage>(name)? {
                Some((image, seconds)) => {
                    self.spent("synthesise", seconds);
                    finished(i, image)?;
                }
                None => missing.push(i),
            }
        }
        let wanted: Vec<Request> = missing.iter().map(|&i| requests[i].clone()).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let mut since = std::time::Instant::now();
        synthesize::synthesize(&decoder, &wanted, settings, ctx, &mut |at, image| {
            let seconds = since.elapsed().as_secs_f64();
            since = std::time::Instant::now();
            self.spent("synthesise", seconds);
            self.store.put(&names[missing[at]], "synthesise", &image, seconds)?;
            finished(missing[at], image)
        })
    }

    /// The distilled set of `recipe`, whichever way it gets its pairs.
    ///
    /// # Errors
    /// Those of the stages.
    pub fn distil(&self, recipe: &Recipe, ctx: &Ctx) -> Result<DistilledSet> {
        let m = recipe.cluster.prototypes;
        if recipe.method == Method::Pds {
            let found = self.prototypes(recipe, ctx)?;
            return self.synthetic(recipe, &found, ctx);
        }
        let embedded = self.embeddings(ctx)?;
        let chosen = if recipe.method.needs_prototypes() {
            let found = self.prototypes(recipe, ctx)?;
            select::nearest_pairs(recipe.method, &embedded.0, &found.kept, &found.prototypes.list, ctx)?
        } else {
            select::real_pairs(recipe.method, &embedded.0, m, recipe.seed, ctx)?
        };
        Ok(self.real(recipe.method, &embedded.0, &chosen))
    }

    /// Synthesises every prototype with its chosen caption.
    ///
    /// # Errors
    /// Those of [`Self::synthesise`].
    pub fn synthetic(&self, recipe: &Recipe, found: &Prototyped, ctx: &Ctx) -> Result<DistilledSet> {
        let pairs = &self.dataset.train.pairs;
        let list = &found.prototypes.list;
        let captions: Vec<&str> = found.captions.iter().map(|c| c.text(pairs)).collect();
        let requests: Vec<Request> = list
            .iter()
            .zip(&captions)
            .enumerate()
            .map(|(i, (p, &caption))| Request {
                image: p.image.clone(),
                prompt: caption.to_owned(),
                seed: image_seed(recipe.seed, i),
            })
            .collect();
        let mut images: Vec<Option<RgbImage>> = vec![None; list.len()];
        self.synthesise(&requests, &recipe.synthesis, ctx, &mut |i, image| {
            images[i] = Some(image);
            Ok(())
        })?;
        let pair = |((p, caption), image): ((&prototype::Prototype, &&str), RgbImage)| DistilledPair {
            image: ImageSource::Memory(image),
            caption: (*caption).to_owned(),
            support: p.support,
            similarity: p.similarity,
        };
        Ok(DistilledSet {
            method: recipe.method.name().to_owned(),
            pairs: list.iter().zip(&captions).zip(images.into_iter().flatten()).map(pair).collect(),
            image_prototypes: stack(list.iter().map(|p| p.image.as_slice())),
            text_prototypes: stack(list.iter().map(|p| p.text.as_slice())),
        })
    }

    fn real(&self, method: Method, data: &Embeddings, chosen: &[SelectedPair]) -> DistilledSet {
        let train = &self.dataset.train;
        let image_row = |c: &SelectedPair| data.image.row(data.image_of[c.row as usize] as usize).to_vec();
        let pair = |c: &SelectedPair| {
            let Pair { image, caption } = &train.pairs[c.row as usize];
            let text = data.text.row(c.row as usize);
            let similarity = super::dense::cosine(ndarray::ArrayView1::from(&image_row(c)), text) as f32;
            DistilledPair {
                image: train.images[image.index()].clone(),
                caption: caption.clone(),
                support: 1,
                similarity,
            }
        };
        let images: Vec<Vec<f32>> = chosen.iter().map(image_row).collect();
        DistilledSet {
            method: method.name().to_owned(),
            pairs: chosen.iter().map(pair).collect(),
            image_prototypes: stack(images.iter().map(Vec::as_slice)),
            text_prototypes: stack(chosen.iter().map(|c| c.text.as_slice())),
        }
    }

    /// Trains on `set` and scores retrieval on the test split, once per encoder and run.
    ///
    /// # Errors
    /// [`Error::Setting`] if the data set has no test split (or no validation split where selection needs it), and
    /// those of the stages.
    pub fn evaluate(
        &self,
        set: &DistilledSet,
        settings: &evaluate::Settings,
        seed: u64,
        ctx: &Ctx,
    ) -> Result<Vec<EncoderRecall>> {
        settings.check()?;
        let images: Vec<ImageSource> = set.pairs.iter().map(|p| p.image.clone()).collect();
        let val = settings.selection == evaluate::Selection::Validation;
        let mut sides = Vec::new();
        for name in &settings.encoders {
            let encoder = Student::load(&self.checkpoints.encoders, name)?;
            let train = encode_features(&encoder.network, &images, ctx)?;
            let test = self.features(&encoder, "test", &self.dataset.test, ctx)?;
            let val = if val { Some(self.features(&encoder, "val", &self.dataset.val, ctx)?) } else { None };
            sides.push((name, train, test, val));
        }
        let mut content = Arrays::new().with_f32("text", &set.text_prototypes);
        for (name, train, ..) in &sides {
            content = content.with_f32(name, train);
        }
        let content = Fingerprint::of_bytes(&content.to_bytes()?);
        let clip = self.clip()?;
        let made_of = [&content, &self.dataset.fingerprint, clip.fingerprint()];
        let name = Fingerprint::of_stage("evaluate", &(settings, seed), &made_of);
        let Json(recalls) = self.staged("evaluate", &name, || {
            let text = self.captions("test", &self.dataset.test, ctx)?;
            let val_text = if val { Some(self.captions("val", &self.dataset.val, ctx)?) } else { None };
            let texts = evaluate::Texts {
                train: set.text_prototypes.view(),
                test: evaluate::Captions { text: text.0.view(), image_of: &text.1 },
                val: val_text.as_ref().map(|v| evaluate::Captions { text: v.0.view(), image_of: &v.1 }),
            };
            let images: Vec<_> = sides
                .iter()
                .map(|(name, train, test, val)| evaluate::Images {
                    encoder: name,
                    train: train.view(),
                    test: test.view(),
                    val: val.as_ref().map(Array2::view),
                })
                .collect();
            evaluate::evaluate(&images, &texts, settings, seed, ctx).map(Json)
        })?;
        Ok(recalls)
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

    /// Captions of a split that recall is measured on: embeddings `[T, d]` and the image of each.
    fn captions(&self, part: &str, split: &Split, ctx: &Ctx) -> Result<(Array2<f32>, Vec<ImageId>)> {
        must_have(part, split)?;
        let clip = self.clip()?;
        let name = Fingerprint::of_stage("captions", &part, &[&self.dataset.fingerprint, clip.fingerprint()]);
        let arrays = self.staged(&format!("embed {part} captions"), &name, || {
            let captions: Vec<&str> = split.pairs.iter().map(|p| p.caption.as_str()).collect();
            Ok(Arrays::new().with_f32("text", &embed::embed_captions(&captions, &clip, ctx)?))
        })?;
        Ok((arrays.f32("text")?, split.pairs.iter().map(|p| p.image).collect()))
    }

    /// Features `[I, c]` of a split's images.
    fn features(&self, encoder: &Student, part: &str, split: &Split, ctx: &Ctx) -> Result<Array2<f32>> {
        must_have(part, split)?;
        let name = Fingerprint::of_stage("features", &part, &[&self.dataset.fingerprint, &encoder.fingerprint]);
        let arrays = self.staged(&format!("{} {part} images", encoder.name), &name, || {
            Ok(Arrays::new().with_f32("image", &encode_features(&encoder.network, &split.images, ctx)?))
        })?;
        arrays.f32("image")
    }
}

/// An evaluation encoder and what its features are named by.
struct Student {
    name: String,
    network: Encoder,
    fingerprint: Fingerprint,
}

impl Student {
    fn load(folder: &Checkpoint, name: &str) -> Result<Self> {
        if name.is_empty() || name.contains(['/', '\\']) || name.contains("..") {
            return Err(Error::setting("evaluation.encoders", format!("`{name}` is not the name of an encoder")));
        }
        let part = folder.part(name);
        if !part.has("config.json") {
            let message = format!("no encoder `{name}`: {} is missing", part.path("config.json").display());
            return Err(Error::setting("evaluation.encoders", message));
        }
        let fingerprint = part.fingerprint(&["config.json", "model.safetensors"])?;
        Ok(Self { name: name.to_owned(), network: Encoder::load(&part)?, fingerprint })
    }
}

fn must_have(part: &str, split: &Split) -> Result<()> {
    if split.pairs.is_empty() {
        return Err(Error::setting("data.source", format!("has no {part} split to measure recall on")));
    }
    Ok(())
}

/// Names the picture of a request; pictures of equal requests are the same picture, whichever run asks.
fn image_name(request: &Request, settings: &synthesize::Settings, decoder: &Fingerprint) -> Fingerprint {
    let embedding: Vec<u8> = request.image.iter().flat_map(|v| v.to_le_bytes()).collect();
    // How many are drawn at once and how often one looks changes no picture.
    let picture = synthesize::Settings { batch: None, preview_every: 0, ..settings.clone() };
    let asked = (Fingerprint::of_bytes(&embedding), &request.prompt, request.seed, picture);
    Fingerprint::of_stage("synthesise", &asked, &[decoder])
}

/// The seed of prototype `index`: streams that neighbouring seeds and indices do not share (SplitMix64's finaliser).
pub fn image_seed(seed: u64, index: usize) -> u64 {
    let mut z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(index as u64 + 1);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
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

/// Rows of equal width as one array.
fn stack<'a>(rows: impl Iterator<Item = &'a [f32]> + Clone) -> Array2<f32> {
    let d = rows.clone().next().map_or(0, <[f32]>::len);
    let mut out = Array2::zeros((rows.clone().count(), d));
    for (mut to, from) in out.outer_iter_mut().zip(rows) {
        to.iter_mut().zip(from).for_each(|(t, &f)| *t = f);
    }
    out
}

/// Filled on first use; a failed attempt leaves it empty, so that it can be tried again.
struct Once<T>(Mutex<Option<Arc<T>>>);

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Once<T> {
    fn get(&self, make: impl FnOnce() -> Result<T>) -> Result<Arc<T>> {
        let mut slot = lock(&self.0);
        if let Some(made) = &*slot {
            return Ok(made.clone());
        }
        let made = Arc::new(make()?);
        *slot = Some(made.clone());
        Ok(made)
    }
}

/// What these locks guard is replaced whole: a panic elsewhere leaves nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
