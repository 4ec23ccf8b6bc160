//! Tells the program which commit and for which target it is built.

use std::{env, fs, path::Path, process::Command};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=PROTOSTILL_COMMIT");
    println!("cargo:rustc-env=PROTOSTILL_TARGET={}", env::var("TARGET").unwrap_or_default());
    // Named from outside, git is not asked, and a commit builds nothing anew.
    let commit = env::var("PROTOSTILL_COMMIT").ok().or_else(packaged).or_else(checked_out);
    println!("cargo:rustc-env=PROTOSTILL_COMMIT={}", commit.unwrap_or_else(|| "unknown".to_owned()));
}

/// The commit that `cargo package` wrote into a crate from the registry.
fn packaged() -> Option<String> {
    let about = fs::read_to_string(".cargo_vcs_info.json").ok()?;
    let (_, rest) = about.split_once("\"sha1\": \"")?;
    rest.split_once('"').map(|(commit, _)| commit.to_owned())
}

/// The last commit that changed what the program is built of, if this folder is a checkout of its own; those that change
/// documents or tests build nothing anew.
fn checked_out() -> Option<String> {
    let top = git(&["rev-parse", "--show-toplevel"])?;
    if fs::canonicalize(top).ok()? != fs::canonicalize(env::var("CARGO_MANIFEST_DIR").ok()?).ok()? {
        return None;
    }
    for file in ["logs/HEAD", "HEAD"] {
        let path = git(&["rev-parse", "--git-path", file])?;
        if Path::new(&path).exists() {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    git(&["log", "-1", "--format=%H", "--", "src", "assets", "configs", "build.rs", "Cargo.toml", "Cargo.lock"])
}

fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok().filter(|o| o.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (!text.is_empty()).then_some(text)
}
