//! What the next bulk edit concerns: lines marked one by one, or a range that ends at the cursor.

use std::{collections::BTreeSet, ops::RangeInclusive};

/// Marked lines of a list, by what they show: a sort or filter moves lines, and marks go with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marks<T> {
    set: BTreeSet<T>,
    /// Where a range began that is still open.
    anchor: Option<T>,
}

impl<T> Default for Marks<T> {
    fn default() -> Self {
        Self { set: BTreeSet::new(), anchor: None }
    }
}

impl<T: Copy + Ord> Marks<T> {
    /// Marks a line, or takes its mark away.
    pub fn toggle(&mut self, line: T) {
        if !self.set.remove(&line) {
            self.set.insert(line);
        }
    }

    /// Opens a range at the cursor; marks the lines of the open one.
    pub fn range(&mut self, lines: &[T], at: usize) {
        match self.open(lines, at) {
            Some(range) => self.set.extend(&lines[range]),
            None => return self.anchor = lines.get(at).copied(),
        }
        self.anchor = None;
    }

    /// Places of the open range, if its beginning is still listed.
    pub fn open(&self, lines: &[T], at: usize) -> Option<RangeInclusive<usize>> {
        let anchor = self.anchor?;
        let from = lines.iter().position(|line| *line == anchor)?;
        (at < lines.len()).then(|| from.min(at)..=from.max(at))
    }

    /// Whether a line is marked; an open range apart.
    pub fn has(&self, line: T) -> bool {
        self.set.contains(&line)
    }

    /// What an edit concerns: all that is marked, also where a filter hides it, and the open range; else the cursor's line.
    pub fn chosen(&self, lines: &[T], at: usize) -> Vec<T> {
        let mut all = self.set.clone();
        all.extend(self.open(lines, at).into_iter().flat_map(|range| &lines[range]));
        if all.is_empty() {
            all.extend(lines.get(at));
        }
        all.into_iter().collect()
    }

    /// How many lines are marked or in the open range; 0 if an edit concerns the cursor's line alone.
    pub fn count(&self, lines: &[T], at: usize) -> usize {
        let open = self.open(lines, at).map(|range| &lines[range]).unwrap_or_default();
        self.set.len() + open.iter().filter(|line| !self.has(**line)).count()
    }

    /// Forgets all; whether there was anything.
    pub fn clear(&mut self) -> bool {
        let any = !self.set.is_empty() || self.anchor.is_some();
        *self = Self::default();
        any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_grows_with_the_cursor_in_both_directions_and_joins_the_marks() {
        let (lines, mut marks) = ([9, 4, 7, 1], Marks::default());
        assert_eq!(marks.chosen(&lines, 3), [1], "nothing marked: the cursor's line");
        marks.range(&lines, 2);
        assert_eq!(marks.chosen(&lines, 0), [4, 7, 9]);
        assert_eq!((marks.chosen(&lines, 3), marks.count(&lines, 3)), (vec![1, 7], 2));
        marks.range(&lines, 3);
        marks.toggle(9);
        marks.toggle(1);
        assert_eq!((marks.chosen(&lines, 1), marks.count(&lines, 1)), (vec![7, 9], 2));
        assert!(marks.clear() && !marks.clear());
    }

    #[test]
    fn marks_outlive_a_filter_and_a_range_whose_beginning_is_hidden_is_nothing() {
        let mut marks = Marks::default();
        marks.toggle(5);
        marks.range(&[5, 6, 7], 1);
        assert_eq!(marks.chosen(&[7], 0), [5]);
        assert_eq!(marks.chosen(&[], 0), [5]);
    }
}
