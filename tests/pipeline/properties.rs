//! What holds for any numbers.
#![allow(clippy::unwrap_used)]

use ndarray::{Array2, Axis};
use proptest::prelude::*;
use protostill::pipeline::{
    Ctx,
    cluster::{ClusterSettings, Clusters, Search, cluster_images, cluster_texts, fit, fit_from},
    methods::{
        Method,
        select::{nearest_pairs, real_pairs},
    },
    prototypes::{
        EmptySupport, PrototypeSettings,
        assign::{assign, best_assignment},
        prototypes,
    },
    space::{
        embeddings::Embeddings,
        nearest::{Side, nearest},
    },
    trust::prune::{PruneMethod, PruneSettings, prune},
};
use rand::{Rng, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// Rows around a few centres; `copies` of them doubled, as real data are.
fn cloud(n: usize, d: usize, seed: u64) -> Array2<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut normal =
        |scale: f32| -> f32 { scale * <StandardNormal as Distribution<f32>>::sample(&StandardNormal, &mut rng) };
    let centres = Array2::from_shape_simple_fn((7, d), || normal(2.0));
    let mut rows = Array2::from_shape_simple_fn((n, d), || normal(0.7));
    rows.outer_iter_mut().enumerate().for_each(|(i, mut row)| row += &centres.row(i * i % 7));
    for i in (3..n).step_by(10) {
        let copy = rows.row(i - 1).to_owned();
        rows.row_mut(i).assign(&copy);
    }
    rows
}

fn data(images: usize, per_image: usize, d: usize, seed: u64) -> Embeddings {
    let n = images * per_image;
    let image_of = (0..n as u32).map(|r| r / per_image as u32).collect();
    Embeddings::new(cloud(images, d, seed), cloud(n, d, seed + 1), image_of).unwrap()
}

fn settings(m: usize, seed: u64) -> ClusterSettings {
    ClusterSettings { prototypes: m, n_init: 2, seed, ..Default::default() }
}

