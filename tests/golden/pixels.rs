//! Pixels against Pillow's, transformers' and torchvision's own (`tools/golden/preprocess.py`).
#![allow(clippy::unwrap_used)]

use crate::common::{checkpoint, golden};
use candle_core::{Device, Tensor};
use image::RgbImage;
use protostill::{data::files::decode::decode_rgb, models::clip, pixels};
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
    let processor = clip::processor(&checkpoint("clip").root(), clip::Kind::Clip).unwrap();
    let images: Vec<&String> = t.keys().filter(|k| k.ends_with("/rgb")).collect();
    assert_eq!(images.len(), 8);
    for key in images {
        let image = rgb(&t, key);
        close(&processor.apply(&image).unwrap(), &t, &key.replace("/rgb", "/clip"));
        close(
            &pixels::squashed(&image, 32, (pixels::CLIP_MEAN, pixels::CLIP_STD)).unwrap(),
            &t,
            &key.replace("/rgb", "/eval"),
        );
    }
}

#[test]
fn a_processor_of_transformers_5_is_read_before_an_older_one_and_its_absence_says_where_it_may_be() {
    let dir = tempfile::tempdir().unwrap();
    let side = |files: &[(&str, &str)]| {
        files.iter().for_each(|(name, text)| std::fs::write(dir.path().join(name), text).unwrap());
        let checkpoint = protostill::models::weights::Checkpoint::Folder(dir.path().into());
        clip::processor(&checkpoint.root(), clip::Kind::Clip).map(|processor| processor.side())
    };
    let said = side(&[("processor_config.json", r#"{"processor_class": "CLIPProcessor"}"#)]).unwrap_err().to_string();
    assert!(said.contains("preprocessor_config.json: is missing, and no processor_config.json beside it"), "{said}");
    let older = ("preprocessor_config.json", r#"{"size": 32, "crop_size": 32}"#);
    assert_eq!(side(&[older]).unwrap(), (32, 32));
    let newer = r#"{"image_processor": {"size": {"shortest_edge": 64}, "crop_size": {"height": 64, "width": 64}}}"#;
    assert_eq!(side(&[("processor_config.json", newer)]).unwrap(), (64, 64));
    let said = side(&[("processor_config.json", r#"{"image_processor": {"resample": 9}}"#)]).unwrap_err().to_string();
    assert!(said.contains("/processor_config.json: resample must be"), "{said}");
}

#[test]
fn other_sizes_padding_and_the_older_forms_of_the_configuration_are_understood() {
    let t = load();
    let with = |config: &str| {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("preprocessor_config.json"), config).unwrap();
        clip::processor(&protostill::models::weights::Checkpoint::Folder(dir.path().into()).root(), clip::Kind::Clip)
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
    // Half of a margin of 11.
    let odd = with(r#"{"size": 35, "crop_size": 35}"#).unwrap();
    close(&odd.apply(&a).unwrap(), &t, "a_150x113.png/clip35");
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
    let processor = clip::processor(&checkpoint("clip").root(), clip::Kind::Clip).unwrap();
    let line = RgbImage::from_pixel(16_384, 1, image::Rgb([10, 20, 30]));
    assert_eq!(processor.apply(&line).unwrap().len(), 3 * 32 * 32);
}

#[test]
fn png_and_jpeg_decode_to_the_bytes_of_pillow() {
    let t = load();
    for key in t.keys().filter(|k| k.ends_with("/rgb")) {
        let name = key.trim_end_matches("/rgb");
        assert!(decode_rgb(&golden("images").join(name)).unwrap() == rgb(&t, key), "{name}");
    }
}

/// Photographs against pixel values that another program made of them: a folder with `images/*.jpg` and an npz file whose
/// `pixel_values` `[n, 3, 224, 224]` has them in any order.
#[test]
#[allow(clippy::print_stdout)]
#[ignore = "needs a folder of photographs and their pixel values, named by PROTOSTILL_PHOTOS"]
fn photographs_give_the_pixel_values_that_others_made_of_them() {
    let folder =
        std::path::PathBuf::from(std::env::var("PROTOSTILL_PHOTOS").expect("PROTOSTILL_PHOTOS names no folder"));
    let ending = |path: &std::path::PathBuf, e: &str| path.extension().is_some_and(|x| x == e);
    let list =
        |folder: &std::path::Path| std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect::<Vec<_>>();
    let npz = list(&folder).into_iter().find(|p| ending(p, "npz")).unwrap();
    let theirs = Tensor::read_npz_by_name(npz, &["pixel_values"]).unwrap().remove(0);
    let theirs: Vec<Vec<f32>> = theirs.flatten_from(1).unwrap().to_vec2().unwrap();
    let nearest = |ours: &[f32]| {
        let apart = |t: &Vec<f32>| ours.iter().zip(t).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
        theirs.iter().map(apart).fold(f32::INFINITY, f32::min)
    };
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("preprocessor_config.json"), r#"{"size": 224, "crop_size": 224}"#).unwrap();
    let folder_of = protostill::models::weights::Checkpoint::Folder(dir.path().into());
    let processor = clip::processor(&folder_of.root(), clip::Kind::Clip).unwrap();
    let photos: Vec<_> = list(&folder.join("images")).into_iter().filter(|p| ending(p, "jpg")).collect();
    assert!(!photos.is_empty() && photos.len() == theirs.len());
    for photo in photos {
        let image = decode_rgb(&photo).unwrap();
        let worst = nearest(&processor.apply(&image).unwrap());
        println!("{}: {worst:e}", photo.display());
        assert!(worst <= 1e-6, "{}", photo.display());
    }
}
