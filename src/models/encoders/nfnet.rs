//! timm's `NormFreeNet`: pre-activation bottlenecks without normalisation (timm 1.0.19, `models/nfnet.py`; Brock et al.,
//! arXiv 2101.08692 and 2102.06171). NF-ResNets, NF-RegNets and NFNets are told apart by their tensors; what tensors do
//! not show (activation, stem) timm keeps under the architecture's name.

use super::{
    conv::{Activation, Conv, average, avg_pool_2, max_pool_3, sigmoid},
    tensors::Tensors,
};
use crate::{
    error::{Error, Result},
    models::host::Linear,
};
use ndarray::{Array1, Array3, ArrayView3, Axis};
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;

/// Architectures by the start of their names: activation and stem.
const FAMILIES: [(&str, &str, &str); 4] = [
    ("nf_resnet", "relu", "7x7_pool"),
    ("nf_regnet_b", "silu", "3x3"),
    ("nfnet_l", "silu", "deep_quad"),
    ("nfnet_f", "gelu", "deep_quad"),
];

/// Whether `architecture` is built here.
pub fn knows(architecture: &str) -> bool {
    family(architecture).is_some()
}

fn family(architecture: &str) -> Option<&(&str, &str, &str)> {
    FAMILIES.iter().find(|(start, ..)| architecture.starts_with(start))
}

/// Fields of timm's `NfCfg` that may stand in `model_args`. The weights' shapes say the rest; where these fields repeat
/// it, they are checked or passed over.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Args {
    depths: Option<Vec<usize>>,
    channels: Option<Vec<usize>>,
    stem_chs: Option<usize>,
    stem_type: Option<String>,
    act_layer: Option<String>,
    alpha: f32,
    attn_gain: f32,
    std_conv_eps: f64,
    attn_layer: Option<String>,
    width_factor: Option<f64>,
    #[serde(rename = "attn_kwargs")]
    _attention: Value,
    #[serde(rename = "bottle_ratio")]
    _bottle: Value,
    #[serde(rename = "group_size")]
    _group: Value,
    #[serde(rename = "num_features")]
    _features: Value,
    #[serde(rename = "ch_div")]
    _divisor: Value,
    #[serde(rename = "reg")]
    _reg: Value,
    #[serde(rename = "extra_conv")]
    _extra: Value,
}

impl Default for Args {
    fn default() -> Self {
        let [_attention, _bottle, _group, _features, _divisor, _reg, _extra] = [const { Value::Null }; 7];
        Self {
            depths: None,
            channels: None,
            stem_chs: None,
            stem_type: None,
            act_layer: None,
            alpha: 0.2,
            attn_gain: 2.0,
            std_conv_eps: 1e-5,
            attn_layer: None,
            width_factor: None,
            _attention,
            _bottle,
            _group,
            _features,
            _divisor,
            _reg,
            _extra,
        }
    }
}

/// A normaliser-free network without its head; see the module.
#[derive(Debug)]
pub struct NormFreeNet {
    act: Activation,
    /// Scales a block's branch, and what squeeze-and-excitation lets through.
    alpha: f32,
    gain: f32,
    stem: Vec<Conv>,
    stem_pool: bool,
    blocks: Vec<Block>,
    final_conv: Option<Conv>,
}

#[derive(Debug)]
struct Block {
    /// `1 / √(expected variance of the input)`.
    beta: f32,
    halve: bool,
    downsample: Option<Conv>,
    conv1: Conv,
    conv2: Conv,
    /// A second one over the bottleneck: NFNets.
    conv2b: Option<Conv>,
    /// Over the bottleneck: NF-RegNets.
    inner: Option<Squeeze>,
    conv3: Conv,
    /// Over the block's output: NFNets.
    outer: Option<Squeeze>,
}

/// Squeeze-and-excitation: channels weighed by what all of them are on average.
#[derive(Debug)]
struct Squeeze(Linear, Linear);

/// What every convolution needs to know: the activation's γ, and ε.
type Scaling = (f64, f64);

