//! A line of text being typed: a cursor that never stands inside a character, and the editing keys of a shell.

use super::key::Key;
use unicode_width::UnicodeWidthChar;

/// Most bytes typed or pasted into a line.
const LONGEST: usize = 4096;

/// Text and a cursor in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Field {
    text: String,
    /// A byte offset at a character boundary.
    at: usize,
    /// Offered as a whole: what is typed takes its place, a key that moves or erases begins to edit it.
    offered: bool,
}

impl Field {
    /// Starts with `text`, the cursor at its end.
    pub fn new(text: &str) -> Self {
        let mut field = Self::default();
        field.insert(text);
        field
    }

    /// The same, which the first typed character replaces.
    pub fn offering(text: &str) -> Self {
        Self { offered: true, ..Self::new(text) }
    }

    /// Whether the next typed character replaces it all.
    pub fn is_offered(&self) -> bool {
        self.offered
    }

    /// What was typed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text before and after the cursor.
    pub fn parts(&self) -> (&str, &str) {
        self.text.split_at(self.at)
    }

    /// Takes pasted or typed text, without the control characters that a paste may carry.
    pub fn insert(&mut self, text: &str) {
        if std::mem::take(&mut self.offered) {
            self.cut(0, self.text.len());
        }
        for c in text.chars().map(|c| if c == '\n' || c == '\t' { ' ' } else { c }).filter(|c| !c.is_control()) {
            if self.text.len() + c.len_utf8() <= LONGEST {
                self.text.insert(self.at, c);
                self.at += c.len_utf8();
            }
        }
    }

    /// Edits by one key; false if the key means nothing here.
    pub fn key(&mut self, key: Key) -> bool {
        if !matches!(key, Key::Char(_)) {
            self.offered = false;
        }
        match key {
            Key::Char(c) => self.insert(c.encode_utf8(&mut [0; 4])),
            Key::Left => self.at = self.before(),
            Key::Right => self.at = self.after(),
            Key::WordLeft => self.at = self.word_before(),
            Key::WordRight => self.at = self.word_after(),
            Key::Home => self.at = 0,
            Key::End => self.at = self.text.len(),
            Key::Backspace => self.cut(self.before(), self.at),
            Key::Delete => self.cut(self.at, self.after()),
            Key::Ctrl('w') => self.cut(self.word_before(), self.at),
            Key::Ctrl('u') => self.cut(0, self.at),
            _ => return false,
        }
        true
    }

    fn cut(&mut self, from: usize, to: usize) {
        self.text.replace_range(from..to, "");
        self.at = from;
    }

    /// One step back takes a base character together with what combines with it.
    fn before(&self) -> usize {
        let mut chars = self.text[..self.at].char_indices().rev();
        chars.find(|(_, c)| c.width() != Some(0)).map_or(0, |(i, _)| i)
    }

    fn after(&self) -> usize {
        let mut chars = self.text[self.at..].char_indices().skip(1);
        chars.find(|(_, c)| c.width() != Some(0)).map_or(self.text.len(), |(i, _)| self.at + i)
    }

    fn word_before(&self) -> usize {
        let head = self.text[..self.at].trim_end();
        head.rfind(char::is_whitespace).map_or(0, |i| i + head[i..].chars().next().map_or(1, char::len_utf8))
    }

    fn word_after(&self) -> usize {
        let tail = &self.text[self.at..];
        let start = tail.len() - tail.trim_start().len();
        tail[start..].find(char::is_whitespace).map_or(self.text.len(), |i| self.at + start + i)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(start: &str, keys: &[Key]) -> Field {
        let mut field = Field::new(start);
        keys.iter().for_each(|&k| assert!(field.key(k)));
        field
    }

    #[test]
    fn wide_and_combining_characters_are_deleted_whole() {
        assert_eq!(typed("a 猫", &[Key::Backspace]).text(), "a ");
        assert_eq!(typed("cafe\u{301}", &[Key::Backspace]).text(), "caf");
        assert_eq!(typed("e\u{301}a", &[Key::Home, Key::Delete]).text(), "a");
    }

    #[test]
    fn the_cursor_stops_at_both_ends() {
        let keys =
            [Key::Left, Key::Left, Key::Left, Key::Char('x'), Key::Right, Key::Right, Key::Right, Key::Char('y')];
        assert_eq!(typed("ab", &keys).text(), "xaby");
    }

    #[test]
    fn words_go_back_and_are_cut_as_in_a_shell() {
        assert_eq!(typed("a red circle", &[Key::Ctrl('w')]).text(), "a red ");
        assert_eq!(typed("a red circle", &[Key::WordLeft, Key::WordLeft, Key::Delete]).text(), "a ed circle");
        assert_eq!(typed("a red circle", &[Key::Home, Key::WordRight, Key::Ctrl('u')]).text(), " red circle");
        assert_eq!(typed("a\u{3000}b", &[Key::Ctrl('w')]).text(), "a\u{3000}");
    }

    #[test]
    fn what_is_typed_or_pasted_takes_the_place_of_what_was_offered_and_other_keys_edit_it() {
        let typed = |keys: &[Key]| {
            let mut field = Field::offering("53");
            keys.iter().for_each(|&k| assert!(field.key(k)));
            field.text().to_owned()
        };
        assert_eq!(typed(&[Key::Char('3'), Key::Char('0')]), "30");
        assert_eq!(typed(&[Key::Left, Key::Char('0')]), "503");
        assert_eq!(typed(&[Key::Backspace, Key::Char('0')]), "50");
        let mut field = Field::offering("53");
        field.insert("7");
        assert_eq!(field.text(), "7");
    }

    #[test]
    fn a_paste_brings_no_control_characters_and_has_an_end() {
        assert_eq!(Field::new("a\u{1b}[2J\nb").text(), "a[2J b");
        assert_eq!(Field::new(&"x".repeat(1 << 20)).text().len(), LONGEST);
    }
}
