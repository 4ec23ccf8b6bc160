//! Mismatched pairs that no null knows: where the scores have two humps, the lower one.

use super::null::Sorted;
use crate::{error::Result, pipeline::space::noise::clean_split};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal};

/// Most scores that are looked at; of the lower hump four times as many are drawn.
const SAMPLE: usize = 5000;
/// By how much two humps have to be better than one: 10 counts as very strong (Kass and Raftery 1995), but no scores are quite
/// Gaussian.
const BETTER: f64 = 100.0;
/// How far apart humps are, in their mean deviation. Above 2 there are two (Ashman, Bird and Zepf 1994); from 4 on hardly a score
/// is between them, so that the share does not depend on their form.
const APART: f64 = 4.0;

/// The lower of two humps, if there are two: its share, and scores drawn from it.
pub(super) fn lower(scores: &Sorted) -> Result<Option<(f64, Sorted)>> {
    let scores = scores.sample(SAMPLE);
    let split = clean_split(&scores)?;
    if split.note.is_some() {
        return Ok(None);
    }
    let [low, high] = [true, false].map(|low| {
        let weight = |p: &f32| f64::from(if low { 1.0 - *p } else { *p });
        Hump::new(scores.iter().zip(&split.posterior).map(|(&s, p)| (f64::from(s), weight(p))))
    });
    let one = Hump::new(scores.iter().map(|&s| (f64::from(s), 1.0)));
    let total = low.weight + high.weight;
    let two = |s: f64| (low.weight * low.density(s) + high.weight * high.density(s)) / total;
    let gain: f64 = scores.iter().map(|&s| (two(s.into()) / one.density(s.into())).max(f64::MIN_POSITIVE).ln()).sum();
    // Three more numbers to fit.
    let better = 2.0 * gain - 3.0 * (scores.len() as f64).ln();
    let apart = 2f64.sqrt() * (high.mean - low.mean) / (high.variance + low.variance).sqrt();
    if !(better > BETTER && apart > APART) {
        return Ok(None);
    }
    let Ok(normal) = Normal::new(low.mean, low.variance.sqrt()) else { return Ok(None) };
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let drawn: Vec<f32> = (0..4 * SAMPLE).map(|_| normal.sample(&mut rng) as f32).collect();
    Ok(Sorted::new(&drawn).map(|drawn| (low.weight / total, drawn)))
}

/// A Gaussian.
struct Hump {
    weight: f64,
    mean: f64,
    variance: f64,
}

impl Hump {
    fn new(values: impl Iterator<Item = (f64, f64)> + Clone) -> Self {
        let weight = values.clone().map(|v| v.1).sum::<f64>().max(f64::MIN_POSITIVE);
        let mean = values.clone().map(|(v, w)| w * v).sum::<f64>() / weight;
        let variance = values.map(|(v, w)| w * (v - mean).powi(2)).sum::<f64>() / weight;
        Self { weight, mean, variance: variance.max(1e-12) }
    }

    fn density(&self, v: f64) -> f64 {
        (-(v - self.mean).powi(2) / (2.0 * self.variance)).exp() / (std::f64::consts::TAU * self.variance).sqrt()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn drawn(n: usize, mean: f32, deviation: f32) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(n as u64);
        let normal = Normal::new(mean, deviation).unwrap();
        (0..n).map(|_| normal.sample(&mut rng)).collect()
    }

    #[test]
    fn two_humps_apart_are_seen_and_one_however_skewed_is_not_split() {
        let two = Sorted::new(&[drawn(3000, 1.0, 0.5), drawn(7000, 4.0, 0.5)].concat()).unwrap();
        let (share, null) = lower(&two).unwrap().unwrap();
        assert!((share - 0.3).abs() < 0.02 && (null.quantile(0.5) - 1.0).abs() < 0.1, "{share}");
        let skewed: Vec<f32> = drawn(10_000, 0.0, 1.0).iter().map(|v| -(0.5 * v).exp()).collect();
        for one in [drawn(10_000, 4.0, 0.5), skewed, vec![1.0; 50], vec![2.0]] {
            assert!(lower(&Sorted::new(&one).unwrap()).unwrap().is_none());
        }
    }
}
