//! diffusers' `ResnetBlock2D`, of UNet and decoder alike.

use super::layers::{Conv, GroupNorm};
use crate::models::layers::Linear;
use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

/// norm, SiLU, conv, plus time, norm, SiLU, conv, plus input.
pub(super) struct Resnet {
    norm1: GroupNorm,
    conv1: Conv,
    time: Option<Linear>,
    norm2: GroupNorm,
    conv2: Conv,
    shortcut: Option<Linear>,
    /// The sum of both branches is divided by this.
    factor: f64,
}

/// A [`Resnet`]'s sizes.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    pub input: usize,
    pub output: usize,
    /// Width of the time embedding, if there is one.
    pub time: Option<usize>,
    pub groups: usize,
    pub eps: f64,
    pub factor: f64,
}

impl Resnet {
    pub fn load(vb: &VarBuilder<'_>, s: Sizes) -> Result<Self> {
        let mut conv1 = Conv::load(&vb.pp("conv1"), s.input, s.output, 1)?;
        let time = s.time.map(|width| -> Result<Linear> {
            let mut time = Linear::load(&vb.pp("time_emb_proj"), width, s.output, true)?;
            // The time's share is added in the second norm; the convolution's bias goes with it, saving a pass.
            if let Some(bias) = conv1.take_bias()? {
                time.add_bias(&bias)?;
            }
            Ok(time)
        });
        let time = time.transpose()?;
        let shortcut = (s.input != s.output).then(|| Linear::load(&vb.pp("conv_shortcut"), s.input, s.output, true));
        Ok(Self {
            norm1: GroupNorm::load(&vb.pp("norm1"), s.groups, s.input, s.eps)?,
            conv1,
            time,
            norm2: GroupNorm::load(&vb.pp("norm2"), s.groups, s.output, s.eps)?,
            conv2: Conv::load(&vb.pp("conv2"), s.output, s.output, 1)?,
            shortcut: shortcut.transpose()?,
            factor: s.factor,
        })
    }

    /// `x [b, h, w, c]`; `time` is the SiLU of the time embedding, `[b, e]`.
    pub fn run(&self, x: &Tensor, time: Option<&Tensor>) -> Result<Tensor> {
        let (b, h, w, c) = x.dims4()?;
        let y = self.conv1.run(&self.norm1.run(x, None, true)?, None, None)?;
        let shift = match (&self.time, time) {
            (Some(layer), Some(time)) => Some(layer.run(time, None)?),
            _ => None,
        };
        let y = self.norm2.run(&y, shift.as_ref(), true)?;
        let kept = match &self.shortcut {
            Some(layer) => layer.run(&x.reshape((b * h * w, c))?, None)?,
            None => x.clone(),
        };
        let y = self.conv2.run(&y, None, Some(&kept))?;
        if self.factor == 1. { Ok(y) } else { y / self.factor }
    }
}
