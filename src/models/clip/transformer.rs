//! The pre-norm transformer that both towers are: `x + attention(norm(x))`, `x + mlp(norm(x))`.

use super::{
    config::{Activation, TowerConfig},
    ops::attend,
};
use crate::models::layers::{LayerNorm, Linear};
use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

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
        let qkv = self.qkv.run(&self.norm1.run(x)?, None)?;
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
        let (b, t, w) = x.dims3()?;
        let x = x.reshape((b * t, w))?;
        self.blocks.iter().try_fold(x, |x, block| block.forward(&x, b, self.causal))?.reshape((b, t, w))
    }
}
