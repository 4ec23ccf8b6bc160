//! Writes what each parser reads to `corpus/NAME`, to begin with.
#![allow(clippy::unwrap_used)]

#[path = "../tests/foreign/parsers.rs"]
mod parsers;

use std::{fs, path::Path};

fn main() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    for parser in parsers::parsers(|path| here.join("../tests/golden").join(path)) {
        let corpus = here.join("corpus").join(parser.name);
        fs::create_dir_all(&corpus).unwrap();
        for (i, (_, bytes)) in parser.files.iter().enumerate() {
            fs::write(corpus.join(format!("seed{i}")), [&[i as u8][..], bytes].concat()).unwrap();
        }
    }
}
