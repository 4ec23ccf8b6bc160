//! Whose a session is: one process owns it and writes its journal, others look on and read it.

use super::{Sink, live::Live, watch::Watch};
use crate::{
    app::{Event, Level},
    error::Result,
    journal::{self, Journal},
};
use std::path::{Path, PathBuf};

/// How a session is opened.
pub enum Hold {
    /// By its owner.
    Own(Journal),
    /// By one who looks on, having read so many of its entries.
    Look(PathBuf, usize),
}

impl From<Journal> for Hold {
    fn from(journal: Journal) -> Self {
        Self::Own(journal)
    }
}

pub(super) enum Seat {
    Owner { journal: Journal, live: Option<Live> },
    Viewer { path: PathBuf, read: usize, length: u64, watch: Option<Watch> },
}

impl Seat {
    pub(super) fn new(hold: Hold, sink: &Sink) -> Self {
        match hold {
            Hold::Own(journal) => Self::owner(journal, sink),
            Hold::Look(path, read) => {
                let watch = watched(&path, sink);
                Self::Viewer { path, read, length: 0, watch }
            }
        }
    }

    fn owner(journal: Journal, sink: &Sink) -> Self {
        let tell = sink.clone();
        journal.on_failure(move |e| {
            tell(Event::Log(Level::Error, format!("the latest decisions may not be on disk: {e}")))
        });
        let ask = sink.clone();
        let live = Live::open(journal.path(), move || ask(Event::HandOver));
        if let Err(e) = &live {
            sink(Event::Log(Level::Info, format!("nobody can look on from elsewhere: {e}")));
        }
        Self::Owner { journal, live: live.ok() }
    }

    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Owner { journal, .. } => journal.path(),
            Self::Viewer { path, .. } => path,
        }
    }

    pub(super) fn live(&self) -> Option<&Live> {
        match self {
            Self::Owner { live, .. } => live.as_ref(),
            Self::Viewer { .. } => None,
        }
    }

    /// Asks the owner to end.
    pub(super) fn ask(&mut self) {
        if let Self::Viewer { watch: Some(watch), .. } = self {
            // An owner that is gone needs no asking.
            let _ = watch.ask();
        }
    }

    /// What the owner decided since the last time; once it is `gone` the session is taken.
    pub(super) fn follow(&mut self, gone: bool, sink: &Sink) -> Result<Vec<Event>> {
        let Self::Viewer { path, read, length, watch } = self else { return Ok(vec![]) };
        if gone {
            return match Journal::reopen(path) {
                Ok((held, journal)) => {
                    let new = held.entries.get(*read..).unwrap_or_default().to_vec();
                    *self = Self::owner(journal, sink);
                    Ok(vec![Event::Followed(new), Event::Owned])
                }
                // It has not let go yet, or another one was faster.
                Err(_) => {
                    *watch = watched(path, sink);
                    Ok(watch.iter().map(|_| Event::Elsewhere(crate::app::Told::Back)).collect())
                }
            };
        }
        let now = std::fs::metadata(&*path).map_or(*length, |about| about.len());
        if now == *length {
            return Ok(vec![]);
        }
        let entries = journal::read(path)?.entries;
        let new = entries.get(*read..).unwrap_or_default().to_vec();
        (*length, *read) = (now, entries.len());
        Ok(if new.is_empty() { vec![] } else { vec![Event::Followed(new)] })
    }
}

fn watched(path: &Path, sink: &Sink) -> Option<Watch> {
    Watch::open(path, sink.clone()).ok()
}
