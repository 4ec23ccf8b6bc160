//! A plot: one colour and sign for each method, one dash for each encoder, so that lines are told apart without colour too;
//! a cursor reads values.

use super::{
    canvas::{Canvas, rows},
    text,
};
use crate::app::{Line, Plot, State};
use ratatui::{
    layout::Rect,
    style::{Color, Style},
    symbols::Marker,
    widgets::{Axis, Chart, Dataset, GraphType, Widget},
};

/// Points (x, y) of a line.
type Points = Vec<(f64, f64)>;

/// Dots drawn and left out, in turn: whole, dashed, dotted, dash and dot.
const DASHES: [&[usize]; 4] = [&[1, 0], &[5, 3], &[1, 3], &[6, 2, 1, 2]];
/// The same in a legend.
const SAMPLES: [[&str; 2]; 4] = [["──", "--"], ["╌╌", "- "], ["··", ". "], ["─·", "-."]];
/// Signs of the methods.
const SIGNS: [[char; 2]; 8] =
    [['●', 'o'], ['■', '#'], ['▲', '^'], ['◆', '*'], ['○', '@'], ['□', '%'], ['△', 'v'], ['◇', '+']];
/// Lines of the legend at most.
const LEGEND: u16 = 3;

/// Which colour, sign and dash each line has.
struct Keys {
    methods: Vec<String>,
    encoders: Vec<String>,
    ascii: bool,
    series: [Color; 6],
}

impl Keys {
    fn new(canvas: &Canvas, plot: &Plot) -> Self {
        let sorted = |of: fn(&Line) -> &String| {
            let mut all: Vec<String> = plot.lines.iter().map(|l| of(l).clone()).collect();
            all.sort();
            all.dedup();
            all
        };
        let (methods, encoders) = (sorted(|l| &l.method), sorted(|l| &l.encoder));
        Self { methods, encoders, ascii: canvas.ascii, series: canvas.theme.series }
    }

    fn method(&self, line: &Line) -> usize {
        self.methods.iter().position(|m| *m == line.method).unwrap_or(0)
    }

    fn encoder(&self, line: &Line) -> usize {
        self.encoders.iter().position(|e| *e == line.encoder).unwrap_or(0) % DASHES.len()
    }

    fn style(&self, line: &Line) -> Style {
        Style::new().fg(self.series[self.method(line) % self.series.len()])
    }

    fn sign(&self, line: &Line) -> char {
        SIGNS[self.method(line) % SIGNS.len()][usize::from(self.ascii)]
    }

    fn sample(&self, line: &Line) -> &'static str {
        SAMPLES[self.encoder(line)][usize::from(self.ascii)]
    }
}

/// From values to the places of dots.
struct Scale {
    x: [f64; 2],
    y: [f64; 2],
    log: [bool; 2],
}

impl Scale {
    fn new(plot: &Plot, log: bool) -> Self {
        let loss = plot.title.contains("loss");
        let points = || plot.lines.iter().flat_map(|l| &l.points);
        // A loss falls by powers of ten; sizes and epochs grow by them.
        let log = [log && !loss, log && loss && points().all(|p| p.1 > 0.0)];
        let mut scale = Self { x: [f64::MAX, f64::MIN], y: [f64::MAX, f64::MIN], log };
        let grow = |range: &mut [f64; 2], v: f64| *range = [range[0].min(v), range[1].max(v)];
        for point in points() {
            let (x, y) = scale.place(*point);
            grow(&mut scale.x, x);
            grow(&mut scale.y, y);
        }
        if !log[0] {
            scale.x[0] = 0.0;
        }
        if plot.title.contains("pairs") {
            scale.y[0] = 0.0;
        }
        for range in [&mut scale.x, &mut scale.y] {
            if range[1] - range[0] < 1e-9 {
                *range = [range[0] - 0.5, range[1] + 0.5];
            }
        }
        scale
    }

    fn place(&self, (x, y): (f64, f64)) -> (f64, f64) {
        // Epochs begin at 0.
        let x = if self.log[0] { (x + 1.0).log10() } else { x };
        (x, if self.log[1] { y.log10() } else { y })
    }

    fn ends(&self, axis: usize, places: usize) -> [String; 2] {
        let range = if axis == 0 { self.x } else { self.y };
        range.map(|v| match (self.log[axis], axis) {
            (false, _) => format!("{v:.places$}"),
            (true, 0) => format!("{:.places$}", 10f64.powf(v) - 1.0),
            (true, _) => format!("{:.places$}", 10f64.powf(v)),
        })
    }
}

