//! Which split a name says: the keywords of Hugging Face's `datasets`.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// One of the three splits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Train,
    Val,
    Test,
}

/// The splits and what they are called.
pub(super) const PARTS: [(Part, &str); 3] = [(Part::Train, "train"), (Part::Val, "val"), (Part::Test, "test")];

/// Words that say a split (`datasets.data_files.SPLIT_KEYWORDS`).
const KEYWORDS: [(Part, &[&str]); 3] = [
    (Part::Train, &["train", "training"]),
    (Part::Val, &["validation", "valid", "val", "dev"]),
    (Part::Test, &["test", "testing", "eval", "evaluation"]),
];

/// The split that the first such word of `name` says: `train2017`, `flickr-dev-000`, `Test`.
pub(super) fn split_of(name: &str) -> Option<Part> {
    name.split(|c: char| !c.is_alphabetic()).find_map(|word| {
        let word = word.to_lowercase();
        KEYWORDS.iter().find(|(_, words)| words.contains(&word.as_str())).map(|(part, _)| *part)
    })
}

/// The split that a list's name ends with, and the name of the data set: `flickr30k` of `flickr30k_dev.json`,
/// `coco2017` of `coco_val2017.json`, none of `train.json`.
pub(super) fn of_list(file: &str) -> Option<(Part, String)> {
    let stem = file.strip_suffix(".json")?;
    if let (Some(part), true) = (split_of(stem), stem.chars().all(char::is_alphanumeric)) {
        return Some((part, String::new()));
    }
    let word = stem.trim_end_matches(|c: char| c.is_ascii_digit());
    let (prefix, last) = word.rsplit_once(['_', '-', '.'])?;
    Some((split_of(last)?, format!("{prefix}{}", &stem[word.len()..])))
}

/// The split that a file's name or the name of the folder it lies in says, if any.
fn part_of(path: &Path) -> Option<Part> {
    let folder = path.parent().and_then(Path::file_name);
    [path.file_stem(), folder].into_iter().flatten().find_map(|name| split_of(&name.to_string_lossy()))
}

/// The split that each file's name says, else its folder's below `source`, what was asked for. One that says none is
/// training, unless others say that they are.
pub(super) fn parts_of(source: &Path, files: &[PathBuf]) -> Vec<Option<Part>> {
    let here = |path: &PathBuf| path.parent() == Some(source) && source.is_dir();
    let named = |path: &PathBuf| {
        if here(path) { split_of(&path.file_stem()?.to_string_lossy()) } else { part_of(path) }
    };
    let said: Vec<Option<Part>> = files.iter().map(named).collect();
    let rest = (!said.contains(&Some(Part::Train))).then_some(Part::Train);
    said.into_iter().map(|part| part.or(rest)).collect()
}

/// `dir` itself as training, whatever it is called, then its folders whose names say a split.
pub(super) fn split_folders(dir: &Path) -> Vec<(Part, PathBuf)> {
    let mut below: Vec<(Part, PathBuf)> = folders(dir)
        .into_iter()
        .filter_map(|folder| Some((split_of(&folder.file_name()?.to_string_lossy())?, folder)))
        .collect();
    below.sort();
    below.insert(0, (Part::Train, dir.to_owned()));
    below
}

/// The folders in `dir` whose names say no split.
pub(super) fn other_folders(dir: &Path) -> Vec<PathBuf> {
    let mut all = folders(dir);
    all.retain(|folder| folder.file_name().is_some_and(|name| split_of(&name.to_string_lossy()).is_none()));
    all.sort();
    all
}

fn folders(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keywords_of_datasets_say_the_split_wherever_they_stand_as_words() {
        for (name, part) in [
            ("training", Some(Part::Train)),
            ("train2017", Some(Part::Train)),
            ("flickr-dev-000", Some(Part::Val)),
            ("Valid", Some(Part::Val)),
            ("val2017-000", Some(Part::Val)),
            ("x_evaluation_1", Some(Part::Test)),
            ("testing", Some(Part::Test)),
            ("latest", None),
            ("trainer", None),
            ("devices", None),
        ] {
            assert_eq!(split_of(name), part, "{name}");
        }
        assert_eq!(of_list("flickr30k_dev.json"), Some((Part::Val, "flickr30k".into())));
        assert_eq!(of_list("coco_val2017.json"), Some((Part::Val, "coco2017".into())));
        assert_eq!(of_list("train.json"), Some((Part::Train, String::new())));
        assert_eq!(of_list("coco_latest.json"), None);
    }
}
