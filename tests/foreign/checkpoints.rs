//! Where checkpoints may lie and in which files: folders, the hub's cache, shards, half precision, pickles.
#![allow(clippy::unwrap_used)]

use crate::common::golden;
use candle_core::{DType, Device, Tensor};
use ndarray::Array2;
use protostill::{
    data::{
        Dataset,
        world::{WorldSpec, dataset},
    },
    error::Result,
    models::{
        clip::{Clip, TextTower},
        demo,
        device::Backend,
        encoders::{Encoder, Features, Pixels},
        hub::Hub,
        weights::Checkpoint,
    },
    pipeline::{
        Ctx,
        draw::synthesize::{self, Request},
        score::evaluate::Settings,
        set::{folder::DistilledSet, pair::DistilledPair},
        store::Store,
        workbench::{Checkpoints, Workbench},
    },
};
use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
};

const COMMIT: &str = "32bd64288804d66eefd0ccbe215aa642df71cc41";

/// The tiny CLIP's files, without those in `without`.
fn copy_clip(to: &Path, without: &[&str]) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(golden("clip")).unwrap() {
        let file = file.unwrap();
        if !without.contains(&file.file_name().to_str().unwrap()) {
            fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }
}

fn weights() -> HashMap<String, Tensor> {
    candle_core::safetensors::load(golden("clip/model.safetensors"), &Device::Cpu).unwrap()
}

fn load(checkpoint: &Checkpoint) -> Result<Clip> {
    Clip::load(checkpoint, DType::F32, &Device::Cpu)
}

fn features(clip: &Clip) -> Vec<f32> {
    let ids = vec![clip.tokenizer().ids("a man in a red shirt").unwrap()];
    clip.encode_texts(&ids).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn truth() -> Vec<f32> {
    features(&load(&Checkpoint::Folder(golden("clip"))).unwrap())
}

/// The tiny CLIP in a folder, its weights in two shards and an index.
fn sharded(dir: &Path) -> PathBuf {
    copy_clip(dir, &["model.safetensors"]);
    let (mut map, mut shards) = (BTreeMap::new(), [HashMap::new(), HashMap::new()]);
    for (i, (name, tensor)) in weights().into_iter().enumerate() {
        map.insert(name.clone(), format!("model-0000{}-of-00002.safetensors", i % 2 + 1));
        shards[i % 2].insert(name, tensor);
    }
    for (i, shard) in shards.iter().enumerate() {
        let file = dir.join(format!("model-0000{}-of-00002.safetensors", i + 1));
        candle_core::safetensors::save(shard, file).unwrap();
    }
    let index = serde_json::json!({"metadata": {"total_size": 1}, "weight_map": map});
    let path = dir.join("model.safetensors.index.json");
    fs::write(&path, index.to_string()).unwrap();
    path
}

#[test]
fn shards_are_the_checkpoint_and_count_in_its_name() {
    let dir = tempfile::tempdir().unwrap();
    sharded(dir.path());
    let checkpoint = Checkpoint::Folder(dir.path().into());
    let clip = load(&checkpoint).unwrap();
    assert_eq!(features(&clip), truth());
    let shard = dir.path().join("model-00002-of-00002.safetensors");
    let mut bytes = fs::read(&shard).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&shard, bytes).unwrap();
    assert_ne!(load(&checkpoint).unwrap().fingerprint(), clip.fingerprint());
}

#[test]
fn a_shard_that_is_missing_or_elsewhere_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let index = sharded(dir.path());
    let checkpoint = Checkpoint::Folder(dir.path().into());
    let text = fs::read_to_string(&index).unwrap();
    for (name, expected) in [
        ("../secret.safetensors", "outside"),
        ("/etc/passwd", "outside"),
        ("pytorch_model.bin", "not a safetensors file"),
        ("model-00003-of-00002.safetensors", "model-00003-of-00002.safetensors: "),
    ] {
        fs::write(&index, text.replace("model-00001-of-00002.safetensors", name)).unwrap();
        let message = load(&checkpoint).unwrap_err().to_string();
        assert!(message.contains(expected) && message.contains("model"), "{message}");
    }
    for broken in ["{\"weight_map\": {}}", "{\"weight_map\": ", "[]"] {
        fs::write(&index, broken).unwrap();
        let message = load(&checkpoint).unwrap_err().to_string();
        assert!(message.contains("index.json"), "{message}");
    }
}

