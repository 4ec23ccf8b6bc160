//! What it would take to judge pairs, to choose among them and to solve targets.

use super::{
    Asked, Known, SAMPLE,
    cost::{Plan, Stage, cost, line},
    each,
};
use crate::{
    error::Result,
    pipeline::{
        Ctx,
        draw::requests::requests,
        prototypes::caption,
        recipe::Recipe,
        ridge::targets,
        space::embeddings::{Embeddings, Kept},
        store::Json,
        trust::{
            Trust, TrustSettings,
            prune::{self, PruneMethod, PruneSettings},
            trust,
        },
        workbench::{
            Workbench,
            choose::{Choice, choice_name, trust_name},
        },
    },
};
use ndarray::s;

impl Workbench {
    /// Judging to captions where no clusters are matched: what will be asked of the decoder, or something like it, and whether it
    /// is the real thing; and the width of the rows.
    pub(super) fn plan_choice(
        &self,
        recipe: &Recipe,
        known: &Known,
        plan: &mut Plan,
        ctx: &Ctx,
    ) -> Result<(Asked, usize)> {
        let (pairs, m, held) = (self.dataset.train.pairs.len(), recipe.cluster.prototypes, self.held(known));
        let sample = self.sample(known, (2 * SAMPLE).max(4 * m).min(pairs))?;
        let n = sample.pairs();
        let judged = self.plan_judging(&recipe.prune, known, &sample, plan, ctx)?;
        let chosen = match known {
            Some(known) if judged => {
                let name = choice_name(&self.kept(&recipe.prune, ctx)?, recipe, &known.1);
                self.store.cost::<Json<Choice>>(&name).is_some()
            }
            _ => false,
        };
        let (all, weights, train) = (Kept((0..n as u32).collect()), vec![1.0; n], &self.dataset.train.pairs);
        let start = recipe.method.method.start();
        let (choice, one) = cost(|| Choice::new(start, &sample, &weights, (m, recipe.seed), ctx))?;
        plan.add(Stage::new("choose", (m, "pairs"), chosen).costs(each(one, n, pairs), held, 0));
        let list = choice.prototypes(&sample, &all);
        let settings = caption::CaptionSettings { distinct: false, ..recipe.caption.clone() };
        let (captions, one) = cost(|| caption::captions(&list, &sample, &train[..n], &settings, ctx))?;
        plan.add(Stage::new("rank captions", (pairs, "captions"), false).costs(each(one, n, pairs), held, 0));
        let asked = if chosen {
            let found = self.prototypes(recipe, ctx)?;
            let words: Vec<&str> = found.captions.iter().map(|c| c.text(train)).collect();
            requests(recipe.seed, &found.prototypes.list, &words)
        } else {
            let words: Vec<&str> = captions.iter().map(|c| c.text(&train[..n])).collect();
            requests(recipe.seed, &list, &words)
        };
        Ok(((asked, chosen), sample.width()))
    }

    /// Trust, or a cut by cosine; whether what is kept is known.
    pub(super) fn plan_judging(
        &self,
        settings: &PruneSettings,
        known: &Known,
        sample: &Embeddings,
        plan: &mut Plan,
        ctx: &Ctx,
    ) -> Result<bool> {
        let (pairs, held) = (self.dataset.train.pairs.len(), self.held(known));
        if settings.method == PruneMethod::ClipScore {
            let (_, one) = cost(|| prune::prune(sample, settings, ctx))?;
            plan.add(Stage::new("prune", (pairs, "pairs"), false).costs(each(one, sample.pairs(), pairs), held, 0));
            return Ok(known.is_some());
        }
        let there = |known: &std::sync::Arc<(Embeddings, _)>| self.store.cost::<Json<Trust>>(&trust_name(&known.1));
        let done = known.as_ref().and_then(there).is_some();
        let mut stage = Stage::new("trust", (pairs, "pairs"), done);
        if !done {
            let judge = |part: &Embeddings| trust(part, &TrustSettings::default(), ctx).map(drop);
            stage = stage.costs(along(sample, pairs, judge)?, held, 24 * pairs as u64);
        }
        plan.add(stage);
        Ok(done)
    }

    /// Solving targets for pictures that are as many as pairs are asked for.
    pub(super) fn plan_targets(&self, recipe: &Recipe, known: &Known, plan: &mut Plan, ctx: &Ctx) -> Result<()> {
        let (pairs, m) = (self.dataset.train.pairs.len(), recipe.cluster.prototypes);
        let sample = self.sample(known, (2 * SAMPLE).max(2 * m).min(pairs))?;
        let pictures = sample.image.view().slice_move(s![..m.min(sample.pairs()), ..]);
        let solve = |part: &Embeddings| {
            targets::solve(pictures, part, &vec![1.0; part.pairs()], &recipe.targets, ctx).map(drop)
        };
        let seconds = along(&sample, pairs, solve)?;
        plan.add(Stage::new("solve targets", (m, "targets"), false).costs(seconds, self.held(known), 0));
        Ok(())
    }
}

/// Seconds that `work` takes on `pairs` pairs, by half of the sample and by all of it.
pub(super) fn along(sample: &Embeddings, pairs: usize, mut work: impl FnMut(&Embeddings) -> Result<()>) -> Result<f64> {
    let mut timed = |n: usize| {
        let rows = |x: &crate::pipeline::space::rows::Rows| x.view().slice_move(s![..n, ..]).to_owned();
        let part = Embeddings::new(rows(&sample.image), rows(&sample.text), (0..n as u32).collect())?;
        Ok((n, cost(|| work(&part))?.1.seconds))
    };
    Ok(line(timed(sample.pairs().div_ceil(2))?, timed(sample.pairs())?, pairs))
}
