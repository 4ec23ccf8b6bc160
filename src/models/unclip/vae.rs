//! The decoder of diffusers' `AutoencoderKL`: latents to pixels.

use super::{
    config::VaeConfig,
    layers::{Conv, GroupNorm, attend},
    resnet::{Resnet, Sizes},
};
use crate::models::layers::Linear;
use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

/// Self-attention with one head over all pixels.
struct Attention {
    norm: GroupNorm,
    qkv: Linear,
    out: Linear,
}

impl Attention {
    fn load(vb: &VarBuilder<'_>, c: usize, groups: usize) -> Result<Self> {
        // Older checkpoints use older names; diffusers renames them as it loads.
        let old = vb.contains_tensor("query.weight");
        let names = if old { ["query", "key", "value"] } else { ["to_q", "to_k", "to_v"] };
        let parts: Vec<_> = names.iter().map(|n| vb.pp(n)).collect();
        Ok(Self {
            norm: GroupNorm::load(&vb.pp("group_norm"), groups, c, 1e-6)?,
            qkv: Linear::load_all(&parts, c, c, true)?,
            out: Linear::load(&vb.pp(if old { "proj_attn" } else { "to_out.0" }), c, c, true)?,
        })
    }

    fn run(&self, x: &Tensor) -> Result<Tensor> {
        let (b, h, w, c) = x.dims4()?;
        let y = self.qkv.narrow(&self.norm.run(x, None, false)?.reshape((b * h * w, c))?)?;
        let y = attend(&y, b, 1, false)?;
        self.out.run(&y, Some(&x.reshape((b * h * w, c))?))?.reshape((b, h, w, c))
    }
}

/// The decoder.
pub(super) struct Decoder {
    scaling: f64,
    post_quant: Option<Linear>,
    conv_in: Conv,
    mid: (Resnet, Option<Attention>, Resnet),
    up: Vec<(Vec<Resnet>, Option<Conv>)>,
    norm_out: GroupNorm,
    conv_out: Conv,
}

impl Decoder {
    /// Builds the decoder of `c` from diffusers' tensors.
    pub fn load(vb: &VarBuilder<'_>, c: &VaeConfig) -> Result<Self> {
        let (latent, groups) = (c.latent_channels, c.norm_num_groups);
        let d = vb.pp("decoder");
        let (top, levels) = (c.block_out_channels[c.block_out_channels.len() - 1], c.block_out_channels.len());
        let resnet = |vb: VarBuilder<'_>, input, output| {
            Resnet::load(&vb, Sizes { input, output, time: None, groups, eps: 1e-6, factor: 1. })
        };
        let level = |i: usize| -> Result<_> {
            let vb = d.pp("up_blocks").pp(i);
            let output = c.block_out_channels[levels - 1 - i];
            let input = c.block_out_channels[(levels - i).min(levels - 1)];
            let layer = |j: usize| resnet(vb.pp("resnets").pp(j), if j == 0 { input } else { output }, output);
            let resnets = (0..=c.layers_per_block).map(layer).collect::<Result<Vec<_>>>()?;
            let double = (i + 1 < levels).then(|| Conv::load(&vb.pp("upsamplers.0.conv"), output, output, 1));
            Ok((resnets, double.transpose()?))
        };
        let m = d.pp("mid_block");
        let attention = c.mid_block_add_attention.then(|| Attention::load(&m.pp("attentions.0"), top, groups));
        let quant = c.use_post_quant_conv.then(|| Linear::load(&vb.pp("post_quant_conv"), latent, latent, true));
        Ok(Self {
            scaling: c.scaling_factor,
            post_quant: quant.transpose()?,
            conv_in: Conv::load(&d.pp("conv_in"), latent, top, 1)?,
            mid: (resnet(m.pp("resnets.0"), top, top)?, attention.transpose()?, resnet(m.pp("resnets.1"), top, top)?),
            up: (0..levels).map(level).collect::<Result<_>>()?,
            norm_out: GroupNorm::load(&d.pp("conv_norm_out"), groups, c.block_out_channels[0], 1e-6)?,
            conv_out: Conv::load(&d.pp("conv_out"), c.block_out_channels[0], c.out_channels, 1)?,
        })
    }

    /// How many times larger the pixels are than the latents, along each side.
    pub fn scale(&self) -> usize {
        1 << (self.up.len() - 1)
    }

    /// Latents `[b, h, w, c]` as the UNet has them -> pixels `[b, H, W, 3]`, about -1..1.
    pub fn run(&self, latents: &Tensor) -> Result<Tensor> {
        let (b, h, w, c) = latents.dims4()?;
        let mut x = (latents / self.scaling)?;
        if let Some(quant) = &self.post_quant {
            x = quant.run(&x.reshape((b * h * w, c))?, None)?.reshape((b, h, w, c))?;
        }
        x = self.mid.0.run(&self.conv_in.run(&x, None, None)?, None)?;
        if let Some(attention) = &self.mid.1 {
            x = attention.run(&x)?;
        }
        x = self.mid.2.run(&x, None)?;
        for (resnets, double) in &self.up {
            for resnet in resnets {
                x = resnet.run(&x, None)?;
            }
            if let Some(double) = double {
                x = double.run(&x, Some((2 * x.dim(1)?, 2 * x.dim(2)?)), None)?;
            }
        }
        self.conv_out.run(&self.norm_out.run(&x, None, true)?, None, None)
    }
}
