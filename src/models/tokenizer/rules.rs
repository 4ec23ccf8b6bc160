//! What is asked of the rules of a foreign `tokenizer.json` before the crate applies them: it carries out any chain of them,
//! and a few lines can make ten thousand million letters of one caption.

use super::patterns;
use serde::Deserialize;
use serde_json::Value;

/// Rules of each kind that are read; CLIP has three and two.
const RULES: usize = 32;
const SPLITS: usize = 10;
/// How many times as long as a caption the rules may make it.
const GROWTH: u64 = 64;
/// Rules that say no text of their own.
const PLAIN: [&str; 8] = ["NFC", "NFD", "NFKC", "NFKD", "Lowercase", "Strip", "StripAccents", "Nmt"];

/// The parts of the file that are rules.
#[derive(Deserialize)]
struct File {
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pre_tokenizer: Value,
    model: Model,
}

/// What of the model says how words are put together.
#[derive(Deserialize)]
struct Model {
    r#type: Option<String>,
    /// Pairs of parts, which only this kind has.
    merges: Option<serde::de::IgnoredAny>,
}

/// Checks number, growth and time of the rules in `json`; the error says which is too much.
pub(super) fn check(json: &[u8]) -> Result<(), String> {
    let file: File = serde_json::from_slice(json).map_err(|e| format!("not a tokenizer: {e}"))?;
    match file.model.r#type.as_deref() {
        // The others' time can grow with the cube of a word's length.
        Some("BPE") => {}
        None if file.model.merges.is_some() => {}
        _ => return Err("its model is no byte-pair encoding, which CLIP's and SigLIP 2's are".into()),
    }
    let rules = flat(&file.normalizer, "normalizers");
    let splits = flat(&file.pre_tokenizer, "pretokenizers");
    if rules.len() > RULES || splits.len() > SPLITS {
        let (rules, splits) = (rules.len(), splits.len());
        return Err(format!(
            "has {rules} normalizers and {splits} pretokenizers; at most {RULES} and {SPLITS} are read"
        ));
    }
    for rule in rules.iter().chain(&splits) {
        rule["pattern"]["Regex"].as_str().map_or(Ok(()), patterns::check)?;
    }
    let mut growth = 1u64;
    for rule in rules {
        growth = growth.saturating_mul(times(rule)?);
    }
    match growth {
        0..=GROWTH => Ok(()),
        _ => Err(format!("its normalizers make a caption {growth} times as long; at most {GROWTH} times is read")),
    }
}

/// The rules in `rule`, which may be a sequence of sequences.
fn flat<'a>(rule: &'a Value, parts: &str) -> Vec<&'a Value> {
    match (rule, rule["type"].as_str()) {
        (Value::Null, _) => Vec::new(),
        (_, Some("Sequence")) => {
            rule[parts].as_array().into_iter().flatten().flat_map(|part| flat(part, parts)).collect()
        }
        _ => vec![rule],
    }
}

/// How many times as long a rule can make a text.
fn times(rule: &Value) -> Result<u64, String> {
    let length = |text: &Value| text.as_str().map_or(0, str::len) as u64;
    match rule["type"].as_str() {
        Some(name) if PLAIN.contains(&name) => Ok(1),
        Some("BertNormalizer") => Ok(3),
        Some("ByteLevel") => Ok(2),
        Some("Prepend") if length(&rule["prepend"]) < 100 => Ok(1),
        Some("Replace") => {
            let written = length(&rule["content"]);
            // A pattern may match nothing, which is everywhere.
            let (before, after) = match length(&rule["pattern"]["String"]) {
                0 => (1, written + 1),
                literal => (literal, written),
            };
            Ok(after.div_ceil(before).max(1))
        }
        Some(name) => {
            let shown: String = crate::fsio::printable(name).chars().take(40).collect();
            Err(format!("has a normalizer of type `{shown}`, which is not read"))
        }
        None => Err("has a normalizer without a type".into()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn checked(normalizers: &[Value], pretokenizers: usize) -> Result<(), String> {
        let splits = vec![json!({"type": "Whitespace"}); pretokenizers];
        let file = json!({
            "normalizer": {"type": "Sequence", "normalizers": normalizers},
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": splits},
            "model": {"type": "BPE"},
        });
        check(file.to_string().as_bytes())
    }

    #[test]
    fn what_takes_longer_than_in_proportion_to_the_text_is_refused_wherever_it_stands() {
        let slow = json!({"type": "Replace", "pattern": {"Regex": "(a+)+\\k<1>"}, "content": ""});
        assert!(checked(&[slow], 0).unwrap_err().contains("refers back"));
        let split = json!({"type": "Split", "pattern": {"Regex": "(?=a)"}, "behavior": "Removed", "invert": false});
        let of =
            |split: &Value, model: Value| check(json!({"pre_tokenizer": split, "model": model}).to_string().as_bytes());
        assert!(of(&split, json!({"type": "BPE"})).unwrap_err().contains("looks around"));
        assert!(of(&Value::Null, json!({"type": "WordPiece"})).unwrap_err().contains("no byte-pair encoding"));
        assert!(of(&Value::Null, json!({"merges": []})).is_ok());
    }

    #[test]
    fn rules_that_multiply_a_text_are_refused_however_they_are_chained() {
        let double = json!({"type": "Replace", "pattern": {"String": "a"}, "content": "aa"});
        assert!(checked(&vec![double.clone(); 6], 2).is_ok());
        assert!(checked(&vec![double.clone(); 7], 2).unwrap_err().contains("128 times as long"));
        let nested = json!({"type": "Sequence", "normalizers": vec![double; 4]});
        assert!(checked(&[nested.clone(), nested], 2).unwrap_err().contains("256 times as long"));
        let everywhere = json!({"type": "Replace", "pattern": {"Regex": ""}, "content": "x".repeat(64)});
        assert!(checked(&[everywhere], 2).unwrap_err().contains("65 times as long"));
        assert!(checked(&vec![json!({"type": "NFC"}); 33], 2).unwrap_err().contains("33 normalizers"));
        assert!(checked(&[], 11).unwrap_err().contains("11 pretokenizers"));
        assert!(checked(&[json!({"type": "Precompiled"})], 2).unwrap_err().contains("`Precompiled`"));
    }
}
