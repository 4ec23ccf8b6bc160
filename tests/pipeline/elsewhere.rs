//! Stages in pieces that others do: whoever did what, the bytes are those of one process.

use crate::features;
use protostill::{
    data::{
        self,
        world::{WorldSpec, dataset},
    },
    error::{Error, Result},
    fingerprint::Fingerprint,
    models::device::Backend,
    pipeline::{
        Ctx, Report,
        draw::synthesize::Settings,
        engine::{Engine, Task},
        recipe::Recipe,
        store::Store,
        trust::prune::PruneMethod,
        workbench::{Checkpoints, Prototyped, Workbench},
    },
};
use std::{
    path::Path,
    sync::{Arc, Mutex},
};

fn bench(store: &Path) -> Workbench {
    let world = dataset(&WorldSpec::new(600, 0.0, 4)).unwrap();
    Workbench::new(world, Checkpoints::demo(), Store::open(store).unwrap(), Backend::CPU)
}

/// Others, who do the last task first, forget where they were told to, and fail at the tasks that they cannot do.
#[derive(Default)]
struct Others {
    worker: Option<Workbench>,
    asked: Mutex<Vec<Task>>,
    /// After how many rounds nobody is left.
    last: Option<usize>,
}

impl Engine for Others {
    fn run(&self, tasks: &[Task], watch: &mut dyn FnMut() -> Result<()>) -> Result<Vec<Fingerprint>> {
        self.asked.lock().unwrap().extend_from_slice(tasks);
        let rounds = self.asked.lock().unwrap().iter().filter(|task| matches!(task, Task::Assign { .. })).count() / 3;
        let there = self.last.is_none_or(|last| rounds <= last);
        let Some(worker) = self.worker.as_ref().filter(|_| there) else {
            return Err(Error::setting("executors", "nobody is here"));
        };
        let mut names = Vec::new();
        for task in tasks.iter().rev() {
            watch()?;
            // As after a death: done twice.
            worker.carry_out(task, &Ctx::quiet())?;
            names.push(worker.carry_out(task, &Ctx::quiet())?);
        }
        names.reverse();
        watch()?;
        Ok(names)
    }
}

fn recipe() -> Recipe {
    let synthesis = Settings { steps: 4, candidates: 2, preview_every: 0, ..Settings::default() };
    let mut recipe = protostill::config::Config::load(None).unwrap().recipe();
    recipe.cluster.prototypes = 5;
    Recipe { synthesis, ..recipe }
}

fn pictures(bench: &Workbench, ctx: &Ctx) -> Result<Vec<Vec<u8>>> {
    let set = bench.distil(&recipe(), ctx)?;
    Ok(set.pairs.iter().map(|pair| pair.image.decode().unwrap().into_raw()).collect())
}

#[test]
fn what_others_make_in_any_order_and_twice_is_what_one_process_makes_and_is_seen_while_they_do() {
    let dir = tempfile::tempdir().unwrap();
    let alone = pictures(&bench(&dir.path().join("alone")), &Ctx::quiet()).unwrap();
    let shared = dir.path().join("shared");
    let others = Arc::new(Others { worker: Some(bench(&shared)), ..Others::default() });
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = seen.clone();
    let ctx = Ctx::new(Arc::default(), move |report| {
        if let Report::Step { stage, done, total } = report {
            sink.lock().unwrap().push((stage, done, total));
        }
    });
    assert!(pictures(&bench(&shared).on(others.clone()), &ctx).unwrap() == alone);
    let asked = std::mem::take(&mut *others.asked.lock().unwrap());
    let images = asked.iter().filter(|task| matches!(task, Task::Images(_))).count();
    let drawn = asked.iter().filter(|task| matches!(task, Task::Draw(..))).count();
    assert_eq!((images, drawn), (2, 5));
    for steps in [("embed images", 1, 2), ("synthesise", 3, 5)] {
        assert!(seen.lock().unwrap().contains(&steps), "{steps:?}");
    }
    assert!(pictures(&bench(&shared).on(others.clone()), &ctx).unwrap() == alone);
    assert!(others.asked.lock().unwrap().is_empty(), "what is done is not asked for again");
}

#[test]
fn a_task_of_other_data_is_noticed_and_an_engine_that_fails_ends_the_stage() {
    let dir = tempfile::tempdir().unwrap();
    let told = |others: Others| {
        let bench = bench(&dir.path().join("mine")).on(Arc::new(others));
        bench.embeddings(&Ctx::quiet()).unwrap_err().to_string()
    };
    assert!(told(Others::default()).contains("nobody is here"));
    let world = dataset(&WorldSpec::new(600, 0.0, 5)).unwrap();
    let store = Store::open(dir.path().join("theirs")).unwrap();
    let worker = Some(Workbench::new(world, Checkpoints::demo(), store, Backend::CPU));
    let told = told(Others { worker, ..Others::default() });
    assert!(told.contains("images, part 0 came from other data"), "{told}");
}

#[test]
fn rounds_of_clustering_by_others_come_to_those_of_one_process_and_go_on_where_they_ended() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    };
    features::write(&at("data"));
    let bench = |store: &str| {
        let data = data::open(&at("data")).unwrap();
        Workbench::new(data, Checkpoints::demo(), Store::open(at(store)).unwrap(), Backend::CPU)
    };
    for directions in [false, true] {
        let mut recipe = recipe();
        (recipe.method, recipe.prune.method) = ("nearest-image".parse().unwrap(), PruneMethod::ClipScore);
        (recipe.cluster.prototypes, recipe.cluster.normalise, recipe.cluster.breath) = (12, directions, 0);
        recipe.cluster.max_iter = 6;
        let found = |bench: &Workbench| bench.prototypes(&recipe, &Ctx::quiet());
        let clusters = |found: Prototyped| found.clusters.map(|c| (c.images, c.texts)).unwrap();
        let alone = clusters(found(&bench("alone")).unwrap());
        assert!(alone.0.0.iterations > 4, "{}", alone.0.0.iterations);
        let shared = format!("shared {directions}");
        let others = Others { worker: Some(bench(&shared)), last: Some(3), ..Others::default() };
        let others = Arc::new(others);
        found(&bench(&shared).on(others.clone())).unwrap_err();
        let asked = |others: &Others| others.asked.lock().unwrap().len() / 3;
        assert_eq!(asked(&others), 4);
        // One that remembers nothing.
        let later = Arc::new(Others { worker: Some(bench(&shared)), ..Others::default() });
        assert_eq!(clusters(found(&bench(&shared).on(later.clone())).unwrap()), alone);
        let fresh = Arc::new(Others { worker: Some(bench("fresh")), ..Others::default() });
        assert_eq!(clusters(found(&bench("fresh").on(fresh.clone())).unwrap()), alone);
        assert_eq!(asked(&later) + 3, asked(&fresh), "three rounds were there");
        std::fs::remove_dir_all(at("fresh")).unwrap();
        let left = Store::open(at(&shared)).unwrap().usage().unwrap().count;
        assert_eq!(left, 2, "but for the clusters of both sides nothing is kept");
    }
}
