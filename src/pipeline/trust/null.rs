//! What mismatched pairs score, and what follows for the others.

use rayon::prelude::*;

/// Bins of the densities.
const BINS: usize = 60;
/// Of two bounds that are to hold together in 95 of 100 cases.
const RISK: f64 = 0.025;
/// Standard errors by which a share may be above another that was read at a lower score.
const AGREE: f64 = 1.5;

/// Scores, ascending; at least one.
pub(super) struct Sorted(Vec<f32>);

impl Sorted {
    /// `None` if there are none.
    pub fn new(scores: &[f32]) -> Option<Self> {
        let mut sorted = scores.to_vec();
        sorted.par_sort_unstable_by(f32::total_cmp);
        (!sorted.is_empty()).then_some(Self(sorted))
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The score below which a share `q` lies (numpy's linear rule).
    pub fn quantile(&self, q: f64) -> f64 {
        let place = q * (self.0.len() - 1) as f64;
        let (low, high) = (self.0[place.floor() as usize], self.0[place.ceil() as usize]);
        f64::from(low) + (f64::from(high) - f64::from(low)) * place.fract()
    }

    /// The share at or below `at`.
    pub fn below(&self, at: f64) -> f64 {
        self.0.partition_point(|&s| f64::from(s) <= at) as f64 / self.0.len() as f64
    }

    /// At most `n` of the scores, evenly spaced.
    pub fn sample(&self, n: usize) -> Vec<f32> {
        let n = n.min(self.0.len());
        (0..n).map(|k| self.0[(2 * k + 1) * self.0.len() / (2 * n)]).collect()
    }
}

/// The share of mismatched pairs among `scores`: below a score that matched pairs hardly have, there are so many pairs for each
/// of the `null`. The lower the score, the surer that is and the fewer there are; it is read at the highest quantile of the
/// null at which it is not above what is read at the lower ones (after Lepski 1991).
pub(super) fn share(scores: &Sorted, null: &Sorted) -> f64 {
    let (mut high, mut best) = (f64::INFINITY, 0.0);
    for q in (2..20).map(|k| f64::from(k) / 20.0) {
        let (read, error) = ratio(scores, null, q);
        if read - AGREE * error > high {
            break;
        }
        (high, best) = (high.min(read + AGREE * error), read);
    }
    best.clamp(0.0, 1.0)
}

/// Scores for each of the null's, up to its quantile `q`, and the standard error of that.
fn ratio(scores: &Sorted, null: &Sorted, q: f64) -> (f64, f64) {
    let (n, below) = (scores.len() as f64, scores.below(null.quantile(q)));
    (below / q, ((below + 1.0 / n) * (1.0 - below) / n).max(0.0).sqrt() / q)
}

/// What mismatched pairs score, in parts: the share of each among all pairs, and its scores.
pub(super) struct Mismatched(pub Vec<(f64, Sorted)>);

impl Mismatched {
    /// The share of all parts.
    pub fn share(&self) -> f64 {
        self.0.iter().map(|part| part.0).sum::<f64>().min(1.0)
    }

    /// The share is no higher with 95 % confidence: at every score, mismatched pairs alone are no more than all pairs. Of the
    /// parts that holds with the one that scores highest, the last. The distributions of scores and null are known up to
    /// `sqrt(ln(1 / risk) / 2n)`, with n the images behind each: captions of one image are not drawn apart.
    pub fn upper(&self, scores: &Sorted, images: [usize; 2]) -> f64 {
        let [off, off_null] = images.map(|n| ((1.0 / RISK).ln() / (2.0 * n.max(1) as f64)).sqrt());
        let Some((_, null)) = self.0.last() else { return 1.0 };
        let bound = |k: usize| {
            let at = null.quantile(k as f64 / 200.0);
            let left = null.below(at) - off_null;
            if left > 0.0 { (scores.below(at) + off) / left } else { 1.0 }
        };
        (1..=200).map(bound).fold(1.0, f64::min).max(self.share())
    }

    /// 1 - the local false discovery rate of `scores`, which never falls as the score rises.
    pub fn weights(&self, scores: &[f32], sorted: &Sorted) -> Vec<f32> {
        let all = || self.0.iter().map(|part| &part.1).chain([sorted]);
        let low = all().map(|s| s.quantile(0.001)).fold(f64::INFINITY, f64::min) - 1e-6;
        let high = all().map(|s| s.quantile(0.999)).fold(f64::NEG_INFINITY, f64::max) + 1e-6;
        let step = (high - low) / BINS as f64;
        let f = density(sorted, low, step);
        let mut wrong = vec![0.0; BINS];
        for (share, null) in &self.0 {
            wrong.iter_mut().zip(density(null, low, step)).for_each(|(w, v)| *w += share * v);
        }
        let mut most = 0f64;
        for k in (0..BINS).rev() {
            most = most.max((wrong[k] / f[k].max(1e-9)).min(1.0));
            wrong[k] = most;
        }
        let weight = |&s: &f32| {
            let place = ((f64::from(s) - low) / step - 0.5).clamp(0.0, (BINS - 1) as f64);
            let (a, b) = (wrong[place.floor() as usize], wrong[place.ceil() as usize]);
            (1.0 - (a + (b - a) * place.fract())) as f32
        };
        scores.iter().map(weight).collect()
    }

    /// The share of all pairs that is mismatched and scores `at` or more.
    pub fn above(&self, at: f32) -> f64 {
        let above = |null: &Sorted| 1.0 - null.0.partition_point(|&s| s < at) as f64 / null.len() as f64;
        self.0.iter().map(|(share, null)| share * above(null)).sum()
    }
}

/// Shares of the scores in equal bins from `low`, what lies outside in the end bins, smoothed.
fn density(scores: &Sorted, low: f64, step: f64) -> Vec<f64> {
    let mut count = vec![0.0; BINS];
    scores.0.iter().for_each(|&v| count[(((f64::from(v) - low) / step).max(0.0) as usize).min(BINS - 1)] += 1.0);
    let at = |k: isize| count[k.clamp(0, BINS as isize - 1) as usize] / scores.len() as f64;
    let smooth = |k: isize| (at(k - 2) + 2.0 * at(k - 1) + 3.0 * at(k) + 2.0 * at(k + 1) + at(k + 2)) / 9.0;
    (0..BINS as isize).map(smooth).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, Normal};

    fn drawn(n: usize, mean: f32, seed: u64) -> Vec<f32> {
        let normal = Normal::new(mean, 1.0).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..n).map(|_| normal.sample(&mut rng)).collect()
    }

