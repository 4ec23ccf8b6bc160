//! The pre-norm transformer that both towers are: `x + attention(norm(x))`, `x + mlp(norm(x))`.

use super::{
    config::{Activation, TowerConfig},
    ops::attend,
};
use crate::models::layers::{LayerNorm, Linear};
use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use rayon::prelude::*;

/// Rows that go through all blocks together on a CPU, a thread's share of a batch. The matrices of a whole batch are so
/// large that the allocator gives each back, and the system clears its pages anew: a tenth of the time with ViT-L/14.
const ROWS: usize = 512;

/// One block; queries, keys and values are one matrix.
#[derive(Clone, Debug)]
struct Block {
    norm1: LayerNorm,
    qkv: Linear,
    out: Linear,
    norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    act: Activation,
    heads: usize,
}

impl Block {
    fn load(config: &TowerConfig, vb: VarBuilder<'_>) -> Result<Self> {
        let (w, inner, eps) = (config.hidden_size, config.intermediate_size, config.layer_norm_eps);
        let attn = vb.pp("self_attn");
        let parts = ["q_proj", "k_proj", "v_proj"].map(|name| attn.pp(name));
        Ok(Self {
            norm1: LayerNorm::load(&vb.pp("layer_norm1"), w, eps)?,
            qkv: Linear::load_all(&parts, w, w, true)?,
            out: Linear::load(&attn.pp("out_proj"), w, w, true)?,
            norm2: LayerNorm::load(&vb.pp("layer_norm2"), w, eps)?,
            fc1: Linear::load(&vb.pp("mlp.fc1"), w, inner, true)?,
            fc2: Linear::load(&vb.pp("mlp.fc2"), inner, w, true)?,
            act: config.hidden_act,
            heads: config.num_attention_heads,
        })
    }

    /// `x [b * t, w]`.
    fn forward(&self, x: &Tensor, b: usize, causal: bool) -> Result<Tensor> {
        let qkv = self.qkv.narrow(&self.norm1.run(x)?)?;
        let x = self.out.run(&attend(&qkv, b, self.heads, causal)?, Some(x))?;
        let inner = self.fc1.curved(&self.norm2.run(&x)?, self.act.curve(), |x| self.act.forward(x))?;
        self.fc2.run(&inner, Some(&x))
    }
}

/// A stack of blocks.
#[derive(Clone, Debug)]
pub(super) struct Transformer {
    blocks: Vec<Block>,
    causal: bool,
}

impl Transformer {
    pub fn load(config: &TowerConfig, causal: bool, vb: VarBuilder<'_>) -> Result<Self> {
        let blocks =
            (0..config.num_hidden_layers).map(|i| Block::load(config, vb.pp("layers").pp(i))).collect::<Result<_>>()?;
        Ok(Self { blocks, causal })
    }

    /// `[b, t, w]` to `[b, t, w]`.
    pub fn forward(&self, x: Tensor) -> Result<Tensor> {
        let (b, t, _) = x.dims3()?;
        let at_once = ROWS.div_ceil(t);
        if b <= at_once || !x.device().is_cpu() {
            return self.together(&x);
        }
        let part = |from: usize| self.together(&x.narrow(0, from, at_once.min(b - from))?);
        let starts: Vec<usize> = (0..b).step_by(at_once).collect();
        Tensor::cat(&starts.into_par_iter().map(part).collect::<Result<Vec<_>>>()?, 0)
    }

    fn together(&self, x: &Tensor) -> Result<Tensor> {
        let (b, t, w) = x.dims3()?;
        let x = x.reshape((b * t, w))?;
        self.blocks.iter().try_fold(x, |x, block| block.forward(&x, b, self.causal))?.reshape((b, t, w))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::ROWS;
    use crate::models::{clip::Clip, demo};
    use candle_core::{DType, Device, Tensor};

    #[test]
    fn each_image_of_a_batch_has_the_features_it_has_alone_to_the_bit() {
        let clip = Clip::load(&demo::clip(), DType::F32, &Device::Cpu).unwrap();
        let (n, side) = (19, clip.image_size());
        assert!(n * side * side / 64 > 2 * ROWS);
        let pixels: Vec<f32> = (0..n * 3 * side * side).map(|i| (i as f32 * 0.37).sin()).collect();
        let pixels = Tensor::from_vec(pixels, (n, 3, side, side), &Device::Cpu).unwrap();
        let together: Vec<Vec<f32>> = clip.encode_images(&pixels).unwrap().to_vec2().unwrap();
        for (i, together) in together.iter().enumerate() {
            let alone = clip.encode_images(&pixels.narrow(0, i, 1).unwrap()).unwrap();
            assert_eq!(alone.to_vec2::<f32>().unwrap()[0], *together, "{i}");
        }
    }
}
