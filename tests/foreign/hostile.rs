//! Hostile and broken data: each case one clear error that names the place, exit status 2, nothing lost.
#![allow(clippy::unwrap_used, missing_docs)]

use image::{Rgb, RgbImage};
use ndarray::Array2;
use protostill::{
    data::{self, ImageSource},
    error::Error,
    pipeline::set::{folder::DistilledSet, pair::DistilledPair},
};
use serde_json::json;
use std::{fs, path::Path, process::Command};

fn picture(n: u32) -> RgbImage {
    RgbImage::from_fn(32, 32, |x, y| Rgb([(x * 8 + n) as u8, (y * 8) as u8, (x * y + 31 * n) as u8]))
}

/// A flat list of one training image `a.jpg`, replaced or added to by each test.
fn karpathy(json: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    picture(0).save(dir.path().join("a.jpg")).unwrap();
    fs::write(dir.path().join("x_train.json"), json).unwrap();
    dir
}

fn refused(dir: &Path, parts: &[&str]) {
    let error = data::open(dir).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
    assert!(!text.chars().any(char::is_control), "{text:?}");
}

#[test]
fn a_missing_image_is_found_at_once_with_its_row_and_the_number_of_others() {
    let dir = karpathy(
        r#"[{"image":"a.jpg","caption":"x"},{"image":"b\u001b.jpg","caption":"y"},{"image":"c.jpg","caption":"z"}]"#,
    );
    refused(dir.path(), &["x_train.json: row 2", "b\\u{1b}.jpg", "2 of 3 images are missing"]);
}

#[test]
fn a_cut_off_list_names_file_row_line_and_column() {
    let dir = karpathy("[{\"image\":\"a.jpg\",\"caption\":\"x\"},\n{\"image\":\"a.jpg\",\"cap");
    refused(dir.path(), &["x_train.json", "row 2", "line 2 column 21"]);
}

