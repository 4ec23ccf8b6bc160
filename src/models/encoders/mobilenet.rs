//! timm's networks of inverted residuals (timm 1.0.31, `models/efficientnet.py` and `models/mobilenetv3.py`): MobileNetV2
//! (Sandler et al., arXiv 1801.04381), MobileNetV3 (1905.02244), EfficientNet (1905.11946) and its lite kind.

use super::{
    conv::{Activation, Conv, average, hard_sigmoid, sigmoid},
    tensors::Tensors,
};
use crate::{error::Result, models::host::Linear};
use ndarray::{Array1, Array3, ArrayView3, Axis};

/// What tensors do not show, and is the same in every network of a kind.
#[derive(Debug)]
struct Kind {
    /// How their names begin.
    name: &'static str,
    /// Stride of each stage's first block.
    strides: &'static [usize],
    act: Activation,
    /// In so many of the first stages ReLU stands for it.
    plain: usize,
    /// Whether it is MobileNetV3: other gates, and a last convolution behind the pool.
    third: bool,
}

const LONG: &[usize] = &[1, 2, 2, 2, 1, 2, 1];
const KINDS: [Kind; 5] = [
    Kind { name: "mobilenetv2_", strides: LONG, act: Activation::Relu6, plain: 0, third: false },
    Kind { name: "efficientnet_lite", strides: LONG, act: Activation::Relu6, plain: 0, third: false },
    Kind { name: "efficientnet_b", strides: LONG, act: Activation::Silu, plain: 0, third: false },
    Kind {
        name: "mobilenetv3_large_",
        strides: &[1, 2, 2, 2, 1, 2],
        act: Activation::HardSwish,
        plain: 3,
        third: true,
    },
    Kind { name: "mobilenetv3_small_", strides: &[2, 2, 2, 1, 2], act: Activation::HardSwish, plain: 2, third: true },
];

fn kind_of(architecture: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| architecture.starts_with(kind.name))
}

/// Whether `architecture` is built here.
pub fn knows(architecture: &str) -> bool {
    kind_of(architecture).is_some()
}

/// Such a network without its classifier.
#[derive(Debug)]
pub struct Mobilenet {
    kind: &'static Kind,
    stem: Conv,
    blocks: Vec<Block>,
    last: Conv,
    /// The convolution behind the pool.
    head: Option<Linear>,
}

#[derive(Debug)]
struct Block {
    /// Expansion (in all but the first stage), depthwise, projection; an activation follows all but the last.
    convs: Vec<Conv>,
    act: Activation,
    /// Channels weighed by what all of them are on average, before the projection.
    gate: Option<(Linear, Linear)>,
    skip: bool,
}

impl Mobilenet {
    pub fn load(t: &Tensors, architecture: &str) -> Result<Self> {
        let Some(kind) = kind_of(architecture) else { return Err(t.wrong("belongs to another network")) };
        let stem = Conv::normed(t, "conv_stem", "bn1", 3, 2)?;
        let (mut channels, mut blocks) = (stem.out(), Vec::new());
        for (stage, &first) in kind.strides.iter().enumerate() {
            let depth = (0..).take_while(|i| t.has(&format!("blocks.{stage}.{i}.conv_dw.weight"))).count();
            let act = if stage < kind.plain { Activation::Relu } else { kind.act };
            // A stage that is missing is named by its first tensor.
            for i in 0..depth.max(1) {
                let stride = if i == 0 { first } else { 1 };
                let block = Block::load(t, &format!("blocks.{stage}.{i}"), (channels, stride), act)?;
                channels = block.convs.last().map_or(0, Conv::out);
                blocks.push(block);
            }
        }
        let (last, norm) = match kind.third {
            true => (format!("blocks.{0}.0.conv", kind.strides.len()), format!("blocks.{0}.0.bn1", kind.strides.len())),
            false => ("conv_head".into(), "bn2".into()),
        };
        let last = Conv::normed(t, &last, &norm, channels, 1)?;
        let head = if kind.third { Some(t.linear("conv_head", last.out())?) } else { None };
        Ok(Self { kind, stem, blocks, last, head })
    }

    /// Width of the pooled features.
    pub fn width(&self) -> usize {
        self.head.as_ref().map_or(self.last.out(), |head| head.bias.len())
    }

    /// `[3, side, side]` to pooled features `[width]`.
    pub fn pooled(&self, image: ArrayView3<'_, f32>) -> Array1<f32> {
        let mut x = self.stem.forward(image);
        self.kind.act.apply(&mut x);
        for block in &self.blocks {
            x = block.forward(x, self.kind.third);
        }
        x = self.last.forward(x.view());
        self.kind.act.apply(&mut x);
        let pooled = average(x.view());
        match &self.head {
            None => pooled,
            Some(head) => {
                let mut out = head.forward(pooled.insert_axis(Axis(0)).view()).remove_axis(Axis(0));
                out.mapv_inplace(|v| v * hard_sigmoid(v));
                out
            }
        }
    }
}

impl Block {
    fn load(t: &Tensors, name: &str, (channels, stride): (usize, usize), act: Activation) -> Result<Self> {
        let names: &[&str] = match t.has(&format!("{name}.conv_pwl.weight")) {
            true => &["conv_pw", "conv_dw", "conv_pwl"],
            false => &["conv_dw", "conv_pw"],
        };
        let (mut convs, mut width, mut gate) = (Vec::new(), channels, None);
        for (i, conv) in names.iter().enumerate() {
            let stride = if *conv == "conv_dw" { stride } else { 1 };
            let loaded = Conv::normed(t, &format!("{name}.{conv}"), &format!("{name}.bn{}", i + 1), width, stride)?;
            width = loaded.out();
            convs.push(loaded);
            if *conv == "conv_dw" && t.has(&format!("{name}.se.conv_reduce.weight")) {
                let reduce = t.linear(&format!("{name}.se.conv_reduce"), width)?;
                let expand = t.linear_to(&format!("{name}.se.conv_expand"), reduce.bias.len(), width)?;
                gate = Some((reduce, expand));
            }
        }
        Ok(Self { convs, act, gate, skip: stride == 1 && width == channels })
    }

    fn forward(&self, x: Array3<f32>, third: bool) -> Array3<f32> {
        let mut out = self.convs[0].forward(x.view());
        for (i, conv) in self.convs.iter().enumerate().skip(1) {
            self.act.apply(&mut out);
            if let Some(gate) = self.gate.as_ref().filter(|_| i + 1 == self.convs.len()) {
                weigh(&mut out, gate, third);
            }
            out = conv.forward(out.view());
        }
        if self.skip { out + x } else { out }
    }
}

/// Scales each channel of `x` by a weight between 0 and 1.
fn weigh(x: &mut Array3<f32>, (reduce, expand): &(Linear, Linear), third: bool) {
    let mut squeezed = reduce.forward(average(x.view()).insert_axis(Axis(0)).view());
    squeezed.mapv_inplace(|v| if third { v.max(0.0) } else { v * sigmoid(v) });
    let weights = expand.forward(squeezed.view());
    for (mut plane, &weight) in x.outer_iter_mut().zip(&weights.row(0)) {
        plane *= if third { hard_sigmoid(weight) } else { sigmoid(weight) };
    }
}
