//! The twelve shapes, each in a box from -1 to 1 both ways.

use tiny_skia::{FillRule, LineJoin, Paint, Path, PathBuilder, Pixmap, Rect, Stroke, Transform};

/// Red, green, blue.
pub(super) type Rgb = (u8, u8, u8);

const BARK: Rgb = (104, 66, 36);
const TYRE: Rgb = (34, 34, 38);
const GLASS: Rgb = (196, 228, 244);

/// Draws on a picture in coordinates whose unit is `radius` pixels.
pub(super) struct Pen<'a> {
    picture: &'a mut Pixmap,
    place: Transform,
    radius: f32,
}

impl<'a> Pen<'a> {
    /// A pen whose origin lies at `centre` and whose unit is `radius`, both in pixels.
    pub(super) fn new(picture: &'a mut Pixmap, centre: (f32, f32), radius: f32) -> Self {
        let place = Transform::from_row(radius, 0.0, 0.0, radius, centre.0, centre.1);
        Self { picture, place, radius }
    }

    /// Fills a path (even-odd, so that a path within a path is a hole).
    pub(super) fn fill(&mut self, path: Option<Path>, colour: Rgb) {
        if let Some(path) = path {
            self.picture.fill_path(&path, &paint(colour), FillRule::EvenOdd, self.place, None);
        }
    }

    /// Draws along a path, `width` pixels wide.
    pub(super) fn line(&mut self, path: Option<Path>, colour: Rgb, width: f32) {
        let stroke = Stroke { width: width / self.radius, line_join: LineJoin::Round, ..Stroke::default() };
        if let Some(path) = path {
            self.picture.stroke_path(&path, &paint(colour), &stroke, self.place, None);
        }
    }

    fn outlined(&mut self, path: Option<Path>, inside: Rgb, edge: Rgb) {
        self.fill(path.clone(), inside);
        // Thinner on small things, where it would eat the colour.
        let width = if self.radius < 8.0 { 0.9 } else { 1.2 };
        self.line(path, edge, width);
    }

    /// Draws the shape of index `shape` (see [`SHAPES`](super::SHAPES)) in `colour` with a thin outline of `edge`.
    pub(super) fn shape(&mut self, shape: usize, colour: Rgb, edge: Rgb) {
        match shape {
            0 => self.outlined(circle(0.0, 0.0, 0.94), colour, edge),
            1 => self.outlined(polygon(&[(-0.88, -0.88), (0.88, -0.88), (0.88, 0.88), (-0.88, 0.88)]), colour, edge),
            2 => self.outlined(polygon(&[(0.0, -0.95), (0.98, 0.88), (-0.98, 0.88)]), colour, edge),
            3 => self.outlined(polygon(&STAR), colour, edge),
            4 => self.outlined(heart(), colour, edge),
            5 => self.tree(colour, edge),
            6 => self.house(colour, edge),
            7 => self.boat(colour, edge),
            8 => self.outlined(ring(), colour, edge),
            9 => self.outlined(polygon(&CROSS), colour, edge),
            10 => self.outlined(crescent(), colour, edge),
            _ => self.car(colour, edge),
        }
    }

    fn tree(&mut self, colour: Rgb, edge: Rgb) {
        self.outlined(rect(-0.17, 0.2, 0.17, 0.97), BARK, edge);
        self.outlined(crown(), colour, edge);
    }

    fn house(&mut self, colour: Rgb, edge: Rgb) {
        self.outlined(rect(-0.72, -0.1, 0.72, 0.92), colour, edge);
        self.outlined(polygon(&[(0.0, -0.98), (1.0, -0.06), (-1.0, -0.06)]), mix(colour, edge, 0.4), edge);
        self.fill(rect(-0.2, 0.3, 0.2, 0.92), edge);
    }

    fn boat(&mut self, colour: Rgb, edge: Rgb) {
        self.line(line_through(&[(0.0, -0.95), (0.0, 0.4)]), edge, 1.4);
        self.outlined(polygon(&[(0.1, -0.92), (0.82, 0.16), (0.1, 0.16)]), mix(colour, (255, 255, 255), 0.45), edge);
        self.outlined(polygon(&[(-0.1, -0.6), (-0.1, 0.16), (-0.62, 0.16)]), mix(colour, (255, 255, 255), 0.45), edge);
        self.outlined(polygon(&[(-1.0, 0.34), (1.0, 0.34), (0.6, 0.94), (-0.6, 0.94)]), colour, edge);
    }

