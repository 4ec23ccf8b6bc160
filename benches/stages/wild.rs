//! Pairs in the wild at the size of Flickr30k, or with `-- million` at that of a million pairs.

use super::time;
use ndarray::{Array2, Axis};
use protostill::{
    machine,
    pipeline::{
        Ctx,
        methods::{coreset::coreset, need::by_need},
        ridge::targets::{TargetSettings, solve},
        space::embeddings::Embeddings,
        trust::{TrustSettings, trust},
    },
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// What images and captions have in common.
const HIDDEN: usize = 64;

/// Every `per` captions of one image; one caption in five is another image's.
fn pairs(images: usize, per: usize, d: usize) -> Embeddings {
    let side = |side: u64, rows: usize, per: usize| {
        let mix: Vec<f32> = normal(side, HIDDEN * d).collect();
        let mut out = vec![0f32; rows * d];
        out.par_chunks_mut(d).enumerate().for_each(|(i, row)| {
            row.iter_mut().zip(normal((side << 40) + i as u64, d)).for_each(|(o, v)| *o = v);
            for (z, mix) in normal(u64::MAX - (i / per) as u64, HIDDEN).zip(mix.chunks_exact(d)) {
                row.iter_mut().zip(mix).for_each(|(o, m)| *o += z * m);
            }
        });
        Array2::from_shape_vec((rows, d), out).unwrap()
    };
    let shown = |r: usize| if r.is_multiple_of(5) { r * 7919 % images } else { r / per };
    let image_of = (0..images * per).map(|r| shown(r) as u32).collect();
    Embeddings::new(side(1, images, 1), side(2, images * per, per), image_of).unwrap()
}

/// Numbers that are nearly Gaussian.
fn normal(seed: u64, n: usize) -> impl Iterator<Item = f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..n).map(move |_| (0..4).map(|_| rng.random::<f32>() - 0.5).sum())
}

pub fn wild(million: bool) {
    let ((images, per, d), ctx) = (if million { (1_000_000, 1, 512) } else { (29_000, 5, 768) }, Ctx::quiet());
    let data = pairs(images, per, d);
    let (held, before) = (4 * d * (images + data.pairs()), machine::reset_peak());
    let found =
        time(&format!("trust, {} x {d}", data.pairs()), || trust(&data, &TrustSettings::default(), &ctx).unwrap());
    let chosen = time("100 images by need", || by_need(&data, &found.weights, 100, 0.3, &ctx).unwrap());
    let at: Vec<usize> = chosen.iter().map(|&i| i as usize).collect();
    let pictures = data.image.view().select(Axis(0), &at);
    time("their targets", || solve(pictures.view(), &data, &found.weights, &TargetSettings::default(), &ctx).unwrap());
    let besides = |before: Option<u64>| {
        if let (Some(before), Some(peak)) = (before, machine::peak()) {
            println!("  memory besides the data, as a share of it: {:.3}", (peak - before) as f64 / held as f64);
        }
    };
    besides(before);
    let before = machine::reset_peak();
    time("100 pairs of a coreset", || coreset(&data, &found.weights, 100, &ctx).unwrap());
    besides(before);
}
