//! webdataset: tar shards whose members with one key are one sample. Read in place, nothing is unpacked.
//!
//! A member's key is its path up to the first dot of its last component, its extension what follows, as webdataset
//! defines it. An image and captions (`txt`: one a line; else `json`: a string, strings, or an object with `caption` or
//! `text`) of one key in one shard are an image and its captions; other members are passed over, samples without image or
//! caption skipped and counted. Names are only keys: one that climbs out leads nowhere.
//!
//! Of several pictures, texts or JSON objects of one sample the first counts, unless a setting names another. A shard that is
//! packed by gzip is unpacked to a temporary file.
//!
//! A shard belongs to the split that a word of its name says (`flickr_test_000.tar`), else its folder's
//! (`val/000.tar`), else to training; but beside shards that are named training it is left out.

use crate::{
    data::{
        fields::Names,
        files::{
            tarfile::{self, Member},
            unpacked::Unpacked,
        },
        folder::{Place, file_names, folder_name, stamp},
        listing::{Format, Listing, Origin, Problem, Shard},
        samples,
        splits::{other_folders, parts_of},
    },
    door,
    error::{Error, Result},
    fsio::printable,
    lfs,
};
use std::{
    io::{Read, Seek},
    path::{Path, PathBuf},
    sync::Arc,
};

/// A folder of shards, one of them, or a pattern.
pub(in crate::data) const FORMAT: Format = Format {
    name: "webdataset",
    words: "webdataset shards (.tar, .tar.gz)",
    is: |place| {
        let pattern = is_pattern(&place.path) && !place.path.exists();
        pattern || place.files(&ENDINGS).is_ok_and(|shards| !shards.is_empty())
    },
    read,
};

const ENDINGS: [&str; 3] = [".tar", ".tar.gz", ".tgz"];
/// Largest text or JSON member read, in bytes.
const MAX_TEXT: u64 = 1 << 20;
/// Most shards one pattern may name.
const MAX_SHARDS: usize = 100_000;

/// Whether `path` has braces that may name several shards.
pub fn is_pattern(path: &Path) -> bool {
    let text = path.to_string_lossy();
    text.find('{').is_some_and(|at| text[at..].contains('}'))
}

/// The shards that `pattern` names: `{00000..00012}` counts (as wide as its first number), `{train,test}` lists; several
/// braces give all combinations, the last one fastest.
///
/// # Errors
/// [`Error::Input`] for braces that are neither, or too many shards.
fn expand(pattern: &Path) -> Result<Vec<PathBuf>> {
    let text = pattern.to_str().ok_or_else(|| Error::input(pattern, "the pattern is not UTF-8"))?;
    let mut paths = vec![String::new()];
    let mut rest = text;
    while let Some((before, braced)) = rest.split_once('{') {
        let (inside, after) = braced.split_once('}').ok_or_else(|| Error::input(pattern, "a brace is never closed"))?;
        let choices = choices(inside).ok_or_else(|| {
            let message = format!("{{{}}} is neither a range such as {{000..012}} nor a list", printable(inside));
            Error::input(pattern, message)
        })?;
        if paths.len().saturating_mul(choices.len()) > MAX_SHARDS {
            return Err(Error::input(pattern, format!("names more than {MAX_SHARDS} shards")));
        }
        let all = |p: &String| choices.iter().map(|c| format!("{p}{before}{c}")).collect::<Vec<_>>();
        paths = paths.iter().flat_map(all).collect();
        rest = after;
    }
    Ok(paths.into_iter().map(|p| PathBuf::from(p + rest)).collect())
}

fn choices(inside: &str) -> Option<Vec<String>> {
    let Some((from, to)) = inside.split_once("..") else {
        return inside.contains(',').then(|| inside.split(',').map(str::to_owned).collect());
    };
    let digits = |t: &str| !t.is_empty() && t.len() <= 9 && t.bytes().all(|b| b.is_ascii_digit());
    if !digits(from) || !digits(to) {
        return None;
    }
    let (first, last): (usize, usize) = (from.parse().ok()?, to.parse().ok()?);
    // One more than allowed is enough to be refused.
    (first <= last)
        .then(|| (first..=last).take(MAX_SHARDS + 1).map(|n| format!("{n:0width$}", width = from.len())).collect())
}

