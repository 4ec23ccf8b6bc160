//! Clustering and what surrounds it, against scikit-learn and scipy (`tools/golden/cluster.py` made the numbers).
#![allow(clippy::unwrap_used)]

use ndarray::{Array2, ArrayView2};
use protostill::{
    data::{ImageId, Pair},
    pipeline::{
        Ctx,
        cluster::{ClusterSettings, Clusters, ImageClusters, TextClusters, fit, fit_from},
        prototypes::{
            EmptySupport, PrototypeSettings, Prototypes,
            assign::{assign, best_assignment},
            caption::{CaptionSettings, captions},
            prototypes,
        },
        space::{
            embeddings::{Embeddings, Kept},
            noise::clean_split,
            stats::{StatsSettings, effective_rank, similarities, stats},
        },
        trust::prune::{PruneMethod, PruneSettings, prune},
    },
};
use safetensors::SafeTensors;
use std::collections::BTreeSet;

struct Golden {
    bytes: Vec<u8>,
    numbers: serde_json::Value,
}

impl Golden {
    fn load() -> Self {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/cluster");
        let numbers = std::fs::read_to_string(format!("{dir}.json")).unwrap();
        Self {
            bytes: std::fs::read(format!("{dir}.safetensors")).unwrap(),
            numbers: serde_json::from_str(&numbers).unwrap(),
        }
    }

    fn matrix(&self, name: &str) -> Array2<f32> {
        let all = SafeTensors::deserialize(&self.bytes).unwrap();
        let view = all.tensor(name).unwrap();
        let values = view.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
        Array2::from_shape_vec((view.shape()[0], view.shape().get(1).copied().unwrap_or(1)), values).unwrap()
    }

    fn ints(&self, name: &str) -> Vec<u32> {
        let all = SafeTensors::deserialize(&self.bytes).unwrap();
        let view = all.tensor(name).unwrap();
        view.data().chunks_exact(4).map(|b| i32::from_le_bytes(b.try_into().unwrap()) as u32).collect()
    }

    fn number(&self, name: &str) -> f64 {
        self.numbers[name].as_f64().unwrap_or_else(|| panic!("{name}"))
    }

    fn data(&self) -> Embeddings {
        let (image, text) = (self.matrix("X"), self.matrix("Y"));
        let image_of = (0..image.nrows() as u32).collect();
        Embeddings::new(image, text, image_of).unwrap()
    }

    /// scikit-learn's clusters of the kept rows.
    fn clusters(&self) -> (ImageClusters, TextClusters) {
        let one = |name: &str, data: Array2<f32>| {
            let labels = self.ints(&format!("kept_{name}_labels"));
            let rows = self.ints("kept");
            let mut centroids = Array2::<f32>::zeros((20, data.ncols()));
            let mut size = [0f32; 20];
            for (&label, &row) in labels.iter().zip(&rows) {
                let mut centre = centroids.row_mut(label as usize);
                centre += &data.row(row as usize);
                size[label as usize] += 1.0;
            }
            centroids.outer_iter_mut().zip(size).for_each(|(mut c, s)| c /= s);
            Clusters { centroids, labels, inertia: 0.0, iterations: 0 }
        };
        (ImageClusters(one("X", self.matrix("X"))), TextClusters(one("Y", self.matrix("Y"))))
    }

    fn prototypes(&self, empty: EmptySupport) -> Prototypes {
        let (image, text) = self.clusters();
        let matching = assign(&image, &text, &Ctx::quiet()).unwrap();
        let settings = PrototypeSettings { empty };
        let kept = Kept(self.ints("kept"));
        prototypes(&self.data(), &kept, (&image, &text), &matching, &settings, &Ctx::quiet()).unwrap()
    }
}

fn close(a: &[f32], b: ArrayView2<f32>, row: usize) -> bool {
    a.iter().zip(b.row(row)).all(|(x, y)| (x - y).abs() < 1e-5)
}