fn sound(c: &Clusters, n: usize, m: usize) {
    assert_eq!((c.labels.len(), c.centroids.nrows()), (n, m));
    let mut size = vec![0; m];
    c.labels.iter().for_each(|&l| size[l as usize] += 1);
    assert!(size.iter().all(|&s| s > 0), "{size:?}");
    assert!(c.inertia.is_finite() && c.centroids.iter().all(|v| v.is_finite()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn clusters_are_finite_and_never_empty(n in 20usize..400, d in 1usize..20, m in 1usize..16, seed in 0u64..1000) {
        let rows = cloud(n, d, seed);
        let found = fit(rows.view(), &vec![1; n], &settings(m, seed), &Ctx::quiet()).unwrap();
        sound(&found, n, m);
    }

    #[test]
    fn other_numbers_of_clusters_grow_from_an_earlier_result(n in 60usize..300, m in 2usize..12, to in 1usize..20, seed in 0u64..99) {
        let rows = cloud(n, 5, seed);
        let first = fit(rows.view(), &vec![1; n], &settings(m, seed), &Ctx::quiet()).unwrap();
        let next = fit_from(rows.view(), &vec![1; n], first.centroids.view(), &settings(to, seed), &Ctx::quiet()).unwrap();
        sound(&next, n, to);
        if to >= m {
            prop_assert!(next.inertia <= first.inertia * 1.0001);
        }
    }

    #[test]
    fn pruning_keeps_exactly_the_rest(images in 1usize..60, per in 1usize..6, ratio in 0.0f64..0.999, seed in 0u64..1000) {
        let d = data(images, per, 4, seed);
        let kept = prune(&d, &PruneSettings { ratio, method: PruneMethod::ClipScore }, &Ctx::quiet()).unwrap();
        let n = images * per;
        prop_assert_eq!(kept.0.len(), n - (ratio * n as f64).floor() as usize);
        prop_assert!(kept.0.windows(2).all(|w| w[0] < w[1]));
    }

    #[test]
    fn no_permutation_beats_the_assignment(n in 1usize..30, top in 1i64..50, seed in 0u64..1000) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let gain = Array2::from_shape_simple_fn((n, n), || rng.random_range(0..top));
        let total = |p: &[usize]| p.iter().enumerate().map(|(i, &j)| gain[[i, j]]).sum::<i64>();
        let best = best_assignment(gain.view(), &Ctx::quiet()).unwrap();
        let mut other: Vec<usize> = (0..n).collect();
        let mut sorted = best.clone();
        sorted.sort_unstable();
        prop_assert_eq!(&sorted, &other);
        for _ in 0..200 {
            other.shuffle(&mut rng);
            prop_assert!(total(&other) <= total(&best));
        }
    }

    #[test]
    fn the_whole_chain_gives_no_nan_under_any_policy(images in 20usize..80, m in 1usize..18, seed in 0u64..1000) {
        let (d, ctx) = (data(images, 3, 6, seed), Ctx::quiet());
        let kept = prune(&d, &PruneSettings::default(), &ctx).unwrap();
        let Ok(image) = cluster_images(&d, &kept, Search::Anew, &settings(m, seed), &ctx) else { return Ok(()) };
        let text = cluster_texts(&d, &kept, Search::Anew, &settings(m, seed), &ctx).unwrap();
        let matching = assign(&image, &text, &ctx).unwrap();
        for empty in [EmptySupport::Drop, EmptySupport::Centroid, EmptySupport::Rematch] {
            let set = PrototypeSettings { empty };
            let found = prototypes(&d, &kept, (&image, &text), &matching, &set, &ctx).unwrap();
            let dropped = if empty == EmptySupport::Drop { found.empty } else { 0 };
            prop_assert_eq!(found.list.len() + dropped, m);
            for p in &found.list {
                prop_assert!(p.similarity.is_finite() && p.image.iter().chain(&p.text).all(|v| v.is_finite()));
                prop_assert!(p.support > 0 || empty == EmptySupport::Centroid);
            }
            for method in [Method::NearestImage, Method::NearestText] {
                let Ok(real) = nearest_pairs(method, &d, &kept, &found.list, &ctx) else { continue };
                let rows: std::collections::BTreeSet<_> = real.iter().map(|p| p.row).collect();
                prop_assert_eq!(rows.len(), found.list.len());
            }
        }
        for method in [Method::Random, Method::Kcenter, Method::Herding, Method::ClipScore] {
            let real = real_pairs(method, &d, m, seed, &ctx).unwrap();
            let rows: std::collections::BTreeSet<_> = real.iter().map(|p| p.row).collect();
            prop_assert_eq!(rows.len(), m);
        }
    }

    #[test]
    fn the_nearest_are_those_of_a_plain_search(n in 1usize..1300, m in 1usize..5, seed in 0u64..1000) {
        let (rows, queries) = (cloud(n, 5, seed), cloud(m, 5, seed + 1));
        let (few, others) = (cloud(9, 3, seed + 2), cloud(m, 3, seed + 3));
        let of: Vec<u32> = (0..n).map(|r| (r * 7 % 9) as u32).collect();
        let sides = [
            Side { queries: queries.view(), rows: rows.view(), of: None },
            Side { queries: others.view(), rows: few.view(), of: Some(&of) },
        ];
        let sides = &sides[..1 + seed as usize % 2];
        let found = nearest(sides, 7, |r| r % 3 != 1, &Ctx::quiet()).unwrap();
        for (q, list) in found.iter().enumerate() {
            let cosine = |r: usize| {
                let one = |side: &Side| {
                    let (a, b) = (side.queries.row(q), side.rows.row(side.of.map_or(r, |of| of[r] as usize)));
                    a.dot(&b) / (a.dot(&a) * b.dot(&b)).sqrt()
                };
                sides.iter().map(one).sum::<f32>() / sides.len() as f32
            };
            let mut all: Vec<f32> = (0..n).filter(|r| r % 3 != 1).map(cosine).collect();
            all.sort_by(|a, b| b.total_cmp(a));
            prop_assert_eq!(list.len(), all.len().min(7));
            for (c, best) in list.iter().zip(&all) {
                prop_assert!((c.similarity - best).abs() < 1e-5 && (cosine(c.row as usize) - best).abs() < 1e-5);
            }
        }
    }
}

#[test]
fn one_thread_and_three_give_the_same_bytes() {
    let d = data(2000, 2, 48, 5);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let ctx = Ctx::quiet();
            let kept = prune(&d, &PruneSettings::default(), &ctx).unwrap();
            let image = cluster_images(&d, &kept, Search::Anew, &settings(60, 1), &ctx).unwrap();
            let text = cluster_texts(&d, &kept, Search::Anew, &settings(60, 1), &ctx).unwrap();
            let matching = assign(&image, &text, &ctx).unwrap();
            let set = PrototypeSettings::default();
            let found = prototypes(&d, &kept, (&image, &text), &matching, &set, &ctx).unwrap();
            let stats = protostill::pipeline::space::stats::stats(&d, &kept, &Default::default(), &ctx).unwrap();
            let herding = real_pairs(Method::Herding, &d, 50, 1, &ctx).unwrap();
            (image, text, found, serde_json::to_string(&stats).unwrap(), herding)
        })
    };
    assert!(run(1) == run(3));
}

