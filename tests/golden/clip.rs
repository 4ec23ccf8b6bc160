//! Tokens and features against transformers' (`tools/golden/tokens.py`, `clip.py`).
#![allow(clippy::unwrap_used)]

use crate::common::{checkpoint, golden};
use candle_core::{DType, Device, Tensor};
use protostill::{
    data::{ImageId, ImageSource, Pair, Split, caption::normalise, files::decode::decode_rgb},
    error::Error,
    models::{
        clip::{Clip, TextTower},
        demo,
        device::Backend,
        tokenizer::Tokenizer,
        weights::Checkpoint,
    },
    pipeline::{Ctx, space::embed},
};
use serde_json::Value;
use std::{collections::HashMap, sync::Arc};

fn rows() -> Vec<Value> {
    serde_json::from_slice(&std::fs::read(golden("tokens.json")).unwrap()).unwrap()
}

fn ids(value: &Value) -> Vec<u32> {
    serde_json::from_value(value.clone()).unwrap()
}

fn load() -> (Clip, HashMap<String, Tensor>) {
    let clip = Clip::load(&checkpoint("clip"), DType::F32, &Device::Cpu).unwrap();
    (clip, candle_core::safetensors::load(golden("clip.safetensors"), &Device::Cpu).unwrap())
}

/// Largest difference, relative to the largest number.
pub fn apart(a: &Tensor, b: &Tensor) -> f32 {
    assert_eq!(a.dims(), b.dims());
    let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let (a, b) = (flat(a), flat(b));
    let scale = b.iter().fold(0f32, |m, x| m.max(x.abs()));
    a.iter().zip(&b).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max) / scale
}

