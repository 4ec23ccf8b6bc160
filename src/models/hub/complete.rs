//! Whether a folder has all files of a model that are read here: what a fetch left, or others before it.

use super::Name;
use crate::{
    door,
    error::{Error, Result},
    models::files::{DIFFUSERS, ENDINGS, MODEL},
};
use serde_json::Value;
use std::{fs, path::Path};

/// Parts of a decoder and which file each needs; those with weights and those with a tokenizer besides.
const CONFIGS: [(&str, &str); 6] = [
    ("image_noising_scheduler", "scheduler_config.json"),
    ("image_normalizer", "config.json"),
    ("scheduler", "scheduler_config.json"),
    ("text_encoder", "config.json"),
    ("unet", "config.json"),
    ("vae", "config.json"),
];
const WEIGHTS: [(&str, &str); 4] =
    [("image_normalizer", DIFFUSERS), ("text_encoder", MODEL), ("unet", DIFFUSERS), ("vae", DIFFUSERS)];

/// # Errors
/// [`Error::Input`] naming the first file that lacks.
pub(super) fn check(name: &Name, folder: &Path) -> Result<()> {
    if name.data {
        return Ok(());
    }
    let lacks = |file: &str| {
        let message = "is needed, and there is none of it: the model is not whole, or none that is read here";
        Err(Error::input(folder.join(file), message))
    };
    let missing = if folder.join("model_index.json").is_file() { of_decoder(folder) } else { of_model(folder) };
    missing.map_or(Ok(()), |file| lacks(&file))
}

fn of_decoder(folder: &Path) -> Option<String> {
    let config = CONFIGS.iter().find(|(part, file)| !folder.join(part).join(file).is_file());
    let in_part = |part: &str, file: String| format!("{part}/{file}");
    config
        .map(|(part, file)| in_part(part, (*file).to_owned()))
        .or_else(|| {
            let weights = |(part, stem): &(&str, &str)| Some(in_part(part, weights(&folder.join(part), stem)?));
            WEIGHTS.iter().find_map(weights)
        })
        .or_else(|| Some(in_part("tokenizer", tokenizer(&folder.join("tokenizer"))?)))
}

fn of_model(folder: &Path) -> Option<String> {
    let Some(config) = json(&folder.join("config.json")) else { return Some("config.json".into()) };
    let two_towers = config.get("text_config").is_some() || config.get("text_config_dict").is_some();
    let processor = ["preprocessor_config.json", "processor_config.json"];
    let processed = processor.iter().any(|file| folder.join(file).is_file());
    weights(folder, MODEL)
        .or_else(|| tokenizer(folder).filter(|_| two_towers))
        .or_else(|| (two_towers && !processed).then(|| processor[0].to_owned()))
}

fn json(path: &Path) -> Option<Value> {
    serde_json::from_slice(&door::read(path, door::SETTINGS).ok()?).ok()
}

/// The file of weights that lacks, if one does: of an index all shards must be there.
fn weights(folder: &Path, stem: &str) -> Option<String> {
    let Some(file) = ENDINGS.iter().map(|end| format!("{stem}{end}")).find(|file| folder.join(file).is_file()) else {
        return Some(format!("{stem}{}", ENDINGS[0]));
    };
    if !file.ends_with(".json") {
        return None;
    }
    let index = json(&folder.join(&file))?;
    let shards = index["weight_map"].as_object()?.values().filter_map(Value::as_str);
    shards.map(str::to_owned).find(|shard| !folder.join(shard).is_file())
}

fn tokenizer(folder: &Path) -> Option<String> {
    let has = |file: &str| folder.join(file).is_file();
    if has("tokenizer.json") || has("vocab.json") && has("merges.txt") { None } else { Some("tokenizer.json".into()) }
}

/// How many files there are, and their bytes.
pub(super) fn size(folder: &Path) -> (usize, u64) {
    let (mut files, mut bytes) = (0, 0);
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match fs::metadata(entry.path()) {
            Ok(about) if about.is_dir() => {
                let (more, size) = size(&entry.path());
                (files, bytes) = (files + more, bytes + size);
            }
            Ok(about) => (files, bytes) = (files + 1, bytes + about.len()),
            Err(_) => {}
        }
    }
    (files, bytes)
}
