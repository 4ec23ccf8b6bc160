//! `--dry-run`: what a run would take, and nothing done.
#![allow(clippy::unwrap_used)]

use crate::program::{self, contents, protostill};
use serde_json::Value;
use std::path::Path;

fn plan(home: &Path, args: &[&str]) -> Value {
    let run = protostill(home).args(args).args(["--dry-run", "--json"]).assert().success();
    serde_json::from_slice(&run.get_output().stdout).unwrap()
}

/// Name, items and items done of every stage.
fn stages(plan: &Value) -> Vec<(String, u64, u64)> {
    let number = |stage: &Value, key: &str| stage[key].as_u64().unwrap();
    let one = |s: &Value| (s["stage"].as_str().unwrap().to_owned(), number(s, "items"), number(s, "done"));
    plan["stages"].as_array().unwrap().iter().map(one).collect()
}

fn names(plan: &Value) -> Vec<String> {
    stages(plan).into_iter().map(|s| s.0).collect()
}

#[test]
fn a_dry_run_names_every_stage_with_its_items_and_writes_nothing() {
    let home = tempfile::tempdir().unwrap();
    protostill(home.path()); // writes its settings
    let before = contents(home.path());
    let planned = plan(home.path(), &["distill"]);
    assert_eq!(contents(home.path()), before, "something was written");
    let expected = [
        ("embed images", 60),
        ("embed captions", 0),
        ("trust", 300),
        ("cluster images", 60),
        ("cluster captions", 300),
        ("match", 4),
        ("rank captions", 300),
        ("synthesise", 4),
        ("write the set", 4),
    ];
    let found = stages(&planned);
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for ((name, items, done), (wanted, count)) in found.iter().zip(expected) {
        assert_eq!((name.as_str(), *done), (wanted, 0));
        match count {
            0 => assert!((30..=300).contains(items), "{items} different captions"),
            _ => assert_eq!(*items, count, "{name}"),
        }
    }
    for stage in planned["stages"].as_array().unwrap() {
        assert!(stage["seconds"].as_f64().unwrap() > 0.0, "{stage}");
    }
    let sum: f64 = planned["stages"].as_array().unwrap().iter().map(|s| s["seconds"].as_f64().unwrap()).sum();
    assert!((planned["seconds"].as_f64().unwrap() - sum).abs() < 1e-9);
    assert!(planned["memory"].as_u64().unwrap() > 20 << 20 && planned["disk"].as_u64().unwrap() > 60 * 4 * 100);
    assert_eq!(planned["warnings"], serde_json::json!([]));
}

#[test]
fn what_the_store_has_is_done_and_costs_nothing() {
    let home = tempfile::tempdir().unwrap();
    protostill(home.path()).args(["distill", "--out", "out"]).assert().success();
    protostill(home.path()).args(["evaluate", "out"]).assert().success();
    let before = contents(home.path());
    let kept = ["embed", "cluster", "synthesise"];
    let planned = plan(home.path(), &["distill"]);
    let all = stages(&planned);
    let kept: Vec<_> = all.iter().filter(|s| kept.iter().any(|k| s.0.starts_with(k))).collect();
    assert!(kept.len() == 5 && kept.iter().all(|s| s.1 == s.2 && s.1 > 0), "{kept:?}");
    // Another seed draws other pictures of other clusters, from the same embeddings.
    let other = stages(&plan(home.path(), &["distill", "--seed", "99"]));
    let done = |name: &str| other.iter().find(|s| s.0 == name).unwrap().2;
    assert_eq!((done("embed images"), done("cluster images"), done("synthesise")), (60, 0, 0));
    let scored = stages(&plan(home.path(), &["evaluate", "out"]));
    let evaluated = scored.iter().find(|s| s.0 == "evaluate").unwrap();
    assert_eq!((evaluated.1, evaluated.2), (2 * 2 * 20, 2 * 2 * 20));
    assert!(scored.iter().filter(|s| s.0.contains("test")).all(|s| s.1 == s.2 && s.1 >= 1000), "{scored:?}");
    let scored = stages(&plan(home.path(), &["evaluate", "out", "--runs", "3"]));
    assert_eq!(scored.iter().find(|s| s.0 == "evaluate").unwrap().2, 0);
    assert_eq!(contents(home.path()), before, "something was written");
}

