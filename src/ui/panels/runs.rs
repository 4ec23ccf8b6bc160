//! The runs pane: recall of every set that was judged, the curves of the run at work, and the queue.

use crate::{
    app::{Action, EncoderScore, Job, Outcome, Score, State, Status, Work, duration},
    ui::canvas::{Canvas, columns, rows},
};
use ratatui::{
    layout::Rect,
    style::Style,
    symbols::Marker,
    widgets::{Axis, Chart, Dataset, GraphType, Widget},
};
use std::collections::{BTreeMap, BTreeSet};

/// Draws the pane.
pub fn draw(canvas: &mut Canvas, area: Rect, state: &State) {
    let lines: usize = state.scores.iter().map(|s| s.encoders.len() + 1).sum();
    let room = (lines as u16 + 3).clamp(6, area.height * 11 / 20);
    let (table, lower) = rows(area, room);
    scores(canvas, table, state);
    let lower = Rect { y: lower.y + 1, height: lower.height.saturating_sub(1), ..lower };
    let (left, right) = columns(lower, lower.width / 2);
    if state.by_pairs {
        growth(canvas, left, state)
    } else {
        curves(canvas, left, state)
    }
    queue(canvas, right, state);
}

const AT: [&str; 6] = ["IR@1", "IR@5", "IR@10", "TR@1", "TR@5", "TR@10"];

fn scores(canvas: &mut Canvas, area: Rect, state: &State) {
    let theme = *canvas.theme;
    let p = &state.draft.config.evaluation;
    let (way, encoders) = (state.draft.config.method, p.encoders.join(", "));
    let next = format!("next: {way} · {encoders} · {} runs · {} epochs", p.runs, p.epochs);
    let remark = if area.width >= 100 { format!("percent, test split, mean ± sd · {next}") } else { next };
    canvas.title(area, "Recall", &remark);
    if state.scores.is_empty() {
        let judging = state.latest(is_judging).map(|j| (j.title(), &j.status));
        match judging {
            Some((title, Status::Ended(Outcome::Failed(why) | Outcome::Panicked(why)))) => {
                let room = Rect { y: area.y + 2, height: area.height.saturating_sub(2), ..area };
                canvas.paragraph(room, &format!("{title} failed: {why}"), theme.bad);
                return;
            }
            Some((title, Status::Queued | Status::Running)) => {
                canvas.put(area.x, area.y + 2, area.width, &format!("{title} …"), theme.text);
            }
            _ => drop(canvas.put(area.x, area.y + 2, area.width, "nothing was judged yet", theme.dim)),
        }
        canvas.put(
            area.x,
            area.y + 3,
            area.width,
            "Enter trains on this set; a, c and n judge as many real pairs for comparison",
            theme.dim,
        );
        return;
    }
    let wide = area.width >= 110;
    let cell = if wide { 11 } else { 6 };
    let x = area.x + 22;
    for (i, name) in AT.iter().enumerate() {
        canvas.right(x + i as u16 * cell, area.y + 1, cell, name, theme.dim);
    }
    canvas.right(x + 6 * cell, area.y + 1, 14, "R-mean", theme.dim);
    let now = state.set();
    let lines = |s: &Score| s.encoders.len() + 1;
    let room = usize::from(area.height.saturating_sub(2));
    // Scrolls by whole scores so that the selected one is in view.
    let mut first = 0;
    while first < state.run.0
        && state.scores[first..=state.run.0.min(state.scores.len() - 1)].iter().map(lines).sum::<usize>() > room
    {
        first += 1;
    }
    let mut y = area.y + 2;
    for (i, score) in state.scores.iter().enumerate().skip(first) {
        if y >= area.bottom() {
            break;
        }
        let current = now.as_ref() == Some(&score.set) && !state.behind;
        head(canvas, Rect { y, height: 1, ..area }, score, current);
        canvas.touch_line(area.x, y, area.width, Action::PickRun(i));
        if i == state.run.0 {
            canvas.shade(area.x, y, area.width, theme.selected);
        }
        for encoder in &score.encoders {
            y += 1;
            if y < area.bottom() {
                recall(canvas, area.x, y, (x, cell), encoder);
            }
        }
        y += 1;
    }
}

fn head(canvas: &mut Canvas, line: Rect, score: &Score, current: bool) {
    let theme = *canvas.theme;
    let own = score.is_own();
    let name = score.method.replace('-', " ");
    let edited = match score.edited {
        0 => String::new(),
        n => format!("  {n} captions by hand"),
    };
    let note = match (own, current) {
        (true, true) => ("the set on screen", theme.good),
        (true, false) => ("an older set", theme.warn),
        (false, _) => ("yardstick", theme.dim),
    };
    let pairs = format!("{} pairs", score.pairs);
    let pieces = [
        (name.as_str(), theme.strong),
        ("  ", theme.text),
        (pairs.as_str(), theme.text),
        ("  set ", theme.dim),
        (&score.set.as_str()[..8], theme.dim),
        (edited.as_str(), theme.dim),
        ("  ", theme.text),
        note,
    ];
    canvas.pieces(line.x, line.y, line.width, &pieces);
}

