//! The checkpoints that ship in the binary; `tools/demo` trained them.

use super::weights::Checkpoint;

/// Path and bytes of each file under `assets/$folder`.
macro_rules! files {
    ($folder:literal: $($path:literal)+) => {
        &[$(($path, include_bytes!(concat!("../../assets/", $folder, "/", $path)) as &[u8])),+]
    };
}

// Static, not const: one copy in the binary, however many units of code name it.
static CLIP: &[(&str, &[u8])] = files!("clip":
    "config.json" "merges.txt" "model.safetensors" "preprocessor_config.json" "special_tokens_map.json"
    "tokenizer.json" "tokenizer_config.json" "vocab.json");

static UNCLIP: &[(&str, &[u8])] = files!("unclip":
    "model_index.json"
    "feature_extractor/preprocessor_config.json"
    "image_encoder/config.json" "image_encoder/model.safetensors"
    "image_noising_scheduler/scheduler_config.json"
    "image_normalizer/config.json" "image_normalizer/diffusion_pytorch_model.safetensors"
    "scheduler/scheduler_config.json"
    "text_encoder/config.json" "text_encoder/model.safetensors"
    "tokenizer/merges.txt" "tokenizer/special_tokens_map.json" "tokenizer/tokenizer_config.json" "tokenizer/vocab.json"
    "unet/config.json" "unet/diffusion_pytorch_model.safetensors"
    "vae/config.json" "vae/diffusion_pytorch_model.safetensors");

static ENCODERS: &[(&str, &[u8])] = files!("encoders":
    "nf_resnet/config.json" "nf_resnet/model.safetensors"
    "vit/config.json" "vit/model.safetensors");

/// CLIP of the demo world.
pub fn clip() -> Checkpoint {
    Checkpoint::Embedded { name: "demo/clip", files: CLIP }
}

/// The unCLIP decoder of the demo world.
pub fn decoder() -> Checkpoint {
    Checkpoint::Embedded { name: "demo/unclip", files: UNCLIP }
}

/// The evaluation encoders of the demo world: `vit` and `nf_resnet`.
pub fn encoders() -> Checkpoint {
    Checkpoint::Embedded { name: "demo/encoders", files: ENCODERS }
}
