//! The prototypes pane: how many there are, what each is the mean of, and why.

use super::neighbours;
use crate::{
    app::{Action, Cursor, ImageState, Outcome, Proto, Protos, State, Status, Work, count},
    ui::canvas::{Canvas, columns, rows},
};
use ratatui::{layout::Rect, style::Style};

/// Draws the pane.
pub fn draw(canvas: &mut Canvas, area: Rect, state: &State) {
    let (head, body) = rows(area, if area.height >= 24 { 3 } else { 2 });
    number(canvas, head, state);
    let Some(protos) = &state.protos else { return waiting(canvas, body, state) };
    if state.zoom {
        return table(canvas, body, state, protos);
    }
    let (list, detail) =
        if area.width >= 100 { columns(body, body.width * 3 / 5) } else { rows(body, body.height * 12 / 20) };
    table(canvas, list, state, protos);
    why(canvas, detail, state, protos);
}

/// Nothing clustered yet: says why.
pub fn waiting(canvas: &mut Canvas, area: Rect, state: &State) {
    let job = state.latest(|w| matches!(w, Work::Prototypes(_)));
    match job.map(|j| &j.status) {
        Some(Status::Ended(Outcome::Failed(why) | Outcome::Panicked(why))) => {
            canvas.empty(area, &["clustering failed", "", why.as_str()]);
        }
        Some(Status::Ended(Outcome::Cancelled)) => {
            canvas.empty(area, &["clustering was cancelled", "", "change the number to start again"])
        }
        Some(_) => canvas.empty(area, &["clustering …"]),
        None => canvas.empty(area, &["prototypes come once the data are embedded"]),
    }
}

fn number(canvas: &mut Canvas, area: Rect, state: &State) {
    let theme = *canvas.theme;
    let most = if state.measured.is_some() { state.most_prototypes() } else { 0 };
    let label = format!("prototypes {:>5}", count(state.draft.config.cluster.prototypes));
    canvas.put(area.x, area.y, 16, &label, theme.strong);
    let width = (area.width / 3).min(40);
    // Logarithmic: the step from 10 to 20 matters as much as that from 100 to 200.
    let share = if most > 1 { (state.draft.config.cluster.prototypes as f64).ln() / (most as f64).ln() } else { 0.0 };
    let to = |share: f64| Action::PrototypesAt(((most as f64).ln() * share).exp().round() as usize);
    canvas.slider(area.x + 18, area.y, width, share, to);
    let mut words = format!("of {} kept images", count(most));
    if let Some(protos) = state.protos.as_ref().filter(|_| !state.behind) {
        let repeated = state.repeated();
        if repeated > 0 {
            words.push_str(&format!(" · {repeated} repeated captions"));
        }
        if protos.empty > 0 {
            words.push_str(&format!(" · {} re-matched", protos.empty));
        }
    }
    let x = area.x + 20 + width;
    canvas.put(x, area.y, area.right().saturating_sub(x), &words, theme.dim);
    if !state.behind {
        let words = format!("by {}", state.draft.config.method.in_words());
        canvas.put(area.x + 18, area.y + 1, area.width.saturating_sub(18), &words, theme.dim);
    }
    if state.behind && state.protos.is_some() {
        let running = state.latest(|w| matches!(w, Work::Prototypes(_))).is_some_and(|j| j.is_alive());
        let words = match (running, state.glimpse, state.looked_at) {
            (true, true, Some(n)) => format!("a first look, at {} pairs; the clustering goes on", count(n)),
            (true, true, None) => "a first look; the clustering goes on".to_owned(),
            (true, false, _) => "clustering: the list below is the old one".to_owned(),
            (false, ..) => "clustering did not finish: the list below is the old one".to_owned(),
        };
        canvas.put(area.x + 18, area.y + 1, area.width.saturating_sub(18), &words, theme.warn);
    }
}

