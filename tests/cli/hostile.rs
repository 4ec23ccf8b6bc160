//! Bad input meets the binary: one clear error that names file and place, exit code 2, nothing lost, nothing written.
#![allow(clippy::unwrap_used)]

use crate::program::{self, complaint, contents, protostill};
use std::{fs, path::Path};

/// An ImageFolder of `n` small pictures, captioned by `caption`.
fn image_folder(home: &Path, n: usize, caption: impl Fn(usize) -> String) {
    let dir = home.join("data");
    fs::create_dir_all(&dir).unwrap();
    let mut lines = String::new();
    for i in 0..n {
        let colour = image::Rgb([(i * 37 % 256) as u8, (i * 91 % 256) as u8, (i * 13 % 256) as u8]);
        image::RgbImage::from_pixel(64, 64, colour).save(dir.join(format!("{i}.png"))).unwrap();
        lines += &format!("{}\n", serde_json::json!({"file_name": format!("{i}.png"), "text": caption(i)}));
    }
    fs::write(dir.join("metadata.jsonl"), lines).unwrap();
}

fn plain(i: usize) -> String {
    format!("a picture of colour number {i}")
}

/// `distill --data data` fails with code 2; what it said. Nothing is left behind.
fn refused(home: &Path) -> String {
    let mut command = protostill(home);
    command.args(["distill", "--pairs", "3", "--data", "data", "--out", "out"]);
    let said = complaint(command, 2);
    assert!(!home.join("out").exists(), "{said}");
    assert_eq!(said.lines().filter(|l| l.starts_with("protostill:")).count(), 1, "{said}");
    said
}

#[test]
fn a_missing_image_is_named_before_anything_is_computed() {
    let home = tempfile::tempdir().unwrap();
    image_folder(home.path(), 12, plain);
    fs::remove_file(home.path().join("data/7.png")).unwrap();
    let said = refused(home.path());
    assert!(said.contains("7.png") && said.contains("line 8"), "{said}");
}

#[test]
fn a_truncated_jpeg_is_named() {
    let home = tempfile::tempdir().unwrap();
    image_folder(home.path(), 12, plain);
    let jpeg = home.path().join("data/3.jpg");
    image::RgbImage::from_fn(64, 64, |x, y| image::Rgb([x as u8 * 4, y as u8 * 4, 99])).save(&jpeg).unwrap();
    let bytes = fs::read(&jpeg).unwrap();
    fs::write(&jpeg, &bytes[..bytes.len() / 2]).unwrap();
    let list = home.path().join("data/metadata.jsonl");
    fs::write(&list, fs::read_to_string(&list).unwrap().replace("\"3.png\"", "\"3.jpg\"")).unwrap();
    assert!(refused(home.path()).contains("3.jpg"));
}

#[test]
fn a_list_that_is_cut_off_names_file_and_line() {
    let home = tempfile::tempdir().unwrap();
    image_folder(home.path(), 12, plain);
    let list = home.path().join("data/metadata.jsonl");
    let text = fs::read_to_string(&list).unwrap();
    fs::write(&list, &text[..text.len() - 9]).unwrap();
    let said = refused(home.path());
    assert!(said.contains("metadata.jsonl") && said.contains("line 12"), "{said}");
}

#[test]
fn a_caption_of_a_megabyte_is_cut_to_thirty_words() {
    let home = tempfile::tempdir().unwrap();
    image_folder(home.path(), 12, |i| if i == 4 { "red ".repeat(262_144) } else { plain(i) });
    let args = ["distill", "--pairs", "3", "--method", "random", "--data", "data", "--out", "out"];
    protostill(home.path()).args(args).assert().success();
    for line in String::from_utf8(contents(&home.path().join("out"))["metadata.jsonl"].clone()).unwrap().lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(row["text"].as_str().unwrap().split(' ').count() <= 30);
    }
}

