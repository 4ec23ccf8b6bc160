//! Every decision as a line of JSON, with the kernel before anything follows from it and on disk a moment later: a crash or
//! a dropped link loses nothing that was decided, a power cut at most what was decided in that moment.

use crate::{
    app::Entry,
    caught::lock,
    config::Config,
    door,
    error::{Error, Result},
    fsio::{
        disk::{self, Out},
        own_folder,
    },
};
use serde::{Deserialize, Serialize};
use std::{
    fs::TryLockError,
    io::Write,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, mpsc},
    thread::{self, JoinHandle},
};

/// The first line: what the decisions were made about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Version of the program.
    pub protostill: String,
    /// The configuration that the decisions are laid over.
    pub config: Config,
}

/// What a journal holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// Its first line.
    pub header: Header,
    /// Its other lines, as far as they can be read.
    pub entries: Vec<Entry>,
    /// What is wrong with those that cannot, each with its number.
    pub broken: Vec<String>,
}

/// A journal being written. It is locked: a second explorer is told so, and reads at most.
pub struct Journal {
    path: PathBuf,
    out: Out,
    /// Lines that the disk has not taken yet.
    owed: Vec<u8>,
    /// Where the whole lines end, after a write that failed half way.
    torn: Option<u64>,
    /// Wakes the thread that syncs to disk, so that a slow disk delays no key.
    sync: Option<mpsc::Sender<()>>,
    syncing: Option<JoinHandle<()>>,
    told: Told,
}

/// Who hears of a disk that cannot sync.
type Told = Arc<Mutex<Option<Box<dyn Fn(Error) + Send>>>>;

impl Journal {
    /// Starts a new journal.
    ///
    /// # Errors
    /// [`Error::Io`] naming `path`, also if it exists already.
    pub fn create(path: &Path, config: &Config) -> Result<Self> {
        let dir = disk::parent(path);
        disk::create_folders(dir).map_err(Error::io(dir))?;
        let out = Out::append_new(path).map_err(Error::io(path))?;
        let mut journal = Self::over(path, out)?;
        let header = Header { protostill: env!("CARGO_PKG_VERSION").to_owned(), config: config.clone() };
        journal.line(&header)?;
        disk::sync_folder(dir).map_err(Error::io(dir))?;
        Ok(journal)
    }

    /// Goes on with an existing one: what it holds, and the end to write to. A last line that was cut off while it was
    /// written is dropped.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Input`] if another explorer has it open, or its first line is not that of a journal.
    pub fn reopen(path: &Path) -> Result<(Held, Self)> {
        let out = Out::append(path).map_err(Error::io(path))?;
        let journal = Self::over(path, out)?;
        let (held, whole) = parse(path, &journal.bytes()?)?;
        if journal.length()? > whole {
            journal.out.set_len(whole).map_err(Error::io(path))?;
        }
        Ok((held, journal))
    }

    fn over(path: &Path, out: Out) -> Result<Self> {
        if let Err(TryLockError::WouldBlock) = out.file().try_lock() {
            let message = "is open in another explorer, which may be on a link that was lost";
            let way = "close that one (it keeps every decision), or look at what it holds with `protostill replay`";
            return Err(Error::input(path, message).or(way));
        }
        let (sync, asked) = mpsc::channel::<()>();
        let (synced, told) = (out.again().map_err(Error::io(path))?, Told::default());
        let (tell, place) = (told.clone(), path.to_owned());
        let work = move || {
            while asked.recv().is_ok() {
                while asked.try_recv().is_ok() {}
                let done = synced.sync().map_err(Error::io(&place));
                if let (Err(e), Some(tell)) = (done, &*lock(&tell)) {
                    tell(e);
                }
            }
        };
        let syncing = thread::Builder::new().name("journal".into()).spawn(work).map_err(Error::io(path))?;
        let (sync, syncing) = (Some(sync), Some(syncing));
        Ok(Self { path: path.to_owned(), out, owed: Vec::new(), torn: None, sync, syncing, told })
    }

    /// Whom to tell if the disk fails later to sync what it took.
    pub fn on_failure(&self, tell: impl Fn(Error) + Send + 'static) {
        *lock(&self.told) = Some(Box::new(tell));
    }

