//! Stable unCLIP: from an image embedding and a prompt back to an image, as diffusers' `StableUnCLIPImg2ImgPipeline`
//! does when it is given `image_embeds`.
//!
//! An image never depends on the batch it is in, nor on the number of threads.

mod config;
mod gather;
mod layers;
mod noising;
mod resnet;
mod sampler;
mod schedule;
mod transformer;
mod unet;
mod vae;
mod winograd;

pub use noising::noise;
pub use sampler::{Sampler, Scheduler};
pub use schedule::{Prediction, Schedule, ScheduleConfig};

use super::{
    clip::TextTower,
    files::DIFFUSERS,
    layers::shares,
    tokenizer::Tokenizer,
    weights::{Checkpoint, Part},
};
use crate::error::{Error, Result};
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use image::RgbImage;

/// Pixels decoded at once: bounds the decoder's memory.
const DECODED: usize = 1 << 17;

/// A Stable unCLIP checkpoint, ready to run.
pub struct Unclip {
    unet: unet::Unet,
    decoder: vae::Decoder,
    noising: noising::Noising,
    schedule: Schedule,
    text: TextTower,
    tokenizer: Tokenizer,
    channels: usize,
    latent_size: usize,
    device: Device,
}

/// What a batch of images is drawn towards.
pub struct Guide {
    /// From [`Unclip::labels`]: `[b, 2 d]`.
    pub labels: Tensor,
    /// Encoded prompts, `[b, tokens, width]`.
    pub prompts: Tensor,
    /// The encoded negative prompt, `[1, tokens, width]`; used if `scale` > 1.
    pub negative: Tensor,
    /// Guidance scale: how far to go from the negative prompt to the prompt. Up to 1, the negative prompt is not asked.
    pub scale: f64,
}

/// How far a batch has come.
pub struct Progress {
    /// Network calls done.
    pub done: usize,
    /// Network calls in all.
    pub total: usize,
    /// `[b, c, h, w]`, after this step.
    pub latents: Tensor,
    /// The network's estimate of the final latents, `[b, c, h, w]`.
    pub predicted: Tensor,
}

