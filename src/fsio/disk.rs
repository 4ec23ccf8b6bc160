//! The few calls that change the disk. Everything written goes through them, so that a test can record what a program
//! asked for, let any one of it fail, and look at what a crash leaves of it (see `crash`).

use crate::door;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

/// A change to the disk, as it is asked for.
#[cfg_attr(not(test), allow(dead_code, reason = "who asks is served; tests look at what was asked"))]
pub(super) enum Change<'a> {
    Open { path: &'a Path, id: u64 },
    Write { id: u64, file: &'a File, append: bool, bytes: &'a [u8] },
    Length { id: u64, length: u64 },
    Sync { id: u64 },
    Rename(&'a Path, &'a Path),
    Exchange(&'a Path, &'a Path),
    Remove(&'a Path),
    Folder(&'a Path),
    Link { target: &'a Path, place: &'a Path },
    SyncFolder(&'a Path),
    SyncFile(&'a Path),
}

#[cfg(test)]
use super::crash::change;
#[cfg(not(test))]
fn change<T>(_: Change<'_>, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    act()
}

/// A file being written.
#[derive(Debug)]
pub struct Out {
    file: File,
    append: bool,
    /// Tells open files apart.
    id: u64,
}

impl Out {
    /// A file that is not there yet, with the permissions that the user's mask leaves.
    ///
    /// # Errors
    /// The system's; [`io::ErrorKind::AlreadyExists`] for anything of that name.
    pub fn create_new(path: &Path) -> io::Result<Self> {
        Self::open(path, false, OpenOptions::new().read(true).write(true).create_new(true))
    }

    /// A new file to whose end everything is written, wherever another one has moved that.
    ///
    /// # Errors
    /// As [`Self::create_new`].
    pub fn append_new(path: &Path) -> io::Result<Self> {
        Self::open(path, true, OpenOptions::new().read(true).append(true).create_new(true))
    }

    /// A file that is there, to write to its end as [`Self::append_new`].
    ///
    /// # Errors
    /// The system's.
    pub fn append(path: &Path) -> io::Result<Self> {
        Self::open(path, true, OpenOptions::new().read(true).append(true))
    }

    /// The file of that name, made where it is missing, to write at any place.
    ///
    /// # Errors
    /// The system's.
    pub fn update(path: &Path) -> io::Result<Self> {
        Self::open(path, false, OpenOptions::new().read(true).write(true).create(true))
    }

    fn open(path: &Path, append: bool, how: &mut OpenOptions) -> io::Result<Self> {
        static OPENED: AtomicU64 = AtomicU64::new(0);
        let id = OPENED.fetch_add(1, Ordering::Relaxed);
        Ok(Self { file: change(Change::Open { path, id }, || door::patiently(how, path))?, append, id })
    }

    /// Makes it `length` bytes long.
    ///
    /// # Errors
    /// The system's.
    pub fn set_len(&self, length: u64) -> io::Result<()> {
        change(Change::Length { id: self.id, length }, || self.file.set_len(length))
    }

    /// Returns once its content would outlive a power cut.
    ///
    /// # Errors
    /// The system's.
    pub fn sync(&self) -> io::Result<()> {
        change(Change::Sync { id: self.id }, || self.file.sync_data())
    }

    /// Another handle to it, which may sync from another thread.
    ///
    /// # Errors
    /// The system's.
    pub fn again(&self) -> io::Result<Self> {
        Ok(Self { file: self.file.try_clone()?, ..*self })
    }

    /// The file itself, to read, lock or ask about.
    pub fn file(&self) -> &File {
        &self.file
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Self { file, append, id } = self;
        change(Change::Write { id: *id, file, append: *append, bytes }, || (&*file).write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Out {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.file.read(into)
    }
}

impl Seek for Out {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// Gives `from` the name `to`, which it takes from whatever file had it.
///
/// # Errors
/// The system's.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    change(Change::Rename(from, to), || fs::rename(from, to))
}

/// Lets two names change what they stand for, at once; false where the system has no such call.
///
/// # Errors
/// The system's.
pub fn exchange(a: &Path, b: &Path) -> io::Result<bool> {
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    {
        use rustix::{
            fs::{CWD, RenameFlags, renameat_with},
            io::Errno,
        };
        let call = || Ok(renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE)?);
        match change(Change::Exchange(a, b), call) {
            Ok(()) => Ok(true),
            Err(e) => match Errno::from_io_error(&e) {
                Some(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => Ok(false),
                _ => Err(e),
            },
        }
    }
    #[cfg(not(any(target_os = "linux", target_os = "macos")))]
    {
        let _ = (a, b);
        Ok(false)
    }
}

/// Removes a file.
///
/// # Errors
/// The system's.
pub fn remove_file(path: &Path) -> io::Result<()> {
    change(Change::Remove(path), || fs::remove_file(path))
}

/// Removes a folder and all that is in it.
///
/// # Errors
/// The system's.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    change(Change::Remove(path), || fs::remove_dir_all(path))
}

/// Makes a folder that is not there yet.
///
/// # Errors
/// The system's; [`io::ErrorKind::AlreadyExists`] for anything of that name.
pub fn create_folder(path: &Path) -> io::Result<()> {
    change(Change::Folder(path), || fs::create_dir(path))
}

/// Makes a folder and those above it, where they are missing, to outlive a power cut.
///
/// # Errors
/// The system's.
pub fn create_folders(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let above = parent(path);
    if above != path {
        create_folders(above)?;
    }
    match create_folder(path) {
        // Another one was faster, or the path ends in `.` or `..`.
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists || !path.is_dir() => Err(e),
        _ => sync_folder(above),
    }
}

/// Makes `place` a link to `target`.
///
/// # Errors
/// The system's.
#[cfg(unix)]
pub fn link(target: &Path, place: &Path) -> io::Result<()> {
    change(Change::Link { target, place }, || std::os::unix::fs::symlink(target, place))
}

/// Returns once the names in a folder would outlive a power cut. Only Unix has folders that can be synced; some network
/// file systems refuse, and nothing better is to be had there.
///
/// # Errors
/// The system's, such as a failing disk.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        match change(Change::SyncFolder(path), || File::open(path)?.sync_all()) {
            Err(e) if !matches!(e.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Err(e),
            _ => Ok(()),
        }
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        Ok(())
    }
}

/// Returns once everything below a folder would outlive a power cut, the folder's own name aside.
///
/// # Errors
/// The system's.
pub fn sync_tree(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let (entry, kind) = entry.and_then(|e| e.file_type().map(|kind| (e.path(), kind)))?;
        if kind.is_dir() {
            sync_tree(&entry)?;
        } else if kind.is_file() {
            change(Change::SyncFile(&entry), || File::open(&entry)?.sync_data())?;
        }
    }
    sync_folder(path)
}

/// The folder that a path lies in.
pub fn parent(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A name beside `path` that nobody has: that of a file or folder on its way to another name. It is recognised by
/// [`is_temporary`].
pub fn temporary_beside(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_nanos());
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    parent(path).join(format!("{TEMPORARY}{:x}-{now:x}-{count:x}", std::process::id()))
}

const TEMPORARY: &str = ".protostill-tmp-";

/// Whether a name is one that [`temporary_beside`] makes.
pub fn is_temporary(name: &str) -> bool {
    let hex = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_hexdigit());
    name.strip_prefix(TEMPORARY).is_some_and(|rest| rest.split('-').count() == 3 && rest.split('-').all(hex))
}
