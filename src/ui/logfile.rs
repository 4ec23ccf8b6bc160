//! The log on disk, beside the session's journal: what the log pane shows outlives the screen.

use crate::{
    app::{Level, State},
    fsio::printable,
};
use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::Path,
};

/// A log being written.
pub struct LogFile {
    file: File,
    /// Lines written so far.
    written: u64,
}

impl LogFile {
    /// Appends to `SESSION.log` next to the journal `SESSION.jsonl`.
    ///
    /// # Errors
    /// The system's, as when the folder is read-only.
    pub fn beside(journal: &Path) -> std::io::Result<Self> {
        let path = journal.with_extension("log");
        let mut file = OpenOptions::new().append(true).create(true).open(path)?;
        writeln!(file, "protostill {}", env!("CARGO_PKG_VERSION"))?;
        Ok(Self { file, written: 0 })
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
            let _ = writeln!(self.file, "{:9.3}  {level:<7}  {}", line.at as f64 / 1000.0, printable(&line.text));
        }
    }
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
        let text = std::fs::read_to_string(dir.path().join("s.log")).unwrap();
        assert_eq!(text.lines().skip(1).count(), 3, "{text}");
        assert!(text.contains("warning  two") && !text.contains('\u{1b}'));
    }
}
