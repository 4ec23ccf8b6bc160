//! One parser, named by `PARSER`: the first byte says which of its files has the other bytes as its content.
#![no_main]
#![allow(clippy::unwrap_used)]

#[path = "../tests/foreign/parsers.rs"]
mod parsers;

use libfuzzer_sys::fuzz_target;
use parsers::{Parser, parsers};
use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
};

/// The parser, and a folder with its files, in memory where there is such a place.
fn chosen() -> &'static (Parser, PathBuf) {
    static CHOSEN: OnceLock<(Parser, PathBuf)> = OnceLock::new();
    CHOSEN.get_or_init(|| {
        let wanted = std::env::var("PARSER").unwrap_or_default();
        let golden = |path: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(path);
        let all = parsers(golden);
        let names: Vec<&str> = all.iter().map(|parser| parser.name).collect();
        assert!(names.contains(&&*wanted), "PARSER is to be one of {}", names.join(", "));
        let parser = all.into_iter().find(|parser| parser.name == wanted).unwrap();
        let memory = Some(PathBuf::from("/dev/shm")).filter(|dir| dir.is_dir());
        let dir = tempfile::tempdir_in(memory.unwrap_or_else(std::env::temp_dir)).unwrap().keep();
        (0..parser.files.len()).for_each(|i| parser.put(&dir, i, &parser.files[i].1));
        (parser, dir)
    })
}

fuzz_target!(|bytes: &[u8]| {
    let (parser, dir) = chosen();
    let Some((first, bytes)) = bytes.split_first() else { return };
    let file = usize::from(*first) % parser.files.len();
    parser.put(dir, file, bytes);
    (parser.read)(dir);
    parser.put(dir, file, &parser.files[file].1);
});
