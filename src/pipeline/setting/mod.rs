//! Every setting once: its names, what it may be, how it is read and written. Files, flags, the explorer's line, journals,
//! checks, the schema and README's list all come from [`SETTINGS`].

mod kind;
mod table;

pub use kind::{End, Kind};
pub use table::SETTINGS;

use crate::error::{Error, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned, ser::SerializeMap};
use serde_json::{Map, Value, json};

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// Its full name: section and key, as in a file.
    pub name: &'static str,
    /// What the explorer's line and its journal call it, or empty: by its full name.
    pub word: &'static str,
    /// Its flag on the command line, or empty: only `--set NAME=VALUE`.
    pub flag: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// What it is, in a sentence.
    pub says: &'static str,
}

impl Setting {
    /// The setting of this full name or word.
    pub fn find(name: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|s| s.name == name || (!s.word.is_empty() && s.word == name))
    }

    /// What the explorer calls it.
    pub fn called(&self) -> &'static str {
        if self.word.is_empty() { self.name } else { self.word }
    }

    /// The section of a file that it stands in; empty for those before the first.
    pub fn section(&self) -> &'static str {
        self.name.split_once('.').map_or("", |(section, _)| section)
    }

    /// A change to what `text` says.
    ///
    /// # Errors
    /// What it may be, in words.
    pub fn to(&'static self, text: &str) -> std::result::Result<Change, String> {
        let value = self.kind.read(text)?;
        self.kind.check(&value).map(|()| Change { setting: self, value })
    }

    fn pointer(&self) -> String {
        format!("/{}", self.name.replace('.', "/"))
    }

    /// What it is in `all`, a configuration as JSON.
    pub fn of<'a>(&self, all: &'a Value) -> Option<&'a Value> {
        all.pointer(&self.pointer())
    }
}

/// A setting and what it becomes.
#[derive(Clone, Debug)]
pub struct Change {
    /// Which.
    pub setting: &'static Setting,
    /// As in a file.
    pub value: Value,
}

impl PartialEq for Change {
    fn eq(&self, other: &Self) -> bool {
        (self.setting.name, &self.value) == (other.setting.name, &other.value)
    }
}

impl Change {
    /// A change of the setting `name`.
    ///
    /// # Panics
    /// Where there is no such setting: the name is the program's own.
    pub fn of(name: &str, value: impl Into<Value>) -> Self {
        let setting = Setting::find(name).unwrap_or_else(|| panic!("no setting is called {name}"));
        Self { setting, value: value.into() }
    }

    /// `all` with the change.
    ///
    /// # Errors
    /// [`Error::Setting`] for a value that it may not be.
    pub fn applied<T: Serialize + DeserializeOwned>(&self, all: &T) -> Result<T> {
        let wrong = |e: serde_json::Error| Error::setting(self.setting.name, e.to_string());
        let mut json = serde_json::to_value(all).map_err(wrong)?;
        self.write(&mut json)?;
        serde_json::from_value(json).map_err(wrong)
    }

    /// Writes it into `all`, a configuration as JSON.
    ///
    /// # Errors
    /// [`Error::Setting`] for a value that it may not be, of its kind.
    pub fn write(&self, all: &mut Value) -> Result<()> {
        let wrong = |e: String| Error::setting(self.setting.name, e);
        self.setting.kind.check(&self.value).map_err(wrong)?;
        let place = all.pointer_mut(&self.setting.pointer());
        *place.ok_or_else(|| wrong("is none of these settings".into()))? = self.value.clone();
        Ok(())
    }
}

/// In a journal: `{"steps": 20}`.
impl Serialize for Change {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(1))?;
        map.serialize_entry(self.setting.called(), &self.value)?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for Change {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        use serde::de::Error as _;
        let map = Map::deserialize(from)?;
        let (name, value) = map.into_iter().next().ok_or_else(|| D::Error::custom("no setting is named"))?;
        let setting = Setting::find(&name).ok_or_else(|| D::Error::custom(format!("no setting is called `{name}`")))?;
        Ok(Self { setting, value })
    }
}

/// Whether the settings of `section` are what they may be.
///
/// # Errors
/// [`Error::Setting`] naming the first that is not.
pub(in crate::pipeline) fn check<T: Serialize>(section: &str, settings: &T) -> Result<()> {
    let json = serde_json::to_value(settings).map_err(|e| Error::setting(section, e.to_string()))?;
    check_all(&Value::from(Map::from_iter([(section.to_owned(), json)])), |s| s.section() == section)
}

/// Whether a whole configuration is what it may be.
///
/// # Errors
/// [`Error::Setting`] naming the first setting that is not.
pub fn check_all(all: &Value, which: impl Fn(&Setting) -> bool) -> Result<()> {
    SETTINGS
        .iter()
        .filter(|s| which(s))
        .try_for_each(|s| s.kind.check(s.of(all).unwrap_or(&Value::Null)).map_err(|why| Error::setting(s.name, why)))
}

/// A JSON schema (2020-12) of configuration files, with the defaults of `all`; editors complete and check TOML by it.
pub fn schema(all: &Value) -> Value {
    let mut root = Map::new();
    for setting in SETTINGS {
        let mut about = setting.kind.schema();
        about["description"] = setting.says.into();
        if let Some(value) = setting.of(all).filter(|v| !v.is_null()) {
            about["default"] = value.clone();
        }
        match setting.name.split_once('.') {
            None => drop(root.insert(setting.name.into(), about)),
            Some((section, key)) => {
                let object = || json!({ "type": "object", "additionalProperties": false, "properties": {} });
                root.entry(section).or_insert_with(object)["properties"][key] = about;
            }
        }
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "protostill settings",
        "type": "object",
        "additionalProperties": false,
        "properties": root,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_words_and_flags_are_unique_and_everything_is_explained() {
        for of in [|s: &Setting| s.name, |s: &Setting| s.word, |s: &Setting| s.flag] {
            let named: Vec<_> = SETTINGS.iter().map(of).filter(|n| !n.is_empty()).collect();
            assert_eq!(named.iter().collect::<std::collections::BTreeSet<_>>().len(), named.len());
        }
        assert!(SETTINGS.iter().all(|s| !s.says.is_empty() && !s.says.ends_with('.')));
    }

    #[test]
    fn a_change_is_written_by_its_word_and_read_by_word_or_name() {
        let change = Change::of("synthesis.steps", 20);
        assert_eq!(serde_json::to_string(&change).unwrap(), r#"{"steps":20}"#);
        for text in [r#"{"steps":20}"#, r#"{"synthesis.steps":20}"#] {
            assert_eq!(serde_json::from_str::<Change>(text).unwrap(), change);
        }
        let error = serde_json::from_str::<Change>(r#"{"stepz":20}"#).unwrap_err().to_string();
        assert!(error.contains("no setting is called `stepz`"), "{error}");
    }
}
