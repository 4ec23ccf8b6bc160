//! The evaluation's encoders, head and recall against timm's, PyTorch's and sorting's numbers
//! (`tools/golden/{timm_encoders,train_head,recall}.py`).
#![allow(clippy::unwrap_used)]

use ndarray::{Array1, Array2, Array4, ArrayD, Axis, Ix1, Ix2, Ix4, s};
use protostill::{
    data::ImageId,
    error::Error,
    models::{
        dense::{LayerNorm, Linear, normalise_rows},
        encoders::Encoder,
        head::Head,
        weights::Checkpoint,
    },
    pipeline::{
        Ctx, Report,
        evaluate::{Captions, EncoderRecall, Images, Selection, Settings, Texts, evaluate},
        recall::{Ranker, Recall},
        train::{Trainer, Training},
    },
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use safetensors::{Dtype, SafeTensors};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

fn golden(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file)
}

/// A safetensors file whose tensors come out as f64, whatever they are stored as.
struct Numbers(Vec<u8>);

impl Numbers {
    fn open(path: &Path) -> Self {
        Self(fs::read(path).unwrap())
    }

    fn f64(&self, name: &str) -> ArrayD<f64> {
        let tensors = SafeTensors::deserialize(&self.0).unwrap();
        let t = tensors.tensor(name).unwrap();
        let (bytes, shape) = (t.data(), t.shape().to_vec());
        let values = match t.dtype() {
            Dtype::F32 => bytes.chunks(4).map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap()))).collect(),
            Dtype::F64 => bytes.chunks(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect(),
            Dtype::I64 => bytes.chunks(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f64).collect(),
            other => panic!("{other:?}"),
        };
        ArrayD::from_shape_vec(shape, values).unwrap()
    }

    fn matrix(&self, name: &str) -> Array2<f32> {
        self.f64(name).mapv(|v| v as f32).into_dimensionality::<Ix2>().unwrap()
    }

    fn vector(&self, name: &str) -> Array1<f32> {
        self.f64(name).mapv(|v| v as f32).into_dimensionality::<Ix1>().unwrap()
    }

    fn head(&self, at: &str) -> Head {
        let part = |name: &str| format!("{at}/{name}");
        let linear = |name: &str| Linear {
            weight: self.matrix(&part(&format!("{name}.weight"))),
            bias: self.vector(&part(&format!("{name}.bias"))),
        };
        let (gain, bias) = (self.vector(&part("layer_norm.weight")), self.vector(&part("layer_norm.bias")));
        Head { projection: linear("projection"), fc: linear("fc"), layer_norm: LayerNorm { gain, bias, eps: 1e-5 } }
    }
}

/// Largest difference, relative to the largest number expected.
fn off<'a>(found: impl IntoIterator<Item = &'a f32>, expected: impl IntoIterator<Item = &'a f32>) -> f32 {
    let (mut worst, mut scale) = (0f32, 1e-12f32);
    for (f, e) in found.into_iter().zip(expected) {
        assert!(f.is_finite());
        (worst, scale) = (worst.max((f - e).abs()), scale.max(e.abs()));
    }
    worst / scale
}

fn load(folder: &Path) -> protostill::error::Result<Encoder> {
    Encoder::load(&Checkpoint::Folder(folder.to_owned()).root())
}

fn logits_are_timms(folder: &Path) {
    let encoder = load(folder).unwrap();
    let numbers = Numbers::open(&folder.join("golden.safetensors"));
    let x: Array4<f32> = numbers.f64("x").mapv(|v| v as f32).into_dimensionality::<Ix4>().unwrap();
    let expected = numbers.matrix("logits");
    assert_eq!((encoder.side(), encoder.classes()), (x.dim().3, expected.ncols()));
    let start = std::time::Instant::now();
    let found = encoder.logits(x.view()).unwrap();
    println!("{folder:?}: {:?}, off by {:e}", start.elapsed(), off(&found, &expected));
    assert_eq!(found.dim(), expected.dim());
    assert!(off(&found, &expected) < 1e-4, "{folder:?}: {}", off(&found, &expected));
}

#[test]
fn logits_are_timms_within_a_ten_thousandth() {
    for name in ["vit", "nf_resnet", "nf_resnet_odd"] {
        logits_are_timms(&golden("timm").join(name));
    }
}

