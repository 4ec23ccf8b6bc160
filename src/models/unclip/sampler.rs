//! From noise to image: diffusers' `PNDMScheduler` (arXiv 2202.09778) and `DDIMScheduler` with eta 0 (arXiv 2010.02502).

use super::schedule::{Prediction, Schedule};
use crate::error::{Error, Result};
use candle_core::{Result as Candle, Tensor};
use serde::{Deserialize, Serialize};

/// Which solver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheduler {
    /// Pseudo linear multi-step, as the method's reference uses.
    #[default]
    Pndm,
    /// First order, deterministic.
    Ddim,
}

/// One run of a solver over a batch.
pub struct Sampler<'a> {
    schedule: &'a Schedule,
    solver: Solver,
    timesteps: Vec<i64>,
    /// Training time steps between two inference steps.
    stride: i64,
    final_alpha: f64,
    done: usize,
}

enum Solver {
    Pndm(Box<Pndm>),
    Ddim { clip: Option<f64> },
}

/// What PNDM remembers: the last outputs, the sample a Runge-Kutta round started from, and its weighted output.
#[derive(Default)]
struct Pndm {
    outputs: Vec<Tensor>,
    start: Option<Tensor>,
    sum: Option<Tensor>,
    prk: Vec<i64>,
}

impl<'a> Sampler<'a> {
    /// Plans `steps` steps over `schedule`.
    ///
    /// # Errors
    /// [`Error::Setting`] if the schedule has no room for them.
    pub fn new(kind: Scheduler, schedule: &'a Schedule, steps: usize) -> Result<Self> {
        let train = schedule.len();
        if steps == 0 || steps > train {
            return Err(Error::setting("steps", format!("{steps} is not in 1..={train}")));
        }
        let rising = schedule.spaced(steps);
        if rising.last().is_some_and(|&t| t >= train as i64) {
            let message = format!(
                "{steps} steps from an offset of {} leave the schedule's {train}",
                schedule.config.steps_offset
            );
            return Err(Error::setting("steps", message));
        }
        let (solver, timesteps, one) = match kind {
            Scheduler::Ddim => {
                // clip_sample defaults to true in DDIM's own file; another scheduler's file is silent about it
                // because it never clips, and latents must not be clipped.
                let clip = schedule.config.clip_sample.unwrap_or(schedule.config.class == "DDIMScheduler");
                let clip = clip.then_some(schedule.config.clip_sample_range);
                (Solver::Ddim { clip }, rising.into_iter().rev().collect(), schedule.config.class == "DDIMScheduler")
            }
            Scheduler::Pndm => {
                let (prk, all) = pndm_timesteps(schedule, &rising)?;
                (Solver::Pndm(Box::new(Pndm { prk, ..Pndm::default() })), all, false)
            }
        };
        let one = schedule.config.set_alpha_to_one.unwrap_or(one);
        let final_alpha = if one { 1. } else { schedule.alpha(0) };
        Ok(Self { schedule, solver, timesteps, stride: (train / steps) as i64, final_alpha, done: 0 })
    }

    /// The time steps at which the network is asked, in that order: PNDM asks more often than it has steps.
    pub fn timesteps(&self) -> &[i64] {
        &self.timesteps
    }

    /// The network's estimate of the finished image at time step `t`.
    ///
    /// # Errors
    /// candle's own.
    pub fn predicted(&self, output: &Tensor, t: i64, sample: &Tensor) -> Candle<Tensor> {
        let alpha = self.alpha(t);
        let (a, b) = (alpha.sqrt(), (1. - alpha).sqrt());
        match self.schedule.prediction {
            Prediction::Epsilon => mix(sample, 1. / a, output, -b / a),
            Prediction::Velocity => mix(sample, a, output, -b),
            Prediction::Sample => Ok(output.clone()),
        }
    }

    /// The next sample from the network's `output` for `sample` (both any shape, alike) at the next time step.
    ///
    /// # Errors
    /// candle's own.
    pub fn step(&mut self, output: &Tensor, sample: &Tensor) -> Candle<Tensor> {
        let (i, t) = (self.done, self.timesteps[self.done.min(self.timesteps.len() - 1)]);
        self.done += 1;
        if let Solver::Ddim { clip } = self.solver {
            return self.ddim(output, t, sample, clip);
        }
        let Solver::Pndm(mut state) = std::mem::replace(&mut self.solver, Solver::Ddim { clip: None }) else {
            unreachable!("handled above")
        };
        let next = if i < state.prk.len() {
            self.prk(&mut state, i, output, t, sample)
        } else {
            self.plms(&mut state, i, output, t, sample)
        };
        self.solver = Solver::Pndm(state);
        next
    }

    fn alpha(&self, t: i64) -> f64 {
        usize::try_from(t).map_or(self.final_alpha, |t| self.schedule.alpha(t))
    }

