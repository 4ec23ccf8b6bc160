//! A session that another process works in: here it is looked at, and taken over when somebody wants to act.

use super::{
    asks::Modal,
    event::{Effect, Entry, Event, Level, Work},
    key::Key,
    model::Told,
    state::State,
};

impl State {
    /// What another process tells.
    pub(super) fn hear(&mut self, told: Told) {
        let Some(there) = &mut self.elsewhere else { return };
        match told {
            Told::Jobs(jobs) => {
                if jobs.first() != there.jobs.first() {
                    there.step = None;
                }
                there.jobs = jobs;
            }
            Told::Step(stage, done, total) => there.step = Some((stage, done, total)),
            Told::Left(lines) => there.left = lines,
            Told::Gone => there.gone = true,
            Told::Back => there.gone = false,
        }
    }

    /// A key of somebody who looks on: one that would act asks first whether to take the session over.
    pub(super) fn look_on(&mut self, event: Event) -> Vec<Effect> {
        let before = self.clone();
        let effects = self.react(event);
        if effects.iter().any(acts) {
            *self = before;
            self.modal = Some(Modal::TakeOver);
            return vec![];
        }
        effects
    }

    pub(super) fn take_over_key(&mut self, key: Key) -> Vec<Effect> {
        match key {
            Key::Char('y' | 'Y') | Key::Enter => {
                self.say(Level::Notice, "the other process was asked to end after its step".into());
                vec![Effect::TakeOver]
            }
            Key::Char('n' | 'N' | 'q') | Key::Esc | Key::Ctrl('c') => vec![],
            _ => {
                self.modal = Some(Modal::TakeOver);
                vec![]
            }
        }
    }

    /// Takes up what the owner decided.
    pub(super) fn follow(&mut self, entries: Vec<Entry>) -> Vec<Effect> {
        self.take_up(entries);
        self.settle()
    }

    /// The session is this process's now: what was left undone goes on here.
    pub(super) fn own(&mut self) {
        let left = self.elsewhere.take().map(|there| there.left).unwrap_or_default();
        if self.modal == Some(Modal::TakeOver) {
            self.modal = None;
        }
        self.todo.extend(left);
        self.say(Level::Notice, "the other process has ended: this session is yours".into());
    }

    /// The next command line that waits, once nothing is at work.
    pub(super) fn carry_on(&mut self) -> Vec<Effect> {
        let mut effects = Vec::new();
        while !self.is_busy() && self.elsewhere.is_none() {
            let Some(line) = self.todo.pop_front() else { break };
            self.say(Level::Info, format!(": {line}"));
            // Where every line has its meaning.
            let pane = std::mem::replace(&mut self.pane, super::action::Pane::Prototypes);
            effects.extend(self.carry_out(&line));
            self.pane = pane;
            if let Some((Level::Info, words)) = self.notice.clone() {
                self.say(Level::Info, words);
            }
        }
        effects
    }
}

/// Whether an effect is for the owner of a session alone.
fn acts(effect: &Effect) -> bool {
    let looks = |work: &Work| {
        matches!(work, Work::Embed | Work::Describe | Work::Prototypes(_) | Work::Find { .. } | Work::Look { .. })
            || matches!(work, Work::Compare(_))
    };
    match effect {
        Effect::Append(_) => true,
        Effect::Start(_, work) => !looks(work),
        _ => false,
    }
}
