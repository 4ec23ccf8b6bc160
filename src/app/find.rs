//! Asking in words: pairs, prototypes and pictures by how near CLIP sees them to what was typed, or to a picture.

use super::{
    action::Pane,
    event::{Effect, Work},
    lists::Cursor,
    model::Found,
    state::State,
};
use std::sync::Arc;

impl State {
    /// Asks for what is nearest to `words`; nothing typed ends the search.
    pub(super) fn find(&mut self, words: &str) -> Vec<Effect> {
        let words = words.trim();
        if words.is_empty() {
            self.forget_found();
            return vec![];
        }
        if self.measured.is_none() {
            self.tell("the data are not embedded yet");
            return vec![];
        }
        let mut effects = self.stop_where(|work| matches!(work, Work::Find { .. }));
        let (basis, there) = (self.basis(), |key| self.pictures.has(key));
        let pairs = self.pairs.iter().filter(|p| basis.is_some() && there(&p.key)).cloned().collect();
        effects.push(self.spawn(Work::Find { words: words.to_owned(), basis, pairs }));
        effects
    }

    /// Shows what was found, nearest first.
    pub(super) fn take_found(&mut self, found: Arc<Found>) {
        self.pair = Cursor(0);
        self.found = Some(found);
        self.list_pairs();
        self.refresh();
        self.prototype = self.arranged.first().copied().unwrap_or(self.prototype);
    }

    /// Back to the usual order; whether there was another one.
    pub(super) fn forget_found(&mut self) -> bool {
        let any = self.found.take().is_some();
        if any {
            self.list_pairs();
            self.refresh();
        }
        any
    }

    /// What was found, if it is about the prototypes on screen.
    pub fn found_here(&self) -> Option<&Found> {
        let basis = self.protos.as_ref().map(|p| &p.basis);
        self.found.as_deref().filter(|f| f.basis.is_some() && f.basis.as_ref() == basis)
    }

    /// How near prototypes are to what was asked for: in the gallery their pictures, where CLIP has seen them.
    pub fn nearness(&self) -> Option<Vec<Option<f32>>> {
        let found = self.found_here()?;
        let picture = |i: usize| self.pairs.get(i).and_then(|p| found.pictures.get(&p.key)).copied();
        let proto = |i: usize| found.prototypes.get(i).copied();
        let near = |i| if self.pane == Pane::Gallery && !found.pictures.is_empty() { picture(i) } else { proto(i) };
        Some((0..self.pairs.len()).map(near).collect())
    }

    /// The number beside a row in the data pane, and what it is.
    pub fn row_score(&self, row: u32) -> f32 {
        let found = self.found.as_ref().and_then(|f| f.cosines.get(&row)).copied();
        let own = || self.measured.as_ref().and_then(|m| m.scores.get(row as usize)).copied();
        found.or_else(own).unwrap_or_default()
    }

    /// Pairs as they are listed where no words filter them.
    pub(super) fn all_lines(&self) -> &[u32] {
        match (&self.found, &self.measured) {
            (Some(found), _) => &found.rows,
            (None, Some(measured)) => &measured.order,
            (None, None) => &[],
        }
    }

    /// Lists the pairs anew, the cursor on the row that it was on.
    pub(super) fn list_pairs(&mut self) {
        let (words, kept) = (self.pair_filter.0.to_lowercase(), self.selected_row());
        let has = |row: &u32| self.rows.captions.get(*row as usize).is_some_and(|c| holds(c, &words));
        let all = self.all_lines();
        let lines = (!words.is_empty()).then(|| all.iter().copied().filter(has).collect::<Vec<_>>());
        let at = lines.as_deref().unwrap_or(all).iter().position(|r| Some(*r) == kept).unwrap_or(0);
        (self.pair.0, self.pair_filter.1) = (at, lines);
    }
}

/// Whether a caption has these words, which are in lower case; of a million captions as fast as somebody types.
fn holds(caption: &str, words: &str) -> bool {
    if !words.is_ascii() {
        return caption.to_lowercase().contains(words);
    }
    words.is_empty() || caption.as_bytes().windows(words.len()).any(|part| part.eq_ignore_ascii_case(words.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_whatever_their_case_and_within_others() {
        let found = ["", "red", "a red", "stra", "ß", "é"].map(|words| holds("A RED Éclair, Straße", words));
        assert_eq!(found, [true; 6]);
        assert!(!holds("a red", "blue") && !holds("", "a"));
    }
}