#[test]
fn half_precision_weights_load_by_either_name() {
    let truth = truth();
    for (dtype, file) in [(DType::F16, "model.fp16.safetensors"), (DType::BF16, "model.safetensors")] {
        let dir = tempfile::tempdir().unwrap();
        copy_clip(dir.path(), &["model.safetensors"]);
        let half: HashMap<_, _> = weights().into_iter().map(|(n, t)| (n, t.to_dtype(dtype).unwrap())).collect();
        candle_core::safetensors::save(&half, dir.path().join(file)).unwrap();
        let found = features(&load(&Checkpoint::Folder(dir.path().into())).unwrap());
        let norm = |v: &mut dyn Iterator<Item = f32>| v.map(|x| f64::from(x).powi(2)).sum::<f64>().sqrt();
        let off = norm(&mut found.iter().zip(&truth).map(|(a, b)| a - b)) / norm(&mut truth.iter().copied());
        assert!(off > 0.0 && off < 1e-2, "{dtype:?}: {off}");
    }
}

#[test]
fn pickles_are_refused_with_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    copy_clip(dir.path(), &["model.safetensors"]);
    fs::write(dir.path().join("pytorch_model.bin"), b"\x80\x02}q\x00.").unwrap();
    let message = load(&Checkpoint::Folder(dir.path().into())).unwrap_err().to_string();
    for part in ["model.safetensors", "`pytorch_model.bin`", "pickle", "weights_only=True", "save_file"] {
        assert!(message.contains(part), "{part}: {message}");
    }
}

/// A cache with the tiny CLIP as `org/clip`; files are links into `blobs` where `links`.
fn cache(dir: &Path, links: bool) -> Hub {
    let model = dir.join("models--org--clip");
    let snapshot = model.join("snapshots").join(COMMIT);
    fs::create_dir_all(model.join("refs")).unwrap();
    fs::write(model.join("refs/main"), COMMIT).unwrap();
    if !links {
        copy_clip(&snapshot, &[]);
        return Hub::new(dir);
    }
    copy_clip(&model.join("blobs"), &[]);
    fs::create_dir_all(&snapshot).unwrap();
    for blob in fs::read_dir(model.join("blobs")).unwrap() {
        let (from, name) = (blob.as_ref().unwrap().path(), blob.as_ref().unwrap().file_name());
        fs::rename(&from, from.with_file_name(format!("0{}", name.to_str().unwrap()))).unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(format!("../../blobs/0{}", name.to_str().unwrap()), snapshot.join(name)).unwrap();
    }
    Hub::new(dir)
}

#[test]
fn a_hub_name_is_found_in_the_cache_with_links_and_without() {
    let truth = truth();
    for links in [false, cfg!(unix)] {
        let dir = tempfile::tempdir().unwrap();
        let hub = cache(dir.path(), links);
        for name in ["org/clip", "org/clip@main", &format!("org/clip@{COMMIT}")] {
            assert_eq!(features(&load(&Checkpoint::open(name, &hub).unwrap()).unwrap()), truth, "{name}");
        }
        let message = Checkpoint::open("org/clip@v2", &hub).unwrap_err().to_string();
        assert!(message.contains("protostill fetch org/clip@v2"), "{message}");
    }
}

#[test]
fn what_the_cache_lacks_is_named_with_the_command_that_fetches_it() {
    let dir = tempfile::tempdir().unwrap();
    let hub = cache(dir.path(), false);
    let message = Checkpoint::open("org/other", &hub).unwrap_err().to_string();
    assert!(
        message.contains("protostill fetch org/other") && message.contains(dir.path().to_str().unwrap()),
        "{message}"
    );
    let snapshot = dir.path().join("models--org--clip/snapshots").join(COMMIT);
    for file in ["model.safetensors", "config.json"] {
        fs::remove_file(snapshot.join(file)).unwrap();
        let message = load(&Checkpoint::open("org/clip@main", &hub).unwrap()).unwrap_err().to_string();
        assert!(message.contains(file) && message.contains("protostill fetch org/clip@main"), "{message}");
    }
}

#[test]
fn a_ref_that_is_no_commit_leads_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let hub = cache(dir.path(), false);
    for text in ["../../../..", "", "main", &"f".repeat(500)] {
        fs::write(dir.path().join("models--org--clip/refs/main"), text).unwrap();
        let message = Checkpoint::open("org/clip", &hub).unwrap_err().to_string();
        assert!(message.contains("does not hold a commit"), "{message}");
    }
}

