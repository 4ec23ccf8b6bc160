//! Karpathy's splits: BLIP's flat lists (`*_train.json`, `*_val.json`, `*_test.json`) and the original
//! `dataset_flickr30k.json` / `dataset_coco.json`.

use crate::{
    data::{
        files::json,
        splits::{Part, split_of},
    },
    error::{Error, Result},
    fsio::printable,
};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, SeqAccess, Visitor},
};
use std::{cell::Cell, fmt, path::Path};

/// One entry of a list: an image's path as written there, relative to the data root, and captions not yet normalised.
#[derive(Debug)]
pub(in crate::data) struct Row {
    pub image: String,
    pub caption: Vec<String>,
    /// Whether it had both `caption` and `text`, or an image by two keys; the first ones count.
    pub twice: bool,
}

/// The keys of an entry. A caption that is null is one without a word.
#[derive(Deserialize)]
pub(in crate::data) struct Keys {
    image: Option<String>,
    file_name: Option<String>,
    #[serde(default, deserialize_with = "one_or_many")]
    caption: Option<Vec<String>>,
    #[serde(default, deserialize_with = "one_or_many")]
    text: Option<Vec<String>>,
}

impl Keys {
    /// The row; the error names what lacks.
    pub fn row(self) -> std::result::Result<Row, &'static str> {
        let by_two = self.image.is_some() && self.file_name.is_some();
        let (caption, twice) = choose(self.caption, self.text)?;
        let image = self.image.or(self.file_name).ok_or("missing field `image`")?;
        Ok(Row { image, caption, twice: twice || by_two })
    }
}

/// `caption` counts, unless it holds no word; and whether there were words by both keys.
fn choose(
    caption: Option<Vec<String>>,
    text: Option<Vec<String>>,
) -> std::result::Result<(Vec<String>, bool), &'static str> {
    let words = |given: &[String]| given.iter().any(|c| !c.trim().is_empty());
    match (caption, text) {
        (Some(caption), Some(text)) if words(&caption) => Ok((caption, words(&text))),
        (_, Some(text)) => Ok((text, false)),
        (Some(caption), None) => Ok((caption, false)),
        (None, None) => Err("missing field `caption`"),
    }
}

/// Captions that come without an image beside them: `"…"`, `["…"]` or `{"caption": either}`, for which `text` is taken
/// too; other keys are ignored. And whether the object had both.
pub(in crate::data) fn captions(bytes: &[u8]) -> serde_json::Result<(Vec<String>, bool)> {
    use serde::de::Error;
    if bytes.trim_ascii_start().first() == Some(&b'{') {
        let keys: Keys = serde_json::from_slice(bytes)?;
        return choose(keys.caption, keys.text).map_err(serde_json::Error::custom);
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let captions = one_or_many(&mut json)?.unwrap_or_default();
    json.end().map(|()| (captions, false))
}

/// Reads a flat list: `[{"image": path, "caption": string or strings}]`; other keys are ignored. And how many NaNs it has.
///
/// # Errors
/// [`Error::Input`] naming row, line and column.
pub(in crate::data) fn flat(path: &Path, bytes: &[u8]) -> Result<(Vec<Row>, usize)> {
    let begun = Cell::new(0);
    let read = json::read(bytes, |bytes| {
        let mut json = serde_json::Deserializer::from_slice(bytes);
        json.deserialize_seq(Counted { begun: &begun }).and_then(|rows| json.end().map(|()| rows))
    });
    read.map_err(|e| Error::input(path, format!("row {}: {}", begun.get(), printable(&e.to_string()))))
}

/// Reads the original file; entry `i` is row `i + 1` of it. `restval` counts as training, as is usual for COCO.
///
/// # Errors
/// [`Error::Input`] naming line and column, or the row of an unknown split.
pub(in crate::data) fn original(path: &Path, bytes: &[u8]) -> Result<(Vec<(Part, Row)>, usize)> {
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
        Ok((part, Row { image: name, caption, twice: false }))
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

/// A sequence that knows which element it is in: these files are one line, so a column alone says little.
struct Counted<'a> {
    begun: &'a Cell<usize>,
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
            match seq.next_element::<Keys>()? {
                Some(keys) => rows.push(keys.row().map_err(A::Error::custom)?),
                None => return Ok(rows),
            }
        }
    }
}

/// A string or a list of strings, with an error that says so (an untagged enum would only say "no variant matched").
fn one_or_many<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<Option<Vec<String>>, D::Error> {
    struct OneOrMany;
    impl<'de> Visitor<'de> for OneOrMany {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a caption or a list of captions")
        }

        fn visit_str<E>(self, text: &str) -> std::result::Result<Vec<String>, E> {
            Ok(vec![text.to_owned()])
        }

        fn visit_unit<E>(self) -> std::result::Result<Vec<String>, E> {
            Ok(vec![String::new()])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<Vec<String>, A::Error> {
            let mut captions = Vec::new();
            while let Some(caption) = seq.next_element::<Option<String>>()? {
                captions.push(caption.unwrap_or_default());
            }
            Ok(captions)
        }
    }
    from.deserialize_any(OneOrMany).map(Some)
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
        let (rows, _) = flat(Path::new("x"), json).unwrap();
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
        let (rows, _) = original(Path::new("x"), file("restval").as_bytes()).unwrap();
        assert_eq!((rows[0].0, rows[0].1.image.as_str()), (Part::Train, "val2014/a.jpg"));
        let text = original(Path::new("x"), file("other").as_bytes()).unwrap_err().to_string();
        assert!(text.contains("row 1: unknown split \"other\""), "{text}");
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
