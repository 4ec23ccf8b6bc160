//! The vision tower up to the joint space: half of CLIP or of SigLIP.

use super::{
    config::{Kind, TowerConfig},
    map::Map,
    transformer::Transformer,
};
use crate::{
    error::{Error, Result},
    models::layers::{Linear, shares},
};
use candle_core::{DType, Result as TensorResult, Tensor};
use candle_nn::{LayerNorm, Module, VarBuilder};

/// Images that go through the network together.
const GROUP: usize = 6;

/// Pixels to features in the joint space.
#[derive(Clone, Debug)]
pub struct VisionTower {
    patches: Linear,
    positions: Tensor,
    transformer: Transformer,
    post_norm: LayerNorm,
    pool: Pool,
    config: TowerConfig,
}

/// What makes one vector of the tokens.
#[derive(Clone, Debug)]
enum Pool {
    /// A class token before the patches, projected; all tokens are normed before the blocks.
    Class { token: Tensor, pre_norm: LayerNorm, projection: Linear },
    /// A query over the patches.
    Map(Box<Map>),
}

impl VisionTower {
    /// Of a joint space `joint` wide.
    pub(super) fn new(config: &TowerConfig, kind: Kind, joint: usize, vb: VarBuilder<'_>) -> TensorResult<Self> {
        let (w, p, eps, n) = (config.hidden_size, config.patch_size, config.layer_norm_eps, config.grid().pow(2));
        let whole = &vb;
        let vb = whole.pp("vision_model");
        let rest = vb.to_dtype(DType::F32);
        let emb = rest.pp("embeddings");
        let kernel = vb.pp("embeddings").get((w, 3, p, p), "patch_embedding.weight")?.reshape((w, 3 * p * p))?;
        let (pool, tokens, bias) = match kind {
            Kind::Clip => {
                let token = emb.get(w, "class_embedding")?;
                // The checkpoints' own spelling.
                let pre_norm = candle_nn::layer_norm(w, eps, rest.pp("pre_layrnorm"))?;
                let projection = Linear::load(&whole.pp("visual_projection"), w, joint, false)?;
                (Pool::Class { token, pre_norm, projection }, n + 1, None)
            }
            Kind::Siglip => {
                let map = Map::load(config, vb.pp("head"))?;
                (Pool::Map(Box::new(map)), n, Some(emb.get(w, "patch_embedding.bias")?))
            }
        };
        Ok(Self {
            patches: Linear::new(&kernel, bias)?,
            positions: emb.get((tokens, w), "position_embedding.weight")?,
            transformer: Transformer::load(config, false, vb.pp("encoder"))?,
            post_norm: candle_nn::layer_norm(w, eps, rest.pp("post_layernorm"))?,
            pool,
            config: config.clone(),
        })
    }

    /// Side of the images it takes, in pixels.
    pub fn image_size(&self) -> usize {
        self.config.image_size
    }

    /// `[b, 3, s, s]` float32 pixels, standardised, to features `[b, d]` in float32, not normalised.
    ///
    /// # Errors
    /// [`Error::Shape`] if the images have another size.
    pub fn encode(&self, pixels: &Tensor) -> Result<Tensor> {
        let s = self.image_size();
        if pixels.rank() != 4 || pixels.dims()[1..] != [3, s, s] {
            let (expected, found) = (format!("[b, 3, {s}, {s}]"), format!("{:?}", pixels.dims()));
            return Err(Error::Shape { what: "pixels for CLIP", expected, found });
        }
        self.groups(pixels).map_err(Error::tensor("CLIP vision tower"))
    }

    /// On a CPU a few images at a time go through the whole tower: what passes from layer to layer then stays in memory
    /// that is at hand.
    fn groups(&self, pixels: &Tensor) -> TensorResult<Tensor> {
        let group = |from: usize, n: usize| self.forward(&pixels.narrow(0, from, n)?);
        Tensor::cat(&shares(pixels.device(), pixels.dim(0)?, GROUP, group)?, 0)
    }

    fn forward(&self, pixels: &Tensor) -> TensorResult<Tensor> {
        let (b, g, p, w) = (pixels.dim(0)?, self.config.grid(), self.config.patch_size, self.config.hidden_size);
        // A convolution whose stride is its kernel is one matrix product over patches; pixels beyond the grid are not seen.
        let seen = pixels.narrow(2, 0, g * p)?.narrow(3, 0, g * p)?.contiguous()?;
        let seen =
            seen.reshape((b, 3, g, p, g * p))?.reshape(vec![b, 3, g, p, g, p])?.permute(vec![0, 2, 4, 1, 3, 5])?;
        let patches = self.patches.run(&seen.reshape((b * g * g, 3 * p * p))?, None)?.reshape((b, g * g, w))?;
        match &self.pool {
            Pool::Class { token, pre_norm, projection } => {
                let class = token.reshape((1, 1, w))?.broadcast_as((b, 1, w))?;
                let x = Tensor::cat(&[&class.contiguous()?, &patches], 1)?.broadcast_add(&self.positions)?;
                let x = self.transformer.forward(pre_norm.forward(&x)?)?;
                let class = x.narrow(1, 0, 1)?.squeeze(1)?.contiguous()?;
                projection.run(&self.post_norm.forward(&class)?, None)
            }
            Pool::Map(map) => {
                let x = self.transformer.forward(patches.broadcast_add(&self.positions)?)?;
                map.forward(&self.post_norm.forward(&x)?)
            }
        }
    }
}
