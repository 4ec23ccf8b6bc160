//! The log: what happened, newest last.

use crate::{
    app::{Level, State, duration},
    ui::canvas::Canvas,
};
use ratatui::layout::Rect;

/// Draws the pane.
pub fn draw(canvas: &mut Canvas, area: Rect, state: &State) {
    let theme = *canvas.theme;
    if state.log.is_empty() {
        return canvas.empty(area, &["nothing has happened yet"]);
    }
    let room = usize::from(area.height);
    let end = state.log.len() - state.scrolled.min(state.log.len().saturating_sub(room));
    let lines = state.log.range(end.saturating_sub(room)..end);
    for (y, line) in (area.y..area.bottom()).zip(lines) {
        let (mark, style) = match line.level {
            Level::Info | Level::Notice => (" ", theme.text),
            Level::Warning => ("!", theme.warn),
            Level::Error => ("x", theme.bad),
        };
        canvas.right(area.x, y, 9, &duration(line.at), theme.dim);
        canvas.put(area.x + 11, y, 1, mark, style);
        canvas.put(area.x + 13, y, area.width.saturating_sub(13), &line.text, style);
    }
}