/// Draws what the runs pane plots.
pub fn draw(canvas: &mut Canvas, area: Rect, state: &State) {
    let theme = *canvas.theme;
    let Some(plot) = state.plot() else {
        let (title, words) = if state.reading.by_pairs {
            ("R-mean by number of pairs", "judge sets of different sizes and compare them here: `:sweep 25 50 100`")
        } else {
            ("Training", "curves grow here while a run trains, and stay with the line that they belong to")
        };
        canvas.title(area, title, "");
        let room = Rect { y: area.y + 2, height: area.height.saturating_sub(2), ..area };
        canvas.paragraph(room, words, theme.dim);
        return;
    };
    let scale = if state.reading.log { "log · " } else { "" };
    let front = if plot.front.is_empty() { "" } else { "the front is plain · " };
    canvas.title(area, plot.title, format!("{scale}{front}{}", plot.of).trim_end_matches(" · "));
    let keys = Keys::new(canvas, &plot);
    let at = state.reading.at.and_then(|at| plot.places().get(at).copied());
    let room = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    let lines = legend(canvas, Rect { height: LEGEND.min(room.height / 3), ..room }, &plot, &keys, at);
    let (_, chart_area) = rows(room, lines);
    chart(canvas, chart_area, &plot, &keys, (state.reading.log, at));
}

/// What is what, and the values at the cursor; returns its lines.
fn legend(canvas: &mut Canvas, area: Rect, plot: &Plot, keys: &Keys, at: Option<f64>) -> u16 {
    let (mut x, mut y) = (area.x, area.y);
    let mut named: Vec<(&str, &str)> = Vec::new();
    if let Some(at) = at {
        let what = if plot.title.contains("pairs") { "pairs" } else { "epoch" };
        x += canvas.put(x, y, area.width, &format!("{what} {at:.0}"), canvas.theme.strong) + 2;
    }
    for line in &plot.lines {
        if named.contains(&(&line.method, &line.encoder)) {
            continue;
        }
        named.push((&line.method, &line.encoder));
        let values: Vec<f64> = plot
            .lines
            .iter()
            .filter(|l| (&l.method, &l.encoder) == (&line.method, &line.encoder))
            .filter_map(|l| match at {
                Some(at) => l.points.iter().find(|p| p.0 == at).map(|p| p.1),
                None => l.points.last().map(|p| p.1).filter(|_| !plot.title.contains("pairs")),
            })
            .collect();
        let value = match values.len() {
            0 => String::new(),
            n => format!(" {:.2}", values.iter().sum::<f64>() / n as f64),
        };
        let words = format!("{} {} {} {}{value}", keys.sample(line), keys.sign(line), line.method, line.encoder);
        let width = text::columns(&words) as u16;
        if x + width > area.right() && x > area.x {
            (x, y) = (area.x, y + 1);
        }
        if y < area.bottom() {
            x += canvas.put(x, y, area.right().saturating_sub(x), &words, keys.style(line)) + 2;
        }
    }
    (y + 1).min(area.bottom()).saturating_sub(area.y)
}

fn chart(canvas: &mut Canvas, area: Rect, plot: &Plot, keys: &Keys, (log, at): (bool, Option<f64>)) {
    if area.height < 3 || area.width < 12 {
        return;
    }
    let (scale, theme) = (Scale::new(plot, log), *canvas.theme);
    let dots = (f64::from(area.width) * 2.0, f64::from(area.height) * 4.0);
    let fine = if canvas.ascii { Marker::Custom('.') } else { Marker::Braille };
    let mut sets: Vec<(Points, Marker, Style)> = Vec::new();
    for line in &plot.front {
        // Up only where a larger set is better.
        let mut steps: Vec<(f64, f64)> = Vec::new();
        for &(x, y) in &line.points {
            steps.extend(steps.last().map(|last| (x, last.1)));
            steps.push((x, y));
        }
        sets.push((dashed(&steps, &scale, dots, DASHES[keys.encoder(line)]), fine, theme.text));
    }
    for line in &plot.lines {
        sets.push((dashed(&line.points, &scale, dots, DASHES[keys.encoder(line)]), fine, keys.style(line)));
    }
    // Signs at the points of a few, at the end of a long line.
    for line in &plot.lines {
        let from = if plot.front.is_empty() { line.points.len().saturating_sub(1) } else { 0 };
        let ends: Vec<_> = line.points[from..].iter().map(|p| scale.place(*p)).collect();
        sets.push((ends, Marker::Custom(keys.sign(line)), keys.style(line)));
    }
    if let Some(at) = at {
        let x = scale.place((at, 1.0)).0;
        let height = f64::from(area.height);
        let rule = (0..area.height).map(|i| (x, scale.y[0] + (scale.y[1] - scale.y[0]) * f64::from(i) / height));
        sets.push((rule.collect(), Marker::Custom(if canvas.ascii { '|' } else { '┊' }), theme.dim));
    }
    let chart = sets.iter().map(|(points, marker, style)| {
        Dataset::default().marker(*marker).graph_type(GraphType::Scatter).style(*style).data(points)
    });
    let axis =
        |axis: usize, bounds, places| Axis::default().bounds(bounds).labels(scale.ends(axis, places)).style(theme.dim);
    let chart = Chart::new(chart.collect()).x_axis(axis(0, scale.x, 0)).y_axis(axis(1, scale.y, 2));
    chart.render(area, canvas.buf);
}

