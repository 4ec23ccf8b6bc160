//! Networks at full architecture against the libraries that define them: reads cases that `tools/parity/make.py` wrote and
//! prints a table of relative errors, norm of the difference over norm; of CLIP and unCLIP with weights in half precision
//! also computed in it, on a device that does. `[DEVICE=cuda:0] cargo run --release --example parity -- CASE...`
#![allow(clippy::print_stdout)]

use candle_core::{DType, Device, Tensor};
use ndarray::{Array2, Array4};
use protostill::{
    error::Error,
    models::{
        clip::Clip,
        device::Backend,
        encoders::{Encoder, Features},
        unclip::{Guide, Scheduler, Unclip},
        weights::Checkpoint,
    },
};
use std::{collections::HashMap, path::Path, process::ExitCode, time::Instant};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;
type Tensors = HashMap<String, Tensor>;

/// What was computed, and how far it is off.
struct Row(String, f64);

#[derive(serde::Deserialize)]
struct Case {
    kind: String,
    name: String,
    weights: String,
}

fn main() -> Outcome<ExitCode> {
    println!("{:<27} {:<23} {:<9} {:>9} {:>7}  {:>9}", "network", "output", "weights", "error", "target", "seconds");
    let mut good = true;
    let device = std::env::var("DEVICE").unwrap_or_else(|_| "cpu".into());
    for dir in std::env::args().skip(1) {
        let dir = Path::new(&dir);
        let case: Case = serde_json::from_slice(&std::fs::read(dir.join("case.json"))?)?;
        let gold = candle_core::safetensors::load(dir.join("golden.safetensors"), &Device::Cpu)?;
        let checkpoint = Checkpoint::Folder(dir.join("checkpoint"));
        let start = Instant::now();
        let rows = match case.kind.as_str() {
            "clip" => in_each(&device, &case.weights, Backend::clip, |d, t| clip(&checkpoint, &gold, d, t))?,
            "unclip" => in_each(&device, &case.weights, Backend::decoder, |d, t| unclip(&checkpoint, &gold, d, t))?,
            "encoder" => encoder(&checkpoint, &gold)?,
            kind => return Err(format!("{}: unknown kind `{kind}`", dir.display()).into()),
        };
        let seconds = start.elapsed().as_secs_f64();
        let target = if case.weights == "float32" { 1e-4 } else { 1e-2 };
        for Row(what, error) in rows {
            // A NaN is not below anything.
            let verdict = if error <= target { "" } else { "  TOO FAR" };
            good &= error <= target;
            let Case { name, weights, .. } = &case;
            println!("{name:<27} {what:<23} {weights:<9} {error:>9.1e} {target:>7.0e}  {seconds:>9.1}{verdict}");
        }
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn floats(x: &Tensor) -> Outcome<Vec<f32>> {
    Ok(x.flatten_all()?.to_dtype(DType::F32)?.to_vec1()?)
}

/// Norm of the difference over norm of the truth.
fn off(found: &[f32], truth: &[f32]) -> Outcome<f64> {
    if found.len() != truth.len() {
        return Err(format!("{} numbers in place of {}", found.len(), truth.len()).into());
    }
    let square = |x: f32| f64::from(x) * f64::from(x);
    let wrong: f64 = found.iter().zip(truth).map(|(a, b)| square(a - b)).sum();
    Ok((wrong / truth.iter().map(|b| square(*b)).sum::<f64>()).sqrt())
}

/// What `compute` finds in float32 and, where the device computes in the type of the weights, in that.
fn in_each(
    device: &str,
    weights: &str,
    precision: impl Fn(&Backend) -> DType,
    compute: impl Fn(&Device, DType) -> Outcome<Vec<Row>>,
) -> Outcome<Vec<Row>> {
    let backend = Backend::open(device, "float32")?;
    let mut rows = compute(backend.device(), DType::F32)?;
    if let Ok(half) = Backend::open(device, weights)
        && precision(&half) != DType::F32
    {
        let found = compute(backend.device(), precision(&half))?;
        rows.extend(found.into_iter().map(|Row(what, error)| Row(format!("{what}, {weights}"), error)));
    }
    Ok(rows)
}

fn clip(checkpoint: &Checkpoint, gold: &Tensors, device: &Device, dtype: DType) -> Outcome<Vec<Row>> {
    let ids: Vec<Vec<u32>> = gold["ids"].to_dtype(DType::U32)?.to_vec2()?;
    let clip = Clip::load(checkpoint, dtype, device)?;
    let (image, text) = (clip.encode_images(&gold["pixels"].to_device(device)?)?, clip.encode_texts(&ids)?);
    let row = |name: &str, found: &Tensor| -> Outcome<Row> {
        Ok(Row(name.into(), off(&floats(found)?, &floats(&gold[name])?)?))
    };
    Ok(vec![row("image", &image)?, row("text", &text)?])
}

fn unclip(checkpoint: &Checkpoint, gold: &Tensors, device: &Device, dtype: DType) -> Outcome<Vec<Row>> {
    let model = Unclip::load(checkpoint, dtype, device)?;
    let prompts = model.encode(&["a man rides a horse"])?;
    let there = |name: &str| gold[name].to_device(device);
    let pixels = model.pixels(&there("vae_in")?)?;
    // The network's output, from the image it predicts in the first of two steps: x0 = √ᾱ x - √(1-ᾱ) v.
    let guide = Guide { labels: there("labels")?, prompts: there("prompts")?, negative: there("prompts")?, scale: 1.0 };
    let mut seen = None;
    let first = model.denoise(&guide, &gold["latents"], (Scheduler::Ddim, 2), &mut |progress| {
        seen = Some(progress.predicted);
        Err(Error::Cancelled)
    });
    let Some(predicted) = seen else { return Err(first.err().map_or("no step".into(), Into::into)) };
    let at: Vec<i64> = gold["at"].to_vec1()?;
    let alpha = model.schedule().alpha(at[0] as usize);
    let v = (((&gold["latents"] * alpha.sqrt())? - predicted.to_device(&Device::Cpu)?)? / (1.0 - alpha).sqrt())?;
    Ok(vec![
        Row("text encoder".into(), off(&floats(&prompts)?, &floats(&gold["prompts"])?)?),
        Row("VAE decode".into(), off(&floats(&pixels)?, &floats(&gold["vae_out"].permute((0, 2, 3, 1))?)?)?),
        Row("UNet one step".into(), off(&floats(&v)?, &floats(&gold["unet_out"])?)?),
    ])
}

fn encoder(checkpoint: &Checkpoint, gold: &Tensors) -> Outcome<Vec<Row>> {
    let encoder = Encoder::load(&checkpoint.root())?;
    let pixels = Array4::from_shape_vec(gold["pixels"].dims4()?, floats(&gold["pixels"])?)?;
    let found = |kind| -> Outcome<Vec<f32>> {
        let features: Array2<f32> = encoder.encode(pixels.view(), kind)?;
        Ok(features.into_iter().collect())
    };
    Ok(vec![
        Row("logits".into(), off(&found(Features::Logits)?, &floats(&gold["logits"])?)?),
        Row("pooled features".into(), off(&found(Features::Pooled)?, &floats(&gold["pooled"])?)?),
    ])
}
