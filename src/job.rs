//! Work on its own thread, with a way to stop it and an end that is always told. Knows not what it runs.

use crate::{
    error::{Error, Result},
    pipeline::{Ctx, Report},
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
};

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// As asked.
    Done,
    /// It was stopped.
    Cancelled,
    /// With an error.
    Failed(String),
    /// With a panic; its message.
    Panicked(String),
}

/// Stops its job when told to, or when dropped.
#[derive(Debug)]
pub struct Handle(Arc<AtomicBool>);

impl Handle {
    /// A new one, for a job that is about to start.
    pub fn new() -> Self {
        Self(Arc::default())
    }

    /// The job is to stop at its next step.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// A context that reports to `report` and ends when this handle says so.
    pub fn ctx(&self, report: impl Fn(Report) + Send + Sync + 'static) -> Ctx {
        Ctx::new(self.0.clone(), report)
    }
}

impl Default for Handle {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.cancel();
    }
}

/// Runs `work` to its end, whatever that is: a panic is an outcome too.
pub fn run(ctx: &Ctx, work: impl FnOnce(&Ctx) -> Result<()>) -> End {
    match catch_unwind(AssertUnwindSafe(|| ctx.check().and_then(|()| work(ctx)))) {
        Ok(Ok(())) => End::Done,
        Ok(Err(Error::Cancelled)) => End::Cancelled,
        Ok(Err(e)) => End::Failed(e.to_string()),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            End::Panicked(text.unwrap_or("no message").to_owned())
        }
    }
}

type Task = Box<dyn FnOnce() + Send>;

/// One thread that does one thing after another: the device is never shared.
pub struct Lane(mpsc::Sender<Task>);

impl Lane {
    /// A thread that waits for work; it ends when the lane is dropped and its work is done.
    ///
    /// # Errors
    /// [`Error::Io`] if the system gives no thread.
    pub fn new(name: &str) -> Result<Self> {
        let (sender, tasks) = mpsc::channel::<Task>();
        let work = move || tasks.into_iter().for_each(|task| task());
        thread::Builder::new().name(name.to_owned()).spawn(work).map_err(Error::io(name))?;
        Ok(Self(sender))
    }

    /// Does `task` after all that was given before.
    pub fn push(&self, task: impl FnOnce() + Send + 'static) {
        // The thread outlives the lane, and tasks catch their panics.
        let _ = self.0.send(Box::new(task));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_end_is_told_and_a_panic_is_one_of_them() {
        let ctx = Ctx::quiet();
        assert_eq!(run(&ctx, |_| Ok(())), End::Done);
        assert_eq!(run(&ctx, |_| Err(Error::setting("steps", "too many"))), End::Failed("steps: too many".into()));
        assert_eq!(run(&ctx, |_| panic!("row {}", 7)), End::Panicked("row 7".into()));
    }

    #[test]
    fn dropping_the_handle_stops_the_job_at_its_next_step() {
        let handle = Handle::new();
        let ctx = handle.ctx(|_| {});
        assert!(ctx.step("a", 0, 1).is_ok());
        drop(handle);
        assert_eq!(run(&ctx, |_| panic!("never begun")), End::Cancelled);
    }

    #[test]
    fn a_lane_keeps_the_order() {
        let lane = Lane::new("test").unwrap();
        let (tell, told) = mpsc::channel();
        for i in 0..50 {
            let tell = tell.clone();
            lane.push(move || tell.send(i).unwrap());
        }
        drop(tell);
        assert_eq!(told.into_iter().collect::<Vec<_>>(), (0..50).collect::<Vec<_>>());
    }
}
