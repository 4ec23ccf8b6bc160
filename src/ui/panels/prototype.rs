//! A prototype in the whole pane: its picture beside all rows behind it.

use super::{data::pair, prototypes};
use crate::{
    app::{Action, Cursor, Drill, Protos, State, count},
    ui::canvas::{Canvas, columns, rows},
};
use ratatui::layout::Rect;

/// Draws the prototype, or the one of its rows that has the pane.
pub fn draw(canvas: &mut Canvas, area: Rect, state: &State, protos: &Protos) {
    let (Some(measured), row) = (&state.measured, state.member_row()) else { return };
    if let (Drill::Row, Some(row)) = (state.focus.drill, row) {
        return pair::whole(canvas, area, state, measured, row);
    }
    let picture = area.height.saturating_sub(1) / 2;
    let (left, right) = columns(area, (picture * 2).min(area.width * 2 / 5));
    let (upper, lower) = rows(left, picture);
    canvas.picture(upper, state.picture(state.prototype));
    let image = row.and_then(|r| state.rows.image_of.get(r as usize));
    let real = image.and_then(|i| state.real.get(i)).and_then(|p| p.as_ref().ok());
    canvas.picture(Rect { y: lower.y + 1, height: lower.height.saturating_sub(1), ..lower }, real);
    let rest = head(canvas, right, state, protos);
    members(canvas, rest, state);
}

/// What it is; returns the room below.
fn head(canvas: &mut Canvas, area: Rect, state: &State, protos: &Protos) -> Rect {
    let theme = *canvas.theme;
    let (Some(pair), Some(proto)) = (state.pairs.get(state.prototype), protos.list.get(state.prototype)) else {
        return area;
    };
    let (sign, style) = prototypes::mark(canvas, &state.image_state(state.prototype));
    let remark = if state.behind { "being made again" } else { state.image_state(state.prototype).word() };
    canvas.title(area, &format!("Prototype {}", state.prototype + 1), remark);
    let own = prototypes::by_hand(state, protos, state.prototype);
    canvas.put(area.x, area.y + 1, 2, sign, style);
    let room = Rect { x: area.x + 2, y: area.y + 1, width: area.width.saturating_sub(2), height: 2 };
    let lines = canvas.paragraph(room, &format!("{own}{}", pair.caption), theme.strong).max(1);
    let numbers =
        format!("cosine {:.3} · tight {:.3} · mean of {}", proto.similarity, proto.tightness, count(proto.support));
    let mut y = area.y + 1 + lines;
    canvas.put(area.x + 2, y, area.width.saturating_sub(2), &numbers, theme.dim);
    let sure = prototypes::certificate(proto);
    if !sure.is_empty() && area.height > 14 {
        y += 1;
        canvas.put(area.x + 2, y, area.width.saturating_sub(2), &sure, theme.dim);
    }
    Rect { y: y + 1, height: area.bottom().saturating_sub(y + 1), ..area }
}

fn members(canvas: &mut Canvas, area: Rect, state: &State) {
    let theme = *canvas.theme;
    let Some(measured) = &state.measured else { return };
    let (rows, at) = (state.members(), state.focus.member);
    canvas.title(
        area,
        "Rows behind it, nearest first",
        &format!("{} of {}", count((at.0 + 1).min(rows.len())), count(rows.len())),
    );
    let top = at.top(rows.len(), usize::from(area.height.saturating_sub(1)));
    for (i, (y, near)) in (area.y + 1..area.bottom()).zip(rows.iter().skip(top)).enumerate() {
        let (mark, style) = pair::sign(canvas, state, measured, near.row);
        canvas.put(area.x, y, 1, mark, style);
        canvas.put(area.x + 2, y, 6, &format!("{:.3}", near.cosine), theme.text);
        let trust = measured.noise.as_ref().and_then(|n| n.trust.get(near.row as usize));
        let trust = trust.map_or(String::new(), |t| format!("{:>3.0} %", t * 100.0));
        canvas.put(area.x + 8, y, 6, &trust, theme.dim);
        let x = area.x + if trust.is_empty() { 9 } else { 15 };
        let words = state.rows.captions.get(near.row as usize).map_or("", String::as_str);
        canvas.put(x, y, area.right().saturating_sub(x), words, theme.text);
        canvas.touch_line(area.x, y, area.width, Action::PickMember(top + i));
        if Cursor(top + i) == at {
            canvas.shade(area.x, y, area.width, theme.selected);
        }
    }
}
