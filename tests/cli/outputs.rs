//! What commands leave for others: sets with their cards, curves, completions, pages.

use crate::program::{bare, complaint, contents, protostill};
use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Command, Stdio},
};

fn distill(home: &Path, args: &[&str]) {
    let how = ["distill", "--method", "random", "--out", "out"];
    protostill(home).args(how).args(args).assert().success();
}

fn evaluate(home: &Path, args: &[&str]) -> String {
    let run = protostill(home).args(["evaluate", "out", "--runs", "1", "--encoders", "vit"]).args(args).assert();
    String::from_utf8(run.success().get_output().stdout.clone()).unwrap()
}

#[test]
fn the_version_names_commit_target_and_features_for_people_and_machines() {
    let home = tempfile::tempdir().unwrap();
    let said = |args: &[&str]| {
        let out = bare(home.path()).args(args).output().unwrap();
        assert!(out.status.success());
        String::from_utf8(out.stdout).unwrap()
    };
    let about: serde_json::Value = serde_json::from_str(&said(&["--version", "--json"])).unwrap();
    let [version, commit, target] = ["version", "commit", "target"].map(|key| about[key].as_str().unwrap().to_owned());
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
    assert!(commit == "unknown" || commit.len() >= 7, "{commit}");
    assert!(target.contains('-'), "{target}");
    let line = said(&["-V"]);
    assert!(line.starts_with(&format!("protostill {version} ({}", &commit[..7])), "{line}");
    let info: serde_json::Value = serde_json::from_str(&said(&["info", "--json"])).unwrap();
    assert_eq!(info["build"], about);
    distill(home.path(), &[]);
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(home.path().join("out/manifest.json")).unwrap()).unwrap();
    for key in ["version", "commit", "target", "features"] {
        assert_eq!(manifest["protostill"][key], about[key]);
    }
    assert_eq!(manifest["checkpoints"]["clip"]["name"], "demo/clip");
    assert!(manifest["checkpoints"].get("decoder").is_none(), "real pairs need none");
}

#[test]
fn shells_complete_every_command_and_each_has_a_page() {
    let home = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let out = bare(home.path()).args(["completions", shell]).output().unwrap();
        let script = String::from_utf8(out.stdout).unwrap();
        assert!(script.contains("evaluate") && script.contains("tensorboard"), "{shell}");
    }
    bare(home.path()).args(["man", "pages"]).assert().success();
    let pages = contents_of(&home.path().join("pages"));
    assert!(pages.contains("protostill.1") && pages.contains("protostill-distill.1"), "{pages:?}");
    let page = fs::read_to_string(home.path().join("pages/protostill-distill.1")).unwrap();
    assert!(page.contains("noise\\-level") && page.contains("A\\-optimal"), "{page}");
}

fn contents_of(dir: &Path) -> BTreeSet<String> {
    fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn each_evaluation_has_curves_of_its_own_and_a_file_of_them_has_one_shape() {
    let home = tempfile::tempdir().unwrap();
    distill(home.path(), &[]);
    let curves = ["--metrics", "m.jsonl", "--tensorboard", "tb"];
    evaluate(home.path(), &curves);
    let scores: serde_json::Value =
        serde_json::from_slice(&fs::read(home.path().join("out/recall.json")).unwrap()).unwrap();
    assert_eq!(scores["checkpoints"]["vit"]["name"], "demo/encoders");
    assert_eq!(scores["checkpoints"]["vit"]["weights"]["vit/model.safetensors"].as_str().unwrap().len(), 64);
    let first = contents_of(&home.path().join("tb"));
    evaluate(home.path(), &curves);
    assert_eq!(contents_of(&home.path().join("tb")), first, "the same evaluation");
    let before = fs::read(home.path().join("m.jsonl")).unwrap();
    evaluate(home.path(), &[&curves[..], &["--seed", "8"]].concat());
    let both = contents_of(&home.path().join("tb"));
    assert!(both.len() == 2 && both.is_superset(&first) && both.iter().all(|n| n.starts_with("out-")), "{both:?}");
    assert_ne!(fs::read(home.path().join("m.jsonl")).unwrap(), before);
    for line in String::from_utf8(before).unwrap().lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(row.as_object().unwrap().keys().collect::<Vec<_>>(), ["series", "step", "value"], "{line}");
        assert!(row["series"].is_string() && row["step"].is_u64() && row["value"].is_number(), "{line}");
    }
}

