//! Files that are either whole or not there: written under a temporary name, synced, renamed.

use crate::error::{Error, Result};
use std::{fs, io::Write, path::Path};

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
pub fn write_atomic_with(path: &Path, write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<()> {
    let dir = path.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let put = || -> std::io::Result<()> {
        fs::create_dir_all(dir)?;
        let temp = tempfile::Builder::new().prefix(".protostill-").tempfile_in(dir)?;
        let mut out = std::io::BufWriter::new(temp);
        write(&mut out)?;
        let temp = out.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        temp.as_file().sync_data()?;
        // tempfile makes files private; results are ordinary files.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            temp.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
        }
        temp.persist(path).map_err(|e| e.error)?;
        Ok(())
    };
    put().map_err(Error::io(path))
}

/// Removes what killed writers left in `dir` over a day ago. Younger litter may belong to a writer at work, and a
/// replaced folder set aside (`old`) is a person's to delete. Nothing depends on it, so nothing is reported.
pub fn sweep_litter(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten().filter(|e| e.file_name().to_string_lossy().starts_with(".protostill-")) {
        let Ok(about) = entry.metadata() else { continue };
        let age = about.modified().ok().and_then(|t| t.elapsed().ok());
        if age.is_none_or(|age| age < std::time::Duration::from_secs(86_400)) {
            continue;
        }
        let path = entry.path();
        let _ = if !about.is_dir() {
            fs::remove_file(path)
        } else if !path.join("old").exists() {
            fs::remove_dir_all(path)
        } else {
            Ok(())
        };
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
    fn only_old_litter_is_swept_and_no_folder_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(200_000);
        for (name, age) in [(".protostill-a", true), (".protostill-b", false), ("mine", true)] {
            let file = fs::File::create(dir.path().join(name)).unwrap();
            if age {
                file.set_modified(long_ago).unwrap();
            }
        }
        for name in [".protostill-c/images", ".protostill-d/old"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
            let top = dir.path().join(name.split('/').next().unwrap());
            fs::File::open(top).unwrap().set_modified(long_ago).unwrap();
        }
        sweep_litter(dir.path());
        let mut left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, [".protostill-b", ".protostill-d", "mine"]);
    }

    #[test]
    fn escape_codes_and_bidi_marks_do_not_pass() {
        assert_eq!(printable("a\u{1b}[2Jb\u{202e}c"), "a\\u{1b}[2Jb\\u{202e}c");
    }
}