/// `timm_encoders.py OUT --full`, then `PROTOSTILL_TIMM=OUT cargo test --release --test golden_eval -- --ignored full`.
#[test]
#[ignore = "needs 120 MB of weights"]
fn full_size_encoders_give_timms_logits() {
    let folder = PathBuf::from(std::env::var("PROTOSTILL_TIMM").unwrap());
    for name in ["vit_tiny_patch16_224", "nf_resnet50"] {
        logits_are_timms(&folder.join(name));
    }
}

#[test]
fn an_images_logits_depend_neither_on_its_batch_nor_on_the_threads() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for name in ["vit", "nf_resnet", "nf_resnet_odd"] {
        let encoder = load(&golden("timm").join(name)).unwrap();
        let n = encoder.side();
        let x = Array4::from_shape_simple_fn((5, 3, n, n), || rng.random_range(-2f32..2.0));
        let pool = |n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
        let [one, four] = [1, 4].map(|n| pool(n).install(|| encoder.logits(x.view()).unwrap()));
        assert_eq!(one, four, "{name}");
        let alone = encoder.logits(x.slice(s![3..4, .., .., ..])).unwrap();
        assert_eq!(alone.row(0), one.row(3), "{name}");
        assert!(encoder.logits(x.slice(s![.., .., 1.., ..])).is_err());
    }
}

/// `name` copied, its configuration edited.
fn with_config(name: &str, edit: impl FnOnce(&mut serde_json::Value)) -> tempfile::TempDir {
    let (from, to) = (golden("timm").join(name), tempfile::tempdir().unwrap());
    fs::copy(from.join("model.safetensors"), to.path().join("model.safetensors")).unwrap();
    let mut config = serde_json::from_slice(&fs::read(from.join("config.json")).unwrap()).unwrap();
    edit(&mut config);
    fs::write(to.path().join("config.json"), config.to_string()).unwrap();
    to
}

#[test]
fn what_an_encoder_cannot_be_is_said_with_file_and_setting() {
    type Edit = fn(&mut serde_json::Value);
    let cases: [(&str, Edit, &str); 9] = [
        ("vit", |c| c["architecture"] = "resnet50".into(), "architecture `resnet50`"),
        ("vit", |c| c["model_args"]["num_heads"] = 5.into(), "num_heads 5 does not divide the width 24"),
        ("vit", |c| c["model_args"]["num_heads"] = 0.into(), "num_heads 0"),
        ("vit", |c| c["model_args"]["depth"] = 3.into(), "model_args.depth is 3, but the weights say 2"),
        ("vit", |c| c["model_args"]["qk_norm"] = true.into(), "unknown field `qk_norm`"),
        ("vit", |c| c["architecture"] = "nf_resnet50".into(), "unknown field `img_size`"),
        ("nf_resnet", |c| c["model_args"]["act_layer"] = "silu".into(), "act_layer `silu`"),
        ("nf_resnet", |c| c["model_args"]["depths"] = vec![1, 1, 1, 1].into(), "model_args.depths"),
        ("nf_resnet", |c| c["pretrained_cfg"]["input_size"] = vec![1, 64, 64].into(), "input_size"),
    ];
    for (name, edit, expected) in cases {
        let folder = with_config(name, edit);
        let message = load(folder.path()).unwrap_err().to_string();
        assert!(message.contains(expected) && message.contains("config.json"), "{message}");
    }
}

#[test]
fn missing_and_misshapen_tensors_are_named() {
    let missing = with_config("vit", |c| {
        c["architecture"] = "nf_resnet50".into();
        c["model_args"] = serde_json::json!({});
    });
    let message = load(missing.path()).unwrap_err().to_string();
    assert!(message.contains("`stem.conv.weight` is missing") && message.contains("model.safetensors"), "{message}");

    let cut = with_config("vit", |_| ());
    let bytes = fs::read(cut.path().join("model.safetensors")).unwrap();
    fs::write(cut.path().join("model.safetensors"), &bytes[..bytes.len() / 2]).unwrap();
    assert!(load(cut.path()).unwrap_err().to_string().contains("not a safetensors file"));

    let bad = with_config("vit", |_| ());
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let swapped = tensors.iter().map(|(name, t)| match name {
        "blocks.1.attn.proj.weight" => (name, tensors.tensor("blocks.1.mlp.fc1.weight").unwrap()),
        _ => (name, t),
    });
    fs::write(bad.path().join("model.safetensors"), safetensors::serialize(swapped, None).unwrap()).unwrap();
    let message = load(bad.path()).unwrap_err().to_string();
    assert!(message.contains("blocks.1.attn.proj.weight") && message.contains("[96, 24]"), "{message}");
}

