//! Finds out how a data set lies on disk and reads it, once and checked: every image is there before a stage begins.

use crate::{
    data::{
        Dataset, Rules, Split, build,
        folder::Place,
        formats::{FORMATS, embeddings, parquet, table, webdataset},
        listing::{Format, Listing, Origin, Problem},
        ready::Ready,
        splits::Part,
    },
    error::{Error, Result},
    fingerprint::Fingerprint,
    fsio::printable,
};
use sha2::{Digest, Sha256};
use std::path::Path;

/// Names of the layouts and what they are.
pub fn layouts() -> impl Iterator<Item = (&'static str, &'static str)> {
    FORMATS.iter().map(|format| (format.name, format.words))
}

/// Reads the captioned image set at `path`, a folder, one of its files or a pattern of shards, in the first layout of
/// [`layouts`] that it looks like; where features lie beside a folder's lists, with those.
///
/// Splits go by the words that Hugging Face's `datasets` knows (`valid`, `dev`, `eval`, `val2017`); what has a place beside
/// them but says none is left out, and told.
///
/// Splits that are absent are empty. Captions that hold no word are skipped, images left without any too, and their number is
/// logged.
///
/// A path with `..` or an absolute one is refused, since lists come from strangers; links inside the data root are
/// followed, wherever they lead: they are the owner's, and clusters keep images on other volumes.
///
/// # Errors
/// [`Error::Input`] naming file, row and path: not a known layout, malformed JSON, a path that climbs out, missing
/// images (the first, and how many). [`Error::Io`] for what cannot be read.
pub fn open(path: &Path) -> Result<Dataset> {
    open_by(path, &Rules::default())
}

/// As [`open`], by other rules.
///
/// # Errors
/// As [`open`]; [`Error::Setting`] if the layout that they name is unknown.
pub fn open_by(path: &Path, rules: &Rules) -> Result<Dataset> {
    let (_, listing) = list(path, rules)?;
    let Listing { name, parts: [train, val, test], features: [train_features, val_features, test_features], noted } =
        listing;
    let (mut hash, mut stamps, mut skipped) = (Sha256::new(), Sha256::new(), 0);
    // What else the rules say is seen in what was read.
    let seen = (rules.orientation, rules.pre_caption);
    if seen != Default::default() {
        hash.update(format!("{seen:?}\n"));
    }
    let mut split = |rows, features| build::split(rows, features, rules, (&mut hash, &mut stamps), &mut skipped);
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
    let listed = Fingerprint::of_hash(hash);
    let fingerprint = Fingerprint::of_content("files", &(), &[&listed, &Fingerprint::of_hash(stamps)]);
    Ok(Dataset { name, train, val, test, listed, fingerprint })
}

/// What the lists at `path` say, nothing of it checked yet, and how it was read.
pub(super) fn list(path: &Path, rules: &Rules) -> Result<(&'static Format, Listing)> {
    let place = Place::open(path, webdataset::is_pattern(path))?;
    let format = match &rules.layout {
        Some(name) => FORMATS.into_iter().find(|format| format.name == name).ok_or_else(|| unknown(name))?,
        None => FORMATS.into_iter().find(|format| (format.is)(&place)).ok_or_else(|| none_of_them(&place))?,
    };
    let listing = (format.read)(&place, &rules.names)?;
    let has_own = listing.features.iter().any(|f| f.image.is_some() || f.text.is_some());
    let listing = if place.file.is_some() || has_own { listing } else { listing.with_features(&place.dir)? };
    Ok((format, listing))
}

fn unknown(name: &str) -> Error {
    let known: Vec<&str> = FORMATS.iter().map(|format| format.name).collect();
    Error::setting("data.layout", format!("`{}` is none of {}", printable(name), known.join(", ")))
}

fn none_of_them(place: &Place) -> Error {
    // A file that would be one of them but for its own fault says more than all that it might be.
    if let Some(fault) = parquet::fault(place).or_else(|| table::fault(place)) {
        return fault;
    }
    let known: Vec<&str> = FORMATS.iter().map(|format| format.words).collect();
    Error::input(&place.path, format!("not a captioned image set; looked for {}", known.join("; ")))
}

impl Listing {
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
            let file = split.ready.as_ref().or(train.ready.as_ref()).map_or(path, Ready::path);
            Err(Error::input(file, format!("has ready features of the {with} split but none of the {without} split")))
        }
    }
}

#[cfg(test)]
mod tests;
