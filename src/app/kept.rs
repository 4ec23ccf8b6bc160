//! Which pairs stay: the threshold's verdict, and a person's over it. Cheap enough to follow a slider.

use super::{decision::Draft, model::Measured};

/// Number of pairs below the threshold: the `floor(ratio · N)` of lowest cosine.
pub fn below(measured: &Measured, draft: &Draft) -> usize {
    (draft.prune * measured.order.len() as f64).floor() as usize
}

/// Whether `row` stays.
pub fn keeps(measured: &Measured, draft: &Draft, row: u32) -> bool {
    let by_rule = measured.rank.get(row as usize).is_some_and(|&r| r as usize >= below(measured, draft));
    draft.by_hand.get(&row).copied().unwrap_or(by_rule)
}

/// Number of pairs that stay.
pub fn kept_count(measured: &Measured, draft: &Draft) -> usize {
    let below = below(measured, draft);
    let by_rule = measured.order.len() - below;
    draft.by_hand.iter().fold(by_rule, |n, (&row, &keep)| {
        let ruled = measured.rank.get(row as usize).is_some_and(|&r| r as usize >= below);
        n + usize::from(keep && !ruled) - usize::from(!keep && ruled)
    })
}

/// Rows that stay, ascending.
pub fn kept_rows(measured: &Measured, draft: &Draft) -> Vec<u32> {
    (0..measured.order.len() as u32).filter(|&row| keeps(measured, draft, row)).collect()
}