#[test]
fn a_file_is_no_checkpoint_and_a_missing_folder_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::new(dir.path());
    let file = dir.path().join("model.ckpt");
    fs::write(&file, "x").unwrap();
    for name in [file.to_str().unwrap(), "/no/such/folder"] {
        assert!(Checkpoint::open(name, &hub).unwrap_err().to_string().contains(name));
    }
}

/// `assets/from` in a folder, with `edit` made to the JSON of `file`.
fn edited(from: &str, to: &Path, file: &str, edit: impl FnOnce(&mut serde_json::Value)) {
    fs::create_dir_all(to).unwrap();
    for asset in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("assets").join(from)).unwrap() {
        let asset = asset.unwrap();
        fs::copy(asset.path(), to.join(asset.file_name())).unwrap();
    }
    let mut json = serde_json::from_slice(&fs::read(to.join(file)).unwrap()).unwrap();
    edit(&mut json);
    fs::write(to.join(file), json.to_string()).unwrap();
}

fn few_scenes() -> Dataset {
    let mut data = dataset(&WorldSpec::new(6, 0.0, 5)).unwrap();
    data.test.images.truncate(20);
    data.test.pairs.retain(|pair| pair.image.index() < 20);
    data
}

#[test]
fn of_a_picture_chosen_among_several_the_clip_that_chose_it_is_in_the_name() {
    let dir = tempfile::tempdir().unwrap();
    edited("clip", &dir.path().join("clip"), "preprocessor_config.json", |c| c["image_mean"] = vec![0.5; 3].into());
    let bench = |clip: Checkpoint| {
        let (store, checkpoints) = (Store::open(dir.path().join("store")).unwrap(), Checkpoints::demo());
        Workbench::new(few_scenes(), Checkpoints { clip, ..checkpoints }, store, Backend::CPU)
    };
    let (ours, other) = (bench(demo::clip()), bench(Checkpoint::Folder(dir.path().join("clip"))));
    let request = Request { image: vec![0.1; 128], prompt: "a red star".into(), seed: 9 };
    let made = |bench: &Workbench, settings: &synthesize::Settings| {
        bench.made(std::slice::from_ref(&request), settings).unwrap()[0].is_some()
    };
    for (candidates, shared) in [(1, true), (2, false)] {
        let settings = synthesize::Settings { steps: 1, candidates, ..Default::default() };
        let requests = std::slice::from_ref(&request);
        ours.synthesise(requests, &settings, &Ctx::quiet(), &mut |_, _| Ok(())).unwrap();
        assert!(made(&ours, &settings));
        assert_eq!(made(&other, &settings), shared, "{candidates} candidates");
    }
}

#[test]
fn features_of_one_look_are_not_taken_for_those_of_another() {
    let dir = tempfile::tempdir().unwrap();
    let encoders = dir.path().join("encoders");
    edited("encoders/vit", &encoders.join("vit"), "config.json", |c| c["pretrained_cfg"]["mean"] = vec![0.0; 3].into());
    let checkpoints = Checkpoints { encoders: Checkpoint::Folder(encoders), ..Checkpoints::demo() };
    let store = Store::open(dir.path().join("store")).unwrap();
    let data = few_scenes();
    let features = Array2::from_shape_fn((4, 128), |(i, j)| ((i * 7 + j * 3) % 11) as f32 - 5.0);
    let pair = |i: usize| DistilledPair {
        image: data.train.images[i].clone(),
        caption: "a star".into(),
        support: 1,
        similarity: 0.0,
        uid: None,
    };
    let set = DistilledSet {
        method: "random".into(),
        pairs: (0..4).map(pair).collect(),
        image_prototypes: features.clone(),
        text_prototypes: features,
        correspondence: None,
    };
    let bench = Workbench::new(data, checkpoints, store, Backend::CPU);
    let scores = |pixels: Pixels| {
        let settings = Settings { encoders: vec!["vit".into()], runs: 1, epochs: 3, pixels, ..Settings::default() };
        bench.evaluate(&set, &settings, 5, &Ctx::quiet()).unwrap()
    };
    let [reference, own, again] = [Pixels::Reference, Pixels::Own, Pixels::Reference].map(scores);
    assert_ne!(reference, own);
    assert_eq!(reference, again);
}

