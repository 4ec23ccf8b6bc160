//! Frozen image encoders of the evaluation protocol, from a folder as timm puts it on the Hugging Face hub:
//! `config.json` and `model.safetensors`. Their *logits* are the protocol's image features; the pooled features before
//! the classifier can be had instead.
//!
//! Every image is computed alone and on one thread; images run beside each other. So an image's features do not depend
//! on its batch or on the number of threads.

mod conv;
mod convnext;
mod mobilenet;
mod nfnet;
mod resnet;
mod tensors;
mod vit;

use super::{host::Linear, weights::Part};
use crate::{
    error::{Error, Result},
    pixels,
};
use image::RgbImage;
use ndarray::{Array1, Array2, ArrayView3, ArrayView4, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::{Path, PathBuf};
use tensors::Tensors;

/// Side that the protocol squashes images to, for encoders that take any size.
pub const PROTOCOL_SIDE: usize = 224;

/// What of an encoder describes an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Features {
    /// The classifier's output, as in the protocol.
    #[default]
    Logits,
    /// Its input: timm's `forward_head(pre_logits=True)`.
    Pooled,
}

/// How encoders are shown images; either way squashed to a square by Pillow's bicubic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pixels {
    /// As the reference's protocol does for every encoder: CLIP's mean and deviation, 224 pixels or the smaller training size.
    #[default]
    Reference,
    /// By each encoder's own mean, deviation and size (timm's `pretrained_cfg`).
    Own,
}

/// A frozen classifier whose logits, or what they are made of, serve as image features.
#[derive(Debug)]
pub struct Encoder {
    body: Body,
    /// None where it was removed (`num_classes=0`).
    head: Option<Linear>,
    look: Look,
    own: Look,
    path: PathBuf,
}

/// What images are made to be.
#[derive(Clone, Copy, Debug)]
struct Look {
    side: usize,
    mean: [f32; 3],
    std: [f32; 3],
}

#[derive(Debug)]
enum Body {
    Vit(vit::Vit),
    NormFree(nfnet::NormFreeNet),
    Resnet(resnet::Resnet),
    Mobilenet(mobilenet::Mobilenet),
    ConvNext(convnext::ConvNext),
}

/// timm's hub configuration, as far as it matters here.
#[derive(Deserialize)]
struct Config {
    architecture: String,
    #[serde(default)]
    num_classes: Option<usize>,
    #[serde(default)]
    global_pool: Option<String>,
    #[serde(default)]
    model_args: Option<serde_json::Map<String, Value>>,
    pretrained_cfg: Pretrained,
}

#[derive(Deserialize)]
struct Pretrained {
    input_size: [usize; 3],
    /// timm's default where none is told: ImageNet's.
    #[serde(default = "imagenet_mean")]
    mean: [f32; 3],
    #[serde(default = "imagenet_std")]
    std: [f32; 3],
}

fn imagenet_mean() -> [f32; 3] {
    [0.485, 0.456, 0.406]
}

fn imagenet_std() -> [f32; 3] {
    [0.229, 0.224, 0.225]
}

impl Config {
    /// Takes out of `model_args` what is the same for every architecture; the error names the argument.
    fn arguments(&mut self, args: &mut serde_json::Map<String, Value>) -> std::result::Result<(), String> {
        // Rates of training only.
        args.retain(|key, _| key != "drop_rate" && key != "drop_path_rate");
        if let Some(channels) = args.remove("in_chans").filter(|channels| *channels != 3) {
            return Err(format!("in_chans is {channels}, but images have 3"));
        }
        if let Some(pool) = args.remove("global_pool") {
            let name = pool.as_str().ok_or_else(|| format!("global_pool is {pool}, no name"))?;
            self.global_pool = Some(name.to_owned());
        }
        if let Some(Value::Array(sides)) = args.get("img_size") {
            let [height, width] = &sides[..] else { return Err("img_size has not two sides".into()) };
            if height != width {
                return Err(format!("img_size is {height} x {width}: expected a square"));
            }
            let side = height.clone();
            args.insert("img_size".into(), side);
        }
        Ok(())
    }
}

