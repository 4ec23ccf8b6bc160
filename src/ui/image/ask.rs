//! What a terminal answers when it is asked which pictures it knows: at once, after a while, or among the keys.

use super::kitty;
use crate::ui::terminal;
use crossterm::event::{Event, KeyCode, KeyModifiers};
use std::{
    io::{self, Write},
    time::{Duration, Instant},
};

/// From then on whoever types goes first.
const PATIENCE: Duration = Duration::from_millis(150);
/// Between bytes that belong together.
const MOMENT: Duration = Duration::from_millis(20);

/// The colour of the ground (OSC 11).
const GROUND: &str = "\x1b]11;?\x1b\\";

/// Asks for the colour of the ground; if `pixels` are wanted for kitty graphics and the pixels of a cell and of the window,
/// too; and for the device attributes, which every terminal answers last.
///
/// # Errors
/// If the terminal is gone.
pub fn question(pixels: bool) -> io::Result<()> {
    let mut out = io::stdout();
    let (kitty, size) = match pixels {
        true if passes() => (kitty::through_tmux(kitty::QUESTION), "\x1b[16t\x1b[14t"),
        true => (kitty::QUESTION.to_owned(), "\x1b[16t\x1b[14t"),
        false => (String::new(), ""),
    };
    write!(out, "{kitty}{GROUND}{size}\x1b[c")?;
    out.flush()
}

/// Whether this runs inside a tmux that passes codes on to the terminal around it. It is never told to.
fn passes() -> bool {
    let inside = std::env::var_os("TMUX").is_some_and(|v| !v.is_empty());
    let asked = || std::process::Command::new("tmux").args(["show-options", "-Apv", "allow-passthrough"]).output();
    inside && asked().is_ok_and(|told| told.stdout.starts_with(b"on") || told.stdout.starts_with(b"all"))
}

/// What comes from the terminal until it has answered, somebody types, or `most` is over. Nobody else may be reading.
///
/// # Errors
/// If the terminal is gone.
pub fn listen(most: Option<Duration>) -> io::Result<Vec<u8>> {
    let (stdin, start, mut answer) = (io::stdin(), Instant::now(), Vec::new());
    while attributes(&answer).is_none() {
        let (waited, typed) = (start.elapsed(), !Answer::new(&answer).rest.is_empty());
        let left = if typed {
            Some(PATIENCE.saturating_sub(waited).max(MOMENT))
        } else {
            most.map(|most| most.saturating_sub(waited))
        };
        let wait = left
            .map(|left| rustix::event::Timespec { tv_sec: left.as_secs() as _, tv_nsec: left.subsec_nanos().into() });
        let mut fds = [rustix::event::PollFd::new(&stdin, rustix::event::PollFlags::IN)];
        match rustix::event::poll(&mut fds, wait.as_ref()) {
            Ok(0) if !typed || waited >= PATIENCE => break,
            Ok(0) | Err(rustix::io::Errno::INTR) => continue,
            other => other?,
        };
        let mut bytes = [0; 256];
        let n = rustix::io::read(&stdin, &mut bytes)?;
        if n == 0 {
            break;
        }
        answer.extend_from_slice(&bytes[..n]);
    }
    Ok(answer)
}

/// Where `CSI ? … c` stands.
fn attributes(answer: &[u8]) -> Option<(usize, usize)> {
    let start = answer.windows(3).position(|w| w == b"\x1b[?")?;
    let len = answer[start..].iter().position(|&b| b == b'c')?;
    Some((start, start + len + 1))
}

/// An answer taken apart.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// kitty graphics are known.
    pub kitty: bool,
    /// Sixel is among the attributes.
    pub sixel: bool,
    /// The attributes came.
    pub whole: bool,
    /// Pixels of a cell, across and down.
    pub cell: Option<(u16, u16)>,
    /// Whether the ground is light.
    pub light: Option<bool>,
    /// What is no answer but typed.
    pub rest: Vec<u8>,
}

