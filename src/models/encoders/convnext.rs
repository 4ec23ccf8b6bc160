//! timm's `ConvNeXt` (timm 1.0.31, `models/convnext.py`; Liu et al., arXiv 2201.03545) and its second version, whose blocks
//! weigh channels by their response (Woo et al., arXiv 2301.00808).

use super::{
    conv::{Conv, average, planes, rows},
    tensors::Tensors,
};
use crate::{
    error::{Error, Result},
    models::host::{LayerNorm, Linear, gelu},
};
use ndarray::{Array1, Array2, Array3, ArrayView3, Axis};
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;

/// Epsilon of timm's norms, and of the responses.
const EPS: f32 = 1e-6;
/// The one architecture whose norms have another.
const OTHER_EPS: (&str, f32) = ("convnext_xxlarge", 1e-5);

/// Whether `architecture` is built here.
pub fn knows(architecture: &str) -> bool {
    architecture.starts_with("convnext_") || architecture.starts_with("convnextv2_")
}

/// Arguments of `ConvNeXt` that may stand in `model_args`; the weights say all but the epsilon, and depths and widths are
/// checked against them.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Args {
    depths: Option<Vec<usize>>,
    dims: Option<Vec<usize>>,
    norm_eps: Option<f32>,
    #[serde(rename = "kernel_sizes")]
    _kernels: Value,
    #[serde(rename = "patch_size")]
    _patch: Value,
    #[serde(rename = "stem_type")]
    _stem: Value,
    #[serde(rename = "ls_init_value")]
    _scale: Value,
    #[serde(rename = "conv_mlp")]
    _mlp: Value,
    #[serde(rename = "use_grn")]
    _response: Value,
    #[serde(rename = "head_norm_first")]
    _first: Value,
    #[serde(rename = "head_hidden_size")]
    _hidden: Value,
    #[serde(rename = "head_init_scale")]
    _init: Value,
}

/// Such a network without its classifier.
#[derive(Debug)]
pub struct ConvNext {
    /// Patches, or two convolutions that overlap; then a norm.
    stem: Vec<Conv>,
    stem_norm: LayerNorm,
    stages: Vec<Stage>,
    /// Of the mean, or of every pixel before it is taken.
    norm: LayerNorm,
    norm_first: bool,
    /// A layer between the mean and the classifier.
    hidden: Option<Linear>,
}

#[derive(Debug)]
struct Stage {
    down: Option<(LayerNorm, Conv)>,
    blocks: Vec<Block>,
}

#[derive(Debug)]
struct Block {
    /// Each channel alone.
    conv: Conv,
    norm: LayerNorm,
    fc1: Linear,
    /// Gain and bias of what each channel's response adds.
    response: Option<[Array1<f32>; 2]>,
    fc2: Linear,
    gamma: Option<Array1<f32>>,
}

impl ConvNext {
    /// `architecture` says the norms' epsilon where `args` do not.
    pub fn load(t: &Tensors, architecture: &str, args: Value, config: &Path) -> Result<Self> {
        let args: Args = serde_json::from_value(args).map_err(|e| Error::input(config, format!("model_args: {e}")))?;
        let named = if architecture == OTHER_EPS.0 { OTHER_EPS.1 } else { EPS };
        let eps = args.norm_eps.unwrap_or(named);
        let overlaps = t.has("stem.2.weight");
        let stem = match overlaps {
            false => vec![Conv::patches(t, "stem.0", 3)?],
            true => {
                let first = Conv::biased(t, "stem.0", 3, 2)?;
                let second = Conv::biased(t, "stem.1", first.out(), 2)?;
                vec![first, second]
            }
        };
        let mut channels = stem.last().map_or(0, Conv::out);
        let stem_norm = t.layer_norm(if overlaps { "stem.2" } else { "stem.1" }, channels, eps)?;
        let mut stages = Vec::new();
        for i in 0..4 {
            let stage = Stage::load(t, &format!("stages.{i}"), channels, eps)?;
            channels = stage.blocks[0].conv.out();
            stages.push(stage);
        }
        let norm_first = t.has("norm_pre.weight");
        let norm = t.layer_norm(if norm_first { "norm_pre" } else { "head.norm" }, channels, eps)?;
        let mlp = "head.pre_logits.fc";
        let hidden = if t.has(&format!("{mlp}.weight")) { Some(t.linear(mlp, channels)?) } else { None };
        let net = Self { stem, stem_norm, stages, norm, norm_first, hidden };
        net.agree(&args, config)?;
        Ok(net)
    }

    /// What `model_args` says must be what the weights say.
    fn agree(&self, args: &Args, config: &Path) -> Result<()> {
        let depths: Vec<usize> = self.stages.iter().map(|stage| stage.blocks.len()).collect();
        let dims: Vec<usize> = self.stages.iter().map(|stage| stage.blocks[0].conv.out()).collect();
        for (name, told, found) in [("depths", &args.depths, depths), ("dims", &args.dims, dims)] {
            if let Some(told) = told.as_ref().filter(|told| **told != found) {
                let message = format!("model_args.{name} is {told:?}, but the weights say {found:?}");
                return Err(Error::input(config, message));
            }
        }
        Ok(())
    }