/// The demo's vision transformer with its configuration changed, and those of its tensors that `keep` is content with.
fn encoder(dir: &Path, change: impl Fn(&mut serde_json::Value), keep: impl Fn(&str) -> bool) -> Result<Encoder> {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/encoders/vit");
    let mut config: serde_json::Value = serde_json::from_slice(&fs::read(from.join("config.json")).unwrap()).unwrap();
    change(&mut config);
    fs::create_dir_all(dir).unwrap();
    fs::write(dir.join("config.json"), config.to_string()).unwrap();
    let mut tensors = candle_core::safetensors::load(from.join("model.safetensors"), &Device::Cpu).unwrap();
    tensors.retain(|name, _| keep(name));
    candle_core::safetensors::save(&tensors, dir.join("model.safetensors")).unwrap();
    Encoder::load(&Checkpoint::Folder(dir.into()).root())
}

#[test]
fn arguments_that_timm_saves_are_understood_or_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let with = |args: serde_json::Value| {
        let change = |config: &mut serde_json::Value| {
            let all = config["model_args"].as_object_mut().unwrap();
            all.extend(args.as_object().unwrap().clone());
        };
        encoder(dir.path(), change, |_| true).map(|encoder| encoder.side()).map_err(|e| e.to_string())
    };
    let fine = serde_json::json!({"in_chans": 3, "global_pool": "token", "img_size": [64, 64]});
    assert_eq!(with(fine), Ok(64));
    for (args, said) in [
        (serde_json::json!({"in_chans": 1}), "model_args.in_chans is 1"),
        (serde_json::json!({"global_pool": "max"}), "global_pool `max` does not fit"),
        (serde_json::json!({"img_size": [64, 32]}), "model_args.img_size is 64 x 32"),
        (serde_json::json!({"img_size": [32, 32]}), "model_args.img_size is 32, but the weights say 64"),
    ] {
        let found = with(args).unwrap_err();
        assert!(found.contains(said), "{found}");
    }
}

#[test]
fn an_encoder_without_its_classifier_gives_pooled_features_and_says_why_no_logits() {
    let dir = tempfile::tempdir().unwrap();
    let whole = encoder(&dir.path().join("whole"), |_| {}, |_| true).unwrap();
    let change = |config: &mut serde_json::Value| config["num_classes"] = 0.into();
    let headless = encoder(&dir.path().join("headless"), change, |name| !name.starts_with("head.")).unwrap();
    let pixels = ndarray::Array4::from_shape_fn((1, 3, 64, 64), |(_, c, y, x)| (c + y * x % 7) as f32 / 9.0);
    let pooled = |encoder: &Encoder| encoder.encode(pixels.view(), Features::Pooled).unwrap();
    assert_eq!(pooled(&headless), pooled(&whole));
    let said = headless.encode(pixels.view(), Features::Logits).unwrap_err().to_string();
    assert!(said.contains("config.json: has no classifier") && said.contains("features = \"pooled\""), "{said}");
}

#[test]
fn a_text_encoder_saved_without_its_prefix_is_the_same_one() {
    let dir = tempfile::tempdir().unwrap();
    let config: serde_json::Value = serde_json::from_slice(&fs::read(golden("clip/config.json")).unwrap()).unwrap();
    let mut own = config["text_config"].clone();
    own["model_type"] = "clip_text_model".into();
    let save = |name: &str, prefix: &str| {
        let place = dir.path().join(name);
        fs::create_dir_all(&place).unwrap();
        fs::write(place.join("config.json"), own.to_string()).unwrap();
        let text = weights()
            .into_iter()
            .filter_map(|(name, tensor)| Some((format!("{prefix}{}", name.strip_prefix("text_model.")?), tensor)));
        candle_core::safetensors::save(&text.collect::<HashMap<_, _>>(), place.join("model.safetensors")).unwrap();
        let tower = TextTower::load(&Checkpoint::Folder(place).root(), DType::F32, &Device::Cpu).unwrap();
        tower.pooled(&[vec![0, 5, 7]]).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    assert_eq!(save("new", ""), save("old", "text_model."));
}

#[test]
fn what_is_neither_clip_nor_siglip_is_refused_by_its_own_name() {
    let dir = tempfile::tempdir().unwrap();
    copy_clip(dir.path(), &[]);
    let text = fs::read_to_string(golden("clip/config.json")).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&text).unwrap();
    config["model_type"] = "siglip2".into();
    fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
    let said = load(&Checkpoint::Folder(dir.path().into())).unwrap_err().to_string();
    assert!(
        said.contains("config.json: model_type is `siglip2`: only CLIP (`clip`) and SigLIP of one image size"),
        "{said}"
    );
}
