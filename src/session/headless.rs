//! Command lines carried out in a session without a terminal: what a batch job, or somebody who left, wants done.

use super::{Open, Session, Then, draft};
use crate::{
    app::{Entry, Level, State},
    config::Config,
    error::{Error, Result},
    journal::Journal,
};
use std::sync::{Arc, mpsc};

/// Opens the session as the explorer does, carries out each of `lines` once the one before is done with, and ends when
/// nothing is left, or another process wants the session; `tell` gets every line of the log.
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
    let (mut told, mut wrong): (u64, Option<String>) = (0, None);
    state.todo = lines.iter().cloned().collect();
    let mut effects = state.start();
    loop {
        for effect in effects.drain(..) {
            match session.perform(effect) {
                Then::HandOver => {
                    tell("another process goes on with this session");
                    return Ok(());
                }
                Then::Quit | Then::Detach(_) => state.todo.clear(),
                _ => {}
            }
        }
        let new = state.said.saturating_sub(std::mem::replace(&mut told, state.said));
        for line in state.log.iter().skip(state.log.len().saturating_sub(new as usize)) {
            tell(&line.text);
            if line.level == Level::Error {
                wrong.get_or_insert_with(|| line.text.clone());
            }
        }
        if !state.is_busy() && state.todo.is_empty() {
            return wrong.map_or(Ok(()), |why| Err(Error::setting("session", why)));
        }
        effects = match news.recv() {
            Ok(event) => state.handle(event),
            Err(_) => return Err(Error::setting("session", "its jobs are gone")),
        };
    }
}
