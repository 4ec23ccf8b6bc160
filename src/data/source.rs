//! Finds out how a data set lies on disk and reads it, once and checked: every image is there before a stage begins.

use super::{
    Dataset, Rules, Split, build,
    folder::{file_names, folder_name, image_roots, read_list},
    formats::{embeddings, imagefolder, karpathy, webdataset},
    listing::{Listed, Listing, Origin, Problem},
    ready,
    splits::{Part, of_list, other_folders, split_folders, split_of},
};
use crate::{
    error::{Error, Result},
    fingerprint::Fingerprint,
    fsio::printable,
};
use sha2::{Digest, Sha256};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Reads the captioned image set at `path`, a folder or one of its caption files. Understood are, in this order:
///
/// - ImageFolder: `metadata.jsonl`, in the folder itself (an image in a folder named after a split belongs to it, any
///   other to training) or in folders named after splits; images relative to their `metadata.jsonl`;
/// - BLIP's flat lists: `NAME_train.json`, `NAME_val.json`, `NAME_test.json`;
/// - Karpathy's own `dataset_NAME.json`;
/// - webdataset shards: `.tar` files here or in `train/`, `val/`, `test/`, one of them, or a pattern such as
///   `shards/{00000..00012}.tar` (see [`webdataset`] for what a shard holds and which split it belongs to);
/// - ready [`embeddings`]: clip-retrieval's folders, or `.npy` and `.npz` files beside any of the lists above.
///
/// Splits go by the words that Hugging Face's `datasets` knows (`valid`, `dev`, `eval`, `val2017`); what has a place beside
/// them but says none is left out, and told.
///
/// The images of Karpathy's lists are looked for relative to the folder, then to each of its direct sub-folders in
/// alphabetical order. Splits that are absent are empty. Captions that hold no word are skipped,
/// images left without any too, and their number is logged.
///
/// A path with `..` or an absolute one is refused, since lists come from strangers; links inside the data root are
/// followed, wherever they lead: they are the owner's, and clusters keep images on other volumes.
///
/// # Errors
/// [`Error::Input`] naming file, row and path: not a known layout, malformed JSON, a path that climbs out, missing
/// images (the first, and how many). [`Error::Io`] for what cannot be read.
pub fn open(path: &Path) -> Result<Dataset> {
    open_by(path, Rules::default())
}

/// As [`open`], by other rules.
///
/// # Errors
/// As [`open`].
pub fn open_by(path: &Path, rules: Rules) -> Result<Dataset> {
    let Listing { name, parts: [train, val, test], features: [train_features, val_features, test_features], noted } =
        list(path)?;
    let (mut hash, mut skipped) = (Sha256::new(), 0);
    if rules != Rules::default() {
        hash.update(format!("{rules:?}\n"));
    }
    let mut split = |rows, features| build::split(rows, features, rules, &mut hash, &mut skipped);
    let train = split(train, train_features)?;
    let (val, test) = (split(val, val_features)?, split(test, test_features)?);
    check_features(path, &train, &[(&val, "val"), (&test, "test")])?;
    for (problem, place, count) in &noted {
        tracing::warn!(count, data = %path.display(), "{}: {}", problem.told(), printable(place));
    }
    if skipped > 0 {
        tracing::warn!(skipped, data = %path.display(), "captions without a word were skipped");
    }
    if train.pairs.is_empty() && val.pairs.is_empty() && test.pairs.is_empty() {
        return Err(Error::input(path, "holds no captioned image"));
    }
    Ok(Dataset { name, train, val, test, fingerprint: Fingerprint::of_bytes(&hash.finalize()) })
}

impl Listing {
    fn new(name: String, parts: [Vec<Listed>; 3]) -> Self {
        Self { name, parts, ..Self::default() }
    }

