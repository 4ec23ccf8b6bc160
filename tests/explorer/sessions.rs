//! A session over the real pipeline, without a terminal: effects are carried out, journals are kept and replayed.

use protostill::{
    app::{Event, Key, State, Which},
    config::Config,
    journal::{self, Journal},
    pipeline::{
        Ctx,
        store::Store,
        workbench::{Checkpoints, Workbench},
    },
    session::{self, Open, Session},
};
use std::{
    path::Path,
    sync::{Arc, mpsc},
    time::Duration,
};

pub const TINY: &str = r#"
seed = 7
method = "pds"
[data]
source = "world"
scenes = 60
[models]
clip = "demo"
decoder = "demo"
encoders = "demo"
[cluster]
prototypes = 4
[synthesis]
steps = 3
guidance = 3.0
[evaluation]
encoders = ["vit"]
runs = 2
epochs = 4
"#;

fn config(home: &Path) -> Config {
    let path = home.join("tiny.toml");
    std::fs::write(&path, TINY).unwrap();
    Config::load(Some(&path)).unwrap().checked().unwrap()
}

fn open(home: &Path) -> Open {
    let store = home.join("store");
    Open::new(move |_, _| {
        let world = protostill::data::world::WorldSpec::new(60, 0.0, protostill::data::world::DEFAULT_SEED);
        let checkpoints = Checkpoints::demo();
        Ok(Workbench::new(
            protostill::data::world::dataset(&world)?,
            checkpoints,
            Store::open(store.clone())?,
            protostill::models::device::Backend::CPU,
        ))
    })
}

/// A program without its terminal.
struct Headless {
    state: State,
    session: Session,
    news: mpsc::Receiver<Event>,
}

impl Headless {
    fn new(home: &Path, journal: &Path) -> Self {
        let config = config(home);
        let (send, news) = mpsc::channel();
        let (entries, journal) = if journal.exists() {
            let (held, journal) = Journal::reopen(journal).unwrap();
            (held.entries, journal)
        } else {
            (vec![], Journal::create(journal, &config).unwrap())
        };
        let mut state = State::new(session::draft(&config));
        state.restore(entries);
        let sink = Arc::new(move |event| drop(send.send(event)));
        let session = Session::new(config, open(home), journal, sink).unwrap();
        let mut all = Self { state, session, news };
        let effects = all.state.start();
        for effect in effects {
            all.session.perform(effect);
        }
        all
    }

    fn handle(&mut self, event: Event) {
        for effect in self.state.handle(event) {
            self.session.perform(effect);
        }
    }

    fn keys(&mut self, keys: &str) {
        keys.split(' ').for_each(|k| self.handle(Event::Key(k.parse::<Key>().unwrap())));
    }

    fn until(&mut self, what: &str, such: impl Fn(&State) -> bool) {
        while !such(&self.state) {
            let event = self
                .news
                .recv_timeout(Duration::from_secs(120))
                .unwrap_or_else(|_| panic!("{what}: {:?}", self.state.log));
            self.handle(event);
        }
    }

    fn settled(&mut self, what: &str) {
        self.until(what, |s| s.protos.is_some() && !s.behind && !s.is_busy());
    }
}

fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            out.extend(files(&path));
        } else {
            out.push((path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap()));
        }
    }
    out.sort();
    out
}

