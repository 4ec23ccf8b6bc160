//! timm's `VisionTransformer` (timm 1.0.31, `models/vision_transformer.py`): plain, deit's, DINOv2's (scales, registers), and
//! the image towers of CLIP (a norm before the blocks) and SigLIP (attention pooling).

use super::tensors::Tensors;
use crate::{
    error::{Error, Result},
    models::host::{LayerNorm, Linear, gelu},
};
use ndarray::{Array1, Array2, ArrayView2, ArrayView3, Axis, concatenate, s};
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;

/// LayerNorm's epsilon in timm's vision transformers.
const EPS: f32 = 1e-6;
/// The same in CLIP's.
const CLIP_EPS: f32 = 1e-5;
/// Width of an attention head where `model_args` gives no `num_heads`: so in timm's tiny, small, base and large.
const HEAD_WIDTH: usize = 64;
/// Width beyond which timm's (so400m, huge, giant, gigantic) have 16 heads.
const WIDE: usize = 1024;

/// Whether `architecture` is built here.
pub fn knows(architecture: &str) -> bool {
    ["vit_", "deit_", "deit3_"].iter().any(|start| architecture.starts_with(start))
}

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
    embed: Linear, // [width, 3 patch patch]
    /// What stands before the patches, its positions added: the class token and registers.
    before: Array2<f32>, // [tokens, width]
    positions: Array2<f32>, // [grid grid, width]
    /// CLIP's norm before the blocks.
    first: Option<LayerNorm>,
    blocks: Vec<Block>,
    /// Of all tokens, or of their mean.
    norm: LayerNorm,
    pool: Pool,
}

/// What becomes of the tokens.
#[derive(Debug)]
enum Pool {
    /// The class token.
    Token,
    /// The mean of the patches, normed after it is taken (`fc_norm`) or before.
    Mean { after: bool },
    /// SigLIP's: one query over all tokens.
    Map(Box<Map>),
}

#[derive(Debug)]
struct Block {
    norm1: LayerNorm,
    qkv: Linear,
    proj: Linear,
    norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    /// What attention and MLP are scaled by, where they are.
    scales: Option<[Array1<f32>; 2]>,
    act: fn(f32) -> f32,
}

/// timm's `AttentionPoolLatent`.
#[derive(Debug)]
struct Map {
    query: Array2<f32>, // [1, width], projected already
    kv: Linear,
    proj: Linear,
    norm: LayerNorm,
    fc1: Linear,
    fc2: Linear,
}

/// `x sigmoid(1.702 x)`, as OpenAI's CLIP has it.
fn quick_gelu(x: f32) -> f32 {
    x / (1.0 + (-1.702 * x).exp())
}

/// The tokens before the patches and the positions of the patches; `pos_embed` has the class token's too, or not.
fn tokens(t: &Tensors, width: usize) -> Result<(Array2<f32>, Array2<f32>)> {
    let class = if t.has("cls_token") { Some(t.vector("cls_token", width)?) } else { None };
    let (shape, positions) = t.get("pos_embed")?;
    let count = positions.len() / width;
    let square = |n: usize| n.isqrt().pow(2) == n && n > 0;
    // With registers, and in deit3, the class token has no position. No two squares are neighbours but 0 and 1.
    let own = usize::from(class.is_some() && !square(count));
    if shape != [1, count, width] || !square(count.saturating_sub(own)) {
        let expected = format!("[1, n n, {width}], or with one more for the class token");
        return Err(t.misfit("pos_embed", &shape, &expected));
    }
    let positions = Array2::from_shape_vec((count, width), positions).map_err(|e| t.wrong(e.to_string()))?;
    let mut before: Vec<f32> = class.into_iter().flatten().collect();
    before.iter_mut().zip(positions.iter().take(own * width)).for_each(|(token, position)| *token += position);
    if t.has("reg_token") {
        let (shape, registers) = t.get("reg_token")?;
        if shape.last() != Some(&width) {
            return Err(t.misfit("reg_token", &shape, &format!("[1, _, {width}]")));
        }
        before.extend(registers);
    }
    let before = Array2::from_shape_vec((before.len() / width, width), before).map_err(|e| t.wrong(e.to_string()))?;
    Ok((before, positions.slice(s![own.., ..]).to_owned()))
}

