//! The gallery: every synthesised picture small, the selected one large beside the real pairs it stands for.

use super::{neighbours, prototypes};
use crate::{
    app::{Action, CELL, Cursor, ImageState, Protos, SortBy, State, gallery_columns, seed_name, version_words},
    ui::canvas::{Canvas, columns, rows},
};
use ratatui::layout::Rect;

/// Draws the pane.
pub fn draw(canvas: &mut Canvas, area: Rect, state: &State) {
    let Some(protos) = &state.protos else { return prototypes::waiting(canvas, area, state) };
    if state.is_drilled() {
        return whole(canvas, area, state);
    }
    let across = gallery_columns(canvas.buf.area.width, state.zoom);
    let alone = state.zoom || canvas.narrow();
    let (left, right) = if alone { (area, Rect::default()) } else { columns(area, across as u16 * CELL.0) };
    grid(canvas, left, state, across);
    if !right.is_empty() {
        large(canvas, right, state, protos);
    }
}

/// What there is to say of a picture's state.
fn remark(state: &State, prototype: usize) -> String {
    if let Some((letter, _)) = state.flipped(prototype) {
        return format!("version {letter}, an earlier one");
    }
    if let Some(step) = state.focus.scrub {
        return format!("after step {step}");
    }
    match state.image_state(prototype) {
        ImageState::Forming(step) => format!("forming, step {step}"),
        ImageState::Stale => "stale: something has changed".into(),
        ImageState::Missing => "not synthesised".into(),
        ref other => other.word().to_owned(),
    }
}

/// The letters of all versions of a picture, if there are several: `A B C`.
fn letters(state: &State, prototype: usize) -> String {
    let versions = state.versions(prototype);
    let words: Vec<String> = versions.iter().map(|(letter, _)| letter.to_string()).collect();
    if words.len() < 2 { String::new() } else { format!(" · versions {}", words.join(" ")) }
}

/// One picture in the whole pane.
fn whole(canvas: &mut Canvas, area: Rect, state: &State) {
    let theme = *canvas.theme;
    let n = state.prototype;
    let Some(pair) = state.pairs.get(n) else { return };
    let at = format!("{} of {}", state.place() + 1, state.arranged.len());
    let said = format!("{}{} · {at}", remark(state, n), letters(state, n));
    canvas.title(area, &format!("Prototype {}", n + 1), &said);
    let foot = if state.fits.contains_key(&pair.key) { 4 } else { 3 };
    let (picture, text) = rows(
        Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area },
        area.height.saturating_sub(foot + 1),
    );
    canvas.picture(picture, state.shown_picture(n));
    let made = state.flipped(n).map_or(pair, |(_, version)| version);
    let lines = canvas.paragraph(Rect { height: 2, ..text }, &made.caption, theme.text).max(1);
    canvas.put(text.x, text.y + lines, text.width, &version_words(made), theme.dim);
    if let Some(words) = fit(state, &made.key) {
        canvas.put(text.x, text.bottom() - 1, text.width, &words, theme.accent);
    }
}

/// What CLIP says of a picture.
fn fit(state: &State, key: &crate::fingerprint::Fingerprint) -> Option<String> {
    let [prototype, caption] = state.fits.get(key)?;
    Some(format!("CLIP: {prototype:.3} to prototype, {caption:.3} to caption"))
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
        let picture = state.shown_picture(n);
        canvas.picture(inner, picture);
        if picture.is_none()
            && let Some(pair) = state.pairs.get(n)
        {
            let style = theme.ground.patch(theme.dim);
            canvas.paragraph(Rect { x: x + 1, width: inner.width - 2, ..inner }, &pair.caption, style);
        }
        let (sign, style) = prototypes::mark(canvas, &image);
        let label = (n + 1).to_string();
        let badge = prototypes::badge(canvas, state.is_marked(i), state.pins.contains(&n));
        let line = y + CELL.1 - 1;
        let words = match (&image, state.flipped(n)) {
            (_, Some((letter, _))) => format!("version {letter}"),
            (ImageState::Forming(step), None) => format!("step {step}"),
            (other, None) => tile_words(state, n).unwrap_or_else(|| other.word().to_owned()),
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
    let n = state.prototype;
    canvas.title(area, &format!("Prototype {}", n + 1), &format!("{}{}", remark(state, n), letters(state, n)));
    let facts = if area.height >= 30 { 7 } else { 5 };
    let near = if area.height >= 30 { 11 } else { 5 };
    let (picture, rest) =
        rows(Rect { y: area.y + 1, height: area.height - 1, ..area }, area.height.saturating_sub(facts + near + 1));
    canvas.picture(picture, state.shown_picture(n));
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
        canvas.put(text.x, text.y + lines + 1, text.width, &format!("seed {}", seed_name(pair.seed)), theme.dim);
        if let Some(words) = fit(state, &pair.key) {
            canvas.put(text.x, text.y + lines + 2, text.width, &words, theme.accent);
        }
    }
    neighbours::draw(canvas, real, state, proto);
}

/// By what the gallery is sorted, on a tile whose picture is there.
fn tile_words(state: &State, prototype: usize) -> Option<String> {
    if let Some(near) = state.nearness() {
        return near.get(prototype).copied().flatten().map(|near| format!("{near:.3}"));
    }
    let [fit, _] = state.fits.get(&state.pairs.get(prototype)?.key)?;
    (state.sort == SortBy::Fit).then(|| format!("{fit:.3}"))
}
