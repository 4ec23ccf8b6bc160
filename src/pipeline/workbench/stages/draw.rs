//! Pictures of prototypes.

use super::{Dry, FEW, Prototyped, Run, Stage, Step, Workbench, cost};
use crate::{
    caught::lock,
    data::{ImageSource, Split},
    error::Result,
    fingerprint::Fingerprint,
    machine,
    models::{
        device::made_on,
        files::{DIFFUSERS, MODEL},
        unclip::Unclip,
    },
    pipeline::{
        Ctx, Report,
        draw::{
            judge::Judge,
            requests::{by_request, image_name, requests},
            synthesize::{self, Request, STAGE},
        },
        prototypes::caption::CaptionChoice,
        set::folder::DistilledSet,
        space::embed,
        store::encode_png,
    },
};
use image::RgbImage;
use std::{
    sync::{Arc, Mutex},
    time::Instant,
};

/// Parts of a decoder: stem of their weights and their other files, in the layouts that diffusers and transformers write.
pub(in crate::pipeline) const DECODER: [(&str, Option<&str>, &[&str]); 7] = [
    ("image_noising_scheduler", None, &["scheduler_config.json"]),
    ("image_normalizer", Some(DIFFUSERS), &["config.json"]),
    ("scheduler", None, &["scheduler_config.json"]),
    ("text_encoder", Some(MODEL), &["config.json"]),
    ("tokenizer", None, TOKENIZER),
    ("unet", Some(DIFFUSERS), &["config.json"]),
    ("vae", Some(DIFFUSERS), &["config.json"]),
];
const TOKENIZER: &[&str] =
    &["tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"];

/// Each prototype drawn with its caption.
pub(super) struct Draw;

impl Step for Draw {
    fn cost(&self, dry: &mut Dry) -> Result<()> {
        let (bench, recipe) = (dry.bench, dry.recipe);
        let (decoder, settings) = (bench.decoder()?, &recipe.synthesis);
        settings.fits(&decoder)?;
        let made_by = bench.made_by(settings)?;
        let asked = asked(&dry.found, &bench.dataset.train, recipe.seed);
        let all = if dry.there { asked.len() } else { recipe.cluster.prototypes };
        let known = if dry.there { asked.as_slice() } else { &[] };
        let mut there: Vec<Fingerprint> = known.iter().map(|r| image_name(r, settings, &made_by)).collect();
        there.retain(|name| bench.store.cost::<RgbImage>(name).is_some());
        let mut stage = Stage { done: there.len(), ..Stage::new(STAGE, (all, "images"), false) };
        if stage.is_done()
            && let Some(name) = there.first()
            && let Some((picture, _)) = bench.store.get::<RgbImage>(name)?
        {
            dry.picture = Some(picture);
        } else {
            let missing = all - there.len();
            let (picture, seconds, memory) = trial(bench, &decoder, (&asked, missing), settings, dry.ctx)?;
            let png = picture.as_ref().map_or(Ok(0), |p| encode_png(p).map(|png| png.len() as u64))?;
            stage = stage.costs(seconds, dry.held + memory, png * missing as u64);
            dry.picture = picture;
        }
        dry.plan.add(stage);
        Ok(())
    }

    fn make(&self, run: &mut Run) -> Result<()> {
        let (found, train) = (&*run.found, &run.bench.dataset.train);
        let mut images: Vec<Option<RgbImage>> = vec![None; found.prototypes.list.len()];
        let asked = asked(found, train, run.recipe.seed);
        run.bench.synthesise(&asked, &run.recipe.synthesis, run.ctx, &mut |i, image| {
            images[i] = Some(image);
            Ok(())
        })?;
        let captions = found.captions.iter().map(|c| c.text(&train.pairs).to_owned());
        let drawn = found.prototypes.list.iter().zip(images.into_iter().flatten()).zip(captions);
        run.set = DistilledSet::drawn(drawn.map(|((p, image), caption)| (p, image, caption)).collect())?;
        run.rows = found.captions.iter().map(CaptionChoice::row).collect();
        Ok(())
    }
}

/// A picture of each prototype, of the caption chosen for it.
fn asked(found: &Prototyped, train: &Split, seed: u64) -> Vec<Request> {
    let prompts: Vec<_> = found.captions.iter().map(|c| train.pre_caption.read(c.text(&train.pairs))).collect();
    requests(seed, &found.prototypes.list, &prompts.iter().map(AsRef::as_ref).collect::<Vec<_>>())
}

impl Workbench {
    /// Names the decoder: a hash of every file of it that an image depends on.
    fn decoder_name(&self) -> Result<Arc<Fingerprint>> {
        self.decoder_name.get(|| {
            let decoder = &self.checkpoints.decoder;
            let parts = DECODER.iter().map(|(part, stem, files)| decoder.part(part).fingerprint(*stem, files));
            let name = Fingerprint::of_stage("decoder", &parts.collect::<Result<Vec<_>>>()?, &[]);
            Ok(made_on(self.backend.device(), self.backend.decoder(), name))
        })
    }

    /// Names what makes a picture: the decoder and, where one of several candidates is kept, the CLIP that chooses it.
    pub(in crate::pipeline) fn made_by(&self, settings: &synthesize::Settings) -> Result<Fingerprint> {
        let decoder = self.decoder_name()?;
        match settings.candidates {
            0 | 1 => Ok((*decoder).clone()),
            _ => Ok(Fingerprint::of_stage("judged", &"", &[&decoder, self.clip()?.fingerprint()])),
        }
    }

