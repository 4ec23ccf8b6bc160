//! Our kernels against candle-transformers' plain layers, on the same weights: any number of images and captions, drawn anew.
#![allow(clippy::unwrap_used)]

use crate::{
    clip::apart,
    common::{checkpoint, golden},
};
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::clip::{
    ClipConfig, ClipModel,
    text_model::{Activation, ClipTextConfig},
    vision_model::ClipVisionConfig,
};
use protostill::models::clip::Clip;
use serde_json::Value;

/// candle-transformers' CLIP of the tiny checkpoint.
fn oracle() -> ClipModel {
    let config: Value = serde_json::from_slice(&std::fs::read(golden("clip/config.json")).unwrap()).unwrap();
    let (text, vision) = (&config["text_config"], &config["vision_config"]);
    let of = |part: &Value, name: &str| part[name].as_u64().unwrap() as usize;
    let config = ClipConfig {
        text_config: ClipTextConfig {
            vocab_size: of(text, "vocab_size"),
            embed_dim: of(text, "hidden_size"),
            activation: Activation::QuickGelu,
            intermediate_size: of(text, "intermediate_size"),
            max_position_embeddings: of(text, "max_position_embeddings"),
            pad_with: None,
            num_hidden_layers: of(text, "num_hidden_layers"),
            num_attention_heads: of(text, "num_attention_heads"),
            projection_dim: of(text, "projection_dim"),
        },
        vision_config: ClipVisionConfig {
            embed_dim: of(vision, "hidden_size"),
            activation: Activation::QuickGelu,
            intermediate_size: of(vision, "intermediate_size"),
            num_hidden_layers: of(vision, "num_hidden_layers"),
            num_attention_heads: of(vision, "num_attention_heads"),
            projection_dim: of(vision, "projection_dim"),
            num_channels: 3,
            image_size: of(vision, "image_size"),
            patch_size: of(vision, "patch_size"),
        },
        logit_scale_init_value: 2.6592,
        image_size: of(vision, "image_size"),
    };
    let weights = std::fs::read(golden("clip/model.safetensors")).unwrap();
    ClipModel::new(VarBuilder::from_buffered_safetensors(weights, DType::F32, &Device::Cpu).unwrap(), &config).unwrap()
}

#[test]
fn images_and_captions_get_candle_transformers_features_however_many_there_are() {
    let (ours, theirs) = (Clip::load(&checkpoint("clip"), DType::F32, &Device::Cpu).unwrap(), oracle());
    for n in [1, 2, 3, 7, 33] {
        let pixels = Tensor::randn(0f32, 1.0, (n, 3, 32, 32), &Device::Cpu).unwrap();
        let off = apart(&ours.encode_images(&pixels).unwrap(), &theirs.get_image_features(&pixels).unwrap());
        assert!(off < 1e-5, "{n} images: {off}");
    }
    for words in ["", "a", "a red ball", &"many words and more ".repeat(30)] {
        let ids = ours.tokenizer().ids(words).unwrap();
        let tokens = Tensor::new(&ids[..], &Device::Cpu).unwrap().unsqueeze(0).unwrap();
        let found = ours.encode_texts(&[ids]).unwrap();
        let off = apart(&found, &theirs.get_text_features(&tokens).unwrap());
        assert!(off < 1e-5, "{words:?}: {off}");
    }
}
