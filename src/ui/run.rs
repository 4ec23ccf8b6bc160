//! The loop: terminal events, news from jobs, signals and time in one select; a frame when something changed, and at
//! most thirty in a second.

mod pictures;

use super::{
    canvas::Cells,
    image::{
        Overlay, Ready, Wish,
        ask::{Heard, Late},
    },
    keymap,
    logfile::LogFile,
    terminal,
    theme::{Depth, Theme},
    view::{self, Drawn, Look},
};
use crate::{
    app::{Event, Keys, Level, State},
    config::Config,
    error::{Error, Result},
    journal::{self, Journal},
    session::{self, Open, Session, Then},
};
use crossterm::event::EventStream;
use futures_core::Stream;
use pictures::{Asked, heard};
use ratatui::{Terminal, backend::CrosstermBackend};
use std::{
    io::{Stdout, Write},
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{signal::unix, sync::mpsc, time};

/// Between two frames, when only jobs have news.
const FRAME: Duration = Duration::from_millis(33);
/// Between two frames, when the user pressed keys.
const ANSWER: Duration = Duration::from_millis(8);
/// News taken before the next frame.
const DRAIN: usize = 4096;

/// How to show things.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The journal to write, or to go on with if it exists.
    pub session: Option<PathBuf>,
    /// Colours; the environment's if not given.
    pub depth: Option<Depth>,
    /// A light ground; the environment's if not given.
    pub light: Option<bool>,
    /// Pictures in cells.
    pub cells: Cells,
    /// Real pixels over them.
    pub pixels: Wish,
    /// ASCII only.
    pub ascii: bool,
}

impl Options {
    fn look(&self) -> Look {
        let var = |name: &str| std::env::var(name).ok();
        let depth = self.depth.unwrap_or_else(|| terminal::depth(var));
        let theme = Theme::new(depth, self.light.unwrap_or_else(|| terminal::is_light(var)));
        let letters = self.cells == Cells::Half && (self.ascii || depth == Depth::None);
        Look { theme, cells: if letters { Cells::Ascii } else { self.cells }, ascii: self.ascii }
    }
}

/// Opens the explorer; returns the path of its journal when the user leaves.
///
/// # Errors
/// [`Error::Setting`] without a terminal, [`Error::Input`] for a file that is no session, [`Error::Io`].
pub fn run(config: Config, open: impl FnOnce(Config) -> Open, options: &Options) -> Result<PathBuf> {
    let keys = keys()?;
    let (config, entries, broken, journal) = match &options.session {
        Some(path) if path.exists() => {
            let (held, journal) = Journal::reopen(path)?;
            (held.header.config, held.entries, held.broken, journal)
        }
        given => {
            let path = given.clone().map_or_else(journal::fresh_path, Ok)?;
            let journal = Journal::create(&path, &config)?;
            (config, Vec::new(), Vec::new(), journal)
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Error::io("runtime"))?;
    let mut state = State::new(session::draft(&config));
    state.keys = keys;
    state.restore(entries);
    broken.into_iter().for_each(|line| drop(state.handle(Event::Log(Level::Warning, line))));
    let screen = terminal::Screen::enter()?;
    let open = open(config.clone());
    let left = runtime.block_on(async {
        let (sender, news) = mpsc::unbounded_channel();
        log_to(&sender);
        let sink = Arc::new(move |event| drop(sender.send(event)));
        let session = Session::new(config, open, journal, sink)?;
        Loop::new(state, session, options, news)?.run().await
    });
    drop(screen);
    // Jobs that ignore their cancellation must not keep the shell waiting.
    runtime.shutdown_background();
    left
}

/// The user's keys, if there are any.
fn keys() -> Result<Keys> {
    let Some(path) = keys_path().filter(|p| p.exists()) else { return Ok(Keys::default()) };
    let text = std::fs::read_to_string(&path).map_err(Error::io(&path))?;
    Keys::parse(&text).map_err(|e| Error::input(&path, e))
}

/// Where keys are bound: `$XDG_CONFIG_HOME/protostill/keys.toml`, or `~/.config/protostill/keys.toml`.
pub fn keys_path() -> Option<PathBuf> {
    let from = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let config = from("XDG_CONFIG_HOME").filter(|p| p.is_absolute());
    Some(config.or_else(|| from("HOME").map(|home| home.join(".config")))?.join("protostill/keys.toml"))
}

/// Library logs go to the log pane, never to the screen.
fn log_to(sender: &mpsc::UnboundedSender<Event>) {
    struct Lines(mpsc::UnboundedSender<Event>);
    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let text = String::from_utf8_lossy(bytes).trim_end().to_owned();
            let _ = self.0.send(Event::Log(Level::Info, text));
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let sender = sender.clone();
    let filter = tracing_subscriber::EnvFilter::try_from_env("PROTOSTILL_LOG").unwrap_or_else(|_| "warn".into());
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).without_time();
    // A test may have set one already.
    let _ = subscriber.with_writer(move || Lines(sender.clone())).try_init();
}

struct Loop {
    state: State,
    session: Session,
    /// None where it cannot be written.
    log: Option<LogFile>,
    look: Look,
    pixels: Wish,
    overlay: Overlay,
    asked: Asked,
    keys: Option<EventStream>,
    late: Late,
    /// The last frame, for the mouse to point at.
    frame: Drawn,
    ready: (mpsc::UnboundedSender<Ready>, mpsc::UnboundedReceiver<Ready>),
    terminal: Terminal<CrosstermBackend<Stdout>>,
    news: mpsc::UnboundedReceiver<Event>,
    started: Instant,
    drawn: Instant,
    /// When the next frame is due, if anything changed.
    due: Option<Instant>,
    left: bool,
}

