//! What a dry run tells, beside what the run leaves.
#![allow(clippy::unwrap_used)]

use crate::wild::recipe;
use protostill::{
    data::world::{WorldSpec, dataset},
    models::device::Backend,
    pipeline::{
        Ctx,
        methods::{Method, Targets, Way},
        store::Store,
        workbench::{
            Checkpoints, Workbench,
            dry::cost::{Plan, Stage},
        },
    },
};
use std::collections::BTreeSet;

/// Every method with each kind of pictures and of targets that it may have.
fn ways() -> Vec<Way> {
    let options = ["drawn", "real"].into_iter().flat_map(|p| ["mean", "caption", "solved"].map(|t| [p, t]));
    let with = |m: Method| options.clone().map(move |o| o.iter().try_fold(m.into(), |w: Way, o| w.with(o)));
    let own = |w: &Way| !matches!(w.targets(), Targets::Mean | Targets::Caption | Targets::Solved);
    Method::all().flat_map(with).flatten().chain(Method::all().map(Way::from).filter(own)).collect()
}

#[test]
fn whichever_way_a_set_is_made_its_dry_run_finds_done_what_the_run_left_in_the_store_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    for way in ways() {
        let store = Store::open(folder.path()).unwrap();
        let world = dataset(&WorldSpec::new(12, 0.0, 5)).unwrap();
        let bench = Workbench::new(world, Checkpoints::demo(), store, Backend::CPU);
        let recipe = recipe(&way.to_string(), 3);
        bench.distil(&recipe, &Ctx::quiet()).unwrap();
        let mut left: BTreeSet<String> = bench.seconds().into_keys().collect();
        let mut plan = Plan::default();
        bench.plan(&recipe, &mut plan, &Ctx::quiet()).unwrap();
        let names = |stages: &mut dyn Iterator<Item = &Stage>| stages.map(|s| s.stage.clone()).collect::<BTreeSet<_>>();
        assert!(left.remove("embed"));
        left.extend(["embed images", "embed captions"].map(String::from));
        // Pictures are embedded for their targets.
        let solved = names(&mut plan.stages.iter()).contains("solve targets");
        assert_eq!(left.remove("embed pictures"), solved && way.draws(), "{way}");
        // What real pairs learn from the others is not told.
        assert!(!way.method.picks() || left.remove("trust"), "{way}");
        assert_eq!(names(&mut plan.stages.iter().filter(|s| s.is_done())), left, "{way}");
    }
}
