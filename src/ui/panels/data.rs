//! The data pane: what the embeddings say about the pairs, where the threshold cuts, and the pairs that match worst.

use crate::{
    app::{Action, Cursor, Embedded, Measured, State, Status, Work, below, count, keeps, kept_count, percent},
    ui::{
        canvas::{Canvas, columns, rows},
        panels::prototypes::badge,
        scatter,
    },
};
use ratatui::layout::Rect;

/// Draws the pane.
pub fn draw(canvas: &mut Canvas, area: Rect, state: &State) {
    let Some(measured) = &state.measured else { return waiting(canvas, area, state) };
    let (left, right) = if state.zoom { (Rect::default(), area) } else { columns(area, (area.width * 9 / 20).max(38)) };
    if !left.is_empty() {
        let (numbers, plots) = rows(left, 8);
        summary(canvas, numbers, state);
        let plane = state.summary.as_ref().map(|s| s.cloud.clone());
        let both = plots.height >= 22 && !state.scatter;
        let (plot, below) = rows(plots, if both { 10 } else { plots.height.saturating_sub(3) });
        match plane {
            Some(cloud) if both || state.scatter => {
                canvas.title(plot, "Plane of largest variance", "");
                scatter::draw(canvas, Rect { y: plot.y + 1, height: plot.height - 2, ..plot }, state, measured, &cloud);
                if both {
                    threshold(canvas, below, state, measured);
                } else {
                    slider(canvas, below, state, measured);
                }
            }
            _ => threshold(canvas, plots, state, measured),
        }
    }
    let picture = (right.height / 2).clamp(6, 18);
    let (list, detail) = rows(right, right.height - picture - 1);
    pairs(canvas, list, state, measured);
    pair(canvas, Rect { y: detail.y + 1, height: detail.height - 1, ..detail }, state, measured);
}

fn waiting(canvas: &mut Canvas, area: Rect, state: &State) {
    let job = state.latest(|w| *w == Work::Embed);
    match job.map(|j| &j.status) {
        Some(Status::Ended(crate::app::Outcome::Failed(why) | crate::app::Outcome::Panicked(why))) => {
            canvas.empty(area, &["the data could not be embedded", "", why.as_str()]);
        }
        Some(Status::Ended(_)) => canvas.empty(area, &["embedding was cancelled", "", "start again to embed the data"]),
        _ => {
            let stage = job.and_then(|j| j.step).map_or("reading", |(stage, ..)| stage);
            let words = format!("{stage} …");
            canvas.empty(area, &["every image and every caption is embedded once, then kept", "", words.as_str()]);
            let at = area.y + area.height / 3 + 4;
            if let Some((_, done, total)) = job.and_then(|j| j.step) {
                let width = 40.min(area.width);
                canvas.bar(area.x + (area.width - width) / 2, at, width, done as f64 / total.max(1) as f64);
            }
            let below = Rect { y: at + 2, height: area.bottom().saturating_sub(at + 2), ..area };
            coming(canvas, below, &state.partial);
        }
    }
}

/// Statistics of the rows that are there.
fn coming(canvas: &mut Canvas, area: Rect, rows: &Embedded) {
    let theme = *canvas.theme;
    let width = 60.min(area.width);
    let mut area = Rect { x: area.x + (area.width - width) / 2, width, height: area.height.min(15), ..area };
    for (label, value) in arrived(rows) {
        if area.height == 0 {
            return;
        }
        canvas.put(area.x, area.y, 16, label, theme.dim);
        canvas.put(area.x + 17, area.y, width.saturating_sub(17), &value, theme.text);
        (area.y, area.height) = (area.y + 1, area.height - 1);
    }
    if area.height < 6 || rows.cosines.is_empty() {
        return;
    }
    let area = Rect { y: area.y + 1, height: area.height - 1, ..area };
    let ends = rows.cosines.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(a, b), &v| (a.min(v), b.max(v)));
    let remark = format!("{} so far, median {:.3}", count(rows.cosines.len()), median(&rows.cosines));
    canvas.title(area, "Cosine of image and caption", &remark);
    let plot = Rect { y: area.y + 1, height: area.height - 2, ..area };
    histogram(canvas, plot, (&rows.cosines, &[]), ends, None);
    let y = area.bottom() - 1;
    canvas.put(area.x, y, 8, &format!("{:.2}", ends.0), theme.dim);
    canvas.right(area.x, y, area.width, &format!("{:.2}", ends.1), theme.dim);
}