impl NormFreeNet {
    pub fn load(t: &Tensors, architecture: &str, args: Value, config: &Path) -> Result<Self> {
        let args: Args = serde_json::from_value(args).map_err(|e| Error::input(config, format!("model_args: {e}")))?;
        let &(_, act, stem_type) = family(architecture).unwrap_or(&FAMILIES[0]);
        let (act, gamma) = args.activation(act, config)?;
        let stem_type = args.stem_type.as_deref().unwrap_or(stem_type);
        let outside = ["stages.0.0.skipinit_gain", "stages.0.0.attn.conv.weight", "stages.0.0.attn_last.conv.weight"];
        if let Some(name) = outside.iter().find(|name| t.has(name)) {
            return Err(t.wrong(format!("tensor `{name}` belongs to a kind of NormFreeNet that is not supported")));
        }
        let scaling = (gamma, args.std_conv_eps);
        let (stem, stride) = stem(t, stem_type, scaling, config)?;
        let (mut channels, mut depths, mut widths, mut blocks) =
            (stem.last().map_or(0, Conv::out), Vec::new(), Vec::new(), Vec::new());
        let mut variance = 1.0f64;
        for stage in (0..4).take_while(|stage| t.has(&format!("stages.{stage}.0.conv1.weight"))) {
            let depth = (0..).take_while(|i| t.has(&format!("stages.{stage}.{i}.conv1.weight"))).count();
            for i in 0..depth {
                let halve = i == 0 && (stage > 0 || stride == 2);
                let name = format!("stages.{stage}.{i}");
                // A stage's first block still meets the variance that the stage before has left.
                let block = Block::load(t, &name, channels, halve, 1.0 / variance.sqrt(), scaling)?;
                variance = if i == 0 { 1.0 } else { variance } + f64::from(args.alpha).powi(2);
                channels = block.conv3.out();
                blocks.push(block);
            }
            depths.push(depth);
            widths.push(channels);
        }
        let final_conv = match t.has("final_conv.weight") {
            true => Some(Conv::standardised(t, "final_conv", channels, 1, scaling)?),
            false => None,
        };
        args.agree((&depths, &widths, stem.last().map_or(0, Conv::out)), config)?;
        let stem_pool = stem_type.ends_with("_pool");
        Ok(Self { act, alpha: args.alpha, gain: args.attn_gain, stem, stem_pool, blocks, final_conv })
    }

    /// Width of the pooled features.
    pub fn width(&self) -> usize {
        let last = self.blocks.last().map_or(0, |b| b.conv3.out());
        self.final_conv.as_ref().map_or(last, Conv::out)
    }

    /// `[3, side, side]` to pooled features `[width]`.
    pub fn pooled(&self, image: ArrayView3<'_, f32>) -> Array1<f32> {
        let mut x = self.stem[0].forward(image);
        for conv in &self.stem[1..] {
            self.act.apply(&mut x);
            x = conv.forward(x.view());
        }
        if self.stem_pool {
            x = max_pool_3(x.view());
        }
        for block in &self.blocks {
            x = block.forward(x, self);
        }
        if let Some(conv) = &self.final_conv {
            x = conv.forward(x.view());
        }
        self.act.apply(&mut x);
        average(x.view())
    }
}

/// The first convolutions, and how many times smaller they leave the image (with a pooling after them, if any).
fn stem(t: &Tensors, kind: &str, scaling: Scaling, config: &Path) -> Result<(Vec<Conv>, usize)> {
    let (count, side): (usize, usize) = match kind.strip_suffix("_pool").unwrap_or(kind) {
        "7x7" => (1, 7),
        "3x3" => (1, 3),
        "deep" | "deep_tiered" => (3, 3),
        "deep_quad" => (4, 3),
        _ => {
            let kind = crate::fsio::printable(kind);
            return Err(Error::input(config, format!("model_args.stem_type `{kind}` is not supported")));
        }
    };
    let (mut convs, mut channels) = (Vec::new(), 3);
    for i in 0..count {
        let name = if count == 1 { "stem.conv".to_owned() } else { format!("stem.conv{}", i + 1) };
        let stride = if i == 0 || i == 3 { 2 } else { 1 };
        let conv = Conv::standardised(t, &name, channels, stride, scaling)?;
        if conv.kernel() != side {
            let message =
                format!("model_args.stem_type is {kind}, but the weights say a {0}x{0} kernel", conv.kernel());
            return Err(Error::input(config, message));
        }
        channels = conv.out();
        convs.push(conv);
    }
    Ok((convs, if count == 4 || kind.ends_with("_pool") { 4 } else { 2 }))
}

impl Args {
    /// The activation (`default` unless another is named) and its γ: what keeps a normal variable's variance.
    fn activation(&self, default: &str, config: &Path) -> Result<(Activation, f64)> {
        let refused = |name: &str, value: &str, known: &str| {
            let value = crate::fsio::printable(value);
            Err(Error::input(config, format!("model_args.{name} `{value}` is not supported: only {known}")))
        };
        if let Some(attention) = self.attn_layer.as_deref().filter(|a| *a != "se") {
            return refused("attn_layer", attention, "`se`");
        }
        if !(self.std_conv_eps > 0.0 && self.alpha.is_finite() && self.attn_gain.is_finite()) {
            return Err(Error::input(config, "model_args: std_conv_eps must be positive, alpha and attn_gain finite"));
        }
        match self.act_layer.as_deref().unwrap_or(default) {
            "relu" => Ok((Activation::Relu, 1.713_958_859_443_664_6)),
            "silu" => Ok((Activation::Silu, 1.788_129_329_681_396_5)),
            "gelu" => Ok((Activation::Gelu, 1.701_504_349_708_557_1)),
            other => refused("act_layer", other, "`relu`, `silu` and `gelu`"),
        }
    }

