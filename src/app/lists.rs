//! Lists: a cursor that keeps its place, filters and sorting.

use super::model::Proto;
use std::collections::BTreeSet;

/// The selected line of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor(pub usize);

impl Cursor {
    /// Moves by `by` lines, not beyond the ends.
    pub fn step(&mut self, by: i64, len: usize) {
        self.0 = (self.0 as i64).saturating_add(by).clamp(0, len.saturating_sub(1) as i64) as usize;
    }

    /// The first visible line when `height` lines of `len` show, so that the cursor is in view and, where there is
    /// room, not at the rim.
    pub fn top(self, len: usize, height: usize) -> usize {
        self.0.saturating_sub(height / 2).min(len.saturating_sub(height))
    }
}

/// What the prototypes are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortBy {
    /// Cosine of the two means, highest first.
    #[default]
    Similarity,
    /// Pairs averaged, most first.
    Support,
    /// Tightness, loosest first.
    Tightness,
    /// CLIP's cosine of the finished picture to its prototype, worst first.
    Fit,
    /// Caption, A first.
    Caption,
    /// Cosine to what was asked for, nearest first.
    Found,
}

impl SortBy {
    /// The next key, around.
    pub fn next(self) -> Self {
        match self {
            Self::Similarity => Self::Support,
            Self::Support => Self::Tightness,
            Self::Tightness => Self::Fit,
            Self::Fit => Self::Caption,
            Self::Caption | Self::Found => Self::Similarity,
        }
    }

    /// As in the table's head.
    pub fn name(self) -> &'static str {
        match self {
            Self::Similarity => "cosine",
            Self::Support => "support",
            Self::Tightness => "tight",
            Self::Fit => "CLIP, worst first",
            Self::Caption => "caption",
            Self::Found => "nearness",
        }
    }

    /// Pinned prototypes, then those whose caption contains `filter`; both sorted, equals by their number, and those
    /// without a fit last.
    pub fn arrange(
        self,
        list: &[Proto],
        (captions, fits): (&[String], &[Option<f32>]),
        filter: &str,
        pins: &BTreeSet<usize>,
    ) -> Vec<usize> {
        let filter = filter.to_lowercase();
        let has = |i: usize| filter.is_empty() || captions.get(i).is_some_and(|c| c.to_lowercase().contains(&filter));
        let shows = |i: &usize| pins.contains(i) || has(*i);
        let mut order: Vec<usize> = (0..list.len()).filter(shows).collect();
        match self {
            Self::Similarity => order.sort_by(|&a, &b| list[b].similarity.total_cmp(&list[a].similarity)),
            Self::Support => order.sort_by_key(|&i| std::cmp::Reverse(list[i].support)),
            Self::Tightness => order.sort_by(|&a, &b| list[a].tightness.total_cmp(&list[b].tightness)),
            Self::Fit => {
                let fit = |i: usize| fits.get(i).copied().flatten().unwrap_or(f32::INFINITY);
                order.sort_by(|&a, &b| fit(a).total_cmp(&fit(b)));
            }
            Self::Found => {
                let near = |i: usize| fits.get(i).copied().flatten().unwrap_or(f32::NEG_INFINITY);
                order.sort_by(|&a, &b| near(b).total_cmp(&near(a)));
            }
            Self::Caption => order.sort_by(|&a, &b| captions.get(a).cmp(&captions.get(b))),
        }
        order.sort_by_key(|i| !pins.contains(i));
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_stays_inside_and_in_view() {
        let mut cursor = Cursor(3);
        cursor.step(-9, 10);
        assert_eq!((cursor.0, cursor.top(10, 4)), (0, 0));
        cursor.step(i64::MAX, 10);
        assert_eq!((cursor.0, cursor.top(10, 4)), (9, 6));
        cursor.step(1, 0);
        assert_eq!((cursor.0, cursor.top(0, 4)), (0, 0));
    }

    #[test]
    fn a_filter_hides_and_a_sort_moves_but_numbers_stay() {
        let proto = |similarity, support| Proto { similarity, support, ..Proto::default() };
        let list = [proto(0.9, 3), proto(0.8, 9), proto(0.7, 5)];
        let captions = ["a red circle", "a blue square", "A RED square"].map(String::from);
        let arranged = |by: SortBy, filter, pins: &[usize]| {
            by.arrange(&list, (&captions, &[None, Some(0.4), Some(0.3)]), filter, &pins.iter().copied().collect())
        };
        assert_eq!(arranged(SortBy::Support, "", &[]), [1, 2, 0]);
        assert_eq!(arranged(SortBy::Support, "red", &[]), [2, 0]);
        assert_eq!(arranged(SortBy::Similarity, "green", &[]), [0usize; 0]);
        assert_eq!(arranged(SortBy::Support, "", &[0]), [0, 1, 2], "pinned ones are on top");
        assert_eq!(arranged(SortBy::Support, "red", &[1]), [1, 2, 0], "and no filter hides them");
        assert_eq!(arranged(SortBy::Fit, "", &[]), [2, 1, 0], "the worst picture first, one without a fit last");
        assert_eq!(arranged(SortBy::Found, "", &[]), [1, 2, 0], "the nearest first, one that was not seen last");
    }
}
