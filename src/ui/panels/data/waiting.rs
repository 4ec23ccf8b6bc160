//! The data pane before the data are embedded: what is known already, and what is being done.

use super::plot::histogram;
use crate::{
    app::{Embedded, Outcome, State, Status, Work, count},
    ui::canvas::Canvas,
};
use ratatui::layout::Rect;

/// Says what is going on.
pub fn waiting(canvas: &mut Canvas, area: Rect, state: &State) {
    let job = state.latest(|w| *w == Work::Embed);
    match job.map(|j| &j.status) {
        Some(Status::Ended(Outcome::Failed(why) | Outcome::Panicked(why))) => {
            canvas.empty(area, &["the data could not be embedded", "", why.as_str()]);
        }
        Some(Status::Ended(_)) => canvas.empty(area, &["embedding was cancelled", "", "start again to embed the data"]),
        _ => {
            let stage = job.and_then(|j| j.step).map_or("reading", |(stage, ..)| stage);
            let words = format!("{stage} …");
            let about = [
                "a large set of captioned images becomes a few pairs that teach as well",
                "first every image and caption is embedded, once; it is kept for next time",
                "then see which pairs do not match, choose how many, draw and judge them",
                "1 to 6 show the panes, ? explains keys and words, : takes a command",
            ];
            let lines = about.iter().map(|line| crate::ui::text::wrap(line, area.width.into(), 3).len() as u16);
            let top = area.y + if area.height >= 24 { 3 } else { 0 };
            let height = lines.sum::<u16>() + 2;
            let room = Rect { y: top, height: area.bottom().saturating_sub(top), ..area };
            canvas.top(room, &[about[0], about[1], about[2], about[3], "", words.as_str()]);
            let at = top + height + 1;
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
