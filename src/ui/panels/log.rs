//! The log: what happened, newest last.

use crate::{
    app::{Level, LogLine, State, duration},
    ui::{canvas::Canvas, text},
};
use ratatui::layout::Rect;
use std::collections::VecDeque;

/// Lines that one message takes at most.
const LONGEST: usize = 12;

/// Draws the pane.
pub fn draw(canvas: &mut Canvas, area: Rect, state: &State) {
    let theme = *canvas.theme;
    if state.log.is_empty() {
        return canvas.empty(area, &["nothing has happened yet"]);
    }
    let room = usize::from(area.height);
    let width = area.width.saturating_sub(13);
    let wrapped = |line: &LogLine| text::wrap(&line.text, width.into(), LONGEST);
    // Back from the last line in view; where that is too near to the start, on from it.
    let end = state.log.len() - state.scrolled.min(state.log.len() - 1);
    let mut shown: VecDeque<(&LogLine, Vec<String>)> = VecDeque::new();
    let mut used = 0;
    let (before, after) = (state.log.range(..end).rev(), state.log.range(end..));
    for (line, back) in before.map(|l| (l, true)).chain(after.map(|l| (l, false))) {
        if used >= room {
            break;
        }
        let lines = wrapped(line);
        used += lines.len();
        if back { shown.push_front((line, lines)) } else { shown.push_back((line, lines)) }
    }
    // The oldest gives way where not all of it fits.
    let lines = shown.iter().flat_map(|(line, lines)| lines.iter().enumerate().map(move |(n, text)| (line, n, text)));
    for (y, (line, n, text)) in (area.y..area.bottom()).zip(lines.skip(used.saturating_sub(room))) {
        let (mark, style) = match line.level {
            Level::Info | Level::Notice => (" ", theme.text),
            Level::Warning => ("!", theme.warn),
            Level::Error => ("x", theme.bad),
        };
        if n == 0 {
            canvas.right(area.x, y, 9, &duration(line.at), theme.dim);
            canvas.put(area.x + 11, y, 1, mark, style);
        }
        canvas.put(area.x + 13, y, width, text, style);
    }
}
