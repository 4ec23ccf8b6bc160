//! JSON as Python's `json` writes it: `NaN` and `Infinity`, which JSON does not have, do no harm where nobody reads them.

use std::{fmt, ops::Range};

/// What is wrong with a JSON text, and where.
#[derive(Debug)]
pub(in crate::data) struct Wrong {
    pub what: String,
    /// From 1.
    line: usize,
    /// In bytes, of the last one read.
    pub column: usize,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            return f.write_str(&self.what);
        }
        write!(f, "{} at line {} column {}", self.what, self.line, self.column)
    }
}

impl From<serde_json::Error> for Wrong {
    fn from(e: serde_json::Error) -> Self {
        let what = e.to_string();
        let place = format!(" at line {} column {}", e.line(), e.column());
        Self { what: what.strip_suffix(&place).unwrap_or(&what).to_owned(), line: e.line(), column: e.column() }
    }
}

/// What `parse` makes of `bytes`, and how many numbers in it are none; it is called again, with zeros in their places, if
/// strict JSON fails.
pub(in crate::data) fn read<T>(
    bytes: &[u8],
    mut parse: impl FnMut(&[u8]) -> serde_json::Result<T>,
) -> Result<(T, usize), Wrong> {
    let strict = match parse(bytes) {
        Ok(value) => return Ok((value, 0)),
        Err(e) => e,
    };
    let odd = not_numbers(bytes);
    if odd.is_empty() {
        return Err(strict.into());
    }
    let mut patched = bytes.to_vec();
    for place in &odd {
        patched[place.clone()].fill(b' ');
        patched[place.start] = b'0';
    }
    match parse(&patched) {
        Ok(value) => Ok((value, odd.len())),
        Err(e) => {
            let mut wrong = Wrong::from(e);
            let begins =
                |lines: usize| bytes.iter().enumerate().filter(|(_, b)| **b == b'\n').nth(lines).map_or(0, |l| l.0 + 1);
            let at = if wrong.line > 1 { begins(wrong.line - 2) } else { 0 } + wrong.column;
            // A parser complains of a number as it has read it, or the byte after it.
            if let Some(place) = odd.iter().find(|place| (place.start + 1..=place.start + 2).contains(&at)) {
                let name = String::from_utf8_lossy(&bytes[place.clone()]).into_owned();
                wrong.what = format!("{name} is no caption and no name: {}", wrong.what.replace("integer `0`", &name));
            }
            Err(wrong)
        }
    }
}

/// Where `NaN`, `Infinity` and `-Infinity` stand outside strings.
fn not_numbers(bytes: &[u8]) -> Vec<Range<usize>> {
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(&byte) = bytes.get(at) {
        let rest = &bytes[at..];
        let odd = [b"NaN".as_slice(), b"Infinity", b"-Infinity"].into_iter().find(|name| rest.starts_with(name));
        at += match (byte, odd) {
            (b'"', _) => string(rest),
            (_, Some(name)) => {
                found.push(at..at + name.len());
                name.len()
            }
            _ => 1,
        };
    }
    found
}

/// Length of the string that `bytes` begin with, with its quotes.
fn string(bytes: &[u8]) -> usize {
    let mut at = 1;
    while let Some(&byte) = bytes.get(at) {
        at += if byte == b'\\' { 2 } else { 1 };
        if byte == b'"' {
            break;
        }
    }
    at
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::Value;

    #[test]
    fn only_numbers_outside_strings_are_taken_for_none() {
        let text = br#"{"a": NaN, "NaN \" Infinity": "NaN", "b": [-Infinity, Infinity], "c": "\\"}"#;
        let (value, odd) = read(text, |b| serde_json::from_slice::<Value>(b)).unwrap();
        assert_eq!((odd, &value["NaN \" Infinity"], &value["c"]), (3, &Value::from("NaN"), &Value::from("\\")));
        assert_eq!(read(b"[\"NaN\"]", |b| serde_json::from_slice::<Value>(b)).unwrap().1, 0);
    }

    #[test]
    fn an_error_keeps_its_place_and_one_about_a_nan_says_so() {
        let text = b"{\"a\": NaN,\n \"b\": [1,}";
        let wrong = read(text, |b| serde_json::from_slice::<Value>(b)).unwrap_err();
        assert_eq!(wrong.to_string(), "expected value at line 2 column 10");
        let text = b"[\"a\",\n NaN, \"b\"]";
        let wrong = read(text, |b| serde_json::from_slice::<Vec<String>>(b)).unwrap_err().to_string();
        assert!(
            wrong.starts_with("NaN is no caption and no name: invalid type: NaN, expected a string at line 2"),
            "{wrong}"
        );
    }
}
