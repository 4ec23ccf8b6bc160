//! What the files of a checkpoint are called.

/// Stem of the weights that transformers and timm write.
pub const MODEL: &str = "model";
/// Stem of the weights that diffusers writes.
pub const DIFFUSERS: &str = "diffusion_pytorch_model";
/// What follows the stem, best first. An index names the shards beside it.
pub(super) const ENDINGS: [&str; 4] =
    [".safetensors", ".safetensors.index.json", ".fp16.safetensors", ".safetensors.index.fp16.json"];
