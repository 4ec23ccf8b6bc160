//! BLIP's flat lists, a file a split: `NAME_train.json`, `NAME_val.json`, `NAME_test.json`, or without a name.

use crate::{
    data::{
        fields::{Names, Read, Row},
        files::json,
        folder::{Place, file_names, first_of, folder_name, image_roots, read_list},
        listing::{Format, Listing, Problem},
        rows::{listed, note},
        splits::of_list,
    },
    error::{Error, Result},
    fsio::printable,
};
use serde::{
    Deserializer,
    de::{Error as _, SeqAccess, Visitor},
};
use std::{cell::Cell, fmt, path::Path, sync::Arc};

/// Images are looked for relative to the folder, then to each of its direct sub-folders in alphabetical order.
pub(in crate::data) const FORMAT: Format = Format {
    name: "lists",
    words: "a list for each split (NAME_train.json, NAME_val.json, NAME_test.json)",
    is: |place| !lists(place).is_empty() || place.is_json_list(),
    read,
};

/// The lists of the place by their names; one that names no data set must begin as a list.
fn lists(place: &Place) -> Vec<(&String, String)> {
    let named = place.names.iter().filter_map(|name| Some((name, of_list(name)?.1)));
    named.filter(|(name, set)| !set.is_empty() || first_of(&place.dir.join(name)) == Some(b'[')).collect()
}

fn read(place: &Place, names: &Names) -> Result<Listing> {
    let mut sets: Vec<String> = lists(place).into_iter().map(|(_, set)| set).collect();
    sets.sort();
    sets.dedup();
    match (&sets[..], &place.file) {
        ([set], _) => splits(&place.dir, set, names),
        ([], Some(file)) => alone(&place.dir.join(file), &place.dir, names),
        _ => Err(place.several(&lists(place).into_iter().map(|(name, _)| name).collect::<Vec<_>>())),
    }
}

/// The lists of the data set `set`, in the order of their names; what may be another one of them is left out.
fn splits(dir: &Path, set: &str, names: &Names) -> Result<Listing> {
    let roots = Arc::new(image_roots(dir)?);
    let mut listing = Listing::new(if set.is_empty() { folder_name(dir) } else { set.to_owned() });
    for name in file_names(dir)? {
        let path = dir.join(&name);
        match of_list(&name) {
            Some((part, of)) if of == set => {
                let (rows, odd) = flat(&path, &read_list(&path)?, names)?;
                note(&mut listing, &path, &rows, odd);
                let list: Arc<Path> = path.into();
                let rows = rows.into_iter().enumerate();
                listing.add(part, rows.map(|(i, row)| listed(&list, format!("row {}", i + 1), row, &roots)));
            }
            None if name.ends_with(".json") && !set.is_empty() && name.starts_with(&format!("{set}_")) => {
                listing.note(Problem::LeftOut, &path, 1);
            }
            _ => {}
        }
    }
    Ok(listing)
}

/// One list whose name says no split: all of it is training.
fn alone(path: &Path, dir: &Path, names: &Names) -> Result<Listing> {
    let roots = Arc::new(image_roots(dir)?);
    let (rows, odd) = flat(path, &read_list(path)?, names)?;
    let mut listing = Listing::new(path.file_stem().unwrap_or_default().to_string_lossy().into_owned());
    note(&mut listing, path, &rows, odd);
    let list: Arc<Path> = path.into();
    listing.parts[0] =
        rows.into_iter().enumerate().map(|(i, row)| listed(&list, format!("row {}", i + 1), row, &roots)).collect();
    Ok(listing)
}

/// Reads a flat list: `[{"image": path, "caption": string or strings}]`; other keys are ignored. And how many NaNs it has.
///
/// # Errors
/// [`Error::Input`] naming row, line and column.
fn flat(path: &Path, bytes: &[u8], names: &Names) -> Result<(Vec<Row>, usize)> {
    let begun = Cell::new(0);
    let read = json::read(bytes, |bytes| {
        let mut json = serde_json::Deserializer::from_slice(bytes);
        json.deserialize_seq(Counted { begun: &begun, names }).and_then(|rows| json.end().map(|()| rows))
    });
    read.map_err(|e| Error::input(path, format!("row {}: {}", begun.get(), printable(&e.to_string()))))
}

/// A sequence that knows which element it is in: these files are one line, so a column alone says little.
struct Counted<'a> {
    begun: &'a Cell<usize>,
    names: &'a Names,
}

impl<'de> Visitor<'de> for Counted<'_> {
    type Value = Vec<Row>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of {image, caption}")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<Vec<Row>, A::Error> {
        let mut rows = Vec::new();
        loop {
            self.begun.set(rows.len() + 1);
            match seq.next_element_seed(Read(self.names))? {
                Some(keys) => rows.push(keys.row().map_err(A::Error::custom)?),
                None => return Ok(rows),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn flat(path: &str, bytes: &[u8]) -> Result<(Vec<Row>, usize)> {
        super::flat(Path::new(path), bytes, &Names::default())
    }

    fn error(json: &str) -> String {
        flat("x_val.json", json.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn a_caption_may_be_one_string_or_several() {
        let json = br#"[{"image":"a","caption":"x","image_id":"1"},{"caption":["y","z"],"image":"b"}]"#;
        let (rows, _) = flat("x", json).unwrap();
        assert_eq!((rows[0].image.as_str(), rows[0].caption.as_slice()), ("a", ["x".to_owned()].as_slice()));
        assert_eq!(rows[1].caption, ["y", "z"]);
    }

    #[test]
    fn an_error_names_file_row_line_and_column() {
        let text = error("[{\"image\":\"a\",\"caption\":\"x\"},\n{\"image\":\"b\",\"caption\":7}]");
        assert!(text.starts_with("x_val.json: row 2:"), "{text}");
        assert!(text.contains("a caption or a list of captions") && text.contains("line 2 column"), "{text}");
        assert!(error(r#"[{"image":"a"}]"#).contains("row 1: missing field `caption`"));
        assert!(error(r#"[{"image":"a","caption":"x"},{"ima"#).contains("row 2: EOF"));
        assert!(error(r#"{"image":"a"}"#).contains("expected a list of {image, caption}"));
        assert!(error(r#"[] []"#).contains("trailing characters"));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = flat("x", &bytes);
        }

        #[test]
        fn json_like_text_never_panics(text in r#"[\[\]{},:"a-z0-9\\u ]{0,80}"#) {
            let json = format!(r#"[{{"image":"a","caption":{text}"#);
            prop_assert!(flat("x", json.as_bytes()).is_err() || text.contains(']'));
        }
    }
}
