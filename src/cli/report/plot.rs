//! Charts as SVG inside the page: lines with deviations, and bars. Colours are the page's own, so that they follow dark and
//! light; numbers stand beside them in tables.

use super::html::escaped;
use std::fmt::Write;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 300.0;
/// Left, right, top, bottom.
const MARGIN: (f64, f64, f64, f64) = (48.0, 16.0, 12.0, 40.0);

/// A point of a curve: x, mean, deviation.
pub type Point = (f64, f64, f64);

/// A curve: its name, and its points by rising x.
pub struct Line {
    pub name: String,
    pub points: Vec<Point>,
}

/// From data to the place in the drawing.
struct Scale {
    x: (f64, f64),
    y: (f64, f64),
}

impl Scale {
    fn x(&self, v: f64) -> f64 {
        let (from, to) = (MARGIN.0, WIDTH - MARGIN.1);
        let share = if self.x.1 > self.x.0 { (v - self.x.0) / (self.x.1 - self.x.0) } else { 0.5 };
        from + share * (to - from)
    }

    fn y(&self, v: f64) -> f64 {
        let (from, to) = (HEIGHT - MARGIN.3, MARGIN.2);
        from + (v - self.y.0) / (self.y.1 - self.y.0) * (to - from)
    }
}

fn open(id: &str, title: &str) -> String {
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-labelledby=\"{id}\"><title id=\"{id}\">{}</title>",
        escaped(title)
    )
}

/// Curves in percent over a number of pairs, in logarithmic steps where it spans more than a factor of four.
pub fn lines(id: &str, title: &str, lines: &[Line]) -> String {
    let xs = || lines.iter().flat_map(|l| l.points.iter().map(|p| p.0));
    let (low, high) = xs().fold((f64::MAX, f64::MIN), |(a, b), x| (a.min(x), b.max(x)));
    let place = |x: f64| if high > 4.0 * low { x.max(1.0).ln() } else { x };
    let top = lines.iter().flat_map(|l| l.points.iter().map(|p| p.1 + p.2)).fold(10.0, f64::max);
    let scale = Scale { x: (place(low), place(high)), y: (0.0, (top / 10.0).ceil() * 10.0) };
    let mut svg = open(id, title);
    grid(&mut svg, &scale);
    let mut ticks: Vec<f64> = xs().collect();
    ticks.sort_by(f64::total_cmp);
    ticks.dedup();
    for x in ticks {
        let (at, y) = (scale.x(place(x)), HEIGHT - MARGIN.3 + 18.0);
        let _ = write!(svg, "<text x=\"{at:.1}\" y=\"{y}\" text-anchor=\"middle\">{x}</text>");
    }
    let _ = write!(svg, "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">pairs</text>", WIDTH - MARGIN.1, HEIGHT - 4.0);
    for (i, line) in lines.iter().enumerate() {
        let at = |p: &Point| (scale.x(place(p.0)), scale.y(p.1));
        let path: Vec<String> = line.points.iter().map(at).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = write!(svg, "<g class=\"c{}\"><polyline points=\"{}\"/>", i % 6, path.join(" "));
        for point in &line.points {
            let ((x, y), said) =
                (at(point), format!("{}, {} pairs: {:.1} ± {:.1}", line.name, point.0, point.1, point.2));
            let (low, high) = (scale.y((point.1 - point.2).max(0.0)), scale.y(point.1 + point.2));
            let _ = write!(
                svg,
                "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{low:.1}\" y2=\"{high:.1}\"/><circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"><title>{}</title></circle>",
                escaped(&said)
            );
        }
        svg.push_str("</g>");
    }
    svg.push_str("</svg>");
    svg + &legend(lines)
}

/// Names of curves with their colours.
fn legend(lines: &[Line]) -> String {
    let item = |(i, line): (usize, &Line)| format!("<li class=\"c{}\">{}</li>", i % 6, escaped(&line.name));
    format!("<ul class=\"legend\">{}</ul>", lines.iter().enumerate().map(item).collect::<String>())
}

/// Lines across at a quarter of the height each, with their values.
fn grid(svg: &mut String, scale: &Scale) {
    for i in 0..=4 {
        let value = scale.y.1 * f64::from(i) / 4.0;
        let (y, left, right) = (scale.y(value), MARGIN.0, WIDTH - MARGIN.1);
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{left}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            left - 8.0,
            y + 4.0,
            (value * 10.0).round() / 10.0
        );
    }
}

/// A histogram between two ends.
pub fn bars(id: &str, title: &str, (from, to): (f64, f64), counts: &[usize]) -> String {
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    let scale = Scale { x: (0.0, counts.len() as f64), y: (0.0, most as f64) };
    let mut svg = open(id, title);
    grid(&mut svg, &scale);
    let step = (to - from) / counts.len() as f64;
    for (i, &count) in counts.iter().enumerate() {
        let (x, next, y) = (scale.x(i as f64), scale.x(i as f64 + 1.0), scale.y(count as f64));
        let start = from + step * i as f64;
        let _ = write!(
            svg,
            "<rect class=\"c0\" x=\"{:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\"><title>{start:.3} to {:.3}: {count}</title></rect>",
            x + 1.0,
            next - x - 2.0,
            HEIGHT - MARGIN.3 - y,
            start + step
        );
    }
    let y = HEIGHT - MARGIN.3 + 18.0;
    let _ = write!(
        svg,
        "<text x=\"{}\" y=\"{y}\">{from:.3}</text><text x=\"{}\" y=\"{y}\" text-anchor=\"end\">{to:.3}</text></svg>",
        MARGIN.0,
        WIDTH - MARGIN.1
    );
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_of_a_curve_is_drawn_within_the_frame_and_named() {
        let points = vec![(25.0, 40.0, 2.0), (100.0, 60.0, 1.0), (200.0, 64.0, 0.0)];
        let svg = lines("a", "R-mean <vit>", &[Line { name: "need".into(), points }]);
        assert!(svg.contains("<title id=\"a\">R-mean &lt;vit&gt;</title>"));
        assert!(svg.contains("need, 100 pairs: 60.0 ± 1.0"));
        let coordinates = svg.split("cx=\"").skip(1).filter_map(|s| s.split('"').next()?.parse::<f64>().ok());
        let coordinates: Vec<f64> = coordinates.collect();
        assert_eq!(coordinates.len(), 3);
        assert!(coordinates.is_sorted() && coordinates.iter().all(|x| (MARGIN.0..=WIDTH - MARGIN.1).contains(x)));
    }

    #[test]
    fn one_point_alone_is_drawn_too() {
        let svg = lines("a", "b", &[Line { name: "n".into(), points: vec![(8.0, 0.0, 0.0)] }]);
        assert!(svg.contains("<circle") && !svg.contains("NaN") && !svg.contains("inf"));
    }
}
