//! The pre-norm transformer that both towers are: `x + attention(norm(x))`, `x + mlp(norm(x))`.

use super::{
    config::{Activation, TowerConfig},
    ops::Attention,
};
use candle_core::{Result, Tensor};
use candle_nn::{LayerNorm, Linear, Module, VarBuilder};

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
        let parts = ["q_proj", "k_proj", "v_proj"].map(|name| candle_nn::linear(w, w, attn.pp(name)));
        let [q, k, v] = parts;
        let (q, k, v) = (q?, k?, v?);
        let bias = |l: &Linear| l.bias().cloned().ok_or_else(|| candle_core::Error::Msg("no bias".into()));
        let qkv = Linear::new(
            Tensor::cat(&[q.weight(), k.weight(), v.weight()], 0)?,
            Some(Tensor::cat(&[bias(&q)?, bias(&k)?, bias(&v)?], 0)?),
        );
        Ok(Self {
            norm1: candle_nn::layer_norm(w, eps, vb.pp("layer_norm1"))?,
            qkv,
            out: candle_nn::linear(w, w, attn.pp("out_proj"))?,
            norm2: candle_nn::layer_norm(w, eps, vb.pp("layer_norm2"))?,
            fc1: candle_nn::linear(w, inner, vb.pp("mlp.fc1"))?,
            fc2: candle_nn::linear(inner, w, vb.pp("mlp.fc2"))?,
            act: config.hidden_act,
            heads: config.num_attention_heads,
        })
    }

    fn forward(&self, x: &Tensor, causal: bool) -> Result<Tensor> {
        let attention = Attention { heads: self.heads, causal };
        let x = (x + self.out.forward(&attention.forward(&self.qkv.forward(&self.norm1.forward(x)?)?)?)?)?;
        let inner = self.act.forward(&self.fc1.forward(&self.norm2.forward(&x)?)?)?;
        &x + self.fc2.forward(&inner)?
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
        self.blocks.iter().try_fold(x, |x, block| block.forward(&x, self.causal))
    }
}
