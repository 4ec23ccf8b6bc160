//! diffusers' `UNet2DConditionModel` with projected class embeddings, as the unCLIP models use it.

use super::{
    config::{PerLevel, UnetConfig},
    layers::{Conv, GroupNorm, Memories, silu},
    resnet::{Resnet, Sizes},
    transformer::Transformer,
};
use crate::models::layers::{Linear, shares};
use candle_core::{D, Device, Result, Tensor};
use candle_nn::VarBuilder;

/// One level on the way down, at the bottom or on the way up.
struct Level {
    resnets: Vec<Resnet>,
    /// Empty, or (on the way down and up) one for each resnet, or (at the bottom) one between two resnets.
    attentions: Vec<Transformer>,
    /// Halves or doubles the image at the end.
    resample: Option<Conv>,
}

/// Two linear layers with a SiLU between.
struct Embedding(Linear, Linear);

impl Embedding {
    fn load(vb: &VarBuilder<'_>, input: usize, width: usize) -> Result<Self> {
        let first = Linear::load(&vb.pp("linear_1"), input, width, true)?;
        Ok(Self(first, Linear::load(&vb.pp("linear_2"), width, width, true)?))
    }

    fn run(&self, x: &Tensor) -> Result<Tensor> {
        self.1.run(&silu(&self.0.run(x, None)?)?, None)
    }
}

/// Pixels of latents that go through the network together: both halves of a guided image of 64 x 64.
const GROUP: usize = 8192;

/// The denoiser.
pub(super) struct Unet {
    waves: (usize, bool, f64),
    time: Embedding,
    class: Embedding,
    conv_in: Conv,
    down: Vec<Level>,
    mid: Level,
    up: Vec<Level>,
    norm_out: GroupNorm,
    conv_out: Conv,
}

/// Sinusoidal embedding of `values`, `[len, width]`: diffusers' `get_timestep_embedding`.
pub(super) fn sinusoids(values: &[f64], width: usize, flip: bool, shift: f64, device: &Device) -> Result<Tensor> {
    let half = width / 2;
    let mut out = Vec::with_capacity(values.len() * width);
    for value in values {
        let angle = |i: usize| {
            let exponent = -(10_000f64.ln()) * i as f64 / (half as f64 - shift);
            (value * f64::from(exponent.exp() as f32)) as f32
        };
        let (sin, cos) = ((0..half).map(|i| angle(i).sin()), (0..half).map(|i| angle(i).cos()));
        if flip {
            out.extend(cos.chain(sin))
        } else {
            out.extend(sin.chain(cos))
        }
        out.extend(std::iter::repeat_n(0f32, width - 2 * half));
    }
    Tensor::from_vec(out, (values.len(), width), device)
}

/// What loading a level needs besides its own sizes.
struct Plan<'a> {
    config: &'a UnetConfig,
    time: usize,
}

