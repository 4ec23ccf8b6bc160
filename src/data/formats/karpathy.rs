//! Karpathy's own files, `dataset_flickr30k.json` or `dataset_coco.json`: every split in one.

use crate::{
    data::{
        fields::{Names, Row},
        files::json,
        folder::{Place, image_roots, read_list},
        listing::{Format, Listing, Problem},
        rows::listed,
        splits::{Part, split_of},
    },
    error::{Error, Result},
    fsio::printable,
};
use serde::Deserialize;
use std::{path::Path, sync::Arc};

/// Images are looked for below the folder.
pub(in crate::data) const FORMAT: Format = Format {
    name: "karpathy",
    words: "Karpathy's list of all splits (dataset_NAME.json)",
    is: |place| place.names.iter().any(|name| is_named(name)) || place.is_json_with(&["images", "dataset"]),
    read,
};

/// What `datasets` itself calls so.
const OTHERS: [&str; 3] = ["dataset_info.json", "dataset_infos.json", "dataset_dict.json"];

fn is_named(name: &str) -> bool {
    name.starts_with("dataset_") && name.ends_with(".json") && !OTHERS.contains(&name)
}

fn read(place: &Place, _: &Names) -> Result<Listing> {
    let named: Vec<&String> = match &place.file {
        Some(file) => vec![file],
        None => place.names.iter().filter(|name| is_named(name)).collect(),
    };
    let [name] = named[..] else { return Err(place.several(&named)) };
    let path = place.dir.join(name);
    let roots = Arc::new(image_roots(&place.dir)?);
    let stem = name.strip_suffix(".json").unwrap_or(name);
    let mut listing = Listing::new(stem.strip_prefix("dataset_").unwrap_or(stem).to_owned());
    let (rows, odd) = original(&path, &read_list(&path)?)?;
    listing.note(Problem::NotANumber, &path, odd);
    let list: Arc<Path> = path.into();
    for (i, (part, row)) in rows.into_iter().enumerate() {
        listing.add(part, [listed(&list, format!("row {}", i + 1), row, &roots)]);
    }
    Ok(listing)
}

/// Reads the original file; entry `i` is row `i + 1` of it. `restval` counts as training, as is usual for COCO.
///
/// # Errors
/// [`Error::Input`] naming line and column, or the row of an unknown split.
fn original(path: &Path, bytes: &[u8]) -> Result<(Vec<(Part, Row)>, usize)> {
    let (file, odd): (Original, usize) = json::read(bytes, |bytes| serde_json::from_slice(bytes))
        .map_err(|e| Error::input(path, printable(&e.to_string())))?;
    let entry = |(i, image): (usize, Image)| {
        let part = match image.split.as_str() {
            "restval" => Part::Train,
            other => split_of(other)
                .ok_or_else(|| Error::input(path, format!("row {}: unknown split \"{}\"", i + 1, printable(other))))?,
        };
        let name = match image.filepath {
            Some(folder) if !folder.is_empty() => format!("{folder}/{}", image.filename),
            _ => image.filename,
        };
        let caption = image.sentences.into_iter().map(|s| s.raw.unwrap_or_default()).collect();
        Ok((part, Row { image: name, caption, twice: false, uid: None }))
    };
    Ok((file.images.into_iter().enumerate().map(entry).collect::<Result<_>>()?, odd))
}

#[derive(Deserialize)]
struct Original {
    images: Vec<Image>,
}

#[derive(Deserialize)]
struct Image {
    filename: String,
    filepath: Option<String>,
    split: String,
    sentences: Vec<Sentence>,
}

#[derive(Deserialize)]
struct Sentence {
    raw: Option<String>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn restval_is_training_and_an_unknown_split_is_named() {
        let file = |split: &str| {
            format!(
                r#"{{"images":[{{"filename":"a.jpg","filepath":"val2014","split":"{split}","sentences":[{{"raw":"A."}}]}}]}}"#
            )
        };
        let (rows, _) = original(Path::new("x"), file("restval").as_bytes()).unwrap();
        assert_eq!((rows[0].0, rows[0].1.image.as_str()), (Part::Train, "val2014/a.jpg"));
        let text = original(Path::new("x"), file("other").as_bytes()).unwrap_err().to_string();
        assert!(text.contains("row 1: unknown split \"other\""), "{text}");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = original(Path::new("x"), &bytes);
        }
    }
}