fn recall(scores: &Array2<f32>, image_of: &[ImageId]) -> Recall {
    let mut ranker = Ranker::new(scores.nrows(), image_of).unwrap();
    for block in scores.t().axis_chunks_iter(Axis(0), 64) {
        ranker.push(block).unwrap();
    }
    ranker.finish().unwrap()
}

/// The same hits; serde_json may read a float one unit in the last place off.
fn same(found: Recall, expected: Recall) -> bool {
    found.all().iter().zip(expected.all()).all(|(f, e)| (f - e).abs() < 1e-9)
}

#[test]
fn recalls_are_those_of_sorting_every_row() {
    let (numbers, json) = (Numbers::open(&golden("itm.safetensors")), fs::read(golden("itm.json")).unwrap());
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    for name in ["full", "tied"] {
        let image_of: Vec<ImageId> =
            numbers.f64(&format!("{name}/image_of")).iter().map(|&i| ImageId(i as u32)).collect();
        let expected: Recall = serde_json::from_value(json[name].clone()).unwrap();
        let found = recall(&numbers.matrix(&format!("{name}/scores")), &image_of);
        assert!(same(found, expected), "{name}: {found:?} {expected:?}");
    }
}

#[test]
fn twenty_one_epochs_end_where_pytorch_ends() {
    for name in ["train_full", "train_batched"] {
        let numbers = Numbers::open(&golden(&format!("{name}.safetensors")));
        let json: serde_json::Value =
            serde_json::from_slice(&fs::read(golden(&format!("{name}.json"))).unwrap()).unwrap();
        let evals: Vec<Recall> = serde_json::from_value(json["evals"].clone()).unwrap();
        let batches = numbers.f64("batch_indices").into_dimensionality::<Ix2>().unwrap();
        let batches: Vec<Vec<usize>> = batches.rows().into_iter().map(|r| r.mapv(|i| i as usize).to_vec()).collect();
        let [mut image, mut test] = ["syn_image_features", "test_image_features"].map(|n| numbers.matrix(n));
        let [text, captions] = ["syn_text_embeds", "test_text_embeds"].map(|n| numbers.matrix(n));
        normalise_rows(&mut image);
        normalise_rows(&mut test);
        let image_of: Vec<ImageId> = (0..captions.nrows()).map(|t| ImageId(t as u32 / 5)).collect();

        let settings = Training { epochs: 21, drop_at: 11, dropout: 0.0, ..Training::default() };
        let mut trainer = Trainer::new(numbers.head("init"), settings);
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let expected = numbers.f64("losses");
        for (epoch, batches) in batches.chunks(batches.len() / 21).enumerate() {
            let loss = trainer.epoch(epoch, batches, image.view(), text.view(), &mut rng);
            assert!((loss / expected[[epoch]] - 1.0).abs() < 1e-4, "{name} {epoch}: {loss} {}", expected[[epoch]]);
            if epoch % 2 == 0 {
                let mut projected = trainer.head.forward(captions.view());
                normalise_rows(&mut projected);
                let found = recall(&test.dot(&projected.t()), &image_of);
                assert!(same(found, evals[epoch / 2]), "{name}, epoch {epoch}: {found:?} {:?}", evals[epoch / 2]);
            }
        }
        let (found, expected) = (trainer.head, numbers.head("final"));
        for (f, e) in [(&found.projection, &expected.projection), (&found.fc, &expected.fc)] {
            assert!(off(&f.weight, &e.weight) < 1e-4 && off(&f.bias, &e.bias) < 1e-4, "{name}");
        }
        assert!(off(&found.layer_norm.gain, &expected.layer_norm.gain) < 1e-4, "{name}");
        assert!(off(&found.layer_norm.bias, &expected.layer_norm.bias) < 1e-4, "{name}");
    }
}