/// Mark and colour of a picture's state.
pub fn mark(canvas: &Canvas, state: &ImageState) -> (&'static str, Style) {
    let theme = canvas.theme;
    match (state, canvas.ascii) {
        (ImageState::Fresh, false) => ("●", theme.good),
        (ImageState::Stale, false) => ("◐", theme.warn),
        (ImageState::Missing, false) => ("○", theme.dim),
        (ImageState::Queued, false) => ("◌", theme.dim),
        (ImageState::Forming(_), false) => ("◍", theme.accent),
        (ImageState::Fresh, true) => ("*", theme.good),
        (ImageState::Stale, true) => ("~", theme.warn),
        (ImageState::Missing, true) => ("-", theme.dim),
        (ImageState::Queued, true) => (".", theme.dim),
        (ImageState::Forming(_), true) => ("o", theme.accent),
    }
}

/// The sign of a line that is marked, pinned, or both.
pub fn badge(canvas: &Canvas, marked: bool, pinned: bool) -> &'static str {
    match (marked, pinned, canvas.ascii) {
        (false, false, _) => " ",
        (true, false, false) => "▪",
        (false, true, false) => "▴",
        (true, true, false) => "◆",
        (true, false, true) => "=",
        (false, true, true) => "^",
        (true, true, true) => "@",
    }
}

/// Who chose the caption of a prototype, in front of it; nothing for the rule.
pub fn by_hand(state: &State, protos: &Protos, prototype: usize) -> &'static str {
    match state.draft.captions.get(&(protos.basis.clone(), prototype)) {
        Some(own) if own.row.is_some() => "chosen ",
        Some(_) => "edited ",
        None => "",
    }
}

/// What the prototypes are sorted by.
pub fn order(state: &State) -> String {
    match state.found_here() {
        Some(found) => format!("nearest to \"{}\"", crate::ui::text::fit(&found.words, 20)),
        None => format!("by {}", state.sort.name()),
    }
}

/// How many lines are marked, and what is in the title besides.
pub fn remark(state: &State, words: String) -> String {
    match state.marked.count(&state.arranged, state.place()) {
        0 => words,
        n => format!("{} marked · {words}", count(n)),
    }
}

fn table(canvas: &mut Canvas, area: Rect, state: &State, protos: &Protos) {
    let theme = *canvas.theme;
    let remark = match state.filter.as_str() {
        "" => order(state),
        words => format!("\"{}\" {} of {}", crate::ui::text::fit(words, 16), state.arranged.len(), protos.list.len()),
    };
    canvas.title(area, "Prototypes", &self::remark(state, remark));
    let y = area.y + 1;
    let near = state.nearness();
    let last = if near.is_some() { "near" } else { "tight" };
    for (x, width, words) in [(0, 4, "#"), (5, 6, "cosine"), (12, 7, "support"), (20, 6, last)] {
        canvas.right(area.x + x, y, width, words, theme.dim);
    }
    // The state in words where there is room, else its mark alone.
    let words_at = area.x + if area.width >= 76 { 38 } else { 31 };
    canvas.put(area.x + 28, y, words_at - area.x - 29, if area.width >= 76 { "picture" } else { "" }, theme.dim);
    canvas.put(words_at, y, 10, "caption", theme.dim);
    let room = usize::from(area.height.saturating_sub(2));
    let at = state.place();
    let top = Cursor(at).top(state.arranged.len(), room);
    for (i, (y, &n)) in (area.y + 2..area.bottom()).zip(state.arranged.iter().skip(top)).enumerate() {
        let (Some(proto), Some(pair)) = (protos.list.get(n), state.pairs.get(n)) else { continue };
        canvas.right(area.x, y, 4, &(n + 1).to_string(), theme.dim);
        let sign = badge(canvas, state.is_marked(top + i), state.pins.contains(&n));
        canvas.put(area.x + 4, y, 1, sign, theme.accent);
        canvas.right(area.x + 5, y, 6, &format!("{:.3}", proto.similarity), theme.text);
        canvas.right(area.x + 12, y, 7, &count(proto.support), theme.text);
        let third = near.as_ref().and_then(|all| all.get(n).copied().flatten()).unwrap_or(proto.tightness);
        canvas.right(area.x + 20, y, 6, &format!("{third:.3}"), theme.text);
        let image = state.image_state(n);
        let (sign, style) = mark(canvas, &image);
        let word = if area.width >= 76 { image.word() } else { "" };
        canvas.pieces(area.x + 28, y, 9, &[(sign, style), (" ", theme.text), (word, theme.dim)]);
        let room = area.right().saturating_sub(words_at);
        let own = by_hand(state, protos, n);
        canvas.pieces(words_at, y, room, &[(own, theme.accent), (&pair.caption, theme.text)]);
        canvas.touch_line(area.x, y, area.width, Action::PickPrototype(n));
        if top + i == at {
            canvas.shade(area.x, y, area.width, theme.selected);
        }
    }
    if state.arranged.is_empty() {
        canvas.put(area.x, area.y + 3, area.width, "no caption has these words; Esc shows all", theme.dim);
    }
}

