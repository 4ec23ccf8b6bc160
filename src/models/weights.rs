//! The only place that opens checkpoints: a folder in a library's own layout, a snapshot in the hub's cache, or what
//! ships in the binary.

use super::{
    files::ENDINGS,
    hub::{Hub, Name},
    shards::Shards,
};
use crate::{
    door,
    error::{Error, Result, said},
    fingerprint::Fingerprint,
    lfs,
};
use candle_core::{DType, Device};
use candle_nn::VarBuilder;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

/// A checkpoint's files, by their path inside its folder.
#[derive(Clone, Debug)]
pub enum Checkpoint {
    /// A folder on disk.
    Folder(PathBuf),
    /// A model of the Hugging Face hub, as it lies in the cache.
    Snapshot {
        /// Its name there.
        name: Name,
        /// The folder of the revision's files.
        folder: PathBuf,
    },
    /// Files inside the binary: path and bytes, sorted by path.
    Embedded {
        /// What to call it in messages.
        name: &'static str,
        /// The files.
        files: &'static [(&'static str, &'static [u8])],
    },
}

/// Endings of files that Python unpickles.
const PICKLES: [&str; 5] = ["bin", "pt", "pth", "ckpt", "pkl"];

impl Checkpoint {
    /// `name` is a folder, or else a name on the hub: `org/model` or `org/model@revision`.
    ///
    /// # Errors
    /// [`Error::Input`] if there is no such folder and the hub's cache has no such model.
    pub fn open(name: &str, hub: &Hub) -> Result<Self> {
        let folder = PathBuf::from(name);
        if folder.is_dir() {
            return Ok(Self::Folder(folder));
        }
        let Some(name) = Name::parse(name) else {
            std::fs::metadata(&folder).map_err(Error::io(&folder))?;
            return Err(Error::input(folder, "a checkpoint is a folder or a name on the Hugging Face hub, not a file"));
        };
        let folder = hub.snapshot(&name)?;
        Ok(Self::Snapshot { name, folder })
    }

