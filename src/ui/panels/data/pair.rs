//! One pair: its picture, what is known of it and why, and the other captions of its image.

use crate::{
    app::{Measured, State, count, keeps},
    ui::{
        canvas::{Canvas, columns},
        theme::Theme,
    },
};
use ratatui::{layout::Rect, style::Style};

/// Captions shown of one image.
const MOST: usize = 24;

/// The selected pair in a few lines.
pub fn brief(canvas: &mut Canvas, area: Rect, state: &State, measured: &Measured) {
    let Some(row) = state.selected_row() else { return };
    let (left, right) = columns(area, (area.height * 2).min(area.width / 2));
    picture(canvas, left, state, row);
    let y = about(canvas, right, state, measured, row);
    let words = state.rows.captions.get(row as usize).map_or("", String::as_str);
    let rest = Rect { y: y + 1, height: right.bottom().saturating_sub(y + 1), ..right };
    canvas.paragraph(rest, words, canvas.theme.text);
}

/// A pair in the whole pane.
pub fn whole(canvas: &mut Canvas, area: Rect, state: &State, measured: &Measured, row: u32) {
    let theme = *canvas.theme;
    let (left, right) = columns(area, (area.height * 2).min(area.width / 2));
    picture(canvas, left, state, row);
    let y = about(canvas, right, state, measured, row);
    let rest = Rect { y, height: right.bottom().saturating_sub(y), ..right };
    let y = y + canvas.paragraph(Rect { height: rest.height.min(5), ..rest }, &reason(measured, row), theme.dim) + 1;
    let rest = Rect { y, height: right.bottom().saturating_sub(y), ..right };
    captions(canvas, rest, state, measured, row);
}

fn picture(canvas: &mut Canvas, area: Rect, state: &State, row: u32) {
    match state.real.get(&image_of(state, row)) {
        Some(Err(why)) => drop(canvas.paragraph(area, why, canvas.theme.bad)),
        picture => canvas.picture(area, picture.and_then(|p| p.as_ref().ok())),
    }
}

fn image_of(state: &State, row: u32) -> u32 {
    state.rows.image_of.get(row as usize).copied().unwrap_or_default()
}

/// Numbers, file, verdict and scores; returns the line after them.
fn about(canvas: &mut Canvas, area: Rect, state: &State, measured: &Measured, row: u32) -> u16 {
    let theme = *canvas.theme;
    let image = image_of(state, row);
    let (n, cosine) = (row as usize, measured.cosines.get(row as usize).copied().unwrap_or_default());
    let numbers = format!("pair {} · image {}", count(n), count(image as usize));
    let (words, style) = verdict(&theme, state, measured, row);
    let why = match measured.noise.as_ref().and_then(|noise| noise.trust.get(n)) {
        Some(trust) => format!("matched {:.0} % · cosine {cosine:.3}", trust * 100.0),
        None => format!("cosine {cosine:.3}"),
    };
    let file = state.names.get(&image).map(|name| name.rsplit('/').next().unwrap_or(name));
    let lines = [Some((numbers.as_str(), theme.dim)), file.map(|f| (f, theme.dim)), Some((words, style))];
    let mut y = area.y;
    for (words, style) in lines.into_iter().flatten().chain([(why.as_str(), theme.dim)]) {
        canvas.put(area.x, y, area.width, words, style);
        y += 1;
    }
    y
}

/// Whether a row stays, and who says so.
pub fn verdict(theme: &Theme, state: &State, measured: &Measured, row: u32) -> (&'static str, Style) {
    match (state.draft.by_hand.get(&row), keeps(measured, &state.draft, row)) {
        (Some(true), _) => ("kept by hand", theme.good),
        (Some(false), _) => ("dropped by hand", theme.bad),
        (None, true) => ("stays", theme.text),
        (None, false) => ("below the threshold", theme.warn),
    }
}

/// The sign of the verdict in a list.
pub fn sign(canvas: &Canvas, state: &State, measured: &Measured, row: u32) -> (&'static str, Style) {
    let theme = canvas.theme;
    match (state.draft.by_hand.get(&row), keeps(measured, &state.draft, row)) {
        (Some(true), _) => ("+", theme.good),
        (Some(false), _) => ("x", theme.bad),
        (None, true) => (" ", theme.text),
        (None, false) => (if canvas.ascii { "." } else { "·" }, theme.warn),
    }
}

/// Why a pair stands where it does: its cosine and, where pairs were judged, what the tracks say, each beside what is usual.
fn reason(measured: &Measured, row: u32) -> String {
    let (n, all) = (row as usize, measured.cosines.len());
    let Some(&cosine) = measured.cosines.get(n) else { return String::new() };
    let lower = measured.cosines.iter().filter(|c| **c < cosine).count();
    let share = |part: usize| 100.0 * part as f64 / all.max(1) as f64;
    let place = if 2 * lower < all {
        format!("its cosine is below that of {:.0} % of all pairs", share(all - lower - 1))
    } else {
        format!("its cosine is above that of {:.0} % of all pairs", share(lower))
    };
    let (Some(noise), Some(score)) = (&measured.noise, measured.scores.get(n)) else { return place };
    let middle = measured.order.get(all / 2).map_or(0.0, |&r| measured.scores[r as usize]);
    let like = noise.null.partition_point(|v| v < score);
    let chance = 100.0 * (noise.null.len() - like) as f64 / noise.null.len().max(1) as f64;
    format!(
        "{place}; the tracks give it {score:.1} where captions re-paired at random have 0 ± 1 and the median pair \
         {middle:.1}: {chance:.0} % of re-paired ones do as well"
    )
}

/// All captions of the pair's image with their cosines, its own in bold.
fn captions(canvas: &mut Canvas, area: Rect, state: &State, measured: &Measured, row: u32) {
    let theme = *canvas.theme;
    let image = image_of(state, row);
    let same = state.rows.image_of.iter().enumerate().filter(|(_, i)| **i == image).map(|(r, _)| r as u32);
    let rows: Vec<u32> = same.take(MOST).collect();
    canvas.title(area, "Captions of this image", &rows.len().to_string());
    let mut y = area.y + 1;
    for r in rows {
        if y >= area.bottom() {
            return;
        }
        let (mark, style) = sign(canvas, state, measured, r);
        canvas.put(area.x, y, 1, mark, style);
        let cosine = measured.cosines.get(r as usize).copied().unwrap_or_default();
        canvas.put(area.x + 2, y, 6, &format!("{cosine:.3}"), theme.dim);
        let words = state.rows.captions.get(r as usize).map_or("", String::as_str);
        let room = Rect { x: area.x + 9, y, width: area.width.saturating_sub(9), height: area.bottom() - y };
        let style = if r == row { theme.strong } else { theme.text };
        y += canvas.paragraph(Rect { height: room.height.min(2), ..room }, words, style).max(1);
    }
}
