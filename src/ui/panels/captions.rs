//! The captions pane: what stands under each prototype, and what else could.

use super::{neighbours, prototypes};
use crate::{
    app::{Action, Cursor, Proto, Protos, State},
    ui::canvas::{Canvas, columns, rows},
};
use ratatui::layout::Rect;

/// Draws the pane.
pub fn draw(canvas: &mut Canvas, area: Rect, state: &State) {
    let Some(protos) = &state.protos else { return prototypes::waiting(canvas, area, state) };
    let (left, right) = match (state.zoom, canvas.narrow()) {
        (true, _) => (area, Rect::default()),
        (false, true) => rows(area, area.height * 2 / 5),
        (false, false) => columns(area, area.width / 2 - 1),
    };
    list(canvas, left, state, protos);
    let Some(proto) = protos.list.get(state.prototype).filter(|_| !right.is_empty()) else { return };
    if canvas.narrow() {
        return candidates(canvas, right, state, protos, proto);
    }
    let (upper, lower) = rows(right, right.height * 11 / 20);
    candidates(canvas, upper, state, protos, proto);
    neighbours::draw(canvas, Rect { y: lower.y + 1, height: lower.height - 1, ..lower }, state, proto);
}

fn list(canvas: &mut Canvas, area: Rect, state: &State, protos: &Protos) {
    let theme = *canvas.theme;
    let mut remark = match (state.draft.config.caption.distinct, state.repeated()) {
        (true, _) => "distinct".to_owned(),
        (false, 0) => "no caption repeats".to_owned(),
        (false, n) => format!("{n} repeated"),
    };
    if state.draft.rank > 0 {
        remark.push_str(&format!(" · candidate {}", state.draft.rank + 1));
    }
    if !state.draft.prefix.is_empty() {
        remark.push_str(" · prefixed");
    }
    canvas.title(area, "Captions", &prototypes::remark(state, remark));
    let room = usize::from(area.height.saturating_sub(1));
    let at = state.place();
    let top = Cursor(at).top(state.arranged.len(), room);
    for (i, (y, &n)) in (area.y + 1..area.bottom()).zip(state.arranged.iter().skip(top)).enumerate() {
        let Some(pair) = state.pairs.get(n) else { continue };
        let (sign, style) = prototypes::mark(canvas, &state.image_state(n));
        canvas.right(area.x, y, 4, &(n + 1).to_string(), theme.dim);
        let badge = prototypes::badge(canvas, state.is_marked(top + i), state.pins.contains(&n));
        canvas.put(area.x + 4, y, 1, badge, theme.accent);
        canvas.put(area.x + 5, y, 1, sign, style);
        let mark = prototypes::by_hand(state, protos, n);
        canvas.pieces(
            area.x + 7,
            y,
            area.width.saturating_sub(7),
            &[(mark, theme.accent), (&pair.caption, theme.text)],
        );
        canvas.touch_line(area.x, y, area.width, Action::PickPrototype(n));
        if top + i == at {
            let style = if state.inside { theme.strong } else { theme.selected };
            canvas.shade(area.x, y, area.width, style);
        }
    }
    if state.arranged.is_empty() {
        canvas.put(area.x, area.y + 2, area.width, "no caption has these words; Esc shows all", theme.dim);
    }
}

fn candidates(canvas: &mut Canvas, area: Rect, state: &State, protos: &Protos, proto: &Proto) {
    let theme = *canvas.theme;
    canvas.title(area, &format!("Prototype {}", state.prototype + 1), &format!("cosine {:.3}", proto.similarity));
    let now = state.pairs.get(state.prototype).map_or("", |p| p.caption.as_str());
    let lines = canvas.paragraph(Rect { y: area.y + 1, height: 2, ..area }, now, theme.strong);
    let own = state.draft.captions.get(&(protos.basis.clone(), state.prototype));
    let y = area.y + 1 + lines;
    if let Some(own) = own {
        let words = if own.row.is_some() {
            "chosen by hand; d: automatic again"
        } else {
            "written by hand; d: automatic again"
        };
        canvas.put(area.x, y, area.width, words, theme.accent);
    }
    let head = Rect { y: area.y + 4, height: area.height.saturating_sub(4), ..area };
    let remark = if state.inside { "Enter takes it" } else { "Enter to choose" };
    canvas.title(head, "Candidates", remark);
    let room = usize::from(head.height.saturating_sub(1));
    let top = state.candidate.top(proto.candidates.len(), room);
    for (i, (y, near)) in (head.y + 1..head.bottom()).zip(proto.candidates.iter().skip(top)).enumerate() {
        let words = state.rows.captions.get(near.row as usize).map_or("", String::as_str);
        let taken = words == now;
        canvas.put(head.x, y, 1, if taken { ">" } else { " " }, theme.accent);
        canvas.put(head.x + 2, y, 6, &format!("{:.3}", near.cosine), theme.dim);
        canvas.put(head.x + 9, y, head.width.saturating_sub(9), words, if taken { theme.strong } else { theme.text });
        canvas.touch_line(head.x, y, head.width, Action::PickCandidate(top + i));
        if state.inside && top + i == state.candidate.0 {
            canvas.shade(head.x, y, head.width, theme.selected);
        }
    }
}