impl Answer {
    /// Takes bytes apart.
    pub fn new(bytes: &[u8]) -> Self {
        let rest = bytes.to_vec();
        let mut answer = Self { kitty: false, sixel: false, whole: false, cell: None, light: None, rest };
        if let Some((start, end)) = attributes(bytes) {
            let named = String::from_utf8_lossy(&bytes[start + 3..end - 1]);
            answer.sixel = named.split(';').skip(1).any(|n| n == "4");
            answer.whole = true;
            answer.rest.drain(start..end);
        }
        if let Some(start) = answer.rest.windows(3).position(|w| w == b"\x1b_G")
            && let Some(len) = answer.rest[start..].windows(2).position(|w| w == b"\x1b\\")
        {
            answer.kitty = answer.rest[start..start + len].ends_with(b";OK");
            answer.rest.drain(start..start + len + 2);
        }
        answer.light = ground(&mut answer.rest);
        let window = pixels(&mut answer.rest, b"\x1b[4;");
        answer.cell = pixels(&mut answer.rest, b"\x1b[6;").or_else(|| {
            let ((width, height), (columns, lines)) = (window?, terminal::size().ok()?);
            Some((width.checked_div(columns)?, height.checked_div(lines)?))
        });
        answer.cell = answer.cell.filter(|c| terminal::is_cell(*c));
        answer
    }
}

/// Whether the ground is light, from `OSC 11 ; rgb:RRRR/GGGG/BBBB`, which is taken out.
fn ground(rest: &mut Vec<u8>) -> Option<bool> {
    const HEAD: &[u8] = b"\x1b]11;";
    let start = rest.windows(HEAD.len()).position(|w| w == HEAD)?;
    let end = rest[start..].iter().position(|&b| b == b'\x07' || b == b'\\')? + start;
    let words: Vec<u8> = rest.drain(start..=end).collect();
    is_light(&String::from_utf8_lossy(&words[HEAD.len()..]))
}

/// Whether `rgb:RRRR/GGGG/BBBB` (one to four digits each) is nearer to white than to black.
fn is_light(words: &str) -> Option<bool> {
    let words = words.trim_end_matches(['\x07', '\x1b', '\\']);
    let parts = words.strip_prefix("rgb:").or(words.strip_prefix("rgba:"))?.split('/');
    let share = |part: &str| {
        let most = (1u32 << (4 * part.len())).saturating_sub(1).max(1);
        Some(f64::from(u32::from_str_radix(part, 16).ok().filter(|_| part.len() <= 4)?) / f64::from(most))
    };
    let shares: Vec<f64> = parts.take(3).map(share).collect::<Option<_>>()?;
    let [r, g, b] = shares.try_into().ok()?;
    Some(0.299 * r + 0.587 * g + 0.114 * b > 0.5)
}

/// Width and height in an answer `CSI n ; height ; width t`, which is taken out.
fn pixels(rest: &mut Vec<u8>, head: &[u8]) -> Option<(u16, u16)> {
    let start = rest.windows(head.len()).position(|w| w == head)?;
    let from = start + head.len();
    let len = rest[from..].iter().position(|b| !b.is_ascii_digit() && *b != b';')?;
    if rest[from + len] != b't' {
        return None;
    }
    let text = String::from_utf8_lossy(&rest[from..from + len]).into_owned();
    rest.drain(start..=from + len);
    let (height, width) = text.split_once(';')?;
    Some((width.parse().ok()?, height.parse().ok()?))
}

/// Most letters of kitty's answer, whose errors are sentences.
const LETTERS: usize = 256;

/// Late answers among the keys: kitty's `ESC _ G … ESC \` is read as Alt-_, letters and Alt-\, the ground's `ESC ] 11 … ESC \`
/// begins with Alt-], and neither must act as keys. (crossterm keeps late attributes to itself.)
#[derive(Debug, Default)]
pub struct Late(Option<String>);

/// What an event is to [`Late`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// No part of an answer.
    Key,
    /// Part of one.
    Part,
    /// Its end, and whether kitty graphics are known.
    End(bool),
    /// The end of the ground's, and whether it is light.
    Ground(Option<bool>),
}

impl Late {
    /// Takes note of an event.
    pub fn hear(&mut self, event: &Event) -> Heard {
        let Event::Key(key) = event else { return Heard::Key };
        let KeyCode::Char(c) = key.code else { return Heard::Key };
        let alt = key.modifiers.contains(KeyModifiers::ALT);
        let ends = alt && c == '\\' || key.modifiers.contains(KeyModifiers::CONTROL) && c == 'g';
        match (&mut self.0, c) {
            (None, '_' | ']') if alt => self.0 = Some(if c == ']' { "]".to_owned() } else { String::new() }),
            (Some(letters), _) if ends => {
                let letters = std::mem::take(letters);
                self.0 = None;
                return match letters.strip_prefix(']') {
                    Some(ground) => Heard::Ground(ground.strip_prefix("11;").and_then(is_light)),
                    None => Heard::End(letters.ends_with(";OK")),
                };
            }
            (Some(letters), c) if !alt && letters.len() < LETTERS && begins(letters, c) => letters.push(c),
            _ => {
                self.0 = None;
                return Heard::Key;
            }
        }
        Heard::Part
    }
}

