//! Which pairs stay: the threshold's verdict, and a person's over it. Cheap enough to follow a slider.

use super::{
    decision::Draft,
    model::{Measured, Rows},
};

/// Number of pairs below the threshold: the `floor(ratio · N)` of lowest cosine.
pub fn below(measured: &Measured, draft: &Draft) -> usize {
    ((draft.config.prune.ratio * measured.order.len() as f64).floor() as usize).min(measured.order.len())
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
        // A row that a session knows and the data set has no more counts for nothing.
        let Some(&rank) = measured.rank.get(row as usize) else { return n };
        let ruled = rank as usize >= below;
        n + usize::from(keep && !ruled) - usize::from(!keep && ruled)
    })
}

/// Number of images of the pairs that stay.
pub fn kept_images(measured: &Measured, draft: &Draft, rows: &Rows) -> usize {
    let mut seen = vec![false; rows.images];
    kept_rows(measured, draft).iter().filter_map(|&row| rows.image_of.get(row as usize)).for_each(|&image| {
        if let Some(seen) = seen.get_mut(image as usize) {
            *seen = true;
        }
    });
    seen.into_iter().filter(|&s| s).count()
}

/// Rows that stay, ascending.
pub fn kept_rows(measured: &Measured, draft: &Draft) -> Vec<u32> {
    (0..measured.order.len() as u32).filter(|&row| keeps(measured, draft, row)).collect()
}
