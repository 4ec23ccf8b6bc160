//! A model's files from the hub into its cache, as `huggingface_hub` would leave them there: `blobs/HASH`, links to them in
//! `snapshots/COMMIT`, the commit in `refs`.

use super::{
    Hub, Name,
    client::{Client, Failure},
    complete, is_hash,
    transfer::{RETRIES, Remote, download, link, pause},
};
use crate::{
    error::{Error, Result},
    fsio,
    models::files::{DIFFUSERS, ENDINGS, MODEL},
};
use serde::Deserialize;
use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

/// Largest listing of a model's files that is read, in bytes.
const LISTING: u64 = 16 << 20;
/// Parts of a decoder that are read; its image encoder is not.
const PARTS: [&str; 7] =
    ["image_noising_scheduler/", "image_normalizer/", "scheduler/", "text_encoder/", "tokenizer/", "unet/", "vae/"];
/// Settings that are read where a part has them.
const SETTINGS: [&str; 9] = [
    "config.json",
    "processor_config.json",
    "preprocessor_config.json",
    "scheduler_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
];

/// What a fetch left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The folder of the model's files.
    pub folder: PathBuf,
    /// How many files it needs.
    pub files: usize,
    /// Their size.
    pub bytes: u64,
}

/// The hub's answer to what a model consists of.
#[derive(Deserialize)]
struct Listing {
    sha: String,
    siblings: Vec<Remote>,
}

/// Sees bytes there and bytes in all; stops the fetch by an error.
type Watch<'a> = &'a mut dyn FnMut(u64, u64) -> Result<()>;

impl Hub {
    /// Brings the files of `name` that are read here into the cache: settings and safetensors weights, in float32 where the
    /// hub has them. `watch` is told how many bytes there are, of how many.
    ///
    /// # Errors
    /// [`Error::Setting`] if `HF_HUB_OFFLINE` is set, before any connection; [`Error::Input`] naming model and file if the
    /// hub refuses, cannot be reached or sends something else than it announced; [`Error::Io`] if the disk does not take
    /// it; whatever `watch` returns.
    pub fn fetch(&self, name: &Name, watch: Watch<'_>) -> Result<Fetched> {
        if let Some(there) = self.there(name)? {
            return Ok(there);
        }
        let (client, listing, files) = self.ask(name)?;
        let model = self.cache.join(name.folder());
        let fetched = self.fetched(name, &listing, &files);
        let (folder, total) = (&fetched.folder, fetched.bytes);
        let mut done = 0;
        for file in &files {
            let place = folder.join(&file.rfilename);
            if !is_there(&place, file) {
                let url = format!("{}/{}/resolve/{}/{}", self.endpoint, name.place(), listing.sha, file.rfilename);
                let blob = model.join("blobs").join(file.hash());
                if !blob.is_file() {
                    let wrong = |e| failed(name, &file.rfilename, e);
                    let mut watch = |there: u64| watch(done + there, total);
                    download(&client, &url, file, &blob, &mut watch, &wrong)?;
                }
                link(&blob, &place, &file.rfilename)?;
            }
            done += file.size();
            watch(done, total)?;
        }
        // The name stands for the commit only once all is there.
        if name.revision() != listing.sha {
            fsio::write_atomic(&model.join("refs").join(name.revision()), listing.sha.as_bytes())?;
        }
        complete::check(name, folder)?;
        Ok(fetched)
    }

    /// What the cache has of `name`, if nothing may be fetched and all of it that is read here is there.
    fn there(&self, name: &Name) -> Result<Option<Fetched>> {
        let Some(folder) = self.snapshot(name).ok().filter(|_| self.is_offline()) else { return Ok(None) };
        complete::check(name, &folder)?;
        let (files, bytes) = complete::size(&folder);
        Ok(Some(Fetched { folder, files, bytes }))
    }

    /// What [`Hub::fetch`] would leave, and how many bytes of it are not there yet; nothing is fetched but the list.
    ///
    /// # Errors
    /// As [`Hub::fetch`].
    pub fn lacking(&self, name: &Name) -> Result<(Fetched, u64)> {
        if let Some(there) = self.there(name)? {
            return Ok((there, 0));
        }
        let (_, listing, files) = self.ask(name)?;
        let (fetched, blobs) = (self.fetched(name, &listing, &files), self.cache.join(name.folder()).join("blobs"));
        let there = |file: &Remote| is_there(&fetched.folder.join(&file.rfilename), file);
        let lacking = files.iter().filter(|file| !there(file) && !blobs.join(file.hash()).is_file());
        let bytes = lacking.map(Remote::size).sum();
        Ok((fetched, bytes))
    }

    fn fetched(&self, name: &Name, listing: &Listing, files: &[Remote]) -> Fetched {
        let folder = self.cache.join(name.folder()).join("snapshots").join(&listing.sha);
        Fetched { folder, files: files.len(), bytes: files.iter().map(Remote::size).sum() }
    }

