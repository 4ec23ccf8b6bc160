//! The list of pairs, worst first.

use super::pair::sign;
use crate::{
    app::{Action, Cursor, Measured, State, count, keeps},
    ui::{canvas::Canvas, panels::prototypes::badge},
};
use ratatui::layout::Rect;

/// Draws the list.
pub fn pairs(canvas: &mut Canvas, area: Rect, state: &State, measured: &Measured) {
    let theme = *canvas.theme;
    let (lines, marks) = (state.pair_lines(), &state.marked_rows);
    let n = lines.len();
    let mut remark = match state.pair_filter.0.as_str() {
        "" => format!("{} of {}", count((state.pair.0 + 1).min(n)), count(n)),
        words => {
            format!("\"{}\" {} of {}", crate::ui::text::fit(words, 16), count((state.pair.0 + 1).min(n)), count(n))
        }
    };
    let marked = marks.count(lines, state.pair.0);
    if marked > 0 {
        remark.insert_str(0, &format!("{} marked · ", count(marked)));
    }
    let title = match &state.found {
        Some(found) => format!("Nearest to \"{}\"", crate::ui::text::fit(&found.words, 24)),
        None => "Pairs, worst first".to_owned(),
    };
    canvas.title(area, &title, &remark);
    let open = marks.open(lines, state.pair.0);
    let room = usize::from(area.height.saturating_sub(1));
    let top = state.pair.top(n, room);
    for (i, (y, &row)) in (area.y + 1..area.bottom()).zip(lines.iter().skip(top)).enumerate() {
        let kept = keeps(measured, &state.draft, row);
        let (mark, style) = sign(canvas, state, measured, row);
        canvas.put(area.x, y, 1, mark, style);
        canvas.right(
            area.x + 1,
            y,
            7,
            &format!("{:.3}", state.row_score(row)),
            if kept { theme.text } else { theme.warn },
        );
        if marks.has(row) || open.as_ref().is_some_and(|o| o.contains(&(top + i))) {
            canvas.put(area.x + 9, y, 1, badge(canvas, true, false), theme.accent);
        }
        let caption = state.rows.captions.get(row as usize).map_or("", String::as_str);
        canvas.put(area.x + 10, y, area.width.saturating_sub(10), caption, if kept { theme.text } else { theme.dim });
        canvas.touch_line(area.x, y, area.width, Action::PickRow(row));
        if Cursor(top + i) == state.pair {
            canvas.shade(area.x, y, area.width, theme.selected);
        }
    }
}
