//! The set a journal comes to, rebuilt without a terminal.

use super::{Open, Shared, basis, work};
use crate::{
    error::{Error, Result},
    journal::Held,
    pipeline::Ctx,
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
    let (state, found) = basis::rebuilt(&shared, held.entries, ctx)?;
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