fn load<T>(
    part: &Part<'_>,
    dtype: DType,
    device: &Device,
    build: impl FnOnce(VarBuilder<'_>) -> candle_core::Result<T>,
) -> Result<T> {
    let file = part.path(&part.weights_file(DIFFUSERS)?);
    build(part.weights(DIFFUSERS, dtype, device)?).map_err(Error::weights(file, ""))
}

/// Width of the image embeddings that the pipeline `checkpoint` decodes; its weights are not read.
///
/// # Errors
/// [`Error::Io`] or [`Error::Input`] naming the file.
pub fn width_of(checkpoint: &Checkpoint) -> Result<usize> {
    noising::width_of(&checkpoint.part("image_normalizer"))
}

impl Unclip {
    /// Reads a pipeline folder in diffusers' layout. On a CPU `dtype` must be float32.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Input`] naming the file and the key or tensor; [`Error::Setting`] for `dtype`.
    pub fn load(checkpoint: &Checkpoint, dtype: DType, device: &Device) -> Result<Self> {
        if super::layers::own(device) && dtype != DType::F32 {
            return Err(Error::setting("dtype", "synthesis on a CPU computes in float32"));
        }
        let (unet_part, vae_part) = (checkpoint.part("unet"), checkpoint.part("vae"));
        let (unet, vae) = (config::unet(&unet_part)?, config::vae(&vae_part)?);
        let noising =
            noising::Noising::load(&checkpoint.part("image_normalizer"), &checkpoint.part("image_noising_scheduler"))?;
        let text = TextTower::load(&checkpoint.part("text_encoder"), dtype, device)?;
        if (0..unet.block_out_channels.len()).any(|i| unet.cross_attention_dim.at(i) != Some(text.width())) {
            let message = format!("`cross_attention_dim` is not the text encoder's width, {}", text.width());
            return Err(Error::input(unet_part.path("config.json"), message));
        }
        let class_width = unet.projection_class_embeddings_input_dim.unwrap_or(2 * noising.width());
        if class_width != 2 * noising.width() || unet.in_channels != vae.latent_channels {
            let message = format!(
                "class width {class_width} and {} channels do not fit embeddings of {} and {} latent channels",
                unet.in_channels,
                noising.width(),
                vae.latent_channels
            );
            return Err(Error::input(unet_part.path("config.json"), message));
        }
        Ok(Self {
            channels: unet.in_channels,
            latent_size: unet.sample_size.as_ref().and_then(|s| s.at(0)).unwrap_or(64),
            unet: load(&unet_part, dtype, device, |vb| unet::Unet::load(&vb, &unet, class_width))?,
            decoder: load(&vae_part, dtype, device, |vb| vae::Decoder::load(&vb, &vae))?,
            schedule: Schedule::load(&checkpoint.part("scheduler"))?,
            text,
            tokenizer: Tokenizer::load(&checkpoint.part("tokenizer"))?,
            noising,
            device: device.clone(),
        })
    }

    /// Width of the image embeddings it takes.
    pub fn width(&self) -> usize {
        self.noising.width()
    }

    /// The side, in pixels, of the images it was trained on.
    pub fn size(&self) -> usize {
        self.latent_size * self.decoder.scale()
    }

    /// How many noise levels an embedding can be given.
    pub fn noise_levels(&self) -> usize {
        self.noising.levels()
    }

    /// The denoising schedule.
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// How often the network is asked in `steps` steps: PNDM asks once or more in addition.
    ///
    /// # Errors
    /// [`Error::Setting`] if the schedule has no room for them.
    pub fn calls(&self, scheduler: Scheduler, steps: usize) -> Result<usize> {
        Ok(Sampler::new(scheduler, &self.schedule, steps)?.timesteps().len())
    }

    /// Shape of one image's latents, `[c, h, w]`, for images of `size` pixels a side.
    ///
    /// # Errors
    /// [`Error::Setting`] if `size` is no multiple of the decoder's scale, or 0.
    pub fn latent_shape(&self, size: usize) -> Result<[usize; 3]> {
        let scale = self.decoder.scale();
        if size == 0 || size > 4096 || !size.is_multiple_of(scale) {
            return Err(Error::setting("size", format!("{size} is not a multiple of {scale} in 1..=4096")));
        }
        Ok([self.channels, size / scale, size / scale])
    }

    /// Class labels `[b, 2 d]` of image embeddings, each noised by its own `noise` (both `d` long) to `level`.
    ///
    /// # Errors
    /// [`Error::Shape`] if an embedding has another width; [`Error::Setting`] if there is no such level.
    pub fn labels(&self, images: &[&[f32]], noise: &[Vec<f32>], level: usize) -> Result<Tensor> {
        let d = self.width();
        if level >= self.noise_levels() {
            return Err(Error::setting("noise_level", format!("{level} is not below {}", self.noise_levels())));
        }
        let mut all = Vec::with_capacity(images.len() * 2 * d);
        for (image, noise) in images.iter().zip(noise) {
            if image.len() != d || noise.len() != d {
                let found = format!("{} and {}", image.len(), noise.len());
                return Err(Error::Shape { what: "image embedding and its noise", expected: format!("{d}"), found });
            }
            all.extend(self.noising.label(image, noise, level).map_err(Error::tensor("unCLIP condition"))?);
        }
        Tensor::from_vec(all, (images.len(), 2 * d), &self.device).map_err(Error::tensor("unCLIP condition"))
    }

    /// Encodes `prompts`: `[b, tokens, width]`, padded or cut to the text encoder's length.
    ///
    /// # Errors
    /// [`Error::Shape`] if the tokenizer does not belong to the text encoder.
    pub fn encode(&self, prompts: &[&str]) -> Result<Tensor> {
        let length = self.text.max_len().min(self.tokenizer.max_len());
        // One by one: an encoding must not depend on its neighbours, not even in the last bit.
        let one = |prompt: &&str| self.text.hidden(&[self.tokenizer.ids(prompt)?], length, self.tokenizer.pad());
        let rows = prompts.iter().map(one).collect::<Result<Vec<_>>>()?;
        Tensor::cat(&rows, 0).map_err(Error::tensor("prompts"))
    }

    /// Denoises `latents [b, c, h, w]` (unit normal noise) in `steps` steps; `each` sees every network call.
    ///
    /// # Errors
    /// [`Error::Setting`] if the schedule has no room for `steps`; whatever `each` returns.
    pub fn denoise(
        &self,
        guide: &Guide,
        latents: &Tensor,
        (scheduler, steps): (Scheduler, usize),
        each: &mut dyn FnMut(Progress) -> Result<()>,
    ) -> Result<Tensor> {
        let failed = Error::tensor("denoising");
        let mut sampler = Sampler::new(scheduler, &self.schedule, steps)?;
        let mut run = || -> candle_core::Result<Result<Tensor>> {
            let (classes, contexts) = self.conditions(guide)?;
            let mut x = latents.to_device(&self.device)?.to_dtype(DType::F32)?.permute((0, 2, 3, 1))?.contiguous()?;
            let times = sampler.timesteps().to_vec();
            for (i, &t) in times.iter().enumerate() {
                let output = self.guided(&x, t, &classes, &contexts, guide.scale)?;
                let predicted = sampler.predicted(&output, t, &x)?.permute((0, 3, 1, 2))?;
                x = sampler.step(&output, &x)?;
                let latents = x.permute((0, 3, 1, 2))?;
                if let Err(e) = each(Progress { done: i + 1, total: times.len(), latents, predicted }) {
                    return Ok(Err(e));
                }
            }
            Ok(Ok(x.permute((0, 3, 1, 2))?.contiguous()?))
        };
        run().map_err(failed)?
    }

    /// Images of `latents [b, c, h, w]`.
    ///
    /// # Errors
    /// [`Error::Tensor`] if the shape does not fit.
    pub fn decode(&self, latents: &Tensor) -> Result<Vec<RgbImage>> {
        let (b, _, h, w) = latents.dims4().map_err(Error::tensor("VAE decoder"))?;
        let (high, wide) = (h * self.decoder.scale(), w * self.decoder.scale());
        // As diffusers: (x / 2 + 0.5), clamped, times 255, rounded half to even.
        let byte = |v: &f32| ((v / 2. + 0.5).clamp(0., 1.) * 255.).round_ties_even() as u8;
        let group = |from: usize, n: usize| -> candle_core::Result<Vec<RgbImage>> {
            let pixels = self.pixels(&latents.narrow(0, from, n)?)?.flatten_all()?.to_vec1::<f32>()?;
            let image = |x: &[f32]| RgbImage::from_raw(wide as u32, high as u32, x.iter().map(byte).collect());
            Ok(pixels.chunks_exact(high * wide * 3).filter_map(image).collect())
        };
        let together = (DECODED / (high * wide).max(1)).max(1);
        let mut images = Vec::with_capacity(b);
        for from in (0..b).step_by(together) {
            let n = together.min(b - from);
            let made = shares(&self.device, n, n, |at, n| group(from + at, n)).map_err(Error::tensor("VAE decoder"))?;
            images.extend(made.into_iter().flatten());
        }
        Ok(images)
    }

    /// What the decoder makes of `latents [b, c, h, w]`: float32 on the CPU, `[b, H, W, 3]`, about -1 to 1.
    ///
    /// # Errors
    /// candle's, if the shape does not fit.
    pub fn pixels(&self, latents: &Tensor) -> candle_core::Result<Tensor> {
        let x = latents.permute((0, 2, 3, 1))?.contiguous()?;
        self.decoder.run(&x)?.to_device(&Device::Cpu)
    }

    /// Class embeddings and attention contexts of the batch; the unconditional half, if any, comes first, with zeros
    /// for an image.
    fn conditions(&self, guide: &Guide) -> candle_core::Result<(Tensor, Vec<layers::Memories>)> {
        let (labels, prompts) = (&guide.labels, &guide.prompts);
        if guide.scale <= 1. {
            return Ok((self.unet.classes(labels)?, self.unet.contexts(prompts)?));
        }
        let negative = guide.negative.broadcast_as(prompts.shape())?.contiguous()?;
        let labels = Tensor::cat(&[&labels.zeros_like()?, labels], 0)?;
        Ok((self.unet.classes(&labels)?, self.unet.contexts(&Tensor::cat(&[&negative, prompts], 0)?)?))
    }

    fn guided(
        &self,
        x: &Tensor,
        t: i64,
        classes: &Tensor,
        contexts: &[layers::Memories],
        scale: f64,
    ) -> candle_core::Result<Tensor> {
        if scale <= 1. {
            return self.unet.run(x, t as f64, classes, contexts);
        }
        let both = self.unet.run(&Tensor::cat(&[x, x], 0)?, t as f64, classes, contexts)?;
        let halves = both.chunk(2, 0)?;
        &halves[0] + ((&halves[1] - &halves[0])? * scale)?
    }
}

#[cfg(test)]
mod tests;
