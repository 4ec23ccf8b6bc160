//! What a run would take, before it runs: stages with their work, and what a few items of each cost here and now.

use crate::{error::Result, machine};
use serde::Serialize;
use std::time::Instant;

/// A stage of a run that has not begun.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stage {
    /// Its name, as progress shows it.
    pub stage: String,
    /// How much work, were nothing of it done.
    pub items: usize,
    /// What an item is.
    pub unit: &'static str,
    /// Items whose result the store has.
    pub done: usize,
    /// Seconds that the rest takes, as far as some of it tells.
    pub seconds: f64,
    /// Bytes of memory held while it runs.
    pub memory: u64,
    /// Bytes it leaves on disk.
    pub disk: u64,
}

impl Stage {
    /// A stage of which the store has everything, or nothing.
    pub(crate) fn new(stage: impl Into<String>, (items, unit): (usize, &'static str), done: bool) -> Self {
        let done = if done { items } else { 0 };
        Self { stage: stage.into(), items, unit, done, seconds: 0.0, memory: 0, disk: 0 }
    }

    /// With what it costs, unless it is done.
    pub(crate) fn costs(self, seconds: f64, memory: u64, disk: u64) -> Self {
        if self.is_done() { self } else { Self { seconds, memory, disk, ..self } }
    }

    /// Whether nothing is left to do.
    pub fn is_done(&self) -> bool {
        self.done == self.items
    }
}

/// The stages of a run in order.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Plan {
    /// Each once.
    pub stages: Vec<Stage>,
    /// Why the checkpoints allow no method that draws, where that is so.
    pub undrawn: Option<String>,
}

impl Plan {
    /// Appends a stage, unless it is planned already: what one method computes the next one finds.
    pub(crate) fn add(&mut self, stage: Stage) {
        if !self.has(&stage.stage) {
            self.stages.push(stage);
        }
    }

    /// Whether a stage of this name is planned.
    pub(crate) fn has(&self, stage: &str) -> bool {
        self.stages.iter().any(|s| s.stage == stage)
    }

    /// What is left of all stages.
    pub fn seconds(&self) -> f64 {
        self.stages.iter().map(|s| s.seconds).sum()
    }

    /// The most memory that any stage needs, on top of what the program holds now with its networks loaded.
    pub fn memory(&self) -> u64 {
        self.stages.iter().map(|s| s.memory).max().unwrap_or(0) + machine::resident().unwrap_or(0)
    }

    /// What all of them leave.
    pub fn disk(&self) -> u64 {
        self.stages.iter().map(|s| s.disk).sum()
    }

    /// What will not do, given bytes of memory and of disk to be had.
    pub fn warnings(&self, memory: Option<u64>, disk: Option<u64>) -> Vec<String> {
        let short = |what: &str, need: u64, have: Option<u64>| {
            let gigabytes = |bytes: u64| bytes as f64 / 1e9;
            let have = have.filter(|have| need > *have)?;
            Some(format!("needs {:.1} GB of {what}, but {:.1} GB are to be had", gigabytes(need), gigabytes(have)))
        };
        [short("memory", self.memory(), memory), short("disk", self.disk(), disk)].into_iter().flatten().collect()
    }
}

/// What some work cost.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    pub seconds: f64,
    /// Bytes on top of what was held before.
    pub memory: u64,
}

/// Time after which short work has been repeated enough.
const ENOUGH: f64 = 0.1;

/// Does `work` once for its memory, and to have everything loaded, then for its time: the mean of some if it is short.
pub(crate) fn cost<T>(mut work: impl FnMut() -> Result<T>) -> Result<(T, Cost)> {
    let before = machine::reset_peak().unwrap_or(0);
    drop(work()?);
    let memory = machine::peak().unwrap_or(0).saturating_sub(before);
    let (start, mut times) = (Instant::now(), 0.0);
    loop {
        let value = work()?;
        times += 1.0;
        let seconds = start.elapsed().as_secs_f64();
        if seconds >= ENOUGH {
            return Ok((value, Cost { seconds: seconds / times, memory }));
        }
    }
}

/// Seconds for `n` items, given those for two numbers of them: a straight line through both, which `n` lies beyond.
pub(crate) fn line((a, at_a): (usize, f64), (b, at_b): (usize, f64), n: usize) -> f64 {
    let (slope, beyond) = ((at_b - at_a) / b.saturating_sub(a).max(1) as f64, n.saturating_sub(b) as f64);
    if slope > 0.0 { at_b + slope * beyond } else { at_b * n as f64 / b.max(1) as f64 }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_plan_counts_a_shared_stage_once_and_warns_of_what_is_short() {
        let mut plan = Plan::default();
        plan.add(Stage::new("embed images", (10, "images"), false).costs(2.0, 5_000_000_000, 70));
        plan.add(Stage::new("embed images", (10, "images"), false).costs(2.0, 5_000_000_000, 70));
        plan.add(Stage::new("synthesise", (4, "images"), true).costs(9.0, 9, 9));
        assert_eq!((plan.stages.len(), plan.seconds(), plan.disk()), (2, 2.0, 70));
        assert!(plan.warnings(None, None).is_empty() && plan.warnings(Some(u64::MAX), Some(70)).is_empty());
        let warned = plan.warnings(Some(4_000_000_000), Some(69));
        assert!(warned[0].contains("5.") && warned[0].contains("GB of memory, but 4.0 GB"), "{warned:?}");
        assert!(warned[1].contains("disk"), "{warned:?}");
    }

    #[test]
    fn a_line_is_drawn_through_two_measurements() {
        assert_eq!(line((10, 1.0), (20, 1.5), 40), 2.5);
        assert_eq!(line((10, 1.0), (20, 1.5), 20), 1.5);
        assert_eq!(line((10, 2.0), (20, 1.0), 40), 2.0, "noise must not make the rest free");
    }

    #[test]
    fn the_cost_of_work_is_the_time_of_doing_it_once() {
        let mut times = 0;
        let work = || {
            times += 1;
            std::thread::sleep(std::time::Duration::from_millis(20));
            Ok(times)
        };
        let (last, cost) = cost(work).unwrap();
        assert!(last > 2 && cost.seconds >= 0.02 && cost.seconds < 2.0, "{last} {cost:?}");
    }
}
