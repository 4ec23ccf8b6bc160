//! The recall table: the set on screen first, what is being judged as it fills, all others, and what a guess would have.

use crate::{
    app::{Action, EncoderScore, Job, Outcome, Score, State, Status, chance, is_judging},
    ui::{canvas::Canvas, panels::prototypes::badge},
};
use ratatui::{
    layout::Rect,
    style::{Modifier, Style},
};

/// Names of the columns.
const AT: [&str; 6] = ["IR@1", "IR@5", "IR@10", "TR@1", "TR@5", "TR@10"];

/// Which columns there is room for, where the first one starts, and how wide they are.
struct Grid {
    shown: &'static [usize],
    start: u16,
    cell: u16,
    mean: u16,
}

impl Grid {
    fn new(width: u16) -> Self {
        match width {
            0..76 => Self { shown: &[0, 2, 3, 5], start: 18, cell: 6, mean: 14 },
            76..110 => Self { shown: &[0, 1, 2, 3, 4, 5], start: 22, cell: 6, mean: 14 },
            _ => Self { shown: &[0, 1, 2, 3, 4, 5], start: 22, cell: 11, mean: 14 },
        }
    }

    fn column(&self, i: usize) -> u16 {
        self.start + i as u16 * self.cell
    }
}

/// Lines that the whole table would take.
pub fn height(state: &State) -> u16 {
    let scores: usize = state.scores.iter().map(|s| s.encoders.len() + 1).sum();
    let running = state.judging().map_or(0, |job| running_encoders(job).len() + 1);
    (scores + running + usize::from(chance_of(state).is_some())) as u16
}

/// Draws the table.
pub fn draw(canvas: &mut Canvas, area: Rect, state: &State) {
    let theme = *canvas.theme;
    canvas.title(area, "Recall", &remark(state, area.width));
    if state.scores.is_empty() && state.judging().is_none() {
        return nothing_yet(canvas, area, state);
    }
    let grid = Grid::new(area.width);
    for (i, &n) in grid.shown.iter().enumerate() {
        canvas.right(area.x + grid.column(i), area.y + 1, grid.cell, AT[n], theme.dim);
    }
    canvas.right(area.x + grid.column(grid.shown.len()), area.y + 1, grid.mean, "R-mean", theme.dim);
    let below = Rect { y: area.y + 2, height: area.height.saturating_sub(2), ..area };
    let mut rest = below;
    let order = state.run_order();
    let (own, others) = order.split_at(state.own_scores());
    // The set on screen never scrolls out, nor does what is being judged, nor the guess at the end.
    own.iter().for_each(|&i| score(canvas, &mut rest, state, &grid, i));
    if let Some(job) = state.judging() {
        running(canvas, &mut rest, job, &grid);
    }
    if let Some(values) = chance_of(state).filter(|_| rest.height > 0) {
        let y = if height(state) <= below.height { below.y + height(state) - 1 } else { below.bottom() - 1 };
        rest.height = y.saturating_sub(rest.y);
        canvas.put(area.x + 2, y, grid.start - 2, "chance", theme.dim);
        numbers(canvas, area.x, y, &grid, (&values, [theme.dim; 7]));
    }
    let lines = |i: &usize| state.scores[*i].encoders.len() + 1;
    let at = others.iter().position(|&i| i == state.run.0);
    // Scrolls by whole scores so that the selected one is in view.
    let first = at.map_or(0, |at| {
        let fits = |from: &usize| others[*from..=at].iter().map(lines).sum::<usize>() <= usize::from(rest.height);
        (0..=at).find(fits).unwrap_or(at)
    });
    others.iter().skip(first).for_each(|&i| score(canvas, &mut rest, state, &grid, i));
}

fn remark(state: &State, width: u16) -> String {
    let p = &state.draft.config.evaluation;
    let next = format!(
        "next: {} · {} · {} runs · {} epochs",
        state.draft.config.method,
        p.encoders.join(", "),
        p.runs,
        p.epochs
    );
    match (state.reading.pinned, width) {
        (Some(_), _) => format!("differences from the pinned line · {next}"),
        (None, 100..) => format!("percent, mean ± sd · {next}"),
        (None, _) => next,
    }
}

