//! Any keys and any news, in any order.

use super::{fixture::*, view};
use proptest::{prelude::*, sample::Index};
use protostill::{
    app::{COMMANDS, Decision, Effect, Entry, Event, ImageState, JobId, Key, News, Outcome, State, Work},
    fingerprint::Fingerprint,
    ui::view::draw,
};
use ratatui::{buffer::Buffer, layout::Rect};
use std::{collections::BTreeSet, sync::Arc};

/// What may happen to an explorer.
#[derive(Clone, Debug)]
enum Step {
    Key(Key),
    Line(String),
    Paste(String),
    Resize(u16, u16),
    Wait(u64),
    /// Whatever lies under the mouse somewhere.
    Point(Index),
    /// Some job says something.
    News(Index, Say),
    Picture(u32, bool),
}

#[derive(Clone, Copy, Debug)]
enum Say {
    Started,
    Step,
    Preview,
    Result,
    Done,
    Failed,
}

fn step() -> impl Strategy<Value = Step> {
    let mut keys: Vec<Key> = COMMANDS.iter().flat_map(|c| c.keys).copied().filter(|k| *k != Key::Ctrl('z')).collect();
    keys.extend([Key::Enter, Key::Esc, Key::Backspace, Key::Tab, Key::Left, Key::Char('7'), Key::Char('é')]);
    let lines = [
        "prototypes 3",
        "prune 95",
        "prune 0",
        "steps 7",
        "noise 300",
        "guidance 30",
        "runs 2",
        "epochs 9",
        "sweep 2 3",
        "find red",
        "compare",
        "compare other.jsonl",
        "report",
        "push org/name",
        "x",
    ];
    let say = prop_oneof![
        2 => Just(Say::Started),
        1 => Just(Say::Step),
        1 => Just(Say::Preview),
        3 => Just(Say::Result),
        2 => Just(Say::Done),
        1 => Just(Say::Failed),
    ];
    prop_oneof![
        12 => proptest::sample::select(keys).prop_map(Step::Key),
        2 => proptest::sample::select(lines.to_vec()).prop_map(|l| Step::Line(l.into())),
        1 => "[a-z赤\\x1b\n ]{0,6}".prop_map(Step::Paste),
        1 => (0..140u16, 0..50u16).prop_map(|(w, h)| Step::Resize(w, h)),
        1 => (0..100_000u64).prop_map(Step::Wait),
        3 => any::<Index>().prop_map(Step::Point),
        8 => (any::<Index>(), say).prop_map(|(i, s)| Step::News(i, s)),
        1 => (0..9u32, any::<bool>()).prop_map(|(i, ok)| Step::Picture(i, ok)),
    ]
}

/// An explorer, and what is known of it from outside.
struct Machine {
    state: State,
    journal: Vec<Entry>,
    /// Pictures that were made.
    made: BTreeSet<Fingerprint>,
}

impl Machine {
    fn new() -> Self {
        let mut machine = Self { state: State::new(draft()), journal: vec![], made: BTreeSet::new() };
        let effects = machine.state.start();
        machine.follow(effects);
        machine
    }