    /// The images of these requests that the store has.
    ///
    /// # Errors
    /// A decoder, a CLIP or a store that cannot be read.
    pub fn made(&self, requests: &[Request], settings: &synthesize::Settings) -> Result<Vec<Option<RgbImage>>> {
        let made_by = self.made_by(settings)?;
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
        settings.fits(&decoder)?;
        let made_by = self.made_by(settings)?;
        self.draw_elsewhere(requests, settings, &made_by, ctx)?;
        let names: Vec<Fingerprint> = requests.iter().map(|r| image_name(r, settings, &made_by)).collect();
        let mut missing = Vec::new();
        for (i, name) in names.iter().enumerate() {
            match self.store.get::<RgbImage>(name)? {
                Some((image, seconds)) => {
                    self.spent(STAGE, seconds);
                    finished(i, image)?;
                }
                None => missing.push(i),
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let many = settings.candidates;
        let judge =
            if many > 1 { Some(Judge::new(self.clip()?, missing.iter().map(|&i| &requests[i]))?) } else { None };
        // Candidates of one request follow each other.
        let drawn: Vec<Request> =
            missing.iter().flat_map(|&i| (0..many).map(move |k| requests[i].candidate(k))).collect();
        let (mut since, mut best) = (Instant::now(), None);
        let ctx = by_request(ctx, missing.clone(), many);
        synthesize::synthesize(&decoder, &drawn, settings, &ctx, &mut |first, images| {
            let fits = match &judge {
                Some(judge) => judge.fits(&images, (first..).map(|at| at / many))?,
                None => vec![0.0; images.len()],
            };
            for ((at, image), fit) in (first..).zip(images).zip(fits) {
                if best.as_ref().is_none_or(|(most, _)| fit > *most) {
                    best = Some((fit, image));
                }
                let Some((_, image)) = best.take_if(|_| (at + 1).is_multiple_of(many)) else { continue };
                let seconds = since.elapsed().as_secs_f64();
                since = Instant::now();
                self.spent(STAGE, seconds);
                let request = missing[at / many];
                self.store.put(&names[request], STAGE, &image, seconds)?;
                finished(request, image)?;
            }
            Ok(())
        })
    }
}

/// A picture in a few steps, if there is one to try, seconds for all that are `missing`, and memory.
fn trial(
    bench: &Workbench,
    decoder: &Unclip,
    (asked, missing): (&[Request], usize),
    settings: &synthesize::Settings,
    ctx: &Ctx,
) -> Result<(Option<RgbImage>, f64, u64)> {
    let shape = decoder.latent_shape(settings.size.unwrap_or(decoder.size()))?;
    let many = settings.candidates;
    let drawn: Vec<Request> = asked.iter().flat_map(|r| (0..many).map(|k| r.candidate(k))).collect();
    let batch = settings.batch(shape).min(missing * many).min(drawn.len()).max(1);
    let steps = settings.steps.min(FEW);
    let few = synthesize::Settings { steps, batch: Some(batch), preview_every: 0, ..settings.clone() };
    let (mut pictures, [call, around], memory) = try_drawing(decoder, &drawn[..batch.min(drawn.len())], &few, ctx)?;
    let calls = decoder.calls(settings.scheduler, settings.steps)?;
    let mut seconds = (missing * many).div_ceil(batch) as f64 * (around + calls as f64 * call);
    if many > 1 {
        let (clip, few) = (bench.clip()?, pictures.iter().cloned().map(ImageSource::Memory).collect::<Vec<_>>());
        let all = (missing * many) as f64 / few.len().max(1) as f64;
        seconds += cost(|| embed::embed_images(&few, &clip, ctx))?.1.seconds * all;
    }
    Ok((pictures.pop(), seconds, memory))
}

/// Draws some pictures in few steps: those, seconds that a batch takes in each network call and around all of them, and memory.
fn try_drawing(
    decoder: &Unclip,
    asked: &[Request],
    settings: &synthesize::Settings,
    ctx: &Ctx,
) -> Result<(Vec<RgbImage>, [f64; 2], u64)> {
    let seen: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let watcher = seen.clone();
    let ctx = ctx.watched(move |report| {
        if matches!(report, Report::Step { stage: STAGE, .. }) {
            lock(&watcher).push(Instant::now());
        }
    });
    let before = machine::reset_peak().unwrap_or(0);
    let start = Instant::now();
    let mut drawn = Vec::new();
    synthesize::synthesize(decoder, asked, settings, &ctx, &mut |_, images| {
        drawn.extend(images);
        Ok(())
    })?;
    let whole = start.elapsed().as_secs_f64();
    let memory = machine::peak().unwrap_or(0).saturating_sub(before);
    let seen = lock(&seen);
    // The first report comes before any call, each of the others after one.
    let calls = seen.len().saturating_sub(1);
    let between = match (seen.get(1), seen.last()) {
        (Some(first), Some(last)) if calls > 1 => (*last - *first).as_secs_f64() / (calls - 1) as f64,
        _ => whole,
    };
    Ok((drawn, [between, (whole - calls as f64 * between).max(0.0)], memory))
}
