//! Progress on stderr: a bar, a line per stage, JSON lines, or nothing.

use super::args::Progress;
use crate::{
    machine,
    pipeline::{Ctx, Report},
};
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    io::{IsTerminal, Write},
    sync::{Arc, Mutex},
    time::Instant,
};

/// A context whose reports are shown as `how` says.
pub fn ctx(how: Progress) -> Ctx {
    let how = match how {
        Progress::Auto if std::io::stderr().is_terminal() => Progress::Auto,
        Progress::Auto => Progress::Plain,
        chosen => chosen,
    };
    let shown = Mutex::new(Shown::default());
    Ctx::new(Arc::default(), move |report| {
        let Ok(mut shown) = shown.lock() else { return };
        match (how, report) {
            (Progress::None, _) => {}
            (Progress::Json, report) => json_line(&report),
            (Progress::Plain, Report::Step { stage, done, total }) => shown.line(stage, done, total),
            (Progress::Auto, Report::Step { stage, done, total }) => shown.bar(stage, done, total),
            _ => {}
        }
    })
}

/// What is on screen now. Steps of one stage arrive in order; stages one after the other.
#[derive(Default)]
struct Shown {
    stage: &'static str,
    since: Option<Instant>,
    bar: Option<ProgressBar>,
}

impl Shown {
    fn line(&mut self, stage: &'static str, done: usize, total: usize) {
        if self.stage != stage {
            self.stage = stage;
            self.since = Some(Instant::now());
        }
        if done >= total {
            let seconds = self.since.take().map_or(0.0, |t| t.elapsed().as_secs_f64());
            // A closed stderr is no reason to stop working.
            let _ = writeln!(std::io::stderr(), "{stage}: {total} in {seconds:.1} s");
            self.stage = "";
        }
    }

    fn bar(&mut self, stage: &'static str, done: usize, total: usize) {
        if self.stage != stage {
            if let Some(bar) = self.bar.take() {
                bar.finish_and_clear();
            }
            self.stage = stage;
            let style = ProgressStyle::with_template("{msg:>18} {wide_bar} {pos}/{len}  {elapsed} + {eta}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            self.bar = Some(ProgressBar::new(total as u64).with_style(style).with_message(stage));
        }
        if let Some(bar) = &self.bar {
            bar.set_length(total as u64);
            bar.set_position(done as u64);
            if done >= total {
                let line = format!("{stage:>18} {total} in {:.1} s", bar.elapsed().as_secs_f64());
                bar.finish_and_clear();
                // Notebooks go back to the line's beginning, but erase nothing: spaces cover what is left of the bar.
                let width = machine::columns().unwrap_or(0).saturating_sub(1);
                let _ = writeln!(std::io::stderr(), "{line:<width$}");
                self.bar = None;
                self.stage = "";
            }
        }
    }
}

fn json_line(report: &Report) {
    if let Some(value) = report.json() {
        let _ = writeln!(std::io::stderr(), "{value}");
    }
}
