//! Folders and files of a data set as every format looks at them.

use super::files::text;
use crate::{
    door,
    error::{Error, Result},
    lfs,
};
use std::{
    fs,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

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
