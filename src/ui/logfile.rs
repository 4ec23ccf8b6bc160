//! The log on disk, beside the session's journal: what the log pane shows outlives the screen.

use crate::{
    app::{Level, State},
    fsio::{disk::Out, printable},
};
use std::{
    fs,
    io::{self, Read, Write},
    path::Path,
};

/// What a log begins with: a file that does not is somebody else's.
const FIRST: &str = "protostill ";

/// A log being written.
pub struct LogFile {
    out: Out,
    /// Lines written so far.
    written: u64,
}

impl LogFile {
    /// Appends to `SESSION.jsonl.log` next to the journal `SESSION.jsonl`, or to `SESSION.jsonl.2.log` and so on if somebody
    /// else has a file of that name.
    ///
    /// # Errors
    /// The system's, as when the folder is read-only.
    pub fn beside(journal: &Path) -> io::Result<Self> {
        let names = (1..).map(|n| if n == 1 { "log".to_owned() } else { format!("{n}.log") });
        let mut paths = names.map(|ending| journal.with_added_extension(ending));
        let path = paths.find(|path| is_free(path)).ok_or(io::ErrorKind::AlreadyExists)?;
        let mut out = match Out::append_new(&path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Out::append(&path)?,
            opened => opened?,
        };
        writeln!(out, "{FIRST}{}", env!("CARGO_PKG_VERSION"))?;
        Ok(Self { out, written: 0 })
    }
    /// Writes the lines that are new. A log is no reason to stop: a full disk says so where decisions are written.
    pub fn follow(&mut self, state: &State) {
        let new = state.said.saturating_sub(std::mem::replace(&mut self.written, state.said));
        let skip = state.log.len().saturating_sub(new as usize);
        for line in state.log.iter().skip(skip) {
            let level = match line.level {
                Level::Info | Level::Notice => "info",
                Level::Warning => "warning",
                Level::Error => "error",
            };
            let line = format!("{:9.3}  {level:<7}  {}\n", line.at as f64 / 1000.0, printable(&line.text));
            let _ = self.out.write_all(line.as_bytes());
        }
    }
}

/// Whether nobody has a file of this name, or it is a log of ours.
fn is_free(path: &Path) -> bool {
    let Ok(about) = fs::symlink_metadata(path) else { return true };
    let mut first = [0; FIRST.len()];
    about.is_file()
        && fs::File::open(path).and_then(|mut file| file.read_exact(&mut first)).is_ok()
        && first == *FIRST.as_bytes()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{app::Event, config::Config, session};

    #[test]
    fn every_line_is_written_once_and_harmlessly() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = LogFile::beside(&dir.path().join("s.jsonl")).unwrap();
        let mut state = State::new(session::draft(&Config::load(None).unwrap()));
        for text in ["one", "two \u{1b}[2J"] {
            state.handle(Event::Log(Level::Warning, text.into()));
        }
        log.follow(&state);
        state.handle(Event::Log(Level::Info, "three".into()));
        log.follow(&state);
        log.follow(&state);
        let text = std::fs::read_to_string(dir.path().join("s.jsonl.log")).unwrap();
        assert_eq!(text.lines().skip(1).count(), 3, "{text}");
        assert!(text.contains("warning  two") && !text.contains('\u{1b}'));
    }

    #[test]
    fn a_log_takes_no_name_that_anybody_else_has() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let theirs = ["notes.log", "notes.jsonl.log", "x.log"];
        theirs.iter().for_each(|name| std::fs::write(at(name), "mine").unwrap());
        LogFile::beside(&at("notes.jsonl")).unwrap();
        LogFile::beside(&at("notes.jsonl")).unwrap();
        LogFile::beside(&at("x.log")).unwrap();
        theirs.iter().for_each(|name| assert_eq!(std::fs::read(at(name)).unwrap(), b"mine", "{name}"));
        assert_eq!(std::fs::read_to_string(at("notes.jsonl.2.log")).unwrap().lines().count(), 2);
        assert!(at("x.log.log").exists());
    }
}