/// Features of a world in which captions say what images show, more or less.
struct World {
    train: [Array2<f32>; 2],
    val: [Array2<f32>; 2],
    test: [Array2<f32>; 2],
    image_of: Vec<ImageId>,
}

fn world(pairs: usize, images: usize, each: usize, text: usize, classes: usize) -> World {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let mut noise = |rows, columns| Array2::from_shape_simple_fn((rows, columns), || rng.random_range(-1f32..1.0));
    let view = noise(text, classes);
    let mut split = |rows: usize, each: usize| {
        let topics = noise(rows, text);
        let image = topics.dot(&view) + noise(rows, classes);
        let rows: Vec<usize> = (0..rows * each).map(|t| t / each).collect();
        [image, topics.select(Axis(0), &rows) + 0.5 * noise(rows.len(), text)]
    };
    let image_of = (0..images * each).map(|t| ImageId((t / each) as u32)).collect();
    World { train: split(pairs, 1), val: split(images, each), test: split(images, each), image_of }
}

fn judge(world: &World, settings: &Settings, seed: u64, ctx: &Ctx) -> protostill::error::Result<Vec<EncoderRecall>> {
    let [train, val, test] = [&world.train, &world.val, &world.test];
    let images = |encoder| Images { encoder, train: train[0].view(), test: test[0].view(), val: Some(val[0].view()) };
    let captions = |text: &'_ Array2<f32>| text.to_owned();
    let (val, test) = (captions(&val[1]), captions(&test[1]));
    let of = |text| Captions { text, image_of: &world.image_of };
    let texts = Texts { train: train[1].view(), test: of(test.view()), val: Some(of(val.view())) };
    evaluate(&[images("vit"), images("nf_resnet")], &texts, settings, seed, ctx)
}

fn short() -> Settings {
    Settings { runs: 3, epochs: 21, drop_at: 11, batch: 32, ..Settings::default() }
}

#[test]
fn results_depend_on_the_seed_and_not_on_the_threads() {
    let world = world(40, 50, 5, 16, 12);
    let pool = |n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
    let [one, four] = [1, 4].map(|n| pool(n).install(|| judge(&world, &short(), 5, &Ctx::quiet()).unwrap()));
    assert_eq!(one, four);
    assert_eq!(one[0].runs, one[1].runs, "the same features, whatever the encoder is called");
    let other = judge(&world, &short(), 6, &Ctx::quiet()).unwrap();
    assert_ne!(one[0].runs, other[0].runs);
    let [first, second, third] = one[0].runs[..] else { panic!() };
    assert!(first != second && second != third, "every run starts elsewhere");
    let mean = (first.ir[0] + second.ir[0] + third.ir[0]) / 3.0;
    let sd = ([first, second, third].iter().map(|r| (r.ir[0] - mean).powi(2)).sum::<f64>() / 3.0).sqrt();
    assert!((one[0].mean.ir[0] - mean).abs() < 1e-9 && (one[0].sd.ir[0] - sd).abs() < 1e-9);
}

#[test]
fn a_student_that_learned_beats_chance_by_far() {
    let world = world(100, 60, 5, 16, 12);
    let chance = 100.0 * (1.0 + 5.0 + 10.0) / 60.0 / 3.0;
    for outcome in judge(&world, &Settings { runs: 2, ..Settings::default() }, 0, &Ctx::quiet()).unwrap() {
        assert!(outcome.r_mean > 2.0 * chance, "{} of {chance}", outcome.r_mean);
    }
}

