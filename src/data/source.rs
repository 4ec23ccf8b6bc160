//! Finds out how a data set lies on disk and reads it, once and checked: every image is there before a stage begins.

use crate::{
    data::{
        Dataset, Split,
        embeddings::{self, Features},
        imagefolder, karpathy, webdataset,
    },
    error::{Error, Result},
    fingerprint::Fingerprint,
    fsio::printable,
};
pub(crate) use build::stays_inside;
pub(super) use build::{Listed, Origin, absence, check_relative, locate, stamp, tidy};
pub use build::{MAX_WORD_BYTES, MAX_WORDS};
use sha2::{Digest, Sha256};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Largest caption file read, in bytes (COCO's whole original file has 144 MB).
const MAX_LIST: u64 = 4 << 30;

/// One of the three splits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Train,
    Val,
    Test,
}

/// The splits and what they are called.
pub(super) const PARTS: [(Part, &str); 3] = [(Part::Train, "train"), (Part::Val, "val"), (Part::Test, "test")];

/// Reads the captioned image set at `path`, a folder or one of its caption files. Understood are, in this order:
///
/// - ImageFolder: `metadata.jsonl`, in the folder itself (all of it training) or in `train/`, `val/` (or
///   `validation/`), `test/`; images relative to their `metadata.jsonl`;
/// - BLIP's flat lists: `NAME_train.json`, `NAME_val.json`, `NAME_test.json`;
/// - Karpathy's own `dataset_NAME.json`;
/// - webdataset shards: `.tar` files here or in `train/`, `val/`, `test/`, one of them, or a pattern such as
///   `shards/{00000..00012}.tar` (see [`webdataset`] for what a shard holds and which split it belongs to);
/// - ready [`embeddings`]: clip-retrieval's folders, or `.npy` and `.npz` files beside any of the lists above.
///
/// The images of Karpathy's lists are looked for relative to the folder, then to each of its direct sub-folders in
/// alphabetical order. Splits that are absent are empty. Captions are normalised; those that hold no word are skipped,
/// images left without any too, and their number is logged.
///
/// A path with `..` or an absolute one is refused, since lists come from strangers; links inside the data root are
/// followed, wherever they lead: they are the owner's, and clusters keep images on other volumes.
///
/// # Errors
/// [`Error::Input`] naming file, row and path: not a known layout, malformed JSON, a path that climbs out, missing
/// images (the first, and how many). [`Error::Io`] for what cannot be read.
pub fn open(path: &Path) -> Result<Dataset> {
    let Listing {
        name,
        parts: [train, val, test],
        features: [train_features, val_features, test_features],
        incomplete,
    } = list(path)?;
    let (mut hash, mut skipped) = (Sha256::new(), 0);
    let mut split = |rows, features| build::split(rows, features, &mut hash, &mut skipped);
    let train = split(train, train_features)?;
    let (val, test) = (split(val, val_features)?, split(test, test_features)?);
    check_features(path, &train, &[(&val, "val"), (&test, "test")])?;
    if !incomplete.is_empty() {
        let incomplete: usize = incomplete.iter().map(|(_, count)| count).sum();
        tracing::warn!(incomplete, data = %path.display(), "samples without an image or without a caption were skipped");
    }
    if skipped > 0 {
        tracing::warn!(skipped, data = %path.display(), "captions without a word were skipped");
    }
    if train.pairs.is_empty() && val.pairs.is_empty() && test.pairs.is_empty() {
        return Err(Error::input(path, "holds no captioned image"));
    }
    Ok(Dataset { name, train, val, test, fingerprint: Fingerprint::of_bytes(&hash.finalize()) })
}

/// What lists say: a data set's name and, split by split, its rows and the features that lie beside them.
#[derive(Default)]
pub(super) struct Listing {
    pub name: String,
    pub parts: [Vec<Listed>; 3],
    pub features: [Features; 3],
    /// Samples that lack an image or a caption and were left out, for each shard that has any.
    pub incomplete: Vec<(PathBuf, usize)>,
}

impl Listing {
    fn new(name: String, parts: [Vec<Listed>; 3]) -> Self {
        Self { name, parts, ..Self::default() }
    }

