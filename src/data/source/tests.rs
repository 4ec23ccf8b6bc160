#![allow(clippy::unwrap_used)]
use super::*;
use crate::data::{ImageSource, world};
use std::time::Duration;

/// A folder with these files; those ending in `.json` or `.jsonl` hold the text, the others are images.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        if name.contains(".json") {
            fs::write(path, text).unwrap();
        } else {
            image::RgbImage::new(2, 2).save(path).unwrap();
        }
    }
    dir
}

fn sizes(set: &Dataset) -> [(usize, usize); 3] {
    [&set.train, &set.val, &set.test].map(|s| (s.images.len(), s.pairs.len()))
}

const TRAIN: &str = r#"[{"image":"a.png","caption":"A Dog.","image_id":"0"},{"image":"b.png","caption":"cat"},
    {"image":"a.png","caption":"dog again"}]"#;

#[test]
fn rows_of_one_image_become_one_image_with_several_captions() {
    let dir = folder(&[("k_train.json", TRAIN), ("a.png", ""), ("b.png", "")]);
    let set = open(dir.path()).unwrap();
    assert_eq!((set.name.as_str(), sizes(&set)), ("k", [(2, 3), (0, 0), (0, 0)]));
    assert_eq!(set.train.captions_of(), [vec![0, 2], vec![1]]);
    assert_eq!(set.train.pairs[0].caption, "a dog");
}

#[test]
fn images_are_found_in_the_root_first_and_then_in_its_folders() {
    let lists = [("k_train.json", TRAIN), ("k_test.json", r#"[{"image":"pics/b.png","caption":["x","y"]}]"#)];
    let dir = folder(&[lists[0], lists[1], ("pics/a.png", ""), ("pics/b.png", ""), ("aaa/a.png", ""), ("b.png", "")]);
    let set = open(dir.path()).unwrap();
    let at = |split: &Split, i: usize| match &split.images[i] {
        ImageSource::File(path) => path.strip_prefix(dir.path()).unwrap().display().to_string(),
        other => panic!("not a file: {other:?}"),
    };
    assert_eq!([at(&set.train, 0), at(&set.train, 1), at(&set.test, 0)], ["aaa/a.png", "b.png", "pics/b.png"]);
}

#[test]
fn the_original_file_is_understood() {
    let json = r#"{"images":[
        {"filename":"a.png","split":"train","sentences":[{"raw":"One.","tokens":["one"]},{"raw":"Two."}],"imgid":0},
        {"filename":"b.png","filepath":"val2014","split":"restval","sentences":[{"raw":"Three."}]},
        {"filename":"a.png","filepath":"val2014","split":"test","sentences":[{"raw":"Four."}]}],"dataset":"coco"}"#;
    let dir = folder(&[("dataset_coco.json", json), ("a.png", ""), ("val2014/a.png", ""), ("val2014/b.png", "")]);
    let set = open(dir.path()).unwrap();
    assert_eq!((set.name.as_str(), sizes(&set)), ("coco", [(2, 3), (0, 0), (1, 1)]));
    assert_eq!(open(&dir.path().join("dataset_coco.json")).unwrap().fingerprint, set.fingerprint);
}

#[test]
fn image_folders_are_understood_with_and_without_splits() {
    let line = "{\"file_name\":\"p/a.png\",\"text\":\"Hi\"}\n";
    let single = folder(&[("metadata.jsonl", line), ("p/a.png", "")]);
    assert_eq!(sizes(&open(single.path()).unwrap()), [(1, 1), (0, 0), (0, 0)]);
    let files = [("train/metadata.jsonl", line), ("train/p/a.png", ""), ("validation/metadata.jsonl", line)];
    let split = folder(&[files[0], files[1], files[2], ("validation/p/a.png", "")]);
    assert_eq!(sizes(&open(split.path()).unwrap()), [(1, 1), (1, 1), (0, 0)]);
}

#[test]
fn two_sets_in_one_folder_are_told_apart_by_naming_a_file() {
    let other = ("z_train.json", r#"[{"image":"a.png","caption":"only"}]"#);
    let dir = folder(&[("k_train.json", TRAIN), other, ("a.png", ""), ("b.png", "")]);
    let text = open(dir.path()).unwrap_err().to_string();
    assert!(text.contains("several data sets") && text.contains("k_train.json, z_train.json"), "{text}");
    assert_eq!(sizes(&open(&dir.path().join("z_train.json")).unwrap())[0], (1, 1));
}

#[test]
fn the_fingerprint_follows_captions_images_and_splits_but_not_the_place() {
    let name = |dir: &Path| open(dir).unwrap().fingerprint;
    let files = [("k_train.json", TRAIN), ("a.png", ""), ("b.png", "")];
    let dir = folder(&files);
    let first = name(dir.path());
    assert_eq!(name(dir.path()), first);
    let list = dir.path().join("k_train.json");
    fs::write(&list, TRAIN.replace("cat", "cats")).unwrap();
    assert_ne!(name(dir.path()), first);
    fs::rename(&list, dir.path().join("k_test.json")).unwrap();
    fs::write(dir.path().join("k_test.json"), TRAIN).unwrap();
    assert_ne!(name(dir.path()), first);
    fs::rename(dir.path().join("k_test.json"), &list).unwrap();
    assert_eq!(name(dir.path()), first);
    let elsewhere = tempfile::tempdir().unwrap();
    fs::rename(dir.path(), elsewhere.path().join("moved")).unwrap();
    assert_eq!(name(&elsewhere.path().join("moved")), first);
    let image = fs::File::options().append(true).open(elsewhere.path().join("moved/a.png")).unwrap();
    image.set_modified(std::time::SystemTime::now() + Duration::from_secs(60)).unwrap();
    assert_ne!(name(&elsewhere.path().join("moved")), first);
}

#[cfg(unix)]
#[test]
fn linked_images_are_followed_and_folders_are_not_images() {
    let dir = folder(&[("k_train.json", TRAIN), ("b.png", "")]);
    let away = folder(&[("x.png", "")]);
    std::os::unix::fs::symlink(away.path().join("x.png"), dir.path().join("a.png")).unwrap();
    assert!(open(dir.path()).is_ok());
    fs::remove_file(dir.path().join("b.png")).unwrap();
    fs::create_dir(dir.path().join("b.png")).unwrap();
    let text = open(dir.path()).unwrap_err().to_string();
    assert!(text.contains("row 2: no image \"b.png\""), "{text}");
}

#[test]
fn the_demo_world_is_the_same_from_disk_and_from_memory() {
    let spec = world::WorldSpec { scenes: 40, noise: 0.25, seed: 5 };
    let dir = tempfile::tempdir().unwrap();
    world::write(dir.path(), &spec, &mut |_, _| Ok(())).unwrap();
    let (disk, memory) = (open(dir.path()).unwrap(), world::dataset(&spec).unwrap());
    for (disk, memory) in [(disk.train, memory.train), (disk.val, memory.val), (disk.test, memory.test)] {
        assert_eq!(disk.pairs.len(), memory.pairs.len());
        for (a, b) in disk.pairs.iter().zip(&memory.pairs) {
            assert_eq!(a.caption, b.caption);
            assert_eq!(
                disk.images[a.image.index()].decode().unwrap(),
                memory.images[b.image.index()].decode().unwrap()
            );
        }
    }
}
