//! The binary, as its users meet it.
#![allow(clippy::unwrap_used)]

#[path = "cli/help.rs"]
mod help;
#[path = "cli/outputs.rs"]
mod outputs;
mod program;

use program::{assert_same, bare, complaint, contents, protostill};
use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
};

fn distill(home: &Path, args: &[&str]) {
    protostill(home).args(["distill", "--out", "out"]).args(args).assert().success();
}

#[test]
fn distill_writes_a_set_that_evaluate_reads() {
    let home = tempfile::tempdir().unwrap();
    distill(home.path(), &[]);
    let files = contents(&home.path().join("out"));
    let names: Vec<_> = files.keys().map(String::as_str).collect();
    let expected = [
        "README.md",
        "images/0000.png",
        "images/0001.png",
        "images/0002.png",
        "images/0003.png",
        "manifest.json",
        "metadata.jsonl",
        "prototypes.safetensors",
    ];
    assert_eq!(names, expected);
    for line in String::from_utf8(files["metadata.jsonl"].clone()).unwrap().lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        for key in ["file_name", "text", "prototype", "support", "similarity"] {
            assert!(!row[key].is_null(), "{key} missing in {line}");
        }
        assert!(row["text"].as_str().unwrap().split(' ').count() >= 2);
    }

    let run = protostill(home.path()).args(["evaluate", "out", "--json"]).assert().success();
    let printed: serde_json::Value = serde_json::from_slice(&run.get_output().stdout).unwrap();
    let written: serde_json::Value =
        serde_json::from_slice(&std::fs::read(home.path().join("out/recall.json")).unwrap()).unwrap();
    assert_eq!(printed, written);
    let encoders = printed["encoders"].as_array().unwrap();
    assert_eq!(encoders.len(), 2);
    for encoder in encoders {
        for metric in ["ir1", "ir5", "ir10", "tr1", "tr5", "tr10", "r_mean"] {
            let mean = encoder[metric]["mean"].as_f64().unwrap();
            assert!((0.0..=100.0).contains(&mean));
            assert!(encoder[metric]["sd"].as_f64().unwrap() >= 0.0);
        }
    }
}