fn why(canvas: &mut Canvas, area: Rect, state: &State, protos: &Protos) {
    let theme = *canvas.theme;
    let Some(proto) = protos.list.get(state.prototype) else { return };
    let tall = area.height >= 16;
    let (near, rest) = rows(area, if tall { area.height * 11 / 20 } else { area.height });
    neighbours::draw(canvas, near, state, proto);
    if !tall {
        return;
    }
    let rest = Rect { y: rest.y + 1, height: rest.height - 1, ..rest };
    let (text, map) = rows(rest, 7);
    canvas.title(text, "Caption", &certificate(proto));
    for (near, (y, i)) in proto.candidates.iter().take(4).zip((text.y + 1..).zip(0..)) {
        let words = state.rows.captions.get(near.row as usize).map_or("", String::as_str);
        let chosen = i == proto.chosen;
        canvas.put(text.x, y, 6, &format!("{:.3}", near.cosine), theme.dim);
        canvas.put(text.x + 7, y, text.width.saturating_sub(7), words, if chosen { theme.text } else { theme.dim });
    }
    if let Some((other, cosine)) = proto.other {
        let words = format!("nearest other prototype: {} at {cosine:.3}", other + 1);
        canvas.put(text.x, text.y + 5, text.width, &words, theme.dim);
    }
    heat(canvas, map, protos);
}

/// What the caption withstands, and what is to be expected.
pub fn certificate(proto: &Proto) -> String {
    match proto.sure {
        Some((mismatched, Some(any))) => {
            format!("withstands {any} of {} swapped, {mismatched:.1} expected", proto.support)
        }
        Some((mismatched, None)) => format!("not certified; expect {mismatched:.1} swapped"),
        None => String::new(),
    }
}

/// How many kept pairs lie in each image cluster (down) and text cluster (across): a good clustering is a bright diagonal.
fn heat(canvas: &mut Canvas, area: Rect, protos: &Protos) {
    let n = protos.table.len();
    if area.height < 5 || n < 2 || canvas.cells != crate::ui::canvas::Cells::Half {
        return;
    }
    canvas.title(area, "Match table", "image clusters down, text clusters across");
    let side = (u32::from(area.height - 1) * 2).min(u32::from(area.width)).min(n as u32);
    let mut sums = vec![0f64; (side * side) as usize];
    for (i, row) in protos.table.iter().enumerate() {
        for (j, &v) in row.iter().enumerate() {
            let at = (i * side as usize / n) * side as usize + j * side as usize / n;
            sums[at] += f64::from(v);
        }
    }
    let most = sums.iter().copied().fold(1.0, f64::max);
    let picture = image::RgbImage::from_fn(side, side, |x, y| {
        let v = (sums[(y * side + x) as usize] / most).sqrt();
        image::Rgb([24.0 + 96.0 * v, 28.0 + 166.0 * v, 36.0 + 180.0 * v].map(|c| c as u8))
    });
    let width = (side as u16).min(area.width);
    let at = Rect { x: area.x, y: area.y + 1, width, height: (side as u16).div_ceil(2) };
    crate::ui::halfblock::draw(canvas.buf, at, &picture, canvas.theme.depth, false);
}