#[test]
fn a_session_is_carried_out_reopened_and_replayed_byte_for_byte() {
    let home = tempfile::tempdir().unwrap();
    let journal = home.path().join("s.jsonl");
    let mut first = Headless::new(home.path(), &journal);
    first.settled("embedding and clustering");
    assert_eq!(first.state.pairs.len(), 4);
    first.keys("2 -");
    first.settled("clustering again");
    assert_eq!(first.state.pairs.len(), 3);
    first.keys("1 x");
    first.settled("clustering without a dropped pair");
    first.keys("3 i Ctrl-U m y Space w o r d s Enter");
    assert_eq!(first.state.pairs[0].caption, "my words");
    first.keys("4 S");
    first.until("synthesis", |s| s.outdated().is_empty() && !s.is_busy());
    let out = home.path().join("out");
    first.state.update(protostill::app::Action::Synthesise(Which::Stale));
    first.keys("e Ctrl-U");
    first.handle(Event::Paste(out.display().to_string()));
    first.keys("Enter");
    first.until("export", |s| !s.is_busy());
    let set = first.state.set();
    drop(first);

    let mut second = Headless::new(home.path(), &journal);
    second.settled("reopening");
    assert_eq!(second.state.set(), set, "the session stands where it stood");
    second.until("finding the pictures", |s| s.outdated().is_empty());

    let held = journal::read(&journal).unwrap();
    let again = home.path().join("again");
    session::replay(held, open(home.path()), &again, &Ctx::quiet()).unwrap();
    assert_eq!(files(&out), files(&again));
    assert_eq!(files(&out).iter().filter(|(n, _)| n.ends_with(".png")).count(), 3);
}

#[test]
fn a_cancelled_job_stops_and_the_next_one_runs() {
    let home = tempfile::tempdir().unwrap();
    let mut it = Headless::new(home.path(), &home.path().join("s.jsonl"));
    it.settled("embedding");
    it.keys("4 S");
    it.until("a first step", |s| s.jobs.iter().any(|j| !j.wanted().is_empty() && j.step.is_some()));
    it.keys("Ctrl-C");
    assert!(!it.state.is_busy());
    it.keys("s");
    it.until("one picture", |s| s.outdated().len() == 3 && !s.is_busy());
}

#[test]
fn two_sessions_are_laid_side_by_side_and_what_is_alike_corresponds() {
    let home = tempfile::tempdir().unwrap();
    let (a, b) = (home.path().join("a.jsonl"), home.path().join("b.jsonl"));
    let mut other = Headless::new(home.path(), &b);
    other.settled("the other session");
    other.keys("3 i Ctrl-U m y Space w o r d s Enter");
    drop(other);
    let mut own = Headless::new(home.path(), &a);
    own.settled("this session");
    own.keys("4 S");
    own.until("synthesis", |s| s.outdated().is_empty() && !s.is_busy());
    let first = own.state.set();
    for path in [&b, &home.path().join("none.jsonl")] {
        own.keys(":");
        own.handle(Event::Paste(format!("compare {}", path.display())));
        own.keys("Enter");
        own.until("the comparison", |s| !s.is_busy());
    }
    // The last one found no session, and left what was there.
    assert!(own.state.log.iter().any(|l| l.text.contains("none.jsonl")));
    let compared = own.state.comparison().unwrap();
    assert_eq!(compared.sides.each_ref().map(|s| s.captions.len()), [4, 4]);
    assert!(compared.twins.iter().all(|t| t.of[0] == t.of[1] && t.cosine > Some(0.9999)), "the same clustering");
    assert_eq!(compared.counts(), [4, 3, 3], "a caption was written by hand, and its picture was never made");
    assert!(compared.sides[1].captions[0] == "my words" && compared.sides[1].pictures[0].is_none());
    // Another number, judged: a line of this session beside what is on screen.
    own.keys("5 E");
    own.until("recall", |s| !s.scores.is_empty() && !s.is_busy());
    own.keys("2 -");
    own.settled("one less");
    own.keys("5 g =");
    own.until("the comparison", |s| !s.is_busy());
    let compared = own.state.comparison().unwrap();
    assert_eq!(compared.sides.each_ref().map(|s| s.captions.len()), [4, 3]);
    assert_eq!(compared.twins.iter().filter(|t| t.of[1].is_none()).count(), 1, "one has no counterpart");
    assert!(compared.sides[0].pictures.iter().all(Option::is_some) && compared.sides[0].encoders.len() == 1);
    assert_ne!(own.state.set(), first);
}
