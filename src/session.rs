//! Carries out what the explorer decides: starts and stops jobs, keeps the journal, and is the only place where the
//! pipeline's types and the explorer's meet.

mod basis;
mod child;
mod compare;
mod find;
mod headless;
mod live;
mod pictures;
mod replay;
mod seat;
mod translate;
mod watch;
mod work;

pub use headless::headless;
pub use replay::replay;
pub use seat::Hold;
pub use watch::is_open;

use crate::{
    app::{Draft, Effect, Entry, Event, JobId, Level, Measured, News, Outcome, Work},
    caught::lock,
    config::Config,
    error::{Error, Result},
    fingerprint::Fingerprint,
    job::{self, End, Handle, Lane},
    pipeline::{
        Ctx, Report,
        methods::{Method, Way},
        workbench::{Prototyped, Workbench},
    },
};
use live::{Live, Teller};
use seat::Seat;
use std::{
    collections::{BTreeMap, VecDeque},
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock},
    thread,
};

/// Clusterings kept in memory: enough to go back and forth without computing again.
const KEPT_CLUSTERINGS: usize = 12;

/// Where events go.
pub type Sink = Arc<dyn Fn(Event) + Send + Sync>;

/// Opens the data set and checkpoints that a configuration names.
pub type Opener = dyn Fn(&Config, &Ctx) -> Result<Workbench> + Send + Sync;

/// What opens sessions, this one's data set and checkpoints and those of others.
#[derive(Clone)]
pub struct Open {
    /// Fetches checkpoints and opens them and the data set that a configuration names; called in the first job, so that the
    /// screen does not wait for it.
    pub workbench: Arc<Opener>,
    /// Flags that a further process of this program needs to find the same store and device.
    pub flags: Vec<String>,
}

impl Open {
    /// Without flags.
    pub fn new(workbench: impl Fn(&Config, &Ctx) -> Result<Workbench> + Send + Sync + 'static) -> Self {
        Self { workbench: Arc::new(workbench), flags: Vec::new() }
    }
}

/// What jobs share.
struct Shared {
    config: Config,
    open: Open,
    bench: Mutex<Option<Arc<Workbench>>>,
    /// Names the data set's rows.
    rows: OnceLock<Fingerprint>,
    measured: Mutex<Option<Arc<Measured>>>,
    found: Mutex<VecDeque<(Fingerprint, Arc<Prototyped>)>>,
    /// Finished pictures as CLIP sees them.
    seen: Mutex<BTreeMap<Fingerprint, ndarray::Array1<f32>>>,
}

impl Shared {
    fn new(config: Config, open: Open) -> Self {
        Self {
            config,
            open,
            bench: Mutex::default(),
            rows: OnceLock::new(),
            measured: Mutex::default(),
            found: Mutex::default(),
            seen: Mutex::default(),
        }
    }

    fn bench(&self) -> Result<Arc<Workbench>> {
        lock(&self.bench).clone().ok_or_else(|| Error::setting("data", "the data set could not be opened"))
    }

    fn found(&self, basis: &Fingerprint) -> Result<Arc<Prototyped>> {
        let found = lock(&self.found).iter().find(|(name, _)| name == basis).map(|(_, f)| f.clone());
        found.ok_or_else(|| Error::setting("prototypes", "these prototypes are gone; cluster again"))
    }

    fn remember(&self, basis: Fingerprint, found: Arc<Prototyped>) {
        let mut all = lock(&self.found);
        all.retain(|(name, _)| *name != basis);
        all.push_back((basis, found));
        if all.len() > KEPT_CLUSTERINGS {
            all.pop_front();
        }
    }
}

/// The configuration as a draft that decisions are laid over.
pub fn draft(config: &Config) -> Draft {
    Draft::new(Config { method: way(config.method), ..config.clone() })
}

/// What of a configured way there is to look at: prototypes and pictures drawn of them.
fn way(way: Way) -> Way {
    if Way::from(way.method).draws() { Way { pictures: None, ..way } } else { Method::Pds.into() }
}

/// What an effect asks of the loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Then {
    /// Go on.
    Continue,
    /// Take or release the mouse.
    Mouse(bool),
    /// Put words where others can paste them.
    Copy(String),
    /// Draw the screen into a file.
    SavePlot(PathBuf),
    /// Write a SLURM script that carries out these command lines.
    Sbatch(PathBuf, Vec<String>),
    /// Leave, and carry out these command lines without a terminal.
    Detach(Vec<String>),
    /// Leave: another process goes on.
    HandOver,
    /// Go to the shell for a while.
    Suspend,
    /// Paint everything anew.
    Redraw,
    /// Leave.
    Quit,
}

/// A running session.
pub struct Session {
    shared: Arc<Shared>,
    sink: Sink,
    jobs: BTreeMap<JobId, Handle>,
    /// Owns the device: embedding, synthesis and evaluation, one after the other.
    lane: Lane,
    /// Decodes pictures and looks for finished ones.
    reader: Lane,
    seat: Seat,
}

