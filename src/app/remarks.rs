//! What is amiss, where it shows, and the setting to change.

use super::{model::Noise, runs, state::State};

/// A bound on the share of mismatched pairs above which nothing is told.
const UNTOLD: f64 = 0.95;
/// Recall below so many times that of a guess is near it.
const NEAR_CHANCE: f64 = 1.5;

impl State {
    /// Warnings about the data and the checkpoints, most telling first.
    pub fn warnings(&self) -> Vec<String> {
        let mut all = self.remarks.clone();
        let wanted = self.draft.config.cluster.prototypes;
        // Counting is cheap only where it can matter.
        if self.measured.is_some() && wanted > self.rows.images / 8 {
            let most = self.most_prototypes();
            if wanted > most {
                all.push(format!("{wanted} prototypes of {most} distinct images: `:prototypes {most}`, or prune less"));
            }
        }
        if let Some(noise) = self.measured.as_ref().and_then(|m| m.noise.as_ref())
            && self.alike(noise)
        {
            all.push("matched and mismatched pairs score alike: CLIP may not fit these data (`models.clip`)".into());
        }
        all.extend(self.near_chance());
        all
    }

    /// Whether pairs score as captions re-paired at random do.
    fn alike(&self, noise: &Noise) -> bool {
        let Some(measured) = &self.measured else { return false };
        let middle = measured.order.get(measured.order.len() / 2).map_or(0.0, |&row| measured.scores[row as usize]);
        noise.upper >= UNTOLD && middle < 1.0
    }

    /// Said if what was judged last recalls little more than a guess.
    fn near_chance(&self) -> Option<String> {
        let [.., mean] = runs::chance(self.rows.judged_on)?;
        let last = self.scores.last()?;
        let near = last.encoders.iter().find(|e| e.r_mean[0] < NEAR_CHANCE * mean)?;
        Some(format!(
            "{} recalls {:.1}, a guess {mean:.1}: encoder or CLIP may not fit these data (`evaluation.encoders`, `models.clip`)",
            near.encoder, near.r_mean[0]
        ))
    }
}
