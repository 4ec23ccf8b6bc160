//! Finds out how a data set lies on disk and reads it, once and checked: every image is there before a stage begins.

use crate::{
    data::{Dataset, ImageId, ImageSource, Pair, Split, caption, imagefolder, karpathy},
    error::{Error, Result},
    fingerprint::Fingerprint,
    fsio::printable,
};
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    fs,
    path::{Component, Path, PathBuf},
    time::UNIX_EPOCH,
};

/// Words kept of a caption.
pub const MAX_WORDS: usize = 30;
/// Bytes kept of one word: no word of any caption set comes near, and no "word" of a megabyte gets through.
pub const MAX_WORD_BYTES: usize = 128;
/// Largest caption file read, in bytes (COCO's whole original file has 144 MB).
const MAX_LIST: u64 = 4 << 30;

/// One of the three splits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Train,
    Val,
    Test,
}

const PARTS: [(Part, &str); 3] = [(Part::Train, "train"), (Part::Val, "val"), (Part::Test, "test")];

/// An image as a list names it, and where it must lie.
struct Listed {
    image: String,
    captions: Vec<String>,
    /// The list and the place in it, for messages: `row 3` or `line 3`.
    list: PathBuf,
    place: String,
    /// Folders it may lie in, by preference, shared by all rows of a list.
    roots: std::rc::Rc<Vec<PathBuf>>,
}

/// Reads the captioned image set at `path`, a folder or one of its caption files. Understood are, in this order:
///
/// - ImageFolder: `metadata.jsonl`, in the folder itself (all of it training) or in `train/`, `val/` (or
///   `validation/`), `test/`; images relative to their `metadata.jsonl`;
/// - BLIP's flat lists: `NAME_train.json`, `NAME_val.json`, `NAME_test.json`;
/// - Karpathy's own `dataset_NAME.json`.
///
/// The images of the latter two are looked for relative to the folder, then to each of its direct sub-folders in
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
    let about = fs::metadata(path).map_err(Error::io(path))?;
    let (name, listed) = if about.is_dir() { open_folder(path)? } else { open_file(path)? };
    let mut hash = Sha256::new();
    let mut skipped = 0;
    let splits = listed.into_iter().map(|part| build(part, &mut hash, &mut skipped)).collect::<Result<Vec<_>>>()?;
    let [train, val, test] = <[Split; 3]>::try_from(splits).map_err(|found| Error::Shape {
        what: "splits",
        expected: "3".into(),
        found: found.len().to_string(),
    })?;
    if skipped > 0 {
        tracing::warn!(skipped, data = %path.display(), "captions without a word were skipped");
    }
    if train.pairs.is_empty() && val.pairs.is_empty() && test.pairs.is_empty() {
        return Err(Error::input(path, "holds no captioned image"));
    }
    Ok(Dataset { name, train, val, test, fingerprint: Fingerprint::of_bytes(&hash.finalize()) })
}

type Listing = (String, [Vec<Listed>; 3]);

fn open_folder(dir: &Path) -> Result<Listing> {
    let by_split = PARTS.map(|(part, name)| {
        let folders: &[&str] = if part == Part::Val { &["val", "validation"] } else { &[name] };
        folders.iter().map(|f| dir.join(f).join(imagefolder::METADATA)).find(|f| f.is_file())
    });
    let single = dir.join(imagefolder::METADATA);
    if single.is_file() {
        return Ok((folder_name(dir), [folder_rows(&single)?, vec![], vec![]]));
    }
    if by_split.iter().any(Option::is_some) {
        let [train, val, test] = by_split.map(|file| file.map_or(Ok(vec![]), |f| folder_rows(&f)));
        return Ok((folder_name(dir), [train?, val?, test?]));
    }
    let names = file_names(dir)?;
    let mut flat: Vec<&str> = names.iter().filter_map(|n| flat_prefix(n)).collect();
    flat.dedup();
    let originals: Vec<&String> = names.iter().filter(|n| n.starts_with("dataset_") && n.ends_with(".json")).collect();
    match (flat.as_slice(), originals.as_slice()) {
        ([prefix], _) => flat_lists(dir, prefix),
        ([], [one]) => open_original(&dir.join(one)),
        ([], []) => Err(Error::input(
            dir,
            "not a captioned image set: looked for metadata.jsonl (here or in train/, val/, test/), \
             NAME_train.json, NAME_val.json, NAME_test.json and dataset_NAME.json",
        )),
        _ => {
            Err(Error::input(dir, format!("holds several data sets; name one of: {}", printable(&candidates(&names)))))
        }
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
        None if name.ends_with(".jsonl") => Ok((folder_name(dir), [folder_rows(path)?, vec![], vec![]])),
        None if name.ends_with(".json") => open_original(path),
        None => Err(Error::input(path, "neither a folder nor a .json or .jsonl file")),
    }
}

