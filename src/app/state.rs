//! Everything the explorer knows. Drawing reads it; only `handle` changes it.

use super::{
    action::Pane,
    album::Album,
    asks::Modal,
    decision::{Decision, Draft, History},
    event::{Effect, Entry, Event, JobId, Level, Wanted, Work},
    film::Film,
    focus::{Focus, Reading},
    job::Job,
    keys::Keys,
    lists::{Cursor, SortBy},
    marks::Marks,
    model::{Compared, Elsewhere, Found, Measured, Picture, Protos, Rows, Score, Summary, Usage},
    real::Real,
};
use crate::{fingerprint::Fingerprint, pipeline::Embedded};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

/// Log lines kept.
const LOG_LINES: usize = 2000;

/// A line of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct LogLine {
    /// Milliseconds since the start.
    pub at: u64,
    /// How much it matters.
    pub level: Level,
    /// The words.
    pub text: String,
}

/// The whole state.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Milliseconds since the start.
    pub now: u64,
    /// Which keys do what.
    pub keys: Keys,
    /// The terminal in cells.
    pub size: (u16, u16),
    /// The data set's name, once it was read.
    pub name: Option<String>,
    /// Its train pairs.
    pub rows: Arc<Rows>,
    /// Pair cosines, once embedded.
    pub measured: Option<Arc<Measured>>,
    /// What came so far, while the data are being embedded.
    pub partial: Embedded,
    /// The embeddings as a whole.
    pub summary: Option<Summary>,
    /// The prototypes that were found last.
    pub protos: Option<Arc<Protos>>,
    /// A newer clustering is on its way: what is shown belongs to older settings.
    pub behind: bool,
    /// What is shown is a first look, which nothing is made of.
    pub glimpse: bool,
    /// Pairs that the first look is of, if not of all.
    pub looked_at: Option<usize>,
    /// Caption, seed and picture name of each prototype.
    pub pairs: Vec<Wanted>,
    /// Finished pictures.
    pub pictures: Album,
    /// Pictures that are forming, and their steps.
    pub forming: BTreeMap<Fingerprint, (usize, Picture)>,
    /// The picture made last for each prototype of each clustering.
    pub made: BTreeMap<(Fingerprint, usize), Fingerprint>,
    /// What made the finished pictures of each prototype of each clustering, the first one first.
    pub(super) versions: BTreeMap<(Fingerprint, usize), Vec<Wanted>>,
    /// Pictures as they formed.
    pub film: Film,
    /// Of finished pictures: CLIP's cosine to the image prototype and to the caption.
    pub fits: BTreeMap<Fingerprint, [f32; 2]>,
    /// Decisions.
    pub history: History,
    /// What they come to.
    pub draft: Draft,
    /// Jobs, oldest first.
    pub jobs: Vec<Job>,
    /// What was judged, oldest first.
    pub scores: Vec<Score>,
    /// The log's latest lines.
    pub log: VecDeque<LogLine>,
    /// How many lines it ever had.
    pub said: u64,
    /// Real pictures by image number.
    pub real: Real,
    /// The pane in front.
    pub pane: Pane,
    /// What is looked at closely.
    pub focus: Focus,
    /// The pane's main part has all the room.
    pub zoom: bool,
    /// The data pane gives all the room of its plots to the plane.
    pub scatter: bool,
    /// The mouse points here rather than selecting text for the terminal.
    pub mouse: bool,
    /// In the captions pane: the cursor is among the candidates.
    pub inside: bool,
    /// The selected prototype, whatever the sort and filter.
    pub prototype: usize,
    /// The selected candidate.
    pub candidate: Cursor,
    /// The selected pair, as a line of the worst-first list.
    pub pair: Cursor,
    /// Marked pairs.
    pub marked_rows: Marks<u32>,
    /// Marked prototypes of the clustering on screen.
    pub marked: Marks<usize>,
    /// Its prototypes that stay on top of every list.
    pub pins: BTreeSet<usize>,
    /// The selected score.
    pub run: Cursor,
    /// Settings of synthesis change the selected picture alone.
    pub alone: bool,
    /// The selected job.
    pub job: Option<JobId>,
    /// How the runs pane is looked at.
    pub reading: Reading,
    /// Lines scrolled up from the end of the log.
    pub scrolled: usize,
    /// Order of the prototypes.
    pub sort: SortBy,
    /// Words that prototypes' captions must contain.
    pub filter: String,
    /// Prototypes as they are listed.
    pub arranged: Vec<usize>,
    /// Words that pairs' captions must contain, and the lines that do.
    pub pair_filter: (String, Option<Vec<u32>>),
    /// What is nearest to words that were asked for.
    pub found: Option<Arc<Found>>,
    /// What is amiss with data and checkpoints, and what to change.
    pub remarks: Vec<String>,
    /// What the machine is doing, while anything runs.
    pub usage: Option<Usage>,
    /// What lies over the pane.
    pub modal: Option<Modal>,
    /// A word about what happened last.
    pub notice: Option<(Level, String)>,
    /// How pictures are shown, and why.
    pub shown_as: String,
    /// Another process that works in this session, while this one looks on.
    pub elsewhere: Option<Elsewhere>,
    /// Two sets side by side.
    pub compared: Option<Arc<Compared>>,
    /// They came while another pane was looked at: the runs pane opens with them.
    pub compared_unseen: bool,
    /// The pane where they were asked for.
    pub compared_from: Option<Pane>,
    /// Every decision, and those taken back or brought back again, as the journal has them.
    pub(super) decided: Vec<Entry>,
    /// Command lines that wait until nothing is at work.
    pub todo: VecDeque<String>,
    pub(super) next_job: u64,
    /// Name and rows of the data set that the decisions are about.
    pub(super) about: Option<(String, Fingerprint)>,
    /// Clusterings named by version 0.1.3, and the draft that each was first edited under.
    pub(super) former: Vec<(Fingerprint, Draft)>,
    /// Looking at pictures failed: it is not tried again and again.
    pub(super) look_failed: bool,
}

