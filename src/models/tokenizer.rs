//! Byte-pair tokenizers: CLIP's, with the ids transformers' `CLIPTokenizerFast` gives, and SigLIP 2's, which is Gemma's.

mod patterns;
mod rules;

use crate::{
    caught::caught,
    door,
    error::{Error, Result},
    models::weights::Part,
};
use serde_json::{Value, json};
use std::{borrow::Cow, collections::BTreeMap};
use tokenizers::normalizers::{Lowercase, NormalizerWrapper, Sequence};

/// What a checkpoint says of its tokenizer beside the rules.
const SETTINGS: &str = "tokenizer_config.json";
const START: &str = "<|startoftext|>";
const END: &str = "<|endoftext|>";
/// Characters of a caption that are looked at. 75 tokens of CLIP's vocabulary, whose longest has under 100 bytes, never
/// reach further, so a caption of a megabyte costs no more than one of this length.
const MAX_CHARS: usize = 8192;
/// How transformers cuts text into words (`CLIPConverter`).
const WORDS: &str = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// Captions to token ids.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    /// CLIP has both; of others the checkpoint says it.
    start: Option<u32>,
    end: Option<u32>,
    pad: u32,
    max_len: usize,
    fill: Fill,
}

/// How captions come to one length, if they do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fill {
    None,
    Left,
    Right,
}

impl Tokenizer {
    /// Reads CLIP's `tokenizer.json`, or `vocab.json` with `merges.txt` where there is none.
    ///
    /// # Errors
    /// [`Error::Io`] if neither is there, [`Error::Input`] if one does not parse or lacks CLIP's special tokens.
    pub fn load(part: &Part<'_>) -> Result<Self> {
        let (file, inner, _) = inner(part)?;
        let id = |token: &str| known(&inner, token).map_err(|m| Error::input(part.path(file), m));
        let (start, end) = (id(START)?, id(END)?);
        let pad = special(part, "pad_token")?.map_or(Ok(end), |token| id(&token))?;
        Ok(Self { inner, start: Some(start), end: Some(end), pad, max_len: max_len(part)?, fill: Fill::None })
    }

    /// Reads SigLIP's: captions in lower case, as it was trained with, filled up to `len` tokens.
    ///
    /// # Errors
    /// As [`Tokenizer::load`].
    pub fn filled(part: &Part<'_>, len: usize) -> Result<Self> {
        let (file, inner, template) = inner(part)?;
        let id = |key: &str, default: &str| {
            let token = special(part, key)?;
            known(&inner, token.as_deref().unwrap_or(default)).map_err(|m| Error::input(part.path(file), m))
        };
        let settings = settings(part)?;
        let sequence = template.iter().position(|item| item["Sequence"].is_object());
        // As transformers: what is told overrules the rules' own template.
        let added = |told: &str, key, default, there| match settings[told].as_bool().unwrap_or(there) {
            true => id(key, default).map(Some),
            false => Ok(None),
        };
        let start = added("add_bos_token", "bos_token", "<bos>", sequence.is_some_and(|at| at > 0))?;
        let end = added("add_eos_token", "eos_token", "<eos>", sequence.is_some_and(|at| at + 1 < template.len()))?;
        let pad = id("pad_token", "<pad>")?;
        let fill = if settings["padding_side"] == "left" { Fill::Left } else { Fill::Right };
        let inner = lowered(inner).map_err(|e| Error::input(part.path(file), e.to_string()))?;
        Ok(Self { inner, start, end, pad, max_len: len.max(2), fill })
    }

    /// Ids of `caption`: CLIP's 2 to 77, the first the start token, the last the end token; of SigLIP always as many as it
    /// takes. Longer captions are cut, as `truncation=True` does.
    ///
    /// # Errors
    /// [`Error::Setting`] if the tokenizer's own rules fail on the text, which CLIP's do not.
    pub fn ids(&self, caption: &str) -> Result<Vec<u32>> {
        let failed = |e: tokenizers::Error| Error::setting("tokenizer", e.to_string());
        let encoded = caught(|| self.inner.encode_fast(capped(caption).as_ref(), false));
        let own = || Error::setting("tokenizer", "its rules fail on a caption");
        let encoding = encoded.ok_or_else(own)?.map_err(failed)?;
        let room = self.max_len - usize::from(self.start.is_some()) - usize::from(self.end.is_some());
        let body = encoding.get_ids().iter().copied().take(room);
        let mut ids: Vec<u32> = self.start.into_iter().chain(body).chain(self.end).collect();
        let rest = vec![self.pad; self.max_len - ids.len()];
        match self.fill {
            Fill::None => {}
            Fill::Left => drop(ids.splice(..0, rest)),
            Fill::Right => ids.extend(rest),
        }
        Ok(ids)
    }

    /// The token a fixed length is filled up with: the end token for CLIP, `!` for Stable Diffusion 2.
    pub fn pad(&self) -> u32 {
        self.pad
    }

    /// Most ids [`Tokenizer::ids`] gives: 77 for every CLIP, 64 for SigLIP.
    pub fn max_len(&self) -> usize {
        self.max_len
    }
}

