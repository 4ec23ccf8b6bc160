//! What each action changes.

use super::{
    action::{Action, Pane, Which},
    asks::{Asks, Modal},
    decision::protocol_name,
    event::{Effect, JobId, Level, Outcome, Wanted, Work},
    field::Field,
    job::Job,
    key::Key,
    model::{EncoderScore, Score},
    set::ImageState,
    state::{State, gallery_columns},
};
use crate::fingerprint::Fingerprint;

/// Lines of a page.
const PAGE: i64 = 10;

impl State {
    /// A key: to what lies on top, else by the table.
    pub(super) fn key(&mut self, key: Key) -> Vec<Effect> {
        self.notice = None;
        if self.modal.is_some() {
            return self.modal_key(key);
        }
        self.keys.find(self.pane, key).map_or(vec![], |command| self.update(command.action))
    }

    /// Carries out an action.
    pub fn update(&mut self, action: Action) -> Vec<Effect> {
        match action {
            Action::Show(pane) => self.show(pane),
            Action::Turn(by) => self.show(self.pane.step(by)),
            Action::Help => self.modal = Some(Modal::Help(0)),
            Action::Palette => self.modal = Some(Modal::Palette(Field::default(), 0)),
            Action::Line => self.modal = Some(Modal::Line(Field::default())),
            Action::Mark | Action::Range => self.mark(action == Action::Range),
            Action::Pin => self.pin(),
            Action::Next(by) => self.next_line(by),
            Action::Back => self.back(),
            Action::Quit if self.is_busy() => self.modal = Some(Modal::Quit),
            Action::Quit => return vec![Effect::Quit],
            Action::Redraw => return vec![Effect::Redraw],
            Action::Move(by) => self.step(i64::from(by)),
            Action::Page(by) => self.step(i64::from(by) * PAGE),
            Action::First => self.step(-i64::from(u32::MAX)),
            Action::Last => self.step(i64::from(u32::MAX)),
            Action::Zoom => self.zoom = !self.zoom,
            Action::Scatter => self.scatter = !self.scatter,
            Action::Mouse => {
                self.mouse = !self.mouse;
                let words = if self.mouse {
                    "the mouse points here; M leaves it to the terminal"
                } else {
                    "the mouse is the terminal's"
                };
                self.tell(words);
                return vec![Effect::Mouse(self.mouse)];
            }
            Action::Alone => {
                self.alone = !self.alone;
                self.tell(if self.alone {
                    "settings change the selected picture alone"
                } else {
                    "settings change all pictures"
                });
            }
            Action::AskPrefix => self.modal = Some(Modal::Ask(Asks::Prefix, Field::new(&self.draft.prefix))),
            Action::Copy => return self.copied().map_or(vec![], |words| vec![Effect::Copy(words)]),
            Action::Suspend => return vec![Effect::Suspend],
            Action::ByPairs => self.by_pairs = !self.by_pairs,
            Action::PickJob(by) => self.pick_job(by),
            Action::StopJob => return self.selected_job().map_or(vec![], |id| self.stop(id)),
            Action::Queue(by) => return self.queue(by),
            Action::PickRow(row) => self.pick_row(row),
            Action::PickPrototype(n) => {
                if n != self.prototype {
                    (self.prototype, self.candidate.0) = (n, 0);
                }
            }
            Action::PickCandidate(n) => (self.inside, self.candidate.0) = (true, n),
            Action::PickRun(n) => self.run.0 = n,
            Action::Sort => {
                self.sort = self.sort.next();
                self.refresh();
                self.tell(format!("sorted by {}", self.sort.name()));
            }
            Action::Filter => {
                let now = if self.pane == Pane::Data { &self.pair_filter.0 } else { &self.filter };
                self.modal = Some(Modal::Ask(Asks::Filter, Field::new(now)));
            }
            Action::AskPrototypes => {
                let now = self.draft.config.cluster.prototypes.to_string();
                self.modal = Some(Modal::Ask(Asks::Prototypes, Field::offering(&now)));
            }
            Action::Export => self.ask_export(),
            Action::EditCaption => self.ask_caption(),
            Action::Undo | Action::Redo => return self.walk(action == Action::Undo),
            Action::CancelJob => return self.cancel_newest(),
            Action::Synthesise(which) => return self.synthesise(which),
            Action::Evaluate => return self.evaluate(),
            Action::Yardstick(method) => return self.yardstick(method),
            _ => return self.decision(action).map_or(vec![], |d| self.decide(d)),
        }
        vec![]
    }

    fn show(&mut self, pane: Pane) {
        (self.pane, self.inside, self.zoom) = (pane, false, false);
    }

