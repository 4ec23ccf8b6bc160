//! The gallery: every synthesised picture small, the selected one large beside the real pairs it stands for.

use super::{neighbours, prototypes};
use crate::{
    app::{Action, CELL, Cursor, ImageState, Protos, State, gallery_columns},
    ui::canvas::{Canvas, columns, rows},
};
use ratatui::layout::Rect;

/// Draws the pane.
pub fn draw(canvas: &mut Canvas, area: Rect, state: &State) {
    let Some(protos) = &state.protos else { return prototypes::waiting(canvas, area, state) };
    let across = gallery_columns(canvas.buf.area.width, state.zoom);
    let (left, right) = if state.zoom { (area, Rect::default()) } else { columns(area, across as u16 * CELL.0) };
    grid(canvas, left, state, across);
    if !right.is_empty() {
        large(canvas, right, state, protos);
    }
}

fn grid(canvas: &mut Canvas, area: Rect, state: &State, across: usize) {
    let theme = *canvas.theme;
    let down = usize::from(area.height / CELL.1).max(1);
    let at = state.place();
    let lines = state.arranged.len().div_ceil(across);
    let top = Cursor(at / across).top(lines, down) * across;
    for (i, &n) in state.arranged.iter().enumerate().skip(top).take(across * down) {
        let (col, row) = ((i - top) % across, (i - top) / across);
        let (x, y) = (area.x + col as u16 * CELL.0, area.y + row as u16 * CELL.1);
        let image = state.image_state(n);
        let inner = Rect { x, y, width: CELL.0 - 2, height: CELL.1 - 1 };
        canvas.picture(inner, state.picture(n));
        let (sign, style) = prototypes::mark(canvas, &image);
        let label = (n + 1).to_string();
        let badge = prototypes::badge(canvas, state.is_marked(i), state.pins.contains(&n));
        let line = y + CELL.1 - 1;
        let words = match image {
            ImageState::Forming(step) => format!("step {step}"),
            ref other => other.word().to_owned(),
        };
        canvas.pieces(
            x + 1,
            line,
            CELL.0 - 3,
            &[(&label, theme.text), (" ", theme.text), (sign, style), (" ", theme.text), (&words, theme.dim)],
        );
        canvas.put(x, line, 1, badge, theme.accent);
        canvas.touch(Rect { height: CELL.1, ..inner }, Action::PickPrototype(n));
        if i == at {
            canvas.shade(x, line, CELL.0 - 2, theme.selected);
        }
    }
}

fn large(canvas: &mut Canvas, area: Rect, state: &State, protos: &Protos) {
    let theme = *canvas.theme;
    let (Some(pair), Some(proto)) = (state.pairs.get(state.prototype), protos.list.get(state.prototype)) else {
        return;
    };
    let image = state.image_state(state.prototype);
    let remark = match image {
        ImageState::Forming(step) => format!("forming, step {step}"),
        ImageState::Stale => "stale: something has changed".into(),
        ImageState::Missing => "not synthesised".into(),
        ref other => other.word().to_owned(),
    };
    canvas.title(area, &format!("Prototype {}", state.prototype + 1), &remark);
    let facts = if area.height >= 30 { 7 } else { 5 };
    let near = if area.height >= 30 { 11 } else { 5 };
    let (picture, rest) =
        rows(Rect { y: area.y + 1, height: area.height - 1, ..area }, area.height.saturating_sub(facts + near + 1));
    canvas.picture(picture, state.picture(state.prototype));
    let (text, real) = rows(rest, facts);
    let lines = canvas.paragraph(Rect { height: facts - 4 + u16::from(facts > 5), ..text }, &pair.caption, theme.text);
    let (d, own) = (&pair.settings, pair.settings != state.draft.config.synthesis);
    let scope = match (state.alone, state.marked.count(&state.arranged, state.place())) {
        (false, _) => String::new(),
        (true, 0) => " · keys change this one".to_owned(),
        (true, n) => format!(" · keys change the {n} marked"),
    };
    let own = if own { " · its own" } else { "" };
    let words = format!("steps {} · guidance {:.1} · noise {}{own}{scope}", d.steps, d.guidance, d.noise_level);
    canvas.put(text.x, text.y + lines, text.width, &words, theme.dim);
    if lines + 2 < facts {
        canvas.put(text.x, text.y + lines + 1, text.width, &format!("seed {}", pair.seed), theme.dim);
    }
    if let Some([prototype, caption]) = state.fits.get(&pair.key) {
        let words = format!("CLIP: {prototype:.3} to the prototype, {caption:.3} to the caption");
        canvas.put(text.x, text.y + lines + 2, if lines + 2 < facts { text.width } else { 0 }, &words, theme.accent);
    }
    neighbours::draw(canvas, real, state, proto);
}