    /// With the features in `dir`; images are then no longer required.
    fn with_features(mut self, dir: &Path) -> Result<Self> {
        self.features = embeddings::beside(dir)?;
        self.leave_out_halves();
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

impl Listing {
    /// Leaves out features that lie beside lists, such as a text encoder's of another method, where training images or
    /// captions have none: they cannot be used, and the lists can without.
    fn leave_out_halves(&mut self) {
        let train = &self.features[Part::Train as usize];
        if self.parts[Part::Train as usize].is_empty() || train.image.is_some() && train.text.is_some() {
            return;
        }
        let lacking = if train.image.is_none() { "images" } else { "captions" };
        for table in self.features.iter_mut().flat_map(|f| [f.image.take(), f.text.take()]).flatten() {
            let (path, rows, width) = (table.path().display(), table.rows(), table.width());
            let place =
                format!("{path}: {rows} x {width} numbers, but no features of the training {lacking} beside it");
            self.noted.push((Problem::LeftOut, place, 1));
        }
    }
}

/// Features of another origin than the training split's would be compared with them in vain.
fn check_features(path: &Path, train: &Split, others: &[(&Split, &str)]) -> Result<()> {
    if let Some(ready) = train.ready.as_ref().filter(|r| r.image.is_none()) {
        return Err(Error::input(ready.path(), "has text features but no image features of the train split"));
    }
    let odd = |s: &Split| !s.pairs.is_empty() && !train.pairs.is_empty() && s.ready.is_some() != train.ready.is_some();
    match others.iter().find(|(split, _)| odd(split)) {
        None => others.iter().try_for_each(|(split, _)| match (&split.ready, &train.ready) {
            (Some(found), Some(train)) => found.check_width(train),
            _ => Ok(()),
        }),
        Some((split, name)) => {
            let (with, without) = if split.ready.is_some() { (*name, "train") } else { ("train", *name) };
            let file = split.ready.as_ref().or(train.ready.as_ref()).map_or(path, ready::Ready::path);
            Err(Error::input(file, format!("has ready features of the {with} split but none of the {without} split")))
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
    let with_list = |folder: &PathBuf| folder.join(imagefolder::METADATA).is_file();
    let (below, mut others) = (split_folders(dir), other_folders(dir));
    others.retain(with_list);
    let lists: Vec<(Part, PathBuf)> = below.into_iter().filter(|(_, folder)| with_list(folder)).collect();
    if !lists.is_empty() {
        let mut listing = Listing::new(folder_name(dir), Default::default());
        let at_root = lists[0].1 == dir;
        for (i, (part, folder)) in lists.iter().enumerate() {
            if at_root && i > 0 {
                others.push(folder.clone());
                continue;
            }
            let rows = folder_rows(&folder.join(imagefolder::METADATA), &mut listing.noted)?;
            for row in rows {
                let part = if at_root { said_by_folders(&row.image).unwrap_or(*part) } else { *part };
                listing.parts[part as usize].push(row);
            }
        }
        let left = |folder: &PathBuf| (Problem::LeftOut, format!("{}: its list", folder.display()), 1);
        listing.noted.extend(others.iter().map(left));
        return listing.with_features(dir);
    }
    let names = file_names(dir)?;
    let mut flat: Vec<String> = names.iter().filter_map(|n| of_list(n)).map(|(_, set)| set).collect();
    flat.sort();
    flat.dedup();
    let originals: Vec<&String> = names.iter().filter(|n| n.starts_with("dataset_") && n.ends_with(".json")).collect();
    match (flat.as_slice(), originals.as_slice()) {
        ([set], _) => flat_lists(dir, set)?.with_features(dir),
        ([], [one]) => open_original(&dir.join(one))?.with_features(dir),
        ([], []) => open_unlisted(dir),
        _ => {
            Err(Error::input(dir, format!("holds several data sets; name one of: {}", printable(&candidates(&names)))))
        }
    }
}

/// The split that the folders of an image's path say.
fn said_by_folders(image: &str) -> Option<Part> {
    image.rsplit_once('/')?.0.split('/').find_map(split_of)
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
    let known = |n: &&String| of_list(n).is_some() || (n.starts_with("dataset_") && n.ends_with(".json"));
    names.iter().filter(known).cloned().collect::<Vec<_>>().join(", ")
}

fn open_file(path: &Path) -> Result<Listing> {
    let dir = path.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    match of_list(&name) {
        Some((_, set)) => flat_lists(dir, &set),
        None if name.ends_with(".jsonl") => {
            let mut noted = Vec::new();
            let rows = folder_rows(path, &mut noted)?;
            Ok(Listing { noted, ..Listing::new(folder_name(dir), [rows, vec![], vec![]]) })
        }
        None if name.ends_with(".json") => open_original(path),
        None if name.ends_with(".tar") => webdataset::list(path, &[path.to_owned()]),
        None => Err(Error::input(path, "neither a folder nor a .json, .jsonl or .tar file")),
    }
}

/// The lists of the data set `set`, in the order of their names; what may be another one of them is left out.
fn flat_lists(dir: &Path, set: &str) -> Result<Listing> {
    let roots = Arc::new(image_roots(dir)?);
    let mut listing = Listing::new(set.to_owned(), Default::default());
    for name in file_names(dir)? {
        let list = dir.join(&name);
        match of_list(&name) {
            Some((part, of)) if of == set => {
                let (rows, odd) = karpathy::flat(&list, &read_list(&list)?)?;
                note_rows(&list, &rows, odd, &mut listing.noted);
                let rows = rows.into_iter().enumerate();
                listing.parts[part as usize]
                    .extend(rows.map(|(i, row)| listed(&list, format!("row {}", i + 1), row, &roots)));
            }
            None if name.ends_with(".json") && name.starts_with(&format!("{set}_")) => {
                listing.noted.push((Problem::LeftOut, list.display().to_string(), 1));
            }
            _ => {}
        }
    }
    Ok(listing)
}

fn open_original(path: &Path) -> Result<Listing> {
    let dir = path.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let roots = Arc::new(image_roots(dir)?);
    let stem = path.file_stem().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let mut listing = Listing::new(stem.strip_prefix("dataset_").unwrap_or(&stem).to_owned(), Default::default());
    let (rows, odd) = karpathy::original(path, &read_list(path)?)?;
    note_rows(path, &[], odd, &mut listing.noted);
    for (i, (part, row)) in rows.into_iter().enumerate() {
        listing.parts[part as usize].push(listed(path, format!("row {}", i + 1), row, &roots));
    }
    Ok(listing)
}

fn folder_rows(list: &Path, noted: &mut Vec<(Problem, String, usize)>) -> Result<Vec<Listed>> {
    let dir = list.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let roots = Arc::new(vec![dir.to_owned()]);
    let (lines, odd) = imagefolder::metadata(list, &read_list(list)?)?;
    let (lines, rows): (Vec<usize>, Vec<karpathy::Row>) = lines.into_iter().unzip();
    note_rows(list, &rows, odd, noted);
    Ok(lines.iter().zip(rows).map(|(line, row)| listed(list, format!("line {line}"), row, &roots)).collect())
}

/// Notes what rows of a list say twice, and how many numbers in it are none.
fn note_rows(list: &Path, rows: &[karpathy::Row], odd: usize, noted: &mut Vec<(Problem, String, usize)>) {
    let twice = rows.iter().filter(|row| row.twice).count();
    for (problem, count) in [(Problem::SaidTwice, twice), (Problem::NotANumber, odd)] {
        noted.extend((count > 0).then(|| (problem, list.display().to_string(), count)));
    }
}

fn listed(list: &Path, place: String, row: karpathy::Row, roots: &Arc<Vec<PathBuf>>) -> Listed {
    Listed { image: row.image, captions: row.caption, list: list.into(), place, origin: Origin::Below(roots.clone()) }
}

#[cfg(test)]
mod tests;
