//! What lies over a pane and takes the keys first: help, palette, a question, a line to type.

use super::{commands, decision::Decision, event::Effect, field::Field, key::Key, state::State};

/// What a typed line is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    /// The caption of a prototype.
    Caption(usize),
    /// The number of prototypes.
    Prototypes,
    /// Words in front of every automatic caption.
    Prefix,
    /// Words to filter by; it works while typing.
    Filter,
    /// The folder to export into.
    Export,
}

impl Asks {
    /// The question.
    pub fn title(self) -> String {
        match self {
            Self::Caption(i) => format!("caption of prototype {}", i + 1),
            Self::Prototypes => "number of prototypes".into(),
            Self::Prefix => "prefix of automatic captions".into(),
            Self::Filter => "filter".into(),
            Self::Export => "export into folder".into(),
        }
    }
}

/// What is on top.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Modal {
    /// The keys of the pane, scrolled by some lines.
    Help(usize),
    /// A query and the chosen line of what it finds.
    Palette(Field, usize),
    /// Whether to leave although a job runs.
    Quit,
    /// The answer to a question, being typed.
    Ask(Asks, Field),
    /// A command line, being typed.
    Line(Field),
}

impl State {
    /// A key while something lies on top.
    pub(super) fn modal_key(&mut self, key: Key) -> Vec<Effect> {
        match self.modal.take() {
            None => vec![],
            Some(Modal::Help(at)) => {
                self.modal = match key {
                    Key::Down | Key::Char('j') => Some(Modal::Help(at + 1)),
                    Key::Up | Key::Char('k') => Some(Modal::Help(at.saturating_sub(1))),
                    _ => None,
                };
                vec![]
            }
            Some(Modal::Quit) => match key {
                Key::Char('y' | 'Y' | 'q') | Key::Enter | Key::Ctrl('c') => vec![Effect::Quit],
                Key::Char('n' | 'N') | Key::Esc => vec![],
                _ => {
                    self.modal = Some(Modal::Quit);
                    vec![]
                }
            },
            Some(Modal::Palette(query, at)) => self.palette_key(query, at, key),
            Some(Modal::Ask(asks, field)) => self.ask_key(asks, field, key),
            Some(Modal::Line(field)) => self.line_key(field, key),
        }
    }

    fn palette_key(&mut self, mut query: Field, mut at: usize, key: Key) -> Vec<Effect> {
        let found = commands::matching(self.pane, query.text());
        match key {
            Key::Esc | Key::Ctrl('c') => return vec![],
            Key::Enter => return found.get(at).map_or(vec![], |c| self.update(c.action)),
            Key::Down | Key::Tab | Key::Ctrl('n') => at = (at + 1).min(found.len().saturating_sub(1)),
            Key::Up | Key::BackTab | Key::Ctrl('p') => at = at.saturating_sub(1),
            key => {
                query.key(key);
                at = 0;
            }
        }
        self.modal = Some(Modal::Palette(query, at));
        vec![]
    }

    fn ask_key(&mut self, asks: Asks, mut field: Field, key: Key) -> Vec<Effect> {
        match key {
            Key::Esc | Key::Ctrl('c') => {
                if asks == Asks::Filter {
                    self.filter_by("");
                }
                return vec![];
            }
            Key::Enter => return self.answer(asks, field.text()),
            key => drop(field.key(key)),
        }
        if asks == Asks::Filter {
            self.filter_by(field.text());
        }
        self.modal = Some(Modal::Ask(asks, field));
        vec![]
    }

    fn answer(&mut self, asks: Asks, text: &str) -> Vec<Effect> {
        match asks {
            Asks::Filter => vec![],
            Asks::Caption(prototype) => self.write_caption(prototype, text),
            Asks::Prefix if text.trim() == self.draft.prefix => vec![],
            Asks::Prefix => self.decide(Decision::Prefix(text.trim().to_owned())),
            Asks::Export if text.trim().is_empty() => vec![],
            Asks::Export => self.export(text.trim()),
            Asks::Prototypes => match text.trim().parse() {
                Ok(m) => self.set_prototypes(m),
                Err(_) => {
                    self.tell(format!("`{}` is not a number of prototypes", crate::fsio::printable(text)));
                    vec![]
                }
            },
        }
    }

    /// Pasted text goes to the line being typed; elsewhere it is no keys.
    pub(super) fn paste(&mut self, text: &str) -> Vec<Effect> {
        match &mut self.modal {
            Some(Modal::Ask(asks, field)) => {
                field.insert(text);
                if *asks == Asks::Filter {
                    let words = field.text().to_owned();
                    self.filter_by(&words);
                }
            }
            Some(Modal::Palette(field, at)) => {
                field.insert(text);
                *at = 0;
            }
            Some(Modal::Line(field)) => field.insert(text),
            _ => {}
        }
        vec![]
    }
}