    fn follow(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Append(entry) => {
                    assert_eq!(entry.check(), Ok(()), "what is written can be read again");
                    self.journal.push(entry);
                }
                Effect::Start(_, Work::Export { pairs, .. }) => {
                    assert!(pairs.iter().all(|p| self.made.contains(&p.key)), "nothing stale is exported");
                }
                Effect::Start(_, Work::Evaluate { pairs, .. }) => {
                    let coming: BTreeSet<_> = self
                        .state
                        .jobs
                        .iter()
                        .filter(|j| j.is_alive())
                        .flat_map(|j| j.wanted())
                        .map(|w| &w.key)
                        .collect();
                    let there = |key| self.made.contains(key) || coming.contains(key);
                    assert!(!self.state.behind && pairs.iter().all(|p| there(&p.key)), "nothing stale is judged");
                }
                _ => {}
            }
        }
    }

    fn handle(&mut self, event: Event) {
        let effects = self.state.handle(event);
        self.follow(effects);
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Key(key) => self.handle(Event::Key(*key)),
            Step::Line(line) => {
                let letters = line.chars().map(Key::Char);
                [Key::Char(':')]
                    .into_iter()
                    .chain(letters)
                    .chain([Key::Enter])
                    .for_each(|k| self.handle(Event::Key(k)));
            }
            Step::Paste(text) => self.handle(Event::Paste(text.clone())),
            Step::Resize(w, h) => self.handle(Event::Resize(*w, *h)),
            Step::Wait(ms) => self.handle(Event::Tick(self.state.now + ms)),
            Step::Point(at) => {
                let hits = self.drawn();
                if !hits.is_empty() {
                    self.handle(Event::Do(*at.get(&hits)));
                }
            }
            Step::News(at, say) => {
                if !self.state.jobs.is_empty() {
                    let job = at.get(&self.state.jobs);
                    let (id, alive, news) = (job.id, job.is_alive(), self.news(job.id, &job.work.clone(), *say));
                    if let (true, News::Made { key, .. }) = (alive, &news) {
                        self.made.insert(key.clone());
                    }
                    self.handle(Event::Job(id, news));
                }
            }
            Step::Picture(i, ok) => {
                let found = if *ok { Ok(picture(*i as u8)) } else { Err("cut off".into()) };
                self.handle(Event::Picture(*i, found));
            }
        }
    }

    /// What a job of this kind may say; several may say everything, in any order.
    fn news(&self, id: JobId, work: &Work, say: Say) -> News {
        let wanted = work_pairs(work);
        let one = wanted.get(id_number(id) % wanted.len().max(1)).map(|w| w.key.clone());
        match (say, work) {
            (Say::Started, _) => News::Started,
            (Say::Step, _) => News::Step { stage: "stage", done: 3, total: 9 },
            (Say::Preview, Work::Synthesise { .. }) => match one {
                Some(key) => News::Preview { key, step: 5, picture: picture(3) },
                None => News::Started,
            },
            (Say::Preview, Work::Prototypes(draft)) => {
                News::Glimpse(Arc::new(protos("look", draft.config.cluster.prototypes)), None)
            }
            (Say::Preview, Work::Embed) => News::Opened { name: "world".into(), rows: Arc::new(rows()) },
            (Say::Result, Work::Embed) => News::Measured(Arc::new(measured())),
            (Say::Result, Work::Describe) => News::Described(summary()),
            (Say::Result, Work::Prototypes(draft)) => {
                let name =
                    format!("{} {} {:?}", draft.config.cluster.prototypes, draft.config.prune.ratio, draft.by_hand);
                News::Prototypes(Arc::new(protos(&name, draft.config.cluster.prototypes)))
            }
            (Say::Result, Work::Synthesise { .. }) => match one {
                Some(key) => News::Made { key, picture: picture(9) },
                None => News::Started,
            },
            (Say::Result, Work::Look { pairs, .. }) => {
                News::Looked(pairs.iter().map(|p| (p.key.clone(), [0.5, 0.25])).collect())
            }
            (Say::Result, Work::Evaluate { set, .. }) => News::Scored(score("pds", set)),
            (Say::Result, Work::Find { words, basis, pairs }) => News::Found(Arc::new(protostill::app::Found {
                words: words.clone(),
                rows: vec![3, 1],
                cosines: [(3, 0.5), (1, 0.4)].into(),
                basis: basis.clone(),
                prototypes: vec![0.3; 4],
                pictures: pairs.iter().map(|p| (p.key.clone(), 0.2)).collect(),
            })),
            (Say::Result, Work::Yardstick { method, .. }) => News::Scored(score(method, &Fingerprint::of_bytes(b"y"))),
            (Say::Result, Work::Export { dir, .. }) => News::Exported(dir.clone()),
            (Say::Result, Work::Compare(_)) => News::Compared(Arc::new(compared())),
            (Say::Result, Work::HandOff { .. }) => News::Answered("to the hub:\n  one\n\x1b[2J".into()),
            (Say::Done, _) => News::Ended(Outcome::Done),
            (Say::Failed, _) => News::Ended(Outcome::Failed("a disk is full".into())),
            (Say::Preview, _) => News::Started,
        }
    }

    /// Draws; returns what can be pointed at.
    fn drawn(&mut self) -> Vec<protostill::app::Action> {
        let (w, h) = self.state.size;
        let mut buf = Buffer::empty(Rect::new(0, 0, w, h));
        draw(&mut buf, &self.state, &view::look()).hits.iter().map(|h| h.1).collect()
    }

    fn check(&mut self) {
        self.drawn();
        let state = &self.state;
        for (i, pair) in state.pairs.iter().enumerate() {
            let fresh = state.image_state(i) == ImageState::Fresh;
            assert_eq!(fresh, self.made.contains(&pair.key), "fresh is what was made of what is wanted: {i}");
        }
        let mut again = State::new(draft());
        again.restore(self.journal.clone());
        assert_eq!((&again.history, &again.draft), (&state.history, &state.draft), "the journal is the state");
        assert_eq!(again.scores, state.scores);
        let mut there = state.clone();
        there.modal = None;
        let undone = there.update(protostill::app::Action::Undo);
        if undone.contains(&Effect::Append(Entry::Undo)) {
            there.update(protostill::app::Action::Redo);
            assert_eq!((&there.history, &there.draft, &there.pairs), (&state.history, &state.draft, &state.pairs));
        }
    }
}

fn work_pairs(work: &Work) -> Vec<protostill::app::Wanted> {
    match work {
        Work::Synthesise { wanted, .. } => wanted.clone(),
        _ => vec![],
    }
}

fn id_number(id: JobId) -> usize {
    id.0 as usize
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn no_keys_and_no_news_make_it_panic_lose_a_decision_or_show_what_is_stale_as_fresh(
        ready in any::<bool>(),
        steps in proptest::collection::vec(step(), 1..70),
    ) {
        let mut machine = Machine::new();
        if ready {
            // Embedded and clustered, so that there is something to break.
            for say in [Say::Started, Say::Preview, Say::Result, Say::Done] {
                machine.first(say);
            }
        }
        for step in &steps {
            machine.take(step);
            machine.check();
        }
    }
}

impl Machine {
    /// Lets every living job say this.
    fn first(&mut self, say: Say) {
        let alive: Vec<(JobId, Work)> =
            self.state.jobs.iter().filter(|j| j.is_alive()).map(|j| (j.id, j.work.clone())).collect();
        for (id, work) in alive {
            let news = self.news(id, &work, say);
            self.handle(Event::Job(id, news));
        }
    }
}

#[test]
fn a_decision_out_of_bounds_is_no_line_of_a_journal() {
    for wrong in [
        Decision::set("prune.ratio", f64::NAN),
        Decision::set("synthesis.steps", 0),
        Decision::set("synthesis.guidance", 101.0),
        Decision::set("evaluation.encoders", Vec::<String>::new()),
        Decision::set("method", "random"),
        Decision::set("data.scenes", 9),
    ] {
        assert!(Entry::Do(wrong.clone()).check().is_err(), "{wrong:?}");
    }
}
