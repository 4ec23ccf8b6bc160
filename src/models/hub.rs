//! Names on the Hugging Face hub, and the cache that its own libraries keep on disk: `models--org--name` with `refs/main`
//! (the commit a name stands for) and `snapshots/COMMIT` (its files, as links to `blobs` or, where there are no links,
//! the files themselves).

mod brisk;
mod client;
mod complete;
mod fetch;
mod push;
#[cfg(test)]
mod tests;
mod transfer;

use crate::{
    door,
    error::{Error, Result},
    fsio,
};
pub use fetch::Fetched;
pub use push::Upload;
use std::{path::PathBuf, time::Duration};

/// What the names of data sets begin with.
const DATA: &str = "datasets/";

/// A model on the hub, `org/model` or `org/model@revision`, or a data set, `datasets/org/name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// Whether it is a data set.
    data: bool,
    repo: String,
    revision: Option<String>,
}

impl Name {
    /// Reads the name of a data set, for which `datasets/` need not be said.
    pub fn parse_data(text: &str) -> Option<Self> {
        Self::parse(text).map(|name| Self { data: true, ..name })
    }

    /// Reads a name; `None` if the hub could have no such model.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(DATA).filter(|rest| rest.contains('/'));
        let (data, text) = (rest.is_some(), rest.unwrap_or(text));
        let (repo, revision) = match text.split_once('@') {
            Some((repo, revision)) => (repo, Some(revision)),
            None => (text, None),
        };
        let (org, model) = repo.split_once('/')?;
        let safe = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        // Names become folders: none may climb, hide or meet another's (`--` stands for `/` there).
        let plain = |s: &str| !s.is_empty() && s.chars().all(safe) && !s.starts_with(['.', '-']) && !s.contains("..");
        let named = [org, model].iter().all(|s| s.len() <= 96 && plain(s) && !s.contains("--") && !s.ends_with('.'));
        let known = revision.is_none_or(|r| r.len() <= 255 && r.split('/').all(plain));
        (named && known).then(|| Self { data, repo: repo.into(), revision: revision.map(Into::into) })
    }

    /// The branch, tag or commit: `main` if none was named.
    pub fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or("main")
    }

    /// What to type to have its files in the cache.
    pub fn fetch_command(&self) -> String {
        format!("protostill fetch {self}")
    }

    /// Its folder in the cache.
    fn folder(&self) -> String {
        let kind = if self.data { "datasets" } else { "models" };
        format!("{kind}--{}", self.repo.replace('/', "--"))
    }

    /// Its place on the hub.
    fn place(&self) -> String {
        format!("{}{}", if self.data { DATA } else { "" }, self.repo)
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.revision {
            Some(revision) => write!(f, "{}@{revision}", self.place()),
            None => f.write_str(&self.place()),
        }
    }
}

