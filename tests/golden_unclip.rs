//! Stable unCLIP against diffusers 0.34.0, as a whole: `tools/golden/unclip.py` made the numbers.
#![allow(clippy::unwrap_used)]

use candle_core::{DType, Device, Tensor};
use protostill::models::{
    unclip::{Guide, Scheduler, Unclip, noise},
    weights::Checkpoint,
};
use std::{collections::HashMap, path::PathBuf};

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn open(name: &str) -> (Unclip, HashMap<String, Tensor>) {
    let checkpoint = Checkpoint::Folder(golden(name));
    let gold = candle_core::safetensors::load(golden(&format!("{name}_golden.safetensors")), &Device::Cpu).unwrap();
    (Unclip::load(&checkpoint, DType::F32, &Device::Cpu).unwrap(), gold)
}

fn floats(x: &Tensor) -> Vec<f32> {
    x.flatten_all().unwrap().to_vec1().unwrap()
}

fn off(found: &[f32], truth: &[f32]) -> f64 {
    assert_eq!(found.len(), truth.len());
    let square = |x: f32| f64::from(x) * f64::from(x);
    let wrong: f64 = found.iter().zip(truth).map(|(a, b)| square(a - b)).sum();
    (wrong / truth.iter().map(|b| square(*b)).sum::<f64>()).sqrt()
}

#[test]
fn image_embeddings_are_noised_as_diffusers_does() {
    for name in ["unclip2", "unclip4"] {
        let (model, gold) = open(name);
        let (embeds, noise) = (floats(&gold["image_embeds"]), floats(&gold["embed_noise"]));
        for level in [0, 10, 500, 999] {
            let found = model.labels(&[&embeds], std::slice::from_ref(&noise), level).unwrap();
            let wrong = off(&floats(&found), &floats(&gold[&format!("noised_{level}")]));
            assert!(wrong < 1e-5, "{name} level {level}: {wrong:e}");
        }
        assert!(model.labels(&[&embeds], &[noise], 1000).is_err());
    }
}

#[test]
fn the_whole_pipeline_ends_at_diffusers_pixels() {
    for name in ["unclip2", "unclip4"] {
        let (model, gold) = open(name);
        let (embeds, noise) = (floats(&gold["image_embeds"]), floats(&gold["embed_noise"]));
        let guide = Guide {
            labels: model.labels(&[&embeds], &[noise], 10).unwrap(),
            prompts: gold["prompt_embeds"].clone(),
            negative: gold["negative_prompt_embeds"].clone(),
            scale: 5.,
        };
        for (run, plan) in
            [("pipe5", (Scheduler::Pndm, 5)), ("pipe100", (Scheduler::Pndm, 100)), ("ddim10", (Scheduler::Ddim, 10))]
        {
            let truth = gold[&format!("{run}_latents")].chunk(gold[&format!("{run}_latents")].dim(0).unwrap(), 0).unwrap();
            let every = if plan.1 < 20 { 1 } else { 10 };
            let (mut met, mut worst) = (0, 0f64);
            let end = model.denoise(&guide, &gold["latents"], plan, &mut |p| {
                if p.done % every == 0 {
                    worst = worst.max(off(&floats(&p.latents), &floats(&truth[met])));
                    met += 1;
                }
                Ok(())
            });
            assert_eq!(met, truth.len());
            let wrong = off(&floats(end.as_ref().unwrap()), &floats(&gold[&format!("{run}_last")]));
            assert!(worst < 1e-3 && wrong < 1e-3, "{name} {run}: {worst:e} {wrong:e}");
            let image = model.decode(&end.unwrap()).unwrap().remove(0);
            let pixels = gold[&format!("{run}_pixels")].flatten_all().unwrap().to_vec1::<u8>().unwrap();
            let far = image.as_raw().iter().zip(&pixels).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
            assert!(far <= 2, "{name} {run}: {far} / 255");
            eprintln!("{name} {run}: latents off by {worst:e}, pixels by at most {far}");
        }
    }
}

/// Images of prototypes `which` drawn in one batch.
fn batch(model: &Unclip, gold: &HashMap<String, Tensor>, which: std::ops::Range<u64>) -> Vec<Vec<u8>> {
    let n = which.clone().count();
    let embeds: Vec<Vec<f32>> = which.clone().map(|i| noise(i, 7, model.width())).collect();
    let rows: Vec<&[f32]> = embeds.iter().map(Vec::as_slice).collect();
    let extra: Vec<Vec<f32>> = which.clone().map(|i| noise(i, 1, model.width())).collect();
    let shape = model.latent_shape(model.size()).unwrap();
    let start: Vec<f32> = which.flat_map(|i| noise(i, 0, shape.iter().product())).collect();
    let dims = gold["prompt_embeds"].dims();
    let guide = Guide {
        labels: model.labels(&rows, &extra, 10).unwrap(),
        prompts: gold["prompt_embeds"].broadcast_as((n, dims[1], dims[2])).unwrap().contiguous().unwrap(),
        negative: gold["negative_prompt_embeds"].clone(),
        scale: 5.,
    };
    let start = Tensor::from_vec(start, (n, shape[0], shape[1], shape[2]), &Device::Cpu).unwrap();
    let end = model.denoise(&guide, &start, (Scheduler::Pndm, 4), &mut |_| Ok(())).unwrap();
    let images = model.decode(&end).unwrap();
    let bits = floats(&end).into_iter().flat_map(f32::to_le_bytes).collect::<Vec<u8>>();
    let per = bits.len() / n;
    images.iter().enumerate().map(|(i, x)| [&bits[i * per..][..per], x.as_raw().as_slice()].concat()).collect()
}

#[test]
fn an_image_is_the_same_to_the_bit_in_any_batch() {
    let (model, gold) = open("unclip4");
    let all = batch(&model, &gold, 0..50);
    for (from, to) in [(0, 1), (49, 50), (3, 10), (20, 23)] {
        assert_eq!(batch(&model, &gold, from..to), all[from as usize..to as usize], "{from}..{to}");
    }
    assert_ne!(all[0], all[1]);
}

#[test]
fn an_image_is_the_same_to_the_bit_on_any_number_of_threads() {
    let (model, gold) = open("unclip4");
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| batch(&model, &gold, 0..5))
    };
    let one = on(1);
    assert_eq!(on(2), one);
    assert_eq!(on(5), one);
}