/// The split that each shard's name says, else its folder's below the place.
fn read(place: &Place, names: &Names) -> Result<Listing> {
    let source = &place.path;
    let braces = is_pattern(source) && !source.exists();
    let shards = if braces { expand(source)? } else { place.files(&ENDINGS)? };
    if shards.is_empty() {
        return Err(Error::input(source, "holds no .tar file"));
    }
    let folder = place.file.is_none();
    let plain = source.to_string_lossy();
    let before = Path::new(plain.split('{').next().unwrap_or_default());
    let mut listing =
        Listing::new(if folder { folder_name(source) } else { folder_name(before.parent().unwrap_or(before)) });
    for (path, part) in shards.iter().zip(parts_of(source, &shards)) {
        let Some(part) = part else {
            listing.note(Problem::LeftOut, path, 1);
            continue;
        };
        let shard = Arc::new(shard(path)?);
        let members = members(&shard)?;
        let (rows, met) = samples::samples(&shard.path, &members, names)?;
        listing.add(part, rows);
        met.into_iter().for_each(|(problem, count)| listing.note(problem, path, count));
    }
    for other in if folder { other_folders(source) } else { Vec::new() } {
        let left = file_names(&other)?.into_iter().filter(|name| ENDINGS.iter().any(|end| name.ends_with(end)));
        // A folder `data` is read as the place itself.
        let left = left.filter(|_| !other.ends_with("data"));
        left.for_each(|name| listing.note(Problem::LeftOut, &other.join(name), 1));
    }
    Ok(listing)
}

/// The shard at `path`, unpacked where it is packed.
fn shard(path: &Path) -> Result<Shard> {
    let stamp = stamp(path).ok_or_else(|| Error::input(path, "there is no such shard"))?;
    let file = door::open(path).map_err(Error::io(path))?;
    let mut head = [0; 2];
    let packed = (&file).read_exact(&mut head).is_ok() && head == [0x1f, 0x8b];
    let unpack = || {
        (&file).rewind()?;
        Unpacked::gzip(&file)
    };
    let unpacked = packed.then(unpack).transpose();
    let wrong = |e| Error::input(path, format!("not a readable gzip file: {e}"));
    Ok(Shard { path: path.into(), stamp, unpacked: unpacked.map_err(wrong)?.map(Arc::new) })
}

/// A file in a shard.
struct Inside {
    shard: Arc<Shard>,
    member: Member,
}

impl samples::Member for Inside {
    fn name(&self) -> &str {
        &self.member.name
    }

    fn origin(&self) -> Origin {
        Origin::Member { shard: self.shard.clone(), offset: self.member.offset, length: self.member.length }
    }

    fn read(&self) -> Result<Vec<u8>> {
        if self.member.length > MAX_TEXT {
            let (name, length) = (&self.member.name, self.member.length);
            let message = format!("byte {}: \"{name}\": {length} bytes: too large for captions", self.member.offset);
            return Err(Error::input(&*self.shard.path, printable(&message)));
        }
        self.shard.read(self.member.offset, self.member.length)
    }

    fn place(&self) -> String {
        format!("byte {}", self.member.offset)
    }
}

fn members(shard: &Arc<Shard>) -> Result<Vec<Inside>> {
    let path = &shard.path;
    let file = match &shard.unpacked {
        Some(unpacked) => unpacked.file(),
        None => door::open(path),
    };
    let members = tarfile::members(path, file.map_err(Error::io(path))?).map_err(lfs::told(path))?;
    Ok(members.into_iter().map(|member| Inside { shard: shard.clone(), member }).collect())
}

#[cfg(test)]
mod tests;
