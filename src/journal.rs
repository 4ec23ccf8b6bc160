//! Every decision as a line of JSON, on disk before anything follows from it: a crash, a dropped link or a power cut
//! loses nothing that was decided.

use crate::{
    app::Entry,
    config::Config,
    error::{Error, Result},
};
use serde::{Deserialize, Serialize};
use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
};

/// The first line: what the decisions were made about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Version of the program.
    pub protostill: String,
    /// The configuration that the decisions are laid over.
    pub config: Config,
}

/// A journal being written.
pub struct Journal {
    path: PathBuf,
    file: File,
    /// Wakes the thread that syncs to disk, so that a slow disk delays no key.
    sync: mpsc::Sender<()>,
}

impl Journal {
    /// Starts a new journal.
    ///
    /// # Errors
    /// [`Error::Io`] naming `path`, also if it exists already.
    pub fn create(path: &Path, config: &Config) -> Result<Self> {
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir).map_err(Error::io(dir))?;
        }
        let file = OpenOptions::new().append(true).create_new(true).open(path).map_err(Error::io(path))?;
        let mut journal = Self::over(path, file)?;
        let header = Header { protostill: env!("CARGO_PKG_VERSION").to_owned(), config: config.clone() };
        journal.line(&header)?;
        Ok(journal)
    }

    /// Goes on with an existing one: what it holds, and the end to write to. A last line that was cut off while it was
    /// written is dropped.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Input`] naming the line that is not one of a journal.
    pub fn reopen(path: &Path) -> Result<(Header, Vec<Entry>, Self)> {
        let mut file = OpenOptions::new().read(true).write(true).open(path).map_err(Error::io(path))?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(Error::io(path))?;
        let (header, entries, whole) = parse(path, &text)?;
        file.set_len(whole as u64).map_err(Error::io(path))?;
        file.seek(SeekFrom::End(0)).map_err(Error::io(path))?;
        Ok((header, entries, Self::over(path, file)?))
    }

    fn over(path: &Path, file: File) -> Result<Self> {
        let (sync, asked) = mpsc::channel::<()>();
        let synced = file.try_clone().map_err(Error::io(path))?;
        thread::spawn(move || {
            while asked.recv().is_ok() {
                while asked.try_recv().is_ok() {}
                // The line is with the kernel already; a disk that cannot sync says so on the next write.
                let _ = synced.sync_data();
            }
        });
        Ok(Self { path: path.to_owned(), file, sync })
    }

    /// Appends an entry. It outlives a killed process at once, and a power cut a moment later.
    ///
    /// # Errors
    /// [`Error::Io`] if the disk is full or gone.
    pub fn append(&mut self, entry: &Entry) -> Result<()> {
        self.line(entry)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn line(&mut self, value: &impl Serialize) -> Result<()> {
        let mut line = serde_json::to_vec(value).map_err(|e| Error::input(&self.path, e.to_string()))?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(Error::io(&self.path))?;
        let _ = self.sync.send(());
        Ok(())
    }
}

/// What a journal holds, without touching it.
///
/// # Errors
/// As [`Journal::reopen`].
pub fn read(path: &Path) -> Result<(Header, Vec<Entry>)> {
    let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
    parse(path, &text).map(|(header, entries, _)| (header, entries))
}

/// Header, entries, and the length of the whole lines.
fn parse(path: &Path, text: &str) -> Result<(Header, Vec<Entry>, usize)> {
    let whole = text.rfind('\n').map_or(0, |i| i + 1);
    let mut lines = text[..whole].lines().enumerate();
    let bad = |line: usize, e: serde_json::Error| Error::input(path, format!("line {}: {e}", line + 1));
    let Some((_, first)) = lines.next() else {
        return Err(Error::input(path, "line 1: not a session of protostill: no complete line"));
    };
    let header = serde_json::from_str(first).map_err(|e| bad(0, e))?;
    let entries = lines.map(|(n, line)| serde_json::from_str(line).map_err(|e| bad(n, e)));
    Ok((header, entries.collect::<Result<_>>()?, whole))
}

/// Where sessions, crash reports and copied words are kept: `$XDG_STATE_HOME/protostill`, or `~/.local/state/protostill`.
///
/// # Errors
/// [`Error::Setting`] if the environment names no home.
pub fn state_folder() -> Result<PathBuf> {
    let from = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let state = from("XDG_STATE_HOME").filter(|p| p.is_absolute());
    let dir = state.or_else(|| from("HOME").map(|home| home.join(".local/state")));
    let dir = dir.ok_or_else(|| Error::setting("HOME", "is not set; name a file with --session"))?;
    Ok(dir.join("protostill"))
}

/// A name for a new journal: `$XDG_STATE_HOME/protostill/session-<seconds>-<process>.jsonl`.
///
/// # Errors
/// [`Error::Setting`] without a home directory.
pub fn fresh_path() -> Result<PathBuf> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs());
    Ok(state_folder()?.join(format!("session-{now}-{}.jsonl", std::process::id())))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::app::Decision;

    fn written(entries: &[Entry]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/s.jsonl");
        let mut journal = Journal::create(&path, &Config::load(None).unwrap()).unwrap();
        entries.iter().for_each(|e| journal.append(e).unwrap());
        (dir, path)
    }

    fn some() -> [Entry; 3] {
        [Entry::Do(Decision::Prototypes(20)), Entry::Undo, Entry::Do(Decision::Hand { row: 7, keep: Some(false) })]
    }

    #[test]
    fn what_was_appended_is_read_back() {
        let (_dir, path) = written(&some());
        let (header, entries) = read(&path).unwrap();
        assert_eq!(header.config, Config::load(None).unwrap());
        assert_eq!(entries, some());
    }

    #[test]
    fn a_torn_last_line_is_dropped_and_writing_goes_on_behind_the_whole_ones() {
        let (_dir, path) = written(&some());
        let whole = std::fs::read(&path).unwrap();
        for cut in 1..12 {
            std::fs::write(&path, &whole[..whole.len() - cut]).unwrap();
            let (_, entries, mut journal) = Journal::reopen(&path).unwrap();
            assert_eq!(entries, some()[..2], "{cut} bytes lost");
            journal.append(&Entry::Redo).unwrap();
            assert_eq!(read(&path).unwrap().1.last(), Some(&Entry::Redo));
        }
    }

    #[test]
    fn a_line_of_another_kind_is_named() {
        let (_dir, path) = written(&some());
        let text = std::fs::read_to_string(&path).unwrap().replace("\"undo\"", "\"explode\"");
        std::fs::write(&path, text).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("line 3"));
    }

    #[test]
    fn another_session_is_never_overwritten() {
        let (_dir, path) = written(&[]);
        assert!(Journal::create(&path, &Config::load(None).unwrap()).is_err());
    }
}