/// Dots along a line, with gaps.
fn dashed(points: &[(f64, f64)], scale: &Scale, (wide, high): (f64, f64), pattern: &[usize]) -> Vec<(f64, f64)> {
    let placed: Vec<(f64, f64)> = points.iter().map(|p| scale.place(*p)).collect();
    let (dx, dy) = (wide / (scale.x[1] - scale.x[0]), high / (scale.y[1] - scale.y[0]));
    let period: usize = pattern.iter().sum();
    let on = |dot: usize| {
        let mut left = dot % period.max(1);
        pattern
            .iter()
            .position(|&n| {
                if left < n {
                    true
                } else {
                    left -= n;
                    false
                }
            })
            .is_none_or(|i| i % 2 == 0)
    };
    let (mut out, mut dot) = (Vec::new(), 0);
    for pair in placed.windows(2) {
        let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
        let steps = ((x1 - x0).abs() * dx).max((y1 - y0).abs() * dy).ceil().clamp(1.0, 4096.0) as usize;
        for i in 0..steps {
            let share = i as f64 / steps as f64;
            if on(dot) {
                out.push((x0 + (x1 - x0) * share, y0 + (y1 - y0) * share));
            }
            dot += 1;
        }
    }
    out.extend(placed.last());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(method: &str, points: &[(f64, f64)]) -> Line {
        Line { method: method.into(), encoder: "vit".into(), points: points.to_vec() }
    }

    #[test]
    fn a_dashed_line_has_gaps_and_its_ends() {
        let plot = Plot { lines: vec![line("a", &[(0.0, 0.0), (10.0, 0.0)])], ..Plot::default() };
        let scale = Scale::new(&plot, false);
        let whole = dashed(&plot.lines[0].points, &scale, (80.0, 40.0), DASHES[0]);
        let gaps = dashed(&plot.lines[0].points, &scale, (80.0, 40.0), DASHES[1]);
        assert_eq!((whole.len(), gaps.len()), (81, 51));
        assert_eq!((gaps[0], gaps[50]), ((0.0, 0.0), (10.0, 0.0)));
    }

    #[test]
    fn a_logarithmic_scale_is_of_the_loss_or_of_the_sizes_and_says_plain_numbers() {
        let loss = Plot {
            title: "Training loss by epoch",
            lines: vec![line("a", &[(0.0, 0.01), (9.0, 1.0)])],
            ..Plot::default()
        };
        let scale = Scale::new(&loss, true);
        assert_eq!(
            (scale.log, scale.y, scale.ends(1, 2)),
            ([false, true], [-2.0, 0.0], ["0.01".into(), "1.00".into()])
        );
        let sizes = Plot {
            title: "R-mean by number of pairs",
            lines: vec![line("a", &[(24.0, 5.0), (99.0, 9.0)])],
            ..Plot::default()
        };
        assert_eq!(Scale::new(&sizes, true).ends(0, 0), ["24", "99"]);
        let zero = Plot {
            title: "Training loss by epoch",
            lines: vec![line("a", &[(0.0, 0.0), (9.0, 1.0)])],
            ..Plot::default()
        };
        assert_eq!(Scale::new(&zero, true).log, [false, false], "what has no logarithm is shown as it is");
    }
}