#[test]
fn an_image_path_that_climbs_out_is_refused() {
    for path in ["../a.jpg", "x/../../a.jpg", "/etc/passwd", "", "a\\u0000.jpg"] {
        let dir = karpathy(&format!(r#"[{{"image":"a.jpg","caption":"x"}},{{"image":"{path}","caption":"x"}}]"#));
        refused(dir.path(), &["x_train.json: row 2", "leaves the data folder"]);
        fs::remove_file(dir.path().join("x_train.json")).unwrap();
        fs::write(dir.path().join("metadata.jsonl"), format!("{{\"file_name\":\"{path}\",\"text\":\"x\"}}\n")).unwrap();
        refused(dir.path(), &["metadata.jsonl: line 1", "leaves the data folder"]);
    }
}

#[test]
fn a_caption_of_a_megabyte_is_cut_and_read_to_its_first_words() {
    let words = "word ".repeat(200_000);
    let giant = "é".repeat(500_000);
    let dir = karpathy(&format!(r#"[{{"image":"a.jpg","caption":["{words}","{giant} end"]}}]"#));
    let set = data::open(dir.path()).unwrap();
    assert_eq!(set.train.texts()[0].split(' ').count(), 30);
    assert!(set.train.pairs.iter().all(|p| p.caption.len() <= 4096 && p.caption.len() > 4000));
    assert_eq!(set.train.pairs[1].caption, "é".repeat(2048));
}

#[test]
fn escape_codes_in_captions_become_spaces() {
    let dir = karpathy(r#"[{"image":"a.jpg","caption":"A\u001b[2Jdog\u0007\u009b1m \u202eruns\u0000"}]"#);
    let set = data::open(dir.path()).unwrap();
    assert_eq!(set.train.pairs[0].caption, "A [2Jdog  1m  runs");
    assert_eq!(set.train.texts()[0], "a [2jdog 1m runs");
}

#[test]
fn captions_without_a_word_are_skipped_and_a_set_without_any_is_refused() {
    let dir = karpathy(r#"[{"image":"gone.jpg","caption":" ... "},{"image":"a.jpg","caption":["","A dog."]}]"#);
    let set = data::open(dir.path()).unwrap();
    assert_eq!((set.train.images.len(), set.train.pairs.len()), (1, 1));
    let dir = karpathy(r#"[{"image":"a.jpg","caption":[]}]"#);
    refused(dir.path(), &["holds no captioned image"]);
}

#[test]
fn a_truncated_jpeg_is_an_error_not_a_grey_image() {
    let dir = karpathy(r#"[{"image":"a.jpg","caption":"x"}]"#);
    let path = dir.path().join("a.jpg");
    let bytes = fs::read(&path).unwrap();
    for keep in [bytes.len() - 3, bytes.len() / 2, 3, 0] {
        fs::write(&path, &bytes[..keep]).unwrap();
        let set = data::open(dir.path()).unwrap();
        let error = set.train.images[0].decode().unwrap_err();
        assert!(error.to_string().contains("a.jpg: not a readable image"), "{error}");
        assert_eq!(error.exit_code(), 2);
    }
}

#[test]
fn a_png_that_claims_forty_thousand_pixels_a_side_is_refused_before_allocation() {
    let chunk = |kind: &[u8], data: &[u8]| {
        let body = [kind, data].concat();
        [&(data.len() as u32).to_be_bytes()[..], &body, &crc(&body).to_be_bytes()].concat()
    };
    for side in [40_000u32, 16_000] {
        let header = [&side.to_be_bytes()[..], &side.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
        let start = b"\x89PNG\r\n\x1a\n".as_slice();
        let png = [start, &chunk(b"IHDR", &header), &chunk(b"IDAT", b"x"), &chunk(b"IEND", b"")].concat();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bomb.png");
        fs::write(&path, png).unwrap();
        let text = ImageSource::File(path).decode().unwrap_err().to_string();
        assert!(text.contains("bomb.png: ") && text.contains(&format!("{side} x {side} pixels")), "{text}");
    }
}

/// PNG's checksum (CRC-32, ISO 3309), bit by bit.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |c, _| if c & 1 == 1 { c >> 1 ^ 0xedb8_8320 } else { c >> 1 })
    })
}

#[test]
fn a_folder_without_captions_says_what_was_looked_for() {
    let dir = tempfile::tempdir().unwrap();
    refused(dir.path(), &["metadata.jsonl", "NAME_train.json", "dataset_NAME.json"]);
    assert!(matches!(data::open(&dir.path().join("gone")), Err(Error::Io { .. })));
}

fn set() -> DistilledSet {
    let pair = |n: u32| DistilledPair {
        image: ImageSource::Memory(picture(n)),
        caption: format!("picture {n}"),
        support: n + 1,
        similarity: 0.5,
        uid: None,
    };
    DistilledSet {
        method: "pds".into(),
        pairs: (0..3).map(pair).collect(),
        image_prototypes: Array2::from_shape_fn((3, 4), |(i, j)| (i * 4 + j) as f32),
        text_prototypes: Array2::from_shape_fn((3, 5), |(i, j)| -((i * 5 + j) as f32)),
        correspondence: None,
    }
}

fn written() -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    set().write(&out, &json!({ "seed": 7 })).unwrap();
    (dir, out)
}

fn unreadable(out: &Path, part: &str) {
    let error = DistilledSet::read(out).unwrap_err();
    assert!(error.to_string().contains(part), "{part:?} is not in: {error}");
    assert_eq!(error.exit_code(), 2);
}

/// Every file's name and content, and that nothing temporary is left beside.
fn content(out: &Path) -> Vec<(String, Vec<u8>)> {
    let names = [
        "images/0000.png",
        "images/0001.png",
        "images/0002.png",
        "metadata.jsonl",
        "prototypes.safetensors",
        "manifest.json",
    ];
    assert_eq!(fs::read_dir(out.parent().unwrap()).unwrap().count(), 1, "litter beside the folder");
    names.iter().map(|n| ((*n).to_owned(), fs::read(out.join(n)).unwrap())).collect()
}

/// `prototypes.safetensors` replaced, with the manifest brought in line: a forgery, not a damage.
fn forge(out: &Path, bytes: &[u8]) {
    use sha2::{Digest, Sha256};
    let path = out.join("prototypes.safetensors");
    let hash = |b: &[u8]| format!("{:x}", Sha256::digest(b));
    let manifest = fs::read_to_string(out.join("manifest.json")).unwrap();
    fs::write(out.join("manifest.json"), manifest.replace(&hash(&fs::read(&path).unwrap()), &hash(bytes))).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_set_comes_back_as_it_was_and_twice_written_is_twice_the_same() {
    let (_dir, out) = written();
    let read = DistilledSet::read(&out).unwrap();
    assert!(read.edited.is_empty());
    assert_eq!(read.manifest["seed"], 7);
    let mut back = read.set;
    for pair in &mut back.pairs {
        pair.image = ImageSource::Memory(pair.image.decode().unwrap());
    }
    assert_eq!(back, set());
    let first = content(&out);
    back.write(&out, &json!({ "seed": 7 })).unwrap();
    assert_eq!(content(&out), first);
}

#[test]
fn a_written_set_is_an_image_folder() {
    let (_dir, out) = written();
    let folder = data::open(&out).unwrap();
    assert_eq!((folder.train.images.len(), folder.train.pairs[2].caption.as_str()), (3, "picture 2"));
}

#[test]
fn an_edited_caption_is_told_and_changes_the_fingerprint() {
    let (_dir, out) = written();
    let before = DistilledSet::read(&out).unwrap().fingerprint;
    let path = out.join("metadata.jsonl");
    fs::write(&path, fs::read_to_string(&path).unwrap().replace("picture 1", "a \\u001b[2Jcat")).unwrap();
    let read = DistilledSet::read(&out).unwrap();
    assert_eq!(read.edited, ["metadata.jsonl"]);
    assert_eq!(read.set.pairs[1].caption, "a \\u{1b}[2Jcat");
    assert_ne!(read.fingerprint, before);
}

#[test]
fn nan_in_embeddings_is_refused_by_writer_and_reader() {
    let mut bad = set();
    bad.text_prototypes[[1, 2]] = f32::NAN;
    let dir = tempfile::tempdir().unwrap();
    let text = bad.write(&dir.path().join("out"), &json!({})).unwrap_err().to_string();
    assert!(text.contains("array \"text\", row 1, column 2 is NaN"), "{text}");
    let (_dir, out) = written();
    let arrays = protostill::pipeline::store::arrays::Arrays::new()
        .with_f32("image", &bad.image_prototypes)
        .with_f32("text", &bad.text_prototypes);
    forge(&out, &arrays.to_bytes().unwrap());
    unreadable(&out, "prototypes.safetensors: array \"text\", row 1, column 2 is NaN");
}

#[test]
fn safetensors_with_a_lying_header_are_refused() {
    let (_dir, out) = written();
    let header = r#"{"image":{"dtype":"F32","shape":[3,1000000000],"data_offsets":[0,48]}}"#;
    forge(&out, &[&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 48]].concat());
    unreadable(&out, "prototypes.safetensors: not a whole safetensors file");
}

#[test]
fn damage_is_named() {
    let (_dir, out) = written();
    fs::remove_file(out.join("images/0001.png")).unwrap();
    unreadable(&out, "images/0001.png");
    let (_dir, out) = written();
    fs::write(out.join("prototypes.safetensors"), b"x").unwrap();
    unreadable(&out, "prototypes.safetensors: is not the file that was written");
    let (_dir, out) = written();
    let path = out.join("metadata.jsonl");
    let lines = fs::read_to_string(&path).unwrap();
    fs::write(&path, lines.lines().take(2).collect::<Vec<_>>().join("\n")).unwrap();
    unreadable(&out, "2 lines with a picture, but manifest.json lists 3 images");
    fs::write(&path, lines.replace("images/0000.png", "../../etc/passwd")).unwrap();
    unreadable(&out, "line 1: \"../../etc/passwd\" is not among the files");
    fs::write(out.join("manifest.json"), "{\"protostill\":").unwrap();
    unreadable(&out, "manifest.json: not a manifest of protostill");
}

#[test]
fn a_folder_of_someone_else_is_never_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    fs::create_dir(&out).unwrap();
    set().write(&out, &json!({})).unwrap(); // an empty one is
    fs::write(out.join("thesis.tex"), "years of work").unwrap();
    let text = set().write(&out, &json!({})).unwrap_err().to_string();
    assert!(text.contains("out: ") && text.contains("thesis.tex"), "{text}");
    fs::remove_file(out.join("manifest.json")).unwrap();
    assert!(matches!(set().write(&out, &json!({})).unwrap_err().parts(), (Error::Setting { .. }, Some(_))));
    assert!(out.join("thesis.tex").exists());
}

/// Runs the test `child` of this file in a process of its own, below `shell`.
#[cfg(unix)]
fn in_child(shell: &str, out: &Path) -> std::process::Output {
    let script = format!("{shell} exec \"$0\" --exact hostile::child --nocapture --test-threads 1");
    let test = std::env::current_exe().unwrap();
    Command::new("sh").arg("-c").arg(script).arg(test).env("PROTOSTILL_TEST_OUT", out).output().unwrap()
}

/// Not a test by itself: writes a larger set where it is told to, and says how that went.
#[test]
fn child() {
    let Some(out) = std::env::var_os("PROTOSTILL_TEST_OUT") else { return };
    let mut large = set();
    let noise = RgbImage::from_fn(256, 256, |x, y| {
        let v = (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(2_246_822_519)).wrapping_mul(3_266_489_917);
        Rgb([(v >> 8) as u8, (v >> 16) as u8, (v >> 24) as u8])
    });
    large.pairs[2].image = ImageSource::Memory(noise);
    let error = large.write(Path::new(&out), &json!({})).unwrap_err();
    assert!(matches!(&error, Error::Io { .. }) && error.exit_code() == 2, "{error}");
    let text = error.to_string();
    assert!(text.contains("out/images/0002.png: "), "{text}");
    let system = text.to_lowercase();
    assert!(system.contains("too large") || system.contains("no space"), "{text}");
}

/// Not a test by itself: writes the set again and again until it is killed.
#[test]
fn tireless_writer() {
    let Some(out) = std::env::var_os("PROTOSTILL_TEST_AGAIN") else { return };
    for seed in 0.. {
        set().write(Path::new(&out), &json!({ "seed": seed })).unwrap();
    }
}

#[test]
fn a_killed_writer_leaves_a_whole_folder_or_none() {
    let (_dir, out) = written();
    let mut changed = 0;
    // On a busy machine the first of them may not come to write.
    for wait in [20, 35, 50, 65, 80, 95, 400, 1600, 6400] {
        if wait > 100 && changed > 0 {
            break;
        }
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "hostile::tireless_writer"])
            .env("PROTOSTILL_TEST_AGAIN", &out)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(wait));
        child.kill().unwrap();
        child.wait().unwrap();
        if out.exists() {
            let read = DistilledSet::read(&out).unwrap();
            assert!(read.edited.is_empty());
            changed += usize::from(read.manifest["seed"] != 7);
        }
        set().write(&out, &json!({ "seed": 7 })).unwrap();
    }
    assert!(changed > 0, "no child came to write");
}

/// A file-size limit fails `write` as a full disk does, and needs no rights.
#[cfg(unix)]
#[test]
fn a_full_disk_leaves_the_old_folder_and_no_litter() {
    let (_dir, out) = written();
    let before = content(&out);
    let run = in_child("trap '' XFSZ; ulimit -f 32;", &out);
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    assert_eq!(content(&out), before);
}

/// A really full disk, where this process may mount one.
#[cfg(target_os = "linux")]
#[test]
fn a_full_tmpfs_leaves_the_old_folder_and_no_litter() {
    let dir = tempfile::tempdir().unwrap();
    let mount = |script: &str| Command::new("unshare").args(["-m", "sh", "-c", script]).output();
    let place = dir.path().display();
    let possible = mount(&format!("mount -t tmpfs -o size=100k none '{place}'"));
    if !possible.is_ok_and(|o| o.status.success()) {
        return; // the test above covers the same path
    }
    let test = std::env::current_exe().unwrap();
    let script = format!(
        "mount -t tmpfs -o size=100k none '{place}' && PROTOSTILL_TEST_OUT='{place}/out' '{}' --exact hostile::child && test \
         -z \"$(ls -A '{place}')\"",
        test.display()
    );
    let run = mount(&script).unwrap();
    assert!(run.status.success(), "{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
}

#[cfg(target_os = "linux")]
#[test]
fn a_read_only_place_is_named() {
    // /proc refuses even the superuser, whom file modes do not stop.
    let error = set().write(Path::new("/proc/out"), &json!({})).unwrap_err();
    assert!(matches!(error, Error::Io { .. }) && error.to_string().starts_with("/proc/out: "), "{error}");
}

#[cfg(unix)]
#[test]
fn a_read_only_folder_keeps_its_old_set() {
    use std::os::unix::fs::PermissionsExt;
    let (dir, out) = written();
    let before = content(&out);
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let probe = fs::write(dir.path().join("probe"), "").is_ok();
    let result = if probe { Ok(()) } else { set().write(&out, &json!({ "seed": 8 })) };
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    if probe {
        return; // the superuser: the test above covers it
    }
    assert_eq!(result.unwrap_err().exit_code(), 2);
    assert_eq!(content(&out), before);
}