#[test]
fn a_card_tells_of_the_scores_unless_a_person_changed_it() {
    let home = tempfile::tempdir().unwrap();
    distill(home.path(), &["--format", "open_clip,webdataset,parquet,parquet"]);
    let card = || fs::read_to_string(home.path().join("out/README.md")).unwrap();
    assert!(!card().contains("## Recall"));
    for words in ["open_clip_train", "wds.WebDataset", "load_dataset(\"parquet\""] {
        assert!(card().contains(words), "{words}");
    }
    evaluate(home.path(), &[]);
    assert!(card().contains("\n| vit | "));
    // The same set again keeps its scores, and what its card says of them.
    distill(home.path(), &["--format", "open_clip,webdataset,parquet"]);
    assert!(card().contains("\n| vit | "));
    fs::write(home.path().join("out/README.md"), "# mine").unwrap();
    assert!(evaluate(home.path(), &[]).contains("README.md was changed by hand"));
    assert_eq!(card(), "# mine");
}

#[test]
fn the_uids_of_chosen_pictures_are_kept_and_asked_for_before_anything_is_computed() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    fs::create_dir(&data).unwrap();
    let mut lines = String::new();
    for i in 0..3u8 {
        image::RgbImage::from_pixel(8, 8, image::Rgb([70 * i, 9, 200])).save(data.join(format!("{i}.png"))).unwrap();
        lines += &format!("{{\"file_name\": \"{i}.png\", \"text\": \"picture {i}\", \"uid\": \"{:032x}\"}}\n", 9 - i);
    }
    fs::write(data.join("metadata.jsonl"), lines).unwrap();
    let run = |from: &str, way: &str| {
        let mut command = protostill(home.path());
        let rule = ["--prune", "clip-score", "--format", "datacomp", "--pairs", "3", "--out", "chosen"];
        command.args(["--data", from, "distill", "--method", way]).args(rule);
        command
    };
    assert!(complaint(run("world", "random"), 2).contains("takes the source's `uid`s, and it has none"));
    assert!(complaint(run("data", "pds"), 2).contains("drawn ones have no name: add `--pictures real`"));
    assert!(!home.path().join("chosen").exists());
    run("data", "random").assert().success();
    let subset = fs::read(home.path().join("chosen/datacomp/uids.npy")).unwrap();
    let numbers: Vec<u8> = [0, 7, 0, 8, 0, 9].iter().flat_map(|n: &u64| n.to_le_bytes()).collect();
    assert!(subset.starts_with(b"\x93NUMPY") && subset.ends_with(&numbers), "{subset:?}");
    let told = fs::read_to_string(home.path().join("chosen/metadata.jsonl")).unwrap();
    assert!(told.contains("\"uid\":\"00000000000000000000000000000008\",\"text\":\"picture 1\""), "{told}");
}

#[test]
fn what_was_changed_by_hand_is_replaced_only_by_force() {
    let home = tempfile::tempdir().unwrap();
    distill(home.path(), &[]);
    let written = contents(&home.path().join("out"));
    for file in ["metadata.jsonl", "images/0001.png", "README.md"] {
        let path = home.path().join("out").join(file);
        let edited = [&written[file][..], b"\n"].concat();
        fs::write(&path, &edited).unwrap();
        let mut command = protostill(home.path());
        command.args(["distill", "--method", "random", "--out", "out"]);
        let said = complaint(command, 2);
        assert!(said.contains(file) && said.contains("--force"), "{said}");
        assert!(fs::read(&path).unwrap() == edited, "{file} is still the user's");
        distill(home.path(), &["--force"]);
        assert!(contents(&home.path().join("out")) == written, "{file}");
    }
}