impl Plan<'_> {
    fn at(list: &PerLevel, level: usize) -> usize {
        list.at(level).unwrap_or(1)
    }

    fn resnet(&self, vb: &VarBuilder<'_>, i: usize, input: usize, output: usize, factor: f64) -> Result<Resnet> {
        let c = self.config;
        let sizes = Sizes { input, output, time: Some(self.time), groups: c.norm_num_groups, eps: c.norm_eps, factor };
        Resnet::load(&vb.pp("resnets").pp(i), sizes)
    }

    fn attentions(&self, vb: &VarBuilder<'_>, level: usize, count: usize) -> Result<Vec<Transformer>> {
        let channels = self.config.block_out_channels[level];
        (0..count).map(|i| Transformer::load(&vb.pp("attentions").pp(i), self.config, level, channels)).collect()
    }

    fn down(&self, vb: &VarBuilder<'_>, level: usize) -> Result<Level> {
        let c = self.config;
        let output = c.block_out_channels[level];
        let before = c.block_out_channels[level.saturating_sub(1)];
        let layers = Self::at(&c.layers_per_block, level);
        let cross = kind(&c.down_block_types[level], "DownBlock2D", "CrossAttnDownBlock2D")?;
        let resnet = |i| self.resnet(vb, i, if i == 0 { before } else { output }, output, 1.);
        let last = level + 1 == c.block_out_channels.len();
        let half = (!last).then(|| Conv::load(&vb.pp("downsamplers.0.conv"), output, output, 2)).transpose()?;
        Ok(Level {
            resnets: (0..layers).map(resnet).collect::<Result<_>>()?,
            attentions: self.attentions(vb, level, if cross { layers } else { 0 })?,
            resample: half,
        })
    }

    fn mid(&self, vb: &VarBuilder<'_>) -> Result<Level> {
        let c = self.config;
        let level = c.block_out_channels.len() - 1;
        let width = c.block_out_channels[level];
        let resnet = |i| self.resnet(vb, i, width, width, c.mid_block_scale_factor);
        Ok(Level { resnets: vec![resnet(0)?, resnet(1)?], attentions: self.attentions(vb, level, 1)?, resample: None })
    }

    /// The `i`th block on the way up, of the level that mirrors it.
    fn up(&self, vb: &VarBuilder<'_>, i: usize) -> Result<Level> {
        let c = self.config;
        let level = c.block_out_channels.len() - 1 - i;
        let output = c.block_out_channels[level];
        let below = c.block_out_channels[(level + 1).min(c.block_out_channels.len() - 1)];
        let above = c.block_out_channels[level.saturating_sub(1)];
        let layers = Self::at(&c.layers_per_block, level) + 1;
        let cross = kind(&c.up_block_types[i], "UpBlock2D", "CrossAttnUpBlock2D")?;
        let resnet = |j| {
            let skip = if j + 1 == layers { above } else { output };
            self.resnet(vb, j, skip + if j == 0 { below } else { output }, output, 1.)
        };
        let double = (level > 0).then(|| Conv::load(&vb.pp("upsamplers.0.conv"), output, output, 1)).transpose()?;
        Ok(Level {
            resnets: (0..layers).map(resnet).collect::<Result<_>>()?,
            attentions: self.attentions(vb, level, if cross { layers } else { 0 })?,
            resample: double,
        })
    }
}

fn kind(found: &str, plain: &str, cross: &str) -> Result<bool> {
    match found {
        f if f == plain => Ok(false),
        f if f == cross => Ok(true),
        other => candle_core::bail!("block type {other} is not supported; {plain} and {cross} are"),
    }
}

impl Unet {
    /// Builds the network of `c` from diffusers' tensors.
    pub fn load(vb: &VarBuilder<'_>, c: &UnetConfig, class_width: usize) -> Result<Self> {
        let channels = &c.block_out_channels;
        let (first, levels) = (channels[0], channels.len());
        let time = c.time_embedding_dim.unwrap_or(4 * first);
        let plan = Plan { config: c, time };
        Ok(Self {
            waves: (first, c.flip_sin_to_cos, c.freq_shift),
            time: Embedding::load(&vb.pp("time_embedding"), first, time)?,
            class: Embedding::load(&vb.pp("class_embedding"), class_width, time)?,
            conv_in: Conv::load(&vb.pp("conv_in"), c.in_channels, first, 1)?,
            down: (0..levels).map(|i| plan.down(&vb.pp("down_blocks").pp(i), i)).collect::<Result<_>>()?,
            mid: plan.mid(&vb.pp("mid_block"))?,
            up: (0..levels).map(|i| plan.up(&vb.pp("up_blocks").pp(i), i)).collect::<Result<_>>()?,
            norm_out: GroupNorm::load(&vb.pp("conv_norm_out"), c.norm_num_groups, first, c.norm_eps)?,
            conv_out: Conv::load(&vb.pp("conv_out"), first, c.out_channels, 1)?,
        })
    }

