//! Against diffusers 0.34.0: `tools/golden/unclip.py` made the numbers.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use super::*;
use std::{collections::HashMap, path::PathBuf};

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn tensors(name: &str) -> HashMap<String, Tensor> {
    candle_core::safetensors::load(golden(name), &Device::Cpu).unwrap()
}

fn model(name: &str) -> Unclip {
    Unclip::load(&Checkpoint::Folder(golden(name)), DType::F32, &Device::Cpu).unwrap()
}

fn values(x: &Tensor) -> Vec<f64> {
    x.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1().unwrap()
}

/// Norm of the difference over norm of the truth.
fn off(found: &Tensor, truth: &Tensor) -> f64 {
    assert_eq!(found.dims(), truth.dims());
    let (f, t) = (values(found), values(truth));
    let norm = |v: &mut dyn Iterator<Item = f64>| v.map(|x| x * x).sum::<f64>().sqrt();
    norm(&mut f.iter().zip(&t).map(|(a, b)| a - b)) / norm(&mut t.iter().copied())
}

fn last(x: &Tensor) -> Tensor {
    x.permute((0, 2, 3, 1)).unwrap().contiguous().unwrap()
}

#[test]
fn every_block_of_the_unet_gives_diffusers_numbers() {
    blocks_agree();
}

#[test]
fn the_way_of_other_devices_gives_the_same_numbers() {
    crate::models::layers::ELSEWHERE.set(true);
    blocks_agree();
    decoders_agree();
}

#[test]
fn in_float16_other_devices_draw_nearly_the_same() {
    crate::models::layers::ELSEWHERE.set(true);
    for name in ["unclip2", "unclip4"] {
        let gold = tensors(&format!("{name}_golden.safetensors"));
        let draw = |dtype| {
            let model = Unclip::load(&Checkpoint::Folder(golden(name)), dtype, &Device::Cpu).unwrap();
            let [prompts, negative] = ["a red circle", "text"].map(|prompt| model.encode(&[prompt]).unwrap());
            let wave: Vec<f32> = (0..model.width()).map(|i| (i as f32).sin()).collect();
            let labels = model.labels(&[&wave], std::slice::from_ref(&wave), 10).unwrap();
            let guide = Guide { labels, prompts, negative, scale: 2.0 };
            let drawn = model.denoise(&guide, &gold["latents"], (Scheduler::Ddim, 3), &mut |_| Ok(())).unwrap();
            model.pixels(&drawn).unwrap()
        };
        let truth = draw(DType::F32);
        let wrong = off(&draw(DType::F16), &truth);
        assert!(wrong > 0.0 && wrong < 1e-2, "{name}: {wrong:e}");
    }
}

fn blocks_agree() {
    for name in ["unclip2", "unclip4"] {
        let (model, gold) = (model(name), tensors(&format!("{name}_golden.safetensors")));
        let twice = |x: &Tensor| Tensor::cat(&[x, x], 0).unwrap();
        let label = &gold["noised_10"];
        let labels = Tensor::cat(&[&label.zeros_like().unwrap(), label], 0).unwrap();
        let prompts = Tensor::cat(&[&gold["negative_prompt_embeds"], &gold["prompt_embeds"]], 0).unwrap();
        let classes = model.unet.classes(&labels).unwrap();
        let contexts = model.unet.contexts(&prompts).unwrap();
        for t in [981, 1] {
            let mut seen = vec![("class_embedding".to_string(), classes.clone())];
            let x = last(&twice(&gold["latents"]));
            let mut keep = |name: &str, x: &Tensor| seen.push((name.into(), x.clone()));
            let out = model.unet.look(&x, f64::from(t), &classes, &contexts, &mut keep).unwrap();
            seen.push(("out".into(), out));
            assert_eq!(seen.len(), gold.keys().filter(|k| k.starts_with(&format!("unet_{t}/"))).count());
            for (block, x) in seen {
                let truth = &gold[&format!("unet_{t}/{block}")];
                let truth = match truth.rank() {
                    4 => last(truth),
                    // The time's own embedding is one row for all.
                    _ => truth.narrow(0, 0, x.dim(0).unwrap()).unwrap(),
                };
                let wrong = off(&x, &truth);
                assert!(wrong < 1e-5, "{name} {block} at {t}: {wrong:e}");
            }
        }
    }
}

#[test]
fn the_decoder_gives_diffusers_pixels() {
    decoders_agree();
}

fn decoders_agree() {
    for name in ["unclip2", "unclip4"] {
        let (model, gold) = (model(name), tensors(&format!("{name}_golden.safetensors")));
        let pixels = model.decoder.run(&last(&gold["vae_in"])).unwrap();
        let wrong = off(&pixels, &last(&gold["vae_out"]));
        assert!(wrong < 1e-5, "{name}: {wrong:e}");
    }
}

#[test]
fn solvers_follow_diffusers_at_every_number_of_steps() {
    let gold = tensors("unclip_schedulers.safetensors");
    for (name, kind) in [
        ("pndm", Scheduler::Pndm),
        ("prk", Scheduler::Pndm),
        ("ddim", Scheduler::Ddim),
        ("ddim_v", Scheduler::Ddim),
        ("ddim_x", Scheduler::Ddim),
        ("ddim_l", Scheduler::Ddim),
    ] {
        let text = std::fs::read(golden(&format!("unclip_{name}.json"))).unwrap();
        let schedule = Schedule::new(serde_json::from_slice(&text).unwrap()).unwrap();
        for steps in [1, 2, 3, 4, 5, 6, 7, 10, 20, 50, 100] {
            let Some(times) = gold.get(&format!("{name}/{steps}/timesteps")) else {
                assert!(Sampler::new(kind, &schedule, steps).is_err());
                continue;
            };
            let of = |what: &str| gold[&format!("{name}/{steps}/{what}")].clone();
            let mut sampler = Sampler::new(kind, &schedule, steps).unwrap();
            assert_eq!(sampler.timesteps(), times.to_vec1::<i64>().unwrap(), "{name} {steps}");
            let mut x = of("start");
            for i in 0..sampler.timesteps().len() {
                x = sampler.step(&of("outputs").get(i).unwrap(), &x).unwrap();
                let wrong = off(&x, &of("samples").get(i).unwrap());
                assert!(wrong < 1e-4, "{name}, {steps} steps, call {i}: {wrong:e}");
            }
        }
    }
}

