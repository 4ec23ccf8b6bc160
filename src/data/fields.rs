//! What the fields of a row are called, in JSON and in tables, and which of them count.

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use std::fmt;

/// What pictures, their paths and their names are called, the best first; then anything that ends in [`FILE_NAME`].
const IMAGES: [&str; 14] = [
    "image",
    "file_name",
    "image_file_name",
    "filepath",
    "image_path",
    "filename",
    "image_name",
    "jpg",
    "jpeg",
    "png",
    "webp",
    "img",
    "picture",
    "file",
];
/// How Hugging Face's `datasets` ends the names of columns of paths.
const FILE_NAME: &str = "_file_name";
/// What captions are called, the best first; numbered ones (`caption_0` …) count together as the last.
const CAPTIONS: [&str; 15] = [
    "caption",
    "text",
    "captions",
    "texts",
    "sentences",
    "sentences_raw",
    "raw",
    "title",
    "comment",
    "txt",
    "description",
    "alt_text",
    "answer",
    "prompt",
    "original_caption",
];

/// Which field is the picture and which the caption; where it is not said, the usual names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    /// The field of the picture or its path, or, of a shard's members, their extension.
    pub image: Option<String>,
    /// The field of the captions, or the extension.
    pub caption: Option<String>,
}

impl Names {
    /// How well a field called `name` is known to be the picture; the lowest is best.
    pub(super) fn image(&self, name: &str) -> Option<usize> {
        let rest = name.strip_suffix(FILE_NAME);
        match &self.image {
            Some(image) => (name == image || rest == Some(image)).then_some(0),
            None => IMAGES.iter().position(|known| *known == name).or(rest.map(|_| IMAGES.len())),
        }
    }

    /// The same for captions.
    pub(super) fn caption(&self, name: &str) -> Option<usize> {
        if let Some(caption) = &self.caption {
            return (name == caption).then_some(0);
        }
        let word = name.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches(['_', ' ']);
        let numbered = word.len() < name.len() && ["caption", "text"].contains(&word);
        CAPTIONS.iter().position(|known| *known == name).or(numbered.then_some(CAPTIONS.len()))
    }

    /// The captions of a row: those of the best field that holds a word, else of the best one; and whether others hold words
    /// too.
    pub(super) fn choose(mut given: Vec<(usize, Vec<String>)>) -> (Vec<String>, bool) {
        given.sort_by_key(|(rank, _)| *rank);
        let words = |captions: &[String]| captions.iter().any(|c| !c.trim().is_empty());
        let best = given.iter().find(|(_, c)| words(c)).or(given.first()).map_or(0, |(rank, _)| *rank);
        let (ours, others): (Vec<_>, Vec<_>) = given.into_iter().partition(|(rank, _)| *rank == best);
        (ours.into_iter().flat_map(|(_, c)| c).collect(), others.iter().any(|(_, c)| words(c)))
    }
}

/// One entry of a list: an image's path as written there, relative to the data root, and captions not yet normalised.
#[derive(Debug)]
pub(super) struct Row {
    pub image: String,
    pub caption: Vec<String>,
    /// Whether it had captions or an image by two keys; the first ones count.
    pub twice: bool,
    /// DataComp's name of it.
    pub uid: Option<u128>,
}

/// What DataComp calls the names of its samples.
pub(super) const UID: &str = "uid";

/// Such a name: 32 hexadecimal digits.
pub(super) fn uid(text: &str) -> Option<u128> {
    u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32)
}

/// An object's fields of a row; a caption that is null is one without a word. Other keys are ignored.
#[derive(Default)]
pub(super) struct Keys {
    images: Vec<(usize, String)>,
    captions: Vec<(usize, Vec<String>)>,
    pub uid: Option<u128>,
}

impl Keys {
    /// The row; the error names what lacks.
    pub fn row(mut self) -> Result<Row, &'static str> {
        self.images.sort();
        let by_two = self.images.len() > 1;
        let image = self.images.into_iter().next().ok_or("missing field `image`")?.1;
        if self.captions.is_empty() {
            return Err("missing field `caption`");
        }
        let (caption, twice) = Names::choose(self.captions);
        Ok(Row { image, caption, twice: twice || by_two, uid: self.uid })
    }
}

