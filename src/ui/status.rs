//! The two lines at the foot: what runs, or what was said, or the line being typed; and the keys of the pane.

use super::{canvas::Canvas, text};
use crate::{
    app::{
        Action, COMMANDS, Command, Drill, Elsewhere, Field, Job, Level, Modal, Pane, State, Status, Which, count,
        duration,
    },
    fsio::printable,
};
use ratatui::layout::Rect;

/// Lines of the foot: a rule, what is said or typed, the keys.
pub const FOOT: u16 = 3;

/// Lines that a notice takes at most.
const MOST_LINES: usize = 8;

/// Draws both lines; returns where the text cursor stands, if a line is being typed.
pub fn draw(canvas: &mut Canvas, area: Rect, state: &State) -> Option<(u16, u16)> {
    let (upper, lower) = super::canvas::rows(area, 1);
    if let Some(Modal::Ask(asks, field)) = &state.modal {
        footer(
            canvas,
            lower,
            &[("Enter", "accept"), ("Esc", "leave it"), ("Ctrl-W", "cut a word"), ("Ctrl-U", "cut to the start")]
                .map(|(key, words)| (key.to_owned(), words, None)),
        );
        return Some(typing(canvas, upper, &asks.title(), field));
    }
    if let Some(Modal::Line(field)) = &state.modal {
        let keys = [("Enter", "do it"), ("Tab", "complete"), ("Esc", "leave it"), ("Ctrl-P", "find by words")];
        footer(canvas, lower, &keys.map(|(key, words)| (key.to_owned(), words, None)));
        return Some(typing(canvas, upper, "", field));
    }
    let running = state.jobs.iter().rev().find(|j| j.status == Status::Running);
    let alive = state.jobs.iter().filter(|j| j.is_alive()).count();
    match (running.or(state.jobs.iter().find(|j| j.is_alive())), &state.notice) {
        (_, Some((level, words))) => notice(canvas, upper, *level, words),
        (Some(job), None) => progress(canvas, upper, job, alive - 1, state.now),
        (None, None) => match &state.elsewhere {
            Some(there) if !there.jobs.is_empty() => elsewhere(canvas, upper, there),
            _ => at_rest(canvas, upper, state),
        },
    }
    keys(canvas, lower, state);
    None
}

/// A hint, and how pictures are shown: with the reason where there is room for it.
fn at_rest(canvas: &mut Canvas, area: Rect, state: &State) {
    let used = canvas.put(area.x, area.y, area.width, &hint(state), canvas.theme.dim);
    let room = usize::from(area.width.saturating_sub(used + 3));
    let short = state.shown_as.split(':').next().unwrap_or("");
    if let Some(words) = [&*state.shown_as, short].into_iter().find(|w| text::columns(w) <= room) {
        canvas.right(area.x, area.y, area.width, words, canvas.theme.dim);
    }
}

fn notice(canvas: &mut Canvas, area: Rect, level: Level, words: &str) {
    let style = match level {
        Level::Info | Level::Notice => canvas.theme.text,
        Level::Warning => canvas.theme.warn,
        Level::Error => canvas.theme.bad,
    };
    // One line as a rule; what is longer grows upwards, so that the reason behind a long path is read.
    let lines = text::wrap(words, area.width.into(), MOST_LINES);
    let above = (lines.len() as u16).saturating_sub(1).min(area.y);
    if above > 0 {
        let width = canvas.buf.area.width;
        canvas.cover(Rect { x: 0, y: area.y - above - 1, width, height: above + 2 });
        canvas.rule(0, area.y - above - 1, width);
    }
    for (line, y) in lines.iter().zip(area.y - above..) {
        canvas.put(area.x, y, area.width, line, style);
    }
}

fn progress(canvas: &mut Canvas, area: Rect, job: &Job, more: usize, now: u64) {
    let left = match (job.eta(now), job.rate(now)) {
        (Some(left), Some(rate)) => format!("{rate:.0}/s · {} left", duration(left)),
        _ => String::new(),
    };
    working(canvas, area, &job.title(), (job.step, more), left);
}

