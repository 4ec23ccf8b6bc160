//! What decisions come to: the data as they are opened, prototypes of the pairs that stay, pairs got in another way.

use super::{Shared, draft, lock, translate};
use crate::{
    app::{Draft, Entry, Event, JobId, Measured, News, Rows, State, kept_rows},
    error::{Error, Result},
    fingerprint::Fingerprint,
    pipeline::{
        Ctx,
        recipe::Recipe,
        set::folder::DistilledSet,
        space::{embeddings::Kept, stats},
        trust::prune::PruneMethod,
        workbench::Prototyped,
    },
};
use image::RgbImage;
use std::sync::{Arc, Mutex};

/// Largest side of a real picture kept for the screen, in pixels.
const SCREEN: u32 = 512;

/// Opens the data set, embeds it and ranks its pairs.
pub fn open(shared: &Shared, ctx: &Ctx, opened: &dyn Fn(String, Arc<Rows>)) -> Result<Arc<Measured>> {
    if lock(&shared.bench).is_none() {
        let bench = Arc::new((shared.open.workbench)(&shared.config, ctx)?);
        *lock(&shared.bench) = Some(bench);
    }
    let bench = shared.bench()?;
    let rows = Arc::new(translate::rows(bench.dataset(), shared.config.evaluation.split));
    let _ = shared.rows.set(rows.fingerprint());
    opened(bench.dataset().name.clone(), rows);
    if let Some(measured) = lock(&shared.measured).clone() {
        return Ok(measured);
    }
    let embedded = bench.embeddings(ctx)?;
    let noise = match shared.config.prune.method {
        PruneMethod::Trust => Some(translate::noise(&*bench.trust(ctx)?)),
        PruneMethod::ClipScore => None,
    };
    let measured = Arc::new(Measured::new(stats::similarities(&embedded.0, ctx)?, noise));
    *lock(&shared.measured) = Some(measured.clone());
    Ok(measured)
}

/// Prototypes of the pairs that stay, and the name of what captions and pictures belong to.
pub fn clustered(shared: &Shared, draft: &Draft, ctx: &Ctx) -> Result<(Fingerprint, Arc<Prototyped>)> {
    let bench = shared.bench()?;
    let measured = lock(&shared.measured).clone().ok_or(Error::Cancelled)?;
    let kept = Kept(kept_rows(&measured, draft));
    let recipe = draft.config.recipe();
    let found = Arc::new(bench.prototypes_of(kept, &recipe, ctx)?);
    let rows = shared.rows.get().ok_or(Error::Cancelled)?;
    let of = (&found.kept, &recipe.cluster, &recipe.prototype);
    let mut basis = Fingerprint::of_content("clustering", &of, &[rows, &bench.origin(ctx)?]);
    let method = recipe.method.method;
    if !method.clusters() {
        basis = Fingerprint::of_content("choice", &(method.origin(), recipe.prune.method), &[&basis]);
    }
    Ok((basis, found))
}

/// As many pairs got in another way.
pub fn yardstick(shared: &Shared, recipe: &Recipe, draft: &Draft, ctx: &Ctx) -> Result<DistilledSet> {
    if recipe.method.method.clusters() {
        // Those on screen: of the pairs that a person keeps, too.
        return shared.bench()?.of_prototypes(recipe, &clustered(shared, draft, ctx)?.1, ctx);
    }
    shared.bench()?.distil(recipe, ctx)
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
    let rows = Mutex::new(None);
    let measured = open(shared, ctx, &|name, found| *lock(&rows) = Some((name, found)))?;
    if let Some((name, rows)) = lock(&rows).take() {
        state.handle(Event::Job(JobId(0), News::Opened { name, rows }));
    }
    state.handle(Event::Job(JobId(0), News::Measured(measured)));
    let (basis, found) = clustered(shared, &state.draft, ctx)?;
    let protos = translate::protos(&found, None, &shared.bench()?.embeddings(ctx)?.0, basis);
    state.handle(Event::Job(JobId(0), News::Prototypes(Arc::new(protos))));
    Ok((state, found))
}

/// A picture no larger than a screen needs.
pub fn shown(picture: RgbImage) -> RgbImage {
    let (w, h) = (picture.width(), picture.height());
    if w.max(h) <= SCREEN {
        return picture;
    }
    let scale = |v: u32| (v * SCREEN / w.max(h)).max(1);
    image::imageops::thumbnail(&picture, scale(w), scale(h))
}
