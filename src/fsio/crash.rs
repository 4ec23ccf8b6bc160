//! A disk that remembers: what was asked of it below one folder, and what a crash at any moment may leave there.
//!
//! The model is POSIX's promise and no more: a killed process loses nothing that the kernel took; a power cut keeps a file's
//! content as of its last sync and a folder's names as of that folder's; names may survive the content they stand for;
//! the write under way is torn anywhere.

use super::disk::Change;
use crate::caught::lock;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Seek, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

/// A change as it was carried out.
#[derive(Clone, Debug)]
enum Done {
    Open(PathBuf, u64),
    Write {
        id: u64,
        at: usize,
        bytes: Vec<u8>,
    },
    Length(u64, usize),
    Sync(u64),
    Rename(PathBuf, PathBuf),
    Exchange(PathBuf, PathBuf),
    Remove(PathBuf),
    Folder(PathBuf),
    Link(PathBuf, PathBuf),
    SyncFolder(PathBuf),
    SyncFile(PathBuf),
    /// From here on, what a promise holds for: see [`Recorder::promise`].
    Promise(Kept, usize),
}

/// What a promise outlives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kept {
    /// A killed process.
    Killed,
    /// A power cut too.
    PowerCut,
}

#[derive(Default)]
struct Log {
    done: Vec<Done>,
    ids: Vec<u64>,
    /// Calls asked for so far, and the one from which on they fail; the first alone, or all.
    asked: usize,
    fails: Option<(usize, bool)>,
}

/// Watches a folder.
#[derive(Clone)]
pub struct Recorder {
    root: Arc<tempfile::TempDir>,
    base: Arc<Tree>,
    log: Arc<Mutex<Log>>,
}

static WATCHED: Mutex<Vec<(PathBuf, Arc<Mutex<Log>>)>> = Mutex::new(Vec::new());

/// Carries out a change, unless it is to fail; remembers it, if it lies in a folder that is watched.
pub(super) fn change<T>(what: Change<'_>, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let Some(log) = watching(&what) else { return act() };
    let mut log = lock(&log);
    log.asked += 1;
    let fails = log.fails.is_some_and(|(at, ever)| log.asked - 1 == at || (ever && log.asked > at));
    // Asked before the write moves it.
    let at = match &what {
        Change::Write { file, append: true, .. } => file.metadata()?.len() as usize,
        Change::Write { file, .. } => (&**file).stream_position()? as usize,
        _ => 0,
    };
    let first = log.fails.is_some_and(|(at, _)| log.asked - 1 == at);
    if fails {
        // A full disk takes a part.
        if let (Change::Write { id, file, bytes, .. }, true) = (&what, first) {
            let half = &bytes[..bytes.len() / 2];
            (&**file).write_all(half)?;
            log.done.push(Done::Write { id: *id, at, bytes: half.to_owned() });
        }
        return Err(io::Error::from_raw_os_error(28)); // ENOSPC
    }
    let done = act()?;
    if let Change::Open { id, .. } = what {
        log.ids.push(id);
    }
    log.done.push(owned(&what, at));
    Ok(done)
}

fn owned(what: &Change<'_>, at: usize) -> Done {
    match *what {
        Change::Open { path, id } => Done::Open(path.to_owned(), id),
        Change::Write { id, bytes, .. } => Done::Write { id, at, bytes: bytes.to_owned() },
        Change::Length { id, length } => Done::Length(id, length as usize),
        Change::Sync { id } => Done::Sync(id),
        Change::Rename(a, b) => Done::Rename(a.to_owned(), b.to_owned()),
        Change::Exchange(a, b) => Done::Exchange(a.to_owned(), b.to_owned()),
        Change::Remove(path) => Done::Remove(path.to_owned()),
        Change::Folder(path) => Done::Folder(path.to_owned()),
        Change::Link { target, place } => Done::Link(target.to_owned(), place.to_owned()),
        Change::SyncFolder(path) => Done::SyncFolder(path.to_owned()),
        Change::SyncFile(path) => Done::SyncFile(path.to_owned()),
    }
}

/// The log of whoever watches where a change happens.
fn watching(what: &Change<'_>) -> Option<Arc<Mutex<Log>>> {
    let all = lock(&WATCHED);
    let by_id = |id: &u64| all.iter().find(|(_, log)| lock(log).ids.contains(id)).map(|(_, log)| log.clone());
    let path = match what {
        Change::Write { id, .. } | Change::Length { id, .. } | Change::Sync { id } => return by_id(id),
        Change::Open { path, .. } | Change::Rename(path, _) | Change::Exchange(path, _) | Change::Remove(path) => path,
        Change::Folder(path) | Change::SyncFolder(path) | Change::SyncFile(path) => path,
        Change::Link { place, .. } => place,
    };
    all.iter().find(|(root, _)| path.starts_with(root)).map(|(_, log)| log.clone())
}

