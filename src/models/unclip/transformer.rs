//! diffusers' `Transformer2DModel`: self-attention, attention to the prompt, a gated feed-forward layer.

use super::{
    config::UnetConfig,
    layers::{GroupNorm, Memories, attend},
};
use crate::models::layers::{LayerNorm, Linear, fast};
use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

/// Rows of a feed-forward layer at a time.
const WIDE: usize = 2048;

struct Block {
    norms: [LayerNorm; 3],
    qkv: Linear,
    out1: Linear,
    query: Linear,
    key_value: Linear,
    out2: Linear,
    gate: Linear,
    out3: Linear,
}

/// A stack of blocks between two projections, over the pixels as tokens.
pub(super) struct Transformer {
    norm: GroupNorm,
    proj_in: Linear,
    blocks: Vec<Block>,
    proj_out: Linear,
    heads: usize,
    upcast: bool,
}

impl Block {
    fn load(vb: &VarBuilder<'_>, c: usize, prompt: usize) -> Result<Self> {
        let all = |a: &str, names: &[&str], input| {
            let parts: Vec<_> = names.iter().map(|n| vb.pp(a).pp(n)).collect();
            Linear::load_all(&parts, input, c, false)
        };
        let norm = |name: &str| LayerNorm::load(&vb.pp(name), c, 1e-5);
        Ok(Self {
            norms: [norm("norm1")?, norm("norm2")?, norm("norm3")?],
            qkv: all("attn1", &["to_q", "to_k", "to_v"], c)?,
            out1: Linear::load(&vb.pp("attn1.to_out.0"), c, c, true)?,
            query: all("attn2", &["to_q"], c)?,
            key_value: all("attn2", &["to_k", "to_v"], prompt)?,
            out2: Linear::load(&vb.pp("attn2.to_out.0"), c, c, true)?,
            gate: Linear::load(&vb.pp("ff.net.0.proj"), c, 8 * c, true)?,
            out3: Linear::load(&vb.pp("ff.net.2"), 4 * c, c, true)?,
        })
    }

    /// `x [b * n, c]`.
    fn run(&self, x: &Tensor, b: usize, context: &Memories, heads: usize, upcast: bool) -> Result<Tensor> {
        let qkv = self.qkv.narrow(&self.norms[0].run(x)?)?;
        let x = self.out1.run(&attend(&qkv, b, heads, upcast)?, Some(x))?;
        let q = self.query.narrow(&self.norms[1].run(&x)?)?;
        let x = self.out2.run(&context.ask(&q, heads, upcast)?, Some(&x))?;
        // The widest layer; on a CPU a few rows at a time.
        let (rows, step) = (x.dim(0)?, if fast(&x) { WIDE } else { x.dim(0)? });
        let part = |from: usize| {
            let x = x.narrow(0, from, step.min(rows - from))?;
            self.out3.run(&self.gate.gated(&self.norms[2].run(&x)?)?, Some(&x))
        };
        Tensor::cat(&(0..rows).step_by(step).map(part).collect::<Result<Vec<_>>>()?, 0)
    }
}

impl Transformer {
    /// The attention of `level` with `c` channels.
    pub fn load(vb: &VarBuilder<'_>, config: &UnetConfig, level: usize, c: usize) -> Result<Self> {
        let prompt = config.cross_attention_dim.at(level).unwrap_or(1);
        let depth = config.transformer_layers_per_block.at(level).unwrap_or(1);
        let block = |i: usize| Block::load(&vb.pp("transformer_blocks").pp(i), c, prompt);
        Ok(Self {
            norm: GroupNorm::load(&vb.pp("norm"), config.norm_num_groups, c, 1e-6)?,
            // `use_linear_projection` or a 1 x 1 convolution: the same product over channels.
            proj_in: Linear::load(&vb.pp("proj_in"), c, c, true)?,
            blocks: (0..depth).map(block).collect::<Result<_>>()?,
            proj_out: Linear::load(&vb.pp("proj_out"), c, c, true)?,
            heads: config.attention_head_dim.at(level).unwrap_or(1),
            upcast: config.upcast_attention,
        })
    }

    /// Keys and values of `prompts [b, tokens, d]`, one for each block.
    pub fn context(&self, prompts: &Tensor) -> Result<Vec<Memories>> {
        let (b, n, d) = prompts.dims3()?;
        let flat = prompts.reshape((b * n, d))?;
        self.blocks.iter().map(|block| Memories::new(&block.key_value.narrow(&flat)?, b, self.heads)).collect()
    }

    /// `x [b, h, w, c]`; takes as many contexts as it has blocks.
    pub fn run<'a>(&self, x: &Tensor, contexts: &mut impl Iterator<Item = &'a Memories>) -> Result<Tensor> {
        let (b, h, w, c) = x.dims4()?;
        let flat = x.reshape((b * h * w, c))?;
        let mut y = self.proj_in.run(&self.norm.run(x, None, false)?.reshape((b * h * w, c))?, None)?;
        for block in &self.blocks {
            let Some(context) = contexts.next() else { candle_core::bail!("fewer contexts than attentions") };
            y = block.run(&y, b, context, self.heads, self.upcast)?;
        }
        self.proj_out.run(&y, Some(&flat))?.reshape((b, h, w, c))
    }
}
