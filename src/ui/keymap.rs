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
    fn a_released_key_is_no_key() {
        let mut released = event::KeyEvent::new(KeyCode::Char('x'), KeyModifiers::NONE);
        released.kind = KeyEventKind::Release;
        assert!(event(event::Event::Key(released)).is_none());
    }
}