fn nothing_yet(canvas: &mut Canvas, area: Rect, state: &State) {
    let theme = *canvas.theme;
    let room = Rect { y: area.y + 2, height: area.height.saturating_sub(2), ..area };
    let judging = state.latest(is_judging).map(|j| (j.title(), &j.status));
    let words = match judging {
        Some((title, Status::Ended(Outcome::Failed(why) | Outcome::Panicked(why)))) => {
            canvas.paragraph(room, &format!("{title} failed: {why}"), theme.bad);
            return;
        }
        Some((title, Status::Queued | Status::Running)) => format!("{title} …"),
        _ => "nothing was judged yet".to_owned(),
    };
    canvas.put(area.x, area.y + 2, area.width, &words, theme.text);
    let next = "Enter trains on this set; a, c and n judge as many real pairs for comparison";
    let room = Rect { y: area.y + 3, height: area.height.saturating_sub(3), ..area };
    canvas.paragraph(room, next, theme.dim);
}

/// A line for the set and one for each encoder, from the top of what is left.
fn score(canvas: &mut Canvas, rest: &mut Rect, state: &State, grid: &Grid, i: usize) {
    let score = &state.scores[i];
    let take = (score.encoders.len() as u16 + 1).min(rest.height);
    if take == 0 {
        return;
    }
    let area = Rect { height: take, ..*rest };
    head(canvas, area, state, i);
    for (encoder, y) in score.encoders.iter().zip(area.y + 1..area.bottom()) {
        recall(canvas, area.x, y, grid, (state, i, encoder));
    }
    (rest.y, rest.height) = (rest.y + take, rest.height - take);
}

fn head(canvas: &mut Canvas, area: Rect, state: &State, i: usize) {
    let theme = *canvas.theme;
    let score = &state.scores[i];
    let name = score.method.replace('-', " ");
    let edited = match score.edited {
        0 => String::new(),
        n => format!("  {n} captions by hand"),
    };
    let current = !state.behind && state.set().as_ref() == Some(&score.set);
    let note = match (score.is_own(), current) {
        (_, true) => ("the set on screen", theme.good),
        (true, false) => ("another set", theme.warn),
        (false, false) => ("yardstick", theme.dim),
    };
    let pinned = state.reading.pinned == Some(i);
    let marked = state.reading.marked.contains(&Some(i));
    canvas.put(area.x, area.y, 1, badge(canvas, marked, pinned), theme.accent);
    let pieces = [
        (name.as_str(), theme.strong),
        ("  ", theme.text),
        (&format!("{} pairs", score.pairs), theme.text),
        ("  set ", theme.dim),
        (&score.set.as_str()[..8], theme.dim),
        (edited.as_str(), theme.dim),
        ("  ", theme.text),
        note,
        (if pinned { "  pinned" } else { "" }, theme.accent),
    ];
    let at = if pinned || marked { 2 } else { 0 };
    canvas.pieces(area.x + at, area.y, area.width.saturating_sub(at), &pieces);
    canvas.touch_line(area.x, area.y, area.width, Action::PickRun(i));
    if i == state.run.0 {
        canvas.shade(area.x, area.y, area.width, theme.selected);
    }
}

fn recall(canvas: &mut Canvas, left: u16, y: u16, grid: &Grid, (state, i, score): (&State, usize, &EncoderScore)) {
    let theme = *canvas.theme;
    let name = format!("{} × {}", score.encoder, score.runs);
    canvas.put(left + 2, y, grid.start - 3, &name, theme.dim);
    let pinned = state.reading.pinned.filter(|p| *p != i).and_then(|p| state.scores.get(p));
    let base =
        pinned.and_then(|p: &Score| p.encoders.iter().find(|e| e.encoder == score.encoder)).map(EncoderScore::values);
    let values = score.values();
    if let Some(base) = base {
        let differences: [f64; 7] = std::array::from_fn(|k| values[k] - base[k]);
        let style = |d: f64| {
            if d > 0.05 {
                theme.good
            } else if d < -0.05 {
                theme.warn
            } else {
                theme.dim
            }
        };
        let words = differences.map(|d| (format!("{d:+.1}"), style(d)));
        return cells(canvas, left, y, grid, &words);
    }
    let best = state.best().get(score.encoder.as_str()).copied();
    let is_best = |k: usize| best.is_some_and(|b| values[k] >= b[k]);
    let sds: [f64; 7] = std::array::from_fn(|k| *score.sd.get(k).unwrap_or(&score.r_mean[1]));
    let word = |k: usize| {
        let places = if k == 6 { 2 } else { 1 };
        let spread = score.runs > 1 && (k == 6 || grid.cell > 8);
        let words = format!("{:.places$}", values[k]);
        if !spread {
            return words;
        }
        let width = if k == 6 { 5 } else { 4 };
        format!("{words} ±{:>width$.places$}", sds[k])
    };
    let style = |k: usize| {
        let plain = if k == 6 { theme.accent } else { theme.text };
        if is_best(k) { plain.add_modifier(Modifier::BOLD) } else { plain }
    };
    cells(canvas, left, y, grid, &std::array::from_fn(|k| (word(k), style(k))));
}

