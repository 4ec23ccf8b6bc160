//! SigLIP's attention pooling: one learned query over all tokens, then an MLP (transformers'
//! `SiglipMultiheadAttentionPoolingHead`).

use super::config::{Activation, TowerConfig};
use crate::models::layers::{LayerNorm, Linear};
use candle_core::{D, DType, Result, Tensor};
use candle_nn::VarBuilder;

/// Tokens to one vector.
#[derive(Clone, Debug)]
pub(super) struct Map {
    /// Projected and scaled already, `[1, heads, 1, d]`.
    query: Tensor,
    kv: Linear,
    out: Linear,
    norm: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    act: Activation,
}

impl Map {
    pub fn load(config: &TowerConfig, vb: VarBuilder<'_>) -> Result<Self> {
        let (w, inner, heads) = (config.hidden_size, config.intermediate_size, config.num_attention_heads);
        let attention = vb.pp("attention");
        let (weight, rest) = (attention.get((3 * w, w), "in_proj_weight")?, attention.to_dtype(DType::F32));
        let bias = rest.get(3 * w, "in_proj_bias")?;
        let probe = vb.to_dtype(DType::F32).get((1, 1, w), "probe")?.reshape((1, w))?;
        let query = Linear::new(&weight.narrow(0, 0, w)?, Some(bias.narrow(0, 0, w)?))?.run(&probe, None)?;
        let d = w / heads;
        Ok(Self {
            query: (query.reshape((1, heads, 1, d))? * (d as f64).powf(-0.5))?,
            kv: Linear::new(&weight.narrow(0, w, 2 * w)?.contiguous()?, Some(bias.narrow(0, w, 2 * w)?))?,
            out: Linear::load(&attention.pp("out_proj"), w, w, true)?,
            norm: LayerNorm::load(&vb.pp("layernorm"), w, config.layer_norm_eps)?,
            fc1: Linear::load(&vb.pp("mlp.fc1"), w, inner, true)?,
            fc2: Linear::load(&vb.pp("mlp.fc2"), inner, w, true)?,
            act: config.hidden_act,
        })
    }

    /// `[b, t, w]` to `[b, w]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (b, t, w) = x.dims3()?;
        let (_, heads, _, d) = self.query.dims4()?;
        let kv = self.kv.run(&x.reshape((b * t, w))?, None)?.reshape((b, t, 2, heads, d))?.permute((2, 0, 3, 1, 4))?;
        let scores = kv.get(0)?.broadcast_mul(&self.query)?.sum(D::Minus1)?; // [b, heads, t]
        let weights = candle_nn::ops::softmax_last_dim(&scores)?.unsqueeze(D::Minus1)?;
        let seen = kv.get(1)?.broadcast_mul(&weights)?.sum(2)?.reshape((b, w))?; // [b, heads * d]
        let x = self.out.run(&seen, None)?;
        let inner = self.fc1.curved(&self.norm.run(&x)?, self.act.curve(), |x| self.act.forward(x))?;
        self.fc2.run(&inner, Some(&x))
    }
}