#[test]
fn pruning_keeps_numpys_rows() {
    let (golden, ctx) = (Golden::load(), Ctx::quiet());
    let scores = similarities(&golden.data(), &ctx).unwrap();
    let expected = golden.matrix("self_sim");
    assert!(scores.iter().zip(expected.iter()).all(|(a, b)| (a - b).abs() < 1e-6));
    assert_eq!(
        prune(&golden.data(), &PruneSettings { method: PruneMethod::ClipScore, ..Default::default() }, &ctx).unwrap().0,
        golden.ints("kept")
    );
}

#[test]
fn lloyd_from_given_centres_ends_where_scikit_learn_ends() {
    let golden = Golden::load();
    // To where no row changes: of what is saved by stopping before, the two judge differently.
    for (kind, weighted) in [("given", false), ("weighted", true)] {
        for name in ["X", "Y"] {
            let rows = golden.matrix(name);
            let weight = |i: usize| if weighted { 1 + i as u32 % 4 } else { 1 };
            let weights: Vec<u32> = (0..rows.nrows()).map(weight).collect();
            let settings = ClusterSettings { prototypes: 20, tolerance: 0.0, ..Default::default() };
            let start = rows.slice(ndarray::s![..20, ..]);
            let found = fit_from(rows.view(), &weights, start, &settings, &Ctx::quiet()).unwrap();
            let expected = &golden.numbers[format!("{kind}_{name}")];
            assert_eq!(found.labels, golden.ints(&format!("{kind}_{name}_labels")), "{kind} {name}");
            assert_eq!(found.iterations as u64, expected["rounds"].as_u64().unwrap(), "{kind} {name}");
            let inertia = expected["inertia"].as_f64().unwrap();
            assert!((found.inertia / inertia - 1.0).abs() < 1e-5, "{kind} {name}: {} {inertia}", found.inertia);
        }
    }
}

#[test]
fn where_lloyd_ends_linfa_stays() {
    use linfa::traits::{Fit, Predict};
    use linfa_clustering::{KMeans, KMeansInit};
    let rows = Golden::load().matrix("X");
    let settings = ClusterSettings { prototypes: 20, tolerance: 0.0, ..Default::default() };
    let ours = fit(rows.view(), &vec![1; rows.nrows()], &settings, &Ctx::quiet()).unwrap();
    let data = linfa::DatasetBase::from(rows.mapv(f64::from));
    let theirs = KMeans::params(20)
        .init_method(KMeansInit::Precomputed(ours.centroids.mapv(f64::from)))
        .n_runs(1)
        .max_n_iterations(300)
        .tolerance(1e-12)
        .fit(&data)
        .unwrap();
    let gap = ours.centroids.iter().zip(theirs.centroids()).map(|(&a, b)| (f64::from(a) - b).abs()).fold(0.0, f64::max);
    assert!(gap < 1e-5, "{gap}");
    let labels: Vec<u32> = theirs.predict(data.records()).iter().map(|&l| l as u32).collect();
    assert_eq!(labels, ours.labels);
    // linfa's inertia is a mean.
    assert!((ours.inertia / 1500.0 - theirs.inertia()).abs() < 1e-5 * theirs.inertia());
}

#[test]
fn a_few_starts_beat_twenty_of_scikit_learn() {
    let golden = Golden::load();
    for name in ["X", "Y"] {
        for k in [20, 50, 200] {
            let rows = golden.matrix(name);
            let settings = ClusterSettings { prototypes: k, ..Default::default() };
            let found = fit(rows.view(), &vec![1; rows.nrows()], &settings, &Ctx::quiet()).unwrap();
            let (mini, lloyd) =
                (golden.number(&format!("minibatch_{name}_k{k}")), golden.number(&format!("lloyd_{name}_k{k}")));
            assert!(found.inertia <= mini, "{name} {k}: {} > {mini}", found.inertia);
            // Its full k-means, too: give or take what the one local optimum differs from the other.
            assert!(found.inertia <= lloyd * 1.002, "{name} {k}: {} > {lloyd}", found.inertia);
        }
    }
}