    /// With the features in `dir`; images are then no longer required.
    fn with_features(mut self, dir: &Path) -> Result<Self> {
        self.features = embeddings::beside(dir)?;
        for (rows, _) in
            self.parts.iter_mut().zip(&self.features).filter(|(_, f)| f.text.is_some() || !f.encoders.is_empty())
        {
            for row in rows {
                if let Origin::Below(roots) = &row.origin {
                    row.origin = Origin::Perhaps(roots.clone());
                }
            }
        }
        Ok(self)
    }
}

/// Features of another origin than the training split's would be compared with them in vain.
fn check_features(path: &Path, train: &Split, others: &[(&Split, &str)]) -> Result<()> {
    if train.ready.as_ref().is_some_and(|r| r.image.is_none()) {
        return Err(Error::input(path, "has text features but no image features of the train split"));
    }
    let odd = |s: &Split| !s.pairs.is_empty() && !train.pairs.is_empty() && s.ready.is_some() != train.ready.is_some();
    match others.iter().find(|(split, _)| odd(split)) {
        None => Ok(()),
        Some((split, name)) => {
            let (with, without) = if split.ready.is_some() { (*name, "train") } else { ("train", *name) };
            Err(Error::input(path, format!("has ready features of the {with} split but none of the {without} split")))
        }
    }
}

/// What the lists at `path` say, nothing of it checked yet.
pub(super) fn list(path: &Path) -> Result<Listing> {
    match fs::metadata(path) {
        Ok(about) if about.is_dir() => open_folder(path),
        Ok(_) => open_file(path),
        Err(_) if webdataset::is_pattern(path) => webdataset::list(path, &webdataset::expand(path)?),
        Err(e) => Err(Error::io(path)(e)),
    }
}

fn open_folder(dir: &Path) -> Result<Listing> {
    let by_split = PARTS.map(|(part, name)| {
        let folders: &[&str] = if part == Part::Val { &["val", "validation"] } else { &[name] };
        folders.iter().map(|f| dir.join(f).join(imagefolder::METADATA)).find(|f| f.is_file())
    });
    let single = dir.join(imagefolder::METADATA);
    if single.is_file() {
        return Listing::new(folder_name(dir), [folder_rows(&single)?, vec![], vec![]]).with_features(dir);
    }
    if by_split.iter().any(Option::is_some) {
        let [train, val, test] = by_split.map(|file| file.map_or(Ok(vec![]), |f| folder_rows(&f)));
        return Listing::new(folder_name(dir), [train?, val?, test?]).with_features(dir);
    }
    let names = file_names(dir)?;
    let mut flat: Vec<&str> = names.iter().filter_map(|n| flat_prefix(n)).collect();
    flat.dedup();
    let originals: Vec<&String> = names.iter().filter(|n| n.starts_with("dataset_") && n.ends_with(".json")).collect();
    match (flat.as_slice(), originals.as_slice()) {
        ([prefix], _) => flat_lists(dir, prefix)?.with_features(dir),
        ([], [one]) => open_original(&dir.join(one))?.with_features(dir),
        ([], []) => open_unlisted(dir),
        _ => {
            Err(Error::input(dir, format!("holds several data sets; name one of: {}", printable(&candidates(&names)))))
        }
    }
}

/// What needs no list of captions: its files say it all.
fn open_unlisted(dir: &Path) -> Result<Listing> {
    if embeddings::is_clip_retrieval(dir) {
        return embeddings::clip_retrieval(dir);
    }
    if let Some(listing) = embeddings::captioned(dir)? {
        return Ok(listing);
    }
    match webdataset::shards_below(dir)? {
        shards if !shards.is_empty() => webdataset::list(dir, &shards),
        _ => Err(Error::input(
            dir,
            "not a captioned image set: looked for metadata.jsonl (here or in train/, val/, test/), \
             NAME_train.json, NAME_val.json, NAME_test.json, dataset_NAME.json, .tar shards, \
             img_emb/ with text_emb/, and captions.txt with .npy files",
        )),
    }
}

fn candidates(names: &[String]) -> String {
    let known = |n: &&String| flat_prefix(n).is_some() || (n.starts_with("dataset_") && n.ends_with(".json"));
    names.iter().filter(known).cloned().collect::<Vec<_>>().join(", ")
}

