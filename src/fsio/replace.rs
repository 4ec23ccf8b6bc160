//! A folder made anew: as a whole or not at all, and never over what somebody else put there.

use super::{disk, printable, sweep_litter};
use crate::{
    door,
    error::{Error, Result},
    fingerprint::Fingerprint,
};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// Lies in every folder that [`replace_folder`] works in.
pub(super) const MARK: &str = "made-by-protostill";

/// What a folder says that we wrote into it.
pub struct Claim {
    /// The file that says it.
    pub by: &'static str,
    /// The files that it names, by their paths in the folder, with their hashes.
    pub files: BTreeMap<String, Fingerprint>,
    /// Whether we add a file of this path later.
    pub later: fn(&str) -> bool,
}

/// Why the folder `dir` cannot be replaced without a loss, if so, and whether that is for changes which `force` allows; it can if it is absent, empty, or holds nothing but what it `claims`,
/// unchanged unless `force`.
///
/// # Errors
/// [`Error::Io`] if it cannot be read.
pub fn refusal(dir: &Path, claim: impl FnOnce() -> Option<Claim>, force: bool) -> Result<Option<(String, bool)>> {
    let refused = |why: String| Ok(Some((why, false)));
    match fs::metadata(dir) {
        Ok(about) if about.is_dir() => {}
        Ok(_) => return refused("is not a folder".into()),
        Err(e) if e.kind() == io::ErrorKind::NotFound && fs::symlink_metadata(dir).is_err() => return Ok(None),
        Err(e) => return Err(Error::io(dir)(e)),
    }
    let mut present = Vec::new();
    files_below(dir, Path::new(""), &mut present)?;
    if present.is_empty() && fs::read_dir(dir).map_err(Error::io(dir))?.next().is_none() {
        return Ok(None);
    }
    let Some(claim) = claim() else {
        return refused("holds files, and none of protostill's says that they may be replaced".into());
    };
    let named = |name: &PathBuf| name.to_str().and_then(|n| claim.files.get(n));
    let known = |name: &PathBuf| name.to_str().is_some_and(|n| n == claim.by || (claim.later)(n));
    if let Some(name) = present.iter().find(|name| named(name).is_none() && !known(name)) {
        let name = printable(&name.to_string_lossy());
        return refused(format!("also holds \"{name}\", which protostill did not write and would delete"));
    }
    let edited = |name: &&PathBuf| {
        let written = named(name);
        let file = dir.join(name);
        // A link is not what was written, whatever it leads to.
        let plain = fs::symlink_metadata(&file).is_ok_and(|about| about.is_file());
        written.is_some_and(|hash| !plain || Fingerprint::of_file(&file).ok().as_ref() != Some(hash))
    };
    let edited: Vec<_> = if force { Vec::new() } else { present.iter().filter(edited).collect() };
    Ok(edited.first().map(|first| {
        let more = if edited.len() > 1 { format!(" and {} more", edited.len() - 1) } else { String::new() };
        let first = printable(&first.to_string_lossy());
        (format!("\"{first}\"{more} changed since they were written"), true)
    }))
}

/// Every file below `dir`, relative to it, sorted folder by folder; links are files, and an empty sub-folder is none.
fn files_below(dir: &Path, below: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let here = dir.join(below);
    let mut entries = Vec::new();
    for entry in fs::read_dir(&here).map_err(Error::io(&here))? {
        let entry = entry.map_err(Error::io(&here))?;
        entries.push((below.join(entry.file_name()), entry.file_type().map_err(Error::io(entry.path()))?));
    }
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, kind) in entries {
        if kind.is_dir() { files_below(dir, &name, found)? } else { found.push(name) }
    }
    Ok(())
}

/// Makes the folder `dir` of what `fill` writes into the folder it is given, which lies beside `dir` and takes its place in
/// one step: a crash or a full disk leaves the old folder or the new one, whole. (Where the system cannot exchange two
/// names there is, for an instant, no folder at all, and the old one under another name.)
///
/// # Errors
/// Those of `fill`, told of `dir`; [`Error::Io`] naming the path, such as for a full disk or a read-only place.
pub fn replace_folder(dir: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    // A link to a folder keeps being one: what it points to is replaced.
    let dir = &fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
    let above = disk::parent(dir);
    disk::create_folders(above).map_err(Error::io(above))?;
    sweep_litter(above);
    let beside = Beside::new(dir).map_err(Error::io(dir))?;
    let new = beside.path.join("new");
    disk::create_folder(&new).map_err(Error::io(dir))?;
    fill(&new).map_err(|e| elsewhere(e, &new, dir))?;
    let synced = disk::sync_tree(&new).and_then(|()| disk::sync_folder(&beside.path));
    synced.map_err(Error::io(dir))?;
    if fs::symlink_metadata(dir).is_err() {
        disk::rename(&new, dir).map_err(Error::io(dir))?;
    } else if !disk::exchange(&new, dir).map_err(Error::io(dir))? {
        beside.swap(&new, dir)?;
    }
    disk::sync_folder(above).map_err(Error::io(above))
}