impl Recorder {
    /// Watches a new folder in which `before` has written what counts as long on disk.
    pub fn over(before: impl FnOnce(&Path)) -> Self {
        let root = tempfile::tempdir().expect("a folder to test in");
        before(root.path());
        let base = Tree::of(root.path());
        let log = Arc::<Mutex<Log>>::default();
        lock(&WATCHED).push((root.path().to_owned(), log.clone()));
        Self { root: Arc::new(root), base: Arc::new(base), log }
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// The call of this number fails, half done if it writes; with `ever` all that follow fail as well, as if the process
    /// had been killed.
    pub fn fail(&self, at: usize, ever: bool) {
        lock(&self.log).fails = Some((at, ever));
    }

    /// From now on no call fails.
    pub fn heal(&self) {
        lock(&self.log).fails = None;
    }

    /// Calls asked for so far.
    pub fn asked(&self) -> usize {
        lock(&self.log).asked
    }

    /// From now on `n` (of whatever the test counts) outlives such a crash.
    pub fn promise(&self, kept: Kept, n: usize) {
        lock(&self.log).done.push(Done::Promise(kept, n));
    }

    /// Shows `check` every state that a crash may leave, as a folder, with the number promised for it; says how many calls
    /// and states there were. A line is torn at each byte, a picture at a sample.
    pub fn states(&self, check: impl Fn(&Path, usize)) -> (usize, usize) {
        self.states_torn(200, check)
    }

    /// The same with every write torn at `most` places about.
    pub fn states_torn(&self, most: usize, check: impl Fn(&Path, usize)) -> (usize, usize) {
        let log = lock(&self.log).done.clone();
        let (mut tree, mut promised, mut states) = ((*self.base).clone(), BTreeMap::new(), 0);
        let mut show = |tree: &Tree, kept: Kept, promised: &BTreeMap<Kept, usize>, names: bool, content: bool| {
            let folder = tempfile::tempdir().expect("a folder to test in");
            tree.write(folder.path(), names, content);
            let at = |kept| promised.get(&kept).copied().unwrap_or(0);
            let n = if kept == Kept::Killed { at(Kept::Killed).max(at(Kept::PowerCut)) } else { at(Kept::PowerCut) };
            check(folder.path(), n);
            states += 1;
        };
        for next in log.iter().map(Some).chain([None]) {
            show(&tree, Kept::Killed, &promised, false, false);
            show(&tree, Kept::PowerCut, &promised, true, true);
            show(&tree, Kept::PowerCut, &promised, false, true);
            let Some(next) = next else { break };
            if let Done::Promise(kept, n) = next {
                promised.insert(*kept, *n);
            }
            if let Done::Write { id, at, bytes } = next {
                let step = (bytes.len() / most).max(1);
                for cut in (1..bytes.len()).step_by(step) {
                    let mut torn = tree.clone();
                    torn.apply(&Done::Write { id: *id, at: *at, bytes: bytes[..cut].to_owned() }, self.root());
                    show(&torn, Kept::Killed, &promised, false, false);
                }
            }
            tree.apply(next, self.root());
        }
        let calls = log.iter().filter(|d| !matches!(d, Done::Promise(..))).count();
        (calls, states)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if Arc::strong_count(&self.root) == 1 {
            lock(&WATCHED).retain(|(root, _)| root != self.root.path());
        }
    }
}

/// What a name stands for.
#[derive(Clone)]
enum Node {
    File(usize),
    Folder(usize),
    Link(PathBuf),
}

/// Something as it is, and as it was when it was synced last.
#[derive(Clone, Default)]
struct Synced<T> {
    now: T,
    disk: T,
}

/// Files and folders by number; folder 0 is the root.
#[derive(Clone, Default)]
struct Tree {
    files: Vec<Synced<Vec<u8>>>,
    folders: Vec<Synced<BTreeMap<String, Node>>>,
    open: BTreeMap<u64, usize>,
}

impl Tree {
    fn of(root: &Path) -> Self {
        let mut tree = Self::default();
        tree.read(root);
        tree
    }