    /// One level back, and never out.
    fn back(&mut self) {
        if self.inside {
            self.inside = false;
        } else if self.zoom {
            self.zoom = false;
        } else if self.unmark() {
        } else {
            self.filter_by("");
        }
    }

    /// What `copy` takes from this pane.
    fn copied(&self) -> Option<String> {
        match self.pane {
            Pane::Data => self.rows.captions.get(self.selected_row()? as usize).cloned(),
            Pane::Prototypes | Pane::Captions | Pane::Gallery => Some(self.pairs.get(self.prototype)?.caption.clone()),
            Pane::Runs => self.scores.get(self.run.0).map(Score::table),
            Pane::Log => Some(self.log.iter().map(|l| format!("{}\n", l.text)).collect()),
        }
    }

    /// Puts the cursor on a training pair; a filter that hides it goes.
    fn pick_row(&mut self, row: u32) {
        let Some(measured) = self.measured.clone() else { return };
        let place = |lines: &[u32]| lines.iter().position(|r| *r == row);
        let filtered = self.pair_filter.1.as_deref().map(place);
        if filtered == Some(None) {
            self.pair_filter = (String::new(), None);
        }
        let all = measured.rank.get(row as usize).map(|r| *r as usize);
        self.pair.0 = filtered.flatten().or(all).unwrap_or(self.pair.0);
    }

    fn step(&mut self, by: i64) {
        match self.pane {
            Pane::Data => self.pair.step(by, self.pair_lines().len()),
            Pane::Captions if self.inside => {
                let n = self.candidates();
                self.candidate.step(by, n);
            }
            Pane::Prototypes | Pane::Captions => self.across(by),
            Pane::Gallery => {
                let columns = gallery_columns(self.size.0, self.zoom) as i64;
                let at = self.place() as i64;
                if (0..self.arranged.len() as i64).contains(&(at + by * columns)) || by.abs() > 1 {
                    self.across(by.saturating_mul(columns));
                }
            }
            Pane::Runs => self.run.step(by, self.scores.len()),
            Pane::Log => {
                let most = self.log.len().saturating_sub(1) as i64;
                self.scrolled = (self.scrolled as i64 - by).clamp(0, most) as usize;
            }
        }
    }

    /// Marks the line under the cursor and goes on to the next, or begins or ends a range there.
    fn mark(&mut self, range: bool) {
        let place = self.place();
        match self.pane {
            Pane::Data if range => {
                let mut marks = std::mem::take(&mut self.marked_rows);
                marks.range(self.pair_lines(), self.pair.0);
                self.marked_rows = marks;
            }
            Pane::Data => {
                self.selected_row().into_iter().for_each(|row| self.marked_rows.toggle(row));
                self.step(1);
            }
            Pane::Captions if self.inside => {}
            _ if range => self.marked.range(&self.arranged, place),
            _ => {
                self.arranged.get(place).into_iter().for_each(|i| self.marked.toggle(*i));
                self.across(1);
            }
        }
    }

    /// Takes the marks of the pane's list away; whether there were any.
    fn unmark(&mut self) -> bool {
        if self.pane == Pane::Data { self.marked_rows.clear() } else { self.marked.clear() }
    }

    /// Pins what is chosen; lets it go if all of it is pinned.
    fn pin(&mut self) {
        let chosen = self.chosen();
        if chosen.iter().all(|i| self.pins.contains(i)) {
            self.pins.retain(|i| !chosen.contains(i));
        } else {
            self.pins.extend(chosen);
        }
        self.marked.clear();
        self.refresh();
    }

    /// A line on or back, around the end.
    fn next_line(&mut self, by: i32) {
        let (at, len) = match self.pane {
            Pane::Data => (self.pair.0, self.pair_lines().len()),
            _ => (self.place(), self.arranged.len()),
        };
        if len > 0 {
            let to = (at as i64 + i64::from(by)).rem_euclid(len as i64);
            self.inside = false;
            self.step(to - at as i64);
        }
    }

    /// Where the selected prototype stands in the list.
    pub fn place(&self) -> usize {
        self.arranged.iter().position(|&i| i == self.prototype).unwrap_or(0)
    }

    pub(super) fn across(&mut self, by: i64) {
        let mut cursor = super::lists::Cursor(self.place());
        cursor.step(by, self.arranged.len());
        if let Some(&prototype) = self.arranged.get(cursor.0)
            && prototype != self.prototype
        {
            (self.prototype, self.candidate.0) = (prototype, 0);
        }
    }

    pub(super) fn enter(&mut self) {
        if self.pane == Pane::Captions && self.protos.is_some() {
            self.inside = true;
        }
    }

