//! Which pairs are trusted.

use super::{Dry, Prototyped, Run, Stage, Step, Workbench, along, cost, each};
use crate::{
    error::Result,
    fingerprint::Fingerprint,
    pipeline::{
        Ctx,
        recipe::Recipe,
        space::embeddings::{Embeddings, Kept},
        store::Json,
        trust::{
            Certificate, Trust, TrustSettings, certificates,
            prune::{self, PruneMethod, PruneSettings},
            trust,
        },
    },
};
use std::sync::Arc;

/// Trust, or a cut by cosine.
pub(super) struct Judge;

impl Step for Judge {
    fn cost(&self, dry: &mut Dry) -> Result<()> {
        let (settings, pairs, ctx) = (&dry.recipe.prune, dry.bench.dataset.train.pairs.len(), dry.ctx);
        if settings.method == PruneMethod::ClipScore {
            let (_, one) = cost(|| prune::prune(&dry.sample, settings, ctx))?;
            let seconds = each(one, dry.sample.pairs(), pairs);
            dry.plan.add(Stage::new("prune", (pairs, "pairs"), false).costs(seconds, dry.held, 0));
            return Ok(());
        }
        let store = &dry.bench.store;
        dry.there = dry.known.as_ref().is_some_and(|known| store.cost::<Json<Trust>>(&name(&known.1)).is_some());
        let mut stage = Stage::new(NAME, (pairs, "pairs"), dry.there);
        if !dry.there {
            let judge = |part: &Embeddings| trust(part, &TrustSettings::default(), ctx).map(drop);
            stage = stage.costs(along(&dry.sample, pairs, judge)?, dry.held, 24 * pairs as u64);
        }
        dry.plan.add(stage);
        Ok(())
    }

    fn make(&self, run: &mut Run) -> Result<()> {
        run.found.to_mut().kept = run.bench.kept(&run.recipe.prune, run.ctx)?;
        Ok(())
    }
}

pub(super) const NAME: &str = "trust";

fn name(source: &Fingerprint) -> Fingerprint {
    Fingerprint::of_version(2, NAME, &TrustSettings::default(), &[source])
}

impl Workbench {
    /// What is to be believed of each training pair.
    ///
    /// # Errors
    /// As [`Self::embeddings`].
    pub fn trust(&self, ctx: &Ctx) -> Result<Arc<Trust>> {
        self.trust.get(|| {
            let embedded = self.embeddings(ctx)?;
            let (settings, name) = (TrustSettings::default(), name(&embedded.1));
            let Json(found) = self.staged(NAME, &name, || Ok(Json(trust(&embedded.0, &settings, ctx)?)))?;
            Ok(found)
        })
    }

    /// The rows that are not pruned.
    ///
    /// # Errors
    /// As [`Self::embeddings`], and those of [`prune::prune`].
    pub fn kept(&self, settings: &PruneSettings, ctx: &Ctx) -> Result<Kept> {
        match settings.method {
            PruneMethod::Trust => Ok(self.trust(ctx)?.kept()),
            PruneMethod::ClipScore => prune::prune(&self.embeddings(ctx)?.0, settings, ctx),
        }
    }

    /// What each pair counts where pairs teach: nothing unless it is kept, and as much as it is trusted. `[pairs]`
    pub(in crate::pipeline) fn weights(&self, kept: &Kept, settings: &PruneSettings, ctx: &Ctx) -> Result<Vec<f32>> {
        let trusted = match settings.method {
            PruneMethod::Trust => Some(self.trust(ctx)?),
            PruneMethod::ClipScore => None,
        };
        let mut weights = vec![0.0; self.embeddings(ctx)?.0.pairs()];
        for &row in &kept.0 {
            // One that a person keeps is trusted, whatever its score.
            weights[row as usize] = trusted.as_ref().map_or(1.0, |t| t.weights[row as usize].max(0.5));
        }
        Ok(weights)
    }

    /// What the caption of each prototype withstands, where pairs were judged.
    ///
    /// # Errors
    /// As [`Self::embeddings`].
    pub fn certificates(
        &self,
        found: &Prototyped,
        settings: &PruneSettings,
        ctx: &Ctx,
    ) -> Result<Option<Vec<Certificate>>> {
        if settings.method != PruneMethod::Trust {
            return Ok(None);
        }
        let (embedded, trust) = (self.embeddings(ctx)?, self.trust(ctx)?);
        certificates(&found.prototypes.list, &found.captions, &embedded.0, &trust.weights, ctx).map(Some)
    }

    /// What a manifest says of trust: the share of mismatched pairs, and what each prototype's caption withstands.
    ///
    /// # Errors
    /// As [`Self::prototypes`].
    pub fn trusted(&self, recipe: &Recipe, ctx: &Ctx) -> Result<Option<serde_json::Value>> {
        if recipe.prune.method != PruneMethod::Trust {
            return Ok(None);
        }
        let mut about = self.trust(ctx)?.about();
        if !recipe.method.method.picks() {
            about["prototypes"] =
                serde_json::json!(self.certificates(&self.prototypes(recipe, ctx)?, &recipe.prune, ctx)?);
        }
        Ok(Some(about))
    }
}