/// Reads [`Keys`] by these names.
#[derive(Clone, Copy)]
pub(super) struct Read<'a>(pub &'a Names);

impl Read<'_> {
    /// One object.
    pub fn keys(self, bytes: &[u8]) -> serde_json::Result<Keys> {
        let mut json = serde_json::Deserializer::from_slice(bytes);
        let keys = self.deserialize(&mut json)?;
        json.end().map(|()| keys)
    }

    /// Captions that come without an image beside them: `"…"`, `["…"]` or an object that has captions; and whether it has
    /// them twice; and a name of DataComp's.
    pub fn captions(self, bytes: &[u8]) -> serde_json::Result<(Vec<String>, bool, Option<u128>)> {
        use serde::de::Error;
        if bytes.trim_ascii_start().first() == Some(&b'{') {
            let keys = self.keys(bytes)?;
            if keys.captions.is_empty() {
                return Err(Error::custom("missing field `caption`"));
            }
            let (captions, twice) = Names::choose(keys.captions);
            return Ok((captions, twice, keys.uid));
        }
        let mut json = serde_json::Deserializer::from_slice(bytes);
        let captions = one_or_many(&mut json)?;
        json.end().map(|()| (captions, false, None))
    }
}

impl<'de> DeserializeSeed<'de> for Read<'_> {
    type Value = Keys;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Keys, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Read<'_> {
    type Value = Keys;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with an image and a caption")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
        let mut keys = Keys::default();
        while let Some(key) = map.next_key::<String>()? {
            if let Some(rank) = self.0.image(&key) {
                keys.images.extend(map.next_value::<Option<String>>()?.map(|image| (rank, image)));
            } else if let Some(rank) = self.0.caption(&key) {
                keys.captions.push((rank, map.next_value_seed(OneOrMany)?));
            } else if key == UID {
                keys.uid = map.next_value::<serde_json::Value>()?.as_str().and_then(uid);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(keys)
    }
}

/// A string or a list of strings, with an error that says so (an untagged enum would only say "no variant matched").
pub(super) fn one_or_many<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    OneOrMany.deserialize(from)
}

struct OneOrMany;

impl<'de> DeserializeSeed<'de> for OneOrMany {
    type Value = Vec<String>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Vec<String>, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for OneOrMany {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a caption or a list of captions")
    }

    fn visit_str<E>(self, text: &str) -> Result<Vec<String>, E> {
        Ok(vec![text.to_owned()])
    }

    fn visit_unit<E>(self) -> Result<Vec<String>, E> {
        Ok(vec![String::new()])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<String>, A::Error> {
        let mut captions = Vec::new();
        while let Some(caption) = seq.next_element::<Option<String>>()? {
            captions.push(caption.unwrap_or_default());
        }
        Ok(captions)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn row(json: &str, names: &Names) -> (String, Vec<String>, bool) {
        let row = Read(names).keys(json.as_bytes()).unwrap().row().unwrap();
        (row.image, row.caption, row.twice)
    }

    #[test]
    fn a_named_field_counts_and_the_usual_ones_do_not() {
        let json =
            r#"{"image":"a.png","right_file_name":"b.png","caption":"one","short":["two",null],"w":{"image":7}}"#;
        let usual = row(json, &Names::default());
        assert_eq!(usual, ("a.png".into(), vec!["one".into()], true), "by two keys");
        let names = Names { image: Some("right".into()), caption: Some("short".into()) };
        assert_eq!(row(json, &names), ("b.png".into(), vec!["two".into(), String::new()], false));
    }

    #[test]
    fn numbered_captions_are_captions_of_one_row() {
        let json = r#"{"file_name":"a.png","caption_0":"one","caption_1":"two","caption_id":"x","width":3}"#;
        assert_eq!(row(json, &Names::default()), ("a.png".into(), vec!["one".into(), "two".into()], false));
        let json = r#"{"left_file_name":"a.png","text":"","title":"words"}"#;
        assert_eq!(row(json, &Names::default()), ("a.png".into(), vec!["words".into()], false));
    }
}
