//! The evaluation protocol as a whole: what it depends on, what it reports, how it ends.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use ndarray::{Array2, Axis, s};
use protostill::{
    data::ImageId,
    error::Error,
    pipeline::{
        Ctx, Report,
        score::evaluate::{Captions, EncoderRecall, Images, Selection, Settings, Texts, evaluate},
    },
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

/// Features of a world in which captions say what images show, more or less.
struct World {
    train: [Array2<f32>; 2],
    val: [Array2<f32>; 2],
    test: [Array2<f32>; 2],
    image_of: Vec<ImageId>,
}

fn world(pairs: usize, images: usize, each: usize, text: usize, classes: usize) -> World {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let mut noise = |rows, columns| Array2::from_shape_simple_fn((rows, columns), || rng.random_range(-1f32..1.0));
    let view = noise(text, classes);
    let mut split = |rows: usize, each: usize| {
        let topics = noise(rows, text);
        let image = topics.dot(&view) + noise(rows, classes);
        let rows: Vec<usize> = (0..rows * each).map(|t| t / each).collect();
        [image, topics.select(Axis(0), &rows) + 0.5 * noise(rows.len(), text)]
    };
    let image_of = (0..images * each).map(|t| ImageId((t / each) as u32)).collect();
    World { train: split(pairs, 1), val: split(images, each), test: split(images, each), image_of }
}

fn judge(world: &World, settings: &Settings, seed: u64, ctx: &Ctx) -> protostill::error::Result<Vec<EncoderRecall>> {
    let [train, val, test] = [&world.train, &world.val, &world.test];
    let images = |encoder| Images { encoder, train: train[0].view(), test: test[0].view(), val: Some(val[0].view()) };
    let of = |text| Captions { text, image_of: &world.image_of };
    let texts = Texts { train: train[1].view(), soft: None, test: of(test[1].view()), val: Some(of(val[1].view())) };
    evaluate(&[images("vit"), images("nf_resnet")], &texts, settings, seed, ctx)
}

fn short() -> Settings {
    Settings { runs: 3, epochs: 21, drop_at: 11, batch: 32, ..Settings::default() }
}

#[test]
fn results_depend_on_the_seed_and_not_on_the_threads() {
    let world = world(40, 50, 5, 16, 12);
    let pool = |n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
    let [one, four] = [1, 4].map(|n| pool(n).install(|| judge(&world, &short(), 5, &Ctx::quiet()).unwrap()));
    assert_eq!(one, four);
    assert_eq!(one[0].runs, one[1].runs, "the same features, whatever the encoder is called");
    let other = judge(&world, &short(), 6, &Ctx::quiet()).unwrap();
    assert_ne!(one[0].runs, other[0].runs);
    let [first, second, third] = one[0].runs[..] else { panic!() };
    assert!(first != second && second != third, "every run starts elsewhere");
    let mean = (first.ir[0] + second.ir[0] + third.ir[0]) / 3.0;
    let sd = ([first, second, third].iter().map(|r| (r.ir[0] - mean).powi(2)).sum::<f64>() / 3.0).sqrt();
    assert!((one[0].mean.ir[0] - mean).abs() < 1e-9 && (one[0].sd.ir[0] - sd).abs() < 1e-9);
}

#[test]
fn a_student_that_learned_beats_chance_by_far() {
    let world = world(100, 60, 5, 16, 12);
    let chance = 100.0 * (1.0 + 5.0 + 10.0) / 60.0 / 3.0;
    for outcome in judge(&world, &Settings { runs: 2, ..Settings::default() }, 0, &Ctx::quiet()).unwrap() {
        assert!(outcome.r_mean > 2.0 * chance, "{} of {chance}", outcome.r_mean);
    }
}

#[test]
fn selection_looks_at_its_split_and_says_so() {
    let world = world(40, 50, 5, 16, 12);
    let run = |selection| {
        let reports = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&reports);
        let ctx = Ctx::new(Arc::default(), move |report| {
            if let Report::Point { series, x, y } = report {
                sink.lock().unwrap().push((series, x, y));
            }
        });
        let outcome = judge(&world, &Settings { selection, ..short() }, 1, &ctx).unwrap();
        let points = reports.lock().unwrap().clone();
        (outcome, points)
    };
    let (last, points) = run(Selection::Last);
    assert_eq!(last[0].epochs, [20; 3]);
    assert_eq!(points.iter().filter(|(s, ..)| s == "vit/run 2/loss").count(), 21);
    assert!(points.iter().any(|(s, x, y)| s == "vit/run 2/R-mean" && *x == 20.0 && *y == last[0].runs[1].r_mean()));

    let (best, points) = run(Selection::BestOnTest);
    let seen: Vec<_> = points.iter().filter(|(s, ..)| s == "vit/run 1/R-mean, best-on-test (reference)").collect();
    assert_eq!(
        seen.iter().map(|(_, x, _)| *x).collect::<Vec<_>>(),
        (0..11).map(|i| 2.0 * f64::from(i)).collect::<Vec<_>>()
    );
    let top = seen.iter().map(|(_, _, y)| *y).fold(0.0, f64::max);
    assert_eq!(best[0].runs[0].r_mean(), top);
    assert!(best[0].r_mean >= last[0].r_mean);

    let (chosen, points) = run(Selection::Validation);
    let seen = points.iter().filter(|(s, ..)| s == "vit/run 1/R-mean, validation");
    let (x, _) = seen.map(|(_, x, y)| (*x, *y)).fold((0.0, -1.0), |a, b| if b.1 > a.1 { b } else { a });
    assert_eq!(chosen[0].epochs[0] as f64, x);
}

