//! Pictures with their captions beside them: `NAME.jpg` and `NAME.txt` or `NAME.json`, in one folder or, as img2dataset's
//! `files` output, in folders within it. Folders named after splits belong to them; else all is training.

use crate::{
    data::{
        fields::Names,
        folder::{Place, folder_name},
        listing::{Format, Listed, Listing, Origin, Problem},
        samples::{self, PICTURES, key_and_extension},
        splits::{Part, split_of},
    },
    door,
    error::{Error, Result},
};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

/// By a picture with a text of its name beside it.
pub(in crate::data) const FORMAT: Format = Format {
    name: "files",
    words: "pictures with captions beside them (NAME.jpg with NAME.txt or NAME.json; img2dataset's files)",
    is: |place| place.file.is_none() && has_pair(&place.dir, 0),
    read,
};

/// How deep folders are gone into.
const DEPTH: usize = 4;
/// Most files.
const MAX_FILES: usize = 20_000_000;
/// Largest text beside a picture, in bytes.
const MAX_TEXT: u64 = 1 << 20;

/// A file below the folder.
struct Beside {
    path: PathBuf,
    name: String,
    roots: Arc<Vec<PathBuf>>,
}

impl samples::Member for Beside {
    fn name(&self) -> &str {
        &self.name
    }

    fn origin(&self) -> Origin {
        Origin::Below(self.roots.clone())
    }

    fn read(&self) -> Result<Vec<u8>> {
        door::read(&self.path, MAX_TEXT).map_err(Error::io(&self.path))
    }

    fn place(&self) -> String {
        "file".into()
    }
}

fn read(place: &Place, names: &Names) -> Result<Listing> {
    let dir = &place.dir;
    let roots = Arc::new(vec![dir.clone()]);
    let mut files = Vec::new();
    walk(dir, "", 0, &roots, &mut files)?;
    let (rows, met) = samples::samples(&Arc::from(dir.as_path()), &files, names)?;
    let mut listing = Listing::new(folder_name(dir));
    // img2dataset's figures lie beside its folders.
    for (problem, count) in met.into_iter().filter(|(problem, _)| *problem != Problem::IncompleteSample) {
        listing.note(problem, dir, count);
    }
    let pictures = files.iter().filter(|file| is_picture(&file.name)).count();
    listing.note(Problem::IncompleteSample, dir, pictures.saturating_sub(rows.len()));
    let said: Vec<Option<Part>> = rows.iter().map(|row: &Listed| part(&row.image)).collect();
    let rest = (!said.contains(&Some(Part::Train))).then_some(Part::Train);
    let mut left_out = 0;
    for (row, part) in rows.into_iter().zip(said) {
        match part.or(rest) {
            Some(part) => listing.add(part, [row]),
            None => left_out += 1,
        }
    }
    listing.note(Problem::LeftOut, dir, left_out);
    Ok(listing)
}

/// The split that the folders of a path say.
fn part(name: &str) -> Option<Part> {
    name.rsplit_once('/')?.0.split('/').find_map(split_of)
}

fn is_picture(name: &str) -> bool {
    let last = |end: &str| end.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    key_and_extension(name).is_some_and(|(_, end)| PICTURES.contains(&last(end).as_str()))
}

/// The entries of a folder by name, folders apart.
fn entries(dir: &Path) -> Result<(Vec<String>, Vec<String>)> {
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(dir).map_err(Error::io(dir))? {
        let entry = entry.map_err(Error::io(dir))?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        // A link may be to either; the kind itself is told without asking again.
        let kind = entry.file_type().map_err(Error::io(entry.path()))?;
        let folder = kind.is_dir() || kind.is_symlink() && entry.path().is_dir();
        if folder { folders.push(name) } else { files.push(name) }
    }
    files.sort();
    folders.sort();
    Ok((files, folders))
}