#[test]
fn sixteen_synthetic_pairs_teach_several_times_what_chance_gives() {
    let home = tempfile::tempdir().unwrap();
    distill(home.path(), &["--pairs", "16", "--steps", "12", "--guidance", "2"]);
    let run = protostill(home.path()).args(["evaluate", "out", "--json"]).assert().success();
    let scores: serde_json::Value = serde_json::from_slice(&run.get_output().stdout).unwrap();
    // By chance 1, 5 and 10 of 1,000 images, and hardly more of 5,000 captions: an R-mean of about 0.5.
    for encoder in scores["encoders"].as_array().unwrap() {
        assert!(encoder["r_mean"]["mean"].as_f64().unwrap() > 2.0, "{encoder}");
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_with_one_thread_and_with_two() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    distill(a.path(), &["--threads", "1"]);
    distill(b.path(), &["--threads", "2"]);
    assert_same(&a.path().join("out"), &b.path().join("out"));
    let score = |home: &Path, threads: &str| {
        protostill(home).args(["evaluate", "out", "--threads", threads]).assert().success();
        std::fs::read(home.join("out/recall.json")).unwrap()
    };
    assert!(score(a.path(), "1") == score(b.path(), "2"));
}

#[test]
fn another_seed_gives_another_set() {
    let home = tempfile::tempdir().unwrap();
    distill(home.path(), &[]);
    let first = contents(&home.path().join("out"));
    distill(home.path(), &["--seed", "8"]);
    let second = contents(&home.path().join("out"));
    assert_ne!(first["images/0000.png"], second["images/0000.png"]);
}

/// Starts `distill`, kills it with SIGKILL as soon as its progress contains `moment`, then runs it again.
fn killed_at(home: &Path, moment: &str) {
    let _ = protostill(home); // writes tiny.toml
    let mut child = Command::new(env!("CARGO_BIN_EXE_protostill"))
        .args(["--config", "tiny.toml", "--progress", "json", "distill", "--out", "out"])
        .env("XDG_CACHE_HOME", home.join("cache"))
        .current_dir(home)
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let seen = lines.map_while(Result::ok).any(|line| line.contains(moment));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(seen, "never reached {moment}");
    assert!(!home.join("out/manifest.json").exists(), "killed too late to mean anything");
    distill(home, &[]);
}

#[test]
fn a_run_killed_at_any_moment_resumes_to_the_same_bytes() {
    let calm = tempfile::tempdir().unwrap();
    distill(calm.path(), &[]);
    for moment in ["\"stage\":\"embed", "\"stage\":\"cluster", "\"stage\":\"synthesise\",\"done\":4"] {
        let home = tempfile::tempdir().unwrap();
        killed_at(home.path(), moment);
        assert_same(&calm.path().join("out"), &home.path().join("out"));
    }
}

#[test]
fn a_finished_stage_is_not_computed_again() {
    let home = tempfile::tempdir().unwrap();
    distill(home.path(), &[]);
    let again = protostill(home.path()).args(["--progress", "json", "distill", "--out", "out"]).output().unwrap();
    let text = String::from_utf8_lossy(&again.stderr);
    assert!(again.status.success());
    assert!(!text.contains("embed") && !text.contains("synthesise"), "{text}");
}

#[test]
fn compare_prints_a_row_per_method_and_encoder() {
    let home = tempfile::tempdir().unwrap();
    let methods = "pds,random,kcenter,herding,clip-score,nearest-image,nearest-text";
    let run =
        protostill(home.path()).args(["compare", "--pairs", "3", "--methods", methods, "--json"]).assert().success();
    let table: serde_json::Value = serde_json::from_slice(&run.get_output().stdout).unwrap();
    let rows = table["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 14);
    for row in rows {
        assert_eq!(row["pairs"], 3);
        assert!(row["method"].is_string() && row["encoder"].is_string());
        assert!(row["r_mean"]["mean"].is_f64() && row["r_mean"]["sd"].is_f64());
    }
}

#[test]
fn stats_are_measured_and_machine_readable() {
    let home = tempfile::tempdir().unwrap();
    let run = protostill(home.path()).args(["stats", "--json"]).assert().success();
    let stats: serde_json::Value = serde_json::from_slice(&run.get_output().stdout).unwrap();
    assert!(stats.as_object().unwrap().len() >= 6, "{stats}");
    let text = protostill(home.path()).arg("stats").output().unwrap();
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains("modality gap") && text.contains("effective rank"), "{text}");
}

#[test]
fn a_world_on_disk_distils_like_any_folder() {
    let home = tempfile::tempdir().unwrap();
    bare(home.path()).args(["world", "--out", "w", "--pairs", "60"]).assert().success();
    distill(home.path(), &["--data", "w"]);
    let from_disk = contents(&home.path().join("out"));
    distill(home.path(), &[]);
    let from_memory = contents(&home.path().join("out"));
    assert!(from_disk["prototypes.safetensors"] == from_memory["prototypes.safetensors"]);
    assert!(from_disk["metadata.jsonl"] == from_memory["metadata.jsonl"]);
}

#[test]
fn noise_keeps_the_truth() {
    let home = tempfile::tempdir().unwrap();
    bare(home.path()).args(["world", "--out", "w", "--pairs", "40", "--noise", "0.4"]).assert().success();
    let truth = std::fs::read_to_string(home.path().join("w/truth.jsonl")).unwrap();
    assert_eq!(truth.lines().count(), 200);
}

#[test]
fn an_unknown_key_names_file_line_and_key() {
    let home = tempfile::tempdir().unwrap();
    let text = format!("{}\n[prune]\nratioo = 0.3\n", program::TINY);
    std::fs::write(home.path().join("bad.toml"), &text).unwrap();
    let mut command = bare(home.path());
    command.args(["--config", "bad.toml", "stats"]);
    let said = complaint(command, 2);
    let line = text.lines().count();
    assert!(said.contains("bad.toml") && said.contains("ratioo") && said.contains(&format!("line {line}")), "{said}");
}

#[test]
fn more_prototypes_than_rows_is_refused_with_both_numbers() {
    let home = tempfile::tempdir().unwrap();
    let mut command = protostill(home.path());
    command.args(["distill", "--pairs", "5000", "--out", "out"]);
    let said = complaint(command, 2);
    assert!(said.contains("5000"), "{said}");
    assert!(!home.path().join("out").exists());
}

#[test]
fn an_unknown_method_lists_the_known_ones() {
    let home = tempfile::tempdir().unwrap();
    let mut command = protostill(home.path());
    command.args(["distill", "--method", "magic"]);
    let said = complaint(command, 2);
    assert!(said.contains("magic") && said.contains("pds") && said.contains("kcenter"), "{said}");
}

#[test]
fn a_foreign_folder_is_not_overwritten() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join("out")).unwrap();
    std::fs::write(home.path().join("out/thesis.tex"), "years of work").unwrap();
    let mut command = protostill(home.path());
    command.args(["distill", "--out", "out"]);
    let said = complaint(command, 2);
    assert!(said.contains("out"), "{said}");
    assert_eq!(std::fs::read(home.path().join("out/thesis.tex")).unwrap(), b"years of work");
}

#[test]
fn a_missing_data_folder_is_named() {
    let home = tempfile::tempdir().unwrap();
    let mut command = protostill(home.path());
    command.args(["stats", "--data", "nowhere"]);
    assert!(complaint(command, 2).contains("nowhere"));
}

#[test]
fn output_that_is_piped_holds_no_escape_codes() {
    let home = tempfile::tempdir().unwrap();
    let run = protostill(home.path()).args(["stats"]).output().unwrap();
    assert!(!run.stdout.contains(&0x1b) && !run.stderr.contains(&0x1b));
}

