//! Where the golden files lie.
#![allow(dead_code)]

use protostill::models::weights::Checkpoint;
use std::path::PathBuf;

/// A file or folder of `tests/golden`.
pub fn golden(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(path)
}

/// A checkpoint of `tests/golden`.
pub fn checkpoint(name: &str) -> Checkpoint {
    Checkpoint::Folder(golden(name))
}
