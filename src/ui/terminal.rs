//! The terminal: entered once, and left in order whatever happens. What it can show is read from the environment.

use super::theme::Depth;
use crate::{
    error::{Error, Result},
    fsio::printable,
};
use crossterm::{
    cursor, event, execute, queue,
    terminal::{self, BeginSynchronizedUpdate, EndSynchronizedUpdate},
};
use std::{
    io::{self, IsTerminal, Write},
    sync::atomic::{AtomicBool, Ordering},
    thread::ThreadId,
};

/// Whether kitty holds pictures that must go when the program does, and whether it is reached through tmux.
static IN_KITTY: [AtomicBool; 2] = [AtomicBool::new(false), AtomicBool::new(false)];
/// Takes every picture off the screen and out of the terminal's memory.
const WIPE: &str = "\x1b_Gq=2,a=d,d=A\x1b\\";
/// The same through tmux.
const WIPE_THROUGH: &str = "\x1bPtmux;\x1b\x1b_Gq=2,a=d,d=A\x1b\x1b\\\x1b\\";

/// Whether there is something to restore.
static ENTERED: AtomicBool = AtomicBool::new(false);

/// Notes that kitty holds pictures, perhaps through tmux: they go when the terminal is given back.
pub fn pictures_are_in_kitty(through: bool) {
    IN_KITTY[usize::from(through)].store(true, Ordering::SeqCst);
}

/// Takes the terminal; it is given back when this is dropped.
pub struct Screen(());

impl Screen {
    /// Raw keys, the alternate screen, pastes in one piece.
    ///
    /// # Errors
    /// [`Error::Io`] if the terminal refuses.
    pub fn enter() -> Result<Self> {
        hook(std::thread::current().id());
        take(true)?;
        Ok(Self(()))
    }
}

/// Whether the explorer can be shown here; nothing is written or asked.
///
/// # Errors
/// [`Error::Setting`] if there is no terminal, or one that knows no cursor.
pub fn check(var: impl Fn(&str) -> Option<String>) -> Result<()> {
    let without = "`protostill distill`, `evaluate`, `compare` and `stats` do not";
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err(Error::setting("terminal", format!("the explorer needs one; {without}")));
    }
    if is_dumb(&var) {
        return Err(Error::setting("TERM", format!("is \"dumb\": the explorer needs a cursor that moves; {without}")));
    }
    Ok(())
}

/// Whether the environment says that the terminal knows no escape sequences.
pub fn is_dumb(var: impl Fn(&str) -> Option<String>) -> bool {
    var("TERM").is_some_and(|term| term == "dumb")
}

/// Columns and lines of the window.
///
/// # Errors
/// If the terminal is gone.
pub fn size() -> io::Result<(u16, u16)> {
    terminal::size()
}

/// Pixels of a cell, across and down, if the system knows them.
pub fn cell() -> Option<(u16, u16)> {
    let size = terminal::window_size().ok()?;
    let cell = (size.width.checked_div(size.columns)?, size.height.checked_div(size.rows)?);
    is_cell(cell).then_some(cell)
}

/// Whether a cell may have so many pixels.
pub fn is_cell((width, height): (u16, u16)) -> bool {
    (2..=200).contains(&width) && (4..=400).contains(&height)
}

