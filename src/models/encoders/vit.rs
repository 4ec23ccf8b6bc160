//! timm's `VisionTransformer` with a class token (timm 1.0.19, `models/vision_transformer.py`).

use super::tensors::Tensors;
use crate::{
    error::{Error, Result},
    models::host::{LayerNorm, Linear, gelu},
};
use ndarray::{Array1, Array2, ArrayView3, Axis, s};
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;

/// LayerNorm's epsilon in timm's vision transformers.
const EPS: f32 = 1e-6;
/// Width of an attention head where `model_args` gives no `num_heads`: so in timm's tiny, small, base and large.
const HEAD_WIDTH: usize = 64;

/// Arguments of `VisionTransformer` that may stand in `model_args`; what the weights also say is checked against them.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    img_size: Option<usize>,
    patch_size: Option<usize>,
    embed_dim: Option<usize>,
    depth: Option<usize>,
    num_heads: Option<usize>,
    #[allow(dead_code, reason = "the weights' shapes say it")]
    mlp_ratio: Option<f64>,
}

/// A vision transformer without its head; see the module.
#[derive(Debug)]
pub struct Vit {
    patch: usize,
    grid: usize,
    heads: usize,
    embed: Linear,          // [width, 3 patch patch]
    class: Array1<f32>,     // [width]
    positions: Array2<f32>, // [1 + grid grid, width]
    blocks: Vec<Block>,
    norm: LayerNorm,
}

#[derive(Debug)]
struct Block {
    norm1: LayerNorm,
    qkv: Linear,
    proj: Linear,
    norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
}

impl Vit {
    pub fn load(t: &Tensors, args: Value, config: &Path) -> Result<Self> {
        let args: Args = serde_json::from_value(args).map_err(|e| Error::input(config, format!("model_args: {e}")))?;
        let outside = ["reg_token", "norm_pre.weight", "fc_norm.weight", "attn_pool.latent", "head_dist.weight"];
        let in_block = ["blocks.0.ls1.gamma", "blocks.0.attn.q_norm.weight", "blocks.0.mlp.norm.weight"];
        if let Some(name) = outside.iter().chain(&in_block).find(|name| t.has(name)) {
            return Err(
                t.wrong(format!("tensor `{name}` belongs to a kind of vision transformer that is not supported"))
            );
        }
        let (shape, weight) = t.matrix("patch_embed.proj.weight")?;
        let [width, 3, patch, same] = shape[..] else {
            return Err(t.misfit("patch_embed.proj.weight", &shape, "[width, 3, patch, patch]"));
        };
        if patch != same {
            return Err(t.misfit("patch_embed.proj.weight", &shape, "square patches"));
        }
        let embed = Linear { weight, bias: t.vector("patch_embed.proj.bias", width)? };
        let (shape, positions) = t.get("pos_embed")?;
        let tokens = positions.len() / width;
        let grid = (tokens.saturating_sub(1) as f64).sqrt().round() as usize;
        if shape != [1, grid * grid + 1, width] || grid == 0 {
            return Err(t.misfit("pos_embed", &shape, &format!("[1, 1 + n n, {width}]")));
        }
        let positions = Array2::from_shape_vec((tokens, width), positions).map_err(|e| t.wrong(e.to_string()))?;
        let depth = (0..).take_while(|i| t.has(&format!("blocks.{i}.norm1.weight"))).count();
        let blocks = (0..depth).map(|i| Block::load(t, i, width)).collect::<Result<_>>()?;
        let heads = args.num_heads.unwrap_or((width / HEAD_WIDTH).max(1));
        if heads == 0 || width % heads != 0 {
            return Err(Error::input(config, format!("num_heads {heads} does not divide the width {width}")));
        }
        let (class, norm) = (t.vector("cls_token", width)?, t.layer_norm("norm", width, EPS)?);
        let net = Self { patch, grid, heads, embed, class, positions, blocks, norm };
        net.agree(&args, config)?;
        Ok(net)
    }