/// What is known already, under the names it has later.
fn arrived(rows: &Embedded) -> Vec<(&'static str, String)> {
    let sides = |values: [Option<String>; 2]| {
        let said = ["image", "text"].iter().zip(values).filter_map(|(side, v)| Some(format!("{side} {}", v?)));
        said.collect::<Vec<_>>().join("  ")
    };
    let norm = |norms: &[f32]| (!norms.is_empty()).then(|| format!("{:.1}", median(norms)));
    let rank = |rank: Option<(f64, usize)>| rank.map(|(rank, n)| format!("{rank:.1} of {}", count(n)));
    let all = [
        ("median norm", sides([norm(&rows.images), norm(&rows.texts)])),
        ("effective rank", sides(rows.ranks.map(rank))),
        ("modality gap", rows.gap.map_or(String::new(), |gap| format!("{gap:.3}"))),
        (
            "near-duplicates",
            rows.duplicates.map_or(String::new(), |(n, of)| format!("{} of {} images", count(n as usize), count(of))),
        ),
    ];
    all.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}

fn median(values: &[f32]) -> f32 {
    let mut values = values.to_vec();
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f32::total_cmp).1
}

fn summary(canvas: &mut Canvas, area: Rect, state: &State) {
    canvas.title(area, "Embeddings", "");
    let theme = *canvas.theme;
    let Some(s) = &state.summary else {
        canvas.put(area.x, area.y + 1, area.width, "being described …", theme.dim);
        return;
    };
    let lines = [
        ("width", s.width.to_string()),
        ("median norm", format!("image {:.1}  text {:.1}", s.norms[0], s.norms[1])),
        ("effective rank", format!("image {:.1}  text {:.1}", s.ranks[0], s.ranks[1])),
        ("modality gap", format!("{:.3}", s.gap)),
        ("near-duplicates", format!("{} of {} images", count(s.duplicates.0 as usize), count(s.duplicates.1))),
        match state.measured.as_ref().and_then(|m| m.noise.as_ref()) {
            Some(noise) => {
                let (share, upper, left) = (noise.share * 100.0, noise.upper * 100.0, noise.expected.round() as usize);
                ("mismatched", format!("{share:.1} %, at most {upper:.1} %; {} stay", count(left)))
            }
            None => ("doubtful pairs", format!("{:.1} % by mixture", s.doubtful * 100.0)),
        },
    ];
    for ((label, value), y) in lines.iter().zip(area.y + 1..area.bottom()) {
        canvas.put(area.x, y, 16, label, theme.dim);
        canvas.put(area.x + 17, y, area.width.saturating_sub(17), value, theme.text);
    }
}

fn threshold(canvas: &mut Canvas, area: Rect, state: &State, measured: &Measured) {
    let theme = *canvas.theme;
    let all = measured.order.len();
    match &measured.noise {
        Some(_) => canvas.title(area, "Trust in each pair", "behind: captions re-paired"),
        None => canvas.title(area, "Cosine of image and caption", ""),
    }
    let cut = below(measured, &state.draft);
    let (plot, foot) =
        rows(Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area }, area.height.saturating_sub(5));
    let at = |place: usize| measured.order.get(place).map_or(0.0, |&r| measured.scores[r as usize]);
    let last = all.saturating_sub(1);
    let null = measured.noise.as_ref().map_or(&[][..], |n| &n.null);
    let ends =
        (null.first().map_or(at(0), |&low| low.min(at(0))), null.last().map_or(at(last), |&high| high.max(at(last))));
    histogram(canvas, plot, (&measured.scores, null), ends, (cut > 0).then(|| at(cut.min(last))));
    canvas.put(foot.x, foot.y, 8, &format!("{:.2}", ends.0), theme.dim);
    canvas.right(foot.x, foot.y, foot.width, &format!("{:.2}", ends.1), theme.dim);
    let (low, high) = (f64::from(ends.0), f64::from(ends.1));
    let share = if high > low { (f64::from(at(cut)) - low) / (high - low) } else { 0.0 };
    let mark = format!("{}{:.3}", if canvas.ascii { "^" } else { "▴" }, at(cut));
    let x = foot.x + (share * f64::from(foot.width.saturating_sub(1))) as u16;
    if (foot.x + 6..foot.right().saturating_sub(12)).contains(&x) {
        canvas.put(x, foot.y, 9, &mark, theme.warn);
    }
    slider(canvas, Rect { y: foot.y + 2, height: foot.height.saturating_sub(2), ..foot }, state, measured);
}

fn slider(canvas: &mut Canvas, area: Rect, state: &State, measured: &Measured) {
    let theme = *canvas.theme;
    let (all, kept) = (measured.order.len(), kept_count(measured, &state.draft));
    let label = format!("prune {:>3.0} %", state.draft.config.prune.ratio * 100.0);
    canvas.put(area.x, area.y, 11, &label, theme.text);
    let to = |share: f64| Action::ThresholdAt((share * 100.0).round() as u8);
    canvas.slider(area.x + 12, area.y, area.width.saturating_sub(12), state.draft.config.prune.ratio, to);
    let proposed = measured.noise.as_ref().is_some_and(|n| n.proposed == state.draft.config.prune.ratio);
    let (what, by) = if proposed { ("", " by trust") } else { (" pairs", "") };
    let words = format!("{} of {}{what} stay ({}){by}", count(kept), count(all), percent(kept, all));
    let indent = if area.width > 48 { 12 } else { 0 };
    canvas.put(area.x + indent, area.y + 1, area.width - indent, &words, theme.dim);
}