#[test]
fn a_sample_of_the_rows_starts_large_sets_and_all_of_them_finish_it() {
    let rows = cloud(14_000, 8, 9);
    let found = fit(rows.view(), &vec![1; rows.nrows()], &settings(30, 1), &Ctx::quiet()).unwrap();
    sound(&found, 14_000, 30);
    let nearest = |r: usize| {
        let gap = |k: usize| (&rows.row(r) - &found.centroids.row(k)).mapv(|v| v * v).sum();
        (0..30).min_by(|&a, &b| gap(a).total_cmp(&gap(b))).unwrap() as u32
    };
    let same = (0..14_000).filter(|&r| nearest(r) == found.labels[r]).count();
    assert!(same > 13_990, "{same}");
}

#[test]
fn starts_in_a_narrow_space_end_among_all_columns_on_any_number_of_threads() {
    let rows = cloud(1500, 300, 4);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| fit(rows.view(), &vec![1; 1500], &settings(20, 3), &Ctx::quiet()).unwrap())
    };
    let found = run(1);
    assert!(found == run(3));
    sound(&found, 1500, 20);
    let gap = |r: usize, k: usize| (&rows.row(r) - &found.centroids.row(k)).mapv(|v| f64::from(v * v)).sum();
    let own: f64 = (0..1500).map(|r| gap(r, found.labels[r] as usize)).sum();
    assert!((own / found.inertia - 1.0).abs() < 1e-5);
    assert!((0..1500).all(|r| (0..20).all(|k| gap(r, k) >= gap(r, found.labels[r] as usize) * (1.0 - 1e-5))));
    // Fewer distinct rows than the narrow space has axes.
    let few = Array2::from_shape_fn((1500, 300), |(i, j)| ((i % 60 * 7 + j * 3) % 61) as f32);
    let exact = fit(few.view(), &vec![1; 1500], &settings(60, 1), &Ctx::quiet()).unwrap();
    assert!(exact.inertia < 1e-6, "{}", exact.inertia);
}

#[test]
fn more_clusters_than_rows_is_an_error_with_both_numbers() {
    let rows = cloud(5, 3, 1);
    let error = fit(rows.view(), &[1; 5], &settings(9, 1), &Ctx::quiet()).unwrap_err().to_string();
    assert!(error.contains('9') && error.contains('5'), "{error}");
    let same = Array2::from_shape_fn((50, 3), |(i, _)| (i % 4) as f32);
    let error = fit(same.view(), &[1; 50], &settings(6, 1), &Ctx::quiet()).unwrap_err().to_string();
    assert!(error.contains("6 ") && error.contains("4 distinct"), "{error}");
    let exact = fit(same.view(), &[1; 50], &settings(4, 1), &Ctx::quiet()).unwrap();
    assert_eq!(exact.inertia, 0.0);
}

