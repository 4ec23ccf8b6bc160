//! The nearest real pairs of a prototype: why it looks as it does.

use crate::{
    app::{Proto, State},
    ui::canvas::Canvas,
};
use ratatui::layout::Rect;

/// Draws pictures side by side with their cosine, and under them the captions of the first ones.
pub fn draw(canvas: &mut Canvas, area: Rect, state: &State, proto: &Proto) {
    let theme = *canvas.theme;
    canvas.title(area, "Nearest real pairs", &format!("mean of {}", proto.support));
    // Smaller than three lines nothing is to be seen.
    let height =
        Some((area.height.saturating_sub(1) * 3 / 5).min(area.width / 6).min(9)).filter(|h| *h > 2).unwrap_or(0);
    let (width, gap) = (height * 2, 2);
    let fits = if height == 0 { 0 } else { usize::from((area.width + gap) / (width + gap).max(1)).min(6) };
    for (near, i) in proto.nearest.iter().take(fits).zip(0u16..) {
        let image = state.rows.image_of.get(near.row as usize);
        let picture = image.and_then(|i| state.real.get(i)).and_then(|p| p.as_ref().ok());
        let at = Rect { x: area.x + i * (width + gap), y: area.y + 1, width, height };
        canvas.picture(at, picture);
    }
    for (near, y) in proto.nearest.iter().zip(area.y + 1 + height..area.bottom()) {
        canvas.put(area.x, y, 6, &format!("{:.3}", near.cosine), theme.dim);
        let caption = state.rows.captions.get(near.row as usize).map_or("", String::as_str);
        canvas.put(area.x + 7, y, area.width.saturating_sub(7), caption, theme.text);
    }
}
