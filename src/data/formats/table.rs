//! Lists in text: Flickr8k's and Flickr30k's `captions.txt`, `.token` and `results.csv`, the annotations of the hub's
//! Flickr30k, open_clip's tables (`filepath`, `title`), those of Conceptual Captions. Images are looked for below the folder.
//!
//! A file belongs to the split that a word of its name says; beside Flickr8k's lists of the images of each split
//! (`Flickr_8k.trainImages.txt`) a row to that of its image; a column `split` says it too.

use crate::{
    data::{
        fields::Names,
        files::text,
        folder::{Place, file_names, folder_name, image_roots, read_list},
        formats::delimited::Table,
        listing::{Format, Listing, Problem},
        rows::of_table,
        splits::{Part, parts_of, split_of},
    },
    error::{Error, Result},
};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

/// By the first lines of its files.
pub(in crate::data) const FORMAT: Format = Format {
    name: "table",
    words: "a table of images and captions (csv, tsv, Flickr's captions.txt or .token)",
    is: |place| tables(place).iter().any(|file| Table::is(file)),
    read,
};

const ENDINGS: [&str; 4] = [".csv", ".tsv", ".txt", ".token"];
/// Most files of text in which a table is looked for.
const MAX_TEXTS: usize = 64;
/// What follows a split in the names of Flickr8k's lists of images.
const IMAGES: &str = "Images.txt";

fn tables(place: &Place) -> Vec<PathBuf> {
    let mut files = place.files(&ENDINGS).unwrap_or_default();
    // Captions beside pictures, a file each, are no tables.
    let text = |file: &PathBuf| file.extension().is_some_and(|end| end == "txt");
    if files.iter().filter(|file| text(file)).count() > MAX_TEXTS {
        files.retain(|file| !text(file));
    }
    if place.file.is_none() {
        let more = ["annotations", "results"].map(|name| place.dir.join(name));
        for dir in more.iter().filter(|dir| dir.is_dir()) {
            let names = file_names(dir).unwrap_or_default();
            files.extend(names.iter().filter(|n| ENDINGS.iter().any(|e| n.ends_with(e))).map(|name| dir.join(name)));
        }
    }
    files
}

/// What is wrong with the first file that must be a table by its name.
pub(in crate::data) fn fault(place: &Place) -> Option<Error> {
    let file = place.files(&[".csv", ".tsv", ".token"]).ok()?.into_iter().next()?;
    Table::open(&file, &Names::default()).err()
}

fn read(place: &Place, names: &Names) -> Result<Listing> {
    let mut files = tables(place);
    if place.file.is_none() {
        files.retain(|file| Table::is(file));
    }
    // Flickr30k comes with the same captions in several forms, and Flickr8k with lemmas beside.
    let same = |file: &PathBuf| part_by_name(file).is_none();
    let mut whole = files.iter().filter(|file| same(file));
    if let (Some(first), Some(_)) = (whole.next(), whole.next())
        && place.file.is_none()
    {
        let all: Vec<String> = files.iter().filter(|f| same(f)).map(|file| file.display().to_string()).collect();
        let first = first.display();
        return Err(Error::input(
            &place.dir,
            format!("holds several tables; name the one to read, such as {first}: {}", all.join(", ")),
        ));
    }
    let roots = Arc::new(image_roots(&place.dir)?);
    let known = listed_splits(&place.dir)?;
    let mut listing = Listing::new(folder_name(&place.dir));
    for (file, part) in files.iter().zip(parts_of(&place.path, &files)) {
        let table = Table::open(file, names)?;
        let mut left_out = 0;
        for (own, row) in of_table(&table, file, names, &roots, &mut listing)? {
            let base = row.image.rsplit('/').next().unwrap_or_default();
            let part = if known.is_empty() { own.or(part) } else { known.get(base).copied() };
            match part {
                Some(part) => listing.add(part, [row]),
                None => left_out += 1,
            }
        }
        listing.note(Problem::LeftOut, file, left_out);
    }
    Ok(listing)
}

fn part_by_name(file: &Path) -> Option<Part> {
    split_of(&file.file_stem()?.to_string_lossy())
}

