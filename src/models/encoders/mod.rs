//! Frozen image encoders of the evaluation protocol, from a folder as timm puts it on the Hugging Face hub:
//! `config.json` and `model.safetensors`. Their *logits* are the image features.
//!
//! Every image is computed alone and on one thread; images run beside each other. So an image's features do not depend
//! on its batch or on the number of threads.

mod conv;
mod nf_resnet;
mod tensors;
mod vit;

use super::weights::Part;
use crate::error::{Error, Result};
use ndarray::{Array1, Array2, ArrayView3, ArrayView4};
use rayon::prelude::*;
use serde::Deserialize;
use tensors::Tensors;

pub use nf_resnet::NfResnet;
pub use vit::Vit;

/// Side that the protocol squashes images to, for encoders that take any size.
pub const PROTOCOL_SIDE: usize = 224;

/// A frozen classifier whose logits serve as image features.
#[derive(Debug)]
pub enum Encoder {
    /// timm's `VisionTransformer`.
    Vit(Vit),
    /// timm's `NormFreeNet` in its ResNet form.
    NfResnet(NfResnet),
}

/// timm's hub configuration, as far as it matters here.
#[derive(Deserialize)]
struct Config {
    architecture: String,
    #[serde(default)]
    global_pool: Option<String>,
    #[serde(default = "empty")]
    model_args: serde_json::Value,
    pretrained_cfg: Pretrained,
}

#[derive(Deserialize)]
struct Pretrained {
    input_size: [usize; 3],
}

fn empty() -> serde_json::Value {
    serde_json::Value::Object(serde_json::Map::new())
}

impl Encoder {
    /// Reads `config.json` and `model.safetensors`. Sizes come from the weights; `model_args` (the overrides given to
    /// `timm.create_model`) say what shapes cannot, such as the number of heads.
    ///
    /// # Errors
    /// [`Error::Input`] naming the file and the setting or tensor if the architecture is neither a `VisionTransformer`
    /// (`vit_*`) nor an NF-ResNet (`nf_resnet*`), uses an option outside these, or a tensor is missing or misshapen.
    pub fn load(part: &Part<'_>) -> Result<Self> {
        let path = part.path("config.json");
        let config: Config = part.json("config.json")?;
        let tensors = Tensors::open(part)?;
        let args = match &config.model_args {
            serde_json::Value::Null => empty(),
            args => args.clone(),
        };
        let wrong = |e: serde_json::Error| Error::input(&path, format!("model_args: {e}"));
        let refused = |what: String| Err(Error::input(&path, what));
        let [channels, height, width] = config.pretrained_cfg.input_size;
        if channels != 3 || height != width || height == 0 || height > 4096 {
            return refused(format!("input_size {:?}: expected [3, n, n]", config.pretrained_cfg.input_size));
        }
        let pool = config.global_pool.as_deref();
        if config.architecture.starts_with("vit_") {
            if let Some(pool) = pool.filter(|p| *p != "token") {
                return refused(format!("global_pool `{pool}` is not supported: only `token`"));
            }
            let args = serde_json::from_value(args).map_err(wrong)?;
            Ok(Self::Vit(Vit::load(&tensors, &args, &path)?))
        } else if config.architecture.starts_with("nf_resnet") {
            if let Some(pool) = pool.filter(|p| *p != "avg") {
                return refused(format!("global_pool `{pool}` is not supported: only `avg`"));
            }
            let args = serde_json::from_value(args).map_err(wrong)?;
            // The reference squashes to 224 whatever the encoder was trained at; a smaller training size is kept.
            Ok(Self::NfResnet(NfResnet::load(&tensors, &args, &path, height.min(PROTOCOL_SIDE))?))
        } else {
            let name = crate::fsio::printable(&config.architecture);
            refused(format!("architecture `{name}`: expected vit_* (VisionTransformer) or nf_resnet* (NormFreeNet)"))
        }
    }

    /// Width and height of the images it takes, in pixels.
    pub fn side(&self) -> usize {
        match self {
            Self::Vit(vit) => vit.side(),
            Self::NfResnet(net) => net.side(),
        }
    }

    /// Width of the features.
    pub fn classes(&self) -> usize {
        match self {
            Self::Vit(vit) => vit.classes(),
            Self::NfResnet(net) => net.classes(),
        }
    }

    /// Normalised pixels `[b, 3, side, side]` to logits `[b, classes]`.
    ///
    /// # Errors
    /// [`Error::Shape`] for images of another size.
    pub fn logits(&self, pixels: ArrayView4<'_, f32>) -> Result<Array2<f32>> {
        let (side, found) = (self.side(), pixels.dim());
        if (found.1, found.2, found.3) != (3, side, side) {
            let expected = format!("[_, 3, {side}, {side}]");
            return Err(Error::Shape {
                what: "the encoder's pixels",
                expected,
                found: format!("{:?}", pixels.shape()),
            });
        }
        let mut logits = Array2::zeros((pixels.dim().0, self.classes()));
        let rows: Vec<_> = logits.rows_mut().into_iter().zip(pixels.outer_iter()).collect();
        rows.into_par_iter().for_each(|(mut row, image)| row.assign(&self.one(image)));
        Ok(logits)
    }

    fn one(&self, image: ArrayView3<'_, f32>) -> Array1<f32> {
        match self {
            Self::Vit(vit) => vit.forward(image),
            Self::NfResnet(net) => net.forward(image),
        }
    }
}