    /// What is told must be what the weights say. `channels` may be rounded (`ch_div`), so a wrong one only counts where
    /// it is a multiple of 8 and no factor widens it.
    fn agree(&self, (depths, widths, stem): (&[usize], &[usize], usize), config: &Path) -> Result<()> {
        let differs = |name: &str, told: String, found: String| {
            Err(Error::input(config, format!("model_args.{name} is {told}, but the weights say {found}")))
        };
        if depths.len() != 4 {
            return Err(Error::input(config, format!("the weights have {} of 4 stages", depths.len())));
        }
        if let Some(told) = self.depths.as_deref().filter(|told| *told != depths) {
            return differs("depths", format!("{told:?}"), format!("{depths:?}"));
        }
        let exact = |told: &[usize]| self.width_factor.is_none() && told.iter().all(|c| c % 8 == 0);
        if let Some(told) = self.channels.as_deref().filter(|told| exact(told) && *told != widths) {
            return differs("channels", format!("{told:?}"), format!("{widths:?}"));
        }
        if let Some(told) = self.stem_chs.filter(|told| exact(&[*told]) && *told != stem) {
            return differs("stem_chs", told.to_string(), stem.to_string());
        }
        Ok(())
    }
}

impl Block {
    fn load(t: &Tensors, name: &str, channels: usize, halve: bool, beta: f64, scaling: Scaling) -> Result<Self> {
        let load = |part: &str, channels: usize, stride: usize| {
            Conv::standardised(t, &format!("{name}.{part}"), channels, stride, scaling)
        };
        let conv1 = load("conv1", channels, 1)?;
        let conv2 = load("conv2", conv1.out(), if halve { 2 } else { 1 })?;
        let extra = t.has(&format!("{name}.conv2b.weight"));
        let conv2b = if extra { Some(load("conv2b", conv2.out(), 1)?) } else { None };
        let middle = conv2b.as_ref().map_or(conv2.out(), Conv::out);
        let conv3 = load("conv3", middle, 1)?;
        let changes = halve || conv3.out() != channels;
        let downsample = if changes { Some(load("downsample.conv", channels, 1)?) } else { None };
        if let Some(found) = downsample.as_ref().map(Conv::out).filter(|out| *out != conv3.out()) {
            return Err(t.wrong(format!("`{name}`: downsample gives {found} channels, conv3 {}", conv3.out())));
        }
        let inner = Squeeze::load(t, &format!("{name}.attn"), middle)?;
        let outer = Squeeze::load(t, &format!("{name}.attn_last"), conv3.out())?;
        Ok(Self { beta: beta as f32, halve, downsample, conv1, conv2, conv2b, inner, conv3, outer })
    }

    fn forward(&self, x: Array3<f32>, net: &NormFreeNet) -> Array3<f32> {
        let mut active = x.clone();
        net.act.apply(&mut active);
        active *= self.beta;
        let shortcut = match &self.downsample {
            Some(conv) if self.halve => conv.forward(avg_pool_2(active.view()).view()),
            Some(conv) => conv.forward(active.view()),
            None => x,
        };
        let mut out = self.conv1.forward(active.view());
        for conv in [Some(&self.conv2), self.conv2b.as_ref()].into_iter().flatten() {
            net.act.apply(&mut out);
            out = conv.forward(out.view());
        }
        if let Some(squeeze) = &self.inner {
            squeeze.apply(&mut out, net.gain);
        }
        net.act.apply(&mut out);
        out = self.conv3.forward(out.view());
        if let Some(squeeze) = &self.outer {
            squeeze.apply(&mut out, net.gain);
        }
        out * net.alpha + shortcut
    }
}

impl Squeeze {
    fn load(t: &Tensors, name: &str, channels: usize) -> Result<Option<Self>> {
        if !t.has(&format!("{name}.fc1.weight")) {
            return Ok(None);
        }
        let squeeze = t.linear(&format!("{name}.fc1"), channels)?;
        let excite = t.linear_to(&format!("{name}.fc2"), squeeze.bias.len(), channels)?;
        Ok(Some(Self(squeeze, excite)))
    }

    /// Scales each channel of `x` by a weight between 0 and `gain`.
    fn apply(&self, x: &mut Array3<f32>, gain: f32) {
        let mean = average(x.view()).insert_axis(Axis(0));
        let weights = self.1.forward(self.0.forward(mean.view()).mapv(|v| v.max(0.0)).view());
        for (mut plane, &weight) in x.outer_iter_mut().zip(&weights.row(0)) {
            plane *= gain * sigmoid(weight);
        }
    }
}