#[test]
fn cancelling_ends_an_evaluation_within_an_epoch() {
    let cancel = Arc::new(AtomicBool::new(false));
    let (setter, steps) = (Arc::clone(&cancel), Arc::new(Mutex::new(0)));
    let count = Arc::clone(&steps);
    let ctx = Ctx::new(cancel, move |report| {
        if let Report::Step { done, .. } = report {
            *count.lock().unwrap() += 1;
            if done == 5 {
                setter.store(true, Ordering::Relaxed);
            }
        }
    });
    let outcome = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let outcome = outcome.install(|| judge(&world(40, 50, 5, 16, 12), &short(), 1, &ctx));
    assert!(matches!(outcome, Err(Error::Cancelled)));
    assert_eq!(*steps.lock().unwrap(), 5);
}

#[test]
fn numbers_and_settings_that_cannot_work_are_refused_before_training() {
    let message =
        |world: &World, settings: &Settings| judge(world, settings, 0, &Ctx::quiet()).unwrap_err().to_string();
    let good = || world(20, 10, 2, 8, 6);
    let mut nan = good();
    nan.train[1][[3, 0]] = f32::NAN;
    assert!(message(&nan, &short()).contains("row 3"));
    let mut few = good();
    few.train[0] = few.train[0].slice(s![..19, ..]).to_owned();
    assert!(message(&few, &short()).contains("expected 19, found 20"));
    let mut narrow = good();
    narrow.test[0] = narrow.test[0].slice(s![.., ..5]).to_owned();
    assert!(message(&narrow, &short()).contains("width of the image features"));
    for (settings, name) in [
        (Settings { runs: 0, ..short() }, "evaluation.runs"),
        (Settings { lr: f64::NAN, ..short() }, "evaluation.lr"),
        (Settings { dropout: 1.0, ..short() }, "evaluation.dropout"),
        (Settings { temperature: 0.0, ..short() }, "evaluation.temperature"),
    ] {
        assert!(message(&good(), &settings).starts_with(name));
    }
    let unknown = serde_json::from_str::<Settings>(r#"{"learning_rate": 0.1}"#).unwrap_err().to_string();
    assert!(unknown.contains("learning_rate"), "{unknown}");
    assert_eq!(serde_json::from_str::<Settings>("{}").unwrap(), Settings::default());
}
