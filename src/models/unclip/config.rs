//! The JSON files of a diffusers checkpoint, with diffusers' defaults (0.34.0) for absent keys.

use crate::{
    error::{Error, Result},
    models::weights::Part,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

/// A value for all levels, or one for each.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum PerLevel {
    All(usize),
    Each(Vec<usize>),
}

impl PerLevel {
    /// The value at `level`; `None` if the list is too short.
    pub fn at(&self, level: usize) -> Option<usize> {
        match self {
            Self::All(n) => Some(*n),
            Self::Each(list) => list.get(level).copied(),
        }
    }
}

/// `unet/config.json`: `UNet2DConditionModel`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub(super) struct UnetConfig {
    pub sample_size: Option<PerLevel>,
    pub in_channels: usize,
    pub out_channels: usize,
    pub flip_sin_to_cos: bool,
    pub freq_shift: f64,
    pub down_block_types: Vec<String>,
    pub up_block_types: Vec<String>,
    pub block_out_channels: Vec<usize>,
    pub layers_per_block: PerLevel,
    pub mid_block_scale_factor: f64,
    pub norm_num_groups: usize,
    pub norm_eps: f64,
    pub cross_attention_dim: PerLevel,
    pub transformer_layers_per_block: PerLevel,
    /// In diffusers this key holds the number of heads, by a naming accident it keeps for old checkpoints.
    pub attention_head_dim: PerLevel,
    pub use_linear_projection: bool,
    pub upcast_attention: bool,
    pub time_embedding_dim: Option<usize>,
    pub projection_class_embeddings_input_dim: Option<usize>,
}

impl Default for UnetConfig {
    fn default() -> Self {
        let cross = |kind: &str, plain: &str| [vec![kind.to_string(); 3], vec![plain.to_string()]].concat();
        let mut up = cross("CrossAttnUpBlock2D", "UpBlock2D");
        up.reverse();
        Self {
            sample_size: None,
            in_channels: 4,
            out_channels: 4,
            flip_sin_to_cos: true,
            freq_shift: 0.,
            down_block_types: cross("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types: up,
            block_out_channels: vec![320, 640, 1280, 1280],
            layers_per_block: PerLevel::All(2),
            mid_block_scale_factor: 1.,
            norm_num_groups: 32,
            norm_eps: 1e-5,
            cross_attention_dim: PerLevel::All(1280),
            transformer_layers_per_block: PerLevel::All(1),
            attention_head_dim: PerLevel::All(8),
            use_linear_projection: false,
            upcast_attention: false,
            time_embedding_dim: None,
            projection_class_embeddings_input_dim: None,
        }
    }
}

/// `vae/config.json`: `AutoencoderKL`, of which only the decoder is used.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub(super) struct VaeConfig {
    pub out_channels: usize,
    pub up_block_types: Vec<String>,
    pub block_out_channels: Vec<usize>,
    pub layers_per_block: usize,
    pub latent_channels: usize,
    pub norm_num_groups: usize,
    pub scaling_factor: f64,
    pub use_post_quant_conv: bool,
    pub mid_block_add_attention: bool,
}

impl Default for VaeConfig {
    fn default() -> Self {
        Self {
            out_channels: 3,
            up_block_types: vec!["UpDecoderBlock2D".into()],
            block_out_channels: vec![64],
            layers_per_block: 1,
            latent_channels: 4,
            norm_num_groups: 32,
            scaling_factor: 0.18215,
            use_post_quant_conv: true,
            mid_block_add_attention: true,
        }
    }
}

/// `image_normalizer/config.json`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub(super) struct NormalizerConfig {
    pub embedding_dim: usize,
}

impl Default for NormalizerConfig {
    fn default() -> Self {
        Self { embedding_dim: 768 }
    }
}

