//! Work that is asked for: pictures to synthesise, sets and yardsticks to judge.

use super::{
    action::Which,
    event::{Effect, Wanted, Work},
    set::ImageState,
    state::State,
};
use crate::fingerprint::Fingerprint;

impl State {
    pub(super) fn synthesise(&mut self, which: Which) -> Vec<Effect> {
        let Some(basis) = self.ready() else { return vec![] };
        let idle = |i: &usize| !matches!(self.image_state(*i), ImageState::Queued | ImageState::Forming(_));
        let chosen: Vec<usize> = match which {
            Which::Selected => self.chosen(),
            Which::Stale => self.outdated(),
        };
        let wanted: Vec<Wanted> = chosen.into_iter().filter(idle).map(|i| self.pairs[i].clone()).collect();
        if wanted.is_empty() {
            self.tell("fresh or on its way already; r rerolls a picture in the gallery");
            return vec![];
        }
        self.marked.clear();
        vec![self.spawn(Work::Synthesise { basis, wanted })]
    }

    pub(super) fn evaluate(&mut self) -> Vec<Effect> {
        let Some(basis) = self.ready() else { return vec![] };
        let mut effects = vec![];
        if !self.outdated().is_empty() {
            effects = self.synthesise(Which::Stale);
        }
        let Some(set) = self.set() else { return effects };
        let same = |w: &Work| matches!(w, Work::Evaluate { set: s, draft: d, .. } if *s == set && d.config.evaluation == self.draft.config.evaluation);
        if self.is_judged(&set) || self.jobs.iter().any(|j| j.is_alive() && same(&j.work)) {
            self.tell("this set is judged already, or about to be; other runs, epochs or encoders judge it anew");
            return effects;
        }
        let edited = |p: &&Wanted| self.draft.captions.contains_key(&(basis.clone(), p.prototype));
        let edited = self.pairs.iter().filter(edited).count();
        let (pairs, draft) = (self.pairs.clone(), Box::new(self.draft.clone()));
        let work = Work::Evaluate { basis, set, pairs, edited, draft };
        self.reading.chosen = false;
        effects.push(self.spawn(work));
        effects
    }

    pub(super) fn yardstick(&mut self, method: &str) -> Vec<Effect> {
        if self.measured.is_none() {
            self.tell("the data are not embedded yet");
            return vec![];
        }
        let mut draft = Box::new(self.draft.clone());
        // As many as the set on screen has.
        if !self.behind && !self.pairs.is_empty() {
            draft.config.cluster.prototypes = self.pairs.len();
        }
        let work = Work::Yardstick { method: method.to_owned(), draft };
        self.reading.chosen = false;
        if self.jobs.iter().any(|j| j.is_alive() && j.work == work) {
            self.tell("on its way already");
            return vec![];
        }
        vec![self.spawn(work)]
    }

    /// Whether the set was judged as the protocol has it now.
    fn is_judged(&self, set: &Fingerprint) -> bool {
        self.scores.iter().any(|s| s.set == *set && self.is_as_asked(s))
    }
}
