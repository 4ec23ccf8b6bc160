//! One measured call of a network, for `tools/peers/models.py`, which gives the peers the same checkpoint and inputs.

use super::{Clock, measured, npy, tell, write};
use candle_core::{DType, Device, Tensor};
use ndarray::Array2;
use protostill::{
    data::{ImageId, ImageSource},
    error::Error,
    models::{
        clip::Clip,
        unclip::{Guide, Scheduler, Unclip},
        weights::Checkpoint,
    },
    pipeline::{
        Ctx,
        score::evaluate::{Captions, EncoderRecall, Images, Settings, Texts, evaluate},
        space::embed::{embed_captions, embed_images},
    },
};
use std::{collections::HashMap, fs, path::Path};

/// Runs `case` on `checkpoint` and the inputs in the folder `at`, where the outcome goes to `ours.npy`.
pub fn run(case: &str, checkpoint: &str, at: &Path) {
    let checkpoint = Checkpoint::Folder(checkpoint.into());
    let (case, dtype) = match case.strip_suffix("-bfloat16") {
        Some(case) => (case, DType::BF16),
        None => (case, DType::F32),
    };
    let clip = || Clip::load(&checkpoint, dtype, &Device::Cpu).unwrap();
    let unclip = || Unclip::load(&checkpoint, DType::F32, &Device::Cpu).unwrap();
    let found = match case {
        "clip-image" => images(&clip(), at),
        "clip-text" => captions(&clip(), at),
        case if case.starts_with("unet-step") => return step(&unclip(), at),
        "vae-decode" => {
            let (decoder, latents) = (unclip(), &tensors(at)["latents"]);
            let latents = latents.narrow(0, 0, 1).unwrap();
            matrix(&measured(|| decoder.pixels(&latents).unwrap(), |_| (0., 0)))
        }
        "evaluate" => protocol(at),
        other => panic!("{other}: no such case"),
    };
    write(&at.join("ours.npy").to_string_lossy(), found.view());
}

fn tensors(at: &Path) -> HashMap<String, Tensor> {
    candle_core::safetensors::load(at.join("inputs.safetensors"), &Device::Cpu).unwrap()
}

fn matrix(x: &Tensor) -> Array2<f32> {
    let flat = x.flatten(0, x.rank() - 2).unwrap();
    let shape = flat.dims2().unwrap();
    Array2::from_shape_vec(shape, flat.flatten_all().unwrap().to_vec1().unwrap()).unwrap()
}

/// Files to features, decoding counted.
fn images(clip: &Clip, at: &Path) -> Array2<f32> {
    let mut files: Vec<_> = fs::read_dir(at.join("images")).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    let sources: Vec<_> = files.into_iter().map(ImageSource::File).collect();
    measured(|| embed_images(&sources, clip, &Ctx::quiet()).unwrap(), |rows| (0., rows.nrows()))
}

/// Lines to features, the tokenizer counted.
fn captions(clip: &Clip, at: &Path) -> Array2<f32> {
    let text = fs::read_to_string(at.join("captions.txt")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    measured(|| embed_captions(&lines, clip, &Ctx::quiet()).unwrap(), |rows| (0., rows.nrows()))
}

/// The second network call of a sampling with guidance, both halves in one. What is computed
/// once for all steps comes before the first. What comes out, `tools/parity` checks.
fn step(model: &Unclip, at: &Path) {
    let inputs = tensors(at);
    let prompts = inputs["prompts"].clone();
    let guide =
        Guide { labels: inputs["labels"].clone(), negative: prompts.narrow(0, 0, 1).unwrap(), prompts, scale: 2.0 };
    let (mut clock, mut took) = (None, None);
    let ended = model.denoise(&guide, &inputs["latents"], (Scheduler::Ddim, 10), &mut |_| {
        took = clock.as_ref().map(Clock::read);
        clock = Some(Clock::start());
        if took.is_some() { Err(Error::Cancelled) } else { Ok(()) }
    });
    assert!(matches!(ended, Err(Error::Cancelled)));
    took.map_or_else(|| panic!("no second step"), |took| tell(took, 0., 2));
}

/// Features and embeddings to the recall of all runs: `[runs, 6]`.
fn protocol(at: &Path) -> Array2<f32> {
    let rows = |name: &str| npy(&at.join(name).to_string_lossy(), "<f4", f32::from_le_bytes);
    let (train, test, text, captions) =
        (rows("train.npy"), rows("test.npy"), rows("train-text.npy"), rows("test-text.npy"));
    let each = captions.nrows() / test.nrows();
    let image_of: Vec<ImageId> = (0..captions.nrows()).map(|t| ImageId((t / each) as u32)).collect();
    let (settings, ctx) = (Settings::default(), Ctx::quiet());
    let images = [Images { encoder: "peer", train: train.view(), test: test.view(), val: None }];
    let texts = Texts {
        train: text.view(),
        soft: None,
        test: Captions { text: captions.view(), image_of: &image_of },
        val: None,
    };
    let mean = |found: &Vec<EncoderRecall>| (found[0].r_mean, found[0].runs.len());
    let found = measured(|| evaluate(&images, &texts, &settings, 0, &ctx).unwrap(), mean);
    let all: Vec<f32> = found[0].runs.iter().flat_map(|run| run.all()).map(|v| v as f32).collect();
    Array2::from_shape_vec((found[0].runs.len(), 6), all).unwrap()
}
