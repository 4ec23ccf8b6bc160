//! Keys by name, whatever terminal library reads them.

use std::{fmt, str::FromStr};

/// One key press.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names are the keys' own")]
pub enum Key {
    Char(char),
    /// With the control key; always a lower-case letter.
    Ctrl(char),
    Enter,
    Esc,
    Tab,
    BackTab,
    Backspace,
    Delete,
    Up,
    Down,
    Left,
    Right,
    /// A word to the left.
    WordLeft,
    /// A word to the right.
    WordRight,
    Home,
    End,
    PageUp,
    PageDown,
    F(u8),
}

/// Names of the keys that are neither letters nor function keys.
const NAMES: &[(Key, &str)] = &[
    (Key::Enter, "Enter"),
    (Key::Esc, "Esc"),
    (Key::Tab, "Tab"),
    (Key::BackTab, "Shift-Tab"),
    (Key::Backspace, "Backspace"),
    (Key::Delete, "Delete"),
    (Key::Up, "↑"),
    (Key::Down, "↓"),
    (Key::Left, "←"),
    (Key::Right, "→"),
    (Key::WordLeft, "Ctrl-←"),
    (Key::WordRight, "Ctrl-→"),
    (Key::Home, "Home"),
    (Key::End, "End"),
    (Key::PageUp, "PgUp"),
    (Key::PageDown, "PgDn"),
    (Key::Char(' '), "Space"),
];

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((_, name)) = NAMES.iter().find(|(key, _)| key == self) {
            return f.write_str(name);
        }
        match self {
            Self::Ctrl(c) => write!(f, "Ctrl-{}", c.to_ascii_uppercase()),
            Self::F(n) => write!(f, "F{n}"),
            Self::Char(c) => write!(f, "{c}"),
            _ => Ok(()),
        }
    }
}

impl FromStr for Key {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        if let Some((key, _)) = NAMES.iter().find(|(_, n)| n.eq_ignore_ascii_case(name)) {
            return Ok(*key);
        }
        let mut chars = name.chars();
        match (chars.next(), chars.as_str()) {
            (Some(c), "") => return Ok(Self::Char(c)),
            (Some('F'), rest) => {
                if let Ok(n @ 1..=12) = rest.parse() {
                    return Ok(Self::F(n));
                }
            }
            _ => {}
        }
        let letter = name.strip_prefix("Ctrl-").and_then(|rest| rest.parse::<char>().ok());
        letter.map(|c| Self::Ctrl(c.to_ascii_lowercase())).ok_or_else(|| format!("no key is called `{name}`"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_printed_key_reads_back_as_itself() {
        let more = [Key::Char('x'), Key::Char('?'), Key::Ctrl('r'), Key::F(1)];
        for key in NAMES.iter().map(|(k, _)| *k).chain(more) {
            assert_eq!(key.to_string().parse::<Key>().unwrap(), key);
        }
    }

    #[test]
    fn an_unknown_key_is_named_in_the_error() {
        assert_eq!("Hyper-x".parse::<Key>().unwrap_err(), "no key is called `Hyper-x`");
    }
}
