//! Noise schedules: how much of the image is left at each training time step.

use crate::{
    error::{Error, Result},
    models::weights::Part,
};
use serde::Deserialize;
use std::f64::consts::FRAC_PI_2;

/// `scheduler_config.json` of any of diffusers' schedulers that share these keys. `None` stands for an absent key
/// whose default differs between the schedulers.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct ScheduleConfig {
    /// The class that wrote the file, e.g. `PNDMScheduler`.
    #[serde(rename = "_class_name")]
    pub class: String,
    /// How many time steps the network was trained on.
    pub num_train_timesteps: usize,
    /// The first beta.
    pub beta_start: f64,
    /// The last beta.
    pub beta_end: f64,
    /// `linear`, `scaled_linear` or `squaredcos_cap_v2`.
    pub beta_schedule: String,
    /// Explicit betas, in place of a schedule.
    pub trained_betas: Option<Vec<f64>>,
    /// `epsilon`, `v_prediction` or (DDIM) `sample`.
    pub prediction_type: String,
    /// `leading`, `linspace` or `trailing`.
    pub timestep_spacing: String,
    /// Added to each time step of `leading`.
    pub steps_offset: usize,
    /// Whether nothing is left of the noise before time step 0 (else: what is left at time step 0).
    pub set_alpha_to_one: Option<bool>,
    /// PNDM without its Runge-Kutta start.
    pub skip_prk_steps: bool,
    /// DDIM: clip the predicted image.
    pub clip_sample: Option<bool>,
    /// DDIM: to this range.
    pub clip_sample_range: f64,
    /// DDIM: dynamic thresholding; not supported.
    pub thresholding: bool,
    /// Rescaled betas; not supported.
    pub rescale_betas_zero_snr: bool,
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self {
            class: String::new(),
            num_train_timesteps: 1000,
            beta_start: 0.0001,
            beta_end: 0.02,
            beta_schedule: "linear".into(),
            trained_betas: None,
            prediction_type: "epsilon".into(),
            timestep_spacing: "leading".into(),
            steps_offset: 0,
            set_alpha_to_one: None,
            skip_prk_steps: false,
            clip_sample: None,
            clip_sample_range: 1.,
            thresholding: false,
            rescale_betas_zero_snr: false,
        }
    }
}

/// What the network's output means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prediction {
    /// The noise.
    Epsilon,
    /// The velocity (arXiv 2202.00512).
    Velocity,
    /// The image.
    Sample,
}

/// A schedule ready for use.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// The file's content.
    pub config: ScheduleConfig,
    /// What the network's output means.
    pub prediction: Prediction,
    alphas_cumprod: Vec<f64>,
}

impl Schedule {
    /// Reads `scheduler_config.json` of `part`.
    ///
    /// # Errors
    /// [`Error::Input`] naming the key that is not supported.
    pub fn load(part: &Part<'_>) -> Result<Self> {
        let file = "scheduler_config.json";
        Self::new(part.json(file)?).map_err(|message| Error::input(part.path(file), message))
    }

    /// The schedule that `config` asks for, or what is wrong with it.
    pub(crate) fn new(config: ScheduleConfig) -> std::result::Result<Self, String> {
        let prediction = match config.prediction_type.as_str() {
            "epsilon" => Prediction::Epsilon,
            "v_prediction" => Prediction::Velocity,
            "sample" => Prediction::Sample,
            other => return Err(format!("`prediction_type` {other} is not supported")),
        };
        if config.thresholding || config.rescale_betas_zero_snr {
            return Err("`thresholding` and `rescale_betas_zero_snr` are not supported".into());
        }
        if !["leading", "linspace", "trailing"].contains(&config.timestep_spacing.as_str()) {
            return Err(format!("`timestep_spacing` {} is not known", config.timestep_spacing));
        }
        let betas = betas(&config)?;
        if betas.is_empty() || betas.iter().any(|b| !(0. ..=1.).contains(b)) {
            return Err("the betas must lie in 0..1".into());
        }
        let mut product = 1.;
        let alphas_cumprod = betas.iter().map(|beta| {
            product *= 1. - beta;
            product
        });
        Ok(Self { prediction, alphas_cumprod: alphas_cumprod.collect(), config })
    }

    /// Number of training time steps.
    pub fn len(&self) -> usize {
        self.alphas_cumprod.len()
    }

    /// Never: a schedule has at least one step.
    pub fn is_empty(&self) -> bool {
        self.alphas_cumprod.is_empty()
    }

    /// The share of the image's variance that is left at time step `t`; past the end, as at the end.
    pub fn alpha(&self, t: usize) -> f64 {
        self.alphas_cumprod[t.min(self.len() - 1)]
    }

    /// The time steps of `steps` inference steps, in rising order.
    pub(super) fn spaced(&self, steps: usize) -> Vec<i64> {
        let (train, steps_f) = (self.len(), steps as f64);
        match self.config.timestep_spacing.as_str() {
            // numpy rounds halves to even.
            "linspace" => {
                let gap = if steps > 1 { (train - 1) as f64 / (steps_f - 1.) } else { 0. };
                (0..steps).map(|i| (i as f64 * gap).round_ties_even() as i64).collect()
            }
            "trailing" => {
                let gap = train as f64 / steps_f;
                let down = (0..steps).map(|i| (train as f64 - i as f64 * gap).round_ties_even() as i64 - 1);
                down.rev().collect()
            }
            _ => (0..steps).map(|i| (i * (train / steps) + self.config.steps_offset) as i64).collect(),
        }
    }
}

fn betas(c: &ScheduleConfig) -> std::result::Result<Vec<f64>, String> {
    if let Some(betas) = &c.trained_betas {
        return Ok(betas.clone());
    }
    let n = c.num_train_timesteps;
    if n == 0 || n > 1_000_000 {
        return Err(format!("`num_train_timesteps` is {n}"));
    }
    let line = |a: f64, b: f64| (0..n).map(move |i| a + (b - a) * i as f64 / (n.max(2) - 1) as f64);
    match c.beta_schedule.as_str() {
        "linear" => Ok(line(c.beta_start, c.beta_end).collect()),
        "scaled_linear" => Ok(line(c.beta_start.sqrt(), c.beta_end.sqrt()).map(|b| b * b).collect()),
        // diffusers' `betas_for_alpha_bar`, after arXiv 2102.09672.
        "squaredcos_cap_v2" => {
            let alpha_bar = |i: usize| ((i as f64 / n as f64 + 0.008) / 1.008 * FRAC_PI_2).cos().powi(2);
            Ok((0..n).map(|i| (1. - alpha_bar(i + 1) / alpha_bar(i)).min(0.999)).collect())
        }
        other => Err(format!("`beta_schedule` {other} is not supported")),
    }
}