#[test]
fn nan_is_refused_and_a_cancelled_job_stops() {
    let mut rows = cloud(50, 3, 1);
    let cancelled = Ctx::new(std::sync::Arc::new(true.into()), |_| {});
    assert!(matches!(
        fit(rows.view(), &[1; 50], &settings(4, 1), &cancelled),
        Err(protostill::error::Error::Cancelled)
    ));
    rows[[7, 1]] = f32::NAN;
    let error = fit(rows.view(), &[1; 50], &settings(4, 1), &Ctx::quiet()).unwrap_err().to_string();
    assert!(error.contains("row 7"), "{error}");
}

#[test]
fn an_unknown_method_is_told_all_that_there_are() {
    let error = "k-centre".parse::<Method>().unwrap_err().to_string();
    assert!(Method::all().all(|m| error.contains(m.name())), "{error}");
}

#[test]
fn the_smallest_data_and_rows_that_are_not_there_do_not_panic() {
    let ctx = Ctx::quiet();
    for (images, per, d) in [(0, 1, 4), (1, 1, 1), (1, 3, 1), (2, 1, 3)] {
        let tiny = data(images, per, d, 3);
        let n = images * per;
        let kept = prune(&tiny, &PruneSettings { ratio: 0.0, ..Default::default() }, &ctx).unwrap();
        let found = protostill::pipeline::space::stats::stats(&tiny, &kept, &Default::default(), &ctx).unwrap();
        assert!(serde_json::to_string(&found).unwrap().find("null").is_none_or(|_| found.mixture_note.is_none()));
        assert_eq!(cluster_images(&tiny, &kept, Search::Anew, &settings(1, 1), &ctx).is_ok(), n > 0);
        for method in [Method::Random, Method::Kcenter, Method::Herding, Method::ClipScore] {
            assert_eq!(real_pairs(method, &tiny, n, 1, &ctx).unwrap().len(), n);
            assert!(real_pairs(method, &tiny, n + 1, 1, &ctx).is_err());
        }
        let absent = protostill::pipeline::space::embeddings::Kept(vec![99]);
        assert!(cluster_images(&tiny, &absent, Search::Anew, &settings(1, 1), &ctx).is_err());
        assert!(cluster_texts(&tiny, &absent, Search::Anew, &settings(1, 1), &ctx).is_err());
    }
}

/// As long as no cluster runs empty: the row that then fills it moves alone, without its copies.
#[test]
fn a_weight_is_that_many_copies() {
    for seed in 0..40 {
        let (n, m) = (60 + 3 * seed as usize, 2 + seed as usize % 6);
        let rows = cloud(n, 6, seed);
        let weights: Vec<u32> = (0..n as u32).map(|i| 1 + i % 3).collect();
        let copies: Vec<usize> = (0..n).flat_map(|i| std::iter::repeat_n(i, weights[i] as usize)).collect();
        let spread = rows.select(Axis(0), &copies);
        // Rows 2 and 3 are alike.
        let start = rows.slice(ndarray::s![4..4 + m, ..]);
        let set = ClusterSettings { tolerance: 0.0, ..settings(m, seed) };
        let a = fit_from(rows.view(), &weights, start, &set, &Ctx::quiet()).unwrap();
        let b = fit_from(spread.view(), &vec![1; copies.len()], start, &set, &Ctx::quiet()).unwrap();
        let expected: Vec<u32> = copies.iter().map(|&i| a.labels[i]).collect();
        assert_eq!(b.labels, expected, "seed {seed}");
        assert!((a.inertia - b.inertia).abs() <= 1e-5 * a.inertia);
    }
}
