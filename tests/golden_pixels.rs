//! Pixels against Pillow's and transformers' own (`tools/golden/preprocess.py`).
#![allow(clippy::unwrap_used)]

mod common;

use candle_core::{Device, Tensor};
use common::{checkpoint, golden};
use image::RgbImage;
use protostill::data::{decode::decode_rgb, pixels};
use std::collections::HashMap;

type Tensors = HashMap<String, Tensor>;

fn load() -> Tensors {
    candle_core::safetensors::load(golden("preprocess.safetensors"), &Device::Cpu).unwrap()
}

fn rgb(t: &Tensors, key: &str) -> RgbImage {
    let (h, w, _) = t[key].dims3().unwrap();
    RgbImage::from_raw(w as u32, h as u32, t[key].flatten_all().unwrap().to_vec1().unwrap()).unwrap()
}

fn close(ours: &[f32], t: &Tensors, key: &str) {
    let theirs: Vec<f32> = t[key].flatten_all().unwrap().to_vec1().unwrap();
    assert_eq!(ours.len(), theirs.len(), "{key}");
    let worst = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst <= 1e-6, "{key}: {worst}");
}

#[test]
fn every_resized_byte_is_pillows() {
    let t = load();
    let mut tried = 0;
    for key in t.keys() {
        let (name, what) = key.split_once('/').unwrap();
        let Some((filter, size)) = what.split_once('_') else { continue };
        let (w, h) = size.split_once('x').unwrap();
        let filter = match filter {
            "bicubic" => pixels::Filter::Bicubic,
            "lanczos" => pixels::Filter::Lanczos,
            _ => pixels::Filter::Bilinear,
        };
        let image = rgb(&t, &format!("{name}/rgb"));
        let ours = pixels::resize(&image, w.parse().unwrap(), h.parse().unwrap(), filter).unwrap();
        assert!(ours == rgb(&t, key), "{key}");
        tried += 1;
    }
    assert_eq!(tried, 30);
}

#[test]
fn clips_processor_and_the_evaluation_transform_give_the_same_numbers() {
    let t = load();
    let processor = pixels::Processor::load(&checkpoint("clip").root()).unwrap();
    let images: Vec<&String> = t.keys().filter(|k| k.ends_with("/rgb")).collect();
    assert_eq!(images.len(), 8);
    for key in images {
        let image = rgb(&t, key);
        close(&processor.apply(&image).unwrap(), &t, &key.replace("/rgb", "/clip"));
        close(&pixels::evaluation(&image, 32).unwrap(), &t, &key.replace("/rgb", "/eval"));
    }
}

#[test]
fn other_sizes_padding_and_the_older_forms_of_the_configuration_are_understood() {
    let t = load();
    let with = |config: &str| {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("preprocessor_config.json"), config).unwrap();
        pixels::Processor::load(&protostill::models::weights::Checkpoint::Folder(dir.path().into()).root())
    };
    for config in [
        r#"{"size": 91, "crop_size": 91}"#,
        r#"{"size": {"shortest_edge": 91}, "crop_size": {"height": 91, "width": 91}, "resample": 3}"#,
    ] {
        for name in ["b_64x200.png", "c_20x20.png"] {
            let ours = with(config).unwrap().apply(&rgb(&t, &format!("{name}/rgb"))).unwrap();
            close(&ours, &t, &format!("{name}/clip91"));
        }
    }
    let a = rgb(&t, "a_150x113.png/rgb");
    let padded = with(r#"{"size": {"shortest_edge": 20}, "crop_size": {"height": 33, "width": 40}}"#).unwrap();
    close(&padded.apply(&a).unwrap(), &t, "a_150x113.png/padded");
    let exact = with(r#"{"size": {"height": 30, "width": 50}, "do_center_crop": false}"#).unwrap();
    close(&exact.apply(&a).unwrap(), &t, "a_150x113.png/exact");
    for bad in [r#"{"size": 0}"#, r#"{"size": 100000}"#, r#"{"image_std": [0, 1, 1]}"#, r#"{"resample": 7}"#, "[]", "{"]
    {
        assert!(with(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_line_of_pixels_does_not_fill_the_memory() {
    let processor = pixels::Processor::load(&checkpoint("clip").root()).unwrap();
    let line = RgbImage::from_pixel(16_384, 1, image::Rgb([10, 20, 30]));
    assert_eq!(processor.apply(&line).unwrap().len(), 3 * 32 * 32);
}

#[test]
fn png_decodes_exactly_and_jpeg_within_its_decoders_rounding() {
    let t = load();
    for key in t.keys().filter(|k| k.ends_with("/rgb")) {
        let name = key.trim_end_matches("/rgb");
        let (ours, theirs) = (decode_rgb(&golden("images").join(name)).unwrap(), rgb(&t, key));
        assert_eq!(ours.dimensions(), theirs.dimensions());
        let differences = ours.as_raw().iter().zip(theirs.as_raw()).map(|(a, b)| a.abs_diff(*b));
        let (worst, sum) = differences.fold((0, 0u32), |(w, s), d| (w.max(d), s + u32::from(d)));
        let mean = f64::from(sum) / ours.as_raw().len() as f64;
        // JPEG leaves the inverse transform's and the chroma upsampling's rounding to the decoder: 2 at most and 0.015 on
        // average at 4:4:4, 4 and 0.37 at 4:2:0.
        let (most, average) = if name.ends_with("png") { (0, 0.0) } else { (4, 0.4) };
        assert!(worst <= most && mean <= average, "{name}: worst {worst}, mean {mean}");
    }
}