/// A copy of the tiny checkpoint without `without`, with `edit` applied to `config.json`.
fn variant(without: &[&str], edit: impl Fn(&mut Value)) -> (tempfile::TempDir, Checkpoint) {
    let dir = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(golden("clip")).unwrap() {
        let file = file.unwrap();
        if !without.contains(&file.file_name().to_str().unwrap()) {
            std::fs::copy(file.path(), dir.path().join(file.file_name())).unwrap();
        }
    }
    let path = dir.path().join("config.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    edit(&mut config);
    std::fs::write(&path, config.to_string()).unwrap();
    let checkpoint = Checkpoint::Folder(dir.path().into());
    (dir, checkpoint)
}

#[test]
fn every_string_gets_the_ids_transformers_gives() {
    let (_dir, slow_files) = variant(&["tokenizer.json"], |_| {});
    for checkpoint in [checkpoint("clip"), slow_files] {
        let tokenizer = Tokenizer::load(&checkpoint.root()).unwrap();
        for row in rows() {
            let raw = row["raw"].as_str().unwrap();
            assert_eq!(tokenizer.ids(raw).unwrap(), ids(&row["fast_raw"]), "{raw:?}");
            assert_eq!(tokenizer.ids(row["pre_caption30"].as_str().unwrap()).unwrap(), ids(&row["fast"]), "{raw:?}");
        }
    }
}

#[test]
fn a_megabyte_of_anything_is_cut_to_77_tokens_at_once() {
    let tokenizer = Tokenizer::load(&checkpoint("clip").root()).unwrap();
    for text in ["a".repeat(1 << 20), "\u{1b}[2J".repeat(1 << 18), " x".repeat(1 << 19), "\u{301}".repeat(1 << 19)] {
        let start = std::time::Instant::now();
        assert_eq!(tokenizer.ids(&text).unwrap().len(), 77);
        assert!(start.elapsed().as_secs() < 2, "{:?}", start.elapsed());
    }
    let far = format!("{}end", " ".repeat(1 << 20));
    assert_eq!(tokenizer.ids(&far).unwrap(), tokenizer.ids(" end").unwrap());
}

#[test]
fn image_features_are_transformers() {
    let (clip, t) = load();
    let features = clip.encode_images(&t["pixel_values"]).unwrap();
    let off = apart(&features, &t["image_features"]);
    assert!(off < 1e-5, "{off}");
    for act in ["gelu", "gelu_new"] {
        let (_dir, checkpoint) = variant(&[], |c| c["vision_config"]["hidden_act"] = act.into());
        let clip = Clip::load(&checkpoint, DType::F32, &Device::Cpu).unwrap();
        let off = apart(&clip.encode_images(&t["pixel_values"]).unwrap(), &t[&format!("image_features_{act}")]);
        assert!(off < 1e-5, "{act}: {off}");
    }
}

#[test]
fn text_features_are_transformers_whatever_the_padding() {
    let (clip, t) = load();
    let texts: Vec<Vec<u32>> = rows()[..18].iter().map(|r| ids(&r["fast_raw"])).collect();
    let together = clip.encode_texts(&texts).unwrap();
    let off = apart(&together, &t["text_features"]);
    assert!(off < 1e-5, "{off}");
    for (i, text) in texts.iter().enumerate() {
        let alone = clip.encode_texts(std::slice::from_ref(text)).unwrap();
        let off = apart(&alone, &together.narrow(0, i, 1).unwrap());
        assert!(off < 1e-6, "{i}: {off}");
    }
}

#[test]
fn an_end_token_named_by_its_id_is_pooled_at_its_first_place() {
    let (_, t) = load();
    let (_dir, checkpoint) = variant(&[], |c| c["text_config"]["eos_token_id"] = 320.into());
    let clip = Clip::load(&checkpoint, DType::F32, &Device::Cpu).unwrap();
    let texts: Vec<Vec<u32>> = rows()[..18].iter().map(|r| ids(&r["fast_raw"])).collect();
    let off = apart(&clip.encode_texts(&texts).unwrap(), &t["text_features_eos320"]);
    assert!(off < 1e-5, "{off}");
}

#[test]
fn the_text_tower_alone_gives_the_hidden_states_padded_to_77() {
    let (_, t) = load();
    let (_dir, checkpoint) = variant(&[], |c| *c = c["text_config"].clone());
    let tower = TextTower::load(&checkpoint.root(), DType::F32, &Device::Cpu).unwrap();
    let texts: Vec<Vec<u32>> = rows()[..4].iter().map(|r| ids(&r["fast_raw"])).collect();
    let off = apart(&tower.hidden(&texts, 77, 833).unwrap(), &t["text_hidden"]);
    assert!(off < 1e-5, "{off}");
    assert!(tower.hidden(&[vec![832, 834]], 77, 833).is_err());
    assert!(tower.hidden(&[vec![832; 78]], 78, 833).is_err());
}

#[test]
fn a_siglip_2_gives_transformers_tokens_and_features() {
    let clip = Clip::load(&checkpoint("siglip"), DType::F32, &Device::Cpu).unwrap();
    let t = candle_core::safetensors::load(golden("siglip.safetensors"), &Device::Cpu).unwrap();
    let texts: Vec<String> = serde_json::from_slice(&std::fs::read(golden("siglip.json")).unwrap()).unwrap();
    let found: Vec<Vec<u32>> = texts.iter().map(|text| clip.tokenizer().ids(text).unwrap()).collect();
    assert_eq!(found, t["ids"].to_dtype(DType::U32).unwrap().to_vec2::<u32>().unwrap());
    for (found, truth) in [
        (clip.encode_texts(&found).unwrap(), &t["text_features"]),
        (clip.encode_images(&t["pixels"]).unwrap(), &t["image_features"]),
    ] {
        let off = apart(&found, truth);
        assert!(off < 1e-5, "{off}");
    }
    assert_eq!((clip.width(), clip.image_size()), (16, 20));
}

#[test]
fn captions_are_normalised_as_blip_does() {
    for row in rows() {
        let raw = row["raw"].as_str().unwrap();
        // Python's `re` and Rust agree on white space and lower case for what captions hold; the reference keeps white
        // space other than runs of it, which the tokenizer then takes for a space.
        if raw.chars().all(|c| !c.is_control() && (c == ' ' || !c.is_whitespace())) {
            assert_eq!(normalise(raw, 30), row["pre_caption30"].as_str().unwrap(), "{raw:?}");
            assert_eq!(normalise(raw, 50), row["pre_caption50"].as_str().unwrap(), "{raw:?}");
        }
    }
}

fn split() -> Split {
    let images = ["a_150x113.png", "b_64x200.png", "c_20x20.png"];
    let images: Vec<_> =
        images.iter().map(|n| ImageSource::Memory(decode_rgb(&golden("images").join(n)).unwrap())).collect();
    let pairs =
        (0..150).map(|i| Pair { image: ImageId(i % 3), caption: format!("caption {} of this", i / 2) }).collect();
    Split { images, pairs, ..Split::default() }
}

#[test]
fn each_row_of_the_embeddings_is_its_own_caption_and_image() {
    let (clip, _) = load();
    let all = embed::embed(&split(), &clip, embed::UNKEPT, &Ctx::quiet()).unwrap();
    assert_eq!((all.image.dim(), all.text.dim()), ((3, 24), (150, 24)));
    for row in [0, 1, 77, 149] {
        let tokens = clip.tokenizer().ids(&split().pairs[row].caption).unwrap();
        let alone = clip.encode_texts(&[tokens]).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for (a, b) in alone.iter().zip(all.text.row(row)) {
            assert!((a - b).abs() < 1e-5);
        }
        assert_eq!(all.image_row(row), all.image.row(row % 3));
    }
    let single = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let again = single.install(|| embed::embed(&split(), &clip, embed::UNKEPT, &Ctx::quiet())).unwrap();
    assert_eq!(again.fingerprint, all.fingerprint);
}

#[test]
fn embedding_stops_when_cancelled_and_names_what_is_broken() {
    let (clip, _) = load();
    let cancel: Arc<std::sync::atomic::AtomicBool> = Arc::default();
    let flag = cancel.clone();
    let ctx = Ctx::new(cancel, move |_| flag.store(true, std::sync::atomic::Ordering::Relaxed));
    assert!(matches!(embed::embed(&split(), &clip, embed::UNKEPT, &ctx), Err(Error::Cancelled)));
    let mut broken = split();
    broken.images[1] = ImageSource::File("no/such.png".into());
    let message = embed::embed(&broken, &clip, embed::UNKEPT, &Ctx::quiet()).unwrap_err().to_string();
    assert!(message.contains("such.png"), "{message}");
    let mut nan = ndarray::Array2::zeros((3, 4));
    nan[[2, 1]] = f32::NAN;
    let message =
        protostill::pipeline::space::embeddings::Embeddings::new(nan, ndarray::Array2::zeros((1, 4)), vec![0])
            .unwrap_err()
            .to_string();
    assert!(message.contains("row 2"), "{message}");
}

#[test]
fn features_in_bfloat16_point_where_those_in_float32_do() {
    let Ok(backend) = Backend::open("cpu", "bfloat16") else { return };
    let load = |dtype| Clip::load(&demo::clip(), dtype, backend.device()).unwrap();
    let (single, half) = (load(DType::F32), load(backend.clip()));
    assert_ne!(single.fingerprint(), half.fingerprint());
    let side = single.image_size();
    let wave: Vec<f32> = (0..3 * 3 * side * side).map(|i| (i as f32 * 0.013).sin()).collect();
    let pixels = Tensor::from_vec(wave, (3, 3, side, side), &Device::Cpu).unwrap();
    let ids = ["a red circle", "two green trees under a night sky", "nothing"]
        .map(|caption| single.tokenizer().ids(caption).unwrap());
    let pairs = [
        [single.encode_images(&pixels).unwrap(), half.encode_images(&pixels).unwrap()],
        [single.encode_texts(&ids).unwrap(), half.encode_texts(&ids).unwrap()],
    ];
    for [single, half] in pairs {
        let [single, half]: [Vec<Vec<f32>>; 2] = [single.to_vec2().unwrap(), half.to_vec2().unwrap()];
        for (a, b) in single.iter().zip(&half) {
            let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| f64::from(x * y)).sum::<f64>();
            let cosine = dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
            assert!(cosine > 0.999 && a != b, "{cosine}");
        }
    }
}
