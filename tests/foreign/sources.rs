//! One data set in every layout: what is computed from it does not depend on how it lies on disk.
#![allow(clippy::unwrap_used, missing_docs)]

use crate::program;
use candle_core::{DType, Device};
use protostill::{
    data::{self, Dataset, world},
    models::{
        clip::Clip,
        demo,
        device::Backend,
        encoders::{Encoder, Features},
        hub::Hub,
        weights::Checkpoint,
    },
    pipeline::{
        Ctx,
        recipe::Recipe,
        score::features::encode_features,
        set::folder::DistilledSet,
        space::embed,
        store::Store,
        workbench::{Checkpoints, Workbench},
    },
};
use std::{fs, path::Path};

const SPEC: world::WorldSpec = world::WorldSpec::new(60, 0.0, 3);

/// A matrix as `numpy.save` writes it.
fn save(path: &Path, rows: ndarray::ArrayView2<f32>) {
    let dict = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {:?}, }}", rows.dim());
    let text = format!("{dict:<117}\n");
    let mut bytes = [b"\x93NUMPY\x01\x00", (text.len() as u16).to_le_bytes().as_slice(), text.as_bytes()].concat();
    rows.iter().for_each(|v| bytes.extend(v.to_le_bytes()));
    fs::write(path, bytes).unwrap();
}

/// The world on disk, with only 40 scenes to test on.
fn small_world(dir: &Path) -> Dataset {
    world::write(dir, &SPEC, &mut |_, _| Ok(())).unwrap();
    let list = dir.join("world_test.json");
    let mut rows: Vec<serde_json::Value> = serde_json::from_slice(&fs::read(&list).unwrap()).unwrap();
    rows.truncate(40);
    fs::write(list, serde_json::to_vec(&rows).unwrap()).unwrap();
    fs::remove_file(dir.join("world_val.json")).unwrap();
    data::open(dir).unwrap()
}

/// The same, and beside its lists the features that the demo's CLIP gives.
fn with_features(dir: &Path) -> Dataset {
    let set = small_world(dir);
    let clip = Clip::load(&demo::clip(), DType::F32, &Device::Cpu).unwrap();
    for (split, name) in [(&set.train, "train"), (&set.test, "test")] {
        let found = embed::embed(split, &clip, embed::UNKEPT, &Ctx::quiet()).unwrap();
        save(&dir.join(format!("world_{name}_image_embeds.npy")), found.image.view());
        save(&dir.join(format!("world_{name}_text_embeds.npy")), found.text.view());
    }
    set
}

fn recipe(method: &str) -> Recipe {
    let mut config = protostill::config::Config::load(None).unwrap();
    config.method = method.parse().unwrap();
    config.cluster.prototypes = 4;
    config.checked().unwrap().recipe()
}

fn bench(set: Dataset, clip: Checkpoint, store: &Path) -> Workbench {
    let hub = Hub::from_env(|_| None);
    let checkpoints = Checkpoints { clip, decoder: demo::decoder(), encoders: demo::encoders(), hub };
    Workbench::new(set, checkpoints, Store::open(store).unwrap(), Backend::CPU)
}

#[test]
fn ready_embeddings_give_the_sets_and_scores_that_embedding_gives_and_need_no_clip() {
    let home = tempfile::tempdir().unwrap();
    let plain = with_features(home.path());
    let ready = data::open(home.path()).unwrap();
    assert!(ready.train.ready.is_some() && plain.train.ready.is_none());
    assert_ne!(ready.fingerprint, plain.fingerprint);
    let a = bench(plain, demo::clip(), &home.path().join("a"));
    let b = bench(ready, Checkpoint::Folder(home.path().join("there is none")), &home.path().join("b"));
    let recipe = recipe("nearest-image");
    let sets = [&a, &b].map(|bench| bench.distil(&recipe, &Ctx::quiet()).unwrap());
    assert_eq!(sets[0], sets[1]);
    let mut protocol = protostill::config::Config::load(None).unwrap().evaluation;
    (protocol.runs, protocol.epochs) = (1, 5);
    let scores = [&a, &b].map(|bench| bench.evaluate(&sets[0], &protocol, 1, &Ctx::quiet()).unwrap());
    assert_eq!(scores[0], scores[1]);
}

#[test]
fn a_set_of_features_alone_is_written_read_and_scored_as_with_its_pictures() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data");
    fs::create_dir(&dir).unwrap();
    let plain = with_features(&dir);
    for name in ["vit", "nf_resnet"] {
        let encoder = Encoder::load(&demo::encoders().part(name)).unwrap();
        for (split, part) in [(&plain.train, "train"), (&plain.test, "test")] {
            let found = encode_features(&encoder, Features::Logits, &split.images, &Ctx::quiet()).unwrap();
            save(&dir.join(format!("{name}_{part}_features.npy")), found.view());
        }
    }
    let recipe = recipe("need+real");
    let a = bench(plain, demo::clip(), &home.path().join("a"));
    let shown = a.distil(&recipe, &Ctx::quiet()).unwrap();
    let mut protocol = protostill::config::Config::load(None).unwrap().evaluation;
    (protocol.runs, protocol.epochs) = (1, 5);
    let expected = a.evaluate(&shown, &protocol, 1, &Ctx::quiet()).unwrap();
    for folder in fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        fs::remove_dir_all(folder).unwrap();
    }
    let nothing = || Checkpoint::Folder(home.path().join("there is none"));
    let b = bench(data::open(&dir).unwrap(), nothing(), &home.path().join("b"));
    let set = b.distil(&recipe, &Ctx::quiet()).unwrap();
    let out = home.path().join("out");
    set.write(&out, &serde_json::json!({})).unwrap();
    let set = DistilledSet::read(&out).unwrap().set;
    assert_eq!(set.text_prototypes, shown.text_prototypes);
    assert_eq!(b.evaluate(&set, &protocol, 1, &Ctx::quiet()).unwrap(), expected);
    let line = fs::read_to_string(home.path().join("out/metadata.jsonl")).unwrap();
    assert!(line.starts_with("{\"key\":\"") && !home.path().join("out/images").exists(), "{line}");
}