    /// Scores of which a share is drawn as the null is, the others 4 above.
    fn mixed(n: usize, share: f64, seed: u64) -> Vec<f32> {
        let wrong = (share * n as f64) as usize;
        [drawn(wrong, 0.0, seed), drawn(n - wrong, 4.0, seed + 1)].concat()
    }

    #[test]
    fn the_share_is_read_to_three_hundredths_and_clean_pairs_to_one() {
        let null = Sorted::new(&drawn(20_000, 0.0, 99)).unwrap();
        for share_true in [0.0, 0.05, 0.2, 0.4, 0.6, 0.8, 1.0] {
            for seed in 0..5 {
                let found = share(&Sorted::new(&mixed(5000, share_true, 10 * seed)).unwrap(), &null);
                let off = if share_true == 0.0 { 0.01 } else { 0.03 };
                assert!((found - share_true).abs() < off, "{share_true}: {found}");
            }
        }
    }

    #[test]
    fn weights_rise_with_the_score_and_the_bound_and_the_expected_are_kept() {
        let null = drawn(20_000, 0.0, 99);
        for share_true in [0.05, 0.4, 0.8] {
            let scores = mixed(5000, share_true, 7);
            let sorted = Sorted::new(&scores).unwrap();
            let null = Sorted::new(&null).unwrap();
            let wrong = Mismatched(vec![(share(&sorted, &null), null)]);
            let weights = wrong.weights(&scores, &sorted);
            let mut order: Vec<usize> = (0..5000).collect();
            order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
            assert!(order.windows(2).all(|w| weights[w[0]] <= weights[w[1]]));
            let kept: Vec<usize> = (0..5000).filter(|&i| weights[i] >= 0.5).collect();
            let among = kept.iter().filter(|&&i| i < (share_true * 5000.0) as usize).count() as f64;
            let lowest = kept.iter().map(|&i| scores[i]).fold(f32::INFINITY, f32::min);
            let expected = 5000.0 * wrong.above(lowest);
            assert!(among > 0.0 && expected / among < 2.0 && among / expected < 2.0, "{expected} {among}");
            let upper = wrong.upper(&sorted, [5000, 5000]);
            assert!(upper > share_true && upper < share_true + 0.06, "{share_true} {upper}");
        }
    }
}