impl Session {
    /// Over `config`; `open` is called in the first job.
    ///
    /// # Errors
    /// [`Error::Io`] if the system gives no threads.
    pub fn new(config: Config, open: Open, hold: impl Into<Hold>, sink: Sink) -> Result<Self> {
        let (lane, reader) = (Lane::new("device")?, Lane::new("reader")?);
        let seat = Seat::new(hold.into(), &sink);
        Ok(Self { shared: Arc::new(Shared::new(config, open)), sink, jobs: BTreeMap::new(), lane, reader, seat })
    }

    /// Where decisions are written.
    pub fn journal(&self) -> &std::path::Path {
        self.seat.path()
    }

    /// Of one that is only looked at: what its owner decided since the last time. Once that is `gone`, this process owns it.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn follow(&mut self, gone: bool) -> Result<Vec<Event>> {
        self.seat.follow(gone, &self.sink)
    }

    /// Flags that a further process needs to go on with this session.
    pub fn flags(&self) -> &[String] {
        &self.shared.open.flags
    }

    /// Carries out an effect.
    pub fn perform(&mut self, effect: Effect) -> Then {
        match effect {
            Effect::Quit => return Then::Quit,
            Effect::Before(first, second) => self.lane.before(first.0, second.0),
            Effect::Copy(words) => return Then::Copy(words),
            Effect::SavePlot(path) => return Then::SavePlot(path),
            Effect::Sbatch(path, lines) => return Then::Sbatch(path, lines),
            Effect::Detach(lines) => return Then::Detach(lines),
            Effect::Suspend => return Then::Suspend,
            Effect::Mouse(on) => return Then::Mouse(on),
            Effect::Redraw => return Then::Redraw,
            Effect::Cancel(id) => {
                self.jobs.remove(&id);
                self.teller().iter().for_each(|teller| teller.end(id.0));
            }
            Effect::TakeOver => self.seat.ask(),
            Effect::HandOver(lines) => {
                self.seat.live().into_iter().for_each(|live| live.bequeath(&lines));
                return Then::HandOver;
            }
            Effect::Append(entry) => self.append(&entry),
            Effect::Start(id, work) => self.start(id, work),
            Effect::Picture(image) => {
                let (shared, sink) = (self.shared.clone(), self.sink.clone());
                self.reader.push(u64::from(image), move || {
                    if let Some(name) = work::picture_name(&shared, image) {
                        sink(Event::Named(image, name));
                    }
                    // A decoder's panic is an outcome too: nobody may wait for this picture for ever.
                    let read = job::caught(|| work::real_picture(&shared, image).map_err(|e| e.to_string()));
                    sink(Event::Picture(image, read.unwrap_or_else(|why| Err(format!("a defect: {why}")))));
                });
            }
            Effect::Recall { basis, wanted } => {
                let (shared, sink) = (self.shared.clone(), self.sink.clone());
                self.reader.push(u64::MAX, move || {
                    let tell = |key, picture| sink(Event::Recalled(key, picture));
                    if let Err(e) = pictures::recall(&shared, &basis, &wanted, &tell) {
                        sink(Event::Log(Level::Warning, e.to_string()));
                    }
                });
            }
        }
        Then::Continue
    }

    fn append(&mut self, entry: &Entry) {
        // Whoever looks on decides nothing.
        let Seat::Owner { journal, .. } = &mut self.seat else { return };
        if let Err(e) = journal.append(entry) {
            (self.sink)(Event::Log(Level::Error, format!("not on disk yet, and written with the next decision: {e}")));
        }
    }

    fn teller(&self) -> Option<Teller> {
        self.seat.live().map(Live::teller)
    }

    fn start(&mut self, id: JobId, work: Work) {
        let (handle, teller) = (Handle::new(), self.teller());
        teller.iter().for_each(|teller| teller.begin(id.0, work.title()));
        let (shared, sink) = (self.shared.clone(), self.sink.clone());
        let tell: work::Tell = Arc::new(move |news| sink(Event::Job(id, news)));
        let reports = tell.clone();
        let told = teller.clone();
        let ctx = handle.ctx(move |report| {
            told.iter().for_each(|teller| teller.report(&report));
            match report {
                Report::Step { stage, done, total } => reports(News::Step { stage, done, total }),
                Report::Point { series, x, y } => reports(News::Point { series, x, y }),
                Report::Embedded(some) => reports(News::Embedded(some)),
                // Previews are numbered by request; the synthesis job tells them with their names.
                Report::Preview { .. } => {}
            }
        });
        self.jobs.insert(id, handle);
        let beside = matches!(work, Work::Prototypes(_) | Work::Find { .. } | Work::Compare(_));
        let task = move || {
            tell(News::Started);
            let end = job::run(&ctx, |ctx| work::carry_out(&shared, &work, ctx, &tell));
            teller.iter().for_each(|teller| teller.end(id.0));
            tell(News::Ended(match end {
                End::Done => Outcome::Done,
                End::Cancelled => Outcome::Cancelled,
                End::Failed(why) => Outcome::Failed(why),
                End::Panicked(why) => Outcome::Panicked(why),
            }));
        };
        if beside {
            // Beside the device's lane, so that sliders and questions are answered while something long runs.
            let spawned = thread::Builder::new().name("beside".into()).spawn(task);
            if let Err(e) = spawned {
                (self.sink)(Event::Log(Level::Error, format!("no thread beside the device's: {e}")));
            }
        } else {
            self.lane.push(id.0, task);
        }
    }
}