#[test]
fn captions_with_escape_codes_reach_no_terminal() {
    let home = tempfile::tempdir().unwrap();
    image_folder(home.path(), 12, |i| format!("\u{1b}]0;owned\u{7}\u{1b}[2J{} \u{202e}evil", plain(i)));
    let run = protostill(home.path())
        .args(["distill", "--pairs", "3", "--method", "random", "--data", "data", "--out", "out"])
        .output()
        .unwrap();
    assert!(run.status.success());
    let stats = protostill(home.path()).args(["stats", "--data", "data"]).output().unwrap();
    for bytes in [run.stdout, run.stderr, stats.stdout, stats.stderr] {
        let text = String::from_utf8(bytes).unwrap();
        assert!(!text.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{text:?}");
    }
}

#[test]
fn an_image_path_that_climbs_out_is_refused() {
    let home = tempfile::tempdir().unwrap();
    image_folder(home.path(), 12, plain);
    fs::copy(home.path().join("data/1.png"), home.path().join("secret.png")).unwrap();
    let list = home.path().join("data/metadata.jsonl");
    fs::write(&list, fs::read_to_string(&list).unwrap().replace("\"1.png\"", "\"../secret.png\"")).unwrap();
    let said = refused(home.path());
    assert!(said.contains("../secret.png") && said.contains("line 2"), "{said}");
}

#[test]
fn a_checkpoint_whose_header_lies_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let clip = home.path().join("clip");
    fs::create_dir_all(&clip).unwrap();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/clip");
    for entry in fs::read_dir(&shipped).unwrap() {
        let from = entry.unwrap().path();
        fs::copy(&from, clip.join(from.file_name().unwrap())).unwrap();
    }
    let mut bytes = fs::read(clip.join("model.safetensors")).unwrap();
    bytes[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    fs::write(clip.join("model.safetensors"), &bytes).unwrap();
    let config = program::TINY.replace("clip = \"demo\"", "clip = \"clip\"");
    fs::write(home.path().join("lying.toml"), config).unwrap();
    let mut command = program::bare(home.path());
    command.args(["--config", "lying.toml", "stats"]);
    let said = complaint(command, 2);
    assert!(said.contains("model.safetensors"), "{said}");
}

#[test]
fn a_nan_in_the_embeddings_of_a_set_is_found_before_it_teaches() {
    let home = tempfile::tempdir().unwrap();
    image_folder(home.path(), 12, plain);
    let args = ["distill", "--pairs", "3", "--method", "random", "--data", "data", "--out", "out"];
    protostill(home.path()).args(args).assert().success();
    let path = home.path().join("out/prototypes.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&path, &bytes).unwrap();
    let mut command = protostill(home.path());
    command.args(["evaluate", "out"]);
    let said = complaint(command, 2);
    assert!(said.contains("prototypes.safetensors"), "{said}");
    assert!(!home.path().join("out/recall.json").exists());
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let home = tempfile::tempdir().unwrap();
    image_folder(home.path(), 12, plain);
    let mut command = protostill(home.path());
    command.args(["distill", "--pairs", "3", "--method", "random", "--data", "data", "--out", "/proc/out"]);
    let said = complaint(command, 2);
    assert!(said.contains("/proc"), "{said}");
}

#[test]
fn threads_beyond_any_machine_are_refused_before_one_is_started() {
    let home = tempfile::tempdir().unwrap();
    for threads in ["0", "1025", "99999"] {
        let mut command = protostill(home.path());
        command.args(["info", "--threads", threads]);
        assert!(complaint(command, 2).contains(&format!("--threads: {threads} is not between 1 and 1024")));
    }
}

#[test]
fn a_store_that_cannot_be_written_is_named() {
    let home = tempfile::tempdir().unwrap();
    let mut command = protostill(home.path());
    command.args(["stats", "--store", "/proc/store"]);
    assert!(complaint(command, 2).contains("/proc/store"));
}

/// What a program that writes to `stdout` ends with, and says on stderr.
fn into(home: &Path, args: &[&str], stdout: std::process::Stdio) -> (Option<i32>, String) {
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin("protostill"));
    command.env("XDG_CACHE_HOME", home.join("cache")).current_dir(home).args(args).args(["--progress", "none"]);
    let run = command.stdout(stdout).stderr(std::process::Stdio::piped()).output().unwrap();
    (run.status.code(), String::from_utf8(run.stderr).unwrap())
}

#[cfg(target_os = "linux")]
#[test]
fn a_reader_that_left_is_no_error_and_a_full_disk_behind_stdout_is_named() {
    let home = tempfile::tempdir().unwrap();
    image_folder(home.path(), 12, plain);
    protostill(home.path());
    let distill = ["distill", "--data", "data", "--pairs", "3", "--method", "random", "--out", "out"];
    let world = ["world", "--out", "world", "--pairs", "4"];
    let commands: [&[&str]; 6] = [
        &distill,
        &world,
        &["info"],
        &["check", "data"],
        &["stats", "--data", "data"],
        &["stats", "--data", "data", "--dry-run"],
    ];
    for (command, form) in commands.iter().flat_map(|c| [(c, None), (c, Some("--json"))]) {
        let args: Vec<&str> = command.iter().copied().chain(form).collect();
        let (reader, gone) = std::io::pipe().unwrap();
        drop(reader);
        assert_eq!(into(home.path(), &args, gone.into()), (Some(0), String::new()), "{args:?}");
        let full = fs::File::create("/dev/full").unwrap();
        let (code, said) = into(home.path(), &args, full.into());
        assert!(code == Some(2) && said.starts_with("protostill: stdout: No space left"), "{args:?}: {code:?} {said}");
    }
}
