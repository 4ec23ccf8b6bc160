//! The walls between the layers: a module may name what is below it, never what is above.
#![allow(clippy::unwrap_used)]

use std::{fs, path::Path};

/// Part of the tree, and the modules and crates it must not name.
const WALLS: &[(&str, &[&str])] = &[
    (
        "src/data",
        &["crate::models", "crate::pipeline", "crate::config", "crate::cli", "crate::app", "crate::ui", "candle_"],
    ),
    ("src/models", &["crate::data", "crate::pipeline", "crate::config", "crate::cli", "crate::app", "crate::ui"]),
    (
        "src/pipeline",
        &[
            "crate::config",
            "crate::cli",
            "crate::app",
            "crate::ui",
            "crate::session",
            "ratatui",
            "crossterm",
            "indicatif",
        ],
    ),
    ("src/cli", &["crate::app", "crate::ui", "ratatui", "crossterm", "viuer"]),
    ("src/config.rs", &["crate::cli", "crate::app", "crate::ui"]),
    (
        "src/app",
        &[
            "crate::cli",
            "crate::ui",
            "crate::session",
            "ratatui",
            "crossterm",
            "viuer",
            "tokio",
            "std::fs",
            "std::thread",
            "Instant::now",
        ],
    ),
    ("src/ui", &["crate::cli", "crate::models"]),
];

fn rust_files(at: &Path, into: &mut Vec<std::path::PathBuf>) {
    if at.is_file() {
        into.push(at.to_owned());
    } else if at.is_dir() {
        for entry in fs::read_dir(at).unwrap() {
            rust_files(&entry.unwrap().path(), into);
        }
    }
}

/// Lines that bind: comments and test modules may name anything.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .take_while(|(_, line)| !line.trim_start().starts_with("#[cfg(test)]"))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

fn offences(text: &str, forbidden: &[&str]) -> Vec<String> {
    code(text)
        .filter(|(_, line)| forbidden.iter().any(|word| line.contains(word)))
        .map(|(n, line)| format!("line {}: {}", n + 1, line.trim()))
        .collect()
}

#[test]
fn no_layer_names_one_above_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for (part, forbidden) in WALLS {
        let mut files = Vec::new();
        rust_files(&root.join(part), &mut files);
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            found.extend(offences(&text, forbidden).into_iter().map(|o| format!("{}: {o}", file.display())));
        }
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn unsafe_code_stays_with_maps_of_files_and_the_one_instruction_no_crate_wraps() {
    let allowed = ["models/weights.rs", "models/bfloat16.rs"];
    let mut files = Vec::new();
    rust_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    for file in files.iter().filter(|f| !allowed.iter().any(|a| f.ends_with(a))) {
        let text = fs::read_to_string(file).unwrap();
        assert!(offences(&text, &["unsafe ", "allow(unsafe_code)"]).is_empty(), "{}", file.display());
    }
}

/// `machine` asks the system, the log's file was looked at before, `disk` syncs what it wrote.
#[test]
fn files_are_opened_to_be_read_by_the_door_alone() {
    let allowed = ["src/machine.rs", "ui/logfile.rs", "fsio/disk.rs", "fsio/crash.rs"];
    let mut files = Vec::new();
    rust_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let tests = |f: &Path| f.ends_with("tests.rs");
    for file in files.iter().filter(|f| !tests(f) && !allowed.iter().any(|a| f.ends_with(a))) {
        let text = fs::read_to_string(file).unwrap();
        let offences = offences(&text, &["File::open(", "fs::read(", "fs::read_to_string(", "File::options("]);
        let few = offences.len() <= usize::from(file.ends_with("store.rs"));
        assert!(few, "{}: {offences:?}", file.display());
    }
}

#[test]
fn the_check_sees_an_offence() {
    assert_eq!(offences("use crate::ui::view;\n// crate::ui\n", &["crate::ui"]).len(), 1);
}