#[test]
fn the_table_and_its_assignment_are_scipys() {
    let golden = Golden::load();
    let (image, text) = golden.clusters();
    let matching = assign(&image, &text, &Ctx::quiet()).unwrap();
    assert_eq!(matching.table.iter().copied().collect::<Vec<_>>(), golden.ints("table"));
    assert_eq!(matching.gain as f64, golden.number("gain"));
}

#[test]
fn ties_cost_no_gain() {
    let golden = Golden::load();
    let gain: Vec<i64> = golden.ints("ties").into_iter().map(i64::from).collect();
    let gain = Array2::from_shape_vec((60, 60), gain).unwrap();
    let columns = best_assignment(gain.view(), &Ctx::quiet()).unwrap();
    let total: i64 = columns.iter().enumerate().map(|(i, &j)| gain[[i, j]]).sum();
    assert_eq!(total as f64, golden.number("ties_gain"));
}

#[test]
fn prototypes_are_the_means_over_the_shared_rows() {
    let golden = Golden::load();
    let (columns, support) = (golden.ints("columns"), golden.ints("support"));
    let (images, texts) = (golden.matrix("prototype_image"), golden.matrix("prototype_text"));
    let found = golden.prototypes(EmptySupport::Drop);
    assert_eq!(found.empty, support.iter().filter(|&&s| s == 0).count());
    assert_eq!(found.list.len() + found.empty, 20);
    for p in &found.list {
        let i = p.image_cluster.0 as usize;
        // Several assignments may share the best gain; scipy's row is comparable where both chose alike.
        assert_eq!(p.text_cluster.0, columns[i]);
        assert_eq!(p.support, support[i]);
        assert!(close(&p.image, images.view(), i) && close(&p.text, texts.view(), i));
    }
    assert!(found.list.windows(2).all(|w| w[0].similarity >= w[1].similarity));
}

#[test]
fn no_policy_for_empty_supports_makes_a_nan() {
    // Two image clusters, two text clusters; every row lies in image 0, text 0 or image 1, text 0, but one.
    let image = ndarray::arr2(&[[1.0, 0.0], [1.1, 0.0], [0.0, 1.0], [0.0, 2.0]]);
    let text = ndarray::arr2(&[[1.0, 0.1], [1.0, 0.2], [0.9, 0.3], [-5.0, 1.0]]);
    let data = Embeddings::new(image, text, vec![0, 1, 2, 0]).unwrap();
    let clusters = |labels: Vec<u32>| Clusters { centroids: Array2::ones((2, 2)), labels, inertia: 0.0, iterations: 1 };
    let (image, text) = (ImageClusters(clusters(vec![0, 0, 1, 0])), TextClusters(clusters(vec![0, 0, 0, 1])));
    let matching = assign(&image, &text, &Ctx::quiet()).unwrap();
    let kept = Kept(vec![0, 1, 2, 3]);
    for (empty, expected) in [(EmptySupport::Drop, 2), (EmptySupport::Centroid, 2), (EmptySupport::Rematch, 2)] {
        let settings = PrototypeSettings { empty };
        let found = prototypes(&data, &kept, (&image, &text), &matching, &settings, &Ctx::quiet()).unwrap();
        assert!(found.list.len() + found.empty >= expected, "{empty:?}");
        assert!(found.list.iter().all(|p| p.similarity.is_finite() && p.image.iter().all(|v| v.is_finite())));
    }
    // Forced the other way round: image 1 with text 1 shares nothing.
    let forced = protostill::pipeline::prototypes::assign::Matching {
        text_of: [0, 1].map(protostill::pipeline::cluster::TextCluster).to_vec(),
        ..matching
    };
    let with = |empty| {
        let settings = PrototypeSettings { empty };
        prototypes(&data, &kept, (&image, &text), &forced, &settings, &Ctx::quiet()).unwrap()
    };
    assert_eq!((with(EmptySupport::Drop).list.len(), with(EmptySupport::Drop).empty), (1, 1));
    let rematched = with(EmptySupport::Rematch);
    let of_one = rematched.list.iter().find(|p| p.image_cluster.0 == 1).unwrap();
    assert_eq!((of_one.text_cluster.0, &of_one.rows), (0, &vec![2]));
    let centroid = with(EmptySupport::Centroid);
    assert!(centroid.list.iter().any(|p| p.support == 0 && p.image == [1.0, 1.0]));
}

