//! The queue: what runs, what waits, what is over.

use crate::{
    app::{Outcome, State, Status, Usage, duration},
    fsio::printable,
    ui::canvas::Canvas,
};
use ratatui::layout::Rect;

/// Draws the jobs, the one at work on top.
pub fn draw(canvas: &mut Canvas, area: Rect, state: &State) {
    let theme = *canvas.theme;
    canvas.title(area, "Jobs", &remark(state));
    let there = state.elsewhere.iter().flat_map(|there| &there.jobs);
    let mut y = area.y + 1;
    for (job, line) in there.zip(y..area.bottom()) {
        canvas.put(area.x, line, area.width.saturating_sub(14), &printable(job), theme.text);
        canvas.right(area.right().saturating_sub(13), line, 13, "elsewhere", theme.accent);
        y = line + 1;
    }
    let selected = state.selected_job();
    let alive = state.jobs.iter().filter(|j| j.is_alive());
    let over = state.jobs.iter().rev().filter(|j| !j.is_alive());
    for (y, job) in (y..area.bottom()).zip(alive.chain(over)) {
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
        let style_of_title = if job.is_alive() { theme.text } else { theme.dim };
        canvas.put(area.x, y, area.width.saturating_sub(14), &job.title(), style_of_title);
        canvas.right(area.right().saturating_sub(13), y, 13, &words, style);
        if selected == Some(job.id) {
            canvas.shade(area.x, y, area.width, theme.selected);
        }
    }
    if state.jobs.is_empty() {
        canvas.put(area.x, area.y + 2, area.width, "nothing was started yet", theme.dim);
    }
}

/// What the machine does, and when all of it is through, as far as that can be told.
fn remark(state: &State) -> String {
    let usage = state.usage.as_ref().map(usage);
    let eta = state.queue_eta().map(|left| format!("all in about {}", duration(left)));
    match (usage, eta) {
        (None, None) => "the next one on top".to_owned(),
        (usage, eta) => usage.into_iter().chain(eta).collect::<Vec<_>>().join(" · "),
    }
}

/// Processor, memory and GPU in a few words.
pub fn usage(usage: &Usage) -> String {
    let mut words = format!("CPU {:.0} % · {}", usage.cpu, bytes(usage.memory));
    if let Some((busy, held, all)) = usage.gpu {
        words.push_str(&format!(" · GPU {busy} %, {} of {}", bytes(held), bytes(all)));
    }
    words
}

fn bytes(n: u64) -> String {
    let mb = n as f64 / 1e6;
    if mb < 1000.0 { format!("{mb:.0} MB") } else { format!("{:.1} GB", mb / 1000.0) }
}
