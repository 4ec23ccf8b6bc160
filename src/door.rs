//! The one door for files that others may have made: only what ends comes in, and only as much as is expected of it.

use std::{
    fs::{File, FileType, Metadata, OpenOptions},
    io::{self, Read},
    path::Path,
};

/// Largest file of settings, or list of names and hashes, that is read whole, in bytes.
pub const SETTINGS: u64 = 1 << 25;
/// Largest list, journal or table that is read whole, in bytes (COCO's whole original file has 144 MB). Its rows take as
/// much again.
pub const TABLE: u64 = 1 << 30;

/// Opens a regular file, or a link to one, to be read. Of what else may have its name, a FIFO would be waited for without
/// end, and a device has no end.
///
/// # Errors
/// The system's; [`io::ErrorKind::InvalidInput`] saying what it is instead of a file.
pub fn open(path: &Path) -> io::Result<File> {
    patiently(OpenOptions::new().read(true), path)
}

/// Opens as `how` says, but waits for nobody, and only a regular file.
pub(crate) fn patiently(how: &mut OpenOptions, path: &Path) -> io::Result<File> {
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        use std::os::unix::fs::OpenOptionsExt;
        how.custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed());
    }
    let file = how.open(path)?;
    match other(&file.metadata()?) {
        None => Ok(file),
        Some(what) => Err(io::Error::new(io::ErrorKind::InvalidInput, format!("is {what}, not a file"))),
    }
}

/// What is no regular file.
fn other(about: &Metadata) -> Option<&'static str> {
    #[cfg(unix)]
    fn special(kind: FileType) -> &'static str {
        use std::os::unix::fs::FileTypeExt;
        match kind {
            kind if kind.is_fifo() => "a FIFO",
            kind if kind.is_socket() => "a socket",
            _ => "a device",
        }
    }
    #[cfg(not(unix))]
    fn special(_: FileType) -> &'static str {
        "a device"
    }
    match about.file_type() {
        kind if kind.is_file() => None,
        kind if kind.is_dir() => Some("a folder"),
        kind => Some(special(kind)),
    }
}

/// The bytes of a file, of which there may be `most`.
///
/// # Errors
/// As [`open`]; [`io::ErrorKind::InvalidData`] for a larger one, before it is read.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    whole(&open(path)?, most)
}

/// The bytes of an open file from where it stands on, of which there may be `most`.
///
/// # Errors
/// As [`read`].
pub fn whole(file: &File, most: u64) -> io::Result<Vec<u8>> {
    let length = file.metadata()?.len();
    let too_large = |length: u64| {
        let message = format!("{length} bytes or more, where at most {most} are read");
        Err(io::Error::new(io::ErrorKind::InvalidData, message))
    };
    if length > most {
        return too_large(length);
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length as usize)?;
    // It may grow meanwhile, and what the system makes up as it is read claims no length.
    let read = file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if read as u64 > most { too_large(read as u64) } else { Ok(bytes) }
}

/// The same, for UTF-8 text.
///
/// # Errors
/// As [`read`]; [`io::ErrorKind::InvalidData`] for other text.
pub fn read_to_string(path: &Path, most: u64) -> io::Result<String> {
    let not_text = |_| io::Error::new(io::ErrorKind::InvalidData, "not UTF-8 text");
    String::from_utf8(read(path, most)?).map_err(not_text)
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn only_a_file_is_opened_by_way_of_links_or_not_and_nobody_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("file"), "text").unwrap();
        assert!(std::process::Command::new("mkfifo").arg(at("fifo")).status().unwrap().success());
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        for (name, target) in [("to file", "file"), ("to fifo", "fifo"), ("to zero", "/dev/zero"), ("loop", "loop")] {
            symlink(target, at(name)).unwrap();
        }
        let said = |name: &str| read(&at(name), 9).unwrap_err().to_string();
        assert_eq!(read(&at("to file"), 9).unwrap(), b"text");
        assert_eq!(said("to fifo"), "is a FIFO, not a file");
        assert_eq!(said("fifo"), said("to fifo"));
        assert_eq!(said("to zero"), "is a device, not a file");
        assert_eq!(read(dir.path(), 9).unwrap_err().to_string(), "is a folder, not a file");
        assert!(open(&at("socket")).is_err() && open(&at("loop")).is_err());
    }

    #[test]
    fn a_file_larger_than_expected_is_not_read_even_if_it_says_nothing_of_its_length() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sparse");
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert!(read(&path, TABLE).unwrap_err().to_string().contains("1099511627776 bytes or more"));
        std::fs::write(&path, "text").unwrap();
        assert_eq!(read_to_string(&path, 4).unwrap(), "text");
        assert!(read(&path, 3).is_err());
        #[cfg(target_os = "linux")]
        assert!(read(Path::new("/proc/self/maps"), 10).is_err());
    }
}
