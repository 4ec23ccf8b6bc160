//! What would stop or spoil a run on a data set, all of it at once and before anything is computed.

use super::{
    ImageSource, Rules, Split, build, caption,
    files::decode,
    listing::{Listed, Listing, Problem},
    ready::Ready,
    source,
    splits::PARTS,
};
use crate::{error::Result, fsio::printable};
use rayon::prelude::*;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::Path,
};

/// Examples kept of each problem.
pub const EXAMPLES: usize = 10;
/// Images read between two looks at whether to go on.
const BATCH: usize = 64;

/// How often a problem occurs, and where first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Found {
    /// Occurrences.
    pub count: usize,
    /// The first ten places.
    pub examples: Vec<String>,
}

/// What a data set holds and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// The data set's name.
    pub name: String,
    /// The layout that it was read in, and what that is.
    pub layout: (&'static str, &'static str),
    /// Images and captions of train, val and test, as listed.
    pub splits: [(usize, usize); 3],
    /// Images of which there are only features.
    pub features_only: usize,
    /// Images that carry an EXIF orientation.
    pub turned: usize,
    /// Whether embeddings came with it.
    pub ready: bool,
    /// Captions in whose place CLIP reads something else.
    pub rewritten: usize,
    /// What was found; empty if the data set is clean.
    pub problems: BTreeMap<Problem, Found>,
}

impl Checked {
    /// Counts one more at `place`.
    pub fn add(&mut self, problem: Problem, place: impl FnOnce() -> String) {
        let found = self.problems.entry(problem).or_default();
        found.count += 1;
        if found.examples.len() < EXAMPLES {
            found.examples.push(printable(&place()));
        }
    }

    /// How many of the problems would stop a run.
    pub fn stopping(&self) -> usize {
        self.problems.iter().filter(|(p, _)| p.stops()).map(|(_, found)| found.count).sum()
    }
}

/// Reads every caption and decodes every image of the data set at `path`, all that [`source::open`] understands;
/// `decoder` is how wide the embeddings are that it decodes, if that is known, and what to call features of another
/// width; `step` is told how many images are done, of how many.
///
/// # Errors
/// Lists that cannot be read at all, as [`source::open`]; what `step` returns.
pub fn check(
    path: &Path,
    rules: &Rules,
    decoder: Option<(usize, Problem)>,
    step: &mut dyn FnMut(usize, usize) -> Result<()>,
) -> Result<Checked> {
    let (format, Listing { name, parts, noted, .. }) = source::list(path, rules)?;
    let layout = (format.name, format.words);
    let mut checked = Checked {
        name,
        layout,
        splits: [(0, 0); 3],
        features_only: 0,
        turned: 0,
        ready: false,
        rewritten: 0,
        problems: BTreeMap::new(),
    };
    for (problem, place, count) in noted {
        checked.add(problem, || if count > 1 { format!("{place}: {count}") } else { place });
        checked.problems.entry(problem).or_default().count += count - 1;
    }
    let images: Vec<(usize, Listed)> =
        parts.into_iter().enumerate().flat_map(|(at, rows)| captions(at, rows, rules, &mut checked)).collect();
    let mut hashes: HashMap<[u8; 32], (usize, String)> = HashMap::new();
    for (n, batch) in images.chunks(BATCH).enumerate() {
        step(n * BATCH, images.len())?;
        let seen: Vec<Image> = batch.par_iter().map(|(_, row)| look(row)).collect();
        for ((split, row), image) in batch.iter().zip(seen) {
            note(*split, row, image, &mut hashes, &mut checked);
        }
    }
    step(images.len(), images.len())?;
    if checked.splits[0].1 == 0 {
        checked.add(Problem::Unusable, || format!("{}: no training pairs: there is nothing to distil", path.display()));
    }
    if checked.stopping() == 0 {
        // Everything is there: whether it fits together is for the reader itself to say.
        let whole = source::open_by(path, rules).and_then(|set| {
            checked.ready = set.train.ready.is_some();
            if let (Some(ready), Some((wide, problem))) = (&set.train.ready, decoder)
                && let Err(e) = ready.fits_decoder(wide)
            {
                checked.add(problem, || e.to_string());
            }
            [set.train, set.val, set.test].iter().try_for_each(features)
        });
        if let Err(e) = whole {
            checked.add(Problem::Unusable, || e.to_string());
        }
    }
    Ok(checked)
}

