//! The evaluation's encoders, head and recall against timm's, PyTorch's and sorting's numbers
//! (`tools/golden/{timm_encoders,train_head,recall}.py`).
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use ndarray::{Array1, Array2, Array4, ArrayD, Axis, Ix1, Ix2, Ix4, s};
use protostill::{
    data::{ImageId, ImageSource},
    models::{
        encoders::{Encoder, Features, Pixels},
        head::Head,
        host::{LayerNorm, Linear, normalise_rows},
        train::{Trainer, Training},
        weights::Checkpoint,
    },
    pipeline::{
        Ctx,
        score::{
            features::encode_features,
            recall::{Ranker, Recall},
        },
    },
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use safetensors::{Dtype, SafeTensors};
use std::{
    fs,
    path::{Path, PathBuf},
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
            Dtype::U8 => bytes.iter().map(|&b| f64::from(b)).collect(),
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
    assert_eq!((encoder.side(), encoder.width(Features::Logits)), (x.dim().3, expected.ncols()));
    let found = encoder.encode(x.view(), Features::Logits).unwrap();
    assert_eq!(found.dim(), expected.dim());
    assert!(off(&found, &expected) < 1e-4, "{folder:?}: {}", off(&found, &expected));
}

#[test]
fn logits_are_timms_within_a_ten_thousandth() {
    for name in ["vit", "nf_resnet", "nf_resnet_odd"] {
        logits_are_timms(&golden("timm").join(name));
    }
}

#[test]
fn an_images_features_are_those_of_pillow_and_timm() {
    for name in ["vit", "nf_resnet", "nf_resnet_odd"] {
        let encoder = load(&golden("timm").join(name)).unwrap();
        let numbers = Numbers::open(&golden("timm").join(name).join("golden.safetensors"));
        let rgb = numbers.f64("rgb").iter().map(|&v| v as u8).collect();
        let image = ImageSource::Memory(image::RgbImage::from_raw(50, 37, rgb).unwrap());
        let black = ImageSource::Memory(image::RgbImage::new(3, 200));
        let images = [vec![image], vec![black; 40]].concat();
        let found = encode_features(&encoder, Features::Logits, &images, &Ctx::quiet()).unwrap();
        assert!(off(found.row(0), &numbers.matrix("rgb_logits")) < 1e-4, "{name}");
        assert_eq!((found.nrows(), found.row(1)), (41, found.row(40)), "{name}: later batches keep their place");
        let missing = ImageSource::File("no/such.png".into());
        let message = encode_features(&encoder, Features::Logits, &[missing], &Ctx::quiet()).unwrap_err().to_string();
        assert!(message.contains("no/such.png"), "{message}");
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
        let [one, four] = [1, 4].map(|n| pool(n).install(|| encoder.encode(x.view(), Features::Logits).unwrap()));
        assert_eq!(one, four, "{name}");
        let alone = encoder.encode(x.slice(s![3..4, .., .., ..]), Features::Logits).unwrap();
        assert_eq!(alone.row(0), one.row(3), "{name}");
        assert!(encoder.encode(x.slice(s![.., .., 1.., ..]), Features::Logits).is_err());
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
fn encoders_are_shown_images_by_the_references_look_or_by_their_own() {
    let folder = with_config("nf_resnet", |c| {
        let own = &mut c["pretrained_cfg"];
        own["input_size"] = vec![3, 256, 256].into();
        (own["mean"], own["std"]) = (vec![0.5; 3].into(), vec![0.25; 3].into());
    });
    let white = image::RgbImage::from_pixel(9, 5, image::Rgb([255; 3]));
    let look = |encoder: &Encoder| (encoder.side(), encoder.preprocess(&white).unwrap());
    let (side, seen) = look(&load(folder.path()).unwrap());
    assert_eq!((side, seen.len(), seen[0]), (224, 3 * 224 * 224, (1.0 - 0.481_454_66) / 0.268_629_54));
    let (side, seen) = look(&load(folder.path()).unwrap().shown_by(Pixels::Own));
    assert_eq!((side, seen.len(), seen[0]), (256, 3 * 256 * 256, 2.0));
    let silent = with_config("nf_resnet", |c| {
        c["pretrained_cfg"].as_object_mut().unwrap().retain(|key, _| key == "input_size");
    });
    let (_, seen) = look(&load(silent.path()).unwrap().shown_by(Pixels::Own));
    assert_eq!(seen[0], (1.0 - 0.485) / 0.229, "timm's default is ImageNet's");
}

#[test]
fn what_an_encoder_cannot_be_is_said_with_file_and_setting() {
    type Edit = fn(&mut serde_json::Value);
    let cases: [(&str, Edit, &str); 13] = [
        ("vit", |c| c["architecture"] = "swin_tiny".into(), "architecture `swin_tiny`"),
        ("vit", |c| c["model_args"]["num_heads"] = 5.into(), "num_heads 5 does not divide the width 24"),
        ("vit", |c| c["model_args"]["num_heads"] = 0.into(), "num_heads 0"),
        ("vit", |c| c["model_args"]["depth"] = 3.into(), "model_args.depth is 3, but the weights say 2"),
        ("vit", |c| c["model_args"]["qk_norm"] = true.into(), "unknown field `qk_norm`"),
        ("vit", |c| c["architecture"] = "nf_resnet50".into(), "unknown field `img_size`"),
        ("nf_resnet", |c| c["model_args"]["act_layer"] = "mish".into(), "act_layer `mish`"),
        ("nf_resnet", |c| c["model_args"]["stem_type"] = "3x3".into(), "stem_type is 3x3, but the weights say a 7x7"),
        ("nf_resnet", |c| c["num_classes"] = 7.into(), "num_classes is 7, but the weights say 40"),
        ("nf_resnet", |c| c["global_pool"] = "max".into(), "global_pool `max`"),
        ("nf_resnet", |c| c["model_args"]["depths"] = vec![1, 1, 1, 1].into(), "model_args.depths"),
        ("nf_resnet", |c| c["pretrained_cfg"]["input_size"] = vec![1, 64, 64].into(), "input_size"),
        ("nf_resnet", |c| c["pretrained_cfg"]["std"] = vec![0, 1, 1].into(), "std must not be 0"),
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

    for (architecture, first) in [("resnet50", "conv1.weight"), ("mobilenetv2_100", "conv_stem.weight")] {
        let other = with_config("vit", |c| {
            c["architecture"] = architecture.into();
            c["global_pool"] = "avg".into();
            c["model_args"] = serde_json::json!({});
        });
        let message = load(other.path()).unwrap_err().to_string();
        assert!(message.contains(&format!("`{first}` is missing")), "{message}");
    }

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
            let loss = trainer.epoch(epoch, batches, (image.view(), text.view()), None, &mut rng);
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
