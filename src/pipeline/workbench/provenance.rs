//! What a set was made of, for whoever finds it later.

use super::{Workbench, stages::draw::DECODER};
use crate::{
    about,
    error::Result,
    models::{files::MODEL, hub::Name, weights::Checkpoint},
};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::path::Path;

impl Workbench {
    /// The settings, the program, the data, the checkpoints that were computed with, and the machine. `draws`: whether the
    /// decoder is one of them.
    ///
    /// # Errors
    /// Weights that cannot be read.
    pub fn manifest(&self, config: &impl Serialize, draws: bool) -> Result<Value> {
        let mut checkpoints = Map::new();
        if self.dataset.train.ready.is_none() {
            checkpoints.insert("clip".into(), about(&self.checkpoints.clip, &[("", MODEL)])?);
        }
        if draws {
            let parts: Vec<_> = DECODER.iter().filter_map(|(part, stem, _)| Some((*part, (*stem)?))).collect();
            checkpoints.insert("decoder".into(), about(&self.checkpoints.decoder, &parts)?);
        }
        Ok(json!({
            "protostill": about::json(),
            "config": config,
            "dataset": { "name": self.dataset.name, "fingerprint": self.dataset.fingerprint },
            "checkpoints": checkpoints,
            "device": self.backend.device_name(),
            "precision": self.backend.precision_name(),
        }))
    }

    /// The checkpoints of these evaluation encoders, by their names; those that are not there, since their features were
    /// ready, are not among them.
    pub fn students(&self, encoders: &[String]) -> Value {
        let about = |name: &String| match Name::parse(name) {
            Some(_) => about(&Checkpoint::open(name, &self.checkpoints.hub)?, &[("", MODEL)]),
            None if Path::new(name).is_absolute() => about(&Checkpoint::Folder(name.into()), &[("", MODEL)]),
            None => about(&self.checkpoints.encoders, &[(name, MODEL)]),
        };
        encoders.iter().filter_map(|name| Some((name.clone(), about(name).ok()?))).collect::<Map<_, _>>().into()
    }
}

/// A checkpoint's name, its commit on the hub if it is from there, and the SHA-256 of each file of weights in `parts`
/// (sub-folder and stem).
fn about(checkpoint: &Checkpoint, parts: &[(&str, &str)]) -> Result<Value> {
    let mut weights = Map::new();
    for &(part, stem) in parts {
        let of = if part.is_empty() { checkpoint.root() } else { checkpoint.part(part) };
        for (file, hash) in of.hashes(stem)? {
            let path = if part.is_empty() { file } else { format!("{part}/{file}") };
            weights.insert(path, json!(hash));
        }
    }
    let mut found = json!({ "name": checkpoint.name(), "weights": weights });
    if let Some(commit) = checkpoint.commit() {
        found["commit"] = json!(commit);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{
        fingerprint::Fingerprint,
        models::{demo, hub::Hub},
    };
    use std::fs;

    #[test]
    fn a_model_of_the_hub_is_named_with_its_commit_and_the_hash_of_its_weights() {
        let cache = tempfile::tempdir().unwrap();
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let model = cache.path().join("models--org--clip");
        let folder = model.join("snapshots").join(commit);
        fs::create_dir_all(model.join("refs")).unwrap();
        fs::create_dir_all(&folder).unwrap();
        fs::write(model.join("refs/main"), commit).unwrap();
        fs::write(folder.join("model.safetensors"), "weights").unwrap();
        let found = Checkpoint::open("org/clip", &Hub::new(cache.path())).unwrap();
        let hash = Fingerprint::of_bytes(b"weights");
        let expected = json!({ "name": "org/clip", "weights": { "model.safetensors": hash }, "commit": commit });
        assert_eq!(about(&found, &[("", MODEL)]).unwrap(), expected);
    }

    #[cfg(unix)]
    #[test]
    fn the_cache_knows_the_hash_of_what_it_fetched() {
        let cache = tempfile::tempdir().unwrap();
        let hash = Fingerprint::of_bytes(b"as it was fetched");
        let (blobs, folder) = (cache.path().join("blobs"), cache.path().join("snapshot"));
        fs::create_dir_all(&blobs).unwrap();
        fs::create_dir_all(&folder).unwrap();
        fs::write(blobs.join(hash.as_str()), "not read again").unwrap();
        std::os::unix::fs::symlink(blobs.join(hash.as_str()), folder.join("model.safetensors")).unwrap();
        let found = Checkpoint::Folder(folder).root().hashes(MODEL).unwrap();
        assert_eq!(found, [("model.safetensors".to_owned(), hash)]);
    }

    #[test]
    fn the_demos_decoder_is_named_by_all_its_weights() {
        let found = about(&demo::decoder(), &[("vae", "diffusion_pytorch_model"), ("text_encoder", MODEL)]).unwrap();
        assert_eq!(found["name"], "demo/unclip");
        let files: Vec<_> = found["weights"].as_object().unwrap().keys().collect();
        assert_eq!(files, ["vae/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors"]);
        assert!(found.get("commit").is_none());
    }
}
