//! The queue of jobs: what is added and stopped, which one is selected, and in which order the waiting ones come.

use super::{
    event::{Effect, JobId, Outcome, Work},
    job::{Job, Status},
    model::HandOff,
    state::State,
};

/// Ended jobs kept.
const KEPT_JOBS: usize = 60;

impl State {
    /// A new job.
    pub(super) fn spawn(&mut self, work: Work) -> Effect {
        let id = JobId(self.next_job);
        self.next_job += 1;
        self.jobs.push(Job::new(id, work.clone(), (self.now, self.decided.len())));
        let over = self.jobs.len().saturating_sub(KEPT_JOBS);
        let mut dropped = 0;
        self.jobs.retain(|j| {
            j.is_alive() || {
                dropped += 1;
                dropped > over
            }
        });
        Effect::Start(id, work)
    }

    /// Cancels living jobs whose work is such. They are over at once: whatever they still say is late.
    pub(super) fn stop_where(&mut self, such: impl Fn(&Work) -> bool) -> Vec<Effect> {
        let now = self.now;
        let hit = self.jobs.iter_mut().filter(|j| j.is_alive() && such(&j.work));
        hit.map(|job| {
            job.end(Outcome::Cancelled, now);
            Effect::Cancel(job.id)
        })
        .collect()
    }

    /// Whether anything is running or waiting.
    pub fn is_busy(&self) -> bool {
        self.jobs.iter().any(Job::is_alive)
    }

    /// The job of this kind that was asked for last.
    pub fn latest(&self, such: impl Fn(&Work) -> bool) -> Option<&Job> {
        self.jobs.iter().rev().find(|j| such(&j.work))
    }

    /// The selected job, if it is still alive; else the one at work.
    pub fn selected_job(&self) -> Option<JobId> {
        let alive = || self.jobs.iter().filter(|j| j.is_alive());
        self.job.filter(|id| alive().any(|j| j.id == *id)).or_else(|| alive().next().map(|j| j.id))
    }

    /// Command lines that do what runs and waits, for whoever carries it out elsewhere.
    pub fn lines_of_queue(&self) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for job in self.jobs.iter().filter(|j| j.is_alive()) {
            let line = match &job.work {
                Work::Synthesise { .. } => "synthesise.stale".to_owned(),
                Work::Evaluate { .. } => "runs.evaluate".to_owned(),
                Work::Yardstick { method, draft } => match method.as_str() {
                    own if *own == draft.config.method.to_string() => {
                        format!("sweep {}", draft.config.cluster.prototypes)
                    }
                    other => format!("judge {other}"),
                },
                Work::Export { dir, .. } => format!("export {}", dir.display()),
                Work::HandOff { to: HandOff::Report(file), .. } => format!("report {}", file.display()),
                _ => continue,
            };
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
        lines.extend(self.todo.iter().filter(|line| !lines.contains(line)).cloned().collect::<Vec<_>>());
        lines
    }

    /// Leaves, and lets what runs and waits go on without a terminal.
    pub(super) fn detach(&mut self) -> Vec<Effect> {
        let lines = self.lines_of_queue();
        if lines.is_empty() {
            self.tell("nothing waits that could go on without a terminal; q leaves");
            return vec![];
        }
        vec![Effect::Detach(lines)]
    }

    /// Milliseconds until nothing is left to do, once there is something to judge by: the stage at work, and for each job that
    /// waits what the latest one of its kind took.
    pub fn queue_eta(&self) -> Option<u64> {
        let kind = |work: &Work| std::mem::discriminant(work);
        let took = |job: &Job| {
            let like = |j: &&Job| j.status == Status::Ended(Outcome::Done) && kind(&j.work) == kind(&job.work);
            let like = self.jobs.iter().rev().find(like);
            like.map(|j| j.times.1.saturating_sub(j.times.0))
        };
        let mut left = self.jobs.iter().filter(|j| j.is_alive()).peekable();
        left.peek()?;
        left.map(|job| if job.status == Status::Running { job.eta(self.now) } else { took(job) }).sum()
    }

    /// Selects the living job `by` lines further down; the list has the one that comes first on top.
    pub(super) fn pick_job(&mut self, by: i32) {
        let alive: Vec<JobId> = self.jobs.iter().filter(|j| j.is_alive()).map(|j| j.id).collect();
        let at = self.selected_job().and_then(|id| alive.iter().position(|a| *a == id)).unwrap_or(0);
        let to = at.saturating_add_signed(by as isize).min(alive.len().saturating_sub(1));
        self.job = alive.get(to).copied();
    }

    /// Changes places with the waiting job before (-1) or after (1).
    pub(super) fn queue(&mut self, by: i32) -> Vec<Effect> {
        let Some(id) = self.selected_job() else { return vec![] };
        let waits = |j: &Job| j.status == Status::Queued;
        let waiting: Vec<usize> = (0..self.jobs.len()).filter(|&i| waits(&self.jobs[i])).collect();
        let Some(at) = waiting.iter().position(|&i| self.jobs[i].id == id) else {
            self.tell("only a waiting job can be moved");
            return vec![];
        };
        let Some(&other) = at.checked_add_signed(by as isize).and_then(|to| waiting.get(to)) else { return vec![] };
        let (first, second) = if by < 0 { (id, self.jobs[other].id) } else { (self.jobs[other].id, id) };
        self.jobs.swap(waiting[at], other);
        self.job = Some(id);
        vec![Effect::Before(first, second)]
    }
}