impl Vit {
    /// `architecture` says the activation and the norms' epsilon, `pool` timm's `global_pool`.
    pub fn load(t: &Tensors, (architecture, pool): (&str, &str), args: Value, config: &Path) -> Result<Self> {
        let args: Args = serde_json::from_value(args).map_err(|e| Error::input(config, format!("model_args: {e}")))?;
        let outside = ["head_dist.weight", "dist_token"];
        let in_block = ["blocks.0.attn.q_norm.weight", "blocks.0.mlp.norm.weight", "blocks.0.mlp.w12.weight"];
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
        let clip = architecture.contains("clip_");
        // CLIP's patches have no bias.
        let bias = if clip { Array1::zeros(width) } else { t.vector("patch_embed.proj.bias", width)? };
        let embed = Linear { weight, bias };
        let (before, positions) = tokens(t, width)?;
        let (grid, eps) = (positions.nrows().isqrt(), if clip { CLIP_EPS } else { EPS });
        let act = if architecture.contains("quickgelu") { quick_gelu } else { gelu };
        let depth = (0..).take_while(|i| t.has(&format!("blocks.{i}.norm1.weight"))).count();
        let blocks = (0..depth).map(|i| Block::load(t, i, width, eps, act)).collect::<Result<_>>()?;
        let heads = args.num_heads.unwrap_or(if width > WIDE { 16 } else { (width / HEAD_WIDTH).max(1) });
        if heads == 0 || width % heads != 0 {
            return Err(Error::input(config, format!("num_heads {heads} does not divide the width {width}")));
        }
        let after = pool == "avg" && t.has("fc_norm.weight");
        let norm = t.layer_norm(if after { "fc_norm" } else { "norm" }, width, eps)?;
        let first = if t.has("norm_pre.weight") { Some(t.layer_norm("norm_pre", width, eps)?) } else { None };
        let pool = match pool {
            "token" if t.has("cls_token") => Pool::Token,
            "avg" => Pool::Mean { after },
            "map" => Pool::Map(Box::new(Map::load(t, width)?)),
            other => return Err(Error::input(config, format!("global_pool `{other}` does not fit the weights"))),
        };
        let net = Self { patch, grid, heads, embed, before, positions, first, blocks, norm, pool };
        net.agree(&args, config)?;
        Ok(net)
    }

