//! Hugging Face's ImageFolder: `metadata.jsonl` (one JSON object a line), `metadata.csv` or `metadata.parquet` beside the
//! images, in the folder itself (an image in a folder named after a split belongs to it, any other to training) or in
//! folders named after splits; images relative to their list.

use crate::{
    data::{
        fields::{Names, Read, Row},
        files::json,
        folder::{Place, folder_name, read_list},
        formats::{delimited::Table, parquet::Parquet},
        listing::{Format, Listed, Listing, Problem},
        rows::{Columns, listed, note, of_table},
        splits::{Part, other_folders, split_folders, split_of},
    },
    error::{Error, Result},
    fsio::printable,
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// By its list, or by the ending of one that was named.
pub(in crate::data) const FORMAT: Format = Format {
    name: "imagefolder",
    words: "an ImageFolder (metadata.jsonl, metadata.csv or metadata.parquet)",
    is: |place| match &place.file {
        Some(file) => file.ends_with(".jsonl") || METADATA.contains(&file.as_str()),
        None => split_folders(&place.dir).iter().any(|(_, folder)| metadata(folder).is_some()),
    },
    read,
};

/// The files that make a folder an ImageFolder, by preference.
const METADATA: [&str; 3] = ["metadata.jsonl", "metadata.csv", "metadata.parquet"];

fn metadata(folder: &Path) -> Option<PathBuf> {
    METADATA.iter().map(|name| folder.join(name)).find(|path| path.is_file())
}

fn read(place: &Place, names: &Names) -> Result<Listing> {
    let dir = &place.dir;
    let mut listing = Listing::new(folder_name(dir));
    if let Some(file) = &place.file {
        let read = rows(&dir.join(file), names, &mut listing)?;
        listing.add(Part::Train, read.into_iter().map(|(_, row)| row));
        return Ok(listing);
    }
    let lists: Vec<(Part, PathBuf)> =
        split_folders(dir).into_iter().filter_map(|(part, folder)| Some((part, metadata(&folder)?))).collect();
    let Some((_, first)) = lists.first() else { return Err(Error::input(dir, "holds no metadata.jsonl")) };
    let at_root = first.parent() == Some(dir);
    let mut others: Vec<PathBuf> = other_folders(dir).iter().filter_map(|folder| metadata(folder)).collect();
    for (i, (part, list)) in lists.into_iter().enumerate() {
        if at_root && i > 0 {
            others.push(list);
            continue;
        }
        for (own, row) in rows(&list, names, &mut listing)? {
            let part = if at_root { said_by_folders(&row.image).or(own).unwrap_or(part) } else { part };
            listing.add(part, [row]);
        }
    }
    let folder = |list: &PathBuf| list.parent().unwrap_or(list).display().to_string();
    listing.noted.extend(others.iter().map(|list| (Problem::LeftOut, format!("{}: its list", folder(list)), 1)));
    Ok(listing)
}

/// The split that the folders of an image's path say.
fn said_by_folders(image: &str) -> Option<Part> {
    image.rsplit_once('/')?.0.split('/').find_map(split_of)
}

/// The rows of a list, with the splits that they say themselves.
fn rows(list: &Path, names: &Names, listing: &mut Listing) -> Result<Vec<(Option<Part>, Listed)>> {
    let dir = list.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let roots = Arc::new(vec![dir.to_owned()]);
    let table: Box<dyn Columns> = match list.extension().and_then(|e| e.to_str()) {
        Some("csv") => Box::new(Table::open(list, names)?),
        Some("parquet") => Box::new(Parquet::open(list)?),
        _ => {
            let (lines, odd) = lines(list, &read_list(list)?, names)?;
            let (lines, rows): (Vec<usize>, Vec<Row>) = lines.into_iter().unzip();
            note(listing, list, &rows, odd);
            let list: Arc<Path> = list.into();
            let row = |(line, row): (usize, Row)| (None, listed(&list, format!("line {line}"), row, &roots));
            return Ok(lines.into_iter().zip(rows).map(row).collect());
        }
    };
    of_table(&*table, list, names, &roots, listing)
}

/// Reads `{"file_name": path, "text": caption}` lines (or keys that are as usual; others are ignored).
/// Returns each row with its line, from 1, and how many NaNs there are; empty lines are passed over.
///
/// # Errors
/// [`Error::Input`] naming line and column.
fn lines(path: &Path, bytes: &[u8], names: &Names) -> Result<(Vec<(usize, Row)>, usize)> {
    let (mut rows, mut odd) = (Vec::new(), 0);
    for (i, line) in bytes.split(|&b| b == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let (keys, more) = json::read(line, |line| Read(names).keys(line)).map_err(|e| {
            // The parser counts lines within what it was given: one.
            Error::input(path, format!("line {}, column {}: {}", i + 1, e.column, printable(&e.what)))
        })?;
        let row = keys.row().map_err(|what| Error::input(path, format!("line {}: {what}", i + 1)))?;
        rows.push((i + 1, row));
        odd += more;
    }
    Ok((rows, odd))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::data::{Rules, open, open_by};
    use proptest::prelude::*;
    use std::fs;

    #[test]
    fn text_and_caption_are_both_understood_and_empty_lines_passed_over() {
        let file =
            b"{\"file_name\":\"a.png\",\"text\":\"A\"}\n\n{\"file_name\":\"b.png\",\"caption\":[\"B\"],\"x\":1}\r\n";
        let (rows, _) = lines(Path::new("m"), file, &Names::default()).unwrap();
        assert_eq!(
            rows.iter().map(|(line, r)| (*line, r.image.as_str())).collect::<Vec<_>>(),
            [(1, "a.png"), (3, "b.png")]
        );
    }

    #[test]
    fn an_error_names_its_line() {
        let file = b"{\"file_name\":\"a.png\",\"text\":\"A\"}\n{\"file_name\":\"b.png\",";
        let text = lines(Path::new("m"), file, &Names::default()).unwrap_err().to_string();
        assert!(text.starts_with("m: line 2, column 21: EOF"), "{text}");
    }

    #[test]
    fn the_list_may_be_a_table_or_parquet_and_name_two_pictures() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for (name, n) in [("a.png", 1), ("b.png", 2)] {
            image::RgbImage::from_pixel(2, 2, image::Rgb([n, 0, 0])).save(at(name)).unwrap();
        }
        let first = |image: &str| {
            let names = Names { image: Some(image.into()), ..Names::default() };
            let set = open_by(dir.path(), &Rules { names, ..Rules::default() }).unwrap();
            (set.train.images[0].decode().unwrap().get_pixel(0, 0).0[0], set.train.pairs[0].caption.clone())
        };
        fs::write(at("metadata.csv"), "left_file_name,right_file_name,text\na.png,b.png,\"a, b\"\n").unwrap();
        assert_eq!((first("left"), first("right_file_name")), ((1, "a, b".into()), (2, "a, b".into())));
        fs::remove_file(at("metadata.csv")).unwrap();
        crate::data::files::parquet::tests::sample(
            &at("metadata.parquet"),
            &[("a dog", Some("a.png")), ("two", Some("b.png"))],
        );
        let set = open(dir.path()).unwrap();
        assert_eq!((set.train.images.len(), set.train.pairs[1].caption.as_str()), (2, "two"));
        fs::write(at("metadata.parquet"), "PAR1").unwrap();
        assert!(open(dir.path()).unwrap_err().to_string().contains("metadata.parquet: not a readable parquet file"));
    }

    #[test]
    fn two_folders_of_one_split_keep_their_images_apart_whatever_they_are_called() {
        let dir = tempfile::tempdir().unwrap();
        for (folder, n) in [("train", 1), ("val", 2), ("validation", 3)] {
            let at = dir.path().join(folder);
            fs::create_dir(&at).unwrap();
            image::RgbImage::from_pixel(2, 2, image::Rgb([n, 0, 0])).save(at.join("0.png")).unwrap();
            fs::write(at.join("metadata.jsonl"), format!("{{\"file_name\":\"0.png\",\"text\":\"in {folder}\"}}\n"))
                .unwrap();
        }
        let set = open(dir.path()).unwrap();
        let first = |image: &crate::data::ImageSource| image.decode().unwrap().get_pixel(0, 0).0[0];
        assert_eq!(set.val.images.iter().map(first).collect::<Vec<_>>(), [2, 3]);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = lines(Path::new("m"), &bytes, &Names::default());
        }
    }
}