/// Bars of the counts of scores between `ends`, a column each: those left of the cut in the signal colour. Behind them the
/// null, as if all pairs were mismatched.
fn histogram(
    canvas: &mut Canvas,
    area: Rect,
    (scores, null): (&[f32], &[f32]),
    (low, high): (f32, f32),
    cut: Option<f32>,
) {
    let bins = usize::from(area.width);
    if bins == 0 || area.height == 0 {
        return;
    }
    let bin =
        |v: f32| (((v - low) / (high - low).max(f32::MIN_POSITIVE)) * bins as f32).min(bins as f32 - 1.0) as usize;
    let shares = |values: &[f32]| {
        let mut counts = vec![0usize; bins];
        values.iter().for_each(|&v| counts[bin(v)] += 1);
        counts.into_iter().map(|n| n as f64 / values.len().max(1) as f64).collect::<Vec<f64>>()
    };
    let (own, behind) = (shares(scores), shares(null));
    let most = own.iter().chain(&behind).copied().fold(f64::MIN_POSITIVE, f64::max);
    let edge = cut.map_or(0, bin);
    for (i, (n, null)) in own.into_iter().zip(behind).enumerate() {
        let style = if i < edge { canvas.theme.warn } else { canvas.theme.accent };
        column(canvas, area, area.x + i as u16, null / most, canvas.theme.faint);
        column(canvas, area, area.x + i as u16, n / most, style);
    }
}

fn column(canvas: &mut Canvas, area: Rect, x: u16, share: f64, style: ratatui::style::Style) {
    const PARTS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
    let mut eighths = (share * f64::from(area.height) * 8.0).ceil() as u16;
    for y in (area.y..area.bottom()).rev() {
        let part = eighths.min(8);
        if part == 0 {
            return;
        }
        let word = if canvas.ascii { if part > 3 { "#" } else { " " } } else { PARTS[usize::from(part)] };
        canvas.put(x, y, 1, word, style);
        eighths -= part;
    }
}

fn pairs(canvas: &mut Canvas, area: Rect, state: &State, measured: &Measured) {
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
    canvas.title(area, "Pairs, worst first", &remark);
    let open = marks.open(lines, state.pair.0);
    let room = usize::from(area.height.saturating_sub(1));
    let top = state.pair.top(n, room);
    for (i, (y, &row)) in (area.y + 1..area.bottom()).zip(lines.iter().skip(top)).enumerate() {
        let kept = keeps(measured, &state.draft, row);
        let (mark, style) = match (state.draft.by_hand.get(&row), kept) {
            (Some(true), _) => ("+", theme.good),
            (Some(false), _) => ("x", theme.bad),
            (None, true) => (" ", theme.text),
            (None, false) => (if canvas.ascii { "." } else { "·" }, theme.warn),
        };
        canvas.put(area.x, y, 1, mark, style);
        canvas.right(
            area.x + 1,
            y,
            7,
            &format!("{:.3}", measured.scores[row as usize]),
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

fn pair(canvas: &mut Canvas, area: Rect, state: &State, measured: &Measured) {
    let theme = *canvas.theme;
    let Some(row) = state.selected_row() else { return };
    let image = state.rows.image_of.get(row as usize).copied().unwrap_or_default();
    let (left, right) = columns(area, (area.height * 2).min(area.width / 2));
    match state.real.get(&image) {
        Some(Err(why)) => drop(canvas.paragraph(left, why, theme.bad)),
        picture => canvas.picture(left, picture.and_then(|p| p.as_ref().ok())),
    }
    let verdict = match (state.draft.by_hand.get(&row), keeps(measured, &state.draft, row)) {
        (Some(true), _) => ("kept by hand", theme.good),
        (Some(false), _) => ("dropped by hand", theme.bad),
        (None, true) => ("stays", theme.text),
        (None, false) => ("below the threshold", theme.warn),
    };
    canvas.put(
        right.x,
        right.y,
        right.width,
        &format!("pair {} · image {}", count(row as usize), count(image as usize)),
        theme.dim,
    );
    canvas.put(right.x, right.y + 1, right.width, verdict.0, verdict.1);
    let cosine = measured.cosines[row as usize];
    let why = match &measured.noise {
        Some(n) => format!("matched {:.0} % · cosine {cosine:.3}", n.trust[row as usize] * 100.0),
        None => format!("cosine {cosine:.3}"),
    };
    canvas.put(right.x, right.y + 2, right.width, &why, theme.dim);
    let words = state.rows.captions.get(row as usize).map_or("", String::as_str);
    canvas.paragraph(Rect { y: right.y + 4, height: right.height.saturating_sub(4), ..right }, words, theme.text);
}