    fn read(&mut self, folder: &Path) -> usize {
        let number = self.folders.len();
        self.folders.push(Synced::default());
        let mut names = BTreeMap::new();
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            let kind = entry.file_type().expect("a type");
            let node = if kind.is_symlink() {
                Node::Link(fs::read_link(&path).expect("a link"))
            } else if kind.is_dir() {
                Node::Folder(self.read(&path))
            } else {
                let bytes = fs::read(&path).expect("a file");
                self.files.push(Synced { now: bytes.clone(), disk: bytes });
                Node::File(self.files.len() - 1)
            };
            names.insert(entry.file_name().into_string().expect("a name"), node);
        }
        self.folders[number] = Synced { now: names.clone(), disk: names };
        number
    }

    /// The folder that `path` lies in, and its name there.
    fn place(&self, path: &Path, root: &Path) -> (usize, String) {
        let inside = path.strip_prefix(root).expect("a path in the folder that is watched");
        let mut names: Vec<_> = inside.iter().map(|n| n.to_string_lossy().into_owned()).collect();
        let last = names.pop().unwrap_or_default();
        let step = |at: usize, name: &String| match self.folders[at].now.get(name) {
            Some(Node::Folder(number)) => *number,
            _ => panic!("{name} of {} is no folder", path.display()),
        };
        (names.iter().fold(0, step), last)
    }

    fn node(&self, path: &Path, root: &Path) -> Option<Node> {
        let (folder, name) = self.place(path, root);
        if name.is_empty() { Some(Node::Folder(0)) } else { self.folders[folder].now.get(&name).cloned() }
    }

    fn put(&mut self, path: &Path, root: &Path, node: Option<Node>) {
        let (folder, name) = self.place(path, root);
        let names = &mut self.folders[folder].now;
        match node {
            Some(node) => drop(names.insert(name, node)),
            None => drop(names.remove(&name)),
        }
    }

    fn apply(&mut self, done: &Done, root: &Path) {
        match done {
            Done::Open(path, id) => {
                let number = match self.node(path, root) {
                    Some(Node::File(number)) => number,
                    _ => {
                        self.files.push(Synced::default());
                        self.put(path, root, Some(Node::File(self.files.len() - 1)));
                        self.files.len() - 1
                    }
                };
                self.open.insert(*id, number);
            }
            Done::Write { id, at, bytes } => {
                let file = &mut self.files[self.open[id]].now;
                file.resize(file.len().max(at + bytes.len()), 0);
                file[*at..at + bytes.len()].copy_from_slice(bytes);
            }
            Done::Length(id, length) => self.files[self.open[id]].now.resize(*length, 0),
            Done::Sync(id) => self.sync(self.open[id]),
            Done::SyncFile(path) => {
                if let Some(Node::File(number)) = self.node(path, root) {
                    self.sync(number);
                }
            }
            Done::SyncFolder(path) => {
                if let Some(Node::Folder(number)) = self.node(path, root) {
                    self.folders[number].disk = self.folders[number].now.clone();
                }
            }
            Done::Rename(from, to) => {
                let node = self.node(from, root);
                self.put(from, root, None);
                self.put(to, root, node);
            }
            Done::Exchange(a, b) => {
                let (one, other) = (self.node(a, root), self.node(b, root));
                self.put(a, root, other);
                self.put(b, root, one);
            }
            Done::Remove(path) => self.put(path, root, None),
            Done::Folder(path) => {
                self.folders.push(Synced::default());
                self.put(path, root, Some(Node::Folder(self.folders.len() - 1)));
            }
            Done::Link(target, place) => self.put(place, root, Some(Node::Link(target.clone()))),
            Done::Promise(..) => {}
        }
    }

    fn sync(&mut self, number: usize) {
        let file = &mut self.files[number];
        file.disk = file.now.clone();
    }

    /// Lays it out below `to`: names and contents as they are, or as they were synced.
    fn write(&self, to: &Path, names: bool, content: bool) {
        self.write_folder(0, to, names, content);
    }

    fn write_folder(&self, number: usize, to: &Path, names: bool, content: bool) {
        let pick = &self.folders[number];
        for (name, node) in if names { &pick.disk } else { &pick.now } {
            let at = to.join(name);
            match node {
                Node::Folder(inner) => {
                    fs::create_dir(&at).expect("a folder");
                    self.write_folder(*inner, &at, names, content);
                }
                Node::File(file) => {
                    let file = &self.files[*file];
                    File::create(&at)
                        .and_then(|mut f| f.write_all(if content { &file.disk } else { &file.now }))
                        .expect("a file");
                }
                #[cfg(unix)]
                Node::Link(target) => std::os::unix::fs::symlink(target, &at).expect("a link"),
                #[cfg(not(unix))]
                Node::Link(_) => {}
            }
        }
    }
}
