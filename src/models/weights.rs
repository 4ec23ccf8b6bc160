//! The only place that opens checkpoints: a folder in a library's own layout, or one that ships in the binary.

use crate::{
    error::{Error, Result},
    fingerprint::Fingerprint,
};
use candle_core::{DType, Device};
use candle_nn::VarBuilder;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

/// A checkpoint's files, by their path inside its folder.
#[derive(Clone, Debug)]
pub enum Checkpoint {
    /// A folder on disk; weights are memory-mapped.
    Folder(PathBuf),
    /// Files inside the binary: path and bytes, sorted by path.
    Embedded {
        /// What to call it in messages.
        name: &'static str,
        /// The files.
        files: &'static [(&'static str, &'static [u8])],
    },
}

impl Checkpoint {
    /// The part of a pipeline in the sub-folder `name`, e.g. `unet`.
    pub fn part(&self, name: &str) -> Part<'_> {
        Part { checkpoint: self, prefix: format!("{name}/") }
    }

    /// The checkpoint as a whole, for those without parts.
    pub fn root(&self) -> Part<'_> {
        Part { checkpoint: self, prefix: String::new() }
    }
}

/// One network of a checkpoint: its configuration and its weights.
#[derive(Clone, Debug)]
pub struct Part<'a> {
    checkpoint: &'a Checkpoint,
    prefix: String,
}

impl Part<'_> {
    /// What to call `file` in messages.
    pub fn path(&self, file: &str) -> PathBuf {
        match self.checkpoint {
            Checkpoint::Folder(dir) => dir.join(&self.prefix).join(file),
            Checkpoint::Embedded { name, .. } => Path::new(name).join(format!("{}{file}", self.prefix)),
        }
    }

    /// The bytes of `file`.
    ///
    /// # Errors
    /// [`Error::Io`] naming the file.
    pub fn bytes(&self, file: &str) -> Result<Vec<u8>> {
        match self.checkpoint {
            Checkpoint::Folder(_) => std::fs::read(self.path(file)).map_err(Error::io(self.path(file))),
            Checkpoint::Embedded { .. } => self.embedded(file).map(<[u8]>::to_vec),
        }
    }

    /// Whether the checkpoint has `file`.
    pub fn has(&self, file: &str) -> bool {
        match self.checkpoint {
            Checkpoint::Folder(_) => self.path(file).is_file(),
            Checkpoint::Embedded { .. } => self.embedded(file).is_ok(),
        }
    }

    /// `file` as JSON.
    ///
    /// # Errors
    /// [`Error::Io`] if it is missing, [`Error::Input`] naming line and column if it does not parse.
    pub fn json<T: DeserializeOwned>(&self, file: &str) -> Result<T> {
        serde_json::from_slice(&self.bytes(file)?).map_err(|e| Error::input(self.path(file), e.to_string()))
    }

    /// The weights in the first of `files` that exists, cast to `dtype` as they are used. `X.safetensors.index.json`
    /// stands for its shards.
    ///
    /// # Errors
    /// [`Error::Input`] if the header lies or the file is a pickle; [`Error::Io`] if none of `files` exists.
    pub fn weights(&self, files: &[&str], dtype: DType, device: &Device) -> Result<VarBuilder<'static>> {
        let file = files.iter().find(|f| self.has(f)).copied().unwrap_or(files[0]);
        let wrong = |e: candle_core::Error| Error::input(self.path(file), format!("not a safetensors file: {e}"));
        match self.checkpoint {
            Checkpoint::Embedded { .. } => {
                VarBuilder::from_buffered_safetensors(self.embedded(file)?.to_vec(), dtype, device).map_err(wrong)
            }
            Checkpoint::Folder(_) => {
                let paths = self.shards(file)?;
                for path in &paths {
                    std::fs::File::open(path).map_err(Error::io(path))?;
                }
                // SAFETY: the map is read-only; a checkpoint that another program truncates meanwhile is outside
                // what any reader of memory-mapped files can guard against.
                #[allow(unsafe_code)]
                unsafe { VarBuilder::from_mmaped_safetensors(&paths, dtype, device) }.map_err(wrong)
            }
        }
    }

    /// SHA-256 over configuration and weights, so that results name what made them.
    ///
    /// # Errors
    /// [`Error::Io`] naming the file.
    pub fn fingerprint(&self, files: &[&str]) -> Result<Fingerprint> {
        let mut all = Vec::new();
        for file in files.iter().filter(|f| self.has(f)) {
            all.push((*file, Fingerprint::of_bytes(&self.bytes(file)?)));
        }
        Ok(Fingerprint::of_stage("checkpoint", &all, &[]))
    }

    fn shards(&self, file: &str) -> Result<Vec<PathBuf>> {
        #[derive(serde::Deserialize)]
        struct Index {
            weight_map: std::collections::BTreeMap<String, String>,
        }
        if !file.ends_with(".index.json") {
            return Ok(vec![self.path(file)]);
        }
        let index: Index = self.json(file)?;
        let names: std::collections::BTreeSet<String> = index.weight_map.into_values().collect();
        for name in &names {
            // A shard lies beside its index and nowhere else.
            if name.contains(['/', '\\']) || name.contains("..") {
                return Err(Error::input(self.path(file), format!("shard `{name}` lies outside the checkpoint")));
            }
        }
        Ok(names.iter().map(|n| self.path(n)).collect())
    }

    fn embedded(&self, file: &str) -> Result<&'static [u8]> {
        let Checkpoint::Embedded { files, .. } = self.checkpoint else { unreachable!("asked of a folder") };
        let name = format!("{}{file}", self.prefix);
        let found = files.iter().find(|(path, _)| *path == name);
        found
            .map(|(_, bytes)| *bytes)
            .ok_or_else(|| Error::Io { path: self.path(file), source: std::io::ErrorKind::NotFound.into() })
    }
}