impl State {
    /// At the start, with the configuration's settings.
    pub fn new(base: Draft) -> Self {
        let history = History::new(base);
        Self { draft: history.draft(), history, size: (80, 24), mouse: true, ..Self::default() }
    }

    /// Takes up what a journal holds, before anything runs.
    pub fn restore(&mut self, entries: Vec<Entry>) {
        self.take_up(entries);
        self.draft = self.history.draft();
    }

    pub(super) fn take_up(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            if matches!(entry, Entry::Do(_) | Entry::Undo | Entry::Redo) {
                self.decided.push(entry.clone());
            }
            match entry {
                Entry::Do(decision) => {
                    // Version 0.1.3 did not note the data set.
                    if self.about.is_none() {
                        decision.bases(&mut |basis| {
                            if self.former.iter().all(|(known, _)| known != basis) {
                                self.former.push((basis.clone(), self.history.draft()));
                            }
                        });
                    }
                    self.history.push(decision);
                }
                Entry::Undo => drop(self.history.undo().cloned()),
                Entry::Redo => drop(self.history.redo().cloned()),
                Entry::Score(score) => self.take_score(score),
                Entry::Data { name, rows } => self.about = Some((name, rows)),
            }
        }
    }

    /// The first effects: the data set is read and embedded in a job.
    pub fn start(&mut self) -> Vec<Effect> {
        vec![self.spawn(Work::Embed)]
    }

    /// Changes by one event.
    pub fn handle(&mut self, event: Event) -> Vec<Effect> {
        match (&self.elsewhere, &event) {
            (Some(_), Event::Key(_) | Event::Do(_) | Event::Paste(_)) => self.look_on(event),
            _ => self.react(event),
        }
    }

    pub(super) fn react(&mut self, event: Event) -> Vec<Effect> {
        let mut effects = match event {
            Event::Key(key) => self.key(key),
            Event::Do(action) => self.point(action),
            Event::Paste(text) => self.paste(&text),
            Event::Resize(width, height) => {
                self.size = (width, height);
                vec![]
            }
            Event::Tick(now) => {
                self.now = now;
                return vec![];
            }
            Event::Job(id, news) => self.observe(id, news),
            Event::Picture(image, picture) => {
                self.real.keep(image, picture);
                vec![]
            }
            Event::Named(image, name) => {
                self.real.call(image, name);
                vec![]
            }
            Event::Usage(usage) => {
                self.usage = usage;
                vec![]
            }
            Event::Recalled(key, picture) => {
                self.keep_made(key, picture);
                vec![]
            }
            Event::Pictures(how) => {
                self.say(Level::Info, format!("pictures as {how}"));
                self.shown_as = how;
                vec![]
            }
            Event::Log(level, text) => {
                self.say(level, text);
                vec![]
            }
            Event::Elsewhere(told) => {
                self.hear(told);
                vec![]
            }
            Event::Followed(entries) => self.follow(entries),
            Event::Owned => {
                self.own();
                vec![]
            }
            Event::HandOver => vec![Effect::HandOver(self.lines_of_queue())],
        };
        effects.extend(self.carry_on());
        effects.extend(self.ask_for_pictures());
        effects.extend(self.look());
        effects
    }

    /// Records a decision and what follows from it.
    pub(super) fn decide(&mut self, decision: Decision) -> Vec<Effect> {
        self.history.push(decision.clone());
        self.decided.push(Entry::Do(decision.clone()));
        let mut effects = vec![Effect::Append(Entry::Do(decision))];
        effects.extend(self.settle());
        effects
    }

    /// Brings everything in line with the decisions that hold now.
    pub(super) fn settle(&mut self) -> Vec<Effect> {
        let old = std::mem::replace(&mut self.draft, self.history.draft());
        self.refresh();
        let new = &self.draft;
        if old.config.caption != new.config.caption || !old.clusters_as(new) { self.cluster() } else { self.recall() }
    }

    /// Clusters anew; a clustering that is still running is for nothing and stops.
    pub(super) fn cluster(&mut self) -> Vec<Effect> {
        if self.measured.is_none() {
            return vec![];
        }
        self.behind = true;
        let mut effects = self.stop_where(|work| matches!(work, Work::Prototypes(_)));
        effects.push(self.spawn(Work::Prototypes(Box::new(self.draft.clone()))));
        effects
    }

    /// Adds to the log and, if it matters, to the status line.
    pub(super) fn say(&mut self, level: Level, text: String) {
        if level > Level::Info {
            self.notice = Some((level, text.clone()));
        }
        self.log.push_back(LogLine { at: self.now, level, text });
        self.said += 1;
        if self.log.len() > LOG_LINES {
            self.log.pop_front();
        }
    }

    /// A word on the status line.
    pub(super) fn tell(&mut self, text: impl Into<String>) {
        self.notice = Some((Level::Info, text.into()));
    }

    /// The row under the cursor of the data pane.
    pub fn selected_row(&self) -> Option<u32> {
        self.pair_lines().get(self.pair.0).copied()
    }

    /// Rows in the data pane's list, as they are listed.
    pub fn pair_lines(&self) -> &[u32] {
        self.pair_filter.1.as_deref().unwrap_or_else(|| self.all_lines())
    }

    /// Pairs that an edit concerns.
    pub fn chosen_rows(&self) -> Vec<u32> {
        self.marked_rows.chosen(self.pair_lines(), self.pair.0)
    }

    /// Whether the prototype listed at `place` is marked or in the open range.
    pub fn is_marked(&self, place: usize) -> bool {
        let open = self.marked.open(&self.arranged, self.place());
        self.arranged.get(place).is_some_and(|i| self.marked.has(*i)) || open.is_some_and(|o| o.contains(&place))
    }

    /// Prototypes that an edit concerns.
    pub fn chosen(&self) -> Vec<usize> {
        self.marked.chosen(&self.arranged, self.place())
    }
}