/// Keys whose other values would change the network into one that is not built here.
const UNET_FIXED: &[(&str, &str)] = &[
    ("center_input_sample", "false"),
    ("mid_block_type", "\"UNetMidBlock2DCrossAttn\""),
    ("only_cross_attention", "false"),
    ("downsample_padding", "1"),
    ("act_fn", "\"silu\""),
    ("reverse_transformer_layers_per_block", "null"),
    ("encoder_hid_dim", "null"),
    ("encoder_hid_dim_type", "null"),
    ("num_attention_heads", "null"),
    ("dual_cross_attention", "false"),
    ("class_embed_type", "\"projection\""),
    ("addition_embed_type", "null"),
    ("resnet_time_scale_shift", "\"default\""),
    ("resnet_skip_time_act", "false"),
    ("resnet_out_scale_factor", "1.0"),
    ("time_embedding_type", "\"positional\""),
    ("time_embedding_act_fn", "null"),
    ("timestep_post_act", "null"),
    ("time_cond_proj_dim", "null"),
    ("conv_in_kernel", "3"),
    ("conv_out_kernel", "3"),
    ("attention_type", "\"default\""),
    ("class_embeddings_concat", "false"),
    ("mid_block_only_cross_attention", "null"),
    ("cross_attention_norm", "null"),
];
const VAE_FIXED: &[(&str, &str)] =
    &[("act_fn", "\"silu\""), ("latents_mean", "null"), ("latents_std", "null"), ("shift_factor", "null")];

/// Reads `file` of `part`, refusing what `fixed` does not allow.
fn read<T: DeserializeOwned>(part: &Part<'_>, file: &str, fixed: &[(&str, &str)]) -> Result<T> {
    let all: Value = part.json(file)?;
    let same = |a: &Value, b: &Value| a == b || a.as_f64().is_some_and(|x| b.as_f64() == Some(x));
    for (key, only) in fixed {
        let only: Value = serde_json::from_str(only).unwrap_or(Value::Null);
        if let Some(found) = all.get(*key).filter(|v| !same(v, &only)) {
            return Err(Error::input(part.path(file), format!("`{key}` is {found}; only {only} is supported")));
        }
    }
    serde_json::from_value(all).map_err(|e| Error::input(part.path(file), e.to_string()))
}

/// Reads and checks the UNet's configuration.
pub(super) fn unet(part: &Part<'_>) -> Result<UnetConfig> {
    let file = "config.json";
    let c: UnetConfig = read(part, file, UNET_FIXED)?;
    let wrong = |message: String| Err(Error::input(part.path(file), message));
    let levels = c.block_out_channels.len();
    if levels == 0 || c.down_block_types.len() != levels || c.up_block_types.len() != levels {
        return wrong("`block_out_channels`, `down_block_types` and `up_block_types` differ in length".into());
    }
    let lists = [
        ("layers_per_block", &c.layers_per_block),
        ("attention_head_dim", &c.attention_head_dim),
        ("cross_attention_dim", &c.cross_attention_dim),
        ("transformer_layers_per_block", &c.transformer_layers_per_block),
    ];
    for (key, list) in lists {
        if (0..levels).any(|i| list.at(i).is_none_or(|n| n == 0)) {
            return wrong(format!("`{key}` needs a positive number for each of {levels} levels"));
        }
    }
    for (i, &channels) in c.block_out_channels.iter().enumerate() {
        let heads = c.attention_head_dim.at(i).unwrap_or(1);
        if c.norm_num_groups == 0 || channels == 0 || channels % c.norm_num_groups != 0 || channels % heads != 0 {
            return wrong(format!(
                "{channels} channels do not split into {} groups and {heads} heads",
                c.norm_num_groups
            ));
        }
    }
    if c.in_channels == 0 || c.in_channels != c.out_channels {
        return wrong(format!("`in_channels` {} and `out_channels` {} must agree", c.in_channels, c.out_channels));
    }
    Ok(c)
}

/// Reads and checks the VAE's configuration.
pub(super) fn vae(part: &Part<'_>) -> Result<VaeConfig> {
    let file = "config.json";
    let c: VaeConfig = read(part, file, VAE_FIXED)?;
    let wrong = |message: &str| Err(Error::input(part.path(file), message));
    if c.block_out_channels.is_empty() || c.up_block_types.len() != c.block_out_channels.len() {
        return wrong("`block_out_channels` and `up_block_types` differ in length");
    }
    if c.up_block_types.iter().any(|t| t != "UpDecoderBlock2D") {
        return wrong("`up_block_types`: only UpDecoderBlock2D is supported");
    }
    let groups = c.norm_num_groups;
    if groups == 0 || c.block_out_channels.iter().any(|n| *n == 0 || n % groups != 0) {
        return wrong("`block_out_channels` do not split into `norm_num_groups` groups");
    }
    if c.out_channels != 3 || !c.scaling_factor.is_normal() {
        return wrong("`out_channels` must be 3 and `scaling_factor` a number other than 0");
    }
    Ok(c)
}
