//! What a setting may be.

use crate::fsio::printable;
use serde_json::{Value, json};

/// Where a range ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    /// There, and it belongs to it.
    In(f64),
    /// There, and it does not.
    Out(f64),
    /// Nowhere.
    Open,
}

/// What a setting may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A whole number from the first to the second.
    Whole(u64, u64),
    /// The same, or left to the program.
    Maybe(u64, u64),
    /// A number between two ends.
    Real(End, End),
    /// Yes or no.
    Flag,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Any words.
    Words,
    /// Words, or nothing said.
    Note,
    /// Names, at least one.
    Names,
    /// A method, and what is otherwise about it.
    Way,
}

impl Kind {
    /// `text` as a value of this kind, whatever its bounds.
    ///
    /// # Errors
    /// What was expected, in words.
    pub fn read(self, text: &str) -> Result<Value, String> {
        let text = text.trim();
        let wrong = || format!("`{}` is not {}", printable(text), self.words());
        match self {
            Self::Maybe(..) if text == "default" => Ok(Value::Null),
            Self::Whole(..) | Self::Maybe(..) => text.parse::<u64>().map(Value::from).map_err(|_| wrong()),
            Self::Real(..) => {
                let number = text.parse::<f64>().ok().filter(|v| v.is_finite()).ok_or_else(wrong)?;
                Ok(number.into())
            }
            Self::Flag => text.parse::<bool>().map(Value::from).map_err(|_| wrong()),
            Self::Note if text.is_empty() => Ok(Value::Null),
            Self::OneOf(_) | Self::Words | Self::Note | Self::Way => Ok(text.into()),
            Self::Names => Ok(text.split(',').map(str::trim).filter(|n| !n.is_empty()).collect()),
        }
    }

    /// Whether it may be `value`.
    ///
    /// # Errors
    /// What it may be, in words.
    pub fn check(self, value: &Value) -> Result<(), String> {
        let fits = match self {
            Self::Whole(from, to) => value.as_u64().is_some_and(|v| (from..=to).contains(&v)),
            Self::Maybe(from, to) => value.is_null() || value.as_u64().is_some_and(|v| (from..=to).contains(&v)),
            Self::Real(from, to) => value.as_f64().is_some_and(|v| from.is_below(v) && to.is_above(v)),
            Self::Flag => value.is_boolean(),
            Self::OneOf(words) => value.as_str().is_some_and(|v| words.contains(&v)),
            Self::Words | Self::Way => value.is_string(),
            Self::Note => value.is_null() || value.is_string(),
            Self::Names => {
                value.as_array().is_some_and(|names| !names.is_empty() && names.iter().all(Value::is_string))
            }
        };
        let said = || match value {
            // What no number in JSON is.
            Value::Null => "NaN".to_owned(),
            Value::String(text) => format!("`{}`", printable(text)),
            other => other.to_string(),
        };
        if fits { Ok(()) } else { Err(format!("{} is not {}", said(), self.words())) }
    }

    /// The number between the ends that is nearest to `v`; a slider stops there.
    pub fn nearest(self, v: f64) -> f64 {
        match self {
            Self::Whole(from, to) | Self::Maybe(from, to) => v.clamp(from as f64, to as f64),
            Self::Real(End::In(from), End::In(to)) => v.clamp(from, to),
            _ => v,
        }
    }

    /// In words, after "is not".
    pub fn words(self) -> String {
        match self {
            Self::Whole(from, u64::MAX) => format!("{from} or more"),
            Self::Whole(from, to) => format!("between {from} and {to}"),
            Self::Maybe(from, u64::MAX) => format!("{from} or more, or \"default\""),
            Self::Maybe(from, to) => format!("between {from} and {to}, or \"default\""),
            Self::Real(from, to) => {
                let below = if from == End::Open { "below" } else { "to below" };
                match (from, to) {
                    (End::In(least), End::Open) => format!("{least} or more"),
                    (End::In(least), End::In(most)) => format!("between {least} and {most}"),
                    (End::Open, End::Open) => "a number".into(),
                    _ => [from.words("from", "above"), to.words("to", below)].join(" ").trim().to_owned(),
                }
            }
            Self::Flag => "true or false".into(),
            Self::OneOf([a, b]) => format!("{a} or {b}"),
            Self::OneOf(words) => format!("one of {}", words.join(", ")),
            Self::Words => "words".into(),
            Self::Note => "words, or nothing".into(),
            Self::Names => "at least one name".into(),
            Self::Way => "a method, with `+` and what is otherwise about it".into(),
        }
    }

