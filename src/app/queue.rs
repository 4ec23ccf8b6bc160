//! The queue of jobs: which one is selected, and in which order the waiting ones come.

use super::{
    event::{Effect, JobId},
    job::{Job, Status},
    state::State,
};

impl State {
    /// The selected job, if it is still alive; else the one at work.
    pub fn selected_job(&self) -> Option<JobId> {
        let alive = || self.jobs.iter().filter(|j| j.is_alive());
        self.job.filter(|id| alive().any(|j| j.id == *id)).or_else(|| alive().next().map(|j| j.id))
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
