//! Listed rows to a checked split: captions tidied, images there, all of it hashed.

pub(crate) use super::folder::stays_inside;
use super::{
    ImageId, ImageSource, Orientation, Pair, Rules, Split, caption,
    files::npy::Table,
    folder::stamp,
    listing::{Listed, Origin},
    ready::{Features, Picked, Ready},
};
use crate::{
    error::{Error, Result},
    fsio::printable,
};
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    path::{Component, Path, PathBuf},
};
use unicode_normalization::UnicodeNormalization;

/// Images looked for before it is concluded that none is there.
const PROBE: usize = 64;
/// Components of a foreign path that are looked for.
const ENDS: usize = 4;

/// Where an image first stands in the lists, counted in each way that rows of features may be.
#[derive(Clone, Copy)]
struct First {
    image: u32,
    entry: u32,
    caption: u32,
}

/// One split: rows of one image gathered, captions tidied, every image checked, features joined, all of it hashed, what
/// tells files from others apart.
pub(super) fn split(
    listed: Vec<Listed>,
    features: Features,
    rules: &Rules,
    (hash, stamps): (&mut Sha256, &mut Sha256),
    skipped: &mut usize,
) -> Result<Split> {
    let mut split = Split { pre_caption: rules.pre_caption, ..Split::default() };
    let mut ids: HashMap<(usize, String), (u32, Option<ImageId>)> = HashMap::new();
    let (mut first, mut firsts): (Vec<Listed>, Vec<First>) = Default::default();
    let (mut text_rows, mut caption) = (Vec::new(), 0);
    let entries = listed.len();
    for (entry, mut row) in listed.into_iter().enumerate() {
        check_relative(&row)?;
        let given = std::mem::take(&mut row.captions);
        let next = ids.len() as u32;
        let (number, id) = ids.entry(row.key()).or_insert((next, None));
        let before = split.pairs.len();
        for (at, text) in given.iter().enumerate() {
            let text = caption::own(text);
            if !rules.pre_caption.read(&text).is_empty() {
                let image = *id.get_or_insert(ImageId(first.len() as u32));
                text_rows.push(caption + at as u32);
                split.pairs.push(Pair { image, caption: text });
            }
        }
        *skipped += given.len().max(1) - (split.pairs.len() - before);
        if id.is_some_and(|id| id.index() == first.len()) {
            firsts.push(First { image: *number, entry: entry as u32, caption: text_rows[before] });
            first.push(row);
        }
        caption += given.len() as u32;
    }
    let found = locate_all(&first)?;
    hash.update([0xff]); // a split begins
    for (row, (_, stamp)) in first.iter().zip(&found) {
        hash.update(format!("{:?}\n", row.image));
        stamps.update(format!("{stamp}\n"));
    }
    for pair in &split.pairs {
        hash.update(format!("{} {}\n", pair.image.0, pair.caption));
    }
    let as_stored = |image: ImageSource| match rules.orientation {
        Orientation::Ignore => ImageSource::AsStored(Box::new(image)),
        Orientation::Apply => image,
    };
    split.uids = first.iter().map(|row| row.uid).collect();
    split.images = found.into_iter().map(|(image, _)| as_stored(image)).collect();
    let counts = Counts { captions: caption as usize, entries, images: ids.len() };
    for (encoder, table) in features.encoders {
        hash.update(format!("{encoder:?}\n"));
        table.hash(hash)?;
        let rows = counts.rows(&table, &firsts)?;
        split.features.insert(encoder, Picked { table, rows });
    }
    if let Some(text) = features.text.filter(|_| !text_rows.is_empty()) {
        let image = features.image.map(|table| Ok((counts.rows(&table, &firsts)?, table))).transpose()?;
        split.ready = Some(join(image, text, text_rows, &counts, hash)?);
    }
    Ok(split)
}

/// What lists hold: rows of features may be any of these.
struct Counts {
    captions: usize,
    entries: usize,
    images: usize,
}

impl Counts {
    /// The row of `table` for each image.
    fn rows(&self, table: &Table, firsts: &[First]) -> Result<Vec<u32>> {
        let row: fn(&First) -> u32 = match table.rows() {
            rows if rows == self.captions => |f| f.caption,
            rows if rows == self.images => |f| f.image,
            rows if rows == self.entries => |f| f.entry,
            _ => return Err(self.odd(table)),
        };
        Ok(firsts.iter().map(row).collect())
    }

    fn odd(&self, table: &Table) -> Error {
        let (rows, captions, images) = (table.rows(), self.captions, self.images);
        let message = format!("{rows} rows, where the lists have {captions} captions of {images} images");
        Error::input(table.path(), message)
    }
}

/// Rows of embeddings to images and pairs.
fn join(
    image: Option<(Vec<u32>, Table)>,
    text: Table,
    text_rows: Vec<u32>,
    counts: &Counts,
    hash: &mut Sha256,
) -> Result<Ready> {
    if text.rows() != counts.captions {
        return Err(counts.odd(&text));
    }
    text.hash(hash)?;
    let Some((image_rows, image)) = image else {
        return Ok(Ready { image: None, text: Picked { table: text, rows: text_rows } });
    };
    image.hash(hash)?;
    if image.width() != text.width() {
        let (wide, other, path) = (image.width(), text.width(), text.path().display());
        return Err(Error::input(image.path(), format!("rows of {wide} numbers, where {path} has {other}")));
    }
    let image = Some(Picked { table: image, rows: image_rows });
    Ok(Ready { image, text: Picked { table: text, rows: text_rows } })
}