fn recall(canvas: &mut Canvas, left: u16, y: u16, (x, cell): (u16, u16), score: &EncoderScore) {
    let theme = *canvas.theme;
    let runs = format!("{} × {}", score.encoder, score.runs);
    canvas.put(left + 2, y, 18, &runs, theme.dim);
    for (i, (mean, sd)) in score.mean.iter().zip(score.sd).enumerate() {
        let words = if cell > 8 { format!("{mean:.1} ±{sd:>4.1}") } else { format!("{mean:.1}") };
        canvas.right(x + i as u16 * cell, y, cell, &words, theme.text);
    }
    let words = format!("{:.2} ±{:>5.2}", score.r_mean[0], score.r_mean[1]);
    canvas.right(x + 6 * cell, y, 14, &words, theme.accent);
}

fn is_judging(work: &Work) -> bool {
    matches!(work, Work::Evaluate { .. } | Work::Yardstick { .. })
}

/// A series' name and its points.
type Named<'a> = (&'a String, &'a Vec<(f64, f64)>);

/// The series to plot: R-mean by epoch; until there are two, the training loss.
fn plotted(job: &Job) -> (&'static str, Vec<Named<'_>>) {
    let of = |such: &dyn Fn(&str) -> bool| job.series.iter().filter(|(name, _)| such(name)).collect::<Vec<_>>();
    let recalls = of(&|name| name.contains("/R-mean, "));
    if recalls.iter().all(|(_, points)| points.len() < 2) {
        ("Training loss by epoch", of(&|name| name.ends_with("/loss")))
    } else {
        ("R-mean by epoch", recalls)
    }
}

fn curves(canvas: &mut Canvas, area: Rect, state: &State) {
    let theme = *canvas.theme;
    let shown = |j: &&Job| is_judging(&j.work) && !j.series.is_empty();
    let job = state.jobs.iter().rev().find(|j| shown(j) && j.is_alive()).or(state.jobs.iter().rev().find(shown));
    let Some(job) = job else {
        canvas.title(area, "Training", "");
        canvas.put(area.x, area.y + 2, area.width, "curves grow here while a run trains", theme.dim);
        return;
    };
    let (name, series) = plotted(job);
    canvas.title(area, name, &job.title());
    let points = || series.iter().flat_map(|(_, p)| p.iter());
    let last = points().map(|p| p.0).fold(1.0, f64::max);
    let (low, high) = points().fold((f64::MAX, f64::MIN), |(l, h), p| (l.min(p.1), h.max(p.1)));
    if low > high {
        return;
    }
    let (low, high) = if high - low < 1e-9 { (low - 0.5, high + 0.5) } else { (low, high) };
    let mut encoders: Vec<&str> = series.iter().filter_map(|(n, _)| n.split('/').next()).collect();
    encoders.dedup();
    let colour = |name: &str| {
        let at = encoders.iter().position(|e| name.starts_with(e)).unwrap_or(0);
        Style::new().fg(theme.series[at % theme.series.len()])
    };
    let sign = if canvas.ascii { '.' } else { FINE };
    let lines: Vec<Line> = series.iter().map(|(name, points)| (points.as_slice(), colour(name), sign)).collect();
    let (legend, plot) = rows(Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area }, 1);
    let mut at = legend.x;
    for encoder in &encoders {
        let latest = |such: &dyn Fn(&str) -> bool| -> Vec<f64> {
            let own = job.series.iter().filter(|(name, _)| name.starts_with(encoder) && such(name));
            own.filter_map(|(_, points)| points.last().map(|p| p.1)).collect()
        };
        // Runs that are over; before the first one is, those that go on.
        let (over, going) = (latest(&|name| name.ends_with("/R-mean")), latest(&|name| name.contains("/R-mean, ")));
        let found = if over.is_empty() { going } else { over };
        let n = found.len().max(1) as f64;
        let mean = found.iter().sum::<f64>() / n;
        let sd = (found.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / n).sqrt();
        let words = match found.len() {
            0 => (*encoder).to_owned(),
            n => format!("{encoder}: R-mean {mean:.2} ± {sd:.2}, {n} runs"),
        };
        at = canvas.put(at, legend.y, legend.right().saturating_sub(at), &words, colour(encoder)) + at + 3;
    }
    chart(canvas, plot, &lines, [0.0, last], [low, high]);
}

