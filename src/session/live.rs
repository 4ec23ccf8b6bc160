//! A session that is at work can be looked at from elsewhere: whoever owns it tells what it does through a socket that only
//! the same user can open, in the lines of `--progress json`, and may be asked to end.

use crate::{
    caught::lock,
    error::{Error, Result},
    fingerprint::Fingerprint,
    journal::state_folder,
    pipeline::Report,
};
use serde_json::json;
use std::{
    fs::{DirBuilder, Permissions, set_permissions},
    io::{self, BufRead, BufReader, Write},
    os::unix::{
        fs::{DirBuilderExt, PermissionsExt},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    sync::{Arc, Mutex, Weak},
    thread,
    time::{Duration, Instant},
};

/// What a viewer writes who wants the session.
pub const END: &str = "end";
/// How long a viewer may keep the owner waiting; then it is let go.
const PATIENCE: Duration = Duration::from_millis(50);
/// Between two lines about the same stage.
const GAP: Duration = Duration::from_millis(50);

/// Where the socket of a session is: in the state folder, named by the session's place.
///
/// # Errors
/// [`Error::Io`] if there is no such session, [`Error::Setting`] without a home.
pub fn place(journal: &Path) -> Result<PathBuf> {
    let whole = std::fs::canonicalize(journal).map_err(Error::io(journal))?;
    let name = Fingerprint::of_bytes(whole.as_os_str().as_encoded_bytes());
    Ok(state_folder()?.join("live").join(name.short()))
}

/// What the owner tells.
pub struct Live {
    shown: Arc<Mutex<Shown>>,
    place: PathBuf,
}

#[derive(Default)]
struct Shown {
    viewers: Vec<UnixStream>,
    /// Jobs that are not over, the one at work first.
    jobs: Vec<(u64, String)>,
    /// The last line about the one at work.
    step: Option<String>,
    told: Option<Instant>,
}

impl Live {
    /// Lets others look on; `asked` is called when one wants the session. The journal must be locked already: a socket that
    /// lies there is nobody's any more.
    ///
    /// # Errors
    /// [`Error::Io`] where no socket can be, [`Error::Setting`] without a home.
    pub fn open(journal: &Path, asked: impl Fn() + Send + Sync + 'static) -> Result<Self> {
        let place = place(journal)?;
        let listener = listen(&place).map_err(Error::io(&place))?;
        let shown = Arc::new(Mutex::new(Shown::default()));
        let (weak, asked) = (Arc::downgrade(&shown), Arc::new(asked));
        let accept = move || {
            for viewer in listener.incoming() {
                let Some(shown) = weak.upgrade() else { return };
                // One that leaves at once is no reason to stop.
                let _ = viewer.and_then(|viewer| welcome(&shown, viewer, asked.clone()));
            }
        };
        thread::Builder::new().name("live".into()).spawn(accept).map_err(Error::io(&place))?;
        Ok(Self { shown, place })
    }

    /// For what works on other threads.
    pub fn teller(&self) -> Teller {
        Teller(Arc::downgrade(&self.shown))
    }

    /// The last word: what is left undone, for whoever goes on with it.
    pub fn bequeath(&self, lines: &[String]) {
        lock(&self.shown).send(&json!({ "left": lines }).to_string());
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.place);
        let shown = lock(&self.shown);
        // What was written is still read.
        shown.viewers.iter().for_each(|viewer| drop(viewer.shutdown(std::net::Shutdown::Write)));
    }
}

/// Tells about jobs for as long as anybody may look on.
#[derive(Clone)]
pub struct Teller(Weak<Mutex<Shown>>);

impl Teller {
    /// A job was asked for.
    pub fn begin(&self, id: u64, title: String) {
        self.with(|shown| {
            shown.jobs.push((id, title));
            shown.send(&shown.titles());
        });
    }

    /// A job is over.
    pub fn end(&self, id: u64) {
        self.with(|shown| {
            let first = shown.jobs.first().is_some_and(|(n, _)| *n == id);
            shown.jobs.retain(|(n, _)| *n != id);
            if first {
                shown.step = None;
            }
            shown.send(&shown.titles());
        });
    }

    /// How far a job is, as `--progress json` says it; not every number of every series, which would flood who looks on.
    pub fn report(&self, report: &Report) {
        let Report::Step { done, total, .. } = report else { return };
        self.with(|shown| {
            if done < total && shown.told.is_some_and(|at| at.elapsed() < GAP) {
                return;
            }
            let Some(line) = report.json().map(|value| value.to_string()) else { return };
            shown.send(&line);
            (shown.step, shown.told) = (Some(line), Some(Instant::now()));
        });
    }

    fn with(&self, tell: impl FnOnce(&mut Shown)) {
        if let Some(shown) = self.0.upgrade() {
            tell(&mut lock(&shown));
        }
    }
}

impl Shown {
    fn titles(&self) -> String {
        json!({ "jobs": self.jobs.iter().map(|(_, title)| title).collect::<Vec<_>>() }).to_string()
    }

    fn send(&mut self, line: &str) {
        self.viewers.retain_mut(|viewer| {
            let heard = writeln!(viewer, "{line}").is_ok();
            if !heard {
                // It notices, and comes again.
                let _ = viewer.shutdown(std::net::Shutdown::Both);
            }
            heard
        });
    }
}

/// A socket in a folder that nobody else can enter.
fn listen(place: &Path) -> io::Result<UnixListener> {
    let folder = place.parent().unwrap_or(place);
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    set_permissions(folder, Permissions::from_mode(0o700))?;
    match std::fs::remove_file(place) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let listener = UnixListener::bind(place)?;
    set_permissions(place, Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Tells a viewer how things stand, and listens to it.
fn welcome(
    shown: &Arc<Mutex<Shown>>,
    viewer: UnixStream,
    asked: Arc<impl Fn() + Send + Sync + 'static>,
) -> io::Result<()> {
    viewer.set_write_timeout(Some(PATIENCE))?;
    let (mut to, from) = (viewer.try_clone()?, BufReader::new(viewer));
    let mut shown = lock(shown);
    writeln!(to, "{}", shown.titles())?;
    if let Some(step) = &shown.step {
        writeln!(to, "{step}")?;
    }
    shown.viewers.push(to);
    let hear = move || {
        let lines = from.lines().map_while(std::result::Result::ok);
        lines.filter(|line| line == END).for_each(|_| asked());
    };
    thread::Builder::new().name("viewer".into()).spawn(hear).map(drop)
}
