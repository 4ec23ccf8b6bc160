//! From the terminal's events to the explorer's.

use crate::app::{Action, Event, Key};
use crossterm::event::{self, KeyCode, KeyEventKind, KeyModifiers, MouseButton, MouseEventKind};

/// What a terminal event means; none for those that mean nothing.
pub fn event(event: event::Event) -> Option<Event> {
    match event {
        event::Event::Key(key) if key.kind != KeyEventKind::Release => self::key(key).map(Event::Key),
        event::Event::Paste(text) => Some(Event::Paste(text)),
        event::Event::Resize(width, height) => Some(Event::Resize(width, height)),
        _ => None,
    }
}

/// Lines that one notch of the wheel scrolls.
const NOTCH: i32 = 3;

/// What the wheel does.
pub fn wheel(mouse: &event::MouseEvent) -> Option<Action> {
    match mouse.kind {
        MouseEventKind::ScrollUp => Some(Action::Move(-NOTCH)),
        MouseEventKind::ScrollDown => Some(Action::Move(NOTCH)),
        _ => None,
    }
}

/// Whether the left button is pressed, now or still.
pub fn points(mouse: &event::MouseEvent) -> bool {
    matches!(mouse.kind, MouseEventKind::Down(MouseButton::Left) | MouseEventKind::Drag(MouseButton::Left))
}

fn key(key: event::KeyEvent) -> Option<Key> {
    let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
    let jump = ctrl || key.modifiers.contains(KeyModifiers::ALT);
    Some(match key.code {
        // Erases on half of all terminals (`stty erase ^H`), and the backspace key sends it.
        KeyCode::Char('h') if ctrl => Key::Backspace,
        KeyCode::Char(c) if ctrl => Key::Ctrl(c.to_ascii_lowercase()),
        KeyCode::Char('b') if jump => Key::WordLeft,
        KeyCode::Char('f') if jump => Key::WordRight,
        KeyCode::Char(_) if jump => return None,
        KeyCode::Char(c) => Key::Char(c),
        KeyCode::Left if jump => Key::WordLeft,
        KeyCode::Right if jump => Key::WordRight,
        KeyCode::Left => Key::Left,
        KeyCode::Right => Key::Right,
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Esc,
        KeyCode::Tab => Key::Tab,
        KeyCode::BackTab => Key::BackTab,
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Delete => Key::Delete,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::F(n) => Key::F(n),
        _ => return None,
    })
}

/// Keys in what was typed before events were read. Unknown sequences end it: they may begin a paste.
pub fn typed(bytes: &[u8]) -> Vec<Key> {
    let (text, mut keys) = (String::from_utf8_lossy(bytes), Vec::new());
    // The terminal has the focus: it says so as soon as it may.
    let mut rest = text.trim_start_matches("\x1b[I");
    while let Some(c) = rest.chars().next() {
        let (key, len) = match c {
            '\x1b' if rest.len() == 1 => (Some(Key::Esc), 1),
            '\x1b' => sequence(rest),
            '\r' => (Some(Key::Enter), 1),
            '\t' => (Some(Key::Tab), 1),
            '\x7f' | '\x08' => (Some(Key::Backspace), 1),
            '\x01'..='\x1a' => (Some(Key::Ctrl(char::from(c as u8 - 1 + b'a'))), 1),
            c => (Some(Key::Char(c)), c.len_utf8()),
        };
        let Some(key) = key else { break };
        keys.push(key);
        rest = &rest[len..];
    }
    keys
}

/// The key of a sequence as xterm sends it, and its length.
fn sequence(text: &str) -> (Option<Key>, usize) {
    let len = text.bytes().skip(2).position(|b| b.is_ascii_alphabetic() || b == b'~').map_or(text.len(), |n| n + 3);
    let key = match &text[1..len] {
        "[A" | "OA" => Key::Up,
        "[B" | "OB" => Key::Down,
        "[C" | "OC" => Key::Right,
        "[D" | "OD" => Key::Left,
        "[H" | "OH" | "[1~" => Key::Home,
        "[F" | "OF" | "[4~" => Key::End,
        "[Z" => Key::BackTab,
        "[3~" => Key::Delete,
        "[5~" => Key::PageUp,
        "[6~" => Key::PageDown,
        "OP" => Key::F(1),
        "OQ" => Key::F(2),
        "OR" => Key::F(3),
        "OS" => Key::F(4),
        other => match other.strip_prefix('[').and_then(|n| n.strip_suffix('~')?.parse::<u8>().ok()) {
            Some(n @ 15) => Key::F(n - 10),
            Some(n @ 17..=21) => Key::F(n - 11),
            Some(n @ 23..=24) => Key::F(n - 12),
            _ => return (None, len),
        },
    };
    (Some(key), len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(code: KeyCode, modifiers: KeyModifiers) -> Option<Key> {
        key(event::KeyEvent::new(code, modifiers))
    }

    #[test]
    fn control_letters_are_one_key_whatever_their_case() {
        assert_eq!(press(KeyCode::Char('R'), KeyModifiers::CONTROL), Some(Key::Ctrl('r')));
        assert_eq!(press(KeyCode::Char('R'), KeyModifiers::SHIFT), Some(Key::Char('R')));
    }

    #[test]
    fn both_kinds_of_backspace_erase() {
        assert_eq!(press(KeyCode::Char('h'), KeyModifiers::CONTROL), Some(Key::Backspace));
        assert_eq!(press(KeyCode::Backspace, KeyModifiers::NONE), Some(Key::Backspace));
        assert_eq!(typed(b"\x08\x7f"), [Key::Backspace, Key::Backspace]);
    }

    #[test]
    fn a_released_key_is_no_key() {
        let mut released = event::KeyEvent::new(KeyCode::Char('x'), KeyModifiers::NONE);
        released.kind = KeyEventKind::Release;
        assert!(event(event::Event::Key(released)).is_none());
    }

    #[test]
    fn what_was_typed_early_is_keys_but_a_paste_is_not() {
        assert_eq!(
            typed(b"\x1b[I6\x1b[Bj\r\x10"),
            [Key::Char('6'), Key::Down, Key::Char('j'), Key::Enter, Key::Ctrl('p')]
        );
        assert_eq!(typed("é\x1b".as_bytes()), [Key::Char('é'), Key::Esc]);
        assert_eq!(typed(b"j\x1b[200~qqq\x1b[201~"), [Key::Char('j')]);
    }
}
