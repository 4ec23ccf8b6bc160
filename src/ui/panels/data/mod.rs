//! The data pane: the embeddings as a whole, where the threshold cuts, and the pairs that match worst.

pub mod pair;
mod pairs;
mod plot;
mod waiting;

use crate::{
    app::{Measured, State, count},
    ui::{
        canvas::{Canvas, columns, rows},
        scatter,
    },
};
use ratatui::layout::Rect;

/// Draws the pane.
pub fn draw(canvas: &mut Canvas, area: Rect, state: &State) {
    let Some(measured) = &state.measured else { return waiting::waiting(canvas, area, state) };
    if let (Some(row), true) = (state.selected_row(), state.is_drilled()) {
        return pair::whole(canvas, area, state, measured, row);
    }
    match (canvas.narrow(), state.zoom) {
        // One part at a time: the list with the slider under it, or the numbers and the plot.
        (true, false) => {
            let (upper, foot) = rows(area, area.height.saturating_sub(3));
            let upper = warnings(canvas, upper, state, 1);
            list(canvas, upper, state, measured);
            plot::slider(
                canvas,
                Rect { y: foot.y + 1, height: foot.height.saturating_sub(1), ..foot },
                state,
                measured,
            );
        }
        (true, true) => whole_data(canvas, area, state, measured),
        (false, true) => list(canvas, area, state, measured),
        (false, false) => {
            let (left, right) = columns(area, (area.width * 9 / 20).max(38));
            whole_data(canvas, left, state, measured);
            list(canvas, right, state, measured);
        }
    }
}

/// The data as a whole: numbers and plots.
fn whole_data(canvas: &mut Canvas, area: Rect, state: &State, measured: &Measured) {
    let (numbers, plots) = rows(area, if area.height >= 30 { 9 } else { 8 });
    summary(canvas, numbers, state);
    let plots = warnings(canvas, plots, state, 2);
    let plane = state.summary.as_ref().map(|s| s.cloud.clone());
    let both = plots.height >= 22 && !state.scatter;
    let (upper, below) = rows(plots, if both { 10 } else { plots.height.saturating_sub(3) });
    match plane {
        Some(cloud) if both || state.scatter => {
            canvas.title(upper, "Plane of largest variance", &scatter::legend(canvas.ascii, upper.width));
            let plane = Rect { y: upper.y + 1, height: upper.height.saturating_sub(2), ..upper };
            scatter::draw(canvas, plane, state, measured, &cloud);
            if both {
                plot::threshold(canvas, below, state, measured);
            } else {
                plot::slider(canvas, below, state, measured);
            }
        }
        _ => plot::threshold(canvas, plots, state, measured),
    }
}

/// The pairs, and the selected one in a few lines.
fn list(canvas: &mut Canvas, area: Rect, state: &State, measured: &Measured) {
    let picture = (area.height / 2).clamp(6, 18);
    let (list, detail) = rows(area, area.height.saturating_sub(picture + 1));
    pairs::pairs(canvas, list, state, measured);
    let detail = Rect { y: detail.y + 1, height: detail.height.saturating_sub(1), ..detail };
    pair::brief(canvas, detail, state, measured);
}

fn summary(canvas: &mut Canvas, area: Rect, state: &State) {
    canvas.title(area, "Embeddings", "");
    let theme = *canvas.theme;
    let Some(s) = &state.summary else {
        canvas.put(area.x, area.y + 1, area.width, "being described …", theme.dim);
        return;
    };
    let lines = [
        ("width", s.width.to_string()),
        ("median norm", format!("image {:.1}  text {:.1}", s.norms[0], s.norms[1])),
        ("effective rank", format!("image {:.1}  text {:.1}", s.ranks[0], s.ranks[1])),
        ("modality gap", format!("{:.3}", s.gap)),
        ("near-duplicates", format!("{} of {} images", count(s.duplicates.0 as usize), count(s.duplicates.1))),
        match state.measured.as_ref().and_then(|m| m.noise.as_ref()) {
            Some(noise) => {
                let (share, upper, left) = (noise.share * 100.0, noise.upper * 100.0, noise.expected.round() as usize);
                let stay = if area.width > 46 { format!("; {} stay", count(left)) } else { String::new() };
                ("mismatched", format!("{share:.1} %, at most {upper:.1} %{stay}"))
            }
            None => ("doubtful pairs", format!("{:.1} % by mixture", s.doubtful * 100.0)),
        },
    ];
    let witness = state.measured.as_ref().and_then(|m| m.noise.as_ref()).map(|n| ("", n.witness.to_owned()));
    for ((label, value), y) in lines.iter().chain(&witness).zip(area.y + 1..area.bottom()) {
        canvas.put(area.x, y, 16, label, theme.dim);
        canvas.put(area.x + 17, y, area.width.saturating_sub(17), value, theme.text);
    }
}

/// What is amiss, in so many lines each; returns the room below.
fn warnings(canvas: &mut Canvas, area: Rect, state: &State, lines: u16) -> Rect {
    let (mut y, style) = (area.y, canvas.theme.warn);
    for words in state.warnings().iter().take(2) {
        canvas.put(area.x, y, 1, "!", style);
        let room = Rect { x: area.x + 2, y, width: area.width.saturating_sub(2), height: lines };
        y += canvas.paragraph(room, words, style).max(1);
    }
    let gap = u16::from(y > area.y && lines > 1);
    Rect { y: y + gap, height: area.bottom().saturating_sub(y + gap), ..area }
}