    fn car(&mut self, colour: Rgb, edge: Rgb) {
        self.outlined(polygon(&[(-0.6, 0.0), (-0.34, -0.62), (0.36, -0.62), (0.64, 0.0)]), GLASS, edge);
        self.line(line_through(&[(0.0, -0.62), (0.0, 0.0)]), edge, 1.2);
        self.outlined(polygon(&[(-1.0, -0.06), (0.8, -0.06), (1.0, 0.14), (1.0, 0.66), (-1.0, 0.66)]), colour, edge);
        for x in [-0.52, 0.52] {
            self.outlined(circle(x, 0.68, 0.25), TYRE, (128, 128, 132));
        }
    }
}

/// `share` of `to` in `from`.
pub(super) fn mix(from: Rgb, to: Rgb, share: f32) -> Rgb {
    let channel = |a: u8, b: u8| (f32::from(a) + (f32::from(b) - f32::from(a)) * share).round() as u8;
    (channel(from.0, to.0), channel(from.1, to.1), channel(from.2, to.2))
}

/// A closed polygon through `points`.
pub(super) fn polygon(points: &[(f32, f32)]) -> Option<Path> {
    let mut path = through(points);
    path.close();
    path.finish()
}

/// An open line through `points`.
pub(super) fn line_through(points: &[(f32, f32)]) -> Option<Path> {
    through(points).finish()
}

fn through(points: &[(f32, f32)]) -> PathBuilder {
    let mut path = PathBuilder::new();
    for (index, &(x, y)) in points.iter().enumerate() {
        if index == 0 { path.move_to(x, y) } else { path.line_to(x, y) }
    }
    path
}

/// A circle.
pub(super) fn circle(x: f32, y: f32, radius: f32) -> Option<Path> {
    PathBuilder::from_circle(x, y, radius)
}

/// A rectangle by its left, top, right and bottom.
pub(super) fn rect(left: f32, top: f32, right: f32, bottom: f32) -> Option<Path> {
    Rect::from_ltrb(left, top, right, bottom).map(PathBuilder::from_rect)
}

fn paint(colour: Rgb) -> Paint<'static> {
    let mut paint = Paint { anti_alias: true, ..Paint::default() };
    paint.set_color_rgba8(colour.0, colour.1, colour.2, 255);
    paint
}

/// Ten corners, outer and inner in turn; written out since `sin` may differ between platforms.
const STAR: [(f32, f32); 10] = [
    (0.0, -1.0),
    (0.265, -0.314),
    (1.0, -0.274),
    (0.428, 0.19),
    (0.617, 0.9),
    (0.0, 0.5),
    (-0.617, 0.9),
    (-0.428, 0.19),
    (-1.0, -0.274),
    (-0.265, -0.314),
];

const CROSS: [(f32, f32); 12] = [
    (-0.3, -0.94),
    (0.3, -0.94),
    (0.3, -0.3),
    (0.94, -0.3),
    (0.94, 0.3),
    (0.3, 0.3),
    (0.3, 0.94),
    (-0.3, 0.94),
    (-0.3, 0.3),
    (-0.94, 0.3),
    (-0.94, -0.3),
    (-0.3, -0.3),
];

fn heart() -> Option<Path> {
    let mut path = PathBuilder::new();
    path.move_to(0.0, 0.95);
    path.cubic_to(-0.5, 0.5, -1.0, 0.15, -1.0, -0.35);
    path.cubic_to(-1.0, -1.05, -0.2, -1.1, 0.0, -0.4);
    path.cubic_to(0.2, -1.1, 1.0, -1.05, 1.0, -0.35);
    path.cubic_to(1.0, 0.15, 0.5, 0.5, 0.0, 0.95);
    path.close();
    path.finish()
}

/// Three lobes: what sets a tree's crown apart from a ball.
fn crown() -> Option<Path> {
    let mut path = PathBuilder::new();
    path.move_to(-0.45, 0.42);
    path.cubic_to(-1.1, 0.45, -1.1, -0.35, -0.55, -0.3);
    path.cubic_to(-0.7, -1.2, 0.7, -1.2, 0.55, -0.3);
    path.cubic_to(1.1, -0.35, 1.1, 0.45, 0.45, 0.42);
    path.close();
    path.finish()
}

fn ring() -> Option<Path> {
    let mut path = PathBuilder::new();
    path.push_circle(0.0, 0.0, 0.94);
    path.push_circle(0.0, 0.0, 0.48);
    path.finish()
}

fn crescent() -> Option<Path> {
    let mut path = PathBuilder::new();
    path.move_to(0.35, -0.95);
    path.cubic_to(-1.35, -0.95, -1.35, 0.95, 0.35, 0.95);
    path.cubic_to(-0.4, 0.55, -0.4, -0.55, 0.35, -0.95);
    path.close();
    path.finish()
}
