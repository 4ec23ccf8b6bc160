#![allow(clippy::unwrap_used)]
use super::*;
use crate::data::{ImageSource, world};
use std::{fs, time::Duration};

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
    assert_eq!((set.train.pairs[0].caption.as_str(), &*set.train.texts()[0]), ("A Dog.", "a dog"));
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
    let spec = world::WorldSpec::new(40, 0.25, 5);
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

#[test]
fn the_words_of_datasets_say_the_split_of_folders_lists_and_paths() {
    let line = "{\"file_name\":\"a.png\",\"text\":\"Hi\"}\n";
    for (val, test) in [("valid", "testing"), ("dev", "eval"), ("val2017", "test2017"), ("validation", "evaluation")] {
        let names = ["training", val, test].map(|f| (format!("{f}/metadata.jsonl"), format!("{f}/a.png")));
        let files: Vec<(&str, &str)> =
            names.iter().flat_map(|(list, image)| [(list.as_str(), line), (image.as_str(), "")]).collect();
        assert_eq!(sizes(&open(folder(&files).path()).unwrap()), [(1, 1); 3], "{val}, {test}");
    }
    let lines =
        ["train/a.png", "test/b.png", "pics/c.png"].map(|f| format!("{{\"file_name\":\"{f}\",\"text\":\"x\"}}\n"));
    let pictures = [("train/a.png", ""), ("test/b.png", ""), ("pics/c.png", "")];
    let over = folder(&[&[("metadata.jsonl", lines.concat().as_str())], &pictures[..]].concat());
    assert_eq!(sizes(&open(over.path()).unwrap()), [(2, 2), (0, 0), (1, 1)]);
    let lists = [("k_train.json", TRAIN), ("k_dev.json", TRAIN), ("k_holdout.json", TRAIN)];
    let flat = folder(&[&lists[..], &[("a.png", ""), ("b.png", "")]].concat());
    assert_eq!(sizes(&open(flat.path()).unwrap()), [(2, 3), (2, 3), (0, 0)]);
    let left =
        |dir: &Path| list(dir, &Rules::default()).unwrap().1.noted.into_iter().map(|n| (n.0, n.1)).collect::<Vec<_>>();
    assert_eq!(left(flat.path()), [(Problem::LeftOut, flat.path().join("k_holdout.json").display().to_string())]);
}

