//! timm's evaluation encoders at full size, against timm (`tools/golden/timm_full.py`): weights are made again from their
//! names and shapes, results are stored.
#![allow(clippy::unwrap_used)]

use crate::common::golden;
use ndarray::{Array2, Array4, ArrayView2};
use protostill::models::{
    encoders::{Encoder, Features},
    weights::Checkpoint,
};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::Value;
use std::{collections::BTreeMap, fs, path::Path};

/// As the script's `numbers`.
fn numbers(name: &str, count: usize) -> impl Iterator<Item = f64> {
    let seed = name.bytes().fold(0xCBF2_9CE4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01B3));
    (1..=count as u64).map(move |i| {
        let mut z = seed.wrapping_add(i.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f64 / f64::from(1 << 23) - 1.0
    })
}

/// As the script's `weight`, in bytes.
fn weight(name: &str, shape: &[usize]) -> Vec<u8> {
    let fan_in = shape[1..].iter().product::<usize>() as f64;
    let gain = [".gain", "running_var"].iter().any(|end| name.ends_with(end));
    let matrix = shape.len() >= 2 && !name.ends_with("pos_embed") && !name.ends_with("cls_token");
    let shaped = |u: f64| match () {
        () if gain || name.ends_with("weight") && shape.len() == 1 => 1.0 + 0.2 * u,
        () if matrix => u * (5.0 / fan_in).sqrt(),
        () => 0.2 * u,
    };
    numbers(name, shape.iter().product()).flat_map(|u| (shaped(u) as f32).to_le_bytes()).collect()
}

/// The checkpoint that `about` describes, in timm's layout.
fn write(folder: &Path, about: &Value) {
    fs::write(folder.join("config.json"), about["config"].to_string()).unwrap();
    let shapes: BTreeMap<String, String> = serde_json::from_value(about["tensors"].clone()).unwrap();
    let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = shapes
        .into_iter()
        .map(|(name, shape)| {
            let shape: Vec<usize> = shape.split(',').map(|n| n.parse().unwrap()).collect();
            let bytes = weight(&name, &shape);
            (name, shape, bytes)
        })
        .collect();
    let views = tensors.iter().map(|(n, s, b)| (n, TensorView::new(Dtype::F32, s.clone(), b).unwrap()));
    safetensors::serialize_to_file(views, None, &folder.join("model.safetensors")).unwrap();
}

/// Two images of 8 x 8 tiles.
fn images(side: usize) -> Array4<f32> {
    let tiles: Vec<f32> = numbers("image", 2 * 3 * 8 * 8).map(|u| 2.0 * u as f32).collect();
    Array4::from_shape_fn((2, 3, side, side), |(b, c, y, x)| tiles[((b * 3 + c) * 8 + y * 8 / side) * 8 + x * 8 / side])
}

fn norm(x: ArrayView2<'_, f32>) -> f64 {
    x.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn full_size_encoders_give_timms_logits_and_pooled_features() {
    agree("full", 7);
}

#[test]
fn vision_transformers_of_every_kind_gated_networks_and_convnexts_give_timms_logits_and_pooled_features() {
    agree("small", 16);
}

fn agree(which: &str, count: usize) {
    let about: serde_json::Map<String, Value> =
        serde_json::from_slice(&fs::read(golden(&format!("timm/{which}.json"))).unwrap()).unwrap();
    let bytes = fs::read(golden(&format!("timm/{which}.safetensors"))).unwrap();
    let results = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(about.len(), count);
    for (name, about) in &about {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), about);
        let encoder = Encoder::load(&Checkpoint::Folder(folder.path().into()).root()).unwrap();
        let x = images(encoder.side()) * about["times"].as_f64().unwrap_or(1.0) as f32;
        for (kind, what) in [(Features::Logits, "logits"), (Features::Pooled, "pooled")] {
            let truth = results.tensor(&format!("{name}/{what}")).unwrap();
            let values = truth.data().chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
            let truth = Array2::from_shape_vec((2, truth.shape()[1]), values).unwrap();
            let found = encoder.encode(x.view(), kind).unwrap();
            assert_eq!(found.ncols(), encoder.width(kind));
            let found = found.slice(ndarray::s![.., ..truth.ncols()]);
            let off = norm((&found - &truth).view()) / norm(truth.view());
            // Float32 on both sides; the deepest of these nets is 1.4e-4 off.
            assert!(off < 2e-4, "{name} {what}: {off:e}");
        }
        let features = about["config"]["num_features"].as_u64().unwrap();
        // timm counts a mobilenetv3's features before its last convolution, and a head's before its own layer; it pools after them.
        let pooled = match name.as_str() {
            name if name.starts_with("mobilenetv3_small") => 1024,
            name if name.starts_with("mobilenetv3") => 1280,
            "convnext_large_mlp" => 40,
            _ => features,
        };
        assert_eq!(encoder.width(Features::Pooled) as u64, pooled, "{name}");
    }
}
