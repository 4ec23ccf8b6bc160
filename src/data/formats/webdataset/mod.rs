//! webdataset: tar shards whose members with one key are one sample. Read in place, nothing is unpacked.
//!
//! A member's key is its path up to the first dot of its last component, its extension what follows, as webdataset
//! defines it. An image (`jpg`, `jpeg`, `png`, `webp`) and captions (`txt`: one a line; else `json`: a string, strings, or
//! an object with `caption` or `text`) of one key in one shard are an image and its captions; other members are passed
//! over, samples without image or caption skipped and counted. Names are only keys: one that climbs out leads nowhere.
//!
//! Of several pictures, texts or JSON objects of one sample the first counts.
//!
//! A shard belongs to the split that a word of its name says (`flickr_test_000.tar`), else its folder's
//! (`val/000.tar`), else to training; but beside shards that are named training it is left out.

use super::karpathy;
use crate::{
    data::{
        files::{
            decode::read_part,
            json,
            tarfile::{self, Member},
            text,
        },
        folder::{file_names, folder_name, stamp},
        listing::{Listed, Listing, Origin, Problem, Shard},
        splits::{Part, other_folders, part_of, split_folders, split_of},
    },
    error::{Error, Result},
    fsio::printable,
    lfs,
};
use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
};

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
pub(in crate::data) fn expand(pattern: &Path) -> Result<Vec<PathBuf>> {
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

/// The `.tar` files in `dir` and in its folders named after splits, sorted.
pub(in crate::data) fn shards_below(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut shards = Vec::new();
    for (_, folder) in split_folders(dir) {
        shards.extend(shards_in(&folder)?);
    }
    Ok(shards)
}

fn shards_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let names = file_names(folder)?;
    Ok(names.iter().filter(|n| n.ends_with(".tar")).map(|n| folder.join(n)).collect())
}

/// The split that each shard's name says, else its folder's below `source`. One that says none is training, unless
/// others say that they are.
fn parts_of(source: &Path, shards: &[PathBuf]) -> Vec<Option<Part>> {
    let here = |path: &PathBuf| path.parent() == Some(source) && source.is_dir();
    let named = |path: &PathBuf| {
        if here(path) { split_of(&path.file_stem()?.to_string_lossy()) } else { part_of(path) }
    };
    let said: Vec<Option<Part>> = shards.iter().map(named).collect();
    let rest = (!said.contains(&Some(Part::Train))).then_some(Part::Train);
    said.into_iter().map(|part| part.or(rest)).collect()
}

/// The samples of `shards`; `source` is what they were asked for as, for the data set's name.
pub(in crate::data) fn list(source: &Path, shards: &[PathBuf]) -> Result<Listing> {
    let mut parts = [vec![], vec![], vec![]];
    let mut noted = Vec::new();
    for (path, part) in shards.iter().zip(parts_of(source, shards)) {
        let stamp = stamp(path).ok_or_else(|| Error::input(path, "there is no such shard"))?;
        let Some(part) = part else {
            noted.push((Problem::LeftOut, path.display().to_string(), 1));
            continue;
        };
        let shard = Arc::new(Shard { path: Arc::from(path.as_path()), stamp });
        let (rows, met) = samples(&shard)?;
        parts[part as usize].extend(rows);
        let met = met.into_iter().filter(|(_, count)| *count > 0);
        noted.extend(met.map(|(problem, count)| (problem, path.display().to_string(), count)));
    }
    if source.is_dir() {
        for folder in other_folders(source) {
            noted.extend(shards_in(&folder)?.iter().map(|path| (Problem::LeftOut, path.display().to_string(), 1)));
        }
    }
    let plain = source.to_string_lossy();
    let folder = if source.is_dir() { source } else { Path::new(plain.split('{').next().unwrap_or_default()) };
    let name = if source.is_dir() { folder_name(folder) } else { folder_name(folder.parent().unwrap_or(folder)) };
    Ok(Listing { name, parts, noted, ..Listing::default() })
}

/// Members of one key.
#[derive(Default)]
struct Sample<'a> {
    image: Option<&'a Member>,
    text: Option<&'a Member>,
    json: Option<&'a Member>,
}

/// What is wrong with a shard, and how often.
type Met = [(Problem, usize); 3];

/// The complete samples of one shard in the order of their first members, and what else was met.
fn samples(shard: &Arc<Shard>) -> Result<(Vec<Listed>, Met)> {
    let members = tarfile::members(&shard.path).map_err(lfs::told(&shard.path))?;
    let (mut twice, mut odd) = (0, 0);
    let mut order: HashMap<&str, usize> = HashMap::new();
    let mut samples: BTreeMap<usize, Sample> = BTreeMap::new();
    for member in &members {
        let Some((key, extension)) = key_and_extension(&member.name) else { continue };
        let next = order.len();
        let sample = samples.entry(*order.entry(key).or_insert(next)).or_default();
        let slot = match extension.rsplit('.').next().unwrap_or_default().to_ascii_lowercase().as_str() {
            "jpg" | "jpeg" | "png" | "webp" => &mut sample.image,
            "txt" => &mut sample.text,
            "json" => &mut sample.json,
            _ => continue,
        };
        twice += usize::from(slot.is_some());
        slot.get_or_insert(member);
    }
    let mut rows = Vec::new();
    let all = samples.len();
    for sample in samples.values() {
        let (Some(image), Some(words)) = (sample.image, sample.text.or(sample.json)) else { continue };
        let (captions, both, more) = captions(shard, words, sample.text.is_some())?;
        twice += usize::from(both);
        odd += more;
        rows.push(Listed {
            image: image.name.clone(),
            captions,
            list: shard.path.clone(),
            place: format!("byte {}", image.offset),
            origin: Origin::Member { shard: shard.clone(), offset: image.offset, length: image.length },
        });
    }
    let left_out = all - rows.len();
    Ok((rows, [(Problem::IncompleteSample, left_out), (Problem::SaidTwice, twice), (Problem::NotANumber, odd)]))
}

/// `a/b` and `seg.png` of `a/b.seg.png`; `None` for hidden files, those without extension and webdataset's own `__…__`.
fn key_and_extension(name: &str) -> Option<(&str, &str)> {
    let base = name.rfind('/').map_or(0, |at| at + 1);
    let dot = base + name[base..].find('.')?;
    let ours = dot > base && !name[base..].starts_with("__") && dot + 1 < name.len();
    ours.then(|| (&name[..dot], &name[dot + 1..]))
}

/// The captions in a text or JSON member, whether it has them by two keys, and how many NaNs.
fn captions(shard: &Shard, member: &Member, plain: bool) -> Result<(Vec<String>, bool, usize)> {
    let wrong = |what: &str| {
        let message = format!("byte {}: \"{}\": {what}", member.offset, member.name);
        Error::input(&*shard.path, printable(&message))
    };
    if member.length > MAX_TEXT {
        return Err(wrong(&format!("{} bytes: too large for captions", member.length)));
    }
    let bytes = read_part(&shard.path, &shard.path, member.offset, member.length)?;
    if plain {
        let text = text::text(bytes).map_err(|e| wrong(&e))?;
        return Ok((text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect(), false, 0));
    }
    let bytes = text::unmarked(bytes).map_err(|e| wrong(&e))?;
    let ((captions, both), odd) = json::read(&bytes, karpathy::captions).map_err(|e| wrong(&e.to_string()))?;
    Ok((captions, both, odd))
}

#[cfg(test)]
mod tests;
