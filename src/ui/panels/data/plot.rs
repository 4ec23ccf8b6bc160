//! Scores of all pairs as a histogram, and the threshold over it.

use crate::{
    app::{Action, Measured, State, below, count, kept_count, percent},
    ui::canvas::{Canvas, rows},
};
use ratatui::layout::Rect;

/// The histogram of scores with the threshold and its slider.
pub fn threshold(canvas: &mut Canvas, area: Rect, state: &State, measured: &Measured) {
    let theme = *canvas.theme;
    let all = measured.order.len();
    match &measured.noise {
        Some(_) => canvas.title(area, "Trust in each pair", "behind: captions re-paired"),
        None => canvas.title(area, "Cosine of image and caption", ""),
    }
    let cut = below(measured, &state.draft);
    let (plot, foot) =
        rows(Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area }, area.height.saturating_sub(5));
    let at = |place: usize| measured.order.get(place).map_or(0.0, |&r| measured.scores[r as usize]);
    let last = all.saturating_sub(1);
    let null = measured.noise.as_ref().map_or(&[][..], |n| &n.null);
    let ends =
        (null.first().map_or(at(0), |&low| low.min(at(0))), null.last().map_or(at(last), |&high| high.max(at(last))));
    histogram(canvas, plot, (&measured.scores, null), ends, (cut > 0).then(|| at(cut.min(last))));
    canvas.put(foot.x, foot.y, 8, &format!("{:.2}", ends.0), theme.dim);
    canvas.right(foot.x, foot.y, foot.width, &format!("{:.2}", ends.1), theme.dim);
    let (low, high) = (f64::from(ends.0), f64::from(ends.1));
    let share = if high > low { (f64::from(at(cut)) - low) / (high - low) } else { 0.0 };
    let mark = format!("{}{:.3}", if canvas.ascii { "^" } else { "▴" }, at(cut));
    let x = foot.x + (share * f64::from(foot.width.saturating_sub(1))) as u16;
    if (foot.x + 6..foot.right().saturating_sub(12)).contains(&x) {
        canvas.put(x, foot.y, 9, &mark, theme.warn);
    }
    slider(canvas, Rect { y: foot.y + 2, height: foot.height.saturating_sub(2), ..foot }, state, measured);
}

/// The slider, and how many pairs stay.
pub fn slider(canvas: &mut Canvas, area: Rect, state: &State, measured: &Measured) {
    let theme = *canvas.theme;
    let (all, kept) = (measured.order.len(), kept_count(measured, &state.draft));
    let label = format!("prune {:>3.0} %", state.draft.config.prune.ratio * 100.0);
    canvas.put(area.x, area.y, 11, &label, theme.text);
    let to = |share: f64| Action::ThresholdAt((share * 100.0).round() as u8);
    canvas.slider(area.x + 12, area.y, area.width.saturating_sub(12), state.draft.config.prune.ratio, to);
    let proposed = measured.noise.as_ref().is_some_and(|n| n.proposed == state.draft.config.prune.ratio);
    let (what, by) = if proposed { ("", " by trust") } else { (" pairs", "") };
    let (kept_of, share) = (format!("{} of {}{what} stay", count(kept), count(all)), percent(kept, all));
    let indent = if area.width > 48 { 12 } else { 0 };
    let room = area.width - indent;
    let said = [format!("{kept_of} ({share}){by}"), format!("{kept_of}{by}")];
    let words = said.iter().find(|w| crate::ui::text::columns(w) <= usize::from(room)).unwrap_or(&kept_of);
    canvas.put(area.x + indent, area.y + 1, room, words, theme.dim);
}

/// Bars of the counts of scores between `ends`, a column each: those left of the cut in the signal colour. Behind them the
/// null, as if all pairs were mismatched.
pub fn histogram(
    canvas: &mut Canvas,
    area: Rect,
    (scores, null): (&[f32], &[f32]),
    (low, high): (f32, f32),
    cut: Option<f32>,
) {
    let bins = usize::from(area.width);
    if bins == 0 || area.height == 0 {
        return;
    }
    let bin =
        |v: f32| (((v - low) / (high - low).max(f32::MIN_POSITIVE)) * bins as f32).min(bins as f32 - 1.0) as usize;
    let shares = |values: &[f32]| {
        let mut counts = vec![0usize; bins];
        values.iter().for_each(|&v| counts[bin(v)] += 1);
        counts.into_iter().map(|n| n as f64 / values.len().max(1) as f64).collect::<Vec<f64>>()
    };
    let (own, behind) = (shares(scores), shares(null));
    let most = own.iter().chain(&behind).copied().fold(f64::MIN_POSITIVE, f64::max);
    let edge = cut.map_or(0, bin);
    for (i, (n, null)) in own.into_iter().zip(behind).enumerate() {
        let style = if i < edge { canvas.theme.warn } else { canvas.theme.accent };
        behind_column(canvas, area, area.x + i as u16, null / most);
        column(canvas, area, area.x + i as u16, n / most, style);
    }
}

fn column(canvas: &mut Canvas, area: Rect, x: u16, share: f64, style: ratatui::style::Style) {
    const PARTS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
    let mut eighths = (share * f64::from(area.height) * 8.0).ceil() as u16;
    for y in (area.y..area.bottom()).rev() {
        let part = eighths.min(8);
        if part == 0 {
            return;
        }
        let word = if canvas.ascii { if part > 3 { "#" } else { " " } } else { PARTS[usize::from(part)] };
        canvas.put(x, y, 1, word, style);
        eighths -= part;
    }
}

/// A column of what lies behind: hatched, so that it is no bar without colour either.
fn behind_column(canvas: &mut Canvas, area: Rect, x: u16, share: f64) {
    let height = ((share * f64::from(area.height)).round() as u16).min(area.height);
    for y in area.bottom() - height..area.bottom() {
        canvas.put(x, y, 1, if canvas.ascii { ":" } else { "░" }, canvas.theme.faint);
    }
}