    /// What `model_args` says must be what the weights say.
    fn agree(&self, args: &Args, config: &Path) -> Result<()> {
        let told = [
            ("img_size", args.img_size, self.side()),
            ("patch_size", args.patch_size, self.patch),
            ("embed_dim", args.embed_dim, self.class.len()),
            ("depth", args.depth, self.blocks.len()),
        ];
        match told.iter().find(|(_, told, found)| told.is_some_and(|t| t != *found)) {
            None => Ok(()),
            Some((name, told, found)) => {
                let told = told.unwrap_or_default();
                Err(Error::input(config, format!("model_args.{name} is {told}, but the weights say {found}")))
            }
        }
    }

    /// Side of the images it takes, in pixels.
    pub fn side(&self) -> usize {
        self.grid * self.patch
    }

    /// Width of the pooled features: the class token's.
    pub fn width(&self) -> usize {
        self.class.len()
    }

    /// `[3, side, side]` to pooled features `[width]`.
    pub fn pooled(&self, image: ArrayView3<'_, f32>) -> Array1<f32> {
        let mut x = self.positions.clone(); // [tokens, width]
        let mut class = x.row_mut(0);
        class += &self.class;
        let mut patches = x.slice_mut(s![1.., ..]);
        patches += &self.embed.forward(self.patches(image).view());
        for block in &self.blocks {
            block.forward(&mut x, self.heads);
        }
        self.norm.forward(x.slice(s![..1, ..])).remove_axis(Axis(0))
    }

    /// One row per patch, ordered as the embedding's weights: channel, row, column.
    fn patches(&self, image: ArrayView3<'_, f32>) -> Array2<f32> {
        let (grid, patch) = (self.grid, self.patch);
        Array2::from_shape_fn((grid * grid, 3 * patch * patch), |(token, i)| {
            let (y, x) = (token / grid * patch, token % grid * patch);
            image[[i / (patch * patch), y + i / patch % patch, x + i % patch]]
        })
    }
}

impl Block {
    fn load(t: &Tensors, index: usize, width: usize) -> Result<Self> {
        let name = |part: &str| format!("blocks.{index}.{part}");
        let fc1 = t.linear(&name("mlp.fc1"), width)?;
        Ok(Self {
            norm1: t.layer_norm(&name("norm1"), width, EPS)?,
            qkv: t.linear_to(&name("attn.qkv"), width, 3 * width)?,
            proj: t.linear_to(&name("attn.proj"), width, width)?,
            norm2: t.layer_norm(&name("norm2"), width, EPS)?,
            fc2: t.linear_to(&name("mlp.fc2"), fc1.bias.len(), width)?,
            fc1,
        })
    }

    /// Pre-norm attention and MLP, both added to `x` `[tokens, width]`.
    fn forward(&self, x: &mut Array2<f32>, heads: usize) {
        let attended = self.attend(&self.norm1.forward(x.view()), heads);
        *x += &self.proj.forward(attended.view());
        let mut hidden = self.fc1.forward(self.norm2.forward(x.view()).view());
        hidden.mapv_inplace(gelu);
        *x += &self.fc2.forward(hidden.view());
    }

    fn attend(&self, x: &Array2<f32>, heads: usize) -> Array2<f32> {
        let width = x.ncols();
        let each = width / heads;
        let qkv = self.qkv.forward(x.view()); // [tokens, q of every head | k … | v …]
        let mut out = Array2::zeros(x.raw_dim());
        for h in 0..heads {
            let part = |which: usize| qkv.slice(s![.., which * width + h * each..which * width + (h + 1) * each]);
            let mut scores = part(0).dot(&part(1).t()) / (each as f32).sqrt(); // [tokens, tokens]
            for mut row in scores.rows_mut() {
                let max = row.fold(f32::NEG_INFINITY, |a, &b| a.max(b));
                row.mapv_inplace(|v| (v - max).exp());
                let sum = row.sum();
                row /= sum;
            }
            out.slice_mut(s![.., h * each..(h + 1) * each]).assign(&scores.dot(&part(2)));
        }
        out
    }
}