/// A listed path must stay inside; the name of a shard's member leads nowhere, it is only a key, and of a path that may
/// be another machine's only the harmless end is used.
pub(in crate::data) fn check_relative(row: &Listed) -> Result<()> {
    if !matches!(row.origin, Origin::Below(_)) || stays_inside(&row.image) {
        return Ok(());
    }
    let message = format!("{}: the image path \"{}\" leaves the data folder", row.place, printable(&row.image));
    Err(Error::input(&*row.list, message))
}

/// Where each image lies, with its size and modification time for the fingerprint.
fn locate_all(rows: &[Listed]) -> Result<Vec<(ImageSource, String)>> {
    // Network file systems take a millisecond per question; order is kept by collect.
    let mut found: Vec<Option<(ImageSource, String)>> = Vec::new();
    // Where the first images are not there none will be: half a million questions are saved.
    let (some, others) = rows.split_at(rows.len().min(PROBE));
    found.par_extend(some.par_iter().map(locate));
    let absent = |i: &Option<(ImageSource, String)>| matches!(i, Some((ImageSource::Absent(_), _)));
    if !found.is_empty() && found.iter().all(absent) {
        found.extend(others.iter().map(|row| Some(missing(row))));
    } else {
        found.par_extend(others.par_iter().map(locate));
        let lacking = found.iter().filter(|i| absent(i)).count();
        if lacking > 0 {
            tracing::warn!(lacking, of = rows.len(), "images were not found; their features are used");
        }
    }
    let gone: Vec<usize> = (0..rows.len()).filter(|&i| found[i].is_none()).collect();
    let Some(&at) = gone.first() else { return Ok(found.into_iter().flatten().collect()) };
    let others = match gone.len() {
        1 => String::new(),
        n => format!("; {n} of {} images are missing", rows.len()),
    };
    Err(Error::input(&*rows[at].list, format!("{}{others}", absence(&rows[at]))))
}

/// What to say of an image that is not there.
pub(in crate::data) fn absence(row: &Listed) -> String {
    let name = printable(&row.image);
    match &row.origin {
        Origin::Below(roots) | Origin::Ends(roots) => {
            let base = roots.first().map(|r| r.display().to_string()).unwrap_or_default();
            let below = if roots.len() > 1 { " or in a folder directly below" } else { "" };
            format!("{}: no image \"{name}\" in {base}{below}", row.place)
        }
        _ => format!("{}: no image \"{name}\"", row.place),
    }
}

/// Where the image of `row` lies and what tells whether it has changed; `None` if it is not there.
pub(in crate::data) fn locate(row: &Listed) -> Option<(ImageSource, String)> {
    let by_end = |roots: &[PathBuf]| {
        let at = |end: &PathBuf| roots.iter().find_map(|root| file(root.join(end)));
        spellings(&row.image).find_map(|name| harmless_ends(&name).iter().find_map(at))
    };
    match &row.origin {
        Origin::Below(roots) => {
            spellings(&row.image).find_map(|name| roots.iter().find_map(|root| file(root.join(&name))))
        }
        Origin::Ends(roots) => by_end(roots),
        Origin::Perhaps(roots) => Some(by_end(roots).unwrap_or_else(|| missing(row))),
        &Origin::Member { ref shard, offset, length } => {
            let stamp = format!("{} {offset} {length}", shard.stamp);
            let name = format!("{}/{}", shard.path.display(), row.image).into();
            Some((ImageSource::Member { shard: shard.clone(), name, offset, length }, stamp))
        }
        &Origin::Cell { ref cells, row: at } => {
            let name = format!("{}/{}", cells.path().display(), row.image).into();
            Some((ImageSource::Cell { cells: cells.clone(), name, row: at }, format!("{} {at}", cells.stamp())))
        }
    }
}

/// An image file and its stamp, if `path` is a file.
fn file(path: PathBuf) -> Option<(ImageSource, String)> {
    stamp(&path).map(|stamp| (ImageSource::File(path), stamp))
}

/// `name`, then with its accents composed, then decomposed: archives from a Mac have names that their lists spell otherwise.
fn spellings(name: &str) -> impl Iterator<Item = String> {
    let forms: [fn(&str) -> String; 2] = [|name| name.nfc().collect(), |name| name.nfd().collect()];
    let others = forms.into_iter().filter(|_| !name.is_ascii()).map(move |form| form(name));
    std::iter::once(name.to_owned()).chain(others)
}

/// An image of which there are only features.
fn missing(row: &Listed) -> (ImageSource, String) {
    (ImageSource::Absent(PathBuf::from(printable(&row.image))), String::new())
}

/// The last components of a path, most of them first, that lead nowhere but down: `a/b`, `b` of `/x/../a/b`.
fn harmless_ends(path: &str) -> Vec<PathBuf> {
    let parts: Vec<Component> = if path.contains('\0') { vec![] } else { Path::new(path).components().collect() };
    let down = parts.iter().rev().take_while(|c| matches!(c, Component::Normal(_))).count();
    (1..=down.min(ENDS)).rev().map(|n| parts[parts.len() - n..].iter().collect()).collect()
}
