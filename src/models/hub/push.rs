//! A folder to the hub as a data set, in one commit, as `huggingface_hub` uploads it: the hub says which files it takes as
//! git LFS objects, these go first, and the commit names them with the others.

use super::{
    Hub, Name,
    client::{Client, Failure},
    fetch::failed,
    transfer::{RETRIES, pause},
};
use crate::{
    door,
    error::{Error, Result},
    fingerprint::Fingerprint,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{collections::BTreeMap, path::PathBuf};

/// Bytes of a file that the hub looks at to choose how it takes it.
const SAMPLE: usize = 512;
const JSON: &str = "application/json";
const LFS: &str = "application/vnd.git-lfs+json";

/// A file to upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Its path in the data set, with slashes.
    pub path: String,
    /// Where it lies.
    pub from: PathBuf,
}

/// A file as it was read.
struct Read<'a> {
    path: &'a str,
    bytes: Vec<u8>,
    hash: Fingerprint,
}

/// How the hub takes a file.
#[derive(Deserialize)]
struct Taken {
    path: String,
    #[serde(rename = "uploadMode")]
    mode: String,
    #[serde(default, rename = "shouldIgnore")]
    ignored: bool,
}

/// Where a large file goes: nowhere if the hub has it.
#[derive(Deserialize)]
struct Place {
    oid: String,
    actions: Option<Actions>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Actions {
    upload: Option<Action>,
    verify: Option<Action>,
}

#[derive(Deserialize)]
struct Action {
    href: String,
    #[serde(default)]
    header: BTreeMap<String, String>,
}

/// One upload on its way.
struct Push<'a> {
    hub: &'a Hub,
    name: &'a Name,
    client: Client,
}

impl Hub {
    /// Where the data set `name` is, or will be.
    pub fn dataset_address(&self, name: &Name) -> String {
        format!("{}/datasets/{}", self.endpoint, name.repo)
    }

    /// Uploads `files` as the data set `name` in one commit, which it gives the `message`. A data set that is not there yet is
    /// created, `private` or not; one that is keeps its visibility. `watch` is told how many of the bytes are there.
    ///
    /// # Errors
    /// [`Error::Setting`] if `HF_HUB_OFFLINE` is set or there is no token, before any connection; [`Error::Input`] naming data
    /// set and file if the hub refuses or cannot be reached; [`Error::Io`]; whatever `watch` returns.
    pub fn push(
        &self,
        name: &Name,
        files: &[Upload],
        (message, private): (&str, bool),
        watch: &mut dyn FnMut(u64, u64) -> Result<()>,
    ) -> Result<()> {
        if self.is_offline() {
            return Err(Error::setting("HF_HUB_OFFLINE", "is set, so nothing is uploaded; unset it"));
        }
        if self.token().is_none() {
            let message =
                "is not set, and the hub takes nothing from strangers: make a token that may write, and set it";
            return Err(Error::setting("HF_TOKEN", message));
        }
        let files = files.iter().map(read).collect::<Result<Vec<_>>>()?;
        let client = Client::new(self).map_err(|e| failed(name, "", e))?;
        let push = Push { hub: self, name, client };
        push.create(private)?;
        let taken = push.ask(&files)?;
        let large: Vec<&Read> =
            files.iter().filter(|f| taken.iter().any(|t| t.path == f.path && t.mode == "lfs")).collect();
        push.upload(&large, watch)?;
        let kept = |f: &&Read| !taken.iter().any(|t| t.path == f.path && t.ignored);
        push.commit(&files.iter().filter(kept).collect::<Vec<_>>(), &large, message)
    }
}

fn read(file: &Upload) -> Result<Read<'_>> {
    let bytes = door::read(&file.from, door::TABLE).map_err(Error::io(&file.from))?;
    Ok(Read { path: &file.path, hash: Fingerprint::of_bytes(&bytes), bytes })
}

