//! What keys, pasted text and the mouse do while something lies over a pane.

use super::{
    action::Action,
    asks::{Asks, Modal},
    commands,
    decision::Decision,
    event::Effect,
    field::Field,
    glossary,
    key::Key,
    lists::Cursor,
    state::State,
};

/// Lines of help that are shown at once.
const HELP: usize = 32;

impl State {
    /// A key while something lies on top.
    pub(super) fn modal_key(&mut self, key: Key) -> Vec<Effect> {
        match self.modal.take() {
            None => vec![],
            Some(Modal::Help(at)) => {
                let page = self.help_room() as i64;
                self.modal = Some(Modal::Help(at));
                match key {
                    Key::Esc | Key::Enter | Key::Char('q' | '?' | ' ') | Key::F(1) | Key::Ctrl('c') => {
                        self.modal = None
                    }
                    Key::Down | Key::Char('j') => self.scroll_help(1),
                    Key::Up | Key::Char('k') => self.scroll_help(-1),
                    Key::PageDown | Key::Ctrl('d') => self.scroll_help(page),
                    Key::PageUp | Key::Ctrl('u') => self.scroll_help(-page),
                    Key::Home | Key::Char('g') => self.scroll_help(-i64::from(u32::MAX)),
                    Key::End | Key::Char('G') => self.scroll_help(i64::from(u32::MAX)),
                    _ => {}
                }
                vec![]
            }
            Some(Modal::Tour(at)) => self.tour_key(at, key),
            Some(Modal::TakeOver) => self.take_over_key(key),
            Some(Modal::Quit) => match key {
                Key::Char('y' | 'Y' | 'q') | Key::Enter | Key::Ctrl('c') => vec![Effect::Quit],
                Key::Char('d' | 'D') => self.detach(),
                Key::Char('n' | 'N') | Key::Esc => vec![],
                _ => {
                    self.modal = Some(Modal::Quit);
                    vec![]
                }
            },
            Some(Modal::Upload { set, name, said }) => self.upload_key(key, (set, name, said)),
            Some(Modal::Palette(query, at)) => self.palette_key(query, at, key),
            Some(Modal::Ask(asks, field)) => self.ask_key(asks, field, key),
            Some(Modal::Line(field)) => self.line_key(field, key),
        }
    }

    /// Tab goes on; any other key ends the tour, and does what it does.
    fn tour_key(&mut self, at: usize, key: Key) -> Vec<Effect> {
        let next = glossary::TOUR.get(at + 1);
        match (key, next) {
            (Key::Tab, Some((pane, _))) => {
                self.show(*pane);
                self.modal = Some(Modal::Tour(at + 1));
                vec![]
            }
            (Key::Tab | Key::Esc | Key::Enter, _) => vec![],
            (key, _) => self.key(key),
        }
    }

    /// Shows someone who is new around.
    pub fn guide(&mut self) {
        self.modal = Some(Modal::Tour(0));
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
            Asks::Find => self.find(text),
            Asks::Export if text.trim().is_empty() => vec![],
            Asks::Export => self.export(text.trim()),
            Asks::Prototypes => {
                let wanted = text
                    .trim()
                    .parse()
                    .map_err(|_| format!("`{}` is not a number of prototypes", crate::fsio::printable(text)));
                wanted.and_then(|m| self.set_prototypes(m)).unwrap_or_else(|why| {
                    self.tell(why);
                    vec![]
                })
            }
        }
    }

    /// What the mouse does: what lies on top hides the rest from it, too.
    pub(super) fn point(&mut self, action: Action) -> Vec<Effect> {
        match (&mut self.modal, action) {
            (None, action) => {
                self.notice = None;
                return self.update(action);
            }
            (Some(Modal::Help(_)), Action::Move(by)) => self.scroll_help(by.into()),
            (Some(Modal::Palette(query, at)), Action::Move(by)) => {
                let mut cursor = Cursor(*at);
                cursor.step(by.into(), commands::matching(self.pane, query.text()).len());
                *at = cursor.0;
            }
            _ => {}
        }
        vec![]
    }

    /// Lines of the help that the terminal has room for.
    pub fn help_room(&self) -> usize {
        // The screen's rim and the dialog's own; more lines cost a remote link more than a glance is worth.
        usize::from(self.size.1.saturating_sub(4)).min(HELP)
    }

    /// Characters that a meaning takes in a line of the help.
    pub fn help_width(&self) -> usize {
        usize::from(self.size.0.saturating_sub(4).min(84)).saturating_sub(4 + 17)
    }

    /// The help, scrolled to what the words mean.
    pub(super) fn explain(&mut self) {
        let lines = commands::help(self.pane, self.help_width());
        let at = lines.iter().position(|l| matches!(l, commands::HelpLine::Head(commands::WORDS)));
        self.modal = Some(Modal::Help(0));
        self.scroll_help(at.unwrap_or(0) as i64);
    }

    fn scroll_help(&mut self, by: i64) {
        let most = commands::help(self.pane, self.help_width()).len().saturating_sub(self.help_room());
        if let Some(Modal::Help(at)) = &mut self.modal {
            *at = (*at as i64).saturating_add(by).clamp(0, most as i64) as usize;
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