    /// The part of a pipeline in the sub-folder `name`, e.g. `unet`.
    pub fn part(&self, name: &str) -> Part<'_> {
        Part { checkpoint: self, prefix: format!("{name}/") }
    }

    /// What it is called: its folder, or its name on the hub.
    pub fn name(&self) -> String {
        match self {
            Self::Folder(folder) => folder.display().to_string(),
            Self::Snapshot { name, .. } => name.to_string(),
            Self::Embedded { name, .. } => (*name).to_owned(),
        }
    }

    /// The commit that its files are of, if it is a model of the hub.
    pub fn commit(&self) -> Option<&str> {
        match self {
            Self::Snapshot { folder, .. } => folder.file_name()?.to_str(),
            _ => None,
        }
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
            Checkpoint::Folder(dir) | Checkpoint::Snapshot { folder: dir, .. } => dir.join(&self.prefix).join(file),
            Checkpoint::Embedded { name, .. } => Path::new(name).join(format!("{}{file}", self.prefix)),
        }
    }

    /// The bytes of `file`.
    ///
    /// # Errors
    /// [`Error::Io`] naming the file, [`Error::Input`] with the command that fetches it if it belongs to a hub's model.
    pub fn bytes(&self, file: &str) -> Result<Vec<u8>> {
        self.bytes_to(file, door::SETTINGS)
    }

    /// The same of a file of at most `most` bytes.
    ///
    /// # Errors
    /// As [`Part::bytes`].
    pub fn bytes_to(&self, file: &str, most: u64) -> Result<Vec<u8>> {
        match self.checkpoint {
            Checkpoint::Embedded { .. } => self.embedded(file).map(<[u8]>::to_vec).ok_or_else(|| self.missing(file)),
            _ if !self.has(file) => Err(self.missing(file)),
            _ => {
                let path = self.path(file);
                let bytes = door::read(&path, most).map_err(Error::io(&path))?;
                lfs::refuse(&path, &bytes).map(|()| bytes)
            }
        }
    }

    /// Whether the checkpoint has `file`.
    pub fn has(&self, file: &str) -> bool {
        match self.checkpoint {
            Checkpoint::Embedded { .. } => self.embedded(file).is_some(),
            _ => self.path(file).is_file(),
        }
    }

    /// `file` as JSON.
    ///
    /// # Errors
    /// As [`Part::bytes`]; [`Error::Input`] naming line and column if it does not parse.
    pub fn json<T: DeserializeOwned>(&self, file: &str) -> Result<T> {
        serde_json::from_slice(&self.bytes(file)?).map_err(|e| Error::input(self.path(file), e.to_string()))
    }

    /// Which file holds the weights of `stem`, or names their shards: `model` is looked for as `model.safetensors`,
    /// `model.safetensors.index.json`, and these in half precision.
    ///
    /// # Errors
    /// As [`Part::bytes`] if there is none; [`Error::Input`] saying how to convert them if there are but pickles.
    pub fn weights_file(&self, stem: &str) -> Result<String> {
        let mut names = ENDINGS.iter().map(|ending| format!("{stem}{ending}"));
        if let Some(found) = names.find(|name| self.has(name)) {
            return Ok(found);
        }
        let first = format!("{stem}{}", ENDINGS[0]);
        match self.pickle() {
            None => Err(self.missing(&first)),
            Some(pickle) => {
                let message = format!(
                    "is missing; `{pickle}` beside it is a pickle, which can run any code when it is read, so it is not"
                );
                let way = format!(
                    "convert it once, where it lies: python -c \"import torch; from safetensors.torch import save_file; \
                     save_file({{k: v.clone() for k, v in torch.load('{pickle}', map_location='cpu', \
                     weights_only=True).items()}}, '{first}', {{'format': 'pt'}})\""
                );
                Err(Error::input(self.path(&first), message).or(way))
            }
        }
    }

    /// The weights of `stem`, float32, float16 or bfloat16, cast to `dtype` as they are used.
    ///
    /// # Errors
    /// As [`Part::weights_file`]; [`Error::Input`] if a header lies or a shard lies elsewhere.
    pub fn weights(&self, stem: &str, dtype: DType, device: &Device) -> Result<VarBuilder<'static>> {
        let file = self.weights_file(stem)?;
        let wrong =
            |e: candle_core::Error| Error::input(self.path(&file), format!("not a safetensors file: {}", said(&e)));
        if let Checkpoint::Embedded { .. } = self.checkpoint {
            return VarBuilder::from_buffered_safetensors(self.bytes(&file)?, dtype, device).map_err(wrong);
        }
        let paths: Vec<PathBuf> = self.shards(&file)?.iter().map(|shard| self.path(shard)).collect();
        for path in &paths {
            door::open(path).map_err(Error::io(path))?;
        }
        let told = |e: Error| paths.iter().fold(e, |e, path| lfs::told(path)(e));
        let shards = Shards::open(&paths).map_err(wrong).map_err(told)?;
        Ok(VarBuilder::from_backend(Box::new(shards), dtype, device.clone()))
    }

    /// SHA-256 over the weights of `stem`, if there is one, and those of `settings` that exist, so that results name what
    /// made them.
    ///
    /// # Errors
    /// As [`Part::weights_file`]; [`Error::Io`] naming the file.
    pub fn fingerprint(&self, stem: Option<&str>, settings: &[&str]) -> Result<Fingerprint> {
        let mut files: Vec<String> = settings.iter().filter(|f| self.has(f)).map(|f| (*f).to_owned()).collect();
        if let Some(stem) = stem {
            files.extend(self.shards(&self.weights_file(stem)?)?);
        }
        let mut all = Vec::new();
        for file in files {
            let hash = self.hash(&file)?;
            all.push((file, hash));
        }
        Ok(Fingerprint::of_content("checkpoint", &all, &[]))
    }

    /// The files that hold the weights of `stem`, with their SHA-256: as the hub's cache has it, which compared it when they
    /// were fetched, else computed.
    ///
    /// # Errors
    /// As [`Part::fingerprint`].
    pub fn hashes(&self, stem: &str) -> Result<Vec<(String, Fingerprint)>> {
        let files = self.shards(&self.weights_file(stem)?)?;
        let known = |file: &str| {
            let blob = std::fs::canonicalize(self.path(file)).ok()?;
            let kept = blob.parent()?.file_name()? == "blobs";
            blob.file_name()?.to_str().filter(|_| kept)?.to_owned().try_into().ok()
        };
        files.into_iter().map(|file| Ok((file.clone(), known(&file).map_or_else(|| self.hash(&file), Ok)?))).collect()
    }

    fn hash(&self, file: &str) -> Result<Fingerprint> {
        match self.checkpoint {
            Checkpoint::Embedded { .. } => Ok(Fingerprint::of_bytes(&self.bytes(file)?)),
            _ => Fingerprint::of_file(&self.path(file)),
        }
    }

    /// The files that `file` stands for: itself, or the shards it names, all of them there.
    fn shards(&self, file: &str) -> Result<Vec<String>> {
        #[derive(serde::Deserialize)]
        struct Index {
            weight_map: std::collections::BTreeMap<String, String>,
        }
        if !file.ends_with(".json") {
            return Ok(vec![file.to_owned()]);
        }
        let index: Index = self.json(file)?;
        let names: std::collections::BTreeSet<String> = index.weight_map.into_values().collect();
        let wrong = |message: String| Err(Error::input(self.path(file), message));
        if names.is_empty() {
            return wrong("names no shards".into());
        }
        for name in &names {
            // A shard lies beside its index and nowhere else.
            let shown = crate::fsio::printable(name);
            if name.contains(['/', '\\']) || name.contains("..") {
                return wrong(format!("shard `{shown}` lies outside the checkpoint"));
            }
            if !name.ends_with(".safetensors") {
                return wrong(format!("shard `{shown}` is not a safetensors file"));
            }
            if !self.has(name) {
                return Err(self.missing(name));
            }
        }
        Ok(names.into_iter().collect())
    }

    fn missing(&self, file: &str) -> Error {
        let path = self.path(file);
        match self.checkpoint {
            Checkpoint::Snapshot { name, .. } => {
                Error::input(path, "is not in the cache").or(format!("fetch it with: {}", name.fetch_command()))
            }
            _ => Error::Io { path, source: std::io::ErrorKind::NotFound.into() },
        }
    }

    /// The first pickle in the part's folder, by name.
    fn pickle(&self) -> Option<String> {
        let entries = std::fs::read_dir(self.path("")).ok()?;
        let names = entries.flatten().filter_map(|e| e.file_name().into_string().ok());
        let pickled = |name: &String| name.rsplit_once('.').is_some_and(|(_, end)| PICKLES.contains(&end));
        // The name goes into a command: one that would need quoting is not offered.
        let plain = |name: &String| name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        names.filter(pickled).filter(plain).min()
    }

    fn embedded(&self, file: &str) -> Option<&'static [u8]> {
        let Checkpoint::Embedded { files, .. } = self.checkpoint else { return None };
        let name = format!("{}{file}", self.prefix);
        files.iter().find(|(path, _)| *path == name).map(|(_, bytes)| *bytes)
    }
}
