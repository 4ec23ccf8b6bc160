//! Bytes that strangers made: under every name that is read, nothing hangs, and nothing panics.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "foreign/mutate.rs"]
mod mutate;
#[path = "foreign/parsers.rs"]
mod parsers;

use common::golden;
use mutate::survives;
use parsers::{parsers, written};
use protostill::{
    config::Config,
    data::{self, files::decode},
    pipeline::set::folder::DistilledSet,
};
use rayon::prelude::*;
use std::{fs, path::Path};

#[test]
fn every_parser_answers_whatever_a_stranger_made_of_what_it_reads() {
    parsers(golden).into_par_iter().for_each(|parser| survives(&parser));
}

/// A FIFO that nobody writes to, and what has no end, under every name that a data set or a distilled set is read by.
#[cfg(unix)]
#[test]
fn what_is_no_file_is_named_and_nobody_waits_for_it() {
    use std::os::unix::fs::symlink;
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for (target, what) in [(pipe.as_path(), "a FIFO"), (Path::new("/dev/zero"), "a device")] {
        let place = |name: &str| {
            let path = dir.path().join(name);
            let _ = fs::remove_file(&path);
            symlink(target, &path).unwrap();
            path
        };
        let refused = |said: String, name: &str| {
            assert!(said.ends_with(&format!("{name}: is {what}, not a file")), "{said}");
        };
        assert!(data::open(&place("x.tar")).is_err());
        for name in ["dataset_x.json", "x.jsonl"] {
            refused(data::open(&place(name)).unwrap_err().to_string(), name);
        }
        refused(decode::decode_rgb(&place("b.jpg")).unwrap_err().to_string(), "b.jpg");
        refused(Config::load(Some(&place("c.toml"))).unwrap_err().to_string(), "c.toml");
        for name in ["manifest.json", "metadata.jsonl", "prototypes.safetensors", "images/0000.png"] {
            let home = tempfile::tempdir().unwrap();
            let out = written(home.path());
            fs::remove_file(out.join(name)).unwrap();
            symlink(target, out.join(name)).unwrap();
            refused(DistilledSet::read(&out).unwrap_err().to_string(), name);
        }
    }
}