#[cfg(unix)]
#[test]
fn where_escape_codes_do_nothing_a_finished_bar_leaves_no_remnant() {
    let home = tempfile::tempdir().unwrap();
    let size = portable_pty::PtySize { rows: 24, cols: 80, pixel_width: 0, pixel_height: 0 };
    let pair = portable_pty::native_pty_system().openpty(size).unwrap();
    let mut command = portable_pty::CommandBuilder::new(env!("CARGO_BIN_EXE_protostill"));
    command.args(["world", "--out", "w", "--pairs", "200"]);
    command.cwd(home.path());
    command.env("TERM", "xterm-256color");
    let mut child = pair.slave.spawn_command(command).unwrap();
    drop(pair.slave);
    let mut shown = Vec::new();
    // Linux ends the reading with an error once the program is gone.
    let _ = std::io::Read::read_to_end(&mut pair.master.try_clone_reader().unwrap(), &mut shown);
    assert!(child.wait().unwrap().success());
    let text = String::from_utf8(shown).unwrap();
    assert!(text.contains('█'), "no bar was shown: {text:?}");
    let line = text.split('\n').find(|line| line.contains(" in ") && line.contains("draw")).unwrap();
    let last = line.trim_end_matches('\r').rsplit('\r').find(|part| !part.is_empty()).unwrap();
    let width = last.replace("\u{1b}[2K", "").chars().count();
    assert_eq!(width, 79, "{last:?}");
}

#[test]
fn a_closed_reader_ends_completions_quietly() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_protostill"))
        .args(["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success() && done.stderr.is_empty());
}

#[test]
fn a_report_is_one_page_that_asks_for_nothing_and_shows_every_pair_beside_real_ones() {
    let home = tempfile::tempdir().unwrap();
    distill(home.path(), &[]);
    evaluate(home.path(), &[]);
    protostill(home.path()).args(["distill", "--method", "kcenter", "--pairs", "6", "--out", "six"]).assert().success();
    protostill(home.path()).args(["report", "out", "six", "--out", "r.html"]).assert().success();
    let page = fs::read_to_string(home.path().join("r.html")).unwrap();
    assert_eq!(page.matches("<div class=\"pair\">").count(), 4 + 6);
    // A real pair is nearest to itself.
    assert!(page.matches("<li><img class=\"tiny\" src=\"data:image/png;base64,").count() >= 10);
    assert!(page.contains(">1.000 ") && page.contains("R-mean against the number of pairs, vit"));
    assert!(page.contains("Not evaluated yet") && page.contains("<td>vit</td>"));
    for outside in ["http:", "https:", "<script", "src=\"/", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    let pictures = page.matches("<img").count();
    assert!(page.matches("alt=\"").count() == pictures && !page.contains("alt=\"\""));
    let tables: Vec<&str> = page.split("<table ").skip(1).filter_map(|t| t.split('>').next()).collect();
    assert!(!tables.is_empty() && tables.iter().all(|t| t.contains("aria-label=\"") && !t.contains("label=\"\"")));
    assert!(page.len() < 2_000_000, "{}", page.len());
    // Without the store the page says what it lacks.
    let mut command = protostill(home.path());
    let run = command.args(["report", "out", "--out", "s.html", "--store", "elsewhere"]).assert().success();
    let said = String::from_utf8_lossy(&run.get_output().stdout).into_owned();
    assert!(said.contains("without nearest real pairs: --embed: the store has no embeddings"), "{said}");
    let mut nothing = protostill(home.path());
    nothing.args(["report", "nowhere", "--out", "t.html"]);
    assert!(complaint(nothing, 2).contains("nowhere"));
    assert!(!home.path().join("t.html").exists());
}
