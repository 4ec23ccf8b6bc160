//! A plot of points in braille: eight dots a cell, one colour a cell.

use super::canvas::Canvas;
use crate::app::{Action, Cloud, Measured, State, keeps};
use ratatui::{layout::Rect, style::Style};

/// Bits of a braille cell, by column and line (Unicode 2800).
const BITS: [[u8; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];
/// Points drawn at most, evenly chosen from more: a frame must not wait for a million.
const MOST: usize = 60_000;

#[derive(Clone, Copy, Default)]
struct Cell {
    bits: u8,
    /// Images, captions that stay, captions that are pruned.
    of: [u32; 3],
    /// A pair whose point is here.
    row: Option<u32>,
}

struct Grid {
    area: Rect,
    cells: Vec<Cell>,
    /// Lowest corner and size of what is shown.
    from: [f32; 2],
    size: [f32; 2],
}

impl Grid {
    fn new(area: Rect, cloud: &Cloud) -> Self {
        let (mut low, mut high) = ([f32::MAX; 2], [f32::MIN; 2]);
        for point in cloud.image.iter().chain(&cloud.text) {
            for k in 0..2 {
                (low[k], high[k]) = (low[k].min(point[k]), high[k].max(point[k]));
            }
        }
        let size = [0, 1].map(|k| (high[k] - low[k]).max(f32::MIN_POSITIVE));
        Self { area, cells: vec![Cell::default(); usize::from(area.width) * usize::from(area.height)], from: low, size }
    }

    /// The dot of a point: columns and lines of dots from the left upper corner.
    fn dot(&self, point: [f32; 2]) -> (usize, usize) {
        let (width, height) = (usize::from(self.area.width) * 2, usize::from(self.area.height) * 4);
        let share = [0, 1].map(|k| ((point[k] - self.from[k]) / self.size[k]).clamp(0.0, 1.0));
        let x = (share[0] * (width - 1) as f32).round() as usize;
        (x, height - 1 - (share[1] * (height - 1) as f32).round() as usize)
    }

    fn put(&mut self, (x, y): (usize, usize)) -> &mut Cell {
        let cell = &mut self.cells[y / 4 * usize::from(self.area.width) + x / 2];
        cell.bits |= BITS[x % 2][y % 4];
        cell
    }

    fn add(&mut self, point: [f32; 2], kind: usize, row: Option<u32>) {
        let cell = self.put(self.dot(point));
        cell.of[kind] += 1;
        cell.row = row.or(cell.row);
    }
}

/// Images, captions that stay and captions that are pruned, the selected pair linked; a click selects the pair under it.
pub fn draw(canvas: &mut Canvas, area: Rect, state: &State, measured: &Measured, cloud: &Cloud) {
    if area.width < 8 || area.height < 3 || cloud.image.is_empty() {
        return;
    }
    let theme = *canvas.theme;
    let mut grid = Grid::new(area, cloud);
    let stride = |n: usize| n.div_ceil(MOST / 2).max(1);
    for point in cloud.image.iter().step_by(stride(cloud.image.len())) {
        grid.add(*point, 0, None);
    }
    for (row, point) in cloud.text.iter().enumerate().step_by(stride(cloud.text.len())) {
        let row = row as u32;
        grid.add(*point, if keeps(measured, &state.draft, row) { 1 } else { 2 }, Some(row));
    }
    let styles = [theme.accent, Style::new().fg(theme.series[3]), theme.warn];
    for (i, cell) in grid.cells.iter().enumerate().filter(|(_, c)| c.bits != 0) {
        let (x, y) = (area.x + (i % usize::from(area.width)) as u16, area.y + (i / usize::from(area.width)) as u16);
        let most = (0..3).max_by_key(|&k| cell.of[k]).unwrap_or(0);
        canvas.put(x, y, 1, &sign(canvas.ascii, cell.bits, most), styles[most]);
        if let Some(row) = cell.row {
            canvas.touch(Rect { x, y, width: 1, height: 1 }, Action::PickRow(row));
        }
    }
    if let Some(row) = state.selected_row() {
        link(canvas, &grid, state, cloud, row as usize);
    }
}

/// Signs of images, captions and pruned captions.
fn signs(ascii: bool) -> [&'static str; 3] {
    if ascii { [".", ",", "x"] } else { ["◦", "⠶", "×"] }
}

/// What the signs mean, as long as there is room.
pub fn legend(ascii: bool, width: u16) -> String {
    let [image, caption, pruned] = signs(ascii);
    if width < 56 { String::new() } else { format!("{image} image {caption} caption {pruned} pruned") }
}

fn sign(ascii: bool, bits: u8, kind: usize) -> String {
    match (ascii, kind) {
        (false, 1) => char::from_u32(0x2800 + u32::from(bits)).unwrap_or('·').into(),
        _ => signs(ascii)[kind].into(),
    }
}

/// The selected pair: its image, its caption, and dots between them.
fn link(canvas: &mut Canvas, grid: &Grid, state: &State, cloud: &Cloud, row: usize) {
    let image = state.rows.image_of.get(row).and_then(|&i| cloud.image.get(i as usize));
    let (Some(&image), Some(&text)) = (image, cloud.text.get(row)) else { return };
    let ((x0, y0), (x1, y1)) = (grid.dot(image), grid.dot(text));
    let cell = |x: usize, y: usize| (grid.area.x + (x / 2) as u16, grid.area.y + (y / 4) as u16);
    let steps = x0.abs_diff(x1).max(y0.abs_diff(y1)).max(1);
    let between = |a: usize, b: usize, i: usize| (a * (steps - i) + b * i) / steps;
    let style = canvas.theme.strong;
    for i in 0..=steps {
        let (x, y) = cell(between(x0, x1, i), between(y0, y1, i));
        canvas.put(x, y, 1, if canvas.ascii { "+" } else { "∙" }, style);
    }
    let ends = [(image, if canvas.ascii { "I" } else { "◆" }), (text, if canvas.ascii { "T" } else { "◇" })];
    for (point, word) in ends {
        let (x, y) = grid.dot(point);
        let (x, y) = cell(x, y);
        canvas.put(x, y, 1, word, style);
    }
}