fn open_file(path: &Path) -> Result<Listing> {
    let dir = path.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    match flat_prefix(&name) {
        Some(prefix) => flat_lists(dir, prefix),
        None if name.ends_with(".jsonl") => Ok(Listing::new(folder_name(dir), [folder_rows(path)?, vec![], vec![]])),
        None if name.ends_with(".json") => open_original(path),
        None if name.ends_with(".tar") => webdataset::list(path, &[path.to_owned()]),
        None => Err(Error::input(path, "neither a folder nor a .json, .jsonl or .tar file")),
    }
}

/// `flickr30k` of `flickr30k_train.json`.
fn flat_prefix(name: &str) -> Option<&str> {
    PARTS.iter().find_map(|(_, part)| name.strip_suffix(".json")?.strip_suffix(part)?.strip_suffix('_'))
}

fn flat_lists(dir: &Path, prefix: &str) -> Result<Listing> {
    let roots = Arc::new(image_roots(dir)?);
    let [train, val, test] = PARTS.map(|(_, part)| -> Result<Vec<Listed>> {
        let list = dir.join(format!("{prefix}_{part}.json"));
        if !list.is_file() {
            return Ok(vec![]);
        }
        let rows = karpathy::flat(&list, &read_list(&list)?)?;
        Ok(rows.into_iter().enumerate().map(|(i, row)| listed(&list, format!("row {}", i + 1), row, &roots)).collect())
    });
    Ok(Listing::new(prefix.to_owned(), [train?, val?, test?]))
}

fn open_original(path: &Path) -> Result<Listing> {
    let dir = path.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let roots = Arc::new(image_roots(dir)?);
    let mut parts = [vec![], vec![], vec![]];
    for (i, (part, row)) in karpathy::original(path, &read_list(path)?)?.into_iter().enumerate() {
        parts[part as usize].push(listed(path, format!("row {}", i + 1), row, &roots));
    }
    let stem = path.file_stem().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(Listing::new(stem.strip_prefix("dataset_").unwrap_or(&stem).to_owned(), parts))
}

fn folder_rows(list: &Path) -> Result<Vec<Listed>> {
    let dir = list.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let roots = Arc::new(vec![dir.to_owned()]);
    let rows = imagefolder::metadata(list, &read_list(list)?)?;
    Ok(rows.into_iter().map(|(line, row)| listed(list, format!("line {line}"), row, &roots)).collect())
}

fn listed(list: &Path, place: String, row: karpathy::Row, roots: &Arc<Vec<PathBuf>>) -> Listed {
    Listed { image: row.image, captions: row.caption, list: list.into(), place, origin: Origin::Below(roots.clone()) }
}

pub(super) fn read_list(path: &Path) -> Result<Vec<u8>> {
    let length = fs::metadata(path).map_err(Error::io(path))?.len();
    if length > MAX_LIST {
        return Err(Error::input(path, format!("{length} bytes: too large for a list of captions")));
    }
    fs::read(path).map_err(Error::io(path))
}

/// Names of the files in `dir`, sorted.
pub(super) fn file_names(dir: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(Error::io(dir))? {
        let entry = entry.map_err(Error::io(dir))?;
        if entry.path().is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// `dir` itself as training, then its folders named after splits.
pub(super) fn split_folders(dir: &Path) -> Vec<(Part, PathBuf)> {
    let below = PARTS.iter().map(|(part, name)| (*part, dir.join(name)));
    let all = std::iter::once((Part::Train, dir.to_owned())).chain(below);
    all.chain([(Part::Val, dir.join("validation"))]).filter(|(_, folder)| folder.is_dir()).collect()
}

/// `dir`, then its direct sub-folders in alphabetical order.
pub(super) fn image_roots(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut roots = Vec::new();
    for entry in fs::read_dir(dir).map_err(Error::io(dir))? {
        let path = entry.map_err(Error::io(dir))?.path();
        if path.is_dir() {
            roots.push(path);
        }
    }
    roots.sort();
    roots.insert(0, dir.to_owned());
    Ok(roots)
}

pub(super) fn folder_name(dir: &Path) -> String {
    let whole = fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
    whole.file_name().map_or_else(|| "data".to_owned(), |n| n.to_string_lossy().into_owned())
}

mod build;
#[cfg(test)]
mod tests;