    fn ddim(&self, output: &Tensor, t: i64, sample: &Tensor, clip: Option<f64>) -> Candle<Tensor> {
        let (alpha, prev) = (self.alpha(t), self.alpha(t - self.stride));
        let (a, b) = (alpha.sqrt(), (1. - alpha).sqrt());
        let image = self.predicted(output, t, sample)?;
        let noise = match self.schedule.prediction {
            Prediction::Epsilon => output.clone(),
            Prediction::Velocity => mix(output, a, sample, b)?,
            Prediction::Sample => mix(sample, 1. / b, &image, -a / b)?,
        };
        let image = clip.map_or(Ok(image.clone()), |r| image.clamp(-r, r))?;
        mix(&image, prev.sqrt(), &noise, (1. - prev).sqrt())
    }

    /// `step_prk`: a quarter of a Runge-Kutta round.
    fn prk(&self, s: &mut Pndm, i: usize, output: &Tensor, t: i64, sample: &Tensor) -> Candle<Tensor> {
        let prev = t - if i % 2 == 1 { 0 } else { self.stride / 2 };
        let from = s.prk[i / 4 * 4];
        let weight = if i.is_multiple_of(4) || i % 4 == 3 { 1. / 6. } else { 1. / 3. };
        let sum = match s.sum.take() {
            Some(sum) => mix(&sum, 1., output, weight)?,
            None => (output * weight)?,
        };
        if i.is_multiple_of(4) {
            s.outputs.push(output.clone());
            s.start = Some(sample.clone());
        }
        let used = if i % 4 == 3 {
            sum
        } else {
            s.sum = Some(sum);
            output.clone()
        };
        let start = s.start.clone().unwrap_or_else(|| sample.clone());
        self.transfer(&start, from, prev, &used)
    }

    /// `step_plms`: linear multi-step of rising order.
    fn plms(&self, s: &mut Pndm, i: usize, output: &Tensor, t: i64, sample: &Tensor) -> Candle<Tensor> {
        let (mut t, mut prev) = (t, t - self.stride);
        if i == 1 {
            (t, prev) = (t + self.stride, t);
        } else {
            let keep = s.outputs.len().min(3);
            s.outputs.drain(..s.outputs.len() - keep);
            s.outputs.push(output.clone());
        }
        let e = |back: usize| &s.outputs[s.outputs.len() - back];
        let (used, from) = match s.outputs.len() {
            1 if i == 0 => {
                s.start = Some(sample.clone());
                (output.clone(), sample.clone())
            }
            // The second call repeats the first time step with the mean of both slopes.
            1 => (mix(output, 0.5, e(1), 0.5)?, s.start.take().unwrap_or_else(|| sample.clone())),
            2 => (mix(e(1), 1.5, e(2), -0.5)?, sample.clone()),
            3 => (mix(&mix(e(1), 23. / 12., e(2), -16. / 12.)?, 1., e(3), 5. / 12.)?, sample.clone()),
            _ => {
                let recent = mix(e(1), 55. / 24., e(2), -59. / 24.)?;
                let older = mix(e(3), 37. / 24., e(4), -9. / 24.)?;
                ((recent + older)?, sample.clone())
            }
        };
        self.transfer(&from, t, prev, &used)
    }

    /// `_get_prev_sample`: formula (9) of the PNDM paper.
    fn transfer(&self, sample: &Tensor, t: i64, prev: i64, output: &Tensor) -> Candle<Tensor> {
        let (a, p) = (self.alpha(t), self.alpha(prev));
        let (b, q) = (1. - a, 1. - p);
        let slope = -(p - a) / (a * q.sqrt() + (a * b * p).sqrt());
        let keep = (p / a).sqrt();
        match self.schedule.prediction {
            Prediction::Velocity => mix(sample, keep + slope * b.sqrt(), output, slope * a.sqrt()),
            _ => mix(sample, keep, output, slope),
        }
    }
}

/// The Runge-Kutta time steps, and all of them.
fn pndm_timesteps(schedule: &Schedule, rising: &[i64]) -> Result<(Vec<i64>, Vec<i64>)> {
    if schedule.prediction == Prediction::Sample {
        return Err(Error::setting("scheduler", "pndm cannot use a network that predicts the sample").or("take ddim"));
    }
    let n = rising.len();
    if schedule.config.skip_prk_steps {
        let twice = if n > 1 { &rising[n - 2..n - 1] } else { &[] };
        let all = [&rising[..n - 1], twice, &rising[n - 1..]].concat();
        return Ok((Vec::new(), all.into_iter().rev().collect()));
    }
    if n < 4 {
        return Err(Error::setting("steps", "pndm with Runge-Kutta steps needs at least 4"));
    }
    let half = (schedule.len() / n / 2) as i64;
    let points: Vec<i64> = rising[n - 4..].iter().flat_map(|&t| [t, t + half]).collect();
    let doubled: Vec<i64> = points[..7].iter().flat_map(|&t| [t, t]).collect();
    let prk: Vec<i64> = doubled[1..13].iter().rev().copied().collect();
    let all = prk.iter().copied().chain(rising[..n - 3].iter().rev().copied()).collect();
    Ok((prk, all))
}

/// `x a + y b`.
fn mix(x: &Tensor, a: f64, y: &Tensor, b: f64) -> Candle<Tensor> {
    x.affine(a, 0.)? + y.affine(b, 0.)?
}
