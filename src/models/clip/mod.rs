//! CLIP and SigLIP in Hugging Face's layout, whatever their size: two transformers into one space.

mod config;
mod map;
mod ops;
mod processor;
mod text;
mod transformer;
mod vision;

pub use config::{Activation, ClipConfig, Kind, TowerConfig};
pub use processor::processor;
pub use text::TextTower;
pub use vision::VisionTower;

use super::{
    device::made_on,
    files::MODEL,
    layers::Linear,
    tokenizer::Tokenizer,
    weights::{Checkpoint, Part},
};
use crate::{
    error::{Error, Result},
    fingerprint::Fingerprint,
    pixels::Processor,
};
use candle_core::{DType, Device, Tensor};

/// What a result depends on besides the weights.
const SETTINGS: [&str; 7] = [
    "config.json",
    "processor_config.json",
    "preprocessor_config.json",
    "tokenizer.json",
    "vocab.json",
    "merges.txt",
    "tokenizer_config.json",
];

/// Weights that do not fit their configuration.
fn unfit(part: &Part<'_>) -> impl FnOnce(candle_core::Error) -> Error {
    Error::weights(part.path("config.json"), "the weights beside it do not fit it: ")
}

/// What else SigLIP's depend on: the token that captions are filled up with.
const FILLED: &str = "special_tokens_map.json";

/// A `CLIPModel` or `SiglipModel` with its image processor and tokenizer. Features are projected and **not** normalised.
#[derive(Clone, Debug)]
pub struct Clip {
    vision: VisionTower,
    text: TextTower,
    text_projection: Linear,
    processor: Processor,
    tokenizer: Tokenizer,
    width: usize,
    device: Device,
    checkpoint: Fingerprint,
    fingerprint: Fingerprint,
}

impl Clip {
    /// Loads a checkpoint; weights are cast to `dtype`, on a CPU float32 or, where the CPU multiplies it, bfloat16.
    ///
    /// # Errors
    /// [`Error::Io`] if a file is missing, [`Error::Input`] if one is not what such a model has there.
    pub fn load(checkpoint: &Checkpoint, dtype: DType, device: &Device) -> Result<Self> {
        let part = checkpoint.root();
        let config = ClipConfig::load(&part)?;
        let processor = processor(&part, config.kind)?;
        let (side, want) = (processor.side(), config.vision.image_size as u32);
        if side != (want, want) {
            let message = format!("takes images of {want}x{want}, but the image processor beside it makes {side:?}");
            return Err(Error::input(part.path("config.json"), message));
        }
        let vb = part.weights(MODEL, dtype, device)?;
        let width = config.projection_dim;
        let siglip = config.kind == Kind::Siglip;
        let settings = SETTINGS.iter().chain([&FILLED].into_iter().filter(|_| siglip));
        let files = part.fingerprint(Some(MODEL), &settings.copied().collect::<Vec<_>>())?;
        let projection = if siglip { "text_model.head" } else { "text_projection" };
        let projection = Linear::load(&vb.pp(projection), config.text.hidden_size, width, siglip);
        let tokenizer = match config.kind {
            Kind::Clip => Tokenizer::load(&part)?,
            Kind::Siglip => Tokenizer::filled(&part, config.text.max_position_embeddings)?,
        };
        Ok(Self {
            vision: VisionTower::new(&config.vision, config.kind, width, vb.clone()).map_err(unfit(&part))?,
            text: TextTower::new(&config.text, config.kind, vb.pp("text_model")).map_err(unfit(&part))?,
            text_projection: projection.map_err(unfit(&part))?,
            processor,
            tokenizer,
            width,
            device: device.clone(),
            fingerprint: made_on(device, dtype, files.clone()),
            checkpoint: files,
        })
    }

    /// Width `d` of the joint space.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Of weights, configuration, processor and tokenizer.
    pub fn checkpoint(&self) -> &Fingerprint {
        &self.checkpoint
    }

    /// The same, and of what they compute on: names results.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// Where it computes.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Side of the images it takes, in pixels.
    pub fn image_size(&self) -> usize {
        self.vision.image_size()
    }

    /// The checkpoint's tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// `image` as the vision tower takes it: `[3, s, s]`, row by row.
    ///
    /// # Errors
    /// [`Error::Shape`] if the image has no pixels.
    pub fn preprocess(&self, image: &image::RgbImage) -> Result<Vec<f32>> {
        self.processor.apply(image)
    }

    /// Features `[b, d]` in float32 of `[b, 3, s, s]` pixels.
    ///
    /// # Errors
    /// [`Error::Shape`] if the images have another size than [`Clip::image_size`].
    pub fn encode_images(&self, pixels: &Tensor) -> Result<Tensor> {
        self.vision.encode(pixels)
    }

    /// Features `[b, d]` in float32 of token ids as [`Tokenizer::ids`] gives them.
    ///
    /// # Errors
    /// [`Error::Shape`] if an id or a length is beyond the tower's.
    pub fn encode_texts(&self, ids: &[Vec<u32>]) -> Result<Tensor> {
        let pooled = self.text.pooled(ids)?;
        self.text_projection.run(&pooled, None).map_err(Error::tensor("CLIP text projection"))
    }
}
