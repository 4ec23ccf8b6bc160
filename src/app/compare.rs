//! Two sets side by side: which ones, and what was found.

use super::{
    action::Pane,
    decision::Decision,
    event::{Effect, Entry, Side, Work},
    model::{Compared, Score},
    state::State,
};
use std::{path::PathBuf, sync::Arc};

impl State {
    /// Lays the marked sets of the runs pane side by side, or the selected one and that on screen.
    ///
    /// # Errors
    /// What is lacking, in words.
    pub(super) fn compare(&mut self) -> Result<Vec<Effect>, String> {
        let (marked, selected) = (self.reading.marked, self.run.0);
        let other = |marked: usize| if marked == selected { None } else { Some(selected) };
        let pair = match marked {
            [Some(a), Some(b)] => [Some(a.min(b)), Some(a.max(b))],
            [Some(one), None] | [None, Some(one)] => [Some(one), other(one)],
            [None, None] => [self.scores.get(selected).map(|_| selected), None],
        };
        if let [Some(one), None] = pair
            && self.scores.get(one).map(|s| &s.set) == self.set().as_ref()
        {
            return Err("that is the set on screen: Space marks another one".into());
        }
        let sides = match pair {
            [Some(a), b] => [self.side(a)?, b.map_or_else(|| self.on_screen(), |b| self.side(b))?],
            _ => return Err("nothing was judged yet; `compare FILE` takes another session".into()),
        };
        self.compared_from = Some(self.pane);
        Ok(vec![self.spawn(Work::Compare(Box::new(sides)))])
    }

    /// Lays what another session came to beside the set on screen.
    ///
    /// # Errors
    /// What is lacking, in words.
    pub(super) fn compare_with(&mut self, session: &str) -> Result<Vec<Effect>, String> {
        let path = PathBuf::from(session);
        let name = path.file_stem().map_or(session.into(), |stem| stem.to_string_lossy().into_owned());
        let other = Side { name, session: Some(path), ..Side::default() };
        let sides = [self.on_screen()?, other];
        self.compared_from = Some(self.pane);
        Ok(vec![self.spawn(Work::Compare(Box::new(sides)))])
    }

    /// What the decisions come to now.
    fn on_screen(&self) -> Result<Side, String> {
        let set = self.set().filter(|_| !self.behind).ok_or("the prototypes are not there yet")?;
        let judged = self.scores.iter().rev().find(|s| s.set == set);
        let name = format!("on screen: {} · {} pairs", self.draft.config.method, self.pairs.len());
        let encoders = judged.map(|s| s.encoders.clone()).unwrap_or_default();
        Ok(Side { name, entries: self.decided.clone(), encoders, ..Side::default() })
    }

    /// A set that was judged.
    fn side(&self, score: usize) -> Result<Side, String> {
        let Some(score) = self.scores.get(score) else { return Err("there is no such line".into()) };
        let after = score.after.filter(|n| *n <= self.decided.len());
        let after =
            after.ok_or("an earlier version judged this set and did not note how it was made: judge it again")?;
        let mut entries = self.decided[..after].to_vec();
        entries.push(Entry::Do(Decision::set("cluster.prototypes", score.pairs)));
        let method = (!score.is_own()).then(|| score.method.clone());
        Ok(Side { name: named(score), entries, method, encoders: score.encoders.clone(), session: None })
    }

    /// Marks a line of the recall table for a comparison, or unmarks it; of three the first one goes.
    pub(super) fn mark_run(&mut self) {
        let [a, b] = self.reading.marked;
        let now = (!self.scores.is_empty()).then_some(self.run.0);
        self.reading.marked = match now {
            _ if now == a => [b, None],
            _ if now == b => [a, None],
            _ if a.is_some() && b.is_some() => [b, now],
            _ => [a.or(b), now],
        };
    }

    /// Shows two sets side by side: at once to who is where they were asked for or among the runs, to others when they come there.
    pub(super) fn take_compared(&mut self, compared: Arc<Compared>) {
        (self.compared, self.compared_unseen, self.focus.member) = (Some(compared), true, Default::default());
        let asked_here = self.compared_from.take() == Some(self.pane);
        match self.pane {
            pane if pane == Pane::Runs || asked_here => self.show(Pane::Runs),
            _ => self.tell("two sets lie side by side in Runs"),
        }
    }

    /// What is laid side by side, while it has the pane.
    pub fn comparison(&self) -> Option<&Compared> {
        self.compared.as_deref().filter(|_| self.pane == Pane::Runs && self.is_drilled())
    }
}

fn named(score: &Score) -> String {
    format!("{} · {} pairs · set {}", score.method, score.pairs, &score.set.as_str()[..8])
}
