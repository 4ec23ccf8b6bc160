//! Stable unCLIP against diffusers 0.34.0, as a whole: `tools/golden/unclip.py` made the numbers.
#![allow(clippy::unwrap_used)]

use candle_core::{DType, Device, Tensor};
use protostill::{
    error::Error,
    models::{
        unclip::{Guide, Scheduler, Unclip, noise},
        weights::Checkpoint,
    },
    pipeline::{
        Ctx, Report,
        draw::synthesize::{Request, Settings, synthesize},
    },
};
use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex},
};

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
            let truth =
                gold[&format!("{run}_latents")].chunk(gold[&format!("{run}_latents")].dim(0).unwrap(), 0).unwrap();
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
        }
    }
}

#[test]
fn prompts_are_encoded_as_diffusers_does() {
    for name in ["unclip2", "unclip4"] {
        let (model, gold) = open(name);
        for (key, prompt) in
            [("prompt_embeds", "a man in a red shirt rides a horse"), ("negative_prompt_embeds", "text, watermark")]
        {
            let wrong = off(&floats(&model.encode(&[prompt]).unwrap()), &floats(&gold[key]));
            assert!(wrong < 1e-5, "{name} {key}: {wrong:e}");
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
fn the_stage_hands_over_each_image_once_and_the_same_in_any_batch() {
    let (model, _) = open("unclip2");
    let request = |i: u64| Request { image: noise(i, 5, model.width()), prompt: format!("a red man {i}"), seed: i };
    let requests: Vec<Request> = (0..7).map(request).collect();
    let draw = |batch: usize, candidates: usize, requests: &[Request], ctx: &Ctx| {
        let settings = Settings { steps: 6, batch: Some(batch), candidates, preview_every: 3, ..Settings::default() };
        let mut images = vec![None; requests.len()];
        synthesize(&model, requests, &settings, ctx, &mut |first, batch| {
            for (i, image) in (first..).zip(batch) {
                assert!(images[i].replace(image).is_none());
            }
            Ok(())
        })
        .unwrap();
        images.into_iter().map(Option::unwrap).collect::<Vec<_>>()
    };
    let run = |batch: usize, requests: &[Request], ctx: &Ctx| draw(batch, 1, requests, ctx);
    let all = run(7, &requests, &Ctx::quiet());
    assert_eq!((all[0].width(), all[0].height()), (16, 16));
    for batch in [1, 3] {
        assert_eq!(run(batch, &requests, &Ctx::quiet()), all, "batches of {batch}");
    }
    // A run resumed with what is missing.
    assert_eq!(run(2, &requests[5..], &Ctx::quiet()), all[5..]);
    assert_ne!(all[0], all[1]);

    let seen = Arc::new(Mutex::new((Vec::new(), Vec::new())));
    let watcher = seen.clone();
    let ctx = Ctx::new(Arc::default(), move |report| match report {
        Report::Step { stage, done, total } => watcher.lock().unwrap().0.push((stage, done, total)),
        Report::Preview { index, step, pixels } => watcher.lock().unwrap().1.push((index, step, pixels.width())),
        Report::Point { .. } | Report::Embedded(_) => unreachable!(),
    });
    run(4, &requests, &ctx);
    let (steps, previews) = std::mem::take(&mut *seen.lock().unwrap());
    // Seven calls for six steps, two batches.
    assert_eq!(steps, (0..=14).map(|i| ("synthesise", i, 14)).collect::<Vec<_>>());
    assert_eq!(previews.len(), 2 * 7);
    assert_eq!(previews[..5], [(0, 3, 16), (1, 3, 16), (2, 3, 16), (3, 3, 16), (0, 6, 16)]);
    // Of three candidates each, the first is shown.
    assert_eq!(draw(4, 3, &requests, &ctx), all);
    assert_eq!(seen.lock().unwrap().1, [(0, 3, 16), (3, 3, 16), (0, 6, 16), (3, 6, 16), (6, 3, 16), (6, 6, 16)]);
}

#[test]
fn a_cancelled_stage_stops_and_wrong_settings_are_named() {
    let (model, _) = open("unclip2");
    let request = Request { image: vec![0.5; model.width()], prompt: "a".into(), seed: 1 };
    let cancel = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let flag = cancel.clone();
    let ctx = Ctx::new(cancel, move |report| {
        if matches!(report, Report::Step { done: 3, .. }) {
            flag.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    });
    let requests = std::slice::from_ref(&request);
    let end = synthesize(&model, requests, &Settings::default(), &ctx, &mut |_, _| unreachable!());
    assert!(matches!(end, Err(Error::Cancelled)));
    let plain = Settings::default;
    for (settings, name) in [
        (Settings { steps: 0, ..plain() }, "steps"),
        (Settings { steps: 1001, ..plain() }, "steps"),
        (Settings { steps: 1000, ..plain() }, "steps"), // the offset of 1 leaves the schedule
        (Settings { guidance: f64::NAN, ..plain() }, "guidance"),
        (Settings { guidance: -1., ..plain() }, "guidance"),
        (Settings { noise_level: 1000, ..plain() }, "noise_level"),
        (Settings { candidates: 0, ..plain() }, "candidates"),
        (Settings { batch: Some(0), ..plain() }, "batch"),
        (Settings { size: Some(17), ..plain() }, "size"),
    ] {
        let end = synthesize(&model, requests, &settings, &Ctx::quiet(), &mut |_, _| unreachable!());
        let message = end.unwrap_err().to_string();
        assert!(message.starts_with(&format!("synthesis.{name}:")), "{message}");
    }
    let mut narrow = request.clone();
    narrow.image.pop();
    assert!(synthesize(&model, &[narrow], &plain(), &Ctx::quiet(), &mut |_, _| Ok(())).is_err());
    let mut blank = request.clone();
    blank.image[3] = f32::NAN;
    assert!(synthesize(&model, &[blank], &plain(), &Ctx::quiet(), &mut |_, _| Ok(())).is_err());
}

#[test]
fn guidance_of_one_leaves_out_the_negative_prompt_and_ddim_differs_from_pndm() {
    let (model, _) = open("unclip2");
    let request = Request { image: vec![0.5; model.width()], prompt: "a man".into(), seed: 1 };
    let run = |settings: Settings| {
        let mut got = Vec::new();
        let take = &mut |_, images| {
            got = images;
            Ok(())
        };
        synthesize(&model, std::slice::from_ref(&request), &settings, &Ctx::quiet(), take).unwrap();
        got.remove(0)
    };
    let base = Settings { steps: 5, guidance: 1., size: Some(24), ..Settings::default() };
    let one = run(base.clone());
    assert_eq!(one.dimensions(), (24, 24));
    assert_eq!(run(Settings { negative_prompt: "red water".into(), ..base.clone() }), one);
    let two = Settings { guidance: 2., ..base.clone() };
    assert_ne!(run(two.clone()), one);
    assert_ne!(run(Settings { negative_prompt: "red water".into(), ..two.clone() }), run(two));
    assert_ne!(run(Settings { scheduler: Scheduler::Ddim, ..base }), one);
}

#[test]
#[ignore = "run by the next test, in processes of its own"]
fn batch_to_a_file() {
    let (model, gold) = open("unclip4");
    std::fs::write(std::env::var("BATCH_FILE").unwrap(), batch(&model, &gold, 0..5).concat()).unwrap();
}

#[test]
fn an_image_is_the_same_to_the_bit_on_any_number_of_threads() {
    let dir = tempfile::tempdir().unwrap();
    // candle asks the environment how many parts to cut a matrix product into.
    let on = |threads: &str| {
        let file = dir.path().join(threads);
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "unclip::batch_to_a_file", "--ignored"]).env("BATCH_FILE", &file);
        assert!(child.env("RAYON_NUM_THREADS", threads).output().unwrap().status.success());
        std::fs::read(file).unwrap()
    };
    let one = on("1");
    assert!(one.len() > 5 * 64 * 64 * 3);
    assert_eq!(on("2"), one);
    assert_eq!(on("5"), one);
}
