//! How soon the explorer answers while embedding, clustering and synthesis keep all cores busy: from a key to its frame,
//! inside the program and through a pseudo-terminal. `cargo bench --bench answers`; on a million pairs of ready features with
//! `-- million` (3 GB of disk, 6 GB of memory).
#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "answers/million.rs"]
mod million;
#[path = "answers/terminal.rs"]
mod terminal;

use protostill::{
    app::{Event, Key, State},
    config::Config,
    data::world::{DEFAULT_SEED, WorldSpec, dataset},
    journal::Journal,
    pipeline::{
        store::Store,
        workbench::{Checkpoints, Workbench},
    },
    session::{self, Session},
    ui::{
        canvas::Cells,
        theme::{Depth, Theme},
        view::{self, Look},
    },
};
use ratatui::{buffer::Buffer, layout::Rect};
use std::{
    io::Write,
    path::Path,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};
use terminal::Terminal;

const SIZE: (u16, u16) = (120, 40);

fn main() {
    // `cargo test --benches` only wants to know that this links and starts.
    if std::env::args().any(|a| a == "--test") {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    if std::env::args().any(|a| a == "million") {
        return million::million(home.path());
    }
    inside(home.path());
    let home = tempfile::tempdir().unwrap();
    through_a_terminal(home.path());
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |share: usize| times[(times.len() - 1) * share / 100].as_secs_f64() * 1e3;
    println!("{what:<44} p50 {:6.1} ms  p99 {:6.1} ms  max {:6.1} ms", at(50), at(99), at(100));
}

/// The program without its terminal: news are taken and a frame is drawn after each key, as the loop does.
struct Program {
    state: State,
    session: Session,
    news: mpsc::Receiver<Event>,
}

impl Program {
    fn start(home: &Path) -> Self {
        let config = Config::load(None).unwrap().checked().unwrap();
        let (send, news) = mpsc::channel();
        let sink = Arc::new(move |event| drop(send.send(event)));
        let store = home.join("store");
        let open = session::Open::new(move |_, _| {
            let world = dataset(&WorldSpec::new(2000, 0.0, DEFAULT_SEED))?;
            Ok(Workbench::new(
                world,
                Checkpoints::demo(),
                Store::open(store.clone())?,
                protostill::models::device::Backend::CPU,
            ))
        });
        let state = State::new(session::draft(&config));
        let journal = Journal::create(&home.join("s.jsonl"), &config).unwrap();
        let session = Session::new(config, open, journal, sink).unwrap();
        let mut all = Self { state, session, news };
        all.handle(Event::Resize(SIZE.0, SIZE.1));
        all.state.start().into_iter().for_each(|e| drop(all.session.perform(e)));
        all
    }

    fn handle(&mut self, event: Event) {
        for effect in self.state.handle(event) {
            self.session.perform(effect);
        }
    }

    /// Time from a key to the finished frame.
    fn press(&mut self, key: &str) -> Duration {
        let look = Look { theme: Theme::new(Depth::True, false), cells: Cells::Half, ascii: false };
        let start = Instant::now();
        self.handle(Event::Key(key.parse::<Key>().unwrap()));
        while let Ok(event) = self.news.try_recv() {
            self.handle(event);
        }
        let mut buf = Buffer::empty(Rect::new(0, 0, SIZE.0, SIZE.1));
        view::draw(&mut buf, &self.state, &look);
        start.elapsed()
    }

    /// Presses these keys in turn while `such` holds.
    fn presses(&mut self, keys: &[&str], such: impl Fn(&State) -> bool) -> Vec<Duration> {
        let mut times = Vec::new();
        for key in keys.iter().cycle().take(400) {
            if !such(&self.state) {
                break;
            }
            times.push(self.press(key));
            std::thread::sleep(Duration::from_millis(25));
        }
        times
    }

    fn until(&mut self, such: impl Fn(&State) -> bool) {
        while !such(&self.state) {
            let event = self.news.recv_timeout(Duration::from_secs(300)).unwrap();
            self.handle(event);
        }
    }
}

fn inside(home: &Path) {
    let mut program = Program::start(home);
    let times = program.presses(&["6", "1", "?", "Esc"], |s| s.measured.is_none());
    report("inside, while embedding", times);
    program.until(|s| s.protos.is_some() && !s.behind);
    program.press("2");
    let times = program.presses(&["+", "j", "+", "k", "+"], |s| s.draft.config.cluster.prototypes < 120);
    report("inside, moving the slider while it clusters", times);
    program.until(|s| !s.behind && !s.is_busy());
    for key in ["4", "S"] {
        program.press(key);
    }
    let times = program.presses(&["l", "j", "h", "k", "2", "4"], |s| s.is_busy());
    report("inside, while synthesising", times);
}

fn through_a_terminal(home: &Path) {
    let mut term = Terminal::start(home, SIZE, &[]);
    let first = term.until("protostill");
    println!("{:<44} {:10.1} ms", "first frame", first.as_secs_f64() * 1e3);
    // Each press is answered by a pane that cannot be mistaken.
    let panes = [("6", "embed the data:"), ("2", "support  tight"), ("5", "Training ")];
    term.until("stay (");
    term.until("· set");
    term.press("2", "support  tight");
    let slider = (51..71).map(|n| term.press("+", &format!("{n} prototypes · set"))).collect();
    report("terminal, slider to new prototypes", slider);
    report("terminal, at rest", panes_in_turn(&mut term, &panes));
    term.rest();
    term.keys.write_all(b"4S").unwrap();
    std::thread::sleep(Duration::from_secs(2));
    report("terminal, panes while synthesising", panes_in_turn(&mut term, &panes));
    term.leave();
}

fn panes_in_turn(term: &mut Terminal, panes: &[(&str, &str); 3]) -> Vec<Duration> {
    let press = |i: usize| {
        std::thread::sleep(Duration::from_millis(20));
        let (key, words) = panes[i % 3];
        term.press(key, words)
    };
    (0..300).map(press).collect()
}
