//! The loop: terminal events, news from jobs, signals and time in one select; a frame when something changed, and at
//! most thirty in a second.

mod files;
mod meter;
mod opening;
mod options;
mod pictures;
mod signals;

use super::{
    image::{
        Overlay, Ready, Wish,
        ask::{Heard, Late},
    },
    keymap,
    logfile::LogFile,
    painter::{self, Frame, Painter},
    terminal,
    theme::Palette,
    view::{self, Drawn, Look},
};
use crate::{
    app::{Event, Level, State},
    config::Config,
    error::{Error, Result},
    job::Lane,
    session::{self, Hold, Open, Session, Then},
};
pub use opening::{Begun, begin};
use opening::{log_to, toured};
use options::keys;
pub use options::{Options, keys_path};
use pictures::{Asked, heard};
use ratatui::buffer::Buffer;
use signals::{Signals, any};
use std::{
    io::{Stdout, Write},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{sync::mpsc, time};

/// Between two frames, when only jobs have news.
const FRAME: Duration = Duration::from_millis(33);
/// Between two frames, when the user pressed keys.
const ANSWER: Duration = Duration::from_millis(8);
/// News taken before the next frame.
const DRAIN: usize = 4096;

/// Opens the explorer; returns where its journal is, and what is to go on, when the user leaves.
///
/// # Errors
/// [`Error::Setting`] without a terminal, [`Error::Input`] for a file that is no session, [`Error::Io`]; what `open` refuses.
pub fn run(config: Config, open: impl FnOnce(&Config) -> Result<Open>, options: &Options) -> Result<Left> {
    terminal::check(|name| std::env::var(name).ok())?;
    let keys = keys()?;
    let Begun { config, entries, broken, hold } = begin(config, options.session.as_deref())?;
    let open = open(&config)?;
    let flags = open.flags.clone();
    let (path, looks_on) = match &hold {
        Hold::Own(journal) => (journal.path().to_owned(), false),
        Hold::Look(path, _) => (path.clone(), true),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Error::io("runtime"))?;
    let mut state = State::new(session::draft(&config));
    state.keys = keys;
    state.restore(entries);
    state.todo = options.todo.iter().cloned().collect();
    state.elsewhere = looks_on.then(Default::default);
    if options.tour && toured() {
        state.guide();
    }
    broken.into_iter().for_each(|line| drop(state.handle(Event::Log(Level::Warning, line))));
    let (sender, news) = mpsc::unbounded_channel();
    log_to(&sender);
    let sink = Arc::new(move |event| drop(sender.send(event)));
    let session = Session::new(config, open, hold, sink)?;
    let left = runtime.block_on(async {
        // Before the terminal is taken: from then on no signal may end the program without giving it back.
        let signals = Signals::new()?;
        let screen = terminal::Screen::enter()?;
        let left = Loop::new(state, session, options, news)?.run(signals).await;
        drop(screen);
        left
    });
    // Jobs that ignore their cancellation must not keep the shell waiting.
    runtime.shutdown_background();
    // A terminal that is gone is no defect: every decision is in the journal.
    let way = left.or_else(|e| if terminal::is_gone() { Ok(Way::Quit) } else { Err(e) })?;
    Ok(Left { session: path, way, flags })
}

struct Loop {
    state: State,
    session: Session,
    /// None where it cannot be written.
    log: Option<LogFile>,
    look: Look,
    /// The ground that the user named.
    light: Option<bool>,
    palette: Palette,
    pixels: Wish,
    /// How pictures are shown, and why, if the terminal need not be asked.
    cells_alone: Option<String>,
    overlay: Overlay,
    asked: Asked,
    keys: Option<mpsc::UnboundedReceiver<crossterm::event::Event>>,
    late: Late,
    /// The last frame, for the mouse to point at.
    frame: Drawn,
    ready: (mpsc::UnboundedSender<Ready>, mpsc::UnboundedReceiver<Ready>),
    /// Prepares pixels.
    painting: Lane,
    painter: Painter<Stdout>,
    news: mpsc::UnboundedReceiver<Event>,
    started: Instant,
    drawn: Instant,
    /// When the next frame is due, if anything changed.
    due: Option<Instant>,
    left: bool,
    way: Way,
    meter: meter::Meter,
}

/// What is left behind.
#[derive(Debug)]
pub struct Left {
    /// The session's journal.
    pub session: PathBuf,
    /// How it was left.
    pub way: Way,
    /// Flags that a process needs to go on with it.
    pub flags: Vec<String>,
}

/// How a session is left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// Nothing goes on.
    Quit,
    /// These command lines are to be carried out without a terminal.
    GoOn(Vec<String>),
    /// Another process took it over.
    Taken,
}

