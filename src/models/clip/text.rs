//! The text tower: alone it is Stable Diffusion's text encoder, with its projection half of CLIP.

use super::{
    config::{Kind, TowerConfig, kind},
    transformer::Transformer,
};
use crate::{
    error::{Error, Result},
    models::{files::MODEL, weights::Part},
};
use candle_core::{DType, Device, Result as TensorResult, Tensor};
use candle_nn::{LayerNorm, Module, VarBuilder};

/// Token ids to hidden states.
#[derive(Clone, Debug)]
pub struct TextTower {
    tokens: Tensor,
    positions: Tensor,
    transformer: Transformer,
    norm: LayerNorm,
    kind: Kind,
    config: TowerConfig,
}

const STAGE: &str = "CLIP text tower";

impl TextTower {
    /// Loads a stand-alone `CLIPTextModel` (its `config.json` is the tower's own).
    ///
    /// # Errors
    /// [`Error::Io`] if a file is missing, [`Error::Input`] if it does not hold such a model.
    pub fn load(part: &Part<'_>, dtype: DType, device: &Device) -> Result<Self> {
        let json = part.json("config.json")?;
        if kind(part, &json)? != Kind::Clip {
            return Err(Error::input(part.path("config.json"), "a text encoder alone must be CLIP's"));
        }
        let config = TowerConfig::read(part, &json, Kind::Clip, false)?;
        let vb = part.weights(MODEL, dtype, device)?;
        // transformers 5 leaves the prefix out of a tower that stands alone.
        let own = vb.contains_tensor("embeddings.token_embedding.weight");
        let vb = if own { vb } else { vb.pp("text_model") };
        Self::new(&config, Kind::Clip, vb).map_err(super::unfit(part))
    }

    pub(super) fn new(config: &TowerConfig, kind: Kind, vb: VarBuilder<'_>) -> TensorResult<Self> {
        let (w, rest) = (config.hidden_size, vb.to_dtype(DType::F32));
        let emb = rest.pp("embeddings");
        Ok(Self {
            tokens: emb.get((config.vocab_size, w), "token_embedding.weight")?,
            positions: emb.get((config.max_position_embeddings, w), "position_embedding.weight")?,
            transformer: Transformer::load(config, kind == Kind::Clip, vb.pp("encoder"))?,
            norm: candle_nn::layer_norm(w, config.layer_norm_eps, rest.pp("final_layer_norm"))?,
            kind,
            config: config.clone(),
        })
    }

    /// Width of a hidden state.
    pub fn width(&self) -> usize {
        self.config.hidden_size
    }

    /// Longest sequence: 77.
    pub fn max_len(&self) -> usize {
        self.config.max_position_embeddings
    }

    /// Last hidden states after the final layer norm, `[b, len, w]` in float32, for sequences filled up to `len` with `pad`.
    ///
    /// # Errors
    /// [`Error::Shape`] if a sequence is longer than `len`, `len` than the tower knows, or an id is none of its tokens.
    pub fn hidden(&self, ids: &[Vec<u32>], len: usize, pad: u32) -> Result<Tensor> {
        self.check(ids, len, pad)?;
        let mut flat = Vec::with_capacity(ids.len() * len);
        for row in ids {
            flat.extend_from_slice(row);
            flat.resize(flat.len() + len - row.len(), pad);
        }
        self.forward(flat, ids.len(), len).map_err(Error::tensor(STAGE))
    }

    /// The hidden state at each sequence's end token, `[b, w]`. Sequences of unequal length are padded on the right, where
    /// CLIP's causal mask keeps the padding from mattering; SigLIP's come padded, all of one length, and the last counts.
    ///
    /// # Errors
    /// As [`TextTower::hidden`].
    pub fn pooled(&self, ids: &[Vec<u32>]) -> Result<Tensor> {
        let len = ids.iter().map(Vec::len).max().unwrap_or(0);
        let hidden = self.hidden(ids, len, 0)?;
        let at: Vec<u32> = ids.iter().enumerate().map(|(i, row)| (i * len + self.end_of(row)) as u32).collect();
        let pick = || hidden.flatten(0, 1)?.index_select(&Tensor::new(at, hidden.device())?, 0);
        pick().map_err(Error::tensor(STAGE))
    }

    /// Where transformers pools: the first end token; for the old checkpoints that say `eos_token_id: 2`, the first
    /// occurrence of the highest id, which is the end token's.
    fn end_of(&self, row: &[u32]) -> usize {
        if self.kind == Kind::Siglip {
            return row.len().saturating_sub(1);
        }
        let end =
            if self.config.eos_token_id == 2 { row.iter().max().copied() } else { Some(self.config.eos_token_id) };
        row.iter().position(|id| Some(*id) == end).unwrap_or(0)
    }

    fn check(&self, ids: &[Vec<u32>], len: usize, pad: u32) -> Result<()> {
        let longest = ids.iter().map(Vec::len).max().unwrap_or(0);
        let expected = |e: String, found: String| Err(Error::Shape { what: "tokens of a caption", expected: e, found });
        if longest > len || len > self.max_len() || len == 0 {
            return expected(format!("1 to {}", len.min(self.max_len())), longest.max(len).to_string());
        }
        match ids.iter().flatten().chain([&pad]).find(|id| **id as usize >= self.config.vocab_size) {
            Some(id) => expected(format!("ids below {}", self.config.vocab_size), id.to_string()),
            None => Ok(()),
        }
    }

    fn forward(&self, ids: Vec<u32>, b: usize, len: usize) -> TensorResult<Tensor> {
        let ids = Tensor::from_vec(ids, b * len, self.tokens.device())?;
        let x = self.tokens.index_select(&ids, 0)?.reshape((b, len, self.width()))?;
        let x = x.broadcast_add(&self.positions.narrow(0, 0, len)?)?;
        self.norm.forward(&self.transformer.forward(x)?)
    }
}