/// `flickr30k` of `flickr30k_train.json`.
fn flat_prefix(name: &str) -> Option<&str> {
    PARTS.iter().find_map(|(_, part)| name.strip_suffix(".json")?.strip_suffix(part)?.strip_suffix('_'))
}

fn flat_lists(dir: &Path, prefix: &str) -> Result<Listing> {
    let roots = std::rc::Rc::new(image_roots(dir)?);
    let [train, val, test] = PARTS.map(|(_, part)| -> Result<Vec<Listed>> {
        let list = dir.join(format!("{prefix}_{part}.json"));
        if !list.is_file() {
            return Ok(vec![]);
        }
        let rows = karpathy::flat(&list, &read_list(&list)?)?;
        Ok(rows.into_iter().enumerate().map(|(i, row)| listed(&list, format!("row {}", i + 1), row, &roots)).collect())
    });
    Ok((prefix.to_owned(), [train?, val?, test?]))
}

fn open_original(path: &Path) -> Result<Listing> {
    let dir = path.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let roots = std::rc::Rc::new(image_roots(dir)?);
    let mut parts = [vec![], vec![], vec![]];
    for (i, (part, row)) in karpathy::original(path, &read_list(path)?)?.into_iter().enumerate() {
        parts[part as usize].push(listed(path, format!("row {}", i + 1), row, &roots));
    }
    let stem = path.file_stem().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    Ok((stem.strip_prefix("dataset_").unwrap_or(&stem).to_owned(), parts))
}

fn folder_rows(list: &Path) -> Result<Vec<Listed>> {
    let dir = list.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let roots = std::rc::Rc::new(vec![dir.to_owned()]);
    let rows = imagefolder::metadata(list, &read_list(list)?)?;
    Ok(rows.into_iter().map(|(line, row)| listed(list, format!("line {line}"), row, &roots)).collect())
}

fn listed(list: &Path, place: String, row: karpathy::Row, roots: &std::rc::Rc<Vec<PathBuf>>) -> Listed {
    Listed { image: row.image, captions: row.caption, list: list.to_owned(), place, roots: roots.clone() }
}

fn read_list(path: &Path) -> Result<Vec<u8>> {
    let length = fs::metadata(path).map_err(Error::io(path))?.len();
    if length > MAX_LIST {
        return Err(Error::input(path, format!("{length} bytes: too large for a list of captions")));
    }
    fs::read(path).map_err(Error::io(path))
}

