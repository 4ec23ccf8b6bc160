//! timm's MobileNetV2: inverted residuals (timm 1.0.19, `models/efficientnet.py`, `_gen_mobilenet_v2`; Sandler et al.,
//! arXiv 1801.04381).

use super::{
    conv::{Activation, Conv, average},
    tensors::Tensors,
};
use crate::error::Result;
use ndarray::{Array1, Array3, ArrayView3};

/// Stride of each stage's first block; tensors do not show it, and it is the same in every MobileNetV2.
const STRIDES: [usize; 7] = [1, 2, 2, 2, 1, 2, 1];

/// Whether `architecture` is built here.
pub fn knows(architecture: &str) -> bool {
    architecture.starts_with("mobilenetv2_")
}

/// A MobileNetV2 without its head.
#[derive(Debug)]
pub struct Mobilenet {
    stem: Conv,
    blocks: Vec<Block>,
    last: Conv,
}

#[derive(Debug)]
struct Block {
    /// Expansion (in all but the first block), depthwise, projection; an activation follows all but the last.
    convs: Vec<Conv>,
    skip: bool,
}

impl Mobilenet {
    pub fn load(t: &Tensors) -> Result<Self> {
        let stem = Conv::normed(t, "conv_stem", "bn1", 3, 2)?;
        let (mut channels, mut blocks) = (stem.out(), Vec::new());
        for (stage, &first) in STRIDES.iter().enumerate() {
            let depth = (0..).take_while(|i| t.has(&format!("blocks.{stage}.{i}.conv_dw.weight"))).count();
            // A stage that is missing is named by its first tensor.
            for i in 0..depth.max(1) {
                let stride = if i == 0 { first } else { 1 };
                let block = Block::load(t, &format!("blocks.{stage}.{i}"), channels, stride)?;
                channels = block.convs.last().map_or(0, Conv::out);
                blocks.push(block);
            }
        }
        Ok(Self { stem, blocks, last: Conv::normed(t, "conv_head", "bn2", channels, 1)? })
    }

    /// Width of the pooled features.
    pub fn width(&self) -> usize {
        self.last.out()
    }

    /// `[3, side, side]` to pooled features `[width]`.
    pub fn pooled(&self, image: ArrayView3<'_, f32>) -> Array1<f32> {
        let mut x = self.stem.forward(image);
        Activation::Relu6.apply(&mut x);
        for block in &self.blocks {
            x = block.forward(x);
        }
        x = self.last.forward(x.view());
        Activation::Relu6.apply(&mut x);
        average(x.view())
    }
}

impl Block {
    fn load(t: &Tensors, name: &str, channels: usize, stride: usize) -> Result<Self> {
        let names: &[&str] = match t.has(&format!("{name}.conv_pwl.weight")) {
            true => &["conv_pw", "conv_dw", "conv_pwl"],
            false => &["conv_dw", "conv_pw"],
        };
        let (mut convs, mut width) = (Vec::new(), channels);
        for (i, conv) in names.iter().enumerate() {
            let stride = if *conv == "conv_dw" { stride } else { 1 };
            let conv = Conv::normed(t, &format!("{name}.{conv}"), &format!("{name}.bn{}", i + 1), width, stride)?;
            width = conv.out();
            convs.push(conv);
        }
        Ok(Self { convs, skip: stride == 1 && width == channels })
    }

    fn forward(&self, x: Array3<f32>) -> Array3<f32> {
        let mut out = self.convs[0].forward(x.view());
        for conv in &self.convs[1..] {
            Activation::Relu6.apply(&mut out);
            out = conv.forward(out.view());
        }
        if self.skip { out + x } else { out }
    }
}