#[test]
fn other_bytes_of_one_length_and_time_are_another_data_set() {
    let dir = folder(&[("k_train.json", r#"[{"image":"a.png","caption":"x"}]"#), ("a.png", "")]);
    let (path, then) = (dir.path().join("a.png"), std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(9));
    let put = |place: &Path, last: u8| {
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() = last;
        fs::write(place, bytes).unwrap();
        fs::File::options().append(true).open(place).unwrap().set_modified(then).unwrap();
        // The clock of files ticks every few milliseconds.
        std::thread::sleep(Duration::from_millis(30));
    };
    put(&path, 1);
    let first = open(dir.path()).unwrap().fingerprint;
    assert_eq!(open(dir.path()).unwrap().fingerprint, first);
    put(&path, 2);
    let second = open(dir.path()).unwrap().fingerprint;
    assert_ne!(second, first);
    let elsewhere = folder(&[("k_train.json", r#"[{"image":"a.png","caption":"x"}]"#)]);
    put(&elsewhere.path().join("a.png"), 3);
    let third = open(elsewhere.path()).unwrap().fingerprint;
    assert!(third != first && third != second);
}

#[test]
fn null_captions_nan_and_captions_said_twice_are_read_by_rule_and_noted() {
    let rows = r#"[{"image":"a.png","caption":null,"score":NaN},{"image":"b.png","caption":["one",null],"text":"two"},
        {"image":"c.png","caption":"","text":"three","w":-Infinity}]"#;
    let dir = folder(&[("k_train.json", rows), ("b.png", ""), ("c.png", "")]);
    let set = open(dir.path()).unwrap();
    assert_eq!(set.train.pairs.iter().map(|p| p.caption.as_str()).collect::<Vec<_>>(), ["one", "three"]);
    let noted: Vec<_> = list(dir.path(), &Rules::default())
        .unwrap()
        .1
        .noted
        .into_iter()
        .map(|(what, _, count)| (what, count))
        .collect();
    assert_eq!(noted, [(Problem::SaidTwice, 1), (Problem::NotANumber, 2)]);
    let nan = folder(&[("k_train.json", r#"[{"image":"a.png","caption":"x"},{"image":"a.png","caption":NaN}]"#)]);
    let text = open(nan.path()).unwrap_err().to_string();
    assert!(text.contains("k_train.json: row 2: NaN is no caption"), "{text}");
    let lines = "{\"file_name\":\"b.png\",\"text\":\"x\",\"s\":Infinity}\n{\"file_name\":\"b.png\",\"text\":NaN}\n";
    let folder = folder(&[("metadata.jsonl", lines), ("b.png", "")]);
    let text = open(folder.path()).unwrap_err().to_string();
    assert!(text.contains("metadata.jsonl: line 2, column ") && text.contains("NaN is no caption"), "{text}");
}

#[test]
fn a_pointer_of_git_lfs_is_told_in_the_place_of_list_image_shard_and_features() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n";
    let one = r#"[{"image":"a.png","caption":"x"}]"#;
    let dir = tempfile::tempdir().unwrap();
    let told = |files: &[(&str, &str)], name: &str| {
        let at = dir.path().join(name.replace('.', "_"));
        fs::create_dir(&at).unwrap();
        files.iter().for_each(|(name, text)| fs::write(at.join(name), text).unwrap());
        let set = open(&at).and_then(|set| set.train.images[0].decode().map(drop));
        let text = set.unwrap_err().to_string();
        assert!(text.contains(&format!("{name}: is a pointer of Git LFS")) && text.contains("git lfs pull"), "{text}");
    };
    told(&[("k_train.json", pointer)], "k_train.json");
    told(&[("metadata.jsonl", pointer)], "metadata.jsonl");
    told(&[("0.tar", pointer)], "0.tar");
    told(&[("k_train.json", one), ("a.png", pointer)], "a.png");
    told(&[("captions.txt", "x\n"), ("text.npy", pointer)], "text.npy");
    told(&[("k_train.json", one), ("train_image_embeds.npz", pointer)], "train_image_embeds.npz");
}

#[test]
fn an_image_is_found_however_its_accents_are_composed() {
    let (composed, decomposed) = ("caf\u{e9}.png", "cafe\u{301}.png");
    for (listed, on_disk) in [(composed, decomposed), (decomposed, composed)] {
        let list = format!(r#"[{{"image":"{listed}","caption":"x"}}]"#);
        let dir = folder(&[("k_train.json", &list), (on_disk, "")]);
        assert_eq!(sizes(&open(dir.path()).unwrap())[0], (1, 1), "{listed:?}");
    }
}

#[test]
fn a_list_in_utf16_with_a_byte_order_mark_is_read() {
    let dir = folder(&[("a.png", ""), ("b.png", "")]);
    let bytes: Vec<u8> = format!("\u{feff}{TRAIN}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    fs::write(dir.path().join("k_train.json"), bytes).unwrap();
    assert_eq!(sizes(&open(dir.path()).unwrap())[0], (2, 3));
}

#[test]
fn rules_change_what_is_seen_and_read_and_the_fingerprint() {
    let dir = folder(&[("k_train.json", r#"[{"image":"a.png","caption":"A Dog."}]"#)]);
    let wide = image::RgbImage::new(9, 6);
    let bytes = crate::data::files::orientation::tests::tagged(&wide, image::ImageFormat::Png, 6);
    fs::write(dir.path().join("a.png"), bytes).unwrap();
    let upright = open(dir.path()).unwrap();
    let orientation = crate::data::Orientation::Ignore;
    let pre_caption = crate::data::caption::PreCaption::Off;
    let rules = Rules { orientation, pre_caption, ..Rules::default() };
    let stored = open_by(dir.path(), &rules).unwrap();
    let seen = |set: &Dataset| set.train.images[0].decode().unwrap().dimensions();
    assert_eq!((seen(&upright), seen(&stored)), ((6, 9), (9, 6)));
    assert_eq!((&*upright.train.texts()[0], &*stored.train.texts()[0]), ("a dog", "A Dog."));
    assert_ne!(upright.fingerprint, stored.fingerprint);
}

#[test]
fn a_file_that_would_be_the_data_set_but_for_its_fault_is_named_with_it() {
    for (name, text, fault) in [
        ("train-0.parquet", "PAR1 and half of it", "train-0.parquet: "),
        ("Train_GCC.tsv", "a dog\thttp://example.org/a.jpg\n", "Train_GCC.tsv: line 1 names no column of pictures"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(name), text).unwrap();
        let said = open(dir.path()).unwrap_err().to_string();
        assert!(said.contains(fault) && !said.contains("looked for"), "{said}");
    }
}