/// Whether nobody is at the other end any more: the window was closed, the link dropped.
pub fn is_gone() -> bool {
    use rustix::{event, io::Errno, termios};
    let stdin = io::stdin();
    let mut fds = [event::PollFd::new(&stdin, event::PollFlags::IN)];
    let hung_up = event::poll(&mut fds, Some(&event::Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok()
        && fds[0].revents().intersects(event::PollFlags::HUP | event::PollFlags::NVAL);
    hung_up || matches!(termios::tcgetattr(&stdin), Err(Errno::IO | Errno::NOTTY | Errno::BADF))
}

/// Takes the terminal, anew after a stop.
///
/// # Errors
/// [`Error::Io`] if it refuses.
pub fn take(mouse_too: bool) -> Result<()> {
    terminal::enable_raw_mode().map_err(Error::io("terminal"))?;
    ENTERED.store(true, Ordering::SeqCst);
    let entered = execute!(
        io::stdout(),
        terminal::EnterAlternateScreen,
        // A cluster that is wider than it should be must not push others to the next line.
        terminal::DisableLineWrap,
        event::EnableBracketedPaste,
        event::EnableFocusChange,
        cursor::Hide
    );
    entered.map_err(Error::io("terminal"))?;
    mouse(mouse_too)
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// Presses, drags and the wheel (1002), with plain numbers (1006); not every motion, which floods a remote link.
const MOUSE_ON: &str = "\x1b[?1002h\x1b[?1006h";
const MOUSE_OFF: &str = "\x1b[?1006l\x1b[?1002l";

/// Puts words into the terminal's clipboard (OSC 52).
///
/// # Errors
/// [`Error::Io`] if the terminal is gone.
pub fn copy(words: &str) -> Result<()> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let mut out = io::stdout();
    write!(out, "\x1b]52;c;{}\x07", STANDARD.encode(words)).and_then(|()| out.flush()).map_err(Error::io("terminal"))
}

/// Goes to the shell, and comes back when the shell says so. Without a shell that could say so it comes back at once.
///
/// # Errors
/// [`Error::Io`] if the terminal is gone or the system refuses.
pub fn suspend(mouse: bool) -> Result<()> {
    use rustix::process;
    restore();
    // A shell gives each job a group of its own: whoever shares that of the session has none above.
    let refused = |e: rustix::io::Errno| Error::io("suspending")(e.into());
    let (group, session) = (process::getpgrp(), process::getsid(None).map_err(refused)?);
    if group != session {
        // All of the job, as the terminal itself does: a script around the program would wait for it else.
        process::kill_process_group(group, process::Signal::STOP).map_err(refused)?;
    }
    take(mouse)
}

/// Takes the mouse, or leaves it to the terminal.
///
/// # Errors
/// [`Error::Io`] if the terminal is gone.
pub fn mouse(on: bool) -> Result<()> {
    let mut out = io::stdout();
    write!(out, "{}", if on { MOUSE_ON } else { MOUSE_OFF }).and_then(|()| out.flush()).map_err(Error::io("terminal"))
}

/// Gives the terminal back, once: pictures away, modes off, input drained, cooked, out of the alternate screen, cursor on.
pub fn restore() {
    if !ENTERED.swap(false, Ordering::SeqCst) {
        return;
    }
    // A terminal that is gone needs no restoring.
    let mut out = io::stdout();
    let [direct, through] = [0, 1].map(|i: usize| IN_KITTY[i].swap(false, Ordering::SeqCst));
    let _ = write!(out, "{MOUSE_OFF}{}{}", if direct { WIPE } else { "" }, if through { WIPE_THROUGH } else { "" });
    let _ = queue!(out, EndSynchronizedUpdate, event::DisableFocusChange, event::DisableBracketedPaste);
    let _ = out.flush();
    // Motions of the mouse and late answers that are on their way are not for the shell.
    let _ = rustix::termios::tcflush(io::stdin(), rustix::termios::QueueSelector::IFlush);
    let _ = terminal::disable_raw_mode();
    let _ = execute!(out, terminal::EnableLineWrap, terminal::LeaveAlternateScreen, cursor::Show);
}

/// A panic of the loop gives the terminal back before it is told, and leaves a report; one of a job is an outcome of that
/// job, and printing it would only break the screen.
fn hook(main: ThreadId) {
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().id() == main || !ENTERED.load(Ordering::SeqCst) {
            restore();
            report(&info.to_string());
        }
    }));
}