impl Loop {
    fn new(state: State, session: Session, options: &Options, news: mpsc::UnboundedReceiver<Event>) -> Result<Self> {
        let started = Instant::now();
        let var = |name: &str| std::env::var(name).ok();
        let log = LogFile::beside(session.journal());
        if let Err(e) = &log {
            tracing::warn!("the log is not kept: {e}");
        }
        Ok(Self {
            state,
            session,
            log: log.ok(),
            look: options.look(var),
            light: options.light,
            palette: options.palette,
            pixels: options.pixels,
            cells_alone: options.cells_alone(var),
            overlay: Overlay::default(),
            asked: None,
            keys: None,
            late: Late::default(),
            frame: Drawn::default(),
            ready: mpsc::unbounded_channel(),
            painting: Lane::new("pixels")?,
            painter: Painter::new(std::io::stdout()),
            news,
            started,
            drawn: started,
            due: None,
            left: false,
            way: Way::Quit,
            meter: meter::Meter::default(),
        })
    }

    async fn run(mut self, mut signals: Signals) -> Result<Way> {
        let area = painter::area().map_err(Error::io("terminal"))?;
        self.apply(Event::Resize(area.width, area.height))?;
        self.draw()?;
        let effects = self.state.start();
        self.perform(effects)?;
        // The first frame stands; the terminal is asked before anything else reads from it.
        self.ask()?;
        let mut clock = time::interval(Duration::from_millis(500));
        clock.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        let mut dropped = false;
        while !self.left {
            let (frame, still) = (at(self.due), at(self.overlay.due()));
            let busy = self.state.is_busy();
            tokio::select! {
                biased;
                key = next(&mut self.keys) => self.terminal_event(key)?,
                answer = heard(&mut self.asked) => self.agree(answer)?,
                () = frame => self.draw()?,
                Some(news) = self.news.recv() => self.take(news)?,
                Some(ready) = self.ready.1.recv() => self.show(ready)?,
                () = still => self.prepare(),
                _ = signals.woken.recv() => {
                    terminal::take(self.state.mouse)?;
                    self.repaint()?;
                }
                _ = signals.stop.recv() => self.suspend()?,
                () = any(&mut signals.end) => self.left = true,
                _ = signals.hangup.recv() => (self.left, dropped) = (true, true),
                // Whoever reads keys is not told that there will be none.
                _ = clock.tick() => if terminal::is_gone() {
                    self.left = true;
                } else {
                    self.tick(busy)?;
                },
            }
        }
        // A link that dropped stops nothing that was asked for.
        let waits = if dropped || terminal::is_gone() { self.state.lines_of_queue() } else { Vec::new() };
        Ok(if waits.is_empty() { self.way } else { Way::GoOn(waits) })
    }

    /// Times that pass on screen, and what the machine does, are told only while something runs.
    fn tick(&mut self, busy: bool) -> Result<()> {
        if let Some(there) = &self.state.elsewhere {
            for event in self.session.follow(there.gone)? {
                self.apply(event)?;
                self.changed(FRAME);
            }
        }
        if busy {
            if let Some(usage) = self.meter.read() {
                self.apply(Event::Usage(Some(usage)))?;
            }
            self.changed(FRAME);
        } else if self.state.usage.is_some() {
            self.meter.rest();
            self.apply(Event::Usage(None))?;
            self.changed(FRAME);
        }
        Ok(())
    }

