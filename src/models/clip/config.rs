//! CLIP's and SigLIP's `config.json`, with transformers' defaults for absent keys.

use crate::{
    error::{Error, Result},
    kernels::elementwise::Curve,
    models::weights::Part,
};
use candle_core::{Result as TensorResult, Tensor};
use serde::Deserialize;
use serde_json::Value;

/// The activation of the MLPs, under transformers' names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Activation {
    /// `x sigmoid(1.702 x)`: OpenAI's checkpoints.
    #[serde(rename = "quick_gelu")]
    QuickGelu,
    /// The exact one, with erf: OpenCLIP's, and Stable Diffusion 2's text encoder.
    #[serde(rename = "gelu")]
    Gelu,
    /// The tanh approximation.
    #[serde(rename = "gelu_new", alias = "gelu_pytorch_tanh")]
    GeluNew,
}

impl Activation {
    /// Element by element.
    ///
    /// # Errors
    /// candle's.
    pub fn forward(self, x: &Tensor) -> TensorResult<Tensor> {
        match self {
            Self::QuickGelu => x * candle_nn::ops::sigmoid(&(x * 1.702)?)?,
            Self::Gelu => x.gelu_erf(),
            Self::GeluNew => x.gelu(),
        }
    }

    /// The same for rows on the CPU.
    pub(super) fn curve(self) -> Curve {
        match self {
            Self::QuickGelu => Curve::Sigmoid(1.702),
            Self::Gelu => Curve::Gelu,
            Self::GeluNew => Curve::GeluTanh,
        }
    }
}

/// Two architectures whose towers are alike; what differs is how a tower's tokens become one vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A class token and an end token, each projected: OpenAI's, OpenCLIP's.
    Clip,
    /// A learned query over all patches, the last of a fixed number of tokens (Zhai et al., arXiv 2303.15343). So is
    /// SigLIP 2 (arXiv 2502.14786) where its images have one size.
    Siglip,
}

/// What `config` says that it is; others have the same keys and compute otherwise.
///
/// # Errors
/// [`Error::Input`] naming what else it is.
pub(super) fn kind(part: &Part<'_>, config: &Value) -> Result<Kind> {
    match config["model_type"].as_str() {
        None | Some("clip" | "clip_text_model" | "clip_vision_model") => Ok(Kind::Clip),
        Some("siglip") => Ok(Kind::Siglip),
        Some(other) => {
            let other = crate::fsio::printable(other);
            let message =
                format!("model_type is `{other}`: only CLIP (`clip`) and SigLIP of one image size (`siglip`) are read");
            Err(Error::input(part.path("config.json"), message))
        }
    }
}

/// One tower's transformer; keys that only the other tower has keep their defaults.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct TowerConfig {
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width inside the MLPs.
    pub intermediate_size: usize,
    /// Blocks.
    pub num_hidden_layers: usize,
    /// Attention heads; divides `hidden_size`.
    pub num_attention_heads: usize,
    /// Activation of the MLPs.
    pub hidden_act: Activation,
    /// Added to the variance in every layer norm.
    pub layer_norm_eps: f64,
    /// Width of the joint space, where the tower stands alone.
    pub projection_dim: usize,
    /// Text: number of tokens.
    pub vocab_size: usize,
    /// Text: longest sequence.
    pub max_position_embeddings: usize,
    /// Text: the end token, or 2, which stands for "the highest id" (see the text tower).
    pub eos_token_id: u32,
    /// Vision: side of the input in pixels.
    pub image_size: usize,
    /// Vision: side of a patch in pixels.
    pub patch_size: usize,
    /// Vision: 3.
    pub num_channels: usize,
}

impl Default for TowerConfig {
    fn default() -> Self {
        Self::text()
    }
}

