//! Listed rows to a checked split: captions normalised, images there, all of it hashed.

use crate::{
    data::{ImageId, ImageSource, Pair, Split, caption, webdataset::Shard},
    error::{Error, Result},
    fsio::printable,
};
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    fs,
    path::{Component, Path, PathBuf},
    sync::Arc,
    time::UNIX_EPOCH,
};

/// Words kept of a caption.
pub const MAX_WORDS: usize = 30;
/// Bytes kept of one word: no word of any caption set comes near, and no "word" of a megabyte gets through.
pub const MAX_WORD_BYTES: usize = 128;

/// An image as a list names it, and where it must lie. Rows of one name are one image.
pub(in crate::data) struct Listed {
    pub image: String,
    pub captions: Vec<String>,
    /// The list and the place in it, for messages: `row 3` or `line 3`.
    pub list: Arc<Path>,
    pub place: String,
    pub origin: Origin,
}

/// Where an image lies.
pub(in crate::data) enum Origin {
    /// In one of these folders, by preference.
    Below(Arc<Vec<PathBuf>>),
    /// In a shard: `length` bytes from `offset`.
    Member { shard: Arc<Shard>, offset: u64, length: u64 },
}

/// One split: rows of one image gathered, captions normalised, every image checked, all of it hashed.
pub(super) fn split(listed: Vec<Listed>, hash: &mut Sha256, skipped: &mut usize) -> Result<Split> {
    let mut split = Split::default();
    let mut ids: HashMap<(Option<Arc<Path>>, String), ImageId> = HashMap::new();
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
        // Keys are those of a shard; paths are those of the whole data set.
        let shard = matches!(row.origin, Origin::Member { .. }).then(|| row.list.clone());
        let image = *ids.entry((shard, row.image.clone())).or_insert(ImageId(first.len() as u32));
        if image.index() == first.len() {
            first.push(row);
        }
        split.pairs.extend(kept.into_iter().map(|caption| Pair { image, caption }));
    }
    let found = locate_all(&first)?;
    hash.update([0xff]); // a split begins
    for (row, (_, stamp)) in first.iter().zip(&found) {
        hash.update(format!("{:?}{stamp}\n", row.image));
    }
    for pair in &split.pairs {
        hash.update(format!("{} {}\n", pair.image.0, pair.caption));
    }
    split.images = found.into_iter().map(|(image, _)| image).collect();
    Ok(split)
}

/// A normalised caption: control characters, which could speak to a terminal, are white space; giant words are cut.
pub(in crate::data) fn tidy(text: &str) -> String {
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

/// A listed path must stay inside; the name of a shard's member leads nowhere, it is only a key.
pub(in crate::data) fn check_relative(row: &Listed) -> Result<()> {
    if matches!(row.origin, Origin::Member { .. }) || stays_inside(&row.image) {
        return Ok(());
    }
    let message = format!("{}: the image path \"{}\" leaves the data folder", row.place, printable(&row.image));
    Err(Error::input(&*row.list, message))
}

/// Where each image lies, with its size and modification time for the fingerprint.
fn locate_all(rows: &[Listed]) -> Result<Vec<(ImageSource, String)>> {
    // Network file systems take a millisecond per question; order is kept by collect.
    let found: Vec<Option<(ImageSource, String)>> = rows.par_iter().map(locate).collect();
    let missing: Vec<usize> = (0..rows.len()).filter(|&i| found[i].is_none()).collect();
    let Some(&at) = missing.first() else { return Ok(found.into_iter().flatten().collect()) };
    let others = match missing.len() {
        1 => String::new(),
        n => format!("; {n} of {} images are missing", rows.len()),
    };
    Err(Error::input(&*rows[at].list, format!("{}{others}", absence(&rows[at]))))
}

/// What to say of an image that is not there.
pub(in crate::data) fn absence(row: &Listed) -> String {
    let name = printable(&row.image);
    match &row.origin {
        Origin::Below(roots) => {
            let base = roots.first().map(|r| r.display().to_string()).unwrap_or_default();
            let below = if roots.len() > 1 { " or in a folder directly below" } else { "" };
            format!("{}: no image \"{name}\" in {base}{below}", row.place)
        }
        Origin::Member { .. } => format!("{}: no image \"{name}\"", row.place),
    }
}

/// Where the image of `row` lies and what tells whether it has changed; `None` if it is not there.
pub(in crate::data) fn locate(row: &Listed) -> Option<(ImageSource, String)> {
    match &row.origin {
        Origin::Below(roots) => roots.iter().find_map(|root| {
            let path = root.join(&row.image);
            let stamp = stamp(&path)?;
            Some((ImageSource::File(path), stamp))
        }),
        &Origin::Member { ref shard, offset, length } => {
            let stamp = format!("{} {offset} {length}", shard.stamp);
            let name = format!("{}/{}", shard.path.display(), row.image).into();
            Some((ImageSource::Member { file: shard.path.clone(), name, offset, length }, stamp))
        }
    }
}

/// Size and modification time of a file; `None` if there is no file.
pub(in crate::data) fn stamp(path: &Path) -> Option<String> {
    let about = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    let time = about.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    Some(format!(" {} {}", about.len(), time.as_nanos()))
}