    /// The embedding of class labels `[b, 2 d]`, the same at every time step.
    pub fn classes(&self, labels: &Tensor) -> Result<Tensor> {
        self.class.run(labels)
    }

    /// What the prompts `[b, tokens, d]` contribute to each attention, the same at every time step.
    pub fn contexts(&self, prompts: &Tensor) -> Result<Vec<Memories>> {
        let levels = self.down.iter().chain([&self.mid]).chain(&self.up);
        let all = levels.flat_map(|l| &l.attentions).map(|a| a.context(prompts)).collect::<Result<Vec<_>>>()?;
        Ok(all.into_iter().flatten().collect())
    }

    /// One look at `x [b, h, w, c]` at time step `t`. On a CPU a few images go through the whole network at a time, which
    /// bounds its memory.
    pub fn run(&self, x: &Tensor, t: f64, classes: &Tensor, contexts: &[Memories]) -> Result<Tensor> {
        let (b, h, w, _) = x.dims4()?;
        let group = |from: usize, n: usize| {
            let contexts = contexts.iter().map(|c| c.narrow(from, n)).collect::<Result<Vec<_>>>()?;
            self.look(&x.narrow(0, from, n)?, t, &classes.narrow(0, from, n)?, &contexts, &mut |_, _| ())
        };
        Tensor::cat(&shares(x.device(), b, GROUP / (h * w), group)?, 0)
    }

    /// One look at `x [b, h, w, c]` at time step `t`; `seen` is shown every block's output by name.
    pub fn look(
        &self,
        x: &Tensor,
        t: f64,
        classes: &Tensor,
        contexts: &[Memories],
        seen: &mut dyn FnMut(&str, &Tensor),
    ) -> Result<Tensor> {
        let (width, flip, shift) = self.waves;
        let time = self.time.run(&sinusoids(&[t], width, flip, shift, x.device())?)?;
        seen("time_embedding", &time);
        let time = silu(&classes.broadcast_add(&time)?)?;
        let mut contexts = contexts.iter();
        let mut x = self.conv_in.run(x, None, None)?;
        seen("conv_in", &x);
        let mut skips = vec![x.clone()];
        for (i, level) in self.down.iter().enumerate() {
            for (j, resnet) in level.resnets.iter().enumerate() {
                x = level.attend(j, resnet.run(&x, Some(&time))?, &mut contexts)?;
                skips.push(x.clone());
            }
            if let Some(half) = &level.resample {
                x = half.run(&x, None, None)?;
                skips.push(x.clone());
            }
            seen(&format!("down{i}"), &x);
        }
        x = self.mid.resnets[0].run(&x, Some(&time))?;
        x = self.mid.attend(0, x, &mut contexts)?;
        x = self.mid.resnets[1].run(&x, Some(&time))?;
        seen("mid", &x);
        for (i, level) in self.up.iter().enumerate() {
            for (j, resnet) in level.resnets.iter().enumerate() {
                let Some(skip) = skips.pop() else { candle_core::bail!("levels do not mirror each other") };
                x = resnet.run(&Tensor::cat(&[&x, &skip], D::Minus1)?, Some(&time))?;
                x = level.attend(j, x, &mut contexts)?;
            }
            // Twice as large, or one less where halving rounded up.
            if let (Some(double), Some(skip)) = (&level.resample, skips.last()) {
                x = double.run(&x, Some((skip.dim(1)?, skip.dim(2)?)), None)?;
            }
            seen(&format!("up{i}"), &x);
        }
        self.conv_out.run(&self.norm_out.run(&x, None, true)?, None, None)
    }
}

impl Level {
    fn attend<'a>(&self, j: usize, x: Tensor, contexts: &mut impl Iterator<Item = &'a Memories>) -> Result<Tensor> {
        match self.attentions.get(j) {
            Some(attention) => attention.run(&x, contexts),
            None => Ok(x),
        }
    }
}
