//! Files of one name that are one sample: a picture, and beside it its captions as text or JSON. In a shard, or in folders.

use super::{
    fields::{Names, Read},
    files::{json, text},
    listing::{Listed, Origin, Problem},
};
use crate::error::{Error, Result};
use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::Arc,
};

/// Endings of pictures that are looked for unless a setting names another.
pub(super) const PICTURES: [&str; 10] = ["jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "jfif", "jpe"];
/// Endings of text beside pictures.
const TEXTS: [&str; 2] = ["txt", "caption"];

/// Parts of one key.
struct Sample<T> {
    image: Option<T>,
    text: Option<T>,
    json: Option<T>,
}

/// A file of a sample.
pub(super) trait Member {
    /// Its path below the folder or in the shard.
    fn name(&self) -> &str;

    /// Where its bytes lie.
    fn origin(&self) -> Origin;

    /// Its bytes, of which there may be about a megabyte.
    ///
    /// # Errors
    /// Those of reading; [`Error::Input`] for more.
    fn read(&self) -> Result<Vec<u8>>;

    /// What it is called in messages.
    fn place(&self) -> String;
}

/// See [`captions`].
type Captions = (Vec<String>, bool, usize, Option<u128>);

/// What is wrong with samples, and how often.
pub(super) type Met = [(Problem, usize); 3];

/// The complete samples in the order of their first members, and what else was met; `list` is the shard or the folder.
pub(super) fn samples<T: Member>(list: &Arc<Path>, members: &[T], names: &Names) -> Result<(Vec<Listed>, Met)> {
    let (mut twice, mut odd) = (0, 0);
    let mut order: HashMap<&str, usize> = HashMap::new();
    let mut samples: BTreeMap<usize, Sample<&T>> = BTreeMap::new();
    for member in members {
        let Some((key, extension)) = key_and_extension(member.name()) else { continue };
        let next = order.len();
        let sample = samples.entry(*order.entry(key).or_insert(next));
        let sample = sample.or_insert(Sample { image: None, text: None, json: None });
        let Some(slot) = sample.slot(&extension.to_ascii_lowercase(), names) else { continue };
        twice += usize::from(slot.is_some());
        slot.get_or_insert(member);
    }
    let mut rows = Vec::new();
    let all = samples.len();
    // Where the first have no names of DataComp's, none has: text beside them is not read for nothing.
    let mut named = true;
    for sample in samples.values() {
        let (Some(image), Some(words)) = (sample.image, sample.text.or(sample.json)) else { continue };
        let (captions, both, more, mut uid) = captions(list, words, sample.text.is_some(), names)?;
        if let Some(json) = sample.json.filter(|_| sample.text.is_some() && named) {
            uid = name_in(&json.read()?, names);
            named = uid.is_some();
        }
        twice += usize::from(both);
        odd += more;
        let (image, place, origin) = (image.name().to_owned(), image.place(), image.origin());
        rows.push(Listed { image, captions, list: list.clone(), place, origin, uid });
    }
    let left_out = all - rows.len();
    Ok((rows, [(Problem::IncompleteSample, left_out), (Problem::SaidTwice, twice), (Problem::NotANumber, odd)]))
}

impl<T> Sample<T> {
    /// What a member that ends so is for its sample.
    fn slot(&mut self, extension: &str, names: &Names) -> Option<&mut Option<T>> {
        let last = extension.rsplit('.').next().unwrap_or_default();
        // `left` and `left.jpg` both name `a.left.jpg`.
        let named = |name: &String| {
            let whole = name.to_ascii_lowercase();
            extension == whole || extension.strip_suffix(last).and_then(|e| e.strip_suffix('.')) == Some(&whole)
        };
        let picture = PICTURES.contains(&last);
        let is_image = match &names.image {
            Some(name) => named(name) && last != "json",
            None => picture,
        };
        let is_text = match &names.caption {
            // Of a key in JSON no file has the name.
            Some(name) => named(name) && last != "json",
            None => TEXTS.contains(&last),
        };
        match (is_image, is_text, last) {
            (true, ..) => Some(&mut self.image),
            (_, true, _) => Some(&mut self.text),
            (.., "json") => Some(&mut self.json),
            _ => None,
        }
    }
}

/// `a/b` and `seg.png` of `a/b.seg.png`; `None` for hidden files, those without extension and webdataset's own `__…__`.
pub(super) fn key_and_extension(name: &str) -> Option<(&str, &str)> {
    let base = name.rfind('/').map_or(0, |at| at + 1);
    let dot = base + name[base..].find('.')?;
    let ours = dot > base && !name[base..].starts_with("__") && dot + 1 < name.len();
    ours.then(|| (&name[..dot], &name[dot + 1..]))
}

/// DataComp's name in a JSON member, if there is one.
fn name_in(bytes: &[u8], names: &Names) -> Option<u128> {
    json::read(bytes, |bytes| Read(names).keys(bytes)).ok()?.0.uid
}

/// The captions in a text or JSON member, whether it has them by two keys, how many NaNs, and DataComp's name.
fn captions<T: Member>(list: &Path, member: &T, plain: bool, names: &Names) -> Result<Captions> {
    let wrong = |what: &str| {
        let message = format!("{}: \"{}\": {what}", member.place(), member.name());
        Error::input(list, crate::fsio::printable(&message))
    };
    let bytes = member.read()?;
    if plain {
        let text = text::text(bytes).map_err(|e| wrong(&e))?;
        return Ok((text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect(), false, 0, None));
    }
    let bytes = text::unmarked(bytes).map_err(|e| wrong(&e))?;
    let read = json::read(&bytes, |bytes| Read(names).captions(bytes));
    let ((captions, both, uid), odd) = read.map_err(|e| wrong(&e.to_string()))?;
    Ok((captions, both, odd, uid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_end_at_the_first_dot_of_the_last_component() {
        assert_eq!(key_and_extension("a.b/c.seg.png"), Some(("a.b/c", "seg.png")));
        assert_eq!(key_and_extension("0001.jpg"), Some(("0001", "jpg")));
        for name in ["noext", "a.b/noext", ".hidden", "a/.hidden.png", "__key__.txt", "dot."] {
            assert_eq!(key_and_extension(name), None, "{name}");
        }
    }
}
