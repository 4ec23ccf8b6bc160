//! Two sets side by side: recall, which prototypes correspond, and the selected ones with their pictures.

use crate::{
    app::{Action, Compared, EncoderScore, Laid, State, Twins},
    fsio::printable,
    ui::{
        canvas::{Canvas, columns, rows},
        text,
    },
};
use ratatui::layout::Rect;

/// Names of the sides.
const SIDES: [&str; 2] = ["A", "B"];

/// Draws the pane.
pub fn draw(canvas: &mut Canvas, area: Rect, state: &State, compared: &Compared) {
    let rest = head(canvas, area, compared);
    let (list, shown) =
        if area.width >= 100 { columns(rest, rest.width * 3 / 5) } else { rows(rest, rest.height * 9 / 20) };
    let at = state.focus.member.0.min(compared.twins.len().saturating_sub(1));
    table(canvas, list, state, compared);
    let Some(twins) = compared.twins.get(at) else { return };
    let gap = u16::from(shown.height > 12 && area.width < 100);
    let shown = Rect { y: shown.y + gap, height: shown.height.saturating_sub(gap), ..shown };
    let (a, b) = columns(shown, shown.width / 2 - 1);
    for (side, at) in [(0, a), (1, b)] {
        one(canvas, at, (SIDES[side], twins.of[side]), &compared.sides[side]);
    }
}

/// What the sets are, what changed in all, and recall; returns the room below.
fn head(canvas: &mut Canvas, area: Rect, compared: &Compared) -> Rect {
    let theme = *canvas.theme;
    let [twins, captions, pictures] = compared.counts();
    let said = format!("of {twins} that correspond: {captions} captions, {pictures} pictures the same");
    canvas.title(area, "Side by side", &said);
    let mut y = area.y + 1;
    for (name, side) in SIDES.iter().zip(&compared.sides) {
        let words = format!("{} · {} prototypes", printable(&side.name), side.captions.len());
        canvas.pieces(area.x, y, area.width, &[(name, theme.accent), ("  ", theme.text), (&words, theme.text)]);
        y += 1;
    }
    let [a, b] = &compared.sides;
    for one in &a.encoders {
        let other = b.encoders.iter().find(|e| e.encoder == one.encoder);
        canvas.put(area.x, y, area.width, &recall(one, other), theme.dim);
        y += 1;
    }
    if a.encoders.is_empty() || b.encoders.is_empty() {
        canvas.put(area.x, y, area.width, "recall is there once both are judged: E", theme.dim);
        y += 1;
    }
    Rect { y: y + 1, height: area.bottom().saturating_sub(y + 1), ..area }
}

/// `vit: R-mean 19.72 → 21.04 (+1.3) · IR@1 6.8 → 7.1 · TR@1 8.2 → 8.0`
fn recall(a: &EncoderScore, b: Option<&EncoderScore>) -> String {
    let Some(b) = b else { return format!("{}: R-mean {:.2} in A alone", printable(&a.encoder), a.r_mean[0]) };
    let (from, to) = (a.values(), b.values());
    let one = |name: &str, k: usize| format!("{name} {:.1} → {:.1}", from[k], to[k]);
    let all = format!("R-mean {:.2} → {:.2} ({:+.1})", from[6], to[6], to[6] - from[6]);
    format!("{}: {all} · {} · {}", printable(&a.encoder), one("IR@1", 0), one("TR@1", 3))
}

fn table(canvas: &mut Canvas, area: Rect, state: &State, compared: &Compared) {
    let theme = *canvas.theme;
    let at = state.focus.member;
    for (x, width, words) in [(0, 4, "A"), (5, 4, "B"), (10, 6, "cosine")] {
        canvas.right(area.x + x, area.y, width, words, theme.dim);
    }
    canvas.put(
        area.x + 18,
        area.y,
        area.width.saturating_sub(18),
        "caption, the most different first; * another picture",
        theme.dim,
    );
    let room = usize::from(area.height.saturating_sub(1));
    let top = at.top(compared.twins.len(), room);
    for (i, (y, twins)) in (area.y + 1..area.bottom()).zip(compared.twins.iter().skip(top)).enumerate() {
        for (side, x) in [(0, 0), (1, 5)] {
            let number = twins.of[side].map_or("–".to_owned(), |n| (n + 1).to_string());
            canvas.right(area.x + x, y, 4, &number, theme.dim);
        }
        let near = twins.cosine.map_or(String::new(), |c| format!("{c:.3}"));
        canvas.right(area.x + 10, y, 6, &near, theme.text);
        let changed = twins.same[1] == Some(false);
        canvas.put(area.x + 17, y, 1, if changed { "*" } else { "" }, theme.warn);
        let words = captions(compared, twins);
        canvas.put(area.x + 18, y, area.width.saturating_sub(18), &words, theme.text);
        canvas.touch_line(area.x, y, area.width, Action::PickTwins(top + i));
        if top + i == at.0 {
            canvas.shade(area.x, y, area.width, theme.selected);
        }
    }
}

/// One caption if both have it, else both.
fn captions(compared: &Compared, twins: &Twins) -> String {
    let [a, b] = &compared.sides;
    let of = |side: &Laid, n: Option<usize>| n.and_then(|n| side.captions.get(n)).cloned().unwrap_or_default();
    let (from, to) = (of(a, twins.of[0]), of(b, twins.of[1]));
    match twins.of {
        [Some(_), None] => format!("A alone: {from}"),
        [None, _] => format!("B alone: {to}"),
        _ if twins.same[0] == Some(true) => format!("= {from}"),
        _ => format!("{from} → {to}"),
    }
}

/// A prototype of one side: its picture and its whole caption.
fn one(canvas: &mut Canvas, area: Rect, (name, n): (&str, Option<usize>), side: &Laid) {
    let theme = *canvas.theme;
    let title = n.map_or_else(|| format!("{name}: none"), |n| format!("{name}: prototype {}", n + 1));
    canvas.title(area, &title, "");
    let Some(n) = n else { return };
    let words = side.captions.get(n).map_or("", String::as_str);
    let lines = text::wrap(words, area.width.into(), 2);
    let inner = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    // The words stand under the picture, which is about as high as wide.
    let high = inner.height.saturating_sub(lines.len() as u16).min(inner.width / 2);
    let (picture, below) = rows(inner, high);
    canvas.picture(picture, side.pictures.get(n).and_then(Option::as_ref));
    for (line, y) in lines.iter().zip(below.y..below.bottom()) {
        canvas.put(below.x, y, below.width, line, theme.text);
    }
}
