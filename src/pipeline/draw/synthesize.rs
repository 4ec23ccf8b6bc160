//! Prototypes to images: each image embedding, with its caption as prompt, is decoded by Stable unCLIP.

use crate::pipeline::setting;
use crate::pipeline::{Ctx, Report};
use crate::{
    error::{Error, Result},
    models::unclip::{Guide, Progress, Scheduler, Unclip, noise},
    pixels::lanczos,
};
use candle_core::{Device, Tensor};
use image::RgbImage;
use serde::{Deserialize, Serialize};

/// Latent pixels in one batch, both halves counted, unless told otherwise: 64 images of 8 x 8 latents, 1 of 64 x 64.
const BATCH_PIXELS: usize = 1 << 13;
pub(in crate::pipeline) const STAGE: &str = "synthesise";

/// How images are drawn; the defaults are the method's (arXiv 2602.19756).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Denoising steps, 1 to 1000.
    pub steps: usize,
    /// How far to go from the negative prompt to the prompt; up to 1, the negative prompt is not asked; at most 100.
    pub guidance: f64,
    /// How much noise the embedding is given: 0 keeps it, 999 leaves nothing of it.
    pub noise_level: usize,
    /// Images drawn for each prototype, of which the one nearest to it and to its caption by CLIP is kept, 1 to 64
    /// (reranking by the caption as in arXiv 2102.12092); the first one's noise is the request's own.
    pub candidates: usize,
    /// What not to draw.
    pub negative_prompt: String,
    /// The solver.
    pub scheduler: Scheduler,
    /// Images at once; by default as many as fit well. It changes speed and memory, never an image.
    pub batch: Option<usize>,
    /// Network calls between two previews; 0 for none.
    pub preview_every: usize,
    /// Side of the images in pixels; by default what the decoder was trained on.
    pub size: Option<usize>,
    /// Side the finished images are brought to by Lanczos, 224 in the reference; by default they stay as they are.
    pub output: Option<u32>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            steps: 100,
            guidance: 5.,
            noise_level: 10,
            candidates: 1,
            negative_prompt: "text, watermark".into(),
            scheduler: Scheduler::Pndm,
            batch: None,
            preview_every: 10,
            size: None,
            output: None,
        }
    }
}

/// One image to draw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The image prototype, as wide as the decoder's embeddings; not normalised.
    pub image: Vec<f32>,
    /// The caption.
    pub prompt: String,
    /// The only source of its noise.
    pub seed: u64,
}

impl Request {
    /// The same with the noise of candidate `k`.
    pub fn candidate(&self, k: usize) -> Self {
        Self { seed: self.seed.wrapping_add((k as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)), ..self.clone() }
    }
}

impl Settings {
    /// Whether `decoder` can do this.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the first setting that is out of range.
    pub fn fits(&self, decoder: &Unclip) -> Result<()> {
        self.check()?;
        let no = |name: &str, value: usize, most: usize| {
            Err(Error::setting(format!("synthesis.{name}"), format!("{value} is above {most}, this decoder's most")))
        };
        let (steps, levels) = (decoder.schedule().len(), decoder.noise_levels());
        if self.steps > steps {
            return no("steps", self.steps, steps);
        }
        if self.noise_level >= levels {
            return no("noise_level", self.noise_level, levels.saturating_sub(1));
        }
        Ok(())
    }

    /// Whether there may be a decoder that can do this.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the first setting that is out of range.
    pub fn check(&self) -> Result<()> {
        setting::check("synthesis", self)
    }

    /// Without what changes no image.
    pub fn as_drawn(&self) -> Self {
        Self { preview_every: 0, batch: None, ..self.clone() }
    }

    /// Images at once.
    pub(in crate::pipeline) fn batch(&self, shape: [usize; 3]) -> usize {
        let halves = if self.guidance > 1. { 2 } else { 1 };
        self.batch.unwrap_or(BATCH_PIXELS / (shape[1] * shape[2] * halves)).max(1)
    }
}

/// `synthesis.` before the name of a setting that the decoder refused.
fn ours(error: Error) -> Error {
    match error {
        Error::Setting { name, message } => Error::setting(format!("synthesis.{name}"), message),
        other => other,
    }
}

