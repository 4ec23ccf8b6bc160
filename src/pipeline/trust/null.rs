//! What mismatched pairs score, and what follows for the others.

/// Quantiles of the null at which the scores below are counted.
const QUANTILES: [f64; 4] = [0.2, 0.3, 0.4, 0.5];
/// Bins of the densities.
const BINS: usize = 60;
/// Of two bounds that are to hold together in 95 of 100 cases.
const RISK: f64 = 0.025;

/// Scores of mismatched pairs, ascending.
pub(super) struct Null(Vec<f32>);

impl Null {
    /// `None` if there are none.
    pub fn new(scores: &[f32]) -> Option<Self> {
        let mut sorted = scores.to_vec();
        sorted.sort_unstable_by(f32::total_cmp);
        (!sorted.is_empty()).then_some(Self(sorted))
    }

    /// The value below which a share `q` lies (numpy's linear rule).
    fn quantile(&self, q: f64) -> f64 {
        let place = q * (self.0.len() - 1) as f64;
        let (low, high) = (self.0[place.floor() as usize], self.0[place.ceil() as usize]);
        f64::from(low) + (f64::from(high) - f64::from(low)) * place.fract()
    }

    /// The share of mismatched pairs among `scores`: where hardly a matched pair scores, how many pairs there are for each of
    /// the null.
    pub fn share(&self, scores: &[f32]) -> f64 {
        let ratio = |q: f64| {
            let at = self.quantile(q);
            scores.iter().filter(|&&s| f64::from(s) <= at).count() as f64 / scores.len().max(1) as f64 / q
        };
        let mut ratios = QUANTILES.map(ratio);
        ratios.sort_by(f64::total_cmp);
        ((ratios[1] + ratios[2]) / 2.0).clamp(0.0, 1.0)
    }

    /// The share is no higher with 95 % confidence: at every score, mismatched pairs alone are no more than all pairs. Both
    /// distributions are known up to `sqrt(ln(1 / risk) / 2n)`, with n the images: captions of one image are not drawn apart.
    pub fn upper(&self, scores: &[f32], images: usize) -> f64 {
        let off = ((1.0 / RISK).ln() / (2.0 * images.max(1) as f64)).sqrt();
        let mut sorted = scores.to_vec();
        sorted.sort_unstable_by(f32::total_cmp);
        let share = |of: &[f32], at: f64| of.partition_point(|&s| f64::from(s) <= at) as f64 / of.len().max(1) as f64;
        let bound = |k: usize| {
            let at = self.quantile(k as f64 / 200.0);
            let null = share(&self.0, at) - off;
            if null > 0.0 { (share(&sorted, at) + off) / null } else { 1.0 }
        };
        (1..200).map(bound).fold(1.0, f64::min)
    }

    /// 1 - the local false discovery rate of `scores` if a `share` of them is mismatched.
    pub fn weights(&self, scores: &[f32], share: f64) -> Vec<f32> {
        let all = scores.iter().chain(&self.0);
        let (low, high) = all.fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), &s| (l.min(s), h.max(s)));
        let (low, high) = (f64::from(low) - 1e-6, f64::from(high) + 1e-6);
        let step = (high - low) / BINS as f64;
        let (f, f0) = (density(scores, low, step), density(&self.0, low, step));
        let mut rate = vec![0.0; BINS];
        let mut most = 0.0f64;
        for k in (0..BINS).rev() {
            most = most.max((share * f0[k] / f[k].max(1e-9)).clamp(0.0, 1.0));
            rate[k] = most;
        }
        let weight = |&s: &f32| {
            let place = ((f64::from(s) - low) / step - 0.5).clamp(0.0, (BINS - 1) as f64);
            let (a, b) = (rate[place.floor() as usize], rate[place.ceil() as usize]);
            (1.0 - (a + (b - a) * place.fract())) as f32
        };
        scores.iter().map(weight).collect()
    }

    /// The share of the null at or above `at`.
    pub fn above(&self, at: f32) -> f64 {
        1.0 - self.0.partition_point(|&s| s < at) as f64 / self.0.len() as f64
    }

    /// At most `n` of the scores, evenly spaced.
    pub fn sample(&self, n: usize) -> Vec<f32> {
        let n = n.min(self.0.len());
        (0..n).map(|k| self.0[(2 * k + 1) * self.0.len() / (2 * n)]).collect()
    }
}

/// Shares of `values` in equal bins from `low`, smoothed.
fn density(values: &[f32], low: f64, step: f64) -> Vec<f64> {
    let mut count = vec![0.0; BINS];
    values.iter().for_each(|&v| count[(((f64::from(v) - low) / step) as usize).min(BINS - 1)] += 1.0);
    let at = |k: isize| count[k.clamp(0, BINS as isize - 1) as usize] / values.len() as f64;
    let smooth = |k: isize| (at(k - 2) + 2.0 * at(k - 1) + 3.0 * at(k) + 2.0 * at(k + 1) + at(k + 2)) / 9.0;
    (0..BINS as isize).map(smooth).collect()
}
