//! CLIP's byte-pair tokenizer, with the ids transformers' `CLIPTokenizerFast` gives.

mod patterns;
mod rules;

use crate::{
    caught::caught,
    error::{Error, Result},
    models::weights::Part,
};
use serde_json::{Value, json};
use std::{borrow::Cow, collections::BTreeMap};

const START: &str = "<|startoftext|>";
const END: &str = "<|endoftext|>";
/// Characters of a caption that are looked at. 75 tokens of CLIP's vocabulary, whose longest has under 100 bytes, never
/// reach further, so a caption of a megabyte costs no more than one of this length.
const MAX_CHARS: usize = 8192;
/// How transformers cuts text into words (`CLIPConverter`).
const WORDS: &str = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// Captions to token ids: start token, at most 75 tokens of text, end token.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    start: u32,
    end: u32,
    pad: u32,
    max_len: usize,
}

impl Tokenizer {
    /// Reads `tokenizer.json`, or `vocab.json` with `merges.txt` where there is none.
    ///
    /// # Errors
    /// [`Error::Io`] if neither is there, [`Error::Input`] if one does not parse or lacks CLIP's special tokens.
    pub fn load(part: &Part<'_>) -> Result<Self> {
        let (file, bytes) = if part.has("tokenizer.json") {
            ("tokenizer.json", part.bytes("tokenizer.json")?)
        } else {
            ("vocab.json", from_vocab(part)?.to_string().into_bytes())
        };
        let wrong = |message: String| Error::input(part.path(file), message);
        rules::check(&bytes).map_err(wrong)?;
        let parsed = caught(|| tokenizers::Tokenizer::from_bytes(&bytes));
        let parsed = parsed.ok_or_else(|| wrong("not a tokenizer: its parts do not fit each other".into()))?;
        let mut inner = parsed.map_err(|e| wrong(format!("not a tokenizer: {e}")))?;
        // Start and end are ours to add; a template could repeat the text without end.
        inner.with_post_processor(None::<tokenizers::PostProcessorWrapper>);
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|e| wrong(e.to_string()))?;
        let id = |token: &str| inner.token_to_id(token).ok_or_else(|| wrong(format!("has no token `{token}`")));
        let (start, end) = (id(START)?, id(END)?);
        let pad = pad_token(part)?.map_or(Ok(end), |token| id(&token))?;
        Ok(Self { inner, start, end, pad, max_len: max_len(part)? })
    }

    /// Ids of `caption`, unpadded: 2 to 77 of them, the first the start token, the last the end token. Longer captions are
    /// cut, as `truncation=True` does.
    ///
    /// # Errors
    /// [`Error::Setting`] if the tokenizer's own rules fail on the text, which CLIP's do not.
    pub fn ids(&self, caption: &str) -> Result<Vec<u32>> {
        let failed = |e: tokenizers::Error| Error::setting("tokenizer", e.to_string());
        let encoded = caught(|| self.inner.encode_fast(capped(caption).as_ref(), false));
        let own = || Error::setting("tokenizer", "its rules fail on a caption");
        let encoding = encoded.ok_or_else(own)?.map_err(failed)?;
        let body = encoding.get_ids().iter().copied().take(self.max_len - 2);
        Ok(std::iter::once(self.start).chain(body).chain(std::iter::once(self.end)).collect())
    }

    /// The token a fixed length is filled up with: the end token for CLIP, `!` for Stable Diffusion 2.
    pub fn pad(&self) -> u32 {
        self.pad
    }

    /// Most ids [`Tokenizer::ids`] gives: 77 for every CLIP.
    pub fn max_len(&self) -> usize {
        self.max_len
    }
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
    let pad = pad_token(part)?.filter(|pad| pad != START && pad != END);
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

/// `pad_token` of `special_tokens_map.json` or `tokenizer_config.json`: a string, or an object with `content`.
fn pad_token(part: &Part<'_>) -> Result<Option<String>> {
    for file in ["special_tokens_map.json", "tokenizer_config.json"] {
        if part.has(file) {
            let map: Value = part.json(file)?;
            let token = &map["pad_token"];
            if let Some(token) = token.as_str().or_else(|| token["content"].as_str()) {
                return Ok(Some(token.to_owned()));
            }
        }
    }
    Ok(None)
}

/// `model_max_length`, if the checkpoint states a sensible one.
fn max_len(part: &Part<'_>) -> Result<usize> {
    let config: Value =
        if part.has("tokenizer_config.json") { part.json("tokenizer_config.json")? } else { Value::Null };
    Ok(config["model_max_length"].as_u64().filter(|n| (3..=1024).contains(n)).map_or(77, |n| n as usize))
}
