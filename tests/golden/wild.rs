//! Trust, choice by need, solved targets and correspondences, against numpy (`tools/golden/wild.py` made the numbers).
//!
//! What chance decides is given to both. Products are summed in float32 here and in float64 there, so a score may fall into the
//! neighbouring bin of a density: weights differ by what one pair in a bin weighs.
#![allow(clippy::unwrap_used)]

use ndarray::{Array2, Axis};
use protostill::pipeline::{
    Ctx,
    methods::{coreset::coreset, need::by_need},
    ridge::targets::{TargetSettings, soft_correspondence, solve},
    space::embeddings::Embeddings,
    trust::{Draws, Trust, Witness, trust_by},
};
use safetensors::SafeTensors;

struct Golden(Vec<u8>);

impl Golden {
    fn load() -> Self {
        Self(std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/wild.safetensors")).unwrap())
    }

    fn words<T>(&self, name: &str, read: impl Fn([u8; 4]) -> T) -> Vec<T> {
        let all = SafeTensors::deserialize(&self.0).unwrap();
        all.tensor(name).unwrap().data().chunks_exact(4).map(|b| read(b.try_into().unwrap())).collect()
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        self.words(name, f32::from_le_bytes)
    }

    fn ints(&self, name: &str) -> Vec<u32> {
        self.words(name, u32::from_le_bytes)
    }

    fn matrix(&self, name: &str) -> Array2<f32> {
        let all = SafeTensors::deserialize(&self.0).unwrap();
        let shape = all.tensor(name).unwrap().shape().to_vec();
        Array2::from_shape_vec((shape[0], shape[1]), self.floats(name)).unwrap()
    }

    fn data(&self) -> Embeddings {
        Embeddings::new(self.matrix("image"), self.matrix("text"), self.ints("image_of")).unwrap()
    }

    fn trust(&self) -> Trust {
        let draws = Draws { order: self.ints("order"), partners: self.ints("partners") };
        trust_by(&self.data(), &draws, &Ctx::quiet()).unwrap()
    }
}

/// The largest difference.
fn gap(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn trust_is_numpys_where_chance_decides_alike() {
    let golden = Golden::load();
    let (found, numbers) = (golden.trust(), golden.floats("numbers"));
    assert_eq!(found.witness, Witness::Shuffle);
    assert!(gap(&found.scores, &golden.floats("scores")) < 2e-3);
    assert!(gap(&found.weights, &golden.floats("weights")) < 2e-2);
    let ours = [found.share, found.upper, found.expected].map(|v| v as f32);
    assert!((ours[0] - numbers[0]).abs() < 3e-3 && (ours[1] - numbers[1]).abs() < 3e-3, "{ours:?} {numbers:?}");
    assert!((ours[2] - numbers[2]).abs() < 0.1 * numbers[2], "{ours:?} {numbers:?}");
}

#[test]
fn images_are_chosen_by_need_in_numpys_order() {
    let golden = Golden::load();
    let chosen = golden.ints("chosen");
    assert_eq!(by_need(&golden.data(), &golden.floats("weights"), chosen.len(), 0.3, &Ctx::quiet()).unwrap(), chosen);
}

#[test]
fn pairs_that_teach_a_student_are_chosen_and_exchanged_as_in_numpy() {
    let golden = Golden::load();
    let chosen = golden.ints("coreset");
    assert_eq!(coreset(&golden.data(), &golden.floats("weights"), chosen.len(), &Ctx::quiet()).unwrap(), chosen);
}

#[test]
fn targets_and_correspondences_are_numpys() {
    let (golden, ctx) = (Golden::load(), Ctx::quiet());
    let (data, weights, targets) = (golden.data(), golden.floats("weights"), golden.matrix("targets"));
    let chosen: Vec<usize> = golden.ints("chosen").iter().map(|&i| i as usize).collect();
    let pictures = data.image.view().select(Axis(0), &chosen);
    let found = solve(pictures.view(), &data, &weights, &TargetSettings::default(), &ctx).unwrap();
    assert!(gap(found.as_slice().unwrap(), targets.as_slice().unwrap()) < 1e-3);
    let soft = soft_correspondence(targets.view(), &data, &weights, &TargetSettings::default()).unwrap();
    assert!(gap(soft.as_slice().unwrap(), golden.matrix("correspondence").as_slice().unwrap()) < 1e-5);
    assert_eq!(soft, soft.t());
}
