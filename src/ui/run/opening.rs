//! What comes before the first frame: the session's journal, the tour's note, where log lines go.

use crate::{
    app::{Entry, Event, Level},
    config::Config,
    error::Result,
    journal::{self, Journal},
    session::{self, Hold},
};
use std::{
    io::Write,
    path::{Path, PathBuf},
};
use tokio::sync::mpsc;

/// A session as it stands.
pub struct Begun {
    /// Its settings.
    pub config: Config,
    /// What was decided in it.
    pub entries: Vec<Entry>,
    /// Lines that could not be read.
    pub broken: Vec<String>,
    /// Its journal, or where another process keeps it.
    pub hold: Hold,
}

/// Opens a session, or looks on where another process has it open; a new one if there is none.
///
/// # Errors
/// [`crate::error::Error::Input`] for a file that is no session, or that another process has open and does not let look on;
/// [`crate::error::Error::Io`].
pub fn begin(config: Config, session: Option<&Path>) -> Result<Begun> {
    match session {
        Some(path) if path.exists() => {
            let (held, hold) = match Journal::reopen(path) {
                Ok((held, journal)) => (held, Hold::Own(journal)),
                Err(_) if session::is_open(path) => {
                    let held = journal::read(path)?;
                    let read = held.entries.len();
                    (held, Hold::Look(path.to_owned(), read))
                }
                Err(e) => return Err(e),
            };
            let mut own = held.header.config;
            // How often one looks makes no set: it is the reader's, not the session's.
            own.synthesis.preview_every = config.synthesis.preview_every;
            Ok(Begun { config: own, entries: held.entries, broken: held.broken, hold })
        }
        given => {
            let path = given.map_or_else(journal::fresh_path, |path| Ok(path.to_owned()))?;
            let hold = Hold::Own(Journal::create(&path, &config)?);
            Ok(Begun { config, entries: Vec::new(), broken: Vec::new(), hold })
        }
    }
}

/// Notes that somebody was shown around; false if that was so before, or cannot be noted.
pub(super) fn toured() -> bool {
    let note = |folder: PathBuf| {
        let path = folder.join("toured");
        !path.exists() && std::fs::create_dir_all(&folder).is_ok() && crate::fsio::write_atomic(&path, b"").is_ok()
    };
    journal::state_folder().is_ok_and(note)
}

/// Library logs go to the log pane, never to the screen.
pub(super) fn log_to(sender: &mpsc::UnboundedSender<Event>) {
    struct Lines(mpsc::UnboundedSender<Event>);
    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let text = String::from_utf8_lossy(bytes).trim_end().to_owned();
            let _ = self.0.send(Event::Log(Level::Info, text));
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let sender = sender.clone();
    let subscriber = tracing_subscriber::fmt().with_env_filter(crate::log::filter()).with_ansi(false).without_time();
    // A test may have set one already.
    let _ = subscriber.with_writer(move || Lines(sender.clone())).try_init();
}
