//! Folders and files of a data set as every format looks at them.

use super::{
    files::{json, text},
    splits::split_folders,
};
use crate::{
    door,
    error::{Error, Result},
    fsio::printable,
    lfs,
};
use serde::de::IgnoredAny;
use std::{
    collections::HashMap,
    fs,
    io::Read,
    path::{Component, Path, PathBuf},
    time::UNIX_EPOCH,
};

/// What a person named as a data set: a folder, one file of it, or a pattern of files.
pub(super) struct Place {
    pub path: PathBuf,
    /// The folder itself, or that of the file.
    pub dir: PathBuf,
    /// The file's name, if one was named.
    pub file: Option<String>,
    /// Names of the files in the folder, sorted, or the one named.
    pub names: Vec<String>,
}

impl Place {
    /// # Errors
    /// [`Error::Io`] if nothing is there and it is no `pattern`.
    pub fn open(path: &Path, pattern: bool) -> Result<Self> {
        let dir = match fs::metadata(path) {
            Ok(about) if about.is_dir() => {
                let (path, dir, names) = (path.to_owned(), path.to_owned(), file_names(path)?);
                return Ok(Self { path, dir, file: None, names });
            }
            Err(e) if !pattern => return Err(Error::io(path)(e)),
            _ => path.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned(),
        };
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Self { path: path.to_owned(), dir, names: vec![name.clone()], file: Some(name) })
    }

    /// Whether a file that ends so was named, or lies in the folder.
    pub fn has(&self, ending: &str) -> bool {
        self.names.iter().any(|name| name.ends_with(ending))
    }

    /// Whether the file named is a JSON object with these keys.
    pub fn is_json_with(&self, keys: &[&str]) -> bool {
        let Some(bytes) = self.json(b'{') else { return false };
        let found = json::read(&bytes, |bytes| serde_json::from_slice::<HashMap<String, IgnoredAny>>(bytes));
        found.is_ok_and(|(found, _)| keys.iter().all(|key| found.contains_key(*key)))
    }

    /// Whether the file named is a JSON list, or meant to be one.
    pub fn is_json_list(&self) -> bool {
        self.json(b'[').is_some()
    }

    /// The JSON file named, if it begins so.
    fn json(&self, first: u8) -> Option<Vec<u8>> {
        let name = self.file.as_ref().filter(|name| name.ends_with(".json"))?;
        let path = self.dir.join(name);
        (first_of(&path) == Some(first)).then(|| read_list(&path).ok())?
    }

    /// What to say where several data sets lie.
    pub fn several(&self, names: &[&String]) -> Error {
        let names: Vec<String> = names.iter().map(|name| printable(name)).collect();
        Error::input(&self.dir, format!("holds several data sets; name one of: {}", names.join(", ")))
    }

    /// The files that end so: the one named, or those in the folder, in its folders named after splits, and in its folder
    /// `data` in the same way.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn files(&self, endings: &[&str]) -> Result<Vec<PathBuf>> {
        let ends = |name: &String| endings.iter().any(|ending| name.ends_with(ending));
        if let Some(name) = &self.file {
            return Ok(Some(name).filter(|name| ends(name)).map(|name| self.dir.join(name)).into_iter().collect());
        }
        let mut found = Vec::new();
        let data = self.dir.join("data");
        for dir in [&self.dir, &data].into_iter().filter(|dir| dir.is_dir()) {
            for (_, folder) in split_folders(dir) {
                found.extend(file_names(&folder)?.iter().filter(|name| ends(name)).map(|name| folder.join(name)));
            }
        }
        Ok(found)
    }
}

/// The first byte of a text that is no white space.
pub(super) fn first_of(path: &Path) -> Option<u8> {
    let head = head(path)?;
    let head = text::unmarked(head[..head.len() & !1].to_vec()).unwrap_or(head);
    head.trim_ascii_start().first().copied()
}

/// Whether `path` stays below where it is joined to: no `..`, no root, no drive, not empty.
pub(crate) fn stays_inside(path: &str) -> bool {
    let ordinary = |c: Component<'_>| matches!(c, Component::Normal(_) | Component::CurDir);
    !path.is_empty() && !path.contains('\0') && Path::new(path).components().all(ordinary)
}

/// The first 64 KiB of a file.
pub(super) fn head(path: &Path) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    door::open(path).ok()?.take(1 << 16).read_to_end(&mut head).ok()?;
    Some(head)
}

/// A list's bytes, without a byte order mark and in UTF-8 where one says that they were not.
pub(super) fn read_list(path: &Path) -> Result<Vec<u8>> {
    let bytes = door::read(path, door::TABLE).map_err(Error::io(path))?;
    lfs::refuse(path, &bytes)?;
    text::unmarked(bytes).map_err(|what| Error::input(path, what))
}

/// Names of the files in `dir`, sorted.
pub(super) fn file_names(dir: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(Error::io(dir))? {
        let entry = entry.map_err(Error::io(dir))?;
        if entry.path().is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// `dir`, then its direct sub-folders in alphabetical order.
pub(super) fn image_roots(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut roots = Vec::new();
    for entry in fs::read_dir(dir).map_err(Error::io(dir))? {
        let path = entry.map_err(Error::io(dir))?.path();
        if path.is_dir() {
            roots.push(path);
        }
    }
    roots.sort();
    roots.insert(0, dir.to_owned());
    Ok(roots)
}

pub(super) fn folder_name(dir: &Path) -> String {
    let whole = fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
    whole.file_name().map_or_else(|| "data".to_owned(), |n| n.to_string_lossy().into_owned())
}

/// What tells a file from any other, and from itself before a change; `None` if there is no file. Tools set modification
/// times back, so the time of the last change of any kind counts too, which only the system sets.
pub(super) fn stamp(path: &Path) -> Option<String> {
    let about = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    let time = about.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    #[cfg(unix)]
    let which = {
        use std::os::unix::fs::MetadataExt;
        format!("{} {} {}.{:09}", about.dev(), about.ino(), about.ctime(), about.ctime_nsec())
    };
    // Elsewhere there is no such time: the content itself.
    #[cfg(not(unix))]
    let which = crate::fingerprint::Fingerprint::of_file(path).ok()?;
    Some(format!(" {} {} {which}", about.len(), time.as_nanos()))
}
