//! Seconds of every stage: the demo from nothing to recall, and the heavy parts at the size of Flickr30k.
//! `cargo bench --bench stages`; of it the part on pairs in the wild alone with `-- wild`, on a million with `-- million`.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "stages/wild.rs"]
mod wild;

use ndarray::{Array2, Axis};
use protostill::{
    config::Config,
    data::{
        ImageId,
        world::{DEFAULT_SEED, WorldSpec, dataset},
    },
    pipeline::{
        Ctx,
        cluster::{ClusterSettings, fit, fit_from},
        score::evaluate::{self, Captions, Images, Texts},
        store::Store,
        workbench::{Checkpoints, Workbench},
    },
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::time::Instant;

fn main() {
    // `cargo test --benches` only wants to know that this links and starts.
    if std::env::args().any(|a| a == "--test") {
        return;
    }
    println!("threads: {}", rayon::current_num_threads());
    let asked = |part| std::env::args().any(|a| a == part);
    if asked("wild") || asked("million") {
        return wild::wild(asked("million"));
    }
    the_demo();
    clustering();
    protocol();
    wild::wild(false);
}

fn time<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let made = work();
    println!("{what:<56} {:8.2} s", start.elapsed().as_secs_f64());
    made
}

fn the_demo() {
    let home = tempfile::tempdir().unwrap();
    let config = Config::load(None).unwrap().checked().unwrap();
    let checkpoints = Checkpoints::demo();
    let spec = WorldSpec::new(config.data.scenes, 0.0, DEFAULT_SEED);
    let world = time("demo: draw the world", || dataset(&spec).unwrap());
    let store = Store::open(home.path().to_owned()).unwrap();
    let bench = Workbench::new(world, checkpoints, store, protostill::models::device::Backend::CPU);
    let ctx = Ctx::quiet();
    let set = time("demo: distil 50 pairs", || bench.distil(&config.recipe(), &ctx).unwrap());
    time("demo: evaluate, 2 encoders x 5 runs", || {
        bench.evaluate(&set, &config.evaluation, config.seed, &ctx).unwrap()
    });
    for (stage, seconds) in bench.seconds() {
        println!("  {stage:<54} {seconds:8.2} s");
    }
}

/// Rows around `groups` centres.
fn rows(n: usize, d: usize, groups: usize) -> Array2<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut noise = |n| Array2::from_shape_simple_fn((n, d), || rng.random_range(-1f32..1.0));
    let centres = noise(groups);
    let of: Vec<usize> = (0..n).map(|i| i * 7919 % groups).collect();
    noise(n) * 1.5 + centres.select(Axis(0), &of)
}

fn clustering() {
    let rows = rows(29_000, 768, 300);
    let ones = vec![1; rows.nrows()];
    let settings = |prototypes| ClusterSettings { prototypes, ..ClusterSettings::default() };
    let ctx = Ctx::quiet();
    let found = time("k-means, 29,000 x 768, M = 100", || fit(rows.view(), &ones, &settings(100), &ctx).unwrap());
    time("k-means again from there, M = 120", || {
        fit_from(rows.view(), &ones, found.centroids.view(), &settings(120), &ctx).unwrap()
    });
}

/// 1,000 images, 5,000 captions, 100 pairs, 2 encoders, 5 runs, at the paper's widths.
fn protocol() {
    let (text, images) = (rows(100, 768, 100), rows(100, 1000, 100));
    let (test_text, test_images) = (rows(5000, 768, 1000), rows(1000, 1000, 100));
    let image_of: Vec<ImageId> = (0..5000).map(|t| ImageId(t / 5)).collect();
    let (ctx, settings) = (Ctx::quiet(), evaluate::Settings::default());
    let of = |encoder| Images { encoder, train: images.view(), test: test_images.view(), val: None };
    let test = Captions { text: test_text.view(), image_of: &image_of };
    let texts = Texts { train: text.view(), soft: None, test, val: None };
    time("protocol, 768 to 1,000, 100 pairs, 2 encoders x 5 runs", || {
        let both = [of("a"), of("b")];
        evaluate::evaluate(&both, &texts, &settings, 0, &ctx).unwrap()
    });
}