/// Looks at the captions of one split; every image of it once.
fn captions(split: usize, rows: Vec<Listed>, rules: &Rules, checked: &mut Checked) -> Vec<(usize, Listed)> {
    let mut said: HashMap<String, String> = HashMap::new();
    let mut names: HashSet<(usize, String)> = HashSet::new();
    let mut images = Vec::new();
    for row in rows {
        let place = || format!("{}: {}", row.list.display(), row.place);
        if row.captions.is_empty() {
            checked.add(Problem::EmptyCaption, || format!("{}: no caption", place()));
        }
        for given in &row.captions {
            let own = caption::own(given);
            let text = rules.pre_caption.read(&own).into_owned();
            checked.splits[split].1 += 1;
            checked.rewritten += usize::from(text != own);
            if given.trim().len() > caption::MAX_BYTES {
                checked.add(Problem::LongCaption, place);
            }
            if text.is_empty() {
                checked.add(Problem::EmptyCaption, place);
            } else if let Some(before) = said.get(&text) {
                checked.add(Problem::DuplicateCaption, || {
                    format!("{} {}: \"{text}\", as {before}", called(split), row.image)
                });
            } else {
                said.insert(text, row.image.clone());
            }
        }
        if names.insert(row.key()) {
            checked.splits[split].0 += 1;
            images.push((split, row));
        }
    }
    images
}

fn called(split: usize) -> &'static str {
    PARTS[split].1
}

/// What came of looking for an image.
enum Image {
    /// Its hash, and whether it carries an orientation.
    Fine([u8; 32], bool),
    FeaturesOnly,
    Wrong(Problem, String),
}

fn look(row: &Listed) -> Image {
    if let Err(e) = build::check_relative(row) {
        return Image::Wrong(Problem::PathOutside, e.to_string());
    }
    let image = match build::locate(row) {
        None => {
            return Image::Wrong(Problem::MissingImage, format!("{}: {}", row.list.display(), build::absence(row)));
        }
        Some((ImageSource::Absent(_), _)) => return Image::FeaturesOnly,
        Some((image, _)) => image,
    };
    let decoded = image.read().and_then(|(path, bytes)| {
        decode::decode_bytes(path, &bytes).map(|_| (Sha256::digest(&*bytes).into(), decode::is_turned(&bytes)))
    });
    decoded.map_or_else(
        |e| Image::Wrong(Problem::UnreadableImage, e.to_string()),
        |(hash, turned)| Image::Fine(hash, turned),
    )
}

fn note(
    split: usize,
    row: &Listed,
    image: Image,
    hashes: &mut HashMap<[u8; 32], (usize, String)>,
    checked: &mut Checked,
) {
    let hash = match image {
        Image::Fine(hash, turned) => {
            checked.turned += usize::from(turned);
            hash
        }
        Image::FeaturesOnly => {
            checked.features_only += 1;
            return;
        }
        Image::Wrong(problem, what) => return checked.add(problem, || what),
    };
    let here = format!("{} {}", called(split), row.image);
    match hashes.get(&hash) {
        None => {
            hashes.insert(hash, (split, row.image.clone()));
        }
        Some((before, name)) => {
            let problem = if *before == split { Problem::DuplicateImage } else { Problem::Leak };
            checked.add(problem, || format!("{here} is {} {name}", called(*before)));
        }
    }
}

