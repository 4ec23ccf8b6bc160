//! Files and folders that are either whole or not there: written under a temporary name, synced, renamed.

#[cfg(test)]
pub mod crash;
pub mod disk;
mod replace;

use crate::error::{Error, Result};
pub use replace::{Claim, refusal, replace_folder};
use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

/// Bytes in memory as far as the system has room for them, else in a file of our own.
pub(crate) type Spilled = memmap2::Mmap;

/// What `write` writes, in a file without a name in `folder` that is gone with what is returned. Only such a file is ever
/// mapped: one that others can name they can cut, and reading beyond its new end would end the program.
///
/// # Errors
/// Those of `write`; [`Error::Io`] naming `folder`, such as for a full disk.
pub(crate) fn spilled(folder: &Path, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<Spilled> {
    let file = tempfile::tempfile_in(folder).map_err(Error::io(folder))?;
    let mut out = io::BufWriter::with_capacity(1 << 20, &file);
    write(&mut out)?;
    out.flush().map_err(Error::io(folder))?;
    drop(out);
    // SAFETY: nobody else has the file, and nobody here writes to it any more.
    #[allow(unsafe_code)]
    let map = unsafe { Spilled::map(&file) };
    map.map_err(Error::io(folder))
}

/// Writes `bytes` to `path` in one step: a crash or a full disk leaves the old file, or none.
///
/// # Errors
/// [`Error::Io`] naming `path`.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    write_atomic_with(path, |file| file.write_all(bytes))
}

/// The same, for what is written piece by piece.
///
/// # Errors
/// [`Error::Io`] naming `path`.
pub fn write_atomic_with(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let put = || -> io::Result<()> {
        disk::create_folders(disk::parent(path))?;
        let temporary = disk::temporary_beside(path);
        let written = write_new(&temporary, write).and_then(|out| out.sync());
        if let Err(e) = written.and_then(|()| disk::rename(&temporary, path)) {
            let _ = disk::remove_file(&temporary);
            return Err(e);
        }
        disk::sync_folder(disk::parent(path))
    };
    put().map_err(Error::io(path))
}

/// Writes a file that is not there yet, and neither syncs nor renames it: for folders that are made as a whole.
///
/// # Errors
/// The system's; what was written before stays.
pub fn write_new(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<disk::Out> {
    let mut out = io::BufWriter::new(disk::Out::create_new(path)?);
    write(&mut out)?;
    out.into_inner().map_err(io::IntoInnerError::into_error)
}

/// Tries whether `path` could be written, as a file or a folder, and leaves nothing behind: for who computes long before.
///
/// # Errors
/// [`Error::Io`] naming `path`.
pub fn try_place(path: &Path) -> Result<()> {
    let there = path.ancestors().skip(1).find(|above| above.is_dir());
    let folder = there.filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let temporary = disk::temporary_beside(&folder.join("x"));
    let tried = disk::Out::create_new(&temporary).and_then(|_| disk::remove_file(&temporary));
    tried.map_err(Error::io(path))
}

/// Removes what killed writers left in `dir` over a day ago. Younger litter may belong to a writer at work, a folder without
/// our mark to anybody, and one set aside (`old`) is a person's to delete. Nothing depends on it, so nothing is reported.
pub fn sweep_litter(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten().filter(|e| e.file_name().to_str().is_some_and(disk::is_temporary)) {
        let Ok(about) = entry.metadata() else { continue };
        let age = about.modified().ok().and_then(|t| t.elapsed().ok());
        if age.is_none_or(|age| age < Duration::from_secs(86_400)) {
            continue;
        }
        let path = entry.path();
        let _ = if about.is_file() {
            disk::remove_file(&path)
        } else if about.is_dir() && replace::is_abandoned(&path) {
            disk::remove_tree(&path)
        } else {
            Ok(())
        };
    }
}

/// The program's folder of one kind, by the XDG rules: in `$VARIABLE` where that names an absolute path, else in `fallback`
/// under the home folder; none without either.
pub fn own_folder(variable: &str, fallback: &str) -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let parent = absolute(variable).or_else(|| absolute("HOME").map(|home| home.join(fallback)))?;
    Some(parent.join("protostill"))
}

/// `path` with `home` in the place of a leading `~`, as a shell has it; settings are read by none.
pub fn expanded(path: PathBuf, home: Option<PathBuf>) -> PathBuf {
    match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path,
    }
}

/// `text` with every control, escape and bidirectional-override character shown as an escape, so that
/// foreign text (captions, file names) can do nothing to a terminal, a log or a file name.
pub fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|c| -> Box<dyn Iterator<Item = char>> {
            let bidi = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            if c.is_control() || bidi { Box::new(c.escape_unicode()) } else { Box::new(std::iter::once(c)) }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_litter() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        write_atomic(&path, b"old").unwrap();
        let failed = write_atomic_with(&path, |w| {
            w.write_all(b"half")?;
            Err(std::io::Error::other("disk full"))
        });
        assert!(failed.unwrap_err().to_string().contains("disk full"));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn only_old_litter_with_our_mark_is_swept_and_no_folder_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let age = |path: &Path| {
            let long_ago = std::time::SystemTime::now() - Duration::from_secs(200_000);
            fs::File::open(path).unwrap().set_modified(long_ago).unwrap();
        };
        let at = |name: &str| dir.path().join(name);
        let ours = ["a", "b", "c", "d"].map(|n| format!(".protostill-tmp-1-2-{n}"));
        let [file, young, folder, aside] = &ours;
        for name in [file, young, ".protostill-tmp-notes", ".protostill-x"] {
            fs::write(at(name), "").unwrap();
        }
        for name in [folder, aside, ".protostill-tmp-1-2-e", ".protostill-backup"] {
            fs::create_dir(at(name)).unwrap();
            fs::write(at(name).join("file"), "").unwrap();
        }
        [folder, aside].iter().for_each(|n| fs::write(at(n).join(replace::MARK), "").unwrap());
        fs::create_dir(at(aside).join("old")).unwrap();
        fs::read_dir(dir.path()).unwrap().flatten().filter(|e| e.file_name() != **young).for_each(|e| age(&e.path()));
        sweep_litter(dir.path());
        let gone: Vec<_> = ours.iter().filter(|name| !at(name).exists()).collect();
        assert_eq!(gone, [file, folder]);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 6, "nothing that is not ours is touched");
    }

    #[cfg(unix)]
    #[test]
    fn files_have_the_permissions_that_the_mask_leaves() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("plain"), "").unwrap();
        write_atomic(&dir.path().join("ours"), b"").unwrap();
        let mode = |name: &str| fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode("ours"), mode("plain"));
    }

    #[test]
    fn a_tilde_is_the_home_folder_only_at_the_beginning_and_alone() {
        let expanded = |path: &str| expanded(path.into(), Some("/me".into())).display().to_string();
        assert_eq!(["~/a/b", "a/~", "~you/a", "/a"].map(expanded), ["/me/a/b", "a/~", "~you/a", "/a"]);
    }

    #[test]
    fn escape_codes_and_bidi_marks_do_not_pass() {
        assert_eq!(printable("a\u{1b}[2Jb\u{202e}c"), "a\\u{1b}[2Jb\\u{202e}c");
    }
}
