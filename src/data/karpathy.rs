//! Karpathy's splits: BLIP's flat lists (`*_train.json`, `*_val.json`, `*_test.json`) and the original
//! `dataset_flickr30k.json` / `dataset_coco.json`.

use crate::{
    data::source::Part,
    error::{Error, Result},
    fsio::printable,
};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, SeqAccess, Visitor},
};
use std::{cell::Cell, fmt, marker::PhantomData, path::Path};

/// One entry of a list: an image's path as written there, and captions not yet normalised.
#[derive(Debug, Deserialize)]
pub(super) struct Row {
    /// Relative to the data root.
    #[serde(alias = "file_name")]
    pub image: String,
    /// A string or a list of strings.
    #[serde(alias = "text", deserialize_with = "one_or_many")]
    pub caption: Vec<String>,
}

/// Captions that come without an image beside them: a string, strings, or an object that holds either.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Captions(#[serde(deserialize_with = "one_or_many")] Vec<String>);

#[derive(Deserialize)]
struct Captioned {
    #[serde(alias = "text")]
    caption: Captions,
}

impl Captions {
    /// Reads `"…"`, `["…"]` or `{"caption": either}`, for which `text` is taken too; other keys are ignored.
    pub(super) fn from_json(bytes: &[u8]) -> serde_json::Result<Vec<String>> {
        let bytes = without_mark(bytes);
        let captions = match bytes.trim_ascii_start().first() {
            Some(b'{') => serde_json::from_slice::<Captioned>(bytes)?.caption,
            _ => serde_json::from_slice(bytes)?,
        };
        Ok(captions.0)
    }
}

/// Reads a flat list: `[{"image": path, "caption": string or strings}]`; other keys are ignored.
///
/// # Errors
/// [`Error::Input`] naming row, line and column.
pub(super) fn flat(path: &Path, bytes: &[u8]) -> Result<Vec<Row>> {
    let begun = Cell::new(0);
    let mut json = serde_json::Deserializer::from_slice(without_mark(bytes));
    json.deserialize_seq(Counted { begun: &begun, of: PhantomData })
        .and_then(|rows| json.end().map(|()| rows))
        .map_err(|e| Error::input(path, format!("row {}: {}", begun.get(), printable(&e.to_string()))))
}

/// Reads the original file; entry `i` is row `i + 1` of it. `restval` counts as training, as is usual for COCO.
///
/// # Errors
/// [`Error::Input`] naming line and column, or the row of an unknown split.
pub(super) fn original(path: &Path, bytes: &[u8]) -> Result<Vec<(Part, Row)>> {
    let file: Original =
        serde_json::from_slice(without_mark(bytes)).map_err(|e| Error::input(path, printable(&e.to_string())))?;
    let entry = |(i, image): (usize, Image)| {
        let part = match image.split.as_str() {
            "train" | "restval" => Part::Train,
            "val" => Part::Val,
            "test" => Part::Test,
            other => {
                let message = format!("row {}: unknown split \"{}\"", i + 1, printable(other));
                return Err(Error::input(path, message));
            }
        };
        let name = match image.filepath {
            Some(folder) if !folder.is_empty() => format!("{folder}/{}", image.filename),
            _ => image.filename,
        };
        Ok((part, Row { image: name, caption: image.sentences.into_iter().map(|s| s.raw).collect() }))
    };
    file.images.into_iter().enumerate().map(entry).collect()
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
    raw: String,
}

/// Windows tools like to begin UTF-8 files with a byte order mark; JSON knows none.
pub(super) fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// A sequence that knows which element it is in: these files are one line, so a column alone says little.
struct Counted<'a, T> {
    begun: &'a Cell<usize>,
    of: PhantomData<T>,
}

impl<'de, T: DeserializeOwned> Visitor<'de> for Counted<'_, T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of {image, caption}")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<Vec<T>, A::Error> {
        let mut rows = Vec::new();
        loop {
            self.begun.set(rows.len() + 1);
            match seq.next_element()? {
                Some(row) => rows.push(row),
                None => return Ok(rows),
            }
        }
    }
}

/// A string or a list of strings, with an error that says so (an untagged enum would only say "no variant matched").
fn one_or_many<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<Vec<String>, D::Error> {
    struct OneOrMany;
    impl<'de> Visitor<'de> for OneOrMany {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a caption or a list of captions")
        }

        fn visit_str<E>(self, text: &str) -> std::result::Result<Vec<String>, E> {
            Ok(vec![text.to_owned()])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<Vec<String>, A::Error> {
            let mut captions = Vec::new();
            while let Some(caption) = seq.next_element()? {
                captions.push(caption);
            }
            Ok(captions)
        }
    }
    from.deserialize_any(OneOrMany)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn error(json: &str) -> String {
        flat(Path::new("x_val.json"), json.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn a_caption_may_be_one_string_or_several() {
        let json = br#"[{"image":"a","caption":"x","image_id":"1"},{"caption":["y","z"],"image":"b"}]"#;
        let rows = flat(Path::new("x"), json).unwrap();
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

    #[test]
    fn restval_is_training_and_an_unknown_split_is_named() {
        let file = |split: &str| {
            format!(
                r#"{{"images":[{{"filename":"a.jpg","filepath":"val2014","split":"{split}","sentences":[{{"raw":"A."}}]}}]}}"#
            )
        };
        let rows = original(Path::new("x"), file("restval").as_bytes()).unwrap();
        assert_eq!((rows[0].0, rows[0].1.image.as_str()), (Part::Train, "val2014/a.jpg"));
        let text = original(Path::new("x"), file("dev").as_bytes()).unwrap_err().to_string();
        assert!(text.contains("row 1: unknown split \"dev\""), "{text}");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = flat(Path::new("x"), &bytes);
            let _ = original(Path::new("x"), &bytes);
        }

        #[test]
        fn json_like_text_never_panics(text in r#"[\[\]{},:"a-z0-9\\u ]{0,80}"#) {
            let json = format!(r#"[{{"image":"a","caption":{text}"#);
            prop_assert!(flat(Path::new("x"), json.as_bytes()).is_err() || text.contains(']'));
        }
    }
}
