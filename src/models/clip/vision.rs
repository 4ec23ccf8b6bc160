//! CLIP's vision tower with its projection: half of CLIP, and Stable unCLIP's image encoder.

use super::{config::TowerConfig, transformer::Transformer};
use crate::{
    error::{Error, Result},
    models::{
        files::MODEL,
        layers::{Linear, shares},
        weights::Part,
    },
};
use candle_core::{DType, Device, Result as TensorResult, Tensor};
use candle_nn::{LayerNorm, Module, VarBuilder};

/// Images that go through the network together.
const GROUP: usize = 6;

/// Pixels to features in the joint space.
#[derive(Clone, Debug)]
pub struct VisionTower {
    class: Tensor,
    patches: Linear,
    positions: Tensor,
    pre_norm: LayerNorm,
    transformer: Transformer,
    post_norm: LayerNorm,
    projection: Linear,
    config: TowerConfig,
}

impl VisionTower {
    /// Loads a stand-alone `CLIPVisionModelWithProjection`.
    ///
    /// # Errors
    /// [`Error::Io`] if a file is missing, [`Error::Input`] if it does not hold such a model.
    pub fn load(part: &Part<'_>, dtype: DType, device: &Device) -> Result<Self> {
        let config = TowerConfig::read(part, &part.json("config.json")?, true)?;
        let vb = part.weights(MODEL, dtype, device)?;
        Self::new(&config, config.projection_dim, vb).map_err(super::unfit(part))
    }

    pub(super) fn new(config: &TowerConfig, joint: usize, vb: VarBuilder<'_>) -> TensorResult<Self> {
        let (w, p, eps) = (config.hidden_size, config.patch_size, config.layer_norm_eps);
        let projection = Linear::load(&vb.pp("visual_projection"), w, joint, false)?;
        let vb = vb.pp("vision_model");
        let rest = vb.to_dtype(DType::F32);
        let emb = rest.pp("embeddings");
        let kernel = vb.pp("embeddings").get((w, 3, p, p), "patch_embedding.weight")?.reshape((w, 3 * p * p))?;
        Ok(Self {
            class: emb.get(w, "class_embedding")?,
            patches: Linear::new(&kernel, None)?,
            positions: emb.get((config.grid().pow(2) + 1, w), "position_embedding.weight")?,
            // The checkpoints' own spelling.
            pre_norm: candle_nn::layer_norm(w, eps, rest.pp("pre_layrnorm"))?,
            transformer: Transformer::load(config, false, vb.pp("encoder"))?,
            post_norm: candle_nn::layer_norm(w, eps, rest.pp("post_layernorm"))?,
            projection,
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
        let class = self.class.reshape((1, 1, w))?.broadcast_as((b, 1, w))?;
        let x = Tensor::cat(&[&class.contiguous()?, &patches], 1)?.broadcast_add(&self.positions)?;
        let x = self.transformer.forward(self.pre_norm.forward(&x)?)?;
        let class = x.narrow(1, 0, 1)?.squeeze(1)?.contiguous()?;
        self.projection.run(&self.post_norm.forward(&class)?, None)
    }
}
