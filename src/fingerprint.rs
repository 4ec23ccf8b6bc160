//! Names for artefacts: a hash of everything that made them.

use crate::{
    door,
    error::{Error, Result},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{fmt, io, path::Path};

/// SHA-256, in hex, of a stage's name, its settings and the fingerprints of its inputs.
/// Whatever changes a result changes its fingerprint, so no stale result can be taken for a fresh one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Fingerprint(String);

impl TryFrom<String> for Fingerprint {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        let whole = text.len() == 64 && text.bytes().all(hex);
        if whole { Ok(Self(text)) } else { Err("a fingerprint is not 64 hexadecimal digits".into()) }
    }
}

impl Fingerprint {
    /// Of raw bytes, such as a file.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self(format!("{:x}", Sha256::digest(bytes)))
    }

    /// Of bytes that were fed to `hash` piece by piece.
    pub fn of_hash(hash: Sha256) -> Self {
        Self(format!("{:x}", hash.finalize()))
    }

    /// Of a file's bytes, without holding them all.
    ///
    /// # Errors
    /// [`Error::Io`] naming the file.
    pub fn of_file(path: &Path) -> Result<Self> {
        let mut hash = Sha256::new();
        let mut feed = || io::copy(&mut io::BufReader::with_capacity(1 << 20, door::open(path)?), &mut hash);
        feed().map_err(Error::io(path))?;
        Ok(Self::of_hash(hash))
    }

    /// Of something that stays the same whatever computes with it: its `kind`, what it holds, and the fingerprints of what it
    /// was made of. People's edits and files are named so; a new version of the program changes nothing about them.
    pub fn of_content(kind: &str, holds: &impl Serialize, parts: &[&Fingerprint]) -> Self {
        let holds = serde_json::to_value(holds).unwrap_or(serde_json::Value::Null);
        Self::of_bytes(serde_json::json!([kind, holds, parts]).to_string().as_bytes())
    }

    /// Of a stage whose results have never changed: its `name`, its `settings` (in serde's field order) and its `inputs`.
    /// Settings that do not serialise, such as NaN keys in a map, do not occur: they are plain structs.
    pub fn of_stage(name: &str, settings: &impl Serialize, inputs: &[&Fingerprint]) -> Self {
        Self::of_version(1, name, settings, inputs)
    }

    /// Of a stage whose results have. Whoever changes what a stage computes raises its number, so that no store gives the old
    /// result for the new one; a release of the program alone makes nothing stale.
    pub fn of_version(version: u32, name: &str, settings: &impl Serialize, inputs: &[&Fingerprint]) -> Self {
        Self::of_content("stage", &(name, version, settings), inputs)
    }

    /// The whole hash, 64 hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 12 digits, for people.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