impl Push<'_> {
    /// Asks again where that may help.
    fn tried<T>(&self, file: &str, mut ask: impl FnMut() -> std::result::Result<T, Failure>) -> Result<T> {
        let mut attempt = 0;
        loop {
            match ask() {
                Err(Failure::Again(_)) if attempt < RETRIES => pause(attempt),
                done => return done.map_err(|e| failed(self.name, file, e)),
            }
            attempt += 1;
        }
    }

    /// The hub's answer to a question in JSON.
    fn posted<T: serde::de::DeserializeOwned>(&self, url: &str, kind: &str, body: &Value) -> Result<T> {
        let answer = self.tried("", || self.client.post(url, kind, body.to_string().as_bytes()))?;
        let wrong = |e| Error::input(self.name.to_string(), format!("the hub's answer cannot be read: {e}"));
        serde_json::from_slice(&answer).map_err(wrong)
    }

    fn create(&self, private: bool) -> Result<()> {
        let (organization, model) = self.name.repo.split_once('/').unwrap_or_default();
        let visibility = if private { "private" } else { "public" };
        let body = json!({ "type": "dataset", "name": model, "organization": organization, "visibility": visibility });
        let url = format!("{}/api/repos/create", self.hub.endpoint);
        self.tried("", || match self.client.post(&url, JSON, body.to_string().as_bytes()) {
            Err(Failure::Conflict) => Ok(Vec::new()), // it is there
            done => done,
        })
        .map(drop)
    }

    /// How the hub takes each file.
    fn ask(&self, files: &[Read]) -> Result<Vec<Taken>> {
        #[derive(Deserialize)]
        struct Answer {
            files: Vec<Taken>,
        }
        let about = |f: &Read| {
            let sample = STANDARD.encode(&f.bytes[..f.bytes.len().min(SAMPLE)]);
            json!({ "path": f.path, "size": f.bytes.len(), "sample": sample })
        };
        let body = json!({ "files": files.iter().map(about).collect::<Vec<_>>() });
        let revision = self.name.revision().replace('/', "%2F");
        let url = format!("{}/api/datasets/{}/preupload/{revision}", self.hub.endpoint, self.name.repo);
        let answer: Answer = self.posted(&url, JSON, &body)?;
        Ok(answer.files)
    }

    /// Brings large files to where the hub wants them, those that it lacks.
    fn upload(&self, files: &[&Read], watch: &mut dyn FnMut(u64, u64) -> Result<()>) -> Result<()> {
        #[derive(Deserialize)]
        struct Answer {
            objects: Vec<Place>,
        }
        let total = files.iter().map(|f| f.bytes.len() as u64).sum();
        let object = |f: &&Read| json!({ "oid": f.hash, "size": f.bytes.len() });
        let body = json!({
            "operation": "upload", "transfers": ["basic"], "hash_algo": "sha256",
            "objects": files.iter().map(object).collect::<Vec<_>>(),
        });
        let url = format!("{}.git/info/lfs/objects/batch", self.hub.dataset_address(self.name));
        let answer: Answer = if files.is_empty() { return Ok(()) } else { self.posted(&url, LFS, &body)? };
        let mut done = 0;
        for file in files {
            let wrong = |why: &str| failed(self.name, file.path, Failure::Final(why.to_owned()));
            let place = answer.objects.iter().find(|p| p.oid == file.hash.as_str());
            let place = place.ok_or_else(|| wrong("the hub says nowhere to upload it to"))?;
            if place.error.is_some() {
                return Err(wrong("the hub does not take it"));
            }
            if let Some(Actions { upload: Some(upload), verify }) = &place.actions {
                self.tried(file.path, || self.client.put(&upload.href, &upload.header, &file.bytes))?;
                if let Some(verify) = verify {
                    let body = object(file).to_string();
                    self.tried(file.path, || self.client.post(&verify.href, LFS, body.as_bytes()))?;
                }
            }
            done += file.bytes.len() as u64;
            watch(done, total)?;
        }
        Ok(())
    }

    /// All of it in one commit: a line for each file.
    fn commit(&self, files: &[&Read], large: &[&Read], message: &str) -> Result<()> {
        let line = |key: &str, value: Value| format!("{}\n", json!({ "key": key, "value": value }));
        let mut body = line("header", json!({ "summary": message, "description": "" }));
        for file in files {
            let size = file.bytes.len();
            body += &match large.iter().any(|l| l.path == file.path) {
                true => line("lfsFile", json!({ "path": file.path, "algo": "sha256", "oid": file.hash, "size": size })),
                false => {
                    let content = STANDARD.encode(&file.bytes);
                    line("file", json!({ "path": file.path, "content": content, "encoding": "base64" }))
                }
            };
        }
        let revision = self.name.revision().replace('/', "%2F");
        let url = format!("{}/api/datasets/{}/commit/{revision}", self.hub.endpoint, self.name.repo);
        self.tried("", || self.client.post(&url, "application/x-ndjson", body.as_bytes())).map(drop)
    }
}
