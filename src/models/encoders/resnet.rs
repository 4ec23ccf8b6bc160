//! timm's `ResNet`: convolutions with batch norm, basic blocks or bottlenecks (timm 1.0.31, `models/resnet.py`; He et al.,
//! arXiv 1512.03385), plain or with the deep stem and the averages of its `d` kind (arXiv 1812.01187).

use super::{
    conv::{Activation, Conv, average, avg_pool_2, max_pool_3},
    tensors::Tensors,
};
use crate::error::Result;
use ndarray::{Array1, Array3, ArrayView3};

/// Whether `architecture` is built here: `resnet` and a number, or that and `d`. Other letters stand for other stems and pools.
pub fn knows(architecture: &str) -> bool {
    let rest = architecture.strip_prefix("resnet").unwrap_or_default();
    let rest = rest.strip_suffix('d').unwrap_or(rest);
    !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit())
}

/// A residual network without its head.
#[derive(Debug)]
pub struct Resnet {
    /// One convolution, or three.
    stem: Vec<Conv>,
    blocks: Vec<Block>,
}

#[derive(Debug)]
struct Block {
    /// Two of 3x3, or 1x1, 3x3, 1x1.
    convs: Vec<Conv>,
    downsample: Option<Conv>,
    /// Whether an average goes before it, in the place of its stride.
    averaged: bool,
}

impl Resnet {
    pub fn load(t: &Tensors) -> Result<Self> {
        let mut stem: Vec<Conv> = Vec::new();
        let deep = [("conv1.0", "conv1.1", 2), ("conv1.3", "conv1.4", 1), ("conv1.6", "bn1", 1)];
        let parts = if t.has("conv1.0.weight") { &deep[..] } else { &[("conv1", "bn1", 2)] };
        for (conv, norm, stride) in parts {
            stem.push(Conv::normed(t, conv, norm, stem.last().map_or(3, Conv::out), *stride)?);
        }
        let (mut channels, mut blocks) = (stem.last().map_or(0, Conv::out), Vec::new());
        for layer in 1..=4 {
            let depth = (0..).take_while(|i| t.has(&format!("layer{layer}.{i}.conv1.weight"))).count();
            // A layer that is missing is named by its first tensor.
            for i in 0..depth.max(1) {
                let stride = if i == 0 && layer > 1 { 2 } else { 1 };
                let block = Block::load(t, &format!("layer{layer}.{i}"), channels, stride)?;
                channels = block.out();
                blocks.push(block);
            }
        }
        Ok(Self { stem, blocks })
    }

    /// Width of the pooled features.
    pub fn width(&self) -> usize {
        self.blocks.last().map_or(0, Block::out)
    }

    /// `[3, side, side]` to pooled features `[width]`.
    pub fn pooled(&self, image: ArrayView3<'_, f32>) -> Array1<f32> {
        let mut x = image.to_owned();
        for conv in &self.stem {
            x = conv.forward(x.view());
            Activation::Relu.apply(&mut x);
        }
        x = max_pool_3(x.view());
        for block in &self.blocks {
            x = block.forward(x);
        }
        average(x.view())
    }
}

impl Block {
    fn load(t: &Tensors, name: &str, channels: usize, stride: usize) -> Result<Self> {
        let count = if t.has(&format!("{name}.conv3.weight")) { 3 } else { 2 };
        let (mut convs, mut width): (Vec<Conv>, usize) = (Vec::new(), channels);
        for i in 1..=count {
            // The first of 3x3 has the stride.
            let stride = if i == count - 1 { stride } else { 1 };
            convs.push(Conv::normed(t, &format!("{name}.conv{i}"), &format!("{name}.bn{i}"), width, stride)?);
            width = convs[i - 1].out();
        }
        // Its average has the number 0, even where the stride is 1 and it does nothing.
        let averages = t.has(&format!("{name}.downsample.2.weight"));
        let part = |n: usize| format!("{name}.downsample.{}", n + usize::from(averages));
        let changes = stride > 1 || width != channels;
        let own = if averages { 1 } else { stride };
        let downsample = if changes { Some(Conv::normed(t, &part(0), &part(1), channels, own)?) } else { None };
        match downsample.as_ref().map(Conv::out).filter(|out| *out != width) {
            Some(found) => Err(t.wrong(format!("`{name}`: downsample gives {found} channels, the block {width}"))),
            None => Ok(Self { convs, downsample, averaged: averages && stride > 1 }),
        }
    }

    fn out(&self) -> usize {
        self.convs.last().map_or(0, Conv::out)
    }

    fn forward(&self, x: Array3<f32>) -> Array3<f32> {
        let mut out = self.convs[0].forward(x.view());
        for conv in &self.convs[1..] {
            Activation::Relu.apply(&mut out);
            out = conv.forward(out.view());
        }
        match &self.downsample {
            Some(conv) if self.averaged => out += &conv.forward(avg_pool_2(x.view()).view()),
            Some(conv) => out += &conv.forward(x.view()),
            None => out += &x,
        }
        Activation::Relu.apply(&mut out);
        out
    }
}