/// The folder to work in, removed in the end with what is left in it.
struct Beside {
    path: PathBuf,
    /// Locked while we live, so that nobody sweeps it.
    _mark: disk::Out,
}

impl Beside {
    fn new(dir: &Path) -> io::Result<Self> {
        let path = disk::temporary_beside(dir);
        disk::create_folder(&path)?;
        let mark = disk::Out::create_new(&path.join(MARK)).inspect_err(|_| drop(disk::remove_tree(&path)))?;
        let _ = mark.file().try_lock();
        Ok(Self { path, _mark: mark })
    }

    /// Two renames, where they cannot be one.
    fn swap(&self, new: &Path, dir: &Path) -> Result<()> {
        let old = self.path.join("old");
        disk::rename(dir, &old).map_err(Error::io(dir))?;
        let Err(e) = disk::rename(new, dir) else {
            return disk::sync_folder(disk::parent(dir)).and_then(|()| disk::remove_tree(&old)).map_err(Error::io(dir));
        };
        match disk::rename(&old, dir) {
            Ok(()) => Err(Error::io(dir)(e)),
            // Better a strange name than a lost folder.
            Err(_) => Err(Error::input(dir, format!("{e}; the old folder is now {}", old.display()))),
        }
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if !self.path.join("old").exists() {
            let _ = disk::remove_tree(&self.path);
        }
    }
}

/// Whether nobody works in a temporary folder any more, and nothing in it is missing elsewhere.
pub(super) fn is_abandoned(folder: &Path) -> bool {
    let free = |mark: File| !matches!(mark.try_lock(), Err(fs::TryLockError::WouldBlock));
    door::open(&folder.join(MARK)).is_ok_and(free) && !folder.join("old").exists()
}

/// An error about a temporary file, told of the file it stands for.
fn elsewhere(error: Error, temporary: &Path, meant: &Path) -> Error {
    let moved = |path: PathBuf| path.strip_prefix(temporary).map(|rest| meant.join(rest)).unwrap_or(path);
    match error {
        Error::Io { path, source } => Error::Io { path: moved(path), source },
        Error::Input { path, message } => Error::Input { path: moved(path), message },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::fsio::{
        crash::{Kept, Recorder},
        write_atomic, write_new,
    };

    const NAMES: [&str; 3] = ["a", "deep/b", "c"];

    fn fill(new: &Path, word: &str) -> Result<()> {
        for name in NAMES {
            let path = new.join(name);
            disk::create_folders(disk::parent(&path)).map_err(Error::io(&path))?;
            write_new(&path, |to| to.write_all(word.repeat(9).as_bytes())).map_err(Error::io(&path))?;
        }
        Ok(())
    }

    /// The word that all files of a folder hold; none if there is no folder.
    fn word(dir: &Path) -> Option<String> {
        let texts = NAMES.map(|name| fs::read_to_string(dir.join(name)).ok());
        let Some(first) = texts[0].clone() else {
            assert!(!dir.exists(), "half a folder");
            return None;
        };
        assert!(texts.iter().all(|t| t.as_ref() == Some(&first)), "a mixture: {texts:?}");
        Some(first[..first.len() / 9].to_owned())
    }

    #[test]
    fn whatever_crash_or_failing_call_a_folder_is_the_old_one_or_the_new_one() {
        for old in [None, Some("old")] {
            let before = |root: &Path| {
                if let Some(word) = old {
                    fs::create_dir_all(root.join("set")).unwrap();
                    fill(&root.join("set"), word).unwrap();
                }
            };
            let disk = Recorder::over(before);
            replace_folder(&disk.root().join("set"), |new| fill(new, "new")).unwrap();
            disk.promise(Kept::PowerCut, 1);
            let (calls, states) = disk.states(|root, promised| {
                let found = word(&root.join("set"));
                assert!(found.as_deref() == Some("new") || (promised == 0 && found.as_deref() == old), "{found:?}");
            });
            assert!(calls > 15 && states > 100, "{calls} calls, {states} states");
            for (call, ever) in (0..calls).flat_map(|call| [(call, false), (call, true)]) {
                let disk = Recorder::over(before);
                let set = disk.root().join("set");
                disk.fail(call, ever);
                let done = replace_folder(&set, |new| fill(new, "new"));
                let found = word(&set);
                assert!(found.as_deref() == Some("new") || (done.is_err() && found.as_deref() == old), "call {call}");
                disk.heal();
                replace_folder(&set, |new| fill(new, "newer")).unwrap();
                assert_eq!(word(&set).as_deref(), Some("newer"));
            }
        }
    }

    #[test]
    fn whatever_crash_a_file_is_the_old_one_or_the_new_one() {
        for old in [None, Some("old")] {
            let disk = Recorder::over(|root| old.iter().for_each(|o| fs::write(root.join("f"), o).unwrap()));
            write_atomic(&disk.root().join("f"), b"new").unwrap();
            disk.promise(Kept::PowerCut, 1);
            disk.states(|root, promised| {
                let found = fs::read_to_string(root.join("f")).ok();
                assert!(found.as_deref() == Some("new") || (promised == 0 && found.as_deref() == old), "{found:?}");
            });
        }
    }
}