/// Whether the features that came with a split are all numbers.
fn features(split: &Split) -> Result<()> {
    split.features.values().try_for_each(|f| f.read().map(|_| ()))?;
    split.ready.as_ref().map_or(Ok(()), Ready::check)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs;

    fn picture(path: &Path, n: u8) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        image::RgbImage::from_pixel(4, 3, image::Rgb([n, 2, 3])).save(path).unwrap();
    }

    fn found(dir: &Path) -> (Checked, Vec<(Problem, usize)>) {
        let mut last = 0;
        let checked = check(dir, &Rules::default(), None, &mut |done, total| {
            assert!(done <= total);
            last = done;
            Ok(())
        })
        .unwrap();
        let counts = checked.problems.iter().map(|(p, f)| (*p, f.count)).collect();
        assert_eq!(last, checked.splits.iter().map(|s| s.0).sum::<usize>());
        (checked, counts)
    }

    #[test]
    fn a_clean_set_has_no_problems() {
        let dir = tempfile::tempdir().unwrap();
        picture(&dir.path().join("a.png"), 1);
        fs::write(dir.path().join("x_train.json"), r#"[{"image":"a.png","caption":["one","two"]}]"#).unwrap();
        let (checked, problems) = found(dir.path());
        assert_eq!((checked.splits, problems, checked.stopping()), ([(1, 2), (0, 0), (0, 0)], vec![], 0));
    }

    #[test]
    fn every_problem_is_counted_and_placed_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for (name, n) in [("a.png", 1), ("same.png", 1), ("leak.png", 1), ("b.png", 2)] {
            picture(&at(name), n);
        }
        fs::write(at("broken.png"), &fs::read(at("b.png")).unwrap()[..40]).unwrap();
        let train = r#"[{"image":"a.png","caption":"A dog."},{"image":"same.png","caption":["a dog!","..."]},
            {"image":"gone\u001b.png","caption":"x"},{"image":"../a.png","caption":"y"},{"image":"broken.png","caption":"z"}]"#;
        fs::write(at("x_train.json"), train).unwrap();
        fs::write(at("x_test.json"), r#"[{"image":"leak.png","caption":"a dog"},{"image":"b.png","caption":"w"}]"#)
            .unwrap();
        let (checked, problems) = found(dir.path());
        let expected = [
            (Problem::PathOutside, 1),
            (Problem::MissingImage, 1),
            (Problem::UnreadableImage, 1),
            (Problem::Leak, 1),
            (Problem::EmptyCaption, 1),
            (Problem::DuplicateImage, 1),
            (Problem::DuplicateCaption, 1),
        ];
        assert_eq!(problems, expected);
        assert_eq!(checked.stopping(), 3);
        let example = |p: Problem| checked.problems[&p].examples[0].as_str();
        assert_eq!(example(Problem::Leak), "test leak.png is train a.png");
        assert_eq!(example(Problem::DuplicateImage), "train same.png is train a.png");
        assert!(example(Problem::MissingImage).contains("row 3: no image \"gone\\u{1b}.png\""));
        assert!(example(Problem::DuplicateCaption).eq("train same.png: \"a dog\", as a.png"));
        assert!(example(Problem::UnreadableImage).contains("broken.png: not a readable image"));
    }

    #[test]
    fn features_that_do_not_fit_or_are_no_numbers_are_found() {
        use crate::data::files::npy::tests::singles;
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("captions.txt"), "one\ntwo\n").unwrap();
        fs::write(dir.path().join("image.npy"), singles(2, 1, &[1.0, 2.0])).unwrap();
        fs::write(dir.path().join("text.npy"), singles(2, 1, &[1.0, f32::INFINITY])).unwrap();
        let (checked, problems) = found(dir.path());
        assert_eq!((checked.features_only, problems), (2, vec![(Problem::Unusable, 1)]));
        assert!(checked.problems[&Problem::Unusable].examples[0].contains("text.npy: row 1, column 0 is inf"));
    }

    #[test]
    fn samples_of_shards_are_read_in_place_and_incomplete_ones_counted() {
        let dir = tempfile::tempdir().unwrap();
        picture(&dir.path().join("p.png"), 1);
        let mut to = tar::Builder::new(fs::File::create(dir.path().join("a.tar")).unwrap());
        for name in ["0.png", "1.png"] {
            to.append_path_with_name(dir.path().join("p.png"), name).unwrap();
        }
        fs::write(dir.path().join("t"), "a dog").unwrap();
        to.append_path_with_name(dir.path().join("t"), "0.txt").unwrap();
        to.finish().unwrap();
        let (checked, problems) = found(dir.path());
        assert_eq!((checked.splits[0], problems), ((1, 1), vec![(Problem::IncompleteSample, 1)]));
    }
}
