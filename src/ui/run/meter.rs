//! What the machine does for this program, while it does anything.

use crate::{app::Usage, caught::lock, machine};
use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// Between two looks at the GPU, which cost a process.
const GPU: Duration = Duration::from_secs(3);

/// Remembers what was used before.
#[derive(Default)]
pub(super) struct Meter {
    last: Option<(Instant, f64)>,
    asked: Option<Instant>,
    gpu: Arc<Mutex<Option<(u8, u64, u64)>>>,
}

impl Meter {
    /// What was used since the last time; none the first time.
    pub(super) fn read(&mut self) -> Option<Usage> {
        let (now, cpu) = (Instant::now(), machine::cpu_seconds()?);
        let (then, before) = self.last.replace((now, cpu))?;
        let passed = now.duration_since(then).as_secs_f64().max(1e-3);
        if self.asked.is_none_or(|at| at.elapsed() > GPU) {
            self.asked = Some(now);
            let gpu = self.gpu.clone();
            // Beside the loop; a machine without threads has other worries.
            let ask = move || *lock(&gpu) = machine::gpu();
            drop(std::thread::Builder::new().name("gpu".into()).spawn(ask));
        }
        let gpu = *lock(&self.gpu);
        Some(Usage { cpu: 100.0 * (cpu - before) / passed, memory: machine::resident()?, gpu })
    }

    /// Nothing runs any more.
    pub(super) fn rest(&mut self) {
        (self.last, self.asked) = (None, None);
    }
}
