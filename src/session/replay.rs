//! The set a journal comes to, rebuilt without a terminal.

use super::{Open, Shared, draft, translate, work};
use crate::{
    app::{Entry, Event, JobId, News, State},
    error::{Error, Result},
    journal::Held,
    pipeline::{Ctx, workbench::Prototyped},
};
use std::{path::Path, sync::Arc};

/// Carries out all decisions of a journal and writes the set into `out`; returns its number of pairs.
///
/// # Errors
/// Those of the stages; [`Error::Setting`] if the decisions leave no prototype.
pub fn replay(held: Held, open: Open, out: &Path, ctx: &Ctx) -> Result<usize> {
    let mut config = held.header.config;
    // Nobody sees previews here, and each costs a decoding.
    config.synthesis.preview_every = 0;
    let shared = Arc::new(Shared::new(config, open));
    let (state, found) = rebuilt(&shared, held.entries, ctx)?;
    let Some(basis) = state.protos.as_ref().map(|p| p.basis.clone()) else { return Err(Error::Cancelled) };
    shared.remember(basis.clone(), found);
    if state.pairs.is_empty() {
        return Err(Error::setting("prototypes", "the decisions leave none"));
    }
    let silent: work::Tell = Arc::new(|_| {});
    work::synthesise(&shared, &basis, &state.pairs, ctx, &silent)?;
    work::export(&shared, &basis, &state.pairs, &state.draft, out, ctx)?;
    Ok(state.pairs.len())
}

/// The state that decisions come to once the data are there, and its prototypes; nothing of `shared` changes that is on
/// screen.
///
/// # Errors
/// Those of the stages.
pub fn rebuilt(shared: &Shared, entries: Vec<Entry>, ctx: &Ctx) -> Result<(State, Arc<Prototyped>)> {
    let mut state = State::new(draft(&shared.config));
    state.restore(entries);
    state.start();
    let rows = std::sync::Mutex::new(None);
    let measured = work::open(shared, ctx, &|name, found| *super::lock(&rows) = Some((name, found)))?;
    if let Some((name, rows)) = super::lock(&rows).take() {
        state.handle(Event::Job(JobId(0), News::Opened { name, rows }));
    }
    state.handle(Event::Job(JobId(0), News::Measured(measured)));
    let (basis, found) = work::clustered(shared, &state.draft, ctx)?;
    let protos = translate::protos(&found, None, &shared.bench()?.embeddings(ctx)?.0, basis);
    state.handle(Event::Job(JobId(0), News::Prototypes(Arc::new(protos))));
    Ok((state, found))
}
