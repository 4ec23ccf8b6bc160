//! What lies over a pane: help, palette, the question before leaving. Printed from the table of commands.

use super::{
    canvas::{Canvas, rows},
    view::FOOT,
};
use crate::app::{self, Command, Field, Modal, State, completions, matching};
use ratatui::layout::Rect;

/// Draws what is on top, if anything is.
pub fn draw(canvas: &mut Canvas, area: Rect, state: &State) {
    match &state.modal {
        Some(Modal::Help(scroll)) => help(canvas, area, state, *scroll),
        Some(Modal::Palette(query, at)) => palette(canvas, area, state, query, *at),
        Some(Modal::Quit) => quit(canvas, area, state),
        Some(Modal::Line(field)) => line(canvas, area, state, field),
        Some(Modal::Ask(..)) | None => {}
    }
}

fn centred(area: Rect, width: u16, height: u16) -> Rect {
    let (width, height) = (width.min(area.width.saturating_sub(4)), height.min(area.height.saturating_sub(2)));
    Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height }
}

fn keys(state: &State, command: &Command) -> String {
    state.keys.of(command).iter().map(ToString::to_string).collect::<Vec<_>>().join("  ")
}

fn help(canvas: &mut Canvas, area: Rect, state: &State, scroll: usize) {
    let theme = *canvas.theme;
    let lines = app::help(state.pane);
    let inner = canvas.dialog(centred(area, 84, lines.len() as u16 + 2), "keys");
    let room = usize::from(inner.height);
    let top = scroll.min(lines.len().saturating_sub(room));
    for (y, (words, command)) in (inner.y..inner.bottom()).zip(lines.iter().skip(top)) {
        match command {
            None => drop(canvas.put(inner.x, y, inner.width, words, theme.strong)),
            Some(c) => {
                canvas.put(inner.x + 1, y, 14, &keys(state, c), theme.accent);
                canvas.put(inner.x + 16, y, inner.width.saturating_sub(16), c.title, theme.text);
            }
        }
    }
    if lines.len() > room {
        let words = format!(" {} of {}  j/k scroll, Esc leaves ", (top + room).min(lines.len()), lines.len());
        canvas.right(inner.x, inner.bottom(), inner.width, &words, theme.dim);
    }
}

fn palette(canvas: &mut Canvas, area: Rect, state: &State, query: &Field, at: usize) {
    let theme = *canvas.theme;
    let found = matching(state.pane, query.text());
    let inner = canvas.dialog(centred(area, 70, 18), "commands");
    let used = canvas.put(inner.x, inner.y, inner.width, "› ", theme.accent);
    let used = used + canvas.put(inner.x + used, inner.y, inner.width - used, query.text(), theme.text);
    canvas.put(inner.x + used, inner.y, 1, if canvas.ascii { "_" } else { "▏" }, theme.accent);
    canvas.rule(inner.x, inner.y + 1, inner.width);
    let room = usize::from(inner.height.saturating_sub(2));
    let top = crate::app::Cursor(at).top(found.len(), room);
    for (i, (y, command)) in (inner.y + 2..inner.bottom()).zip(found.iter().skip(top)).enumerate() {
        canvas.put(inner.x, y, inner.width - 12, command.title, theme.text);
        canvas.right(inner.x, y, inner.width, &keys(state, command), theme.dim);
        if top + i == at {
            canvas.shade(inner.x, y, inner.width, theme.selected);
        }
    }
    // The name by which its keys are bound.
    if let Some(command) = found.get(at) {
        canvas.right(inner.x, inner.bottom(), inner.width, &format!(" {} ", command.id), theme.dim);
    }
    if found.is_empty() {
        canvas.put(inner.x, inner.y + 2, inner.width, "no command has these words", theme.dim);
    }
}

/// What the command line may become, above it.
fn line(canvas: &mut Canvas, area: Rect, state: &State, field: &Field) {
    let theme = *canvas.theme;
    let (settings, commands) = completions(state.pane, field.text());
    let settings = settings.iter().map(|s| (format!("{} {}", s.name, s.value), s.title));
    let lines: Vec<_> = settings.chain(commands.iter().map(|c| (c.id.to_owned(), c.title))).collect();
    // The line that is typed stands in the foot.
    let (area, _) = rows(area, area.height.saturating_sub(FOOT));
    let height = (lines.len().max(1) as u16 + 2).min(area.height).min(14);
    let at = Rect { y: area.bottom() - height, height, width: area.width.min(84), ..area };
    let inner = canvas.dialog(at, "command line");
    for (y, (name, title)) in (inner.y..inner.bottom()).zip(&lines) {
        canvas.put(inner.x, y, 23, name, theme.accent);
        canvas.put(inner.x + 24, y, inner.width.saturating_sub(24), title, theme.text);
    }
    if lines.is_empty() {
        canvas.put(inner.x, inner.y, inner.width, "nothing begins so", theme.dim);
    }
    let over = lines.len().saturating_sub(usize::from(inner.height));
    if over > 0 {
        canvas.right(inner.x, inner.bottom(), inner.width, &format!(" {over} more "), theme.dim);
    }
}

fn quit(canvas: &mut Canvas, area: Rect, state: &State) {
    let theme = *canvas.theme;
    let alive: Vec<_> = state.jobs.iter().filter(|j| j.is_alive()).collect();
    let inner = canvas.dialog(centred(area, 56, 6), "quit");
    let words = match alive.as_slice() {
        [job] => format!("Still at work: {}.", job.title()),
        jobs => format!("{} jobs are still at work.", jobs.len()),
    };
    canvas.put(inner.x, inner.y, inner.width, &words, theme.text);
    canvas.put(inner.x, inner.y + 1, inner.width, "Decisions and finished pictures are kept.", theme.dim);
    let keys = [("y", theme.accent), (" stop and quit   ", theme.dim), ("n", theme.accent), (" stay", theme.dim)];
    canvas.pieces(inner.x, inner.y + 3, inner.width, &keys);
}