/// The file that the checkpoint's tokenizer is read from, the tokenizer without what it adds to a text, and what that is.
fn inner(part: &Part<'_>) -> Result<(&'static str, tokenizers::Tokenizer, Vec<Value>)> {
    let (file, bytes) = if part.has("tokenizer.json") {
        // Gemma's has 34 MB.
        ("tokenizer.json", part.bytes_to("tokenizer.json", 2 * door::SETTINGS)?)
    } else {
        ("vocab.json", from_vocab(part)?.to_string().into_bytes())
    };
    let wrong = |message: String| Error::input(part.path(file), message);
    rules::check(&bytes).map_err(wrong)?;
    let parsed = caught(|| tokenizers::Tokenizer::from_bytes(&bytes));
    let parsed = parsed.ok_or_else(|| wrong("not a tokenizer: its parts do not fit each other".into()))?;
    let mut inner = parsed.map_err(|e| wrong(format!("not a tokenizer: {e}")))?;
    let template = json!(inner.get_post_processor())["single"].as_array().cloned().unwrap_or_default();
    // Start and end are ours to add; a template could repeat the text without end.
    inner.with_post_processor(None::<tokenizers::PostProcessorWrapper>);
    inner.with_padding(None);
    inner.with_truncation(None).map_err(|e| wrong(e.to_string()))?;
    Ok((file, inner, template))
}

fn known(inner: &tokenizers::Tokenizer, token: &str) -> std::result::Result<u32, String> {
    inner.token_to_id(token).ok_or_else(|| format!("has no token `{}`", crate::fsio::printable(token)))
}

/// The same for lower case, whatever it did so far.
fn lowered(mut inner: tokenizers::Tokenizer) -> tokenizers::Result<tokenizers::Tokenizer> {
    let own = inner.get_normalizer().cloned();
    let rules = std::iter::once(NormalizerWrapper::Lowercase(Lowercase)).chain(own).collect();
    inner.with_normalizer(Some(Sequence::new(rules)))?;
    Ok(inner)
}

/// `text` without what lies beyond any token; white space, of which a run counts once, is collapsed first.
fn capped(text: &str) -> Cow<'_, str> {
    if text.len() <= MAX_CHARS {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(4 * MAX_CHARS);
    let mut kept = 0;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c.is_whitespace() && chars.peek().is_some_and(|n| n.is_whitespace()) {
            continue;
        }
        out.push(c);
        kept += 1;
        if kept == MAX_CHARS {
            break;
        }
    }
    Cow::Owned(out)
}

/// What transformers' `CLIPConverter` makes of the slow tokenizer's two files.
fn from_vocab(part: &Part<'_>) -> Result<Value> {
    let vocab: BTreeMap<String, u32> = part.json("vocab.json")?;
    let merges = String::from_utf8(part.bytes("merges.txt")?)
        .map_err(|_| Error::input(part.path("merges.txt"), "not UTF-8 text"))?;
    let merges: Vec<&str> = merges.lines().filter(|l| !l.starts_with("#version") && !l.trim().is_empty()).collect();
    let pad = special(part, "pad_token")?.filter(|pad| pad != START && pad != END);
    let added: Vec<Value> = [(Some(START.to_owned()), true), (Some(END.to_owned()), true), (pad, false)]
        .into_iter()
        .filter_map(|(token, normalized)| {
            let token = token?;
            let id = *vocab.get(&token)?;
            Some(json!({ "id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": normalized, "special": true }))
        })
        .collect();
    Ok(json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
        "normalizer": { "type": "Sequence", "normalizers": [
            { "type": "NFC" },
            { "type": "Replace", "pattern": { "Regex": "\\s+" }, "content": " " },
            { "type": "Lowercase" } ] },
        "pre_tokenizer": { "type": "Sequence", "pretokenizers": [
            { "type": "Split", "pattern": { "Regex": WORDS }, "behavior": "Removed", "invert": true },
            { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true } ] },
        "post_processor": null, "decoder": null,
        "model": { "type": "BPE", "dropout": null, "unk_token": END, "continuing_subword_prefix": "",
            "end_of_word_suffix": "</w>", "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": vocab, "merges": merges },
    }))
}

/// A special token of `special_tokens_map.json` or `tokenizer_config.json`: a string, or an object with `content`.
fn special(part: &Part<'_>, name: &str) -> Result<Option<String>> {
    for file in ["special_tokens_map.json", SETTINGS] {
        if part.has(file) {
            let map: Value = part.json(file)?;
            let token = &map[name];
            if let Some(token) = token.as_str().or_else(|| token["content"].as_str()) {
                return Ok(Some(token.to_owned()));
            }
        }
    }
    Ok(None)
}

/// `model_max_length`, if the checkpoint states a sensible one.
fn max_len(part: &Part<'_>) -> Result<usize> {
    let length = settings(part)?["model_max_length"].as_u64();
    Ok(length.filter(|n| (3..=1024).contains(n)).map_or(77, |n| n as usize))
}

fn settings(part: &Part<'_>) -> Result<Value> {
    if part.has(SETTINGS) { part.json(SETTINGS) } else { Ok(Value::Null) }
}
