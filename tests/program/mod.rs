//! The real binary, and folders to compare.
#![allow(dead_code, clippy::unwrap_used)]

use assert_cmd::Command;
use std::{collections::BTreeMap, fs, path::Path};

/// Settings small enough for a test: 60 scenes, 3 denoising steps, 2 short evaluation runs.
pub const TINY: &str = r#"
seed = 7
method = "pds"
[data]
source = "world"
scenes = 60
[models]
clip = "demo"
decoder = "demo"
encoders = "demo"
[cluster]
prototypes = 4
[synthesis]
steps = 3
guidance = 3.0
batch = 2
[evaluation]
encoders = ["vit", "nf_resnet"]
runs = 2
epochs = 20
"#;

/// `protostill` with the tiny settings and a store of its own, both under `home`.
pub fn protostill(home: &Path) -> Command {
    let config = home.join("tiny.toml");
    if !config.exists() {
        fs::create_dir_all(home).unwrap();
        fs::write(&config, TINY).unwrap();
    }
    let mut command = bare(home);
    command.arg("--config").arg(config);
    command
}

/// `protostill` with nothing but a store of its own.
pub fn bare(home: &Path) -> Command {
    let mut command = Command::cargo_bin("protostill").unwrap();
    command.env("XDG_CACHE_HOME", home.join("cache")).env_remove("PROTOSTILL_STORE").current_dir(home);
    command
}

/// What a failed command said on stderr; asserts the exit code.
pub fn complaint(mut command: Command, code: i32) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(!text.contains("panicked"), "{text}");
    text
}

/// Every file under `dir` by its relative path. The seconds in the manifest are how long this run took: they are the
/// one thing two runs may differ in.
pub fn contents(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(root: &Path, at: &Path, into: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(root, &path, into);
            } else {
                let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
                let mut bytes = fs::read(&path).unwrap();
                if name == "manifest.json" {
                    let mut manifest: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
                    assert!(manifest.as_object_mut().unwrap().remove("seconds").is_some());
                    bytes = serde_json::to_vec_pretty(&manifest).unwrap();
                }
                into.insert(name, bytes);
            }
        }
    }
    let mut files = BTreeMap::new();
    walk(dir, dir, &mut files);
    files
}

/// Asserts that two folders hold the same bytes, naming the first file that differs.
pub fn assert_same(a: &Path, b: &Path) {
    let (a, b) = (contents(a), contents(b));
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    for (name, bytes) in &a {
        assert!(bytes == &b[name], "{name} differs");
    }
    assert!(!a.is_empty());
}