/// Names of the files in `dir`, sorted.
fn file_names(dir: &Path) -> Result<Vec<String>> {
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

/// `dir`, then its direct sub-folders in alphabetical order.
fn image_roots(dir: &Path) -> Result<Vec<PathBuf>> {
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

fn folder_name(dir: &Path) -> String {
    let whole = fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
    whole.file_name().map_or_else(|| "data".to_owned(), |n| n.to_string_lossy().into_owned())
}

/// One split: rows of one image gathered, captions normalised, every image checked, all of it hashed.
fn build(listed: Vec<Listed>, hash: &mut Sha256, skipped: &mut usize) -> Result<Split> {
    let mut split = Split::default();
    let mut ids: HashMap<String, ImageId> = HashMap::new();
    let mut first: Vec<Listed> = Vec::new();
    for mut row in listed {
        check_relative(&row)?;
        let captions: Vec<String> = std::mem::take(&mut row.captions);
        let given = captions.len().max(1);
        let kept: Vec<String> = captions.iter().map(|c| tidy(c)).filter(|c| !c.is_empty()).collect();
        *skipped += given - kept.len();
        if kept.is_empty() {
            continue;
        }
        let image = *ids.entry(row.image.clone()).or_insert(ImageId(first.len() as u32));
        if image.index() == first.len() {
            first.push(row);
        }
        split.pairs.extend(kept.into_iter().map(|caption| Pair { image, caption }));
    }
    let found = locate(&first)?;
    hash.update([0xff]); // a split begins
    for (row, (_, stamp)) in first.iter().zip(&found) {
        hash.update(format!("{:?}{stamp}\n", row.image));
    }
    for pair in &split.pairs {
        hash.update(format!("{} {}\n", pair.image.0, pair.caption));
    }
    split.images = found.into_iter().map(|(path, _)| ImageSource::File(path)).collect();
    Ok(split)
}

/// A normalised caption: control characters, which could speak to a terminal, are white space; giant words are cut.
fn tidy(text: &str) -> String {
    let text = printable_spaces(text);
    let normal = caption::normalise(&text, MAX_WORDS);
    if normal.len() <= MAX_WORD_BYTES {
        return normal;
    }
    let cut = |word: &str| word.get(..word.floor_char_boundary(MAX_WORD_BYTES)).unwrap_or_default().to_owned();
    normal.split(' ').map(cut).collect::<Vec<_>>().join(" ")
}

fn printable_spaces(text: &str) -> String {
    let foreign = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if foreign(c) { ' ' } else { c }).collect()
}

/// Whether `path` stays below where it is joined to: no `..`, no root, no drive, not empty.
pub(crate) fn stays_inside(path: &str) -> bool {
    let ordinary = |c: Component<'_>| matches!(c, Component::Normal(_) | Component::CurDir);
    !path.is_empty() && !path.contains('\0') && Path::new(path).components().all(ordinary)
}

fn check_relative(row: &Listed) -> Result<()> {
    if stays_inside(&row.image) {
        return Ok(());
    }
    let message = format!("{}: the image path \"{}\" leaves the data folder", row.place, printable(&row.image));
    Err(Error::input(&row.list, message))
}

/// Where each image lies, with its size and modification time for the fingerprint.
fn locate(rows: &[Listed]) -> Result<Vec<(PathBuf, String)>> {
    // Rc is not Send: what the threads need is taken out first.
    let Some(roots) = rows.first().map(|r| r.roots.as_ref().clone()) else { return Ok(vec![]) };
    let names: Vec<&str> = rows.iter().map(|r| r.image.as_str()).collect();
    // Network file systems take a millisecond per question; order is kept by collect.
    let found: Vec<Option<(PathBuf, String)>> = names.par_iter().map(|name| stamp(&roots, name)).collect();
    let missing: Vec<usize> = (0..rows.len()).filter(|&i| found[i].is_none()).collect();
    let Some(&at) = missing.first() else { return Ok(found.into_iter().flatten().collect()) };
    let row = &rows[at];
    let others = match missing.len() {
        1 => String::new(),
        n => format!("; {n} of {} images are missing", rows.len()),
    };
    let below = if roots.len() > 1 { " or in a folder directly below" } else { "" };
    let base = roots[0].display();
    let message = format!("{}: no image \"{}\" in {base}{below}{others}", row.place, printable(&row.image));
    Err(Error::input(&row.list, message))
}

fn stamp(roots: &[PathBuf], name: &str) -> Option<(PathBuf, String)> {
    roots.iter().find_map(|root| {
        let path = root.join(name);
        let about = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
        let time = about.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
        Some((path, format!(" {} {}", about.len(), time.as_nanos())))
    })
}

#[cfg(test)]
mod tests;
