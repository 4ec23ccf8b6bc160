//! timm's `NormFreeNet` in its ResNet form: pre-activation bottlenecks without normalisation, ReLU (timm 1.0.19,
//! `models/nfnet.py`; Brock et al., arXiv 2101.08692).

use super::{
    conv::{StdConv, avg_pool_2, max_pool_3},
    tensors::Tensors,
};
use crate::{
    error::{Error, Result},
    models::dense::Linear,
};
use ndarray::{Array1, Array3, ArrayView3, Axis};
use serde::Deserialize;
use std::path::Path;

/// Keeps the variance through a ReLU: `√(2 / (1 - 1/π))`.
const GAMMA_RELU: f64 = 1.713_958_859_443_664_6;

/// Fields of timm's `NfCfg` that may stand in `model_args`; the defaults are those of the `nf_resnet*` models.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Args {
    depths: Option<Vec<usize>>,
    channels: Option<Vec<usize>>,
    stem_chs: Option<usize>,
    stem_type: String,
    alpha: f32,
    std_conv_eps: f64,
    act_layer: String,
    num_classes: Option<usize>,
    #[allow(dead_code, reason = "the weights' shapes say it")]
    bottle_ratio: Option<f64>,
    #[allow(dead_code, reason = "the weights' shapes say it")]
    group_size: Option<usize>,
    #[allow(dead_code, reason = "the weights' shapes say it")]
    num_features: Option<usize>,
    #[allow(dead_code, reason = "the weights' shapes say it")]
    width_factor: Option<f64>,
    #[allow(dead_code, reason = "the weights' shapes say it")]
    ch_div: Option<usize>,
    attn_layer: Option<String>,
    #[allow(dead_code, reason = "without attention it says nothing")]
    attn_kwargs: Option<serde_json::Value>,
    #[allow(dead_code, reason = "rates of training only")]
    drop_rate: Option<f64>,
    #[allow(dead_code, reason = "rates of training only")]
    drop_path_rate: Option<f64>,
}

impl Default for Args {
    fn default() -> Self {
        Self {
            depths: None,
            channels: None,
            stem_chs: None,
            stem_type: "7x7_pool".into(),
            alpha: 0.2,
            std_conv_eps: 1e-5,
            act_layer: "relu".into(),
            num_classes: None,
            bottle_ratio: None,
            group_size: None,
            num_features: None,
            width_factor: None,
            ch_div: None,
            attn_layer: None,
            attn_kwargs: None,
            drop_rate: None,
            drop_path_rate: None,
        }
    }
}

/// A normaliser-free ResNet; see the module.
#[derive(Debug)]
pub struct NfResnet {
    side: usize,
    alpha: f32,
    stem: StdConv,
    stem_pool: bool,
    blocks: Vec<Block>,
    final_conv: Option<StdConv>,
    head: Linear,
}

#[derive(Debug)]
struct Block {
    /// `1 / √(expected variance of the input)`.
    beta: f32,
    halve: bool,
    downsample: Option<StdConv>,
    conv1: StdConv,
    conv2: StdConv,
    conv3: StdConv,
}

impl NfResnet {
    pub(super) fn load(t: &Tensors, args: &Args, config: &Path, side: usize) -> Result<Self> {
        args.check(config)?;
        let outside = ["stages.0.0.skipinit_gain", "stages.0.0.conv2b.weight", "stages.0.0.attn_last.fc1.weight"];
        if let Some(name) = outside.iter().find(|name| t.has(name)) {
            return Err(t.wrong(format!("tensor `{name}` belongs to a kind of NormFreeNet that is not supported")));
        }
        let stem = StdConv::load(t, "stem.conv", 3, 2, GAMMA_RELU, args.std_conv_eps)?;
        let stem_pool = args.stem_type.ends_with("_pool");
        let (mut channels, mut depths, mut widths, mut blocks) = (stem.out(), Vec::new(), Vec::new(), Vec::new());
        let mut variance = 1.0f64;
        for stage in (0..4).take_while(|stage| t.has(&format!("stages.{stage}.0.conv1.weight"))) {
            let depth = (0..).take_while(|i| t.has(&format!("stages.{stage}.{i}.conv1.weight"))).count();
            for i in 0..depth {
                let halve = i == 0 && (stage > 0 || !stem_pool);
                let name = format!("stages.{stage}.{i}");
                // A stage's first block still meets the variance that the stage before has left.
                let block = Block::load(t, &name, channels, halve, 1.0 / variance.sqrt(), args)?;
                variance = if i == 0 { 1.0 } else { variance } + f64::from(args.alpha).powi(2);
                channels = block.conv3.out();
                blocks.push(block);
            }
            depths.push(depth);
            widths.push(channels);
        }
        let final_conv = match t.has("final_conv.weight") {
            true => Some(StdConv::load(t, "final_conv", channels, 1, GAMMA_RELU, args.std_conv_eps)?),
            false => None,
        };
        let head = t.linear("head.fc", final_conv.as_ref().map_or(channels, StdConv::out))?;
        let net = Self { side, alpha: args.alpha, stem, stem_pool, blocks, final_conv, head };
        net.agree(args, &depths, &widths, config)?;
        Ok(net)
    }

