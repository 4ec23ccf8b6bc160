//! What comes into a set's folder later: scores, and the card that tells of them.

use super::{DistilledSet, MANIFEST, Ours, ReadSet, SCORES, put, read_manifest};
use crate::{
    door,
    error::{Error, Result},
    fingerprint::Fingerprint,
    fsio::write_atomic,
    pipeline::set::card::{CARD, card, is_sealed},
};
use serde_json::Value;
use std::{fs, path::Path};

impl DistilledSet {
    /// The card of the set in `dir`, whose manifest this is.
    pub(super) fn card(&self, dir: &Path, manifest: &Value) -> Result<String> {
        let path = dir.join(SCORES);
        let scores = match path.exists() {
            true => Some(door::read(&path, door::SETTINGS).map_err(Error::io(&path))?),
            false => None,
        };
        let scores: Option<Value> = scores.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let captions: Vec<&str> = self.pairs.iter().map(|p| p.caption.as_str()).collect();
        Ok(card(manifest, &captions, scores.as_ref()))
    }
}

impl ReadSet {
    /// Every file of the set in the folder `dir`, by its path in it: those that the manifest names, and what was added since.
    /// Nothing else that may lie there.
    pub fn files(&self, dir: &Path) -> Vec<String> {
        let named = self.manifest["files"].as_object().into_iter().flat_map(|files| files.keys().cloned());
        let added = [MANIFEST, CARD, SCORES].map(str::to_owned).into_iter().filter(|name| dir.join(name).is_file());
        named.chain(added).collect()
    }

    /// Writes the card of the folder `dir`, where this was read, anew with the scores that are there now; not over one that
    /// was changed by hand: then it says so by `false`.
    ///
    /// # Errors
    /// [`Error::Io`] naming the file.
    pub fn renew_card(&self, dir: &Path) -> Result<bool> {
        let ours = card_is_ours(dir)?;
        if ours {
            write_atomic(&dir.join(CARD), self.set.card(dir, &self.manifest)?.as_bytes())?;
        }
        Ok(ours)
    }
}

/// Whether the card in `dir` is absent or as it was written.
pub(super) fn card_is_ours(dir: &Path) -> Result<bool> {
    let path = dir.join(CARD);
    Ok(!path.exists() || is_sealed(&door::read(&path, door::SETTINGS).map_err(Error::io(&path))?))
}

/// Whether `evaluate` wrote the file, about the set in the folder or (`recall-NAME.json`) about one that it took the place of.
pub(super) fn is_score(name: &str) -> bool {
    name == SCORES || name.strip_prefix("recall-").is_some_and(|rest| rest.ends_with(".json") && !rest.contains('/'))
}

/// Takes the scores in `old` along to `new`: as they are if the set is the same, else under the name of their set.
pub(super) fn keep_scores(old: &Path, new: &Path, ours: &Ours) -> Result<()> {
    let same = read_manifest(&old.join(MANIFEST)).is_ok_and(|(_, before)| before == *ours);
    for entry in fs::read_dir(old).into_iter().flatten().flatten() {
        let Some(name) = entry.file_name().to_str().filter(|name| is_score(name)).map(str::to_owned) else { continue };
        let bytes = door::read(&entry.path(), door::SETTINGS).map_err(Error::io(entry.path()))?;
        let name = if name == SCORES && !same { score_name(&bytes) } else { name };
        put(&new.join(name), &bytes)?;
    }
    Ok(())
}

/// A name for the scores of a set that is there no more.
fn score_name(scores: &[u8]) -> String {
    let of = serde_json::from_slice::<Value>(scores).ok();
    let of = of.and_then(|scores| serde_json::from_value(scores["set"]["fingerprint"].clone()).ok());
    format!("recall-{}.json", of.unwrap_or_else(|| Fingerprint::of_bytes(scores)).short())
}