/// Whether `text` is the hash of a commit or a file, and so harmless as a file's name.
fn is_hash(text: &str) -> bool {
    (7..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Something that no message, log or file may show.
#[derive(Clone)]
struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// Where the hub is and where its files are kept.
#[derive(Clone, Debug)]
pub struct Hub {
    cache: PathBuf,
    endpoint: String,
    token: Option<Secret>,
    token_file: Option<PathBuf>,
    offline: bool,
    /// How long nothing may come before a connection counts as cut.
    patience: Duration,
}

/// [`Hub::patience`] unless told otherwise.
const PATIENCE: Duration = Duration::from_secs(60);

impl Hub {
    /// The cache in the folder `cache`, and nothing beyond it.
    pub fn new(cache: impl Into<PathBuf>) -> Self {
        let (cache, endpoint) = (cache.into(), String::new());
        Self { cache, endpoint, token: None, token_file: None, offline: true, patience: PATIENCE }
    }

    /// As `huggingface_hub` finds it. The cache: `HF_HUB_CACHE`, else `HF_HOME/hub`, else `huggingface/hub` under
    /// `XDG_CACHE_HOME` or `~/.cache`. The hub: `HF_ENDPOINT`. The token: `HF_TOKEN`, else in the file `HF_TOKEN_PATH`, else
    /// `HF_HOME/token`. No connection is made where `HF_HUB_OFFLINE` is set. A download of which nothing comes for
    /// `HF_HUB_DOWNLOAD_TIMEOUT` seconds is asked for again where it stopped. `var` looks up an environment variable.
    pub fn from_env(var: impl Fn(&str) -> Option<std::ffi::OsString>) -> Self {
        let plain = |name: &str| var(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let path = |name: &str| plain(name).map(|p| fsio::expanded(p, plain("HOME")));
        let text = |name: &str| path(name).map(|v| v.to_string_lossy().trim().to_owned());
        let user = || path("HOME").or_else(|| path("USERPROFILE")).unwrap_or_else(|| ".".into());
        let cache = || path("XDG_CACHE_HOME").unwrap_or_else(|| user().join(".cache"));
        let home = path("HF_HOME").unwrap_or_else(|| cache().join("huggingface"));
        let endpoint = text("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".into());
        let offline = text("HF_HUB_OFFLINE").unwrap_or_default().to_uppercase();
        Self {
            cache: path("HF_HUB_CACHE").unwrap_or_else(|| home.join("hub")),
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            token: text("HF_TOKEN").map(Secret),
            token_file: Some(path("HF_TOKEN_PATH").unwrap_or_else(|| home.join("token"))),
            patience: text("HF_HUB_DOWNLOAD_TIMEOUT")
                .and_then(|seconds| seconds.parse().ok())
                .filter(|&seconds: &u64| seconds > 0)
                .map_or(PATIENCE, Duration::from_secs),
            offline: ["1", "ON", "YES", "TRUE"].contains(&offline.as_str()),
        }
    }

    /// Whether no connection is made.
    pub fn is_offline(&self) -> bool {
        self.offline
    }

    /// The token, if there is one.
    fn token(&self) -> Option<Secret> {
        let read = || door::read_to_string(self.token_file.as_ref()?, door::SETTINGS).ok();
        self.token.clone().or_else(|| read().map(|t| Secret(t.trim().to_owned()))).filter(|t| !t.0.is_empty())
    }

    /// The folder of the files of `name`.
    ///
    /// # Errors
    /// [`Error::Input`] with the command that fetches it if the cache does not have it, or if a ref is no commit.
    pub fn snapshot(&self, name: &Name) -> Result<PathBuf> {
        let model = self.cache.join(name.folder());
        let entry = model.join("refs").join(name.revision());
        // A revision is a branch or tag, which a ref resolves, or a commit.
        let commit = match door::read_to_string(&entry, door::SETTINGS) {
            Ok(text) => text.trim().to_owned(),
            Err(_) => name.revision().to_owned(),
        };
        if entry.is_file() && !is_hash(&commit) {
            return Err(Error::input(entry, "does not hold a commit"));
        }
        let folder = model.join("snapshots").join(&commit);
        if is_hash(&commit) && folder.is_dir() {
            return Ok(folder);
        }
        let place = self.cache.display();
        let message = format!("no such folder, and not in the hub's cache {place}");
        Err(Error::input(name.to_string(), message).or(format!("fetch it with: {}", name.fetch_command())))
    }
}

#[cfg(test)]
mod names {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::ffi::OsString;

    #[test]
    fn names_that_could_climb_out_of_the_cache_are_no_names() {
        assert_eq!(Name::parse_data("nlphuji/flickr30k").unwrap().to_string(), "datasets/nlphuji/flickr30k");
        for good in [
            "datasets/nlphuji/flickr30k@main",
            "openai/clip-vit-large-patch14",
            "timm/nf_resnet50.ra2_in1k@main",
            "a/b@refs/pr/1",
            "a/b@v1.0",
        ] {
            assert_eq!(Name::parse(good).unwrap().to_string(), good);
        }
        let bad = [
            "clip",
            "/etc/passwd",
            "../a",
            "a/..",
            "a/b/c",
            "a/b@",
            "a/b@../c",
            "a/b@/c",
            "a/b c",
            "a/b;ls",
            "a--b/c",
            "~/a",
            "./a",
            "",
        ];
        for bad in bad {
            assert_eq!(Name::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_cache_is_where_huggingface_hub_looks() {
        let with = |pairs: &[(&str, &str)]| {
            let pairs: Vec<(String, OsString)> = pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
            Hub::from_env(move |name| pairs.iter().find(|(k, _)| k == name).map(|(_, v)| v.clone())).cache
        };
        let all = [("HF_HUB_CACHE", "/c"), ("HF_HOME", "/h"), ("XDG_CACHE_HOME", "/x"), ("HOME", "/me")];
        let expected = ["/c", "/h/hub", "/x/huggingface/hub", "/me/.cache/huggingface/hub"];
        for (i, expected) in expected.iter().enumerate() {
            assert_eq!(with(&all[i..]), PathBuf::from(expected));
        }
        assert_eq!(with(&[("HF_HOME", "~/h"), ("HOME", "/me")]), PathBuf::from("/me/h/hub"));
        assert_eq!(with(&[("HF_HUB_CACHE", ""), ("HF_HOME", "/h")]), PathBuf::from("/h/hub"));
    }
}
