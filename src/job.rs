//! Work on its own thread, with a way to stop it and an end that is always told. Knows not what it runs.

use crate::{
    caught::lock,
    error::{Error, Result},
    pipeline::{Ctx, Report},
};
use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
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
    match caught(|| ctx.check().and_then(|()| work(ctx))) {
        Ok(Ok(())) => End::Done,
        Ok(Err(Error::Cancelled)) => End::Cancelled,
        Ok(Err(e)) => End::Failed(e.to_string()),
        Err(why) => End::Panicked(why),
    }
}

/// What `work` returns, or the message of its panic.
///
/// # Errors
/// The message, if it panics.
pub fn caught<T>(work: impl FnOnce() -> T) -> std::result::Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        text.unwrap_or("no message").to_owned()
    })
}

type Task = Box<dyn FnOnce() + Send>;

/// Tasks by number, the next one in front, and whether more may come.
#[derive(Default)]
struct Queue {
    tasks: Mutex<(VecDeque<(u64, Task)>, bool)>,
    changed: Condvar,
}

impl Queue {
    /// Every change is one push, pop or swap: a poisoned lock guards a whole queue.
    fn lock(&self) -> MutexGuard<'_, (VecDeque<(u64, Task)>, bool)> {
        lock(&self.tasks)
    }

    /// The next task, once there is one; none after the last.
    fn next(&self) -> Option<Task> {
        let mut queue = self.lock();
        loop {
            match queue.0.pop_front() {
                Some((_, task)) => return Some(task),
                None if queue.1 => return None,
                None => queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

/// One thread that does one thing after another: the device is never shared.
pub struct Lane(Arc<Queue>);

impl Lane {
    /// A thread that waits for work; it ends when the lane is dropped and its work is done. A task that panics is told in
    /// the log and ends alone.
    ///
    /// # Errors
    /// [`Error::Io`] if the system gives no thread.
    pub fn new(name: &str) -> Result<Self> {
        let queue = Arc::new(Queue::default());
        let (tasks, lane) = (queue.clone(), name.to_owned());
        let work = move || {
            for task in std::iter::from_fn(|| tasks.next()) {
                if let Err(why) = caught(task) {
                    tracing::error!("{lane}: a task ended with a defect: {why}");
                }
            }
        };
        thread::Builder::new().name(name.to_owned()).spawn(work).map_err(Error::io(name))?;
        Ok(Self(queue))
    }

    /// Does `task` after all that was given before.
    pub fn push(&self, number: u64, task: impl FnOnce() + Send + 'static) {
        self.0.lock().0.push_back((number, Box::new(task)));
        self.0.changed.notify_one();
    }

    /// Changes the places of two tasks, if both are still waiting and `second` would come first.
    pub fn before(&self, first: u64, second: u64) {
        let queue = &mut self.0.lock().0;
        let at = |n: u64| queue.iter().position(|(number, _)| *number == n);
        if let (Some(first), Some(second)) = (at(first), at(second))
            && first > second
        {
            queue.swap(first, second);
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.0.lock().1 = true;
        self.0.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::mpsc;

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
            lane.push(i, move || tell.send(i).unwrap());
        }
        drop((tell, lane));
        assert_eq!(told.into_iter().collect::<Vec<_>>(), (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn a_lane_outlives_a_task_that_panics() {
        let lane = Lane::new("test").unwrap();
        let (tell, told) = mpsc::channel();
        lane.push(0, || panic!("a picture of no size"));
        lane.push(1, move || tell.send("next").unwrap());
        assert_eq!(told.recv_timeout(std::time::Duration::from_secs(20)), Ok("next"));
    }

    #[test]
    fn a_waiting_task_can_be_brought_forward() {
        let lane = Lane::new("test").unwrap();
        let ((tell, told), (go, gone)) = (mpsc::channel(), mpsc::channel::<()>());
        lane.push(0, move || gone.recv().unwrap());
        for i in 1..4 {
            let tell = tell.clone();
            lane.push(i, move || tell.send(i).unwrap());
        }
        lane.before(3, 1);
        lane.before(3, 2);
        lane.before(9, 1);
        go.send(()).unwrap();
        drop((tell, lane));
        assert_eq!(told.into_iter().collect::<Vec<_>>(), [3, 2, 1]);
    }
}