    /// What `model_args` says must be what the weights say.
    fn agree(&self, args: &Args, config: &Path) -> Result<()> {
        let told = [
            ("img_size", args.img_size, self.side()),
            ("patch_size", args.patch_size, self.patch),
            ("embed_dim", args.embed_dim, self.width()),
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

    /// Width of the pooled features: a token's.
    pub fn width(&self) -> usize {
        self.positions.ncols()
    }

    /// `[3, side, side]` to pooled features `[width]`.
    pub fn pooled(&self, image: ArrayView3<'_, f32>) -> Array1<f32> {
        let patches = self.embed.forward(self.patches(image).view()) + &self.positions;
        let mut x = concatenate![Axis(0), self.before, patches]; // [tokens, width]
        if let Some(norm) = &self.first {
            x = norm.forward(x.view());
        }
        for block in &self.blocks {
            block.forward(&mut x, self.heads);
        }
        let one = |row: Array2<f32>| row.remove_axis(Axis(0));
        let mean = |x: ArrayView2<'_, f32>| {
            x.slice(s![self.before.nrows().., ..]).sum_axis(Axis(0)) / self.positions.nrows() as f32
        };
        match &self.pool {
            Pool::Token => one(self.norm.forward(x.slice(s![..1, ..]))),
            Pool::Mean { after: true } => one(self.norm.forward(mean(x.view()).insert_axis(Axis(0)).view())),
            Pool::Mean { after: false } => mean(self.norm.forward(x.view()).view()),
            Pool::Map(map) => one(map.forward(&self.norm.forward(x.view()), self.heads)),
        }
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
    fn load(t: &Tensors, index: usize, width: usize, eps: f32, act: fn(f32) -> f32) -> Result<Self> {
        let name = |part: &str| format!("blocks.{index}.{part}");
        let fc1 = t.linear(&name("mlp.fc1"), width)?;
        let scale = |part: &str| t.vector(&name(part), width);
        let scaled = t.has(&name("ls1.gamma"));
        Ok(Self {
            norm1: t.layer_norm(&name("norm1"), width, eps)?,
            qkv: t.linear_to(&name("attn.qkv"), width, 3 * width)?,
            proj: t.linear_to(&name("attn.proj"), width, width)?,
            norm2: t.layer_norm(&name("norm2"), width, eps)?,
            fc2: t.linear_to(&name("mlp.fc2"), fc1.bias.len(), width)?,
            fc1,
            scales: if scaled { Some([scale("ls1.gamma")?, scale("ls2.gamma")?]) } else { None },
            act,
        })
    }

    /// Pre-norm attention and MLP, both added to `x` `[tokens, width]`.
    fn forward(&self, x: &mut Array2<f32>, heads: usize) {
        let width = x.ncols();
        let qkv = self.qkv.forward(self.norm1.forward(x.view()).view()); // [tokens, q of every head | k … | v …]
        let part = |which: usize| qkv.slice(s![.., which * width..(which + 1) * width]);
        let attended = attend(part(0), part(1), part(2), heads);
        self.add(x, self.proj.forward(attended.view()), 0);
        let mut hidden = self.fc1.forward(self.norm2.forward(x.view()).view());
        hidden.mapv_inplace(self.act);
        self.add(x, self.fc2.forward(hidden.view()), 1);
    }

    /// Adds what attention (0) or the MLP (1) gives.
    fn add(&self, x: &mut Array2<f32>, mut more: Array2<f32>, which: usize) {
        if let Some(scales) = &self.scales {
            more *= &scales[which];
        }
        *x += &more;
    }
}

impl Map {
    fn load(t: &Tensors, width: usize) -> Result<Self> {
        let name = |part: &str| format!("attn_pool.{part}");
        if t.has("attn_pool.pos_embed") || t.has("attn_pool.q_norm.weight") {
            return Err(t.wrong("`attn_pool` has parts that are not supported"));
        }
        let latent = t.vector("attn_pool.latent", width)?.insert_axis(Axis(0));
        let fc1 = t.linear(&name("mlp.fc1"), width)?;
        Ok(Self {
            query: t.linear_to(&name("q"), width, width)?.forward(latent.view()),
            kv: t.linear_to(&name("kv"), width, 2 * width)?,
            proj: t.linear_to(&name("proj"), width, width)?,
            norm: t.layer_norm(&name("norm"), width, EPS)?,
            fc2: t.linear_to(&name("mlp.fc2"), fc1.bias.len(), width)?,
            fc1,
        })
    }

    /// `[tokens, width]` to `[1, width]`.
    fn forward(&self, x: &Array2<f32>, heads: usize) -> Array2<f32> {
        let (kv, width) = (self.kv.forward(x.view()), x.ncols());
        let attended = attend(self.query.view(), kv.slice(s![.., ..width]), kv.slice(s![.., width..]), heads);
        let x = self.proj.forward(attended.view());
        let mut hidden = self.fc1.forward(self.norm.forward(x.view()).view());
        hidden.mapv_inplace(gelu);
        self.fc2.forward(hidden.view()) + x
    }
}

/// Attention of `q` `[a, width]` over `k` and `v` `[b, width]`, head by head.
fn attend(q: ArrayView2<'_, f32>, k: ArrayView2<'_, f32>, v: ArrayView2<'_, f32>, heads: usize) -> Array2<f32> {
    let each = q.ncols() / heads;
    let mut out = Array2::zeros(q.raw_dim());
    for h in 0..heads {
        let columns = s![.., h * each..(h + 1) * each];
        let mut scores = q.slice(columns).dot(&k.slice(columns).t()) / (each as f32).sqrt(); // [a, b]
        for mut row in scores.rows_mut() {
            let max = row.fold(f32::NEG_INFINITY, |a, &b| a.max(b));
            row.mapv_inplace(|v| (v - max).exp());
            let sum = row.sum();
            row /= sum;
        }
        out.slice_mut(columns).assign(&scores.dot(&v.slice(columns)));
    }
    out
}
