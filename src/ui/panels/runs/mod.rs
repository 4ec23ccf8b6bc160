//! The runs pane: recall of every set that was judged, the curves of one of them, and the queue.

mod queue;
mod table;

use crate::{
    app::{Job, State},
    ui::{
        canvas::{Canvas, columns, rows},
        plot,
    },
};
use ratatui::layout::Rect;

/// Draws the pane.
pub fn draw(canvas: &mut Canvas, area: Rect, state: &State) {
    if state.zoom {
        return plot::draw(canvas, area, state);
    }
    let lines = table::height(state);
    let most = if canvas.narrow() { area.height * 13 / 20 } else { area.height * 11 / 20 };
    let (upper, lower) = rows(area, (lines + 3).clamp(6, most.max(6)));
    table::draw(canvas, upper, state);
    let lower = Rect { y: lower.y + 1, height: lower.height.saturating_sub(1), ..lower };
    if canvas.narrow() {
        // One at a time: the jobs while there are any.
        return if state.jobs.iter().any(Job::is_alive) {
            queue::draw(canvas, lower, state)
        } else {
            plot::draw(canvas, lower, state)
        };
    }
    let (left, right) = columns(lower, lower.width / 2);
    plot::draw(canvas, left, state);
    queue::draw(canvas, right, state);
}