/// What another process does in this session.
fn elsewhere(canvas: &mut Canvas, area: Rect, there: &Elsewhere) {
    let Some(title) = there.jobs.first() else { return };
    let step = there.step.as_ref().map(|(stage, done, total)| (stage.as_str(), *done, *total));
    working(canvas, area, &format!("elsewhere: {}", printable(title)), (step, there.jobs.len() - 1), String::new());
}

fn working(
    canvas: &mut Canvas,
    area: Rect,
    title: &str,
    (step, more): (Option<(&str, usize, usize)>, usize),
    mut tail: String,
) {
    let theme = *canvas.theme;
    let (words, numbers, share) = match step {
        Some((stage, done, total)) => {
            let share = done as f64 / total.max(1) as f64;
            (format!("{title} · {}", printable(stage)), format!("{} of {}", count(done), count(total)), share)
        }
        None => (title.to_owned(), String::new(), 0.0),
    };
    if more > 0 {
        tail.push_str(&format!("{}{more} more waiting", if tail.is_empty() { "" } else { " · " }));
    }
    let tail_width = text::columns(&tail) as u16;
    let number_width = (text::columns(&numbers) as u16).max(15);
    let bar = if canvas.narrow() { 0 } else { area.width.saturating_sub(46 + number_width + 30).clamp(8, 40) };
    let left = area.width.saturating_sub(number_width + bar + tail_width.max(20) + 4);
    canvas.put(area.x, area.y, left, &words, theme.text);
    canvas.right(area.x + left + 1, area.y, number_width, &numbers, theme.dim);
    if step.is_some() && bar > 0 {
        canvas.bar(area.x + left + number_width + 2, area.y, bar, share);
    }
    canvas.right(area.x, area.y, area.width, &tail, theme.dim);
}

/// What would be a good next step: the first run needs no manual.
fn hint(state: &State) -> String {
    let outdated = state.outdated().len();
    if state.measured.is_none() || state.protos.is_none() || state.behind {
        return "press ? for the keys of this pane, 6 for the log".into();
    }
    match (outdated, state.set()) {
        (n, _) if n > 0 && !matches!(state.pane, Pane::Data | Pane::Runs | Pane::Log) => {
            format!("{n} of {} pictures to synthesise: S starts", state.pairs.len())
        }
        (n, _) if n > 0 => "2 Prototypes sets how many pairs, 4 Gallery synthesises them".into(),
        (_, Some(set)) if state.scores.iter().all(|s| s.set != set) => {
            "every picture is fresh: E measures recall, e exports".into()
        }
        _ => "this set is measured: e exports it".into(),
    }
}

fn typing(canvas: &mut Canvas, area: Rect, asks: &str, field: &Field) -> (u16, u16) {
    let theme = *canvas.theme;
    let label = if asks.is_empty() { ":".to_owned() } else { format!("{asks} › ") };
    let used = canvas.put(area.x, area.y, area.width / 2, &label, theme.accent);
    let (x, room) = (area.x + used, usize::from(area.width.saturating_sub(used + 1)));
    let (before, after) = field.parts();
    // Scroll so that the cursor is in view, by whole characters.
    let mut shown = before;
    while text::columns(shown) > room {
        let Some(c) = shown.chars().next() else { break };
        shown = &shown[c.len_utf8()..];
    }
    // What the next letter replaces looks as what is selected does.
    let style = if field.is_offered() { theme.selected } else { theme.text };
    let left = canvas.put(x, area.y, room as u16 + 1, shown, style);
    canvas.put(x + left, area.y, (room as u16).saturating_sub(left), after, theme.text);
    (x + left, area.y)
}

/// Commands that belong together are one entry in the footer, under the second one's name.
const PAIRS: [(&str, &str); 3] = [(".less", ".more"), (".down", ".up"), (".left", ".right")];

