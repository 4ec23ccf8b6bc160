//! Captions of each prototype.

use super::{Dry, Run, Stage, Step, cost, each};
use crate::{
    error::Result,
    pipeline::prototypes::caption::{self, CaptionSettings},
};

/// Ranks captions for each prototype.
pub(super) struct Rank;

impl Step for Rank {
    fn cost(&self, dry: &mut Dry) -> Result<()> {
        let (bench, ctx, n) = (dry.bench, dry.ctx, dry.sample.pairs());
        let (pairs, settings) =
            (&bench.dataset.train.pairs, CaptionSettings { distinct: false, ..dry.recipe.caption.clone() });
        let list = &dry.found.prototypes.list;
        let (captions, one) = cost(|| caption::captions(list, &dry.sample, &pairs[..n], &settings, ctx))?;
        let seconds = each(one, n, pairs.len());
        dry.plan.add(Stage::new("rank captions", (pairs.len(), "captions"), false).costs(seconds, dry.held, 0));
        dry.found.captions = captions;
        if dry.there {
            dry.found = bench.prototypes(dry.recipe, ctx)?;
        }
        Ok(())
    }

    fn make(&self, run: &mut Run) -> Result<()> {
        let (embedded, train) = (run.bench.embeddings(run.ctx)?, &run.bench.dataset.train.pairs);
        let found = run.found.to_mut();
        found.captions = caption::captions(&found.prototypes.list, &embedded.0, train, &run.recipe.caption, run.ctx)?;
        Ok(())
    }
}