impl TowerConfig {
    /// Defaults of transformers' `CLIPTextConfig`, which the other three differ from.
    fn text() -> Self {
        Self {
            hidden_size: 512,
            intermediate_size: 2048,
            num_hidden_layers: 12,
            num_attention_heads: 8,
            hidden_act: Activation::QuickGelu,
            layer_norm_eps: 1e-5,
            projection_dim: 512,
            vocab_size: 49408,
            max_position_embeddings: 77,
            eos_token_id: 49407,
            image_size: 224,
            patch_size: 32,
            num_channels: 3,
        }
    }

    /// Reads a tower from `value`, with the defaults of its configuration in transformers.
    pub(super) fn read(part: &Part<'_>, value: &Value, kind: Kind, vision: bool) -> Result<Self> {
        let mut filled = value.as_object().cloned().unwrap_or_default();
        filled.retain(|_, v| !v.is_null());
        let wide = [("hidden_size", 768), ("intermediate_size", 3072), ("num_attention_heads", 12)];
        let short = [("max_position_embeddings", 64), ("vocab_size", 32000), ("patch_size", 16)];
        let siglip = kind == Kind::Siglip;
        let wide = wide.iter().filter(|_| vision || siglip);
        for (key, default) in wide.chain(short.iter().filter(|_| siglip)) {
            filled.entry(*key).or_insert_with(|| (*default).into());
        }
        if siglip {
            filled.entry("hidden_act").or_insert_with(|| "gelu_pytorch_tanh".into());
            filled.entry("layer_norm_eps").or_insert_with(|| 1e-6.into());
        }
        let wrong = |message: String| Error::input(part.path("config.json"), message);
        let config: Self = serde_json::from_value(Value::Object(filled)).map_err(|e| wrong(e.to_string()))?;
        config.check(vision).map_err(|m| wrong(m.to_owned()))?;
        Ok(config)
    }

    fn check(&self, vision: bool) -> std::result::Result<(), &'static str> {
        if self.num_attention_heads == 0
            || self.hidden_size == 0
            || !self.hidden_size.is_multiple_of(self.num_attention_heads)
        {
            return Err("hidden_size must be a multiple of num_attention_heads");
        }
        if vision && (self.patch_size == 0 || self.image_size < self.patch_size || self.image_size > 4096) {
            return Err("patch_size must be at least 1 and at most image_size, which must be at most 4096");
        }
        if vision && self.num_channels != 3 {
            return Err("num_channels must be 3");
        }
        Ok(())
    }

    /// Patches along a side of the image.
    pub fn grid(&self) -> usize {
        self.image_size / self.patch_size
    }
}

/// A joint model's configuration.
#[derive(Clone, Debug)]
pub struct ClipConfig {
    /// Its architecture.
    pub kind: Kind,
    /// The text tower.
    pub text: TowerConfig,
    /// The vision tower.
    pub vision: TowerConfig,
    /// Width of the joint space.
    pub projection_dim: usize,
}

impl ClipConfig {
    /// Reads `config.json` of a `CLIPModel` or a `SiglipModel`. As in transformers, `text_config_dict`, an old name, overrules `text_config`.
    ///
    /// # Errors
    /// [`Error::Io`] if the file is missing, [`Error::Input`] if it does not parse or describes neither.
    pub fn load(part: &Part<'_>) -> Result<Self> {
        let config: Value = part.json("config.json")?;
        let kind = kind(part, &config)?;
        let tower = |name: &str| {
            let old = &config[format!("{name}_dict")];
            if old.is_object() { old.clone() } else { config[name].clone() }
        };
        let vision = TowerConfig::read(part, &tower("vision_config"), kind, true)?;
        let projection_dim = match kind {
            Kind::Clip => config["projection_dim"].as_u64().unwrap_or(512) as usize,
            // Images are not projected.
            Kind::Siglip => vision.hidden_size,
        };
        Ok(Self { kind, text: TowerConfig::read(part, &tower("text_config"), kind, false)?, vision, projection_dim })
    }
}
