//! Jobs as the user sees them: what runs, how far it is, how it ended.

use super::event::{JobId, News, Outcome, Wanted, Work};
use std::collections::BTreeMap;

/// Where a job stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// Waiting for the device.
    Queued,
    /// At work.
    Running,
    /// Over.
    Ended(Outcome),
}

/// Points of a series, in the order they came.
pub type Series = BTreeMap<String, Vec<(f64, f64)>>;

/// A job and what is known of it.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its name.
    pub id: JobId,
    /// What it does.
    pub work: Work,
    /// Where it stands.
    pub status: Status,
    /// Its stage, and units done of all.
    pub step: Option<(&'static str, usize, usize)>,
    /// When the stage began, in milliseconds, and how much was done then.
    since: (u64, usize),
    /// When it started and ended.
    pub times: (u64, u64),
    /// Decisions of the session when it was asked for.
    pub after: usize,
    /// Metric points.
    pub series: Series,
}

impl Job {
    /// Asked for at `now`, after so many decisions.
    pub fn new(id: JobId, work: Work, (now, after): (u64, usize)) -> Self {
        let (status, series) = (Status::Queued, Series::new());
        Self { id, work, status, step: None, since: (now, 0), times: (now, now), after, series }
    }

    /// Queued or running.
    pub fn is_alive(&self) -> bool {
        !matches!(self.status, Status::Ended(_))
    }

    /// Takes news about progress.
    pub fn observe(&mut self, news: &News, now: u64) {
        match news {
            News::Started => (self.status, self.times) = (Status::Running, (now, now)),
            News::Step { stage, done, total } => {
                if self.step.is_none_or(|(s, d, _)| s != *stage || *done < d) {
                    self.since = (now, *done);
                }
                self.step = Some((stage, *done, *total));
            }
            News::Point { series, x, y } => self.series.entry(series.clone()).or_default().push((*x, *y)),
            News::Ended(outcome) => self.end(outcome.clone(), now),
            _ => {}
        }
    }

    /// It is over.
    pub fn end(&mut self, outcome: Outcome, now: u64) {
        self.status = Status::Ended(outcome);
        self.times.1 = now;
    }

    /// Milliseconds until its stage is through, once there is something to judge by.
    pub fn eta(&self, now: u64) -> Option<u64> {
        let (_, done, total) = self.step?;
        let (since, before) = self.since;
        let (passed, units) = (now.checked_sub(since)?, done.checked_sub(before)?);
        (units > 0 && passed > 500 && done < total).then(|| passed * (total - done) as u64 / units as u64)
    }

    /// Units of the stage per second.
    pub fn rate(&self, now: u64) -> Option<f64> {
        let (_, done, _) = self.step?;
        let (passed, units) = (now.checked_sub(self.since.0)?, done.checked_sub(self.since.1)?);
        (units > 0 && passed > 200).then(|| units as f64 * 1000.0 / passed as f64)
    }

    /// What it does, in a few words.
    pub fn title(&self) -> String {
        self.work.title()
    }

    /// The way of the set it judges, or the name of a yardstick; empty if it judges none.
    pub fn method(&self) -> String {
        match &self.work {
            Work::Evaluate { draft, .. } => draft.config.method.to_string(),
            Work::Yardstick { method, .. } => method.clone(),
            _ => String::new(),
        }
    }

    /// The pictures it is to make.
    pub fn wanted(&self) -> &[Wanted] {
        match &self.work {
            Work::Synthesise { wanted, .. } => wanted,
            _ => &[],
        }
    }
}

impl Work {
    /// What it does, in a few words.
    pub fn title(&self) -> String {
        match self {
            Self::Embed => "embed the data".into(),
            Self::Describe => "describe the embeddings".into(),
            Self::Prototypes(draft) => format!("{} prototypes", draft.config.cluster.prototypes),
            Self::Synthesise { wanted, .. } if wanted.len() == 1 => "synthesise 1 picture".into(),
            Self::Synthesise { wanted, .. } => format!("synthesise {} pictures", wanted.len()),
            Self::Find { words, .. } => format!("find \"{}\"", crate::fsio::printable(words)),
            Self::Look { pairs, .. } if pairs.len() == 1 => "look at 1 picture".into(),
            Self::Look { pairs, .. } => format!("look at {} pictures", pairs.len()),
            Self::Evaluate { pairs, set, .. } => format!("evaluate {} pairs {}", pairs.len(), &set.as_str()[..8]),
            Self::Yardstick { method, draft } => format!("evaluate {} × {method}", draft.config.cluster.prototypes),
            Self::Compare(sides) => format!("compare {} with {}", sides[0].name, sides[1].name),
            Self::HandOff { set, to } => to.title(set),
            Self::Export { dir, .. } => format!("export to {}", dir.display()),
        }
    }
}
