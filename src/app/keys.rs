//! Which keys do what: the table's, with those that the user bound otherwise laid over it.

use super::{
    action::Pane,
    commands::{COMMANDS, Command, on},
    key::Key,
};
use std::collections::BTreeMap;

/// The user's keys, by command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys(BTreeMap<&'static str, Vec<Key>>);

impl Keys {
    /// From TOML: `"caption.edit" = ["F2", "i"]`.
    ///
    /// # Errors
    /// Line and key of what is no command, no key, or a key that would do two things in one pane.
    pub fn parse(text: &str) -> Result<Self, String> {
        type Table = BTreeMap<toml::Spanned<String>, Vec<toml::Spanned<String>>>;
        let line = |at: usize| 1 + text.bytes().take(at).filter(|&b| b == b'\n').count();
        let table: Table = toml::from_str(text).map_err(|e| {
            format!("line {}: {}", line(e.span().map_or(0, |s| s.start)), e.message().replace('\n', " "))
        })?;
        let (mut keys, mut named) = (Self::default(), Vec::new());
        let at = |span: std::ops::Range<usize>| line(span.start);
        for (id, bound) in &table {
            let command = COMMANDS.iter().find(|c| c.id == id.get_ref());
            let command =
                command.ok_or_else(|| format!("line {}: no command is called `{}`", at(id.span()), id.get_ref()))?;
            let bound =
                bound.iter().map(|k| k.get_ref().parse::<Key>().map_err(|e| format!("line {}: {e}", at(k.span()))));
            keys.0.insert(command.id, bound.collect::<Result<_, _>>()?);
            named.push((at(id.span()), command));
        }
        // Once all are known: two commands may have changed keys with each other.
        named.sort_by_key(|(line, _)| *line);
        let double = |(line, command): (usize, &Command)| keys.double(command).map(|(key, other)| (line, key, other));
        match named.into_iter().find_map(double) {
            Some((line, key, other)) => Err(format!("line {line}: {key} is {other}'s already")),
            None => Ok(keys),
        }
    }

    /// A key of `command` that another one has in the same pane.
    fn double(&self, command: &Command) -> Option<(Key, &'static str)> {
        let meet = |c: &&Command| c.id != command.id && c.panes.is_empty() == command.panes.is_empty();
        let share = |c: &&Command| c.panes.is_empty() || c.panes.iter().any(|p| command.panes.contains(p));
        let others = COMMANDS.iter().filter(meet).filter(share);
        let taken = |c: &'static Command| self.of(c).iter().find(|k| self.of(command).contains(k)).map(|k| (*k, c.id));
        others.map(taken).find_map(|hit| hit)
    }

    /// The keys of a command.
    pub fn of<'a>(&'a self, command: &Command) -> &'a [Key] {
        self.0.get(command.id).map_or(command.keys, Vec::as_slice)
    }

    /// What `key` does in `pane`: the pane's own meaning before the general one.
    pub fn find(&self, pane: Pane, key: Key) -> Option<&'static Command> {
        let hit = |own: bool| on(pane).find(|c| c.panes.is_empty() != own && self.of(c).contains(&key));
        hit(true).or_else(|| hit(false))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_pane_s_own_meaning_comes_before_the_general_one() {
        let id = |pane, key| Keys::default().find(pane, key).map(|c| c.id);
        assert_eq!(id(Pane::Data, Key::Char('h')), Some("threshold.down"));
        assert_eq!(id(Pane::Gallery, Key::Char('h')), Some("gallery.left"));
        assert_eq!(id(Pane::Log, Key::Char('h')), None);
    }

    #[test]
    fn bound_keys_take_the_place_of_the_table_s() {
        let keys = Keys::parse("\"caption.edit\" = [\"F2\", \"Ctrl-e\"]\n").unwrap();
        assert_eq!(keys.find(Pane::Captions, Key::F(2)).unwrap().id, "caption.edit");
        assert_eq!(keys.find(Pane::Captions, Key::Ctrl('e')).unwrap().id, "caption.edit");
        assert!(keys.find(Pane::Captions, Key::Char('i')).is_none());
    }

    #[test]
    fn two_commands_may_change_keys_with_each_other() {
        let keys = Keys::parse("\"undo\" = [\"e\"]\n\"export\" = [\"u\"]\n").unwrap();
        assert_eq!(keys.find(Pane::Runs, Key::Char('e')).unwrap().id, "undo");
        assert_eq!(keys.find(Pane::Runs, Key::Char('u')).unwrap().id, "export");
    }

    #[test]
    fn what_cannot_be_bound_is_named_with_its_line() {
        let wrong = |text: &str| Keys::parse(text).unwrap_err();
        assert_eq!(wrong("\n\"no.such\" = [\"x\"]"), "line 2: no command is called `no.such`");
        assert_eq!(wrong("undo = [\"Hyper-x\"]"), "line 1: no key is called `Hyper-x`");
        assert_eq!(wrong("undo = [\"u\"]\nhelp = [\"q\"]"), "line 2: q is quit's already");
        assert!(wrong("undo = 3").starts_with("line 1: "));
    }
}