    /// What stands for it in help.
    pub fn metavar(self) -> &'static str {
        match self {
            Self::Whole(..) | Self::Maybe(..) => "N",
            Self::Real(..) => "X",
            Self::Flag => "true|false",
            Self::OneOf(_) => "WORD",
            Self::Words | Self::Note => "WORDS",
            Self::Names => "A,B",
            Self::Way => "NAME",
        }
    }

    pub(super) fn schema(self) -> Value {
        match self {
            Self::Whole(from, u64::MAX) | Self::Maybe(from, u64::MAX) => json!({ "type": "integer", "minimum": from }),
            Self::Whole(from, to) | Self::Maybe(from, to) => {
                json!({ "type": "integer", "minimum": from, "maximum": to })
            }
            Self::Real(from, to) => {
                let mut about = json!({ "type": "number" });
                for (end, inside, outside) in
                    [(from, "minimum", "exclusiveMinimum"), (to, "maximum", "exclusiveMaximum")]
                {
                    match end {
                        End::In(v) => about[inside] = v.into(),
                        End::Out(v) => about[outside] = v.into(),
                        End::Open => {}
                    }
                }
                about
            }
            Self::Flag => json!({ "type": "boolean" }),
            Self::OneOf(words) => json!({ "enum": words }),
            Self::Words | Self::Note | Self::Way => json!({ "type": "string" }),
            Self::Names => json!({ "type": "array", "items": { "type": "string" }, "minItems": 1 }),
        }
    }
}

impl End {
    fn is_below(self, v: f64) -> bool {
        match self {
            Self::In(end) => end <= v,
            Self::Out(end) => end < v,
            Self::Open => v.is_finite(),
        }
    }

    fn is_above(self, v: f64) -> bool {
        match self {
            Self::In(end) => v <= end,
            Self::Out(end) => v < end,
            Self::Open => v.is_finite(),
        }
    }

    fn words(self, inside: &str, outside: &str) -> String {
        match self {
            Self::In(v) => format!("{inside} {v}"),
            Self::Out(v) => format!("{outside} {v}"),
            Self::Open => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ends_are_said_and_kept() {
        let share = Kind::Real(End::In(0.0), End::Out(1.0));
        assert_eq!(share.words(), "from 0 to below 1");
        assert_eq!(Kind::Real(End::Out(0.0), End::Open).words(), "above 0");
        assert_eq!(Kind::Real(End::In(0.0), End::Open).words(), "0 or more");
        assert!(share.check(&json!(0.0)).is_ok() && share.check(&json!(1.0)).is_err());
        assert_eq!(Kind::Whole(1, 5).check(&json!(6)).unwrap_err(), "6 is not between 1 and 5");
        assert_eq!(
            Kind::Real(End::In(0.0), End::In(1.0)).check(&Value::Null).unwrap_err(),
            "NaN is not between 0 and 1"
        );
    }

    #[test]
    fn what_is_typed_is_read_by_its_kind() {
        assert_eq!(Kind::Names.read("vit, nf_resnet").unwrap(), json!(["vit", "nf_resnet"]));
        assert_eq!(Kind::Maybe(1, 9).read("default").unwrap(), Value::Null);
        assert_eq!(Kind::Real(End::Open, End::Open).read("inf").unwrap_err(), "`inf` is not a number");
        assert_eq!(Kind::Flag.read("yes").unwrap_err(), "`yes` is not true or false");
    }
}