    /// Appends an entry. It outlives a killed process at once, and a power cut a moment later.
    ///
    /// # Errors
    /// [`Error::Io`] if the disk is full or gone: the entry is kept in memory, and written with the next one.
    pub fn append(&mut self, entry: &Entry) -> Result<()> {
        self.line(entry)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn line(&mut self, value: &impl Serialize) -> Result<()> {
        let line = serde_json::to_vec(value).map_err(|e| Error::input(&self.path, e.to_string()))?;
        self.owed.extend(line);
        self.owed.push(b'\n');
        self.settle()
    }

    /// Writes what is owed, as a whole or not at all.
    fn settle(&mut self) -> Result<()> {
        if let Some(whole) = self.torn {
            self.out.set_len(whole).map_err(Error::io(&self.path))?;
            self.torn = None;
        }
        let whole = self.length()?;
        if let Err(e) = self.out.write_all(&self.owed) {
            self.torn = self.out.set_len(whole).is_err().then_some(whole);
            return Err(Error::io(&self.path)(e));
        }
        self.owed.clear();
        if let Some(sync) = &self.sync {
            let _ = sync.send(());
        }
        Ok(())
    }

    fn length(&self) -> Result<u64> {
        Ok(self.out.file().metadata().map_err(Error::io(&self.path))?.len())
    }

    fn bytes(&self) -> Result<Vec<u8>> {
        door::whole(self.out.file(), door::TABLE).map_err(Error::io(&self.path))
    }
}

impl Drop for Journal {
    /// Waits for the last sync.
    fn drop(&mut self) {
        if !self.owed.is_empty() {
            let _ = self.settle();
        }
        self.sync = None;
        let _ = self.syncing.take().map(JoinHandle::join);
    }
}

/// What a journal holds, without touching it.
///
/// # Errors
/// As [`Journal::reopen`], whoever has it open.
pub fn read(path: &Path) -> Result<Held> {
    let bytes = door::read(path, door::TABLE).map_err(Error::io(path))?;
    parse(path, &bytes).map(|(held, _)| held)
}

/// What the whole lines hold, and their length. A line that cannot be read costs itself: what was decided before and after
/// it stays.
fn parse(path: &Path, bytes: &[u8]) -> Result<(Held, u64)> {
    let whole = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |i| i + 1);
    let mut lines = bytes[..whole].split_inclusive(|&b| b == b'\n').enumerate();
    let Some((_, first)) = lines.next() else {
        return Err(Error::input(path, "line 1: not a session of protostill: no complete line"));
    };
    let wrong = |e: serde_json::Error| Error::input(path, format!("line 1: not a session of protostill: {e}"));
    let mut header: Header = serde_json::from_slice(first).map_err(wrong)?;
    header.config = header.config.checked().map_err(|e| Error::input(path, format!("line 1: {e}")))?;
    let mut held = Held { header, entries: Vec::new(), broken: Vec::new() };
    for (n, line) in lines {
        let entry = serde_json::from_slice::<Entry>(line).map_err(|e| e.to_string());
        match entry.and_then(|entry| entry.check().map(|()| entry)) {
            Ok(entry) => held.entries.push(entry),
            Err(why) => held.broken.push(format!("line {} of the session is left out: {why}", n + 1)),
        }
    }
    Ok((held, whole as u64))
}