/// Tells what a maintainer needs to know, keeps it, and says where. What went wrong may quote foreign text.
fn report(what: &str) {
    let what = what.lines().map(printable).collect::<Vec<_>>().join("\n");
    // Standard error may be gone with the terminal.
    let _ = writeln!(io::stderr(), "{what}");
    let trace = std::backtrace::Backtrace::force_capture();
    let text = format!("protostill {}\n{what}\n\n{trace}\n", env!("CARGO_PKG_VERSION"));
    let written = crate::journal::state_folder().and_then(|dir| {
        let path = dir.join(format!("crash-{}.txt", std::process::id()));
        std::fs::create_dir_all(&dir).map_err(Error::io(&dir))?;
        crate::fsio::write_atomic(&path, text.as_bytes()).map(|()| path)
    });
    let _ = match written {
        Ok(path) => writeln!(io::stderr(), "a report is in {}", printable(&path.display().to_string())),
        Err(e) => writeln!(io::stderr(), "no report was written: {}", printable(&e.to_string())),
    };
}

/// Draws inside one synchronised update, so that no half frame is ever seen.
///
/// # Errors
/// [`Error::Io`] if the terminal is gone.
pub fn synchronised(draw: impl FnOnce() -> io::Result<()>) -> Result<()> {
    let all = || {
        queue!(io::stdout(), BeginSynchronizedUpdate)?;
        draw()?;
        execute!(io::stdout(), EndSynchronizedUpdate)
    };
    all().map_err(Error::io("terminal"))
}

/// What `ask` learns from a terminal in raw mode; none if there is no terminal.
pub fn raw<T>(ask: impl FnOnce() -> T) -> Option<T> {
    (io::stdout().is_terminal() && io::stdin().is_terminal()).then_some(())?;
    terminal::enable_raw_mode().ok()?;
    let told = ask();
    terminal::disable_raw_mode().ok()?;
    Some(told)
}

/// How many colours the environment promises.
pub fn depth(var: impl Fn(&str) -> Option<String>) -> Depth {
    let set = |name: &str| var(name).filter(|v| !v.is_empty());
    let term = set("TERM").unwrap_or_default();
    if set("NO_COLOR").is_some() || term == "dumb" {
        return Depth::None;
    }
    let wide = set("COLORTERM").is_some_and(|v| v.contains("truecolor") || v.contains("24bit"));
    if wide || term.ends_with("-direct") || ["xterm-kitty", "xterm-ghostty", "wezterm", "foot"].contains(&term.as_str())
    {
        Depth::True
    } else if term.contains("256color") {
        Depth::Ansi256
    } else {
        Depth::Ansi16
    }
}

/// Whether the environment says that the ground is light (rxvt's and others' `COLORFGBG`).
pub fn is_light(var: impl Fn(&str) -> Option<String>) -> bool {
    let ground = var("COLORFGBG").and_then(|v| v.rsplit(';').next().and_then(|n| n.parse::<u8>().ok()));
    matches!(ground, Some(7 | 15))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<'a>(vars: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
        move |name| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned())
    }

    #[test]
    fn colours_come_from_the_environment_and_no_color_wins() {
        assert_eq!(depth(with(&[("TERM", "xterm-256color"), ("COLORTERM", "truecolor")])), Depth::True);
        assert_eq!(depth(with(&[("TERM", "tmux-256color")])), Depth::Ansi256);
        assert_eq!(depth(with(&[("TERM", "linux")])), Depth::Ansi16);
        assert_eq!(depth(with(&[("TERM", "xterm-kitty"), ("NO_COLOR", "1")])), Depth::None);
        assert_eq!(depth(with(&[("TERM", "xterm"), ("NO_COLOR", "")])), Depth::Ansi16);
        assert_eq!(depth(with(&[("TERM", "dumb")])), Depth::None);
    }

    #[test]
    fn a_light_ground_is_believed() {
        assert!(is_light(with(&[("COLORFGBG", "0;15")])));
        assert!(!is_light(with(&[("COLORFGBG", "15;0")])) && !is_light(with(&[])));
    }
}
