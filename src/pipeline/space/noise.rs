//! Clean or mismatched: a two-part Gaussian mixture of the pairs' losses, as DivideMix and NCR split noisy data.

use crate::error::Result;
use linfa::{DatasetBase, traits::Fit};
use linfa_clustering::GaussianMixtureModel;
use ndarray::{Array1, Array2, ArrayView1, Axis};
use serde::{Deserialize, Serialize};

/// How likely each pair is clean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CleanSplit {
    /// Posterior of the part of lower loss, per pair; 1 everywhere if no mixture fits.
    pub posterior: Vec<f32>,
    /// Share of pairs whose posterior is below one half.
    pub doubtful: f64,
    /// Why no mixture was fitted, if so.
    pub note: Option<String>,
}

/// Fits the mixture to the losses `1 - cosine`, scaled to [0, 1]. linfa starts it from k-means with a fixed seed.
///
/// # Errors
/// None at present: data that no mixture fits give a split that says so.
pub fn clean_split(similarities: &[f32]) -> Result<CleanSplit> {
    Ok(fit(similarities).unwrap_or_else(|note| CleanSplit {
        posterior: vec![1.0; similarities.len()],
        doubtful: 0.0,
        note: Some(note),
    }))
}

fn fit(similarities: &[f32]) -> std::result::Result<CleanSplit, String> {
    let (low, high) =
        similarities.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &v| (low.min(v), high.max(v)));
    if similarities.len() < 4 || high - low <= 1e-6 {
        return Err("the pairs' cosines are all alike".into());
    }
    let loss: Array1<f64> = similarities.iter().map(|&v| f64::from(high - v) / f64::from(high - low)).collect();
    let records = column(loss.view());
    let model = GaussianMixtureModel::params(2)
        .max_n_iterations(500)
        .tolerance(1e-5)
        // No part is narrower than 1/32 of the range: no density in [0, 1] can then underflow to a NaN.
        .reg_covariance(1e-3)
        .fit(&DatasetBase::from(records.clone()))
        .map_err(|e| format!("no mixture fits: {e}"))?;
    let clean = usize::from(model.means()[[1, 0]] < model.means()[[0, 0]]);
    let posterior: Vec<f32> = model.predict_proba(&records).column(clean).iter().map(|&p| p as f32).collect();
    if posterior.iter().any(|p| !p.is_finite()) {
        return Err("the mixture's densities are out of range".into());
    }
    let doubtful = posterior.iter().filter(|&&p| p < 0.5).count() as f64 / posterior.len() as f64;
    Ok(CleanSplit { posterior, doubtful, note: None })
}

/// The rows as a view of one column, for crates that want a matrix.
fn column(values: ArrayView1<f64>) -> Array2<f64> {
    values.to_owned().insert_axis(Axis(1))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use rand::SeedableRng as _;
    use rand_distr::{Distribution, Normal};

    #[test]
    fn mismatched_pairs_are_told_from_clean_ones() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(3);
        let (clean, noise) = (Normal::new(0.3, 0.03).unwrap(), Normal::new(0.1, 0.04).unwrap());
        let scores: Vec<f32> =
            (0..4000).map(|i| if i % 5 == 0 { noise.sample(&mut rng) } else { clean.sample(&mut rng) }).collect();
        let split = clean_split(&scores).unwrap();
        assert_eq!(split.note, None);
        assert!((split.doubtful - 0.2).abs() < 0.02, "{}", split.doubtful);
        let right = split.posterior.iter().enumerate().filter(|(i, p)| (i % 5 == 0) == (**p < 0.5)).count();
        assert!(right > 3900, "{right}");
    }

    #[test]
    fn degenerate_losses_give_a_stated_result() {
        for scores in [vec![], vec![0.3; 50], vec![0.1, 0.2], (0..50).map(|i| f32::from(i == 0)).collect()] {
            let split = clean_split(&scores).unwrap();
            assert_eq!(split.posterior.len(), scores.len());
            assert!(split.posterior.iter().all(|p| (0.0..=1.0).contains(p)), "{:?}", split);
        }
    }
}