#[test]
fn a_choice_is_planned_by_the_stages_it_runs_and_what_the_store_has_of_them_is_done() {
    let home = tempfile::tempdir().unwrap();
    let ask = ["distill", "--method", "need", "--set", "prune.method=trust"];
    let planned = plan(home.path(), &ask);
    let wanted = ["embed images", "embed captions", "trust", "choose", "rank captions", "synthesise", "solve targets"];
    assert_eq!(names(&planned), [&wanted[..], &["write the set"]].concat());
    protostill(home.path()).args(ask).args(["--out", "out"]).assert().success();
    let done =
        |planned: &Value| -> Vec<String> { stages(planned).into_iter().filter(|s| s.1 == s.2).map(|s| s.0).collect() };
    let kept = ["embed images", "embed captions", "trust", "choose", "synthesise"];
    assert_eq!(done(&plan(home.path(), &ask)), kept);
    // The paper's clusters of the pairs that trust keeps.
    let ask = ["distill", "--method", "pds", "--set", "prune.method=trust"];
    assert_eq!(done(&plan(home.path(), &ask)), kept[..3]);
    protostill(home.path()).args(ask).args(["--out", "other"]).assert().success();
    let clusters = ["cluster images", "cluster captions"];
    assert_eq!(done(&plan(home.path(), &ask)), [&kept[..3], &clusters, &kept[4..]].concat());
}

#[test]
fn every_long_command_has_one_and_too_little_memory_is_told() {
    let home = tempfile::tempdir().unwrap();
    let compared = names(&plan(home.path(), &["compare", "--methods", "pds,random,nearest-image"]));
    for name in ["embed images", "synthesise", "random", "evaluate of pds", "evaluate of random", "vit test images"] {
        assert_eq!(compared.iter().filter(|n| *n == name).count(), 1, "{name} in {compared:?}");
    }
    assert!(!compared.iter().any(|n| n == "write the set"));
    assert!(names(&plan(home.path(), &["stats"])).ends_with(&["stats".to_owned()]));
    let short = plan(home.path(), &["distill", "--memory", "0.001"]);
    let warning = short["warnings"][0].as_str().unwrap();
    assert!(warning.contains("of memory, but 0.0 GB are to be had"), "{warning}");
    let run = protostill(home.path()).args(["distill", "--dry-run", "--memory", "0.001"]).assert().success();
    let text = String::from_utf8_lossy(&run.get_output().stdout).into_owned();
    assert!(text.contains("warning: needs") && text.contains("nothing was written"), "{text}");
}

#[test]
fn a_clip_that_no_decoder_fits_is_told_with_what_works_without_one() {
    for (name, why) in [
        ("clip", "decodes embeddings of 128, where `models.clip` gives 24"),
        ("siglip", "decodes CLIP's embeddings, and `models.clip` is a SigLIP"),
    ] {
        let home = tempfile::tempdir().unwrap();
        let clip = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
        let settings = format!("[models]\nclip = {:?}\n[data]\nscenes = 40\n", clip.display().to_string());
        std::fs::write(home.path().join("other.toml"), settings).unwrap();
        let run = |more: &[&str], code: i32| {
            let run = program::bare(home.path()).args(["--config", "other.toml"]).args(more).assert().code(code);
            let output = run.get_output();
            [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        };
        for dry in [&["--dry-run"][..], &[]] {
            let [_, said] = run(&[&["distill", "--method", "pds"], dry].concat(), 2);
            assert!(said.contains(why) && said.contains("need+real") && said.contains("random"), "{said}");
        }
        let real = ["distill", "--method", "need+real", "--pairs", "4"];
        let [told, _] = run(&[&real[..], &["--dry-run"]].concat(), 0);
        assert!(told.contains("methods: pds+real, need+real") && told.contains("none that draws: "), "{told}");
        assert!(told.contains(why), "{told}");
        run(&real, 0);
        let [told, said] = run(&["check", "distilled"], 2);
        assert!(told.contains("methods: pds+real") && said.contains("would stop a run"), "{told} {said}");
        let [told, _] = run(&["--set", "method=need+real", "--json", "check", "distilled"], 0);
        let told: Value = serde_json::from_str(&told).unwrap();
        assert_eq!((&told["methods"][1], &told["clean"]), (&"need+real".into(), &true.into()), "{told}");
    }
}