    /// What `model_args` says must be what the weights say. `channels` may be rounded (`ch_div`), so a wrong one only
    /// counts where it is a multiple of 8 and no factor widens it.
    fn agree(&self, args: &Args, depths: &[usize], widths: &[usize], config: &Path) -> Result<()> {
        let differs = |name: &str, told: String, found: String| {
            Err(Error::input(config, format!("model_args.{name} is {told}, but the weights say {found}")))
        };
        if depths.len() != 4 {
            return Err(Error::input(config, format!("the weights have {} of 4 stages", depths.len())));
        }
        if let Some(told) = args.depths.as_deref().filter(|told| *told != depths) {
            return differs("depths", format!("{told:?}"), format!("{depths:?}"));
        }
        let exact = |told: &[usize]| args.width_factor.is_none() && told.iter().all(|c| c % 8 == 0);
        if let Some(told) = args.channels.as_deref().filter(|told| exact(told) && *told != widths) {
            return differs("channels", format!("{told:?}"), format!("{widths:?}"));
        }
        if let Some(told) = args.stem_chs.filter(|told| exact(&[*told]) && *told != self.stem.out()) {
            return differs("stem_chs", told.to_string(), self.stem.out().to_string());
        }
        if let Some(told) = args.num_classes.filter(|told| *told != self.classes()) {
            return differs("num_classes", told.to_string(), self.classes().to_string());
        }
        match (args.stem_type.as_str(), self.stem.kernel()) {
            ("7x7_pool" | "7x7", 7) | ("3x3_pool" | "3x3", 3) => Ok(()),
            (told, found) => differs("stem_type", told.to_owned(), format!("a {found}x{found} kernel")),
        }
    }

    pub(super) fn side(&self) -> usize {
        self.side
    }

    pub(super) fn classes(&self) -> usize {
        self.head.bias.len()
    }

    /// `[3, side, side]` to logits `[classes]`.
    pub(super) fn forward(&self, image: ArrayView3<'_, f32>) -> Array1<f32> {
        let mut x = self.stem.forward(image);
        if self.stem_pool {
            x = max_pool_3(x.view());
        }
        for block in &self.blocks {
            x = block.forward(x, self.alpha);
        }
        if let Some(conv) = &self.final_conv {
            x = conv.forward(x.view());
        }
        relu(&mut x);
        let pixels = (x.dim().1 * x.dim().2) as f32;
        let pooled = x.sum_axis(Axis(2)).sum_axis(Axis(1)) / pixels; // [channels]
        self.head.forward(pooled.view().insert_axis(Axis(0))).remove_axis(Axis(0))
    }
}

impl Args {
    fn check(&self, config: &Path) -> Result<()> {
        let refused = |name: &str, value: &str, known: &str| {
            let value = crate::fsio::printable(value);
            Err(Error::input(config, format!("model_args.{name} `{value}` is not supported: only {known}")))
        };
        if self.act_layer != "relu" {
            return refused("act_layer", &self.act_layer, "`relu`");
        }
        if let Some(attention) = &self.attn_layer {
            return refused("attn_layer", attention, "none");
        }
        if !(self.std_conv_eps > 0.0 && self.alpha.is_finite()) {
            return Err(Error::input(config, "model_args: std_conv_eps must be positive and alpha finite"));
        }
        Ok(())
    }
}

impl Block {
    fn load(t: &Tensors, name: &str, channels: usize, halve: bool, beta: f64, args: &Args) -> Result<Self> {
        let load = |part: &str, channels: usize, stride: usize| {
            StdConv::load(t, &format!("{name}.{part}"), channels, stride, GAMMA_RELU, args.std_conv_eps)
        };
        let conv1 = load("conv1", channels, 1)?;
        let conv2 = load("conv2", conv1.out(), if halve { 2 } else { 1 })?;
        let conv3 = load("conv3", conv2.out(), 1)?;
        let changes = halve || conv3.out() != channels;
        let downsample = if changes { Some(load("downsample.conv", channels, 1)?) } else { None };
        if let Some(found) = downsample.as_ref().map(StdConv::out).filter(|out| *out != conv3.out()) {
            return Err(t.wrong(format!("`{name}`: downsample gives {found} channels, conv3 {}", conv3.out())));
        }
        Ok(Self { beta: beta as f32, halve, downsample, conv1, conv2, conv3 })
    }

    fn forward(&self, x: Array3<f32>, alpha: f32) -> Array3<f32> {
        let active = x.mapv(|v| v.max(0.0) * self.beta);
        let shortcut = match &self.downsample {
            Some(conv) if self.halve => conv.forward(avg_pool_2(active.view()).view()),
            Some(conv) => conv.forward(active.view()),
            None => x,
        };
        let mut out = self.conv1.forward(active.view());
        relu(&mut out);
        out = self.conv2.forward(out.view());
        relu(&mut out);
        self.conv3.forward(out.view()) * alpha + shortcut
    }
}

fn relu(x: &mut Array3<f32>) {
    x.mapv_inplace(|v| v.max(0.0));
}
