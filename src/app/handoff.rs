//! Handing a set on: a page that shows it, or its upload to the hub, by the commands of those names.

use super::{
    asks::Modal,
    event::{Effect, Level, Work},
    job::Status,
    key::Key,
    model::HandOff,
    state::State,
};
use crate::fingerprint::Fingerprint;
use std::path::PathBuf;

impl State {
    /// Shows the set on a page of its own.
    pub(super) fn report(&mut self, file: &str) -> Vec<Effect> {
        let file = if file.is_empty() { "report.html" } else { file };
        self.hand_on(HandOff::Report(file.into()))
    }

    /// Asks what an upload would take along; the answer is shown before anything is uploaded.
    ///
    /// # Errors
    /// What is no name of a data set, in words.
    pub(super) fn push(&mut self, name: &str) -> Result<Vec<Effect>, String> {
        let whole = name.split_once('/').is_some_and(|(org, name)| !org.is_empty() && !name.is_empty());
        if !whole {
            return Err(format!("`{}` is not org/name", crate::fsio::printable(name)));
        }
        Ok(self.hand_on(HandOff::Preview(name.to_owned())))
    }

    fn hand_on(&mut self, to: HandOff) -> Vec<Effect> {
        let Some((set, mut effects)) = self.written() else { return vec![] };
        effects.push(self.spawn(Work::HandOff { set, to }));
        effects
    }

    /// The folder of the set on screen, which is written first if it was not; if it is not whole, that of the newest one.
    fn written(&mut self) -> Option<(PathBuf, Vec<Effect>)> {
        let now = self.set().filter(|_| !self.behind);
        let (same, newest) = (self.exported(now.as_ref()), self.exported(None));
        if let Some(dir) = same {
            return Some((dir, vec![]));
        }
        if let Some(dir) = newest.filter(|_| self.behind || !self.outdated().is_empty()) {
            self.say(Level::Notice, format!("the set on screen is not whole: {} instead", dir.display()));
            return Some((dir, vec![]));
        }
        let dir = format!("distilled-{}", now.as_ref().map_or("", |set| &set.as_str()[..8]));
        let effects = self.export(&dir);
        (!effects.is_empty()).then(|| (dir.into(), effects))
    }

    /// Where a set was written last, or will be; any set if none is named.
    fn exported(&self, which: Option<&Fingerprint>) -> Option<PathBuf> {
        let failed = |status: &Status| matches!(status, Status::Ended(o) if *o != super::event::Outcome::Done);
        self.jobs.iter().rev().filter(|j| !failed(&j.status)).find_map(|j| match &j.work {
            Work::Export { set, dir, .. } if which.is_none_or(|w| w == set) => Some(dir.clone()),
            _ => None,
        })
    }

    /// What a command said of a set.
    pub(super) fn take_answer(&mut self, set: PathBuf, to: HandOff, said: String) {
        match to {
            HandOff::Preview(name) if self.modal.is_none() => {
                self.modal = Some(Modal::Upload { set, name, said: said.lines().map(str::to_owned).collect() });
            }
            HandOff::Preview(name) => {
                self.say(Level::Notice, format!("nothing was uploaded: `:push {name}` again asks whether to"));
            }
            _ => self.say(Level::Notice, said.trim().to_owned()),
        }
    }

    /// A key while it is asked whether to upload.
    pub(super) fn upload_key(&mut self, key: Key, (set, name, said): (PathBuf, String, Vec<String>)) -> Vec<Effect> {
        match key {
            Key::Char('y' | 'Y') => vec![self.spawn(Work::HandOff { set, to: HandOff::Push(name) })],
            Key::Char('n' | 'N' | 'q') | Key::Esc | Key::Ctrl('c') => {
                self.tell("nothing was uploaded");
                vec![]
            }
            _ => {
                self.modal = Some(Modal::Upload { set, name, said });
                vec![]
            }
        }
    }
}