/// Draws `requests`, the candidates of one after the other, and hands over a batch's images as soon as they are done, with
/// the place of the first in `requests`: what was handed over need not be asked again after an interruption. An image
/// depends on its request and the settings alone.
///
/// # Errors
/// [`Error::Setting`] or [`Error::Shape`] before anything is drawn; [`Error::Cancelled`] between two network calls;
/// whatever `finished` returns.
pub fn synthesize(
    decoder: &Unclip,
    requests: &[Request],
    settings: &Settings,
    ctx: &Ctx,
    finished: &mut dyn FnMut(usize, Vec<RgbImage>) -> Result<()>,
) -> Result<()> {
    settings.fits(decoder)?;
    let shape = decoder.latent_shape(settings.size.unwrap_or(decoder.size())).map_err(ours)?;
    let calls = decoder.calls(settings.scheduler, settings.steps).map_err(ours)?;
    for (i, request) in requests.iter().enumerate() {
        let wide = request.image.len() == decoder.width();
        if !wide || request.image.iter().any(|v| !v.is_finite()) {
            let expected = format!("{} finite numbers", decoder.width());
            let found =
                format!("{} in prototype {i}", if wide { "others".into() } else { request.image.len().to_string() });
            return Err(Error::Shape { what: "prototype for the decoder", expected, found });
        }
    }
    let batch = settings.batch(shape);
    let total = requests.len().div_ceil(batch) * calls;
    ctx.step(STAGE, 0, total)?;
    let negative = decoder.encode(&[&settings.negative_prompt])?;
    for (b, requests) in requests.chunks(batch).enumerate() {
        let guide = guide(decoder, requests, settings, &negative)?;
        let start = start(requests, shape)?;
        let latents = decoder.denoise(&guide, &start, (settings.scheduler, settings.steps), &mut |progress| {
            preview(decoder, settings, ctx, b * batch, &progress)?;
            ctx.step(STAGE, b * calls + progress.done, total)
        })?;
        let mut images = decoder.decode(&latents)?;
        if let Some(side) = settings.output {
            images = images.iter().map(|image| lanczos(image, side)).collect::<Result<_>>()?;
        }
        finished(b * batch, images)?;
    }
    Ok(())
}

fn guide(decoder: &Unclip, requests: &[Request], settings: &Settings, negative: &Tensor) -> Result<Guide> {
    let images: Vec<&[f32]> = requests.iter().map(|r| r.image.as_slice()).collect();
    let prompts: Vec<&str> = requests.iter().map(|r| r.prompt.as_str()).collect();
    let noises: Vec<Vec<f32>> = requests.iter().map(|r| noise(r.seed, 1, decoder.width())).collect();
    Ok(Guide {
        labels: decoder.labels(&images, &noises, settings.noise_level)?,
        prompts: decoder.encode(&prompts)?,
        negative: negative.clone(),
        scale: settings.guidance,
    })
}

/// Each request's own initial noise, `[b, c, h, w]`.
fn start(requests: &[Request], [c, h, w]: [usize; 3]) -> Result<Tensor> {
    let all: Vec<f32> = requests.iter().flat_map(|r| noise(r.seed, 0, c * h * w)).collect();
    Tensor::from_vec(all, (requests.len(), c, h, w), &Device::Cpu).map_err(Error::tensor("initial noise"))
}

/// Shows the estimate of the finished images, of each request's candidates the first: the decoder itself decodes it, so a
/// preview is never another picture.
fn preview(decoder: &Unclip, settings: &Settings, ctx: &Ctx, first: usize, progress: &Progress) -> Result<()> {
    let every = settings.preview_every;
    if every == 0 || !progress.done.is_multiple_of(every) || progress.done == progress.total {
        return Ok(());
    }
    let drawn = first..first + progress.predicted.dims()[0];
    let shown: Vec<usize> = drawn.filter(|i| i.is_multiple_of(settings.candidates)).collect();
    if shown.is_empty() {
        return Ok(());
    }
    let rows: Vec<u32> = shown.iter().map(|i| (i - first) as u32).collect();
    let of = |x: &Tensor| x.contiguous()?.index_select(&Tensor::new(rows, x.device())?, 0);
    let latents = of(&progress.predicted).map_err(Error::tensor("previews"))?;
    for (index, pixels) in shown.into_iter().zip(decoder.decode(&latents)?) {
        ctx.report(Report::Preview { index, step: progress.done, pixels });
    }
    Ok(())
}