impl Encoder {
    /// Reads `config.json` and `model.safetensors`. Sizes come from the weights; `model_args` (the overrides given to
    /// `timm.create_model`) say what shapes cannot, such as the number of heads.
    ///
    /// # Errors
    /// [`Error::Input`] naming the file and the setting or tensor if the architecture is none of those listed in
    /// [`Self::ARCHITECTURES`], uses an option outside these, or a tensor is missing or misshapen.
    pub fn load(part: &Part<'_>) -> Result<Self> {
        let path = part.path("config.json");
        let mut config: Config = part.json("config.json")?;
        let refused = |what: String| Err(Error::input(&path, what));
        let [channels, height, width] = config.pretrained_cfg.input_size;
        if channels != 3 || height != width || height == 0 || height > 4096 {
            return refused(format!("input_size {:?}: expected [3, n, n]", config.pretrained_cfg.input_size));
        }
        let (mean, std) = (config.pretrained_cfg.mean, config.pretrained_cfg.std);
        if std.contains(&0.0) {
            return refused("std must not be 0".into());
        }
        let mut args = config.model_args.take().unwrap_or_default();
        config.arguments(&mut args).map_err(|what| Error::input(&path, format!("model_args.{what}")))?;
        let told = args.remove("num_classes").and_then(|n| n.as_u64()).map(|n| n as usize).or(config.num_classes);
        let tensors = Tensors::open(part)?;
        let (body, head) = Body::load(&tensors, &config, Value::Object(args), &path)?;
        let head = if told == Some(0) { None } else { Some(tensors.linear(head, body.width())?) };
        let classes = head.as_ref().map_or(0, |head| head.bias.len());
        if let Some(told) = told.filter(|told| *told != classes) {
            return refused(format!("num_classes is {told}, but the weights say {classes}"));
        }
        let (side, own) = match &body {
            Body::Vit(vit) => (vit.side(), vit.side()),
            // The reference squashes to 224 whatever the encoder was trained at; a smaller training size is kept.
            _ => (height.min(PROTOCOL_SIDE), height),
        };
        let look = Look { side, mean: pixels::CLIP_MEAN, std: pixels::CLIP_STD };
        Ok(Self { body, head, look, own: Look { side: own, mean, std }, path })
    }

    /// timm's names of what can be loaded; `*` stands for any ending.
    pub const ARCHITECTURES: &str = "vit_*, deit_*, deit3_*, nf_resnet*, nf_regnet_b*, nfnet_l*, nfnet_f*, resnetN, resnetNd, mobilenetv2_*, mobilenetv3_*, efficientnet_b*, efficientnet_lite*, convnext_*, convnextv2_*";

    /// The same, shown images by `pixels`; [`Self::load`] shows them by the reference's.
    #[must_use]
    pub fn shown_by(self, pixels: Pixels) -> Self {
        match pixels {
            Pixels::Reference => self,
            Pixels::Own => Self { look: self.own, ..self },
        }
    }

    /// Width and height of the images it takes, in pixels.
    pub fn side(&self) -> usize {
        self.look.side
    }

    /// `image` as the encoder takes it: `[3, side, side]`, row by row.
    ///
    /// # Errors
    /// [`Error::Shape`] if the image has no pixels.
    pub fn preprocess(&self, image: &RgbImage) -> Result<Vec<f32>> {
        let Look { side, mean, std } = self.look;
        pixels::squashed(image, side as u32, (mean, std))
    }

    /// Width of the features.
    pub fn width(&self, features: Features) -> usize {
        match features {
            Features::Logits => self.head.as_ref().map_or(0, |head| head.weight.nrows()),
            Features::Pooled => self.body.width(),
        }
    }