/// Where sessions, crash reports and copied words are kept: `$XDG_STATE_HOME/protostill`, or `~/.local/state/protostill`.
///
/// # Errors
/// [`Error::Setting`] if the environment names no home.
pub fn state_folder() -> Result<PathBuf> {
    own_folder("XDG_STATE_HOME", ".local/state")
        .ok_or_else(|| Error::setting("HOME", "is not set").or("name a file with --session"))
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
    use crate::{
        app::Decision,
        fsio::crash::{Kept, Recorder},
    };

    fn written(entries: &[Entry]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/s.jsonl");
        let mut journal = Journal::create(&path, &Config::load(None).unwrap()).unwrap();
        entries.iter().for_each(|e| journal.append(e).unwrap());
        (dir, path)
    }

    fn some() -> [Entry; 3] {
        [
            Entry::Do(Decision::set("cluster.prototypes", 20)),
            Entry::Undo,
            Entry::Do(Decision::Hand { row: 7, keep: Some(false) }),
        ]
    }

    fn entries(path: &Path) -> Vec<Entry> {
        read(path).unwrap().entries
    }

    #[test]
    fn what_was_appended_is_read_back() {
        let (_dir, path) = written(&some());
        let held = read(&path).unwrap();
        assert_eq!(held.header.config, Config::load(None).unwrap());
        assert_eq!((held.entries, held.broken), (some().to_vec(), vec![]));
    }

    #[test]
    fn a_torn_last_line_is_dropped_and_writing_goes_on_behind_the_whole_ones() {
        let words = |text: &str| Entry::Do(Decision::Prefix(text.into()));
        let (_dir, path) = written(&[Entry::Undo, words("चित्र 🖼")]);
        let whole = std::fs::read(&path).unwrap();
        for cut in 1..24 {
            // Inside a letter of several bytes too.
            std::fs::write(&path, &whole[..whole.len() - cut]).unwrap();
            let (held, mut journal) = Journal::reopen(&path).unwrap();
            assert_eq!(held.entries, [Entry::Undo], "{cut} bytes lost");
            journal.append(&Entry::Redo).unwrap();
            assert_eq!(entries(&path), [Entry::Undo, Entry::Redo]);
        }
    }

    #[test]
    fn a_line_that_cannot_be_read_costs_that_line_and_is_named() {
        let (_dir, path) = written(&some());
        let data = b"{\"data\":{\"name\":\"x\",\"rows\":\"2a\"}}";
        let far =
            [&b"{\"do\":{\"prune\":1.5}}"[..], b"{\"do\":{\"prototypes\":0}}", b"{\"do\":{\"encoders\":[]}}", data];
        let torn = [&b"\"explode\""[..], b"{\"do\":{\"prefix\":\"\xff\"}}", b"{\"do\":{\"proto", b"\0\0\0", b""];
        for broken in torn.into_iter().chain(far) {
            let bytes = std::fs::read(written(&some()).1).unwrap();
            let lines: Vec<&[u8]> = bytes.split(|&b| b == b'\n').collect();
            std::fs::write(&path, [lines[0], lines[1], broken, lines[3], b""].join(&b'\n')).unwrap();
            let (held, _) = Journal::reopen(&path).unwrap();
            assert_eq!(held.entries, [some()[0].clone(), some()[2].clone()]);
            assert!(held.broken.len() == 1 && held.broken[0].starts_with("line 3 "), "{:?}", held.broken);
        }
    }

    #[test]
    fn another_session_is_never_overwritten() {
        let (_dir, path) = written(&[]);
        assert!(Journal::create(&path, &Config::load(None).unwrap()).is_err());
    }

    #[test]
    fn of_two_explorers_on_one_session_the_second_is_told_and_no_decision_is_lost() {
        let (_dir, path) = written(&some());
        let (_, mut first) = Journal::reopen(&path).unwrap();
        assert!(Journal::reopen(&path).err().unwrap().to_string().contains("open in another explorer"));
        // One that knows no locks: whoever writes, writes to the end.
        let line = b"\"redo\"\n";
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(line).unwrap();
        first.append(&Entry::Undo).unwrap();
        assert_eq!(entries(&path), [&some()[..], &[Entry::Redo, Entry::Undo]].concat());
        drop(first);
        Journal::reopen(&path).unwrap();
    }

    #[test]
    fn a_disk_that_was_full_for_a_moment_loses_no_decision() {
        let config = Config::load(None).unwrap();
        for (call, ever) in (0..16).flat_map(|call| [(call, false), (call, true)]) {
            let disk = Recorder::over(|_| {});
            let path = disk.root().join("s.jsonl");
            disk.fail(call, ever);
            let Ok(mut journal) = Journal::create(&path, &config) else { continue };
            let failed = some().iter().filter(|e| journal.append(e).is_err()).count();
            disk.heal();
            journal.append(&Entry::Redo).unwrap();
            drop(journal);
            let (held, _) = Journal::reopen(&path).unwrap();
            let all = [&some()[..], &[Entry::Redo]].concat();
            assert_eq!((held.entries, held.broken), (all, vec![]), "call {call}: {failed} failed");
        }
    }

    #[test]
    fn no_crash_makes_a_session_unreadable_or_takes_what_was_on_disk() {
        let config = Config::load(None).unwrap();
        let disk = Recorder::over(|_| {});
        let path = disk.root().join("deep/s.jsonl");
        let all = [&some()[..], &some()].concat();
        for (n, entry) in all.iter().enumerate() {
            let mut journal = match n {
                0 => Journal::create(&path, &config).unwrap(),
                _ => Journal::reopen(&path).unwrap().1,
            };
            journal.append(entry).unwrap();
            disk.promise(Kept::Killed, n + 1);
            drop(journal);
            disk.promise(Kept::PowerCut, n + 1);
        }
        let (calls, states) = disk.states(|root, promised| {
            let path = root.join("deep/s.jsonl");
            match Journal::reopen(&path) {
                Ok((held, _)) => {
                    assert!(held.entries.len() >= promised && held.broken.is_empty());
                    assert_eq!(held.entries, all[..held.entries.len()]);
                }
                Err(e) => assert_eq!(promised, 0, "{e}"),
            }
        });
        assert!(calls > 20 && states > 400, "{calls} calls, {states} states");
    }

    #[test]
    fn a_disk_that_cannot_sync_is_told_of() {
        let disk = Recorder::over(|_| {});
        let path = disk.root().join("s.jsonl");
        drop(Journal::create(&path, &Config::load(None).unwrap()).unwrap());
        let mut journal = Journal::reopen(&path).unwrap().1;
        let (tell, told) = mpsc::channel();
        journal.on_failure(move |e| tell.send(e.to_string()).unwrap());
        // The write succeeds, its sync does not.
        disk.fail(disk.asked() + 1, true);
        journal.append(&Entry::Undo).unwrap();
        assert!(told.recv().unwrap().contains("s.jsonl"));
    }
}