fn walk(dir: &Path, below: &str, depth: usize, roots: &Arc<Vec<PathBuf>>, found: &mut Vec<Beside>) -> Result<()> {
    let (files, folders) = entries(dir)?;
    for file in files {
        found.push(Beside { path: dir.join(&file), name: format!("{below}{file}"), roots: roots.clone() });
    }
    if found.len() > MAX_FILES {
        return Err(Error::input(dir, format!("over {MAX_FILES} files up to here")));
    }
    if depth < DEPTH {
        for folder in folders.iter().filter(|name| !name.starts_with('.')) {
            walk(&dir.join(folder), &format!("{below}{folder}/"), depth + 1, roots, found)?;
        }
    }
    Ok(())
}

/// Whether a picture lies beside a text of its name, in the folder or in the first that has pictures at all.
fn has_pair(dir: &Path, depth: usize) -> bool {
    let Ok((files, folders)) = entries(dir) else { return false };
    let mut pictures = files.iter().filter(|name| is_picture(name)).peekable();
    if pictures.peek().is_some() {
        let beside = |name: &String| {
            let key = key_and_extension(name).map(|(key, _)| key).unwrap_or_default();
            ["txt", "json", "caption"].iter().any(|end| files.binary_search(&format!("{key}.{end}")).is_ok())
        };
        return pictures.take(64).any(beside);
    }
    depth < DEPTH
        && folders.iter().filter(|name| !name.starts_with('.')).any(|name| has_pair(&dir.join(name), depth + 1))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::data::{Rules, fields::Names, open, open_by};
    use std::{fs, path::Path};

    fn put(dir: &Path, name: &str, text: &str) {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        if [".jpg", ".png", ".bmp"].iter().any(|e| name.ends_with(e)) {
            let n = text.parse().unwrap();
            image::RgbImage::from_pixel(2, 2, image::Rgb([n, n, n])).save(path).unwrap();
        } else {
            fs::write(path, text).unwrap();
        }
    }

    #[test]
    fn folders_of_img2dataset_are_read_and_failed_downloads_left_out() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("00000/000000000.jpg", "1"),
            ("00000/000000000.txt", "a dog\n"),
            ("00000/000000000.json", r#"{"caption": "a dog", "status": "success"}"#),
            ("00000/000000001.json", r#"{"caption": "lost", "status": "failed_to_download"}"#),
            ("00001/000010000.jpg", "2"),
            ("00001/000010000.json", r#"{"caption": "from json"}"#),
            ("00000_stats.json", r#"{"count": 2}"#),
            ("00000.parquet", "figures that nobody reads"),
        ] {
            put(dir.path(), name, text);
        }
        let set = open(dir.path()).unwrap();
        let captions: Vec<&str> = set.train.pairs.iter().map(|p| p.caption.as_str()).collect();
        assert_eq!((set.train.images.len(), captions), (2, vec!["a dog", "from json"]));
    }

    #[test]
    fn folders_that_say_splits_belong_to_them_and_a_setting_chooses_among_two_pictures() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["train/1", "val/2"] {
            put(dir.path(), &format!("{name}.left.png"), "1");
            put(dir.path(), &format!("{name}.right.png"), "2");
            put(dir.path(), &format!("{name}.txt"), "short");
            put(dir.path(), &format!("{name}.long.txt"), "long words");
        }
        let first = |names: Names| {
            let set = open_by(dir.path(), &Rules { names, ..Rules::default() }).unwrap();
            let picture = set.train.images[0].decode().unwrap().get_pixel(0, 0).0[0];
            (picture, set.train.pairs[0].caption.clone(), set.val.images.len())
        };
        let named = |image: &str, caption: &str| Names { image: Some(image.into()), caption: Some(caption.into()) };
        assert_eq!(first(Names::default()).0, 1);
        assert_eq!(first(named("right.png", "long.txt")), (2, "long words".into(), 1));
        assert_eq!(first(named("right", "txt")), (2, "short".into(), 1));
    }

    #[test]
    fn a_text_in_another_encoding_is_named() {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), "a.bmp", "1");
        put(dir.path(), "a.txt", "");
        fs::write(dir.path().join("a.txt"), b"caf\xe9").unwrap();
        let said = open(dir.path()).unwrap_err().to_string();
        assert!(said.contains("\"a.txt\": line 1, column 4: byte 0xe9 is not UTF-8"), "{said}");
    }
}