#[test]
fn a_shard_gives_the_pictures_and_captions_of_the_folder_it_was_packed_from() {
    let home = tempfile::tempdir().unwrap();
    let at = home.path().join("world");
    let folder = small_world(&at);
    let shards = home.path().join("shards");
    fs::create_dir(&shards).unwrap();
    for (split, name) in [(&folder.train, "train"), (&folder.test, "test")] {
        let mut to = tar::Builder::new(fs::File::create(shards.join(format!("{name}-00.tar"))).unwrap());
        for (i, rows) in split.captions_of().iter().enumerate() {
            let data::ImageSource::File(path) = &split.images[i] else { panic!("not a file") };
            to.append_path_with_name(path, format!("{i:04}.png")).unwrap();
            let captions: Vec<&str> = rows.iter().map(|&r| split.pairs[r].caption.as_str()).collect();
            let text = serde_json::json!({ "caption": captions }).to_string();
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            to.append_data(&mut header, format!("{i:04}.json"), text.as_bytes()).unwrap();
        }
        to.finish().unwrap();
    }
    let packed = data::open(&shards).unwrap();
    for (a, b) in [(&folder.train, &packed.train), (&folder.test, &packed.test)] {
        let mut sorted = a.pairs.clone();
        sorted.sort_by_key(|p| p.image);
        assert_eq!(sorted, b.pairs);
        for (a, b) in a.images.iter().zip(&b.images) {
            assert_eq!(a.decode().unwrap(), b.decode().unwrap());
        }
    }
}

#[test]
fn the_commands_say_what_lacks_and_write_what_others_read() {
    let home = tempfile::tempdir().unwrap();
    let at = home.path().join("d");
    drop(with_features(&at));
    let run = |args: &[&str]| program::protostill(home.path()).args(args).assert();
    let checked = run(&["check", "d", "--json"]).success();
    let checked: serde_json::Value = serde_json::from_slice(&checked.get_output().stdout).unwrap();
    assert_eq!(checked["train"]["images"], 60);
    let distill = ["distill", "--data", "d", "--method", "nearest-text", "--format", "webdataset,parquet"];
    run(&[&distill[..], &["--out", "out"]].concat()).success();
    for file in ["webdataset/00000.tar", "parquet/00000.parquet"] {
        assert!(home.path().join("out").join(file).is_file());
    }
    let evaluate = ["evaluate", "out", "--data", "d", "--runs", "1", "--metrics", "m.jsonl", "--tensorboard", "tb"];
    run(&evaluate).success();
    let lines = fs::read_to_string(home.path().join("m.jsonl")).unwrap();
    let rows: Vec<serde_json::Value> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert!(rows.iter().filter(|r| r["series"].as_str().is_some_and(|s| s.ends_with("/run 1/loss"))).count() >= 20);
    let series = rows.last().unwrap()["series"].as_str().unwrap();
    let encoder = series.strip_suffix("/sd/R-mean").unwrap();
    let [of_one] = &fs::read_dir(home.path().join("tb")).unwrap().flatten().collect::<Vec<_>>()[..] else { panic!() };
    assert!(of_one.path().join(encoder).join("run 1/events.out.tfevents.0.protostill").is_file());
    // The curves of an evaluation that the store knows are those of the day it was computed.
    run(&evaluate).success();
    assert_eq!(fs::read_to_string(home.path().join("m.jsonl")).unwrap(), lines);
    // Without images, what needs none goes on, and the rest says so.
    fs::remove_dir_all(at.join("images")).unwrap();
    run(&["stats", "--data", "d"]).success();
    run(&["distill", "--method=random", "--data", "d", "--out", "bare"]).success();
    for (refused, why) in [
        (&["evaluate", "out"][..], "there are only features of this image"),
        (&["evaluate", "bare"], "no features of its training images"),
        (&["distill", "--method=random", "--format=parquet"], "takes pictures"),
    ] {
        let said = run(&[refused, &["--data", "d"]].concat()).code(2);
        let said = String::from_utf8_lossy(&said.get_output().stderr).into_owned();
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn captioned_images_of_others_are_measured_like_a_set_and_nothing_is_left_in_their_folder() {
    let home = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| program::protostill(home.path()).args(args).assert();
    run(&["distill", "--method", "random", "--out", "out"]).success();
    let (out, given) = (home.path().join("out"), home.path().join("given"));
    fs::create_dir_all(given.join("images")).unwrap();
    fs::copy(out.join("metadata.jsonl"), given.join("metadata.jsonl")).unwrap();
    for image in fs::read_dir(out.join("images")).unwrap() {
        let image = image.unwrap();
        fs::copy(image.path(), given.join("images").join(image.file_name())).unwrap();
    }
    let before = program::contents(&given);
    let scored = |dir: &str| {
        let run = run(&["evaluate", dir, "--runs", "1", "--json"]).success();
        serde_json::from_slice::<serde_json::Value>(&run.get_output().stdout).unwrap()
    };
    let (ours, theirs) = (scored("out"), scored("given"));
    assert_eq!((theirs["set"]["method"].as_str(), theirs["set"]["pairs"].as_u64()), (Some("given"), Some(4)));
    // Its own captions are the targets of `random`, too.
    assert_eq!(theirs["encoders"], ours["encoders"]);
    run(&["evaluate", "given", "--dry-run", "--json"]).success();
    assert_eq!(program::contents(&given), before);
}
