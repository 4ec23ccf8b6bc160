//! Command lines carried out in a session without a terminal: what a batch job, or somebody who left, wants done.

use super::{Open, Session, Then, draft};
use crate::{
    app::{Action, Entry, Level, Pane, State},
    config::Config,
    error::{Error, Result},
    journal::Journal,
};
use std::{
    collections::VecDeque,
    sync::{Arc, mpsc},
};

/// Opens the session as the explorer does, carries out each of `lines` once the one before is done with, and ends when
/// nothing is left; `tell` gets every line of the log.
///
/// # Errors
/// Those of opening; [`Error::Setting`] with what went wrong in a job, after all lines were tried.
pub fn headless(
    (config, entries): (Config, Vec<Entry>),
    open: Open,
    journal: Journal,
    lines: &[String],
    tell: &dyn Fn(&str),
) -> Result<()> {
    let (sender, news) = mpsc::channel();
    let mut state = State::new(draft(&config));
    state.restore(entries);
    let mut session = Session::new(config, open, journal, Arc::new(move |event| drop(sender.send(event))))?;
    let (mut left, mut told, mut wrong): (VecDeque<&String>, u64, Option<String>) = (lines.iter().collect(), 0, None);
    let mut effects = state.start();
    // Where every line has its meaning, and no picture is looked at for nobody.
    effects.extend(state.update(Action::Show(Pane::Prototypes)));
    loop {
        for effect in effects.drain(..) {
            if let Then::Quit | Then::Detach(_) = session.perform(effect) {
                left.clear();
            }
        }
        let new = state.said.saturating_sub(std::mem::replace(&mut told, state.said));
        for line in state.log.iter().skip(state.log.len().saturating_sub(new as usize)) {
            tell(&line.text);
            if line.level == Level::Error {
                wrong.get_or_insert_with(|| line.text.clone());
            }
        }
        effects = match (state.is_busy(), left.front()) {
            (false, Some(_)) => {
                let line = left.pop_front().map_or("", String::as_str);
                tell(&format!(": {line}"));
                let effects = state.carry_out(line);
                if let Some((_, words)) = &state.notice {
                    tell(words);
                }
                effects
            }
            (false, None) => return wrong.map_or(Ok(()), |why| Err(Error::setting("session", why))),
            (true, _) => match news.recv() {
                Ok(event) => state.handle(event),
                Err(_) => return Err(Error::setting("session", "its jobs are gone")),
            },
        };
    }
}