    fn ask_caption(&mut self) {
        if let Some(pair) = self.pairs.get(self.prototype) {
            self.modal = Some(Modal::Ask(Asks::Caption(self.prototype), Field::new(&pair.caption)));
        }
    }

    fn cancel_newest(&mut self) -> Vec<Effect> {
        let Some((id, title)) = self.jobs.iter().rev().find(|j| j.is_alive()).map(|j| (j.id, j.title())) else {
            self.tell("nothing runs; q leaves");
            return vec![];
        };
        self.tell(format!("cancelled: {title}"));
        self.stop(id)
    }

    fn stop(&mut self, id: JobId) -> Vec<Effect> {
        let now = self.now;
        if let Some(job) = self.jobs.iter_mut().find(|j| j.id == id) {
            job.end(Outcome::Cancelled, now);
        }
        let gone: Vec<Fingerprint> =
            self.jobs.iter().filter(|j| j.id == id).flat_map(Job::wanted).map(|w| w.key.clone()).collect();
        gone.iter().for_each(|key| drop(self.forming.remove(key)));
        vec![Effect::Cancel(id)]
    }

    fn synthesise(&mut self, which: Which) -> Vec<Effect> {
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

    /// The clustering, if it is the one that the settings ask for.
    fn ready(&mut self) -> Option<Fingerprint> {
        let basis = self.basis().filter(|_| !self.behind);
        if basis.is_none() {
            self.tell("the prototypes are not there yet");
        }
        basis
    }

    fn evaluate(&mut self) -> Vec<Effect> {
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
        effects.push(self.spawn(work));
        effects
    }

    fn yardstick(&mut self, method: &'static str) -> Vec<Effect> {
        if self.measured.is_none() {
            self.tell("the data are not embedded yet");
            return vec![];
        }
        let work = Work::Yardstick { method, draft: Box::new(self.draft.clone()) };
        if self.jobs.iter().any(|j| j.is_alive() && j.work == work) {
            self.tell("on its way already");
            return vec![];
        }
        vec![self.spawn(work)]
    }

    /// Whether the set was judged as the protocol has it now.
    fn is_judged(&self, set: &Fingerprint) -> bool {
        let now = &self.draft.config.evaluation;
        let name = protocol_name(now);
        let by = |s: &Score| match &s.protocol {
            Some(protocol) => *protocol == name,
            None => {
                let of = |e: &EncoderScore| (e.encoder.clone(), e.runs);
                s.epochs == now.epochs
                    && s.encoders.iter().map(of).eq(now.encoders.iter().map(|e| (e.clone(), now.runs)))
            }
        };
        self.scores.iter().any(|s| s.set == *set && by(s))
    }

    fn ask_export(&mut self) {
        if self.whole().is_some() {
            self.modal = Some(Modal::Ask(Asks::Export, Field::new("distilled")));
        }
    }

    /// As `ready`, if every picture is fresh too.
    fn whole(&mut self) -> Option<Fingerprint> {
        let basis = self.ready()?;
        let outdated = self.outdated().len();
        if outdated > 0 {
            self.notice =
                Some((Level::Warning, format!("{outdated} pictures are missing or stale: S makes them first")));
        }
        (outdated == 0).then_some(basis)
    }

    pub(super) fn export(&mut self, dir: &str) -> Vec<Effect> {
        let Some(basis) = self.whole() else { return vec![] };
        let (pairs, draft) = (self.pairs.clone(), Box::new(self.draft.clone()));
        vec![self.spawn(Work::Export { basis, pairs, draft, dir: dir.into() })]
    }

    /// Shows only lines with these words.
    pub(super) fn filter_by(&mut self, words: &str) {
        if self.pane != Pane::Data {
            self.filter = words.to_owned();
            self.refresh();
            if !self.arranged.contains(&self.prototype) {
                self.prototype = self.arranged.first().copied().unwrap_or(self.prototype);
            }
            return;
        }
        let kept = self.selected_row();
        let low = words.to_lowercase();
        let has = |row: &u32| self.rows.captions.get(*row as usize).is_some_and(|c| c.to_lowercase().contains(&low));
        let order = self.measured.as_ref().map(|m| m.order.as_slice()).unwrap_or_default();
        let lines = (!words.is_empty()).then(|| order.iter().copied().filter(has).collect::<Vec<_>>());
        let shown = lines.as_deref().unwrap_or(order);
        self.pair.0 = shown.iter().position(|r| Some(*r) == kept).unwrap_or(0);
        self.pair_filter = (words.to_owned(), lines);
    }
}