#[test]
fn captions_rank_as_numpy_ranks_them_and_can_be_made_distinct() {
    let golden = Golden::load();
    let found = golden.prototypes(EmptySupport::Drop);
    let pair = |i: usize| Pair { image: ImageId(i as u32), caption: format!("caption {i}") };
    let pairs: Vec<Pair> = (0..1500).map(pair).collect();
    let data = golden.data();
    let choose = |settings: &CaptionSettings| captions(&found.list, &data, &pairs, settings, &Ctx::quiet()).unwrap();
    let ranking = golden.ints("captions");
    for (p, choice) in found.list.iter().zip(choose(&CaptionSettings::default())) {
        let rows: Vec<u32> = choice.candidates.iter().take(5).map(|c| c.row).collect();
        assert_eq!(rows, ranking[p.image_cluster.0 as usize * 5..][..5]);
        assert_eq!((choice.candidates.len(), choice.chosen), (20, 0));
    }
    // The same prototype twice: the nearest caption repeats unless told otherwise.
    let mut twice = found.list.clone();
    twice.extend(found.list.clone());
    let different = |distinct| {
        let settings = CaptionSettings { candidates: 3, distinct, ..Default::default() };
        let chosen = captions(&twice, &data, &pairs, &settings, &Ctx::quiet()).unwrap();
        chosen.iter().map(|c| c.text(&pairs).to_owned()).collect::<BTreeSet<_>>().len()
    };
    assert!(different(false) <= found.list.len());
    assert_eq!(different(true), twice.len());
}

#[test]
fn stats_are_numpys() {
    let (golden, ctx) = (Golden::load(), Ctx::quiet());
    let rank = effective_rank(golden.matrix("X").view(), &ctx).unwrap();
    assert!((rank / golden.number("effective_rank_X") - 1.0).abs() < 1e-5, "{rank}");
    let settings = StatsSettings { duplicate: 0.9, ..Default::default() };
    let found = stats(&golden.data(), &Kept(golden.ints("kept")), &settings, &ctx).unwrap();
    assert!((found.modality_gap - golden.number("modality_gap")).abs() < 1e-5);
    assert_eq!(found.duplicates.count as f64, golden.number("pairs_above_0.9"));
    for (ours, theirs) in found.image.norms.at.iter().zip(golden.numbers["norms_X"].as_array().unwrap()) {
        assert!((ours - theirs.as_f64().unwrap()).abs() < 1e-4);
    }
    assert_eq!((found.kept.quantiles.count, found.pruned.quantiles.count), (1200, 300));
    let counts = |a: &protostill::pipeline::space::stats::Agreement| a.histogram.counts.iter().sum::<usize>();
    assert_eq!((counts(&found.kept), counts(&found.pruned)), (1200, 300));
    assert!(serde_json::to_string(&found).is_ok());
}

#[test]
fn the_clean_posterior_is_scikit_learns() {
    let golden = Golden::load();
    let scores = similarities(&golden.data(), &Ctx::quiet()).unwrap();
    let split = clean_split(&scores).unwrap();
    let expected = golden.matrix("clean");
    let gap = split.posterior.iter().zip(expected.iter()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    // Two programs stop their EM within a tolerance of the same optimum, not at the same point.
    assert!(split.note.is_none() && gap < 0.1, "{gap}");
}