/// The split of every image that a list beside names.
fn listed_splits(dir: &Path) -> Result<HashMap<String, Part>> {
    let mut known = HashMap::new();
    for name in file_names(dir)?.iter().filter(|name| name.ends_with(IMAGES)) {
        let Some(part) = name.strip_suffix(IMAGES).and_then(split_of) else { continue };
        let path = dir.join(name);
        let images = text::text(read_list(&path)?).map_err(|what| Error::input(&path, what))?;
        known.extend(images.lines().map(|line| (line.trim().to_owned(), part)).filter(|(name, _)| !name.is_empty()));
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::data::{Dataset, open};
    use std::{fs, path::Path};

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            if name.ends_with(".jpg") {
                image::RgbImage::new(2, 2).save(path).unwrap();
            } else {
                fs::write(path, text).unwrap();
            }
        }
        dir
    }

    fn sizes(set: &Dataset) -> [(usize, usize); 3] {
        [&set.train, &set.val, &set.test].map(|s| (s.images.len(), s.pairs.len()))
    }

    fn error(dir: &Path) -> String {
        open(dir).unwrap_err().to_string()
    }

    #[test]
    fn flickr_in_its_forms() {
        let images = [("Images/a.jpg", ""), ("Images/b.jpg", ""), ("Images/c.jpg", "")];
        let with = |files: &[(&str, &str)]| folder(&[&images[..], files].concat());
        let dir = with(&[("captions.txt", "image,caption\na.jpg,one\na.jpg,two\nb.jpg,\"three, four\"\n")]);
        assert_eq!(sizes(&open(dir.path()).unwrap()), [(2, 3), (0, 0), (0, 0)]);
        let token = "a.jpg#0\tone\na.jpg#1\ttwo\nb.jpg#0\tthree\nc.jpg#0\tfour\n";
        let dir = with(&[
            ("Flickr8k.token.txt", token),
            ("Flickr_8k.trainImages.txt", "a.jpg\n"),
            ("Flickr_8k.devImages.txt", "b.jpg\n"),
            ("Flickr_8k.testImages.txt", "c.jpg\n"),
        ]);
        assert_eq!(sizes(&open(dir.path()).unwrap()), [(1, 2), (1, 1), (1, 1)]);
        let results = "image_name| comment_number| comment\na.jpg| 0| \"Two\" dogs .\na.jpg| 1   broken\nb.jpg| 0| x\n";
        let set = open(with(&[("results.csv", results)]).path()).unwrap();
        assert_eq!((sizes(&set)[0], set.train.pairs[0].caption.as_str()), ((2, 2), "\"Two\" dogs ."));
        let hub = "raw,sentids,split,filename,img_id\n\"[\"\"one\"\", \"\"two\"\"]\",\"[0, 1]\",train,a.jpg,0\n\"[\"\"three\"\"]\",[2],test,b.jpg,1\n";
        let dir = with(&[("flickr_annotations_30k.csv", hub)]);
        assert_eq!(sizes(&open(dir.path()).unwrap()), [(1, 2), (0, 0), (1, 1)]);
    }

    #[test]
    fn a_table_with_another_machines_paths_finds_their_ends_and_a_split_in_its_name() {
        let rows = "filepath\ttitle\n/elsewhere/cc3m/x/a.jpg\ta dog\n";
        let dir = folder(&[
            ("train.tsv", rows),
            ("val.tsv", "title\tfilepath\ntwo\tx/b.jpg\n"),
            ("x/a.jpg", ""),
            ("x/b.jpg", ""),
        ]);
        assert_eq!(sizes(&open(dir.path()).unwrap()), [(1, 1), (1, 1), (0, 0)]);
        fs::remove_file(dir.path().join("x/a.jpg")).unwrap();
        assert!(error(dir.path()).contains("train.tsv: line 2: no image \"/elsewhere/cc3m/x/a.jpg\""));
    }

    #[test]
    fn paths_that_climb_out_half_tables_and_two_tables_are_refused() {
        let dir = folder(&[("captions.csv", "image,caption\n../a.jpg,x\n")]);
        assert!(error(dir.path()).contains("captions.csv: line 2: the image path \"../a.jpg\" leaves the data folder"));
        fs::write(dir.path().join("captions.csv"), b"image,caption\na.jpg,caf\xe9\n").unwrap();
        assert!(error(dir.path()).contains("captions.csv: line 2, column 10: byte 0xe9 is not UTF-8"));
        let dir =
            folder(&[("a.csv", "image,caption\na.jpg,x\n"), ("b.csv", "image,caption\na.jpg,x\n"), ("a.jpg", "")]);
        assert!(error(dir.path()).contains("several tables"));
        assert_eq!(open(&dir.path().join("b.csv")).unwrap().train.pairs.len(), 1);
    }
}