    /// What the hub has of `name` that is read here.
    fn ask(&self, name: &Name) -> Result<(Client, Listing, Vec<Remote>)> {
        if self.is_offline() {
            let way = format!("unset it, or copy the model into {}", self.cache.display());
            return Err(Error::setting("HF_HUB_OFFLINE", format!("is set, so `{name}` is not fetched")).or(way));
        }
        let client = Client::new(self).map_err(|e| failed(name, "", e))?;
        let listing = self.listing(&client, name)?;
        let files = wanted(name, &listing)?;
        Ok((client, listing, files))
    }

    fn listing(&self, client: &Client, name: &Name) -> Result<Listing> {
        let revision = name.revision().replace('/', "%2F");
        let kind = if name.data { "datasets" } else { "models" };
        let url = format!("{}/api/{kind}/{}/revision/{revision}?blobs=true", self.endpoint, name.repo);
        let wrong = |message: &str| Error::input(name.to_string(), format!("the hub's list of files {message}"));
        let mut bytes = Vec::new();
        for attempt in 0.. {
            let asked = client.get(&url, 0).and_then(|answer| {
                bytes.clear();
                answer.body.take(LISTING).read_to_end(&mut bytes).map_err(|e| Failure::Again(e.to_string()))
            });
            match asked {
                Ok(_) => break,
                Err(Failure::Again(_)) if attempt < RETRIES => pause(attempt),
                Err(e) => return Err(failed(name, "", e)),
            }
        }
        let listing: Listing = serde_json::from_slice(&bytes).map_err(|e| wrong(&format!("cannot be read: {e}")))?;
        if !is_hash(&listing.sha) {
            return Err(wrong("does not name a commit"));
        }
        Ok(listing)
    }
}

fn is_there(place: &Path, file: &Remote) -> bool {
    fs::metadata(place).is_ok_and(|m| m.is_file() && m.len() == file.size())
}

pub(super) fn failed(name: &Name, file: &str, failure: Failure) -> Error {
    let message = failure.to_string();
    let place = if file.is_empty() { name.to_string() } else { format!("{name}/{file}") };
    Error::input(place, message)
}

/// The files that will be read, of all that a model has; of a data set all but what describes it.
fn wanted(name: &Name, listing: &Listing) -> Result<Vec<Remote>> {
    let files =
        if name.data { listing.siblings.iter().filter(|file| is_data(file)).collect() } else { parts(name, listing)? };
    if files.is_empty() {
        return Err(Error::input(name.to_string(), "has no files of data"));
    }
    match files.iter().find(|f| !is_hash(f.hash()) || f.size() == 0) {
        Some(file) => Err(failed(name, &file.rfilename, Failure::Final("the hub gives no hash or size for it".into()))),
        None => Ok(files.into_iter().cloned().collect()),
    }
}

/// Whether a file of a data set may hold some of it. Its path becomes one here: none may climb or hide.
fn is_data(file: &Remote) -> bool {
    let path = &file.rfilename;
    let plain =
        path.split('/').all(|part| !part.is_empty() && !part.starts_with('.') && !part.contains(['\\', '\0', ':']));
    plain && file.size() > 0 && ![".md", ".py", ".gitattributes"].iter().any(|end| path.ends_with(end))
}

fn parts<'a>(name: &Name, listing: &'a Listing) -> Result<Vec<&'a Remote>> {
    let find = |path: &str| listing.siblings.iter().find(|f| f.rfilename == path);
    let index = find("model_index.json");
    let parts: &[&str] = if index.is_some() { &PARTS } else { &[""] };
    let mut files: Vec<&Remote> = index.into_iter().collect();
    let mut weighty = false;
    for part in parts {
        files.extend(SETTINGS.iter().filter_map(|file| find(&format!("{part}{file}"))));
        for stem in [MODEL, DIFFUSERS] {
            let best = ENDINGS.iter().find_map(|ending| find(&format!("{part}{stem}{ending}")));
            let Some(best) = best else { continue };
            weighty = true;
            files.push(best);
            let half = best.rfilename.contains("fp16");
            if best.rfilename.ends_with(".json") {
                let start = format!("{part}{stem}{}-", if half { ".fp16" } else { "" });
                files.extend(listing.siblings.iter().filter(|f| is_shard(&f.rfilename, &start)));
            }
        }
    }
    if !weighty {
        let message = "has no weights in safetensors; pickles are not read. Fetch it by other means, convert it and name the folder";
        return Err(Error::input(name.to_string(), message));
    }
    Ok(files)
}

fn is_shard(path: &str, start: &str) -> bool {
    let rest = path.strip_prefix(start).and_then(|rest| rest.strip_suffix(".safetensors"));
    rest.is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
}