    /// Width of the pooled features.
    pub fn width(&self) -> usize {
        self.hidden.as_ref().map_or(self.norm.gain.len(), |hidden| hidden.bias.len())
    }

    /// `[3, side, side]` to pooled features `[width]`.
    pub fn pooled(&self, image: ArrayView3<'_, f32>) -> Array1<f32> {
        let mut x = image.to_owned();
        for conv in &self.stem {
            x = conv.forward(x.view());
        }
        x = each_pixel(&self.stem_norm, x);
        for stage in &self.stages {
            x = stage.forward(x);
        }
        let one = |x: Array1<f32>| x.insert_axis(Axis(0));
        let normed = match self.norm_first {
            true => one(average(each_pixel(&self.norm, x).view())),
            false => self.norm.forward(one(average(x.view())).view()),
        };
        let pooled = match &self.hidden {
            None => normed,
            Some(hidden) => hidden.forward(normed.view()).mapv_into(gelu),
        };
        pooled.remove_axis(Axis(0))
    }
}

/// The norm over the channels of each pixel.
fn each_pixel(norm: &LayerNorm, x: Array3<f32>) -> Array3<f32> {
    let (_, h, w) = x.dim();
    planes(norm.forward(rows(x.view()).view()), h, w)
}

impl Stage {
    fn load(t: &Tensors, name: &str, channels: usize, eps: f32) -> Result<Self> {
        let down = match t.has(&format!("{name}.downsample.1.weight")) {
            false => None,
            true => {
                let norm = t.layer_norm(&format!("{name}.downsample.0"), channels, eps)?;
                Some((norm, Conv::patches(t, &format!("{name}.downsample.1"), channels)?))
            }
        };
        let channels = down.as_ref().map_or(channels, |(_, conv)| conv.out());
        let depth = (0..).take_while(|i| t.has(&format!("{name}.blocks.{i}.conv_dw.weight"))).count();
        // A stage that is missing is named by its first tensor.
        let blocks = (0..depth.max(1)).map(|i| Block::load(t, &format!("{name}.blocks.{i}"), channels, eps));
        Ok(Self { down, blocks: blocks.collect::<Result<_>>()? })
    }

    fn forward(&self, mut x: Array3<f32>) -> Array3<f32> {
        if let Some((norm, conv)) = &self.down {
            x = conv.forward(each_pixel(norm, x).view());
        }
        self.blocks.iter().fold(x, |x, block| block.forward(x))
    }
}

impl Block {
    fn load(t: &Tensors, name: &str, channels: usize, eps: f32) -> Result<Self> {
        let part = |part: &str| format!("{name}.{part}");
        let conv = Conv::biased(t, &part("conv_dw"), channels, 1)?;
        if conv.out() != channels {
            return Err(t.wrong(format!("`{name}`: has {} channels, its input {channels}", conv.out())));
        }
        let fc1 = t.linear(&part("mlp.fc1"), channels)?;
        let inner = fc1.bias.len();
        let [gain, bias] = ["mlp.grn.weight", "mlp.grn.bias"].map(part);
        let response = if t.has(&gain) { Some([t.vector(&gain, inner)?, t.vector(&bias, inner)?]) } else { None };
        let gamma = part("gamma");
        Ok(Self {
            conv,
            norm: t.layer_norm(&part("norm"), channels, eps)?,
            fc1,
            response,
            fc2: t.linear_to(&part("mlp.fc2"), inner, channels)?,
            gamma: if t.has(&gamma) { Some(t.vector(&gamma, channels)?) } else { None },
        })
    }

    fn forward(&self, x: Array3<f32>) -> Array3<f32> {
        let (_, h, w) = x.dim();
        let seen = self.norm.forward(rows(self.conv.forward(x.view()).view()).view()); // [h w, channels]
        let mut inner = self.fc1.forward(seen.view()).mapv_into(gelu);
        if let Some([gain, bias]) = &self.response {
            respond(&mut inner, gain, bias);
        }
        let mut out = self.fc2.forward(inner.view());
        if let Some(gamma) = &self.gamma {
            out *= gamma;
        }
        x + planes(out, h, w)
    }
}

/// timm's `GlobalResponseNorm` of `x` `[h w, channels]`: each channel once more, weighed by its length over the image
/// against the mean of all lengths.
fn respond(x: &mut Array2<f32>, gain: &Array1<f32>, bias: &Array1<f32>) {
    let lengths = x.map_axis(Axis(0), |c| c.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt() as f32);
    let mean = lengths.mean().unwrap_or(0.0) + EPS;
    let times = lengths / mean * gain + 1.0;
    *x *= &times;
    *x += bias;
}
