//! The steps of a distillation: one list, which a run makes and a dry run costs. A step is named, costed and made in one file.

mod aim;
pub mod choose;
pub mod cluster;
pub mod draw;
pub mod embed;
mod judge;
mod rank;
mod real;

use super::{
    Matched, Prototyped, Workbench,
    dry::{
        Dry, FEW, Known, SAMPLE, along,
        cost::{Plan, Stage, cost, line},
        each, grown,
    },
    kept_name, matrix,
    rounds::Rounds,
    tasks::{part_name, source_name},
};
use crate::{
    error::Result,
    pipeline::{
        Ctx,
        methods::{Method, Start, Way},
        recipe::Recipe,
        set::folder::DistilledSet,
        space::{
            embeddings::{Embeddings, Kept},
            stats::{StatsSettings, stats},
        },
        trust::prune,
    },
};
use aim::Aim;
use choose::Choose;
use cluster::Cluster;
use draw::Draw;
use embed::Embed;
use judge::Judge;
use rank::Rank;
use real::{Nearest, Pick};
use std::borrow::Cow;

/// A step of a distillation: of one stage or of some that belong together.
trait Step {
    /// Plans its stages: which the store has, and what the others cost by what a few items cost here and now.
    fn cost(&self, dry: &mut Dry) -> Result<()>;

    /// Makes what it is for, or takes it from the store.
    fn make(&self, run: &mut Run) -> Result<()>;
}

type Steps = &'static [&'static dyn Step];

/// From pairs that are kept to prototypes; a method that makes none is shown those of clusters.
fn to_prototypes(start: Start) -> Steps {
    match start {
        Start::Clusters | Start::Pairs(_) => &[&Cluster, &Rank],
        Start::Choice(_) => &[&Choose, &Rank],
    }
}

/// From prototypes to a set.
fn to_set(way: Way) -> Steps {
    match (way.draws(), way.retells()) {
        (true, false) => &[&Draw, &Aim],
        (true, true) => &[&Draw, &aim::Retell, &Aim],
        (false, false) => &[&Nearest, &Aim],
        (false, true) => &[&Nearest, &aim::Retell, &Aim],
    }
}

/// From nothing to a set.
fn steps(way: Way) -> Vec<&'static dyn Step> {
    let begin: Steps = &[&Embed, &Judge];
    match way.method.start() {
        Start::Pairs(_) => vec![&Embed, &Pick, &Untold(Judge), &Untold(Aim)],
        start => [begin, to_prototypes(start), to_set(way)].concat(),
    }
}

/// A step that no dry run tells of.
struct Untold<S>(S);

impl<S: Step> Step for Untold<S> {
    fn cost(&self, _: &mut Dry) -> Result<()> {
        Ok(())
    }

    fn make(&self, run: &mut Run) -> Result<()> {
        self.0.make(run)
    }
}

/// A run and what its steps have made so far.
struct Run<'a> {
    bench: &'a Workbench,
    recipe: &'a Recipe,
    ctx: &'a Ctx,
    /// Up to the captions.
    found: Cow<'a, Prototyped>,
    /// From the pictures on.
    set: DistilledSet,
    /// The training rows of its captions, where they have one.
    rows: Vec<Option<u32>>,
}

impl Workbench {
    /// Cluster and match, or choose; average, rank captions.
    ///
    /// # Errors
    /// As [`Self::embeddings`]; [`crate::error::Error::Setting`] for more prototypes than there are rows to make them of.
    pub fn prototypes(&self, recipe: &Recipe, ctx: &Ctx) -> Result<Prototyped> {
        self.prototypes_of(self.kept(&recipe.prune, ctx)?, recipe, ctx)
    }

    /// The same for rows that were chosen otherwise, by a person for instance.
    ///
    /// # Errors
    /// As [`Self::prototypes`].
    pub fn prototypes_of(&self, kept: Kept, recipe: &Recipe, ctx: &Ctx) -> Result<Prototyped> {
        let start = Cow::Owned(Prototyped { kept, ..self.nothing() });
        Ok(self.run(to_prototypes(recipe.method.method.start()), start, recipe, ctx)?.found.into_owned())
    }

    /// The set that these prototypes come to.
    ///
    /// # Errors
    /// Those of the stages.
    pub fn of_prototypes(&self, recipe: &Recipe, found: &Prototyped, ctx: &Ctx) -> Result<DistilledSet> {
        Ok(self.run(to_set(recipe.method), Cow::Borrowed(found), recipe, ctx)?.set)
    }

    /// The distilled set of `recipe`, whichever way it gets its pairs.
    ///
    /// # Errors
    /// Those of the stages.
    pub fn distil(&self, recipe: &Recipe, ctx: &Ctx) -> Result<DistilledSet> {
        self.can_draw(recipe.method)?;
        Ok(self.run(&steps(recipe.method), Cow::Owned(self.nothing()), recipe, ctx)?.set)
    }

    /// Gives a set the targets that its way asks for; `rows` are the training rows of its captions, where they have one,
    /// and the pairs that `found` keeps those that teach.
    ///
    /// # Errors
    /// As [`Self::embeddings`] and [`crate::pipeline::ridge::targets::solve`]; [`crate::error::Error::Setting`] for words of
    /// people where ready features leave no CLIP to embed them.
    pub fn aim(
        &self,
        set: DistilledSet,
        rows: Vec<Option<u32>>,
        found: &Prototyped,
        recipe: &Recipe,
        ctx: &Ctx,
    ) -> Result<DistilledSet> {
        let mut run = Run { set, rows, ..self.run(&[], Cow::Borrowed(found), recipe, ctx)? };
        Aim.make(&mut run)?;
        Ok(run.set)
    }

    fn run<'a>(
        &'a self,
        steps: &[&dyn Step],
        found: Cow<'a, Prototyped>,
        recipe: &'a Recipe,
        ctx: &'a Ctx,
    ) -> Result<Run<'a>> {
        let mut run = Run { bench: self, recipe, ctx, found, set: DistilledSet::default(), rows: Vec::new() };
        steps.iter().try_for_each(|step| step.make(&mut run))?;
        Ok(run)
    }

    /// Plans [`Self::distil`], and the writing of the set.
    ///
    /// # Errors
    /// Whatever would stop the run at once: unreadable images, a broken checkpoint, settings out of range.
    pub fn plan(&self, recipe: &Recipe, plan: &mut Plan, ctx: &Ctx) -> Result<()> {
        self.can_draw(recipe.method)?;
        plan.undrawn = self.undrawn();
        let mut dry = Dry::new(self, recipe, plan, ctx)?;
        steps(recipe.method).iter().try_for_each(|step| step.cost(&mut dry))?;
        dry.write()
    }

    /// Plans [`Self::stats`].
    ///
    /// # Errors
    /// As [`Self::plan`].
    pub fn plan_stats(&self, recipe: &Recipe, plan: &mut Plan, ctx: &Ctx) -> Result<()> {
        let recipe = &Recipe { method: Method::Random.into(), ..recipe.clone() };
        let mut dry = Dry::new(self, recipe, plan, ctx)?;
        Embed.cost(&mut dry)?;
        Judge.cost(&mut dry)?;
        let measure = |part: &Embeddings| {
            let kept = prune::prune(part, &recipe.prune, ctx)?;
            stats(part, &kept, &StatsSettings::default(), ctx).map(drop)
        };
        let pairs = self.dataset.train.pairs.len();
        let seconds = along(&dry.sample, pairs, measure)?;
        dry.plan.add(Stage::new("stats", (pairs, "pairs"), false).costs(seconds, dry.held, 0));
        Ok(())
    }
}