/// R-mean against the number of pairs: a line for each method and encoder, told apart by the method's colour and the
/// encoder's sign.
fn growth(canvas: &mut Canvas, area: Rect, state: &State) {
    canvas.title(area, "R-mean by number of pairs", "");
    let mut lines: BTreeMap<(&str, &str), BTreeMap<usize, f64>> = BTreeMap::new();
    for score in &state.scores {
        for e in &score.encoders {
            // A later score of as many pairs takes the earlier one's place.
            lines.entry((&score.method, &e.encoder)).or_default().insert(score.pairs, e.r_mean[0]);
        }
    }
    if lines.is_empty() {
        let words = "judge sets of different sizes and compare them here";
        canvas.put(area.x, area.y + 2, area.width, words, canvas.theme.dim);
        return;
    }
    let names: Vec<_> = lines.keys().copied().collect();
    let points: Vec<Vec<(f64, f64)>> =
        lines.into_values().map(|p| p.into_iter().map(|(m, r)| (m as f64, r)).collect()).collect();
    let looks = looks(canvas, &names);
    let to = |k: fn(&(f64, f64)) -> f64| points.iter().flatten().map(k).fold(0.0, f64::max);
    let (legend, plot) = rows(Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area }, 2);
    let (mut x, mut y) = (legend.x, legend.y);
    for ((method, encoder), (style, sign)) in names.iter().zip(&looks) {
        let name = format!("{sign} {method} {encoder}");
        let width = crate::ui::text::columns(&name) as u16;
        if x + width > legend.right() && x > legend.x {
            (x, y) = (legend.x, y + 1);
        }
        if y < legend.bottom() {
            x += canvas.put(x, y, legend.right().saturating_sub(x), &name, *style) + 2;
        }
    }
    let plots: Vec<Line> = points.iter().zip(&looks).map(|(p, (style, sign))| (p.as_slice(), *style, *sign)).collect();
    chart(canvas, plot, &plots, [0.0, to(|p| p.0) * 1.05], [0.0, to(|p| p.1) * 1.05]);
}

/// Style and sign of each method and encoder; no two are alike as long as there are signs.
fn looks(canvas: &Canvas, names: &[(&str, &str)]) -> Vec<(Style, char)> {
    let series = canvas.theme.series;
    let signs = if canvas.ascii { ['.', '+', 'x', 'o', '#', '%'] } else { [FINE, '•', '×', '+', '▪', 'o'] };
    let distinct = |of: fn(&(&str, &str)) -> String| -> Vec<String> {
        names.iter().map(of).collect::<BTreeSet<_>>().into_iter().collect()
    };
    let (methods, encoders) = (distinct(|n| n.0.to_owned()), distinct(|n| n.1.to_owned()));
    let look = |(method, encoder): &(&str, &str)| {
        let at = |list: &[String], name: &str| list.iter().position(|n| n == name).unwrap_or(0);
        let (m, e) = (at(&methods, method), at(&encoders, encoder));
        // More methods than colours take further signs.
        let sign = e + encoders.len() * (m / series.len());
        (Style::new().fg(series[m % series.len()]), signs[sign % signs.len()])
    };
    names.iter().map(look).collect()
}

/// The sign of a line of fine dots.
const FINE: char = '⠶';

/// Points of a line, its style and its sign.
type Line<'a> = (&'a [(f64, f64)], Style, char);

/// Lines with their axes.
fn chart(canvas: &mut Canvas, area: Rect, lines: &[Line], x: [f64; 2], y: [f64; 2]) {
    let marker = |sign: char| if sign == FINE { Marker::Braille } else { Marker::Custom(sign) };
    let sets = lines.iter().map(|(points, style, sign)| {
        Dataset::default().marker(marker(*sign)).graph_type(GraphType::Line).style(*style).data(points)
    });
    let faint = canvas.theme.faint;
    let axis = |to: [f64; 2], places: usize| {
        let labels = [format!("{:.places$}", to[0]), format!("{:.places$}", to[1])];
        Axis::default().bounds(to).labels(labels).style(faint)
    };
    Chart::new(sets.collect()).x_axis(axis(x, 0)).y_axis(axis(y, 2)).render(area, canvas.buf);
}

fn queue(canvas: &mut Canvas, area: Rect, state: &State) {
    let theme = *canvas.theme;
    canvas.title(area, "Jobs", "the next one on top");
    let selected = state.selected_job();
    let alive = state.jobs.iter().filter(|j| j.is_alive());
    let over = state.jobs.iter().rev().filter(|j| !j.is_alive());
    for (y, job) in (area.y + 1..area.bottom()).zip(alive.chain(over)) {
        let passed = |to: u64| duration(to.saturating_sub(job.times.0));
        let (words, style) = match &job.status {
            Status::Queued => ("waiting".to_owned(), theme.dim),
            Status::Running => {
                (job.eta(state.now).map_or(passed(state.now), |left| format!("{} left", duration(left))), theme.accent)
            }
            Status::Ended(Outcome::Done) => (passed(job.times.1), theme.good),
            Status::Ended(Outcome::Cancelled) => ("cancelled".to_owned(), theme.dim),
            Status::Ended(Outcome::Failed(_)) => ("failed".to_owned(), theme.bad),
            Status::Ended(Outcome::Panicked(_)) => ("a bug".to_owned(), theme.bad),
        };
        canvas.put(
            area.x,
            y,
            area.width.saturating_sub(14),
            &job.title(),
            if job.is_alive() { theme.text } else { theme.dim },
        );
        canvas.right(area.right().saturating_sub(13), y, 13, &words, style);
        if selected == Some(job.id) {
            canvas.shade(area.x, y, area.width, theme.selected);
        }
    }
    if state.jobs.is_empty() {
        canvas.put(area.x, area.y + 2, area.width, "nothing was started yet", theme.dim);
    }
}