fn keys(canvas: &mut Canvas, area: Rect, state: &State) {
    let busy = state.is_busy();
    let named = |id: &str| COMMANDS.iter().find(|c| c.id == id);
    let mut shown: Vec<Entry> = Vec::new();
    if state.inside {
        shown.extend([
            ("j/k".into(), "candidate", None),
            ("Enter".into(), "take it", Some(Action::Enter)),
            ("Esc".into(), "back", Some(Action::Back)),
        ]);
    } else if state.is_drilled() {
        shown.extend(opened(state));
    } else {
        let own = crate::app::on(state.pane).filter(|c| !c.short.is_empty());
        for c in own {
            let stem = c.id.rsplit_once('.').map(|(stem, _)| stem);
            let twin = PAIRS.iter().find(|(_, more)| c.id.ends_with(more)).map(|(less, _)| less);
            let other = twin.and_then(|less| named(&format!("{}{less}", stem?)));
            let first = |c: &Command| state.keys.of(c).first().map(ToString::to_string);
            let keys = match (other.filter(|o| o.panes == c.panes).and_then(first), first(c)) {
                (Some(less), Some(more)) => format!("{less}/{more}"),
                (None, Some(key)) => key,
                // Bound to no key: only the palette has it.
                (_, None) => continue,
            };
            shown.push((keys, c.short, Some(c.action)));
        }
    }
    if busy && let Some(cancel) = named("job.cancel") {
        let key = state.keys.of(cancel).first().map(ToString::to_string).unwrap_or_default();
        shown.insert(0, (key, "cancel", Some(cancel.action)));
    }
    footer(canvas, area, &shown);
}

/// Keys where one pair, prototype or picture has the whole pane.
fn opened(state: &State) -> Vec<Entry> {
    let own: &[(&str, &str, Action)] = match (state.pane, state.focus.drill) {
        (Pane::Data, _) => {
            &[("h/l", "next", Action::Threshold(1)), ("x", "drop", Action::Drop), ("K", "keep", Action::Keep)]
        }
        (Pane::Prototypes, Drill::Whole) => &[
            ("j/k", "row", Action::Move(1)),
            ("Enter", "open it", Action::Enter),
            ("x", "drop it", Action::Drop),
            ("h/l", "next prototype", Action::Prototypes(1)),
            ("i", "caption", Action::EditCaption),
        ],
        (Pane::Runs, _) => &[("j/k", "next", Action::Move(1)), ("g/G", "first, last", Action::First)],
        (Pane::Prototypes, _) => &[("j/k", "next", Action::Move(1)), ("x", "drop it", Action::Drop)],
        _ => &[
            ("h/l", "next", Action::Across(1)),
            ("b", "versions", Action::Flip),
            ("(/)", "steps back and on", Action::Scrub(-1)),
            ("r", "reroll", Action::Reroll),
            ("s", "synthesise", Action::Synthesise(Which::Selected)),
        ],
    };
    let back = ("Esc".to_owned(), "back", Some(Action::Back));
    std::iter::once(back)
        .chain(own.iter().map(|(key, words, action)| ((*key).to_owned(), *words, Some(*action))))
        .chain(tail(state))
        .collect()
}

/// What is in every footer: help, commands, quit.
fn tail(state: &State) -> Vec<Entry> {
    let entry = |id: &str| {
        let command = COMMANDS.iter().find(|c| c.id == id)?;
        Some((state.keys.of(command).first()?.to_string(), command.short, Some(command.action)))
    };
    ["help", "palette", "quit"].into_iter().filter_map(entry).collect()
}

/// A key, what it does in a word, and what pointing at it does.
type Entry = (String, &'static str, Option<Action>);

fn footer(canvas: &mut Canvas, area: Rect, keys: &[Entry]) {
    let theme = *canvas.theme;
    let mut x = area.x;
    // Help, commands and quit are always there; what does not fit in front of them is left to the help.
    let width = |(k, w, _): &Entry| (text::columns(k) + text::columns(w)) as u16 + 3;
    let tail: u16 = keys.iter().rev().take(3).map(width).sum();
    let (front, last) = keys.split_at(keys.len().saturating_sub(3));
    let fits = |x: u16, entry: &Entry, reserve: u16| x + width(entry) + reserve <= area.right() + 2;
    for (entries, reserve) in [(front, tail), (last, 0)] {
        for entry in entries.iter() {
            if fits(x, entry, reserve) {
                let used = canvas.pieces(
                    x,
                    area.y,
                    area.right() - x,
                    &[(&entry.0, theme.accent), (" ", theme.text), (entry.1, theme.dim)],
                );
                if let Some(action) = entry.2 {
                    canvas.touch_line(x, area.y, used - x, action);
                }
                x = used + 2;
            }
        }
    }
}
