//! What each action changes.

use super::{
    action::{Action, Pane},
    asks::{Asks, Modal},
    event::{Effect, JobId, Level, Outcome, Work},
    field::Field,
    focus::Drill,
    gallery::gallery_columns,
    job::Job,
    key::Key,
    model::Score,
    state::State,
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
            Action::Quit if self.is_busy() && self.elsewhere.is_none() => self.modal = Some(Modal::Quit),
            Action::Quit => return vec![Effect::Quit],
            Action::Redraw => return vec![Effect::Redraw],
            Action::Suspend => return vec![Effect::Suspend],
            Action::Detach => return self.detach(),
            Action::Compare => {
                return self.compare().unwrap_or_else(|why| {
                    self.tell(why);
                    vec![]
                });
            }
            Action::Mouse => return self.hand_over_the_mouse(),
            Action::Copy => return self.copied().map_or(vec![], |words| vec![Effect::Copy(words)]),
            Action::CopySeed => {
                let seed = self.pairs.get(self.prototype).map(|p| p.seed.to_string());
                return seed.map_or(vec![], |seed| vec![Effect::Copy(seed)]);
            }
            Action::StopJob => return self.selected_job().map_or(vec![], |id| self.stop(id)),
            Action::Queue(by) => return self.queue(by),
            Action::Undo | Action::Redo => return self.walk(action == Action::Undo),
            Action::CancelJob => return self.cancel_newest(),
            Action::Synthesise(which) => return self.synthesise(which),
            Action::Evaluate => return self.evaluate(),
            Action::Yardstick(method) => return self.yardstick(method),
            Action::Threshold(by) | Action::Prototypes(by) if self.next_whole(by.into()) => {}
            _ if self.ask(action) || self.look_at(action) => {}
            _ => return self.decision(action).map_or(vec![], |d| self.decide(d)),
        }
        vec![]
    }

    fn hand_over_the_mouse(&mut self) -> Vec<Effect> {
        self.mouse = !self.mouse;
        let words = if self.mouse {
            "the mouse points here; M leaves it to the terminal"
        } else {
            "the mouse is the terminal's"
        };
        self.tell(words);
        vec![Effect::Mouse(self.mouse)]
    }

    /// Actions that lay something over the pane; whether it is one.
    fn ask(&mut self, action: Action) -> bool {
        match action {
            Action::Help => self.modal = Some(Modal::Help(0)),
            Action::Glossary => self.explain(),
            Action::Palette => self.modal = Some(Modal::Palette(Field::default(), 0)),
            Action::Line => self.modal = Some(Modal::Line(Field::default())),
            Action::AskPrefix => self.modal = Some(Modal::Ask(Asks::Prefix, Field::new(&self.draft.prefix))),
            Action::Filter => {
                let now = if self.pane == Pane::Data { &self.pair_filter.0 } else { &self.filter };
                self.modal = Some(Modal::Ask(Asks::Filter, Field::new(now)));
            }
            Action::Find => {
                let now = self.found.as_ref().map_or("", |f| &f.words);
                self.modal = Some(Modal::Ask(Asks::Find, Field::offering(now)));
            }
            Action::AskPrototypes => {
                let now = self.draft.config.cluster.prototypes.to_string();
                self.modal = Some(Modal::Ask(Asks::Prototypes, Field::offering(&now)));
            }
            Action::Export => self.ask_export(),
            Action::EditCaption => self.ask_caption(),
            _ => return false,
        }
        true
    }

    /// Actions that change what is looked at; whether it is one.
    fn look_at(&mut self, action: Action) -> bool {
        match action {
            Action::Show(pane) => self.show(pane),
            Action::Turn(by) => self.show(self.pane.step(by)),
            Action::Mark | Action::Range => self.mark(action == Action::Range),
            Action::Pin => self.pin(),
            Action::Next(by) => self.next_line(by),
            Action::Back => self.back(),
            Action::Move(by) => self.step(i64::from(by)),
            Action::Page(by) => self.step(i64::from(by) * PAGE),
            Action::First => self.step(-i64::from(u32::MAX)),
            Action::Last => self.step(i64::from(u32::MAX)),
            Action::Zoom => self.zoom = !self.zoom,
            Action::Scatter => self.scatter = !self.scatter,
            Action::Alone => {
                self.alone = !self.alone;
                let whose = if self.alone { "the selected picture alone" } else { "all pictures" };
                self.tell(format!("settings change {whose}"));
            }
            Action::Flip => self.flip(),
            Action::Scrub(by) => self.scrub(by),
            Action::ByPairs => (self.reading.by_pairs, self.reading.at) = (!self.reading.by_pairs, None),
            Action::PinRun => self.pin_run(),
            Action::LogScale => self.reading.log = !self.reading.log,
            Action::Read(by) => self.read_plot(by),
            Action::PickJob(by) => self.pick_job(by),
            Action::PickRow(row) => self.pick_row(row),
            Action::PickPrototype(n) if n == self.prototype => {}
            Action::PickPrototype(n) => (self.prototype, self.candidate.0) = (n, 0),
            Action::PickCandidate(n) => (self.inside, self.candidate.0) = (true, n),
            Action::PickMember(n) => self.focus.member.0 = n.min(self.members().len().saturating_sub(1)),
            Action::PickRun(n) => self.pick_run(n),
            Action::PickTwins(n) => self.focus.member.0 = n,
            Action::Sort => {
                self.sort = self.sort.next();
                self.refresh();
                self.tell(format!("sorted by {}", self.sort.name()));
            }
            _ => return false,
        }
        true
    }

    pub(super) fn show(&mut self, pane: Pane) {
        (self.pane, self.inside, self.zoom, self.focus.drill) = (pane, false, false, Drill::List);
        if pane == Pane::Runs && std::mem::take(&mut self.compared_unseen) {
            self.focus.drill = Drill::Whole;
        }
        if self.found.is_some() {
            self.refresh();
        }
    }

    /// One level back, and never out.
    fn back(&mut self) {
        if self.inside {
            self.inside = false;
            return;
        }
        if self.leave() || self.pane == Pane::Runs && self.reading.at.take().is_some() {
            return;
        }
        if self.zoom {
            self.zoom = false;
        } else if self.unmark() {
        } else if self.has_filter() {
            self.filter_by("");
        } else {
            self.forget_found();
        }
    }

    fn has_filter(&self) -> bool {
        !if self.pane == Pane::Data { &self.pair_filter.0 } else { &self.filter }.is_empty()
    }

    /// What `copy` takes from this pane.
    fn copied(&self) -> Option<String> {
        match self.pane {
            Pane::Data => self.rows.captions.get(self.selected_row()? as usize).cloned(),
            Pane::Runs => self.scores.get(self.run.0).map(Score::table),
            Pane::Log => Some(self.log.iter().map(|l| format!("{}\n", l.text)).collect()),
            _ => Some(self.pairs.get(self.prototype)?.caption.clone()),
        }
    }

    /// Puts the cursor on a training pair; a filter or a search that hides it goes.
    fn pick_row(&mut self, row: u32) {
        let place = |lines: &[u32]| lines.iter().position(|r| *r == row);
        if place(self.pair_lines()).is_none() {
            (self.pair_filter, self.found) = ((String::new(), None), None);
            self.refresh();
        }
        self.pair.0 = place(self.pair_lines()).unwrap_or(self.pair.0);
    }

    fn step(&mut self, by: i64) {
        match self.pane {
            Pane::Data => self.pair.step(by, self.pair_lines().len()),
            Pane::Captions if self.inside => {
                let n = self.candidates();
                self.candidate.step(by, n);
            }
            Pane::Prototypes if self.is_drilled() => {
                let n = self.members().len();
                self.focus.member.step(by, n);
            }
            Pane::Gallery if self.is_drilled() => self.across(by),
            Pane::Gallery => {
                let columns = gallery_columns(self.size.0, self.zoom) as i64;
                let at = self.place() as i64;
                if (0..self.arranged.len() as i64).contains(&(at + by * columns)) || by.abs() > 1 {
                    self.across(by.saturating_mul(columns));
                }
            }
            Pane::Runs if self.is_drilled() => {
                let n = self.compared.as_ref().map_or(0, |c| c.twins.len());
                self.focus.member.step(by, n);
            }
            Pane::Runs => self.step_run(by),
            Pane::Log => {
                let most = self.log.len().saturating_sub(1) as i64;
                self.scrolled = (self.scrolled as i64 - by).clamp(0, most) as usize;
            }
            _ => self.across(by),
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
            Pane::Runs => self.mark_run(),
            _ if range => self.marked.range(&self.arranged, place),
            _ => {
                self.arranged.get(place).into_iter().for_each(|i| self.marked.toggle(*i));
                self.across(1);
            }
        }
    }

    /// Takes the marks of the pane's list away; whether there were any.
    fn unmark(&mut self) -> bool {
        match self.pane {
            Pane::Data => self.marked_rows.clear(),
            Pane::Runs => std::mem::take(&mut self.reading.marked) != [None; 2],
            _ => self.marked.clear(),
        }
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

    /// The clustering, if it is the one that the settings ask for.
    pub(super) fn ready(&mut self) -> Option<Fingerprint> {
        let basis = self.basis().filter(|_| !self.behind);
        if basis.is_none() {
            self.tell("the prototypes are not there yet");
        }
        basis
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
        let (Some(basis), Some(set)) = (self.whole(), self.set()) else { return vec![] };
        let (pairs, draft) = (self.pairs.clone(), Box::new(self.draft.clone()));
        vec![self.spawn(Work::Export { basis, set, pairs, draft, dir: dir.into() })]
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
        self.pair_filter.0 = words.to_owned();
        self.list_pairs();
    }
}