#[test]
fn info_names_the_store_and_the_device() {
    let home = tempfile::tempdir().unwrap();
    let run = bare(home.path()).arg("info").output().unwrap();
    let text = String::from_utf8_lossy(&run.stdout);
    assert!(text.contains("cache/protostill") && text.contains("cpu"), "{text}");
}

#[cfg(unix)]
#[test]
fn info_lists_gpus_as_their_driver_tells_them() {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().unwrap();
    let tool = home.path().join("nvidia-smi");
    std::fs::write(&tool, "#!/bin/sh\necho '0, NVIDIA H200, 143771 MiB, 143000 MiB'\n").unwrap();
    std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).unwrap();
    let run = bare(home.path()).arg("info").env("PATH", home.path()).output().unwrap();
    let text = String::from_utf8_lossy(&run.stdout);
    assert!(text.contains("cuda:0 NVIDIA H200, 143771 MiB, 143000 MiB free"), "{text}");
}

#[test]
fn a_device_or_precision_that_is_not_there_is_refused_before_any_work() {
    let home = tempfile::tempdir().unwrap();
    for (what, value, why) in [
        ("device", "gpu", "is not cpu, cuda or cuda:N"),
        ("device", "cuda:63", "cuda:63"),
        ("precision", "float16", "float16 is for GPUs"),
        ("precision", "double", "is not float32, float16 or bfloat16"),
    ] {
        let run = protostill(home.path()).args(["distill", &format!("--{what}"), value]).output().unwrap();
        assert_eq!(run.status.code(), Some(2));
        let told = String::from_utf8_lossy(&run.stderr);
        assert!(told.contains(what) && told.contains(why) && told.lines().count() == 1, "{told}");
    }
}

#[test]
fn what_a_command_does_not_compute_with_need_not_be_there() {
    let home = tempfile::tempdir().unwrap();
    let named = program::TINY
        .replace("decoder = \"demo\"", "decoder = \"org/decoder\"")
        .replace("[\"vit\", \"nf_resnet\"]", "[\"org/encoder\"]");
    std::fs::write(home.path().join("tiny.toml"), named).unwrap();
    let offline = |args: &[&str]| {
        let mut command = protostill(home.path());
        command.env("HF_HUB_OFFLINE", "1").env("HF_HUB_CACHE", home.path().join("hub")).args(args);
        command
    };
    offline(&["stats"]).assert().success();
    offline(&["distill", "--method", "random", "--out", "set"]).assert().success();
    for (args, missing) in [(&["distill"][..], "org/decoder"), (&["evaluate", "set"], "org/encoder")] {
        let told = complaint(offline(args), 2);
        assert!(told.contains(missing) && told.contains("protostill fetch"), "{told}");
    }
}

#[test]
fn a_bench_shows_every_cell_and_trust_beside_the_truth() {
    let home = tempfile::tempdir().unwrap();
    let run = || {
        let args = [
            "--methods",
            "need+real,random",
            "--pairs",
            "6,9",
            "--noise",
            "0.4",
            "--seeds",
            "1,2",
            "--runs",
            "1",
            "--encoders",
            "vit",
        ];
        let out = protostill(home.path()).arg("bench").args(args).arg("--json").output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        out.stdout
    };
    let found: serde_json::Value = serde_json::from_slice(&run()).unwrap();
    let rows = found["rows"].as_array().unwrap();
    let cells: Vec<_> = rows.iter().map(|r| (r["pairs"].as_u64().unwrap(), r["method"].as_str().unwrap())).collect();
    assert_eq!(cells, [(6, "need+real"), (6, "random"), (9, "need+real"), (9, "random")]);
    assert!(rows.iter().all(|r| r["r_mean"]["seeds"].as_array().unwrap().len() == 2));
    let trust = &found["trust"][0];
    let gap = trust["share"].as_f64().unwrap() - trust["true_share"].as_f64().unwrap();
    assert!(gap.abs() < 0.2 && trust["upper"].as_f64() >= trust["true_share"].as_f64(), "{trust}");
    assert_eq!(
        serde_json::from_slice::<serde_json::Value>(&run()).unwrap(),
        found,
        "from the store, to the same numbers"
    );
}

#[test]
fn of_a_failure_json_has_the_cause_and_the_way_out_apart() {
    let home = tempfile::tempdir().unwrap();
    let failed = |args: &[&str]| {
        let output = protostill(home.path()).args(args).arg("--json").output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(!output.stderr.is_empty(), "the sentence is told besides");
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    std::fs::create_dir(home.path().join("mine")).unwrap();
    std::fs::write(home.path().join("mine/notes"), "").unwrap();
    let said = failed(&["distill", "--out", "mine"]);
    assert!(said["error"].as_str().unwrap().starts_with("out: mine: holds files"), "{said}");
    assert_eq!(said["hint"], "name another folder");
    let said = failed(&["evaluate", "nowhere"]);
    assert!(said["error"].as_str().unwrap().contains("nowhere") && said["hint"].is_null(), "{said}");
}