#[test]
fn selection_looks_at_its_split_and_says_so() {
    let world = world(40, 50, 5, 16, 12);
    let run = |selection| {
        let reports = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&reports);
        let ctx = Ctx::new(Arc::default(), move |report| {
            if let Report::Point { series, x, y } = report {
                sink.lock().unwrap().push((series, x, y));
            }
        });
        let outcome = judge(&world, &Settings { selection, ..short() }, 1, &ctx).unwrap();
        let points = reports.lock().unwrap().clone();
        (outcome, points)
    };
    let (last, points) = run(Selection::Last);
    assert_eq!(last[0].epochs, [20; 3]);
    assert_eq!(points.iter().filter(|(s, ..)| s == "vit/run 2/loss").count(), 21);
    assert!(points.iter().any(|(s, x, y)| s == "vit/run 2/R-mean" && *x == 20.0 && *y == last[0].runs[1].r_mean()));

    let (best, points) = run(Selection::BestOnTest);
    let seen: Vec<_> = points.iter().filter(|(s, ..)| s == "vit/run 1/R-mean, best-on-test (reference)").collect();
    assert_eq!(
        seen.iter().map(|(_, x, _)| *x).collect::<Vec<_>>(),
        (0..11).map(|i| 2.0 * f64::from(i)).collect::<Vec<_>>()
    );
    let top = seen.iter().map(|(_, _, y)| *y).fold(0.0, f64::max);
    assert_eq!(best[0].runs[0].r_mean(), top);
    assert!(best[0].r_mean >= last[0].r_mean);

    let (chosen, points) = run(Selection::Validation);
    let seen = points.iter().filter(|(s, ..)| s == "vit/run 1/R-mean, validation");
    let (x, _) = seen.map(|(_, x, y)| (*x, *y)).fold((0.0, -1.0), |a, b| if b.1 > a.1 { b } else { a });
    assert_eq!(chosen[0].epochs[0] as f64, x);
}

#[test]
fn cancelling_ends_an_evaluation_within_an_epoch() {
    let cancel = Arc::new(AtomicBool::new(false));
    let (setter, steps) = (Arc::clone(&cancel), Arc::new(Mutex::new(0)));
    let count = Arc::clone(&steps);
    let ctx = Ctx::new(cancel, move |report| {
        if let Report::Step { done, .. } = report {
            *count.lock().unwrap() += 1;
            if done == 5 {
                setter.store(true, Ordering::Relaxed);
            }
        }
    });
    let outcome = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let outcome = outcome.install(|| judge(&world(40, 50, 5, 16, 12), &short(), 1, &ctx));
    assert!(matches!(outcome, Err(Error::Cancelled)));
    assert_eq!(*steps.lock().unwrap(), 5);
}

#[test]
fn numbers_and_settings_that_cannot_work_are_refused_before_training() {
    let message =
        |world: &World, settings: &Settings| judge(world, settings, 0, &Ctx::quiet()).unwrap_err().to_string();
    let good = || world(20, 10, 2, 8, 6);
    let mut nan = good();
    nan.train[1][[3, 0]] = f32::NAN;
    assert!(message(&nan, &short()).contains("row 3"));
    let mut few = good();
    few.train[0] = few.train[0].slice(s![..19, ..]).to_owned();
    assert!(message(&few, &short()).contains("expected 19, found 20"));
    let mut narrow = good();
    narrow.test[0] = narrow.test[0].slice(s![.., ..5]).to_owned();
    assert!(message(&narrow, &short()).contains("width of the image features"));
    for (settings, name) in [
        (Settings { runs: 0, ..short() }, "evaluate.runs"),
        (Settings { lr: f64::NAN, ..short() }, "evaluate.lr"),
        (Settings { dropout: 1.0, ..short() }, "evaluate.dropout"),
        (Settings { temperature: 0.0, ..short() }, "evaluate.temperature"),
    ] {
        assert!(message(&good(), &settings).starts_with(name));
    }
    let unknown = serde_json::from_str::<Settings>(r#"{"learning_rate": 0.1}"#).unwrap_err().to_string();
    assert!(unknown.contains("learning_rate"), "{unknown}");
    assert_eq!(serde_json::from_str::<Settings>("{}").unwrap(), Settings::default());
}

/// The size of the paper's protocol: 1,000 images, 5,000 captions, 768 to 1,000, 100 pairs, 2 encoders, 5 runs.
#[test]
#[ignore = "a measurement, some 20 CPU seconds"]
fn time_of_the_whole_protocol() {
    let world = world(100, 1000, 5, 768, 1000);
    let start = std::time::Instant::now();
    let outcome = judge(&world, &Settings::default(), 0, &Ctx::quiet()).unwrap();
    println!("{:?}, R-mean {}", start.elapsed(), outcome[0].r_mean);
}