/// Whether an answer can go on so: kitty's begins with G, the ground's with 11.
fn begins(letters: &str, next: char) -> bool {
    match letters {
        "" => next == 'G',
        "]" | "]1" => next == '1',
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossterm::event::KeyEvent;

    #[test]
    fn an_answer_is_told_from_what_is_typed_around_it() {
        let answer = Answer::new(b"6\x1b_Gi=31;OK\x1b\\j\x1b[?62;4;22ck");
        assert_eq!(
            answer,
            Answer { kitty: true, sixel: true, whole: true, cell: None, light: None, rest: b"6jk".to_vec() }
        );
        let refused = Answer::new(b"\x1b_Gi=31;ENOTSUP:no\x1b\\\x1b[?6");
        assert_eq!(
            refused,
            Answer { kitty: false, sixel: false, whole: false, cell: None, light: None, rest: b"\x1b[?6".to_vec() }
        );
    }

    #[test]
    fn the_pixels_of_a_cell_are_heard_and_nonsense_is_no_size() {
        let cell = |bytes: &[u8]| (Answer::new(bytes).cell, Answer::new(bytes).rest);
        assert_eq!(cell(b"\x1b[6;20;10t\x1b[4;600;800tj\x1b[?62c"), (Some((10, 20)), b"j".to_vec()));
        assert_eq!(cell(b"\x1b[6;0;0t\x1b[?62c"), (None, vec![]));
        assert_eq!(cell(b"\x1b[6;9999;1t\x1b[?62c"), (None, vec![]));
    }

    #[test]
    fn a_late_answer_is_no_keys_and_a_lone_alt_is_no_answer() {
        let press = |c, modifiers| Event::Key(KeyEvent::new(KeyCode::Char(c), modifiers));
        let (plain, alt) = (KeyModifiers::NONE, KeyModifiers::ALT);
        let mut late = Late::default();
        let mut events = vec![press('_', alt)];
        events.extend("Gi=31;OK".chars().map(|c| press(c, plain)));
        assert!(events.iter().all(|e| late.hear(e) == Heard::Part));
        assert_eq!(late.hear(&press('\\', alt)), Heard::End(true));
        assert_eq!(late.hear(&press('j', plain)), Heard::Key);
        assert_eq!(late.hear(&press('_', alt)), Heard::Part);
        assert_eq!(late.hear(&press('j', plain)), Heard::Key);
        assert_eq!(late.hear(&press('G', plain)), Heard::Key);
    }

    #[test]
    fn the_ground_is_heard_at_once_or_late_and_is_no_keys() {
        let heard = |bytes: &[u8]| (Answer::new(bytes).light, Answer::new(bytes).rest);
        assert_eq!(heard(b"a\x1b]11;rgb:ffff/fafa/f0f0\x1b\\b\x1b[?62c"), (Some(true), b"ab".to_vec()));
        assert_eq!(heard(b"\x1b]11;rgb:1e/1e/2e\x07\x1b[?62c"), (Some(false), vec![]));
        assert_eq!(heard(b"\x1b]11;rgb:zz/1e/2e\x07\x1b[?62c"), (None, vec![]));
        let press = |c, modifiers| Event::Key(KeyEvent::new(KeyCode::Char(c), modifiers));
        for (end, modifiers) in [('\\', KeyModifiers::ALT), ('g', KeyModifiers::CONTROL)] {
            let mut late = Late::default();
            let letters = "11;rgb:ffff/ffff/ffff".chars().map(|c| press(c, KeyModifiers::NONE));
            let all = std::iter::once(press(']', KeyModifiers::ALT)).chain(letters);
            assert!(all.collect::<Vec<_>>().iter().all(|e| late.hear(e) == Heard::Part));
            assert_eq!(late.hear(&press(end, modifiers)), Heard::Ground(Some(true)));
            assert_eq!(late.hear(&press(']', KeyModifiers::ALT)), Heard::Part);
            assert_eq!(late.hear(&press('j', KeyModifiers::NONE)), Heard::Key);
        }
    }
}
