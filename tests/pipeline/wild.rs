//! Data with mismatched pairs, and the ways that are made for it, on the demo.
#![allow(clippy::unwrap_used)]

use protostill::{
    config::Config,
    data::world::{DEFAULT_SEED, WorldSpec, dataset},
    models::device::Backend,
    pipeline::{
        Ctx,
        methods::Method,
        recipe::Recipe,
        score::evaluate::Settings,
        set::folder::DistilledSet,
        store::Store,
        workbench::{Checkpoints, Workbench},
    },
};
use std::path::Path;

const SCENES: usize = 400;

fn bench(noise: f32, store: &Path) -> Workbench {
    let world = dataset(&WorldSpec::new(SCENES, noise, DEFAULT_SEED)).unwrap();
    Workbench::new(world, Checkpoints::demo(), Store::open(store).unwrap(), Backend::CPU)
}

pub fn recipe(way: &str, pairs: usize) -> Recipe {
    let mut recipe = Config::load(None).unwrap().checked().unwrap().recipe();
    recipe.method = way.parse().unwrap();
    recipe.cluster.prototypes = pairs;
    (recipe.synthesis.steps, recipe.synthesis.candidates) = (2, 1);
    recipe
}

fn r_mean(bench: &Workbench, set: &DistilledSet) -> f64 {
    let settings = Settings { encoders: vec!["vit".into()], runs: 1, ..Settings::default() };
    bench.evaluate(set, &settings, 5, &Ctx::quiet()).unwrap()[0].r_mean
}

#[test]
fn where_two_in_five_captions_are_swapped_trust_leaves_these_out_and_real_pairs_by_need_teach_most() {
    let folder = tempfile::tempdir().unwrap();
    let bench = bench(0.4, folder.path());
    let found = bench.trust(&Ctx::quiet()).unwrap();
    let shown = WorldSpec::new(SCENES, 0.4, DEFAULT_SEED).shown();
    let wrong: Vec<bool> = shown.iter().enumerate().map(|(row, &scene)| scene != row / 5).collect();
    let truth = wrong.iter().filter(|w| **w).count() as f64 / wrong.len() as f64;
    assert!((found.share - truth).abs() < 0.03 && found.upper >= truth, "{} ≤ {}, {truth}", found.share, found.upper);
    let kept = found.kept().0;
    let left = kept.iter().filter(|&&row| wrong[row as usize]).count();
    assert!(kept.len() as f64 > 0.97 * (1.0 - truth) * wrong.len() as f64, "{} kept", kept.len());
    assert!(left * 50 < kept.len(), "{left} mismatched among {}", kept.len());
    let of = |way: &str| r_mean(&bench, &bench.distil(&recipe(way, 20), &Ctx::quiet()).unwrap());
    let [need, caption, random, kcenter] = ["need+real", "need+real+caption", "random", "kcenter"].map(of);
    assert!(need > 1.15 * caption && caption > 1.3 * random.max(kcenter), "{need} {caption} {random} {kcenter}");
}

#[test]
fn every_way_makes_as_many_pairs_as_asked_for_and_its_set_is_read_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let bench = bench(0.0, &folder.path().join("store"));
    let options = ["+real+mean", "+real+caption", "+real+solved+soft"];
    let all = Method::all().flat_map(|m| options.map(|o| format!("{m}{o}"))).chain(["joint".into()]);
    for way in all {
        let set = bench.distil(&recipe(&way, 6), &Ctx::quiet()).unwrap();
        assert_eq!((set.pairs.len(), set.method.as_str()), (6, &*way));
        assert_eq!(set.correspondence.is_some(), way.ends_with("soft"), "{way}");
        let out = folder.path().join("out");
        set.write(&out, &serde_json::json!({})).unwrap();
        let read = DistilledSet::read(&out).unwrap().set;
        assert_eq!(read.text_prototypes, set.text_prototypes);
        assert_eq!(read.correspondence, set.correspondence);
    }
    // The loss takes the correspondence: the same pairs teach otherwise.
    let soft = bench.distil(&recipe("need+real+soft", 6), &Ctx::quiet()).unwrap();
    let hard = DistilledSet { correspondence: None, ..soft.clone() };
    assert_ne!(r_mean(&bench, &soft), r_mean(&bench, &hard));
}

#[test]
fn more_prototypes_than_trusted_images_are_refused_with_the_number_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let bench = bench(0.0, folder.path());
    for way in ["need+real", "coverage+real", "joint+real", "coreset+real"] {
        let error = bench.distil(&recipe(way, 100_000), &Ctx::quiet()).unwrap_err().to_string();
        assert!(error.contains("100000") && error.contains("cluster.prototypes"), "{error}");
    }
}