    /// Normalised pixels `[b, 3, side, side]` to features `[b, width]`.
    ///
    /// # Errors
    /// [`Error::Shape`] for images of another size; [`Error::Input`] for logits of an encoder whose classifier was removed.
    pub fn encode(&self, pixels: ArrayView4<'_, f32>, features: Features) -> Result<Array2<f32>> {
        let (side, found) = (self.side(), pixels.dim());
        if (found.1, found.2, found.3) != (3, side, side) {
            let expected = format!("[_, 3, {side}, {side}]");
            return Err(Error::Shape {
                what: "the encoder's pixels",
                expected,
                found: format!("{:?}", pixels.shape()),
            });
        }
        let head = match (features, &self.head) {
            (Features::Pooled, _) => None,
            (Features::Logits, Some(head)) => Some(head),
            (Features::Logits, None) => {
                let message =
                    "has no classifier (num_classes is 0), so no logits: set evaluation.features = \"pooled\"";
                return Err(Error::input(&self.path, message));
            }
        };
        let mut out = Array2::zeros((pixels.dim().0, self.width(features)));
        let rows: Vec<_> = out.rows_mut().into_iter().zip(pixels.outer_iter()).collect();
        rows.into_par_iter().for_each(|(mut row, image)| row.assign(&self.one(image, head)));
        Ok(out)
    }

    fn one(&self, image: ArrayView3<'_, f32>, head: Option<&Linear>) -> Array1<f32> {
        let pooled = self.body.pooled(image);
        match head {
            Some(head) => head.forward(pooled.view().insert_axis(Axis(0))).remove_axis(Axis(0)),
            None => pooled,
        }
    }
}

impl Body {
    /// The network before the classifier, and the classifier's name.
    fn load(t: &Tensors, config: &Config, args: Value, path: &Path) -> Result<(Self, &'static str)> {
        let name = config.architecture.as_str();
        let plain = || match args.as_object().and_then(|a| a.keys().next()) {
            Some(key) => {
                Err(Error::input(path, format!("model_args: unknown field `{}`", crate::fsio::printable(key))))
            }
            None => Ok(()),
        };
        let found = if vit::knows(name) {
            let pool = config.global_pool.as_deref().unwrap_or("token");
            (Self::Vit(vit::Vit::load(t, (name, pool), args, path)?), "head", pool)
        } else if nfnet::knows(name) {
            (Self::NormFree(nfnet::NormFreeNet::load(t, name, args, path)?), "head.fc", "avg")
        } else if resnet::knows(name) {
            plain()?;
            (Self::Resnet(resnet::Resnet::load(t)?), "fc", "avg")
        } else if mobilenet::knows(name) {
            plain()?;
            (Self::Mobilenet(mobilenet::Mobilenet::load(t, name)?), "classifier", "avg")
        } else if convnext::knows(name) {
            (Self::ConvNext(convnext::ConvNext::load(t, name, args, path)?), "head.fc", "avg")
        } else {
            let name = crate::fsio::printable(name);
            return Err(Error::input(path, format!("architecture `{name}`: expected {}", Encoder::ARCHITECTURES)));
        };
        let (body, head, pool) = found;
        match config.global_pool.as_deref().filter(|told| *told != pool) {
            Some(told) => {
                let told = crate::fsio::printable(told);
                Err(Error::input(path, format!("global_pool `{told}` is not supported: only `{pool}`")))
            }
            None => Ok((body, head)),
        }
    }

    fn width(&self) -> usize {
        match self {
            Self::Vit(net) => net.width(),
            Self::NormFree(net) => net.width(),
            Self::Resnet(net) => net.width(),
            Self::Mobilenet(net) => net.width(),
            Self::ConvNext(net) => net.width(),
        }
    }

    fn pooled(&self, image: ArrayView3<'_, f32>) -> Array1<f32> {
        match self {
            Self::Vit(net) => net.pooled(image),
            Self::NormFree(net) => net.pooled(image),
            Self::Resnet(net) => net.pooled(image),
            Self::Mobilenet(net) => net.pooled(image),
            Self::ConvNext(net) => net.pooled(image),
        }
    }
}