impl Loop {
    fn new(state: State, session: Session, options: &Options, news: mpsc::UnboundedReceiver<Event>) -> Result<Self> {
        let terminal = Terminal::new(CrosstermBackend::new(std::io::stdout())).map_err(Error::io("terminal"))?;
        let started = Instant::now();
        let look = options.look();
        let log = LogFile::beside(session.journal());
        if let Err(e) = &log {
            tracing::warn!("the log is not kept: {e}");
        }
        Ok(Self {
            state,
            session,
            log: log.ok(),
            look,
            pixels: if look.cells == Cells::Half { options.pixels } else { Wish::Cells },
            overlay: Overlay::default(),
            asked: None,
            keys: None,
            late: Late::default(),
            frame: Drawn::default(),
            ready: mpsc::unbounded_channel(),
            terminal,
            news,
            started,
            drawn: started,
            due: None,
            left: false,
        })
    }

    async fn run(mut self) -> Result<PathBuf> {
        // Before the first frame: from then on a signal must not end the program without restoring the terminal.
        let signal = |kind| unix::signal(kind).map_err(Error::io("signals"));
        let mut ended = signal(unix::SignalKind::terminate())?;
        let mut hung_up = signal(unix::SignalKind::hangup())?;
        let mut woken = signal(unix::SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()))?;
        let (width, height) = crossterm::terminal::size().map_err(Error::io("terminal"))?;
        self.apply(Event::Resize(width, height))?;
        self.draw()?;
        let effects = self.state.start();
        self.perform(effects)?;
        // The first frame stands; the terminal is asked before anything else reads from it.
        self.ask()?;
        let mut clock = time::interval(Duration::from_millis(500));
        clock.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
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
                _ = woken.recv() => {
                    terminal::take(self.state.mouse)?;
                    self.repaint()?;
                }
                _ = ended.recv() => self.left = true,
                _ = hung_up.recv() => self.left = true,
                // Times that pass on screen are redrawn only while something runs.
                _ = clock.tick(), if busy => self.changed(FRAME),
            }
        }
        Ok(self.session.journal().to_owned())
    }

    fn terminal_event(&mut self, event: Option<std::io::Result<crossterm::event::Event>>) -> Result<()> {
        if let Some(Ok(event)) = &event {
            match self.late.hear(event) {
                Heard::Key => {}
                Heard::Part | Heard::End(false) => return Ok(()),
                Heard::End(true) => return self.upgrade(),
            }
        }
        match event {
            // The terminal is gone: every decision is in the journal.
            None | Some(Err(_)) => self.left = true,
            Some(Ok(crossterm::event::Event::FocusGained)) => self.repaint()?,
            Some(Ok(crossterm::event::Event::Mouse(mouse))) => {
                let (by, pointed) = (keymap::wheel(&mouse), self.frame.at(mouse.column, mouse.row));
                if let Some(action) = by.or(pointed.filter(|_| keymap::points(&mouse))) {
                    self.apply(Event::Do(action))?;
                    self.changed(ANSWER);
                }
            }
            Some(Ok(event)) => {
                if let Some(event) = keymap::event(event) {
                    if matches!(event, Event::Resize(..)) {
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
                Then::Suspend => {
                    terminal::suspend(self.state.mouse)?;
                    self.repaint()?;
                }
                Then::Redraw => self.repaint()?,
                Then::Quit => self.left = true,
            }
        }
        Ok(())
    }

    /// To the terminal's clipboard (OSC 52), and always to a file too: not every terminal has one.
    fn copy(&mut self, words: &str) -> Result<()> {
        let folder = journal::state_folder()?;
        std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        let path = folder.join("copied.txt");
        crate::fsio::write_atomic(&path, words.as_bytes())?;
        terminal::copy(words)?;
        let shown = crate::fsio::printable(&path.display().to_string());
        self.apply(Event::Log(Level::Notice, format!("copied, also to {shown}")))
    }

    fn changed(&mut self, gap: Duration) {
        let at = self.drawn + gap;
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    fn repaint(&mut self) -> Result<()> {
        // `Terminal::clear` would ask the terminal where its cursor is, and its answer would get lost among the keys.
        self.wipe()?;
        let size = self.terminal.size().map_err(Error::io("terminal"))?;
        let area = ratatui::layout::Rect::new(0, 0, size.width, size.height);
        self.terminal.resize(area).map_err(Error::io("terminal"))?;
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
        let (state, look, terminal, overlay) = (&self.state, &self.look, &mut self.terminal, &mut self.overlay);
        let drawn = &mut self.frame;
        terminal::synchronised(|| {
            let mut gone = String::new();
            terminal.draw(|frame| {
                *drawn = view::draw(frame.buffer_mut(), state, look);
                gone = overlay.frame(frame.buffer_mut(), std::mem::take(&mut drawn.placed));
                if let Some(at) = drawn.cursor {
                    frame.set_cursor_position(at);
                }
            })?;
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
async fn next(keys: &mut Option<EventStream>) -> Option<std::io::Result<crossterm::event::Event>> {
    match keys {
        Some(keys) => std::future::poll_fn(|cx| Pin::new(&mut *keys).poll_next(cx)).await,
        None => std::future::pending().await,
    }
}
