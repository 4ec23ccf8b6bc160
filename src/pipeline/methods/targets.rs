//! How targets are solved, and how alike pairs count.

use crate::{
    error::Result,
    pipeline::targets::{SoftSettings, SolveSettings},
};
use serde::{Deserialize, Serialize};

/// Settings of `solved` targets and of `soft` correspondences.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TargetSettings {
    /// Ridge of the map from captions to images, relative to its mean eigenvalue; above 0.
    pub lam: f64,
    /// Ridge of the pictures' own inner products, relative to their mean; above 0.
    pub mu: f64,
    /// What a pair's correspondence gives to the others, from 0 to 1.
    pub eps: f64,
    /// The temperature of their cosines, above 0.
    pub tau: f64,
}

impl Default for TargetSettings {
    fn default() -> Self {
        let (SolveSettings { lam, mu }, SoftSettings { eps, tau }) = Default::default();
        Self { lam, mu, eps, tau }
    }
}

impl TargetSettings {
    /// # Errors
    /// [`crate::error::Error::Setting`] naming the first that is out of range.
    pub fn check(&self) -> Result<()> {
        self.solve().check()?;
        self.soft().check()
    }

    /// The part about solving.
    pub fn solve(&self) -> SolveSettings {
        SolveSettings { lam: self.lam, mu: self.mu }
    }

    /// The part about correspondences.
    pub fn soft(&self) -> SoftSettings {
        SoftSettings { eps: self.eps, tau: self.tau }
    }
}