#[test]
fn the_cosine_schedule_loses_the_image_as_diffusers_does() {
    let gold = values(&tensors("unclip_schedulers.safetensors")["cosine"]);
    let config = ScheduleConfig { beta_schedule: "squaredcos_cap_v2".into(), ..ScheduleConfig::default() };
    let schedule = Schedule::new(config).unwrap();
    for (t, truth) in gold.iter().enumerate() {
        assert!((schedule.alpha(t) - truth).abs() < 2e-6, "{t}: {} {truth}", schedule.alpha(t));
    }
    assert!((schedule.alpha(500).sqrt() - 0.70163).abs() < 1e-4);
}

#[test]
fn chunked_attention_equals_attention_at_once() {
    let draw = |seed, n: usize| Tensor::from_vec(noise(seed, 0, 2 * n * 16), (2, n, 16), &Device::Cpu).unwrap();
    // 4,500 x 4,500 scores exceed a chunk, so queries are cut.
    let (q, k, v) = (draw(1, 4500), draw(2, 4500), draw(3, 4500));
    let qkv = Tensor::stack(&[&q, &k, &v], 0).unwrap().permute((2, 0, 1, 3)).unwrap().reshape((4500, 96)).unwrap();
    let found = layers::attend(&qkv, 1, 2, false).unwrap();
    let rows = [0, 1, 2330, 4499];
    for row in rows {
        let scores = (q.narrow(1, row, 1).unwrap().matmul(&k.t().unwrap()).unwrap() * 0.25).unwrap();
        let truth = candle_nn::ops::softmax(&scores, 2).unwrap().matmul(&v).unwrap(); // [2, 1, 16]
        let truth = truth.reshape((1, 32)).unwrap();
        let wrong = off(&found.narrow(0, row, 1).unwrap(), &truth);
        assert!(wrong < 1e-5, "row {row}: {wrong:e}");
    }
}

#[test]
fn a_convolution_to_an_odd_size_and_by_halves_equals_candles() {
    for (h, w, size, stride) in
        [(5, 7, (5, 7), 2), (3, 4, (5, 7), 1), (4, 4, (8, 8), 1), (1, 1, (1, 1), 1), (16, 9, (16, 9), 1)]
    {
        // Few channels take the direct way, more go by tiles.
        for (input, output) in [(6, 10), (20, 37)] {
            let draw = |seed, shape: &[usize]| {
                Tensor::from_vec(noise(seed, 0, shape.iter().product()), shape, &Device::Cpu).unwrap()
            };
            let held = HashMap::from([
                ("weight".to_string(), draw(8, &[output, input, 3, 3])),
                ("bias".to_string(), draw(9, &[output])),
            ]);
            let vb = VarBuilder::from_tensors(held.clone(), DType::F32, &Device::Cpu);
            let conv = layers::Conv::load(&vb, input, output, stride).unwrap();
            let x = draw(4, &[3, h, w, input]);
            let found = conv.run(&x, Some(size), None).unwrap();
            let planes = x.permute((0, 3, 1, 2)).unwrap().contiguous().unwrap();
            let planes = planes.upsample_nearest2d(size.0, size.1).unwrap();
            let truth = planes.conv2d(&held["weight"], 1, stride, 1, 1).unwrap();
            let truth = truth.broadcast_add(&held["bias"].reshape((1, output, 1, 1)).unwrap()).unwrap();
            let wrong = off(&found, &last(&truth));
            assert!(wrong < 1e-5, "{h} x {w} to {size:?}: {wrong:e}");
            // Beside its own result, by itself.
            let again =
                conv.run(&x.narrow(0, 1, 1).unwrap(), Some(size), Some(&found.narrow(0, 1, 1).unwrap())).unwrap();
            let twice = (found.narrow(0, 1, 1).unwrap() * 2.0).unwrap();
            assert_eq!(values(&again), values(&twice), "{h} x {w} to {size:?}");
        }
    }
}

#[test]
fn unsupported_configurations_are_named() {
    let dir = tempfile::tempdir().unwrap();
    for (key, value) in [
        ("class_embed_type", "\"timestep\""),
        ("act_fn", "\"gelu\""),
        ("block_out_channels", "[6, 16]"),
        ("layers_per_block", "[1]"),
        ("attention_head_dim", "3"),
    ] {
        let path = dir.path().join("unet");
        std::fs::create_dir_all(&path).unwrap();
        let text = std::fs::read(golden("unclip2/unet/config.json")).unwrap();
        let mut json: serde_json::Value = serde_json::from_slice(&text).unwrap();
        json[key] = serde_json::from_str(value).unwrap();
        std::fs::write(path.join("config.json"), json.to_string()).unwrap();
        let checkpoint = Checkpoint::Folder(dir.path().to_owned());
        let message = config::unet(&checkpoint.part("unet")).unwrap_err().to_string();
        assert!(
            message.contains("config.json") && (message.contains(key) || message.contains("channels do not split")),
            "{message}"
        );
    }
}