/// Plain numbers.
fn numbers(canvas: &mut Canvas, left: u16, y: u16, grid: &Grid, (values, styles): (&[f64; 7], [Style; 7])) {
    cells(canvas, left, y, grid, &std::array::from_fn(|k| (format!("{:.1}", values[k]), styles[k])));
}

fn cells(canvas: &mut Canvas, left: u16, y: u16, grid: &Grid, words: &[(String, Style); 7]) {
    for (i, &k) in grid.shown.iter().enumerate() {
        canvas.right(left + grid.column(i), y, grid.cell, &words[k].0, words[k].1);
    }
    canvas.right(left + grid.column(grid.shown.len()), y, grid.mean, &words[6].0, words[6].1);
}

/// What a guess would have on the split that recall is measured on.
fn chance_of(state: &State) -> Option<[f64; 7]> {
    chance(state.rows.judged_on)
}

fn running_encoders(job: &Job) -> &[String] {
    use crate::app::Work;
    match &job.work {
        Work::Evaluate { draft, .. } | Work::Yardstick { draft, .. } => &draft.config.evaluation.encoders,
        _ => &[],
    }
}

/// The set that is being judged: for each encoder how many runs are over and their R-mean so far.
fn running(canvas: &mut Canvas, rest: &mut Rect, job: &Job, grid: &Grid) {
    use crate::app::Work;
    let theme = *canvas.theme;
    let (Work::Evaluate { draft, .. } | Work::Yardstick { draft, .. }) = &job.work else { return };
    let take = (draft.config.evaluation.encoders.len() as u16 + 1).min(rest.height);
    if take == 0 {
        return;
    }
    let area = Rect { height: take, ..*rest };
    let share = job.step.map_or(0.0, |(_, done, total)| done as f64 / total.max(1) as f64);
    let words = format!("{} · {:.0} %", job.title(), share * 100.0);
    let used = canvas.put(area.x, area.y, area.width, &words, theme.accent);
    canvas.bar(area.x + used + 2, area.y, area.width.saturating_sub(used + 2).min(24), share);
    for (name, y) in draft.config.evaluation.encoders.iter().zip(area.y + 1..area.bottom()) {
        let own = job.series.iter().filter(|(s, _)| s.split('/').next() == Some(name.as_str()));
        let over: Vec<f64> =
            own.filter(|(s, _)| s.ends_with("/R-mean")).filter_map(|(_, p)| p.last().map(|p| p.1)).collect();
        let runs = draft.config.evaluation.runs;
        canvas.put(area.x + 2, y, grid.start - 3, &format!("{name} × {runs}"), theme.dim);
        let room = grid.shown.len() as u16 * grid.cell;
        let bar = room.saturating_sub(14).min(36);
        canvas.bar(area.x + grid.start + 2, y, bar, over.len() as f64 / runs.max(1) as f64);
        let so_far = format!("{} of {runs}", over.len());
        canvas.put(area.x + grid.start + bar + 4, y, 10, &so_far, theme.dim);
        if !over.is_empty() {
            let mean = over.iter().sum::<f64>() / over.len() as f64;
            canvas.right(area.x + grid.column(grid.shown.len()), y, grid.mean, &format!("{mean:.2}"), theme.accent);
        }
    }
    (rest.y, rest.height) = (rest.y + take, rest.height - take);
}