    fn terminal_event(&mut self, event: Option<crossterm::event::Event>) -> Result<()> {
        if let Some(event) = &event {
            match self.late.hear(event) {
                Heard::Key => {}
                Heard::Part | Heard::End(false) => return Ok(()),
                Heard::End(true) => return self.upgrade(),
                Heard::Ground(light) => {
                    self.stand_on(light);
                    return Ok(());
                }
            }
        }
        match event {
            // The terminal is gone: every decision is in the journal.
            None => self.left = true,
            Some(crossterm::event::Event::FocusGained) => self.repaint()?,
            Some(crossterm::event::Event::Mouse(mouse)) => {
                let (by, pointed) = (keymap::wheel(&mouse), self.frame.at(mouse.column, mouse.row));
                if let Some(action) = by.or(pointed.filter(|_| keymap::points(&mouse))) {
                    self.apply(Event::Do(action))?;
                    self.changed(ANSWER);
                }
            }
            Some(event) => {
                if let Some(mut event) = keymap::event(event) {
                    if let Event::Resize(width, height) = &mut event {
                        (*width, *height) = painter::bounded((*width, *height));
                        self.wipe()?;
                    }
                    self.apply(event)?;
                    self.changed(ANSWER);
                }
            }
        }
        Ok(())
    }

    /// Takes news, and all others that are there already: the screen shows only where they lead.
    fn take(&mut self, first: Event) -> Result<()> {
        self.apply(first)?;
        for _ in 0..DRAIN {
            let Ok(event) = self.news.try_recv() else { break };
            self.apply(event)?;
        }
        self.changed(FRAME);
        Ok(())
    }

    fn apply(&mut self, event: Event) -> Result<()> {
        self.state.handle(Event::Tick(self.started.elapsed().as_millis() as u64));
        let effects = self.state.handle(event);
        if let Some(log) = &mut self.log {
            log.follow(&self.state);
        }
        self.perform(effects)
    }

    fn perform(&mut self, effects: Vec<crate::app::Effect>) -> Result<()> {
        for effect in effects {
            match self.session.perform(effect) {
                Then::Continue => {}
                Then::Mouse(on) => terminal::mouse(on)?,
                Then::Copy(words) => self.copy(&words)?,
                Then::SavePlot(path) => self.save_plot(&path)?,
                Then::Sbatch(path, lines) => self.sbatch(&path, &lines)?,
                Then::Detach(lines) => (self.left, self.way) = (true, Way::GoOn(lines)),
                Then::HandOver => (self.left, self.way) = (true, Way::Taken),
                Then::Suspend => self.suspend()?,
                Then::Redraw => self.repaint()?,
                Then::Quit => self.left = true,
            }
        }
        Ok(())
    }

    fn suspend(&mut self) -> Result<()> {
        terminal::suspend(self.state.mouse)?;
        self.repaint()
    }

    fn changed(&mut self, gap: Duration) {
        let at = self.drawn + gap;
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    fn repaint(&mut self) -> Result<()> {
        self.wipe()?;
        self.painter.forget();
        self.draw()
    }

    /// The terminal's screen is about to be cleared.
    fn wipe(&mut self) -> Result<()> {
        let gone = self.overlay.wiped();
        std::io::stdout().write_all(gone.as_bytes()).map_err(Error::io("terminal"))
    }

    fn draw(&mut self) -> Result<()> {
        (self.due, self.drawn) = (None, Instant::now());
        self.state.handle(Event::Tick(self.started.elapsed().as_millis() as u64));
        let mut cells = Buffer::empty(painter::area().map_err(Error::io("terminal"))?);
        self.frame = view::draw(&mut cells, &self.state, &self.look);
        let mut frame =
            Frame { cells, again: Vec::new(), covered: Vec::new(), under: Vec::new(), cursor: self.frame.cursor };
        let gone = self.overlay.frame(&mut frame, std::mem::take(&mut self.frame.placed));
        terminal::synchronised(|| {
            self.painter.draw(frame)?;
            std::io::stdout().write_all(gone.as_bytes())
        })
    }
}

/// Sleeps until then, or for ever.
async fn at(due: Option<Instant>) {
    match due {
        Some(at) => time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// The terminal's next event, once keys are read.
async fn next(keys: &mut Option<mpsc::UnboundedReceiver<crossterm::event::Event>>) -> Option<crossterm::event::Event> {
    match keys {
        Some(keys) => keys.recv().await,
        None => std::future::pending().await,
    }
}
