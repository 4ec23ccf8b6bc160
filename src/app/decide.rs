//! Actions that are decisions: what goes into the journal, and the way back and forth through it.

use super::{
    action::{Action, Pane},
    decision::{Caption, Decision, Synthesis},
    event::{Effect, Entry},
    kept,
    state::State,
};
use crate::{fingerprint::Fingerprint, pipeline::draw::requests::image_seed};

impl State {
    /// Actions that are decisions.
    pub(super) fn decision(&mut self, action: Action) -> Option<Decision> {
        let draft = &self.draft;
        match action {
            Action::Drop | Action::Keep => self.by_hand(action == Action::Keep),
            Action::AutoCaption => {
                let basis = self.basis()?;
                let own = |prototype: &usize| draft.captions.contains_key(&(basis.clone(), *prototype));
                let back = |prototype| Decision::Caption { basis: basis.clone(), prototype, caption: None };
                Decision::many(self.chosen().into_iter().filter(own).map(back).collect())
            }
            Action::Reroll => self.other_seeds(),
            Action::Across(by) => {
                self.across(i64::from(by));
                None
            }
            Action::Enter => {
                if self.inside {
                    return self.chosen_candidate();
                }
                self.enter();
                None
            }
            action => self.setting(action),
        }
    }

    /// Those that change a setting.
    fn setting(&self, action: Action) -> Option<Decision> {
        let draft = &self.draft;
        let step =
            |now: usize, by: i32, least: usize, most: usize| now.saturating_add_signed(by as isize).clamp(least, most);
        match action {
            Action::Threshold(by) => {
                let now = (draft.config.prune.ratio * 100.0).round() as i32;
                let to = f64::from((now + by).clamp(0, 95)) / 100.0;
                // What was proposed lies between two percents, and is not to be passed over.
                let proposed = self.measured.as_ref().and_then(|m| m.noise.as_ref()).map(|n| n.proposed);
                let between = |p: &f64| {
                    (draft.config.prune.ratio.min(to) < *p && *p < draft.config.prune.ratio.max(to)) && by.abs() == 1
                };
                Some(Decision::set("prune.ratio", proposed.filter(between).unwrap_or(to)))
            }
            Action::Method => Some(Decision::set("method", draft.config.method.next_method().to_string())),
            Action::Targets => Some(Decision::set("method", draft.config.method.next_targets().to_string())),
            Action::ThresholdAt(percent) => Some(Decision::set("prune.ratio", f64::from(percent.min(95)) / 100.0)),
            Action::PrototypesAt(m) => Some(Decision::set("cluster.prototypes", m.clamp(1, self.most_prototypes()))),
            Action::Prototypes(by) => {
                let m = step(draft.config.cluster.prototypes, by, 1, self.most_prototypes());
                Some(Decision::set("cluster.prototypes", m))
            }
            Action::Steps(by) => self.synthesis(|s| s.steps = step(s.steps, by * 5, 5, usize::MAX)),
            Action::Guidance(by) => self.synthesis(|s| s.guidance += 0.5 * f64::from(by)),
            Action::Noise(by) => self.synthesis(|s| s.noise = step(s.noise, by * 10, 0, usize::MAX)),
            Action::Rank(by) => Some(Decision::Rank(step(draft.rank, by, 0, self.candidates().saturating_sub(1)))),
            Action::Runs(by) => Some(Decision::set("evaluation.runs", step(draft.config.evaluation.runs, by, 1, 100))),
            Action::Epochs(by) => {
                Some(Decision::set("evaluation.epochs", step(draft.config.evaluation.epochs, by * 10, 10, 10_000)))
            }
            Action::Encoders => Some(Decision::set("evaluation.encoders", self.next_encoders())),
            Action::Distinct => Some(Decision::set("caption.distinct", !draft.config.caption.distinct)),
            _ => None,
        }
    }

    /// Keeps or drops pairs against the threshold; if all of them are so already, the threshold decides again.
    fn by_hand(&mut self, keep: bool) -> Option<Decision> {
        let member = || self.member_row().into_iter().collect();
        let rows: Vec<u32> = if self.pane == Pane::Data { self.chosen_rows() } else { member() };
        let again = rows.iter().all(|row| self.draft.by_hand.get(row) == Some(&keep));
        let decision = |row| Decision::Hand { row, keep: (!again).then_some(keep) };
        self.marked_rows.clear();
        Decision::many(rows.into_iter().map(decision).collect())
    }

    /// Another seed for each of the chosen pictures.
    fn other_seeds(&self) -> Option<Decision> {
        let basis = self.basis()?;
        let another = |prototype| {
            // One to one from seed to seed, and for each prototype another way: none comes back soon or meets another's.
            let seed = image_seed(self.draft.seed_of(&basis, prototype), prototype);
            Decision::Seed { basis: basis.clone(), prototype, seed }
        };
        Decision::many(self.chosen().into_iter().map(another).collect())
    }

