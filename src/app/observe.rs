//! What news from jobs change. News of a job that is over, or was never started, change nothing.

use super::{
    asks::Modal,
    event::{Effect, Entry, JobId, Level, News, Outcome, Work},
    format,
    model::{Measured, Protos, Score},
    runs,
    state::State,
};
use crate::{fingerprint::Fingerprint, pipeline::Embedded};
use std::sync::Arc;

impl State {
    /// Takes news from job `id`.
    pub(super) fn observe(&mut self, id: JobId, news: News) -> Vec<Effect> {
        let now = self.now;
        let Some(job) = self.jobs.iter_mut().find(|j| j.id == id && j.is_alive()) else { return vec![] };
        job.observe(&news, now);
        match news {
            News::Opened { name, rows } => {
                (self.name, self.rows) = (Some(name), rows);
                self.refresh();
                self.recognise()
            }
            News::Measured(measured) => self.take_measured(measured),
            News::Prototypes(protos) => self.take_prototypes(protos),
            News::Scored(score) => {
                let job = self.jobs.iter().find(|j| j.id == id);
                let curves = job.map(|j| runs::curves(&j.series)).unwrap_or_default();
                let score = Score { curves, after: job.map(|j| j.after), ..score };
                let known = self.scores.contains(&score);
                self.take_score(score.clone());
                if known { vec![] } else { vec![Effect::Append(Entry::Score(score))] }
            }
            News::Ended(outcome) => self.ended(id, &outcome),
            News::Answered(said) => {
                let work = self.jobs.iter().find(|j| j.id == id).map(|j| j.work.clone());
                if let Some(Work::HandOff { set, to }) = work {
                    self.take_answer(set, to, said);
                }
                vec![]
            }
            news => {
                self.show_news(news);
                vec![]
            }
        }
    }

    /// News that are shown, and lead to nothing else.
    fn show_news(&mut self, news: News) {
        match news {
            // Pictures that are looked at later are no rows of the data.
            News::Embedded(more) if self.measured.is_none() => self.partial.extend(more),
            News::Described(summary) => self.summary = Some(summary),
            News::Glimpse(protos, looked_at) => {
                (self.glimpse, self.looked_at) = (true, looked_at);
                self.show_prototypes(protos);
            }
            News::Preview { key, step, picture } => {
                self.film.keep(&key, step, &picture);
                self.forming.insert(key, (step, picture));
            }
            News::Made { key, picture } => self.keep_made(key, picture),
            News::Compared(compared) => self.take_compared(compared),
            News::Remarks(remarks) => self.remarks = remarks,
            News::Found(found) => self.take_found(found),
            News::Looked(fits) => {
                self.fits.extend(fits);
                self.refresh();
            }
            News::Exported(dir) => {
                self.tell(format!("written to {}", crate::fsio::printable(&dir.display().to_string())));
            }
            _ => {}
        }
    }

    /// Pairs are ranked: prototypes are made of those that stay, and the whole is described.
    fn take_measured(&mut self, measured: Arc<Measured>) -> Vec<Effect> {
        self.partial = Embedded::default();
        if let Some(noise) = &measured.noise {
            self.history.propose(noise.proposed);
            self.draft = self.history.draft();
        }
        self.measured = Some(measured);
        let mut effects = self.cluster();
        effects.push(self.spawn(Work::Describe));
        effects
    }

    /// Other prototypes: their pictures are looked for, and what was asked in words is asked of them.
    fn take_prototypes(&mut self, protos: Arc<Protos>) -> Vec<Effect> {
        (self.behind, self.glimpse) = (false, false);
        self.adopt(&protos.basis);
        let asked = self.found.as_ref().filter(|f| f.basis.as_ref() != Some(&protos.basis)).map(|f| f.words.clone());
        self.show_prototypes(protos);
        let mut effects = self.recall();
        effects.extend(asked.into_iter().flat_map(|words| self.find(&words)));
        effects
    }

    /// A line of the recall table; one of the same set judged in the same way takes the earlier one's place.
    pub(super) fn take_score(&mut self, score: Score) {
        self.run.0 = self.scores.iter().position(|s| s.is_of(&score)).unwrap_or(self.scores.len());
        match self.scores.get_mut(self.run.0) {
            Some(same) => *same = score,
            None => self.scores.push(score),
        }
    }

    /// Notes which data set the decisions are about; says so if the earlier ones were about another.
    fn recognise(&mut self) -> Vec<Effect> {
        let (name, rows) = (self.name.clone().unwrap_or_default(), self.rows.fingerprint());
        match &self.about {
            Some((_, before)) if *before == rows => return vec![],
            Some((before, _)) => self.say(
                Level::Warning,
                format!(
                    "the data set has changed: this session was about another {}. Pairs kept or dropped by hand may be \
                     others now; captions and seeds stay with the clusterings they were made for",
                    crate::fsio::printable(before)
                ),
            ),
            None => {}
        }
        self.about = Some((name.clone(), rows.clone()));
        vec![Effect::Append(Entry::Data { name, rows })]
    }

    /// Edits of a session by version 0.1.3 belong to a clustering that was named otherwise: the one that the decisions
    /// came to when they were made.
    fn adopt(&mut self, basis: &Fingerprint) {
        let (same, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.former).into_iter().partition(|(_, then)| then.clusters_as(&self.draft));
        self.former = others;
        if same.is_empty() {
            return;
        }
        same.iter().for_each(|(former, _)| self.history.rename(former, basis));
        self.draft = self.history.draft();
        self.say(Level::Info, "captions, seeds and settings of an older version were taken over".into());
    }

    fn show_prototypes(&mut self, protos: Arc<Protos>) {
        let last = protos.list.len().saturating_sub(1);
        self.prototype = self.heir(&protos).unwrap_or(self.prototype).min(last);
        let rows = protos.list.get(self.prototype).map_or(0, |p| p.rows.len());
        self.focus.member.step(0, rows);
        if self.protos.as_ref().is_none_or(|old| old.basis != protos.basis) {
            self.pins.clear();
            self.marked.clear();
        }
        (self.protos, self.candidate.0) = (Some(protos), 0);
        self.refresh();
    }

    fn ended(&mut self, id: JobId, outcome: &Outcome) -> Vec<Effect> {
        let Some(job) = self.jobs.iter().find(|j| j.id == id) else { return vec![] };
        let (title, took) = (job.title(), format::duration(job.times.1.saturating_sub(job.times.0)));
        let keys: Vec<_> = job.wanted().iter().map(|w| w.key.clone()).collect();
        let looking = matches!(job.work, Work::Look { .. });
        let clustering = matches!(job.work, Work::Prototypes(_));
        keys.iter().for_each(|key| drop(self.forming.remove(key)));
        match outcome {
            Outcome::Done => self.say(Level::Info, format!("{title}: done in {took}")),
            Outcome::Cancelled => self.say(Level::Info, format!("{title}: cancelled")),
            Outcome::Failed(why) => self.say(Level::Error, format!("{title}: {why}")),
            Outcome::Panicked(why) => self.say(Level::Error, format!("{title}: a bug stopped it: {why}")),
        }
        // A clustering that failed leaves the older one on screen, marked as behind.
        self.behind |= clustering && *outcome != Outcome::Done;
        self.look_failed |= looking && *outcome != Outcome::Done;
        // Who asked to leave was kept only by work that is over now.
        if self.modal == Some(Modal::Quit) && !self.is_busy() { vec![Effect::Quit] } else { vec![] }
    }
}
