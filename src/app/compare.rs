//! Two sets side by side: which ones, and what was found.

use super::{
    action::Pane,
    decision::Decision,
    event::{Effect, Entry, Work},
    focus::Drill,
    model::{EncoderScore, Picture, Score},
    state::State,
};
use std::{path::PathBuf, sync::Arc};

/// A set that is to be laid beside another one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Side {
    /// What it is called on screen.
    pub name: String,
    /// The session it is of; this one if none is named.
    pub session: Option<PathBuf>,
    /// The decisions of this session that lead to it.
    pub entries: Vec<Entry>,
    /// Real pairs got by this method; what the decisions come to if none is named.
    pub method: Option<String>,
    /// How it was judged, as far as it was.
    pub encoders: Vec<EncoderScore>,
}

/// What there is to see of a set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Laid {
    /// What it is called.
    pub name: String,
    /// Its captions.
    pub captions: Vec<String>,
    /// Its pictures, as far as they were made.
    pub pictures: Vec<Option<Picture>>,
    /// How it was judged.
    pub encoders: Vec<EncoderScore>,
}

/// Prototypes of two sets that correspond, or one that has no counterpart.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Twins {
    /// Their numbers.
    pub of: [Option<usize>; 2],
    /// Cosine of their image embeddings, if there are two.
    pub cosine: Option<f32>,
    /// Whether captions and pictures are the same; none where there is nothing to compare.
    pub same: [Option<bool>; 2],
}

/// Two sets side by side.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Compared {
    /// Both.
    pub sides: [Laid; 2],
    /// Which of their prototypes correspond, the most different first, then those without a counterpart.
    pub twins: Vec<Twins>,
}

impl Compared {
    /// How many correspond, have the same caption, have the same picture.
    pub fn counts(&self) -> [usize; 3] {
        let count = |such: &dyn Fn(&Twins) -> bool| self.twins.iter().filter(|t| such(t)).count();
        [count(&|t| t.cosine.is_some()), count(&|t| t.same[0] == Some(true)), count(&|t| t.same[1] == Some(true))]
    }
}

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
        let sides = match pair {
            [Some(a), b] => [self.side(a)?, b.map_or_else(|| self.on_screen(), |b| self.side(b))?],
            _ => return Err("nothing was judged yet; `compare FILE` takes another session".into()),
        };
        if sides[0].entries == sides[1].entries && sides[0].method == sides[1].method {
            return Err("both are the same set: Space marks another one".into());
        }
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

    /// Shows two sets side by side.
    pub(super) fn take_compared(&mut self, compared: Arc<Compared>) {
        self.show(Pane::Runs);
        (self.compared, self.focus.drill, self.focus.member) = (Some(compared), Drill::Whole, Default::default());
    }

    /// What is laid side by side, while it has the pane.
    pub fn comparison(&self) -> Option<&Compared> {
        self.compared.as_deref().filter(|_| self.pane == Pane::Runs && self.is_drilled())
    }
}

fn named(score: &Score) -> String {
    format!("{} · {} pairs · set {}", score.method, score.pairs, &score.set.as_str()[..8])
}