    /// Settings of synthesis: of all pictures, or of the chosen ones alone.
    fn synthesis(&self, change: impl Fn(&mut Synthesis)) -> Option<Decision> {
        let all = Synthesis::of(&self.draft.config.synthesis);
        if !self.alone {
            let mut new = all;
            change(&mut new);
            let changed = new.bounded().changes().into_iter().zip(all.changes()).find(|(new, old)| new != old);
            return changed.map(|(new, _)| Decision::Set(new));
        }
        let basis = self.basis()?;
        let own = |prototype| {
            let mut own = Synthesis::of(&self.draft.synthesis_of(&basis, prototype));
            change(&mut own);
            let own = own.bounded();
            Decision::Own { basis: basis.clone(), prototype, settings: (own != all).then_some(own) }
        };
        Decision::many(self.chosen().into_iter().map(own).collect())
    }

    /// Changes settings of synthesis.
    pub(super) fn adjust(&mut self, change: impl Fn(&mut Synthesis)) -> Vec<Effect> {
        self.synthesis(change).map_or(vec![], |d| self.decide(d))
    }

    /// Candidates of the selected prototype.
    pub(super) fn candidates(&self) -> usize {
        self.protos.as_ref().and_then(|p| p.list.get(self.prototype)).map_or(0, |p| p.candidates.len())
    }

    /// All encoders of the configuration, then each alone.
    fn next_encoders(&self) -> Vec<String> {
        let all = &self.history.base().config.evaluation.encoders;
        match self.draft.config.evaluation.encoders.as_slice() {
            now if now == all.as_slice() => all[..1.min(all.len())].to_vec(),
            [one] => match all.iter().position(|e| e == one).and_then(|at| all.get(at + 1)) {
                Some(next) => vec![next.clone()],
                None => all.clone(),
            },
            _ => all.clone(),
        }
    }

    /// The most prototypes that the kept pairs can be clustered into: each needs an image of its own.
    pub fn most_prototypes(&self) -> usize {
        self.measured.as_ref().map_or(usize::MAX, |m| kept::kept_images(m, &self.draft, &self.rows)).max(1)
    }

    /// A typed number of prototypes.
    ///
    /// # Errors
    /// The bounds, in words, of one that lies outside them.
    pub(super) fn set_prototypes(&mut self, wanted: usize) -> Result<Vec<Effect>, String> {
        let most = self.most_prototypes();
        if (1..=most).contains(&wanted) {
            return Ok(self.decide(Decision::set("cluster.prototypes", wanted)));
        }
        Err(match most {
            usize::MAX => format!("{wanted} is not 1 or more"),
            most => format!("{wanted} is not between 1 and {most}, the images whose pairs are kept"),
        })
    }

    pub(super) fn basis(&self) -> Option<Fingerprint> {
        self.protos.as_ref().filter(|_| !self.glimpse).map(|p| p.basis.clone())
    }

    fn chosen_candidate(&mut self) -> Option<Decision> {
        let protos = self.protos.as_ref().filter(|_| !self.glimpse)?;
        let row = protos.list.get(self.prototype)?.candidates.get(self.candidate.0)?.row;
        let text = self.rows.captions.get(row as usize)?.clone();
        let (basis, caption) = (protos.basis.clone(), Some(Caption { text, row: Some(row) }));
        self.inside = false;
        Some(Decision::Caption { basis, prototype: self.prototype, caption })
    }

    pub(super) fn write_caption(&mut self, prototype: usize, text: &str) -> Vec<Effect> {
        let text = text.trim();
        let unchanged = self.pairs.get(prototype).is_none_or(|p| p.caption == text);
        let Some(basis) = self.basis().filter(|_| !unchanged) else { return vec![] };
        if text.is_empty() {
            self.tell("an empty caption would teach nothing: left as it was");
            return vec![];
        }
        let caption = Some(Caption { text: text.to_owned(), row: None });
        self.decide(Decision::Caption { basis, prototype, caption })
    }

    /// Undo or redo.
    pub(super) fn walk(&mut self, back: bool) -> Vec<Effect> {
        let decision = if back { self.history.undo() } else { self.history.redo() };
        let Some(words) = decision.map(Decision::words) else {
            self.tell(if back { "nothing to undo" } else { "nothing to redo" });
            return vec![];
        };
        self.tell(format!("{}: {words}", if back { "undone" } else { "redone" }));
        let entry = if back { Entry::Undo } else { Entry::Redo };
        self.decided.push(entry.clone());
        let mut effects = vec![Effect::Append(entry)];
        effects.extend(self.settle());
        effects
    }
}
