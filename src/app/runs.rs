//! What was judged, as the runs pane has it: which line comes first, what is best, what a chance guess would have, and what
//! there is to plot.

use super::{
    decision::protocol_name,
    event::{Effect, Work},
    job::{Job, Series, Status},
    model::{Curve, Score},
    state::State,
};
use crate::pipeline::score::recall::AT;
use std::collections::BTreeMap;

/// Points that a curve is thinned to before it is kept.
const POINTS: usize = 64;

/// A line of a plot.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// The method, told apart by colour and sign.
    pub method: String,
    /// The encoder, told apart by dashes.
    pub encoder: String,
    /// Ascending by x.
    pub points: Vec<(f64, f64)>,
}

/// What is plotted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plot {
    /// What it shows.
    pub title: &'static str,
    /// Of what.
    pub of: String,
    /// Its lines.
    pub lines: Vec<Line>,
    /// For each encoder the sets that no smaller or equal one surpasses.
    pub front: Vec<Line>,
}

impl Plot {
    /// Every x there is, ascending.
    pub fn places(&self) -> Vec<f64> {
        let mut all: Vec<f64> = self.lines.iter().flat_map(|l| &l.points).map(|p| p.0).collect();
        all.sort_by(f64::total_cmp);
        all.dedup();
        all
    }
}

/// Whether a job judges a set.
pub fn is_judging(work: &Work) -> bool {
    matches!(work, Work::Evaluate { .. } | Work::Yardstick { .. })
}

/// What a guess would recall, in percent, of so many images and captions: IR@1, 5, 10, TR@1, 5, 10, and their mean.
pub fn chance((images, captions): (usize, usize)) -> Option<[f64; 7]> {
    if images == 0 || captions < images {
        return None;
    }
    let (n, all) = (images as f64, captions as f64);
    // An image's captions are all but missed by `k` draws from all captions.
    let own = all / n;
    let missed = |k: usize| (0..k).map(|j| ((all - own - j as f64) / (all - j as f64)).max(0.0)).product::<f64>();
    let ir = AT.map(|k| 100.0 * (k as f64 / n).min(1.0));
    let tr = AT.map(|k| if k >= captions { 100.0 } else { 100.0 * (1.0 - missed(k)) });
    let mean = ir.iter().chain(&tr).sum::<f64>() / 6.0;
    Some([ir[0], ir[1], ir[2], tr[0], tr[1], tr[2], mean])
}

/// Those of (pairs, recall) that none of as many or fewer pairs surpasses, ascending.
pub fn front(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut sorted = points.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.total_cmp(&a.1)));
    let mut best = f64::MIN;
    sorted.retain(|p| {
        p.1 > best && {
            best = p.1;
            true
        }
    });
    sorted
}

/// Curves worth keeping with a score: R-mean by epoch, or the loss where there is no such.
pub(super) fn curves(series: &Series) -> Vec<Curve> {
    let of = |such: &dyn Fn(&str) -> bool| -> Vec<Curve> {
        let all = series.iter().filter(|(name, points)| such(name) && points.len() > 1);
        all.map(|(name, points)| Curve { name: name.clone(), points: thinned(points) }).collect()
    };
    let recalls = of(&|name| name.contains("/R-mean, "));
    if recalls.is_empty() { of(&|name| name.ends_with("/loss")) } else { recalls }
}

fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let last = points.len().saturating_sub(1);
    let step = points.len().div_ceil(POINTS).max(1);
    let short = |v: f64| (v * 1e4).round() / 1e4;
    let kept = points.iter().enumerate().filter(|(i, _)| i % step == 0 || *i == last);
    kept.map(|(_, (x, y))| (*x, short(*y))).collect()
}

impl State {
    /// Scores in the order of the table: those of the set on screen, then the others as they came.
    pub fn run_order(&self) -> Vec<usize> {
        let now = self.set().filter(|_| !self.behind);
        let (mut own, others): (Vec<usize>, Vec<usize>) =
            (0..self.scores.len()).partition(|&i| Some(&self.scores[i].set) == now.as_ref());
        own.extend(others);
        own
    }

    /// How many of them are of the set on screen.
    pub fn own_scores(&self) -> usize {
        let now = self.set().filter(|_| !self.behind);
        self.scores.iter().filter(|s| Some(&s.set) == now.as_ref()).count()
    }

    /// The next line of the table.
    pub(super) fn step_run(&mut self, by: i64) {
        let order = self.run_order();
        let mut cursor = super::lists::Cursor(order.iter().position(|&i| i == self.run.0).unwrap_or(0));
        cursor.step(by, order.len());
        self.pick_run(order.get(cursor.0).copied().unwrap_or(0));
    }

    pub(super) fn pick_run(&mut self, score: usize) {
        (self.run.0, self.reading.chosen, self.reading.at) =
            (score.min(self.scores.len().saturating_sub(1)), true, None);
    }

    /// Differences from the selected line, or plain numbers again.
    pub(super) fn pin_run(&mut self) {
        let pinned = self.reading.pinned == Some(self.run.0) || self.scores.is_empty();
        self.reading.pinned = (!pinned).then_some(self.run.0);
        self.tell(if pinned { "plain numbers" } else { "all others as differences from the pinned line" });
    }

    /// The judging job at work.
    pub fn judging(&self) -> Option<&Job> {
        self.jobs.iter().find(|j| is_judging(&j.work) && j.status == Status::Running)
    }

    /// The best of each column, by encoder: IR@1, 5, 10, TR@1, 5, 10, R-mean; only where there is something to be better than.
    pub fn best(&self) -> BTreeMap<&str, [f64; 7]> {
        let mut best: BTreeMap<&str, (usize, [f64; 7])> = BTreeMap::new();
        for e in self.scores.iter().flat_map(|s| &s.encoders) {
            let (n, most) = best.entry(&e.encoder).or_insert((0, [f64::MIN; 7]));
            *n += 1;
            most.iter_mut().zip(e.values()).for_each(|(m, v)| *m = m.max(v));
        }
        best.into_iter().filter(|(_, (n, _))| *n > 1).map(|(name, (_, most))| (name, most)).collect()
    }

    /// What the pane plots now.
    pub fn plot(&self) -> Option<Plot> {
        if self.reading.by_pairs {
            return self.growth();
        }
        if let Some(job) = self.judging().filter(|_| !self.reading.chosen) {
            let curves = curves_of(&job.series);
            return (!curves.is_empty()).then(|| training(&curves, job.method(), job.title()));
        }
        let score = self.scores.get(self.run.0)?;
        let of = format!("{} × {}", score.pairs, score.method);
        (!score.curves.is_empty()).then(|| training(&score.curves, score.method.clone(), of))
    }

    /// R-mean against pairs: a line for each method and encoder, and the front of all.
    fn growth(&self) -> Option<Plot> {
        let mut lines: BTreeMap<(&str, &str), BTreeMap<usize, f64>> = BTreeMap::new();
        let mut all: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
        for (score, e) in self.scores.iter().flat_map(|s| s.encoders.iter().map(move |e| (s, e))) {
            // A later score of as many pairs takes the earlier one's place in the line, but not on the front.
            lines.entry((&score.method, &e.encoder)).or_default().insert(score.pairs, e.r_mean[0]);
            all.entry(&e.encoder).or_default().push((score.pairs as f64, e.r_mean[0]));
        }
        let line =
            |method: &str, encoder: &str, points| Line { method: method.into(), encoder: encoder.into(), points };
        let lines = lines.into_iter().map(|((method, encoder), points)| {
            line(method, encoder, points.into_iter().map(|(m, r)| (m as f64, r)).collect())
        });
        let front = all.into_iter().map(|(encoder, points)| line("front", encoder, front(&points)));
        let plot = Plot {
            title: "R-mean by number of pairs",
            of: String::new(),
            lines: lines.collect(),
            front: front.collect(),
        };
        (!plot.lines.is_empty()).then_some(plot)
    }

    /// The place that values are read at, some places back or on.
    pub(super) fn read_plot(&mut self, by: i32) {
        let n = self.plot().map_or(0, |p| p.places().len());
        if n == 0 {
            return;
        }
        let now = self.reading.at.unwrap_or(if by < 0 { n } else { usize::MAX });
        let to = if now == usize::MAX { 0 } else { now.saturating_add_signed(by as isize) };
        self.reading.at = Some(to.min(n - 1));
    }

    /// Distils and judges sets of these sizes, by the method of the settings; those that are judged already, or about to be,
    /// are left out.
    ///
    /// # Errors
    /// What is no such number, in words.
    pub(super) fn sweep(&mut self, sizes: &str) -> Result<Vec<Effect>, String> {
        if self.measured.is_none() {
            return Err("the data are not embedded yet".into());
        }
        let most = self.most_prototypes();
        let size = |word: &str| match word.parse::<usize>() {
            Ok(n) if (1..=most).contains(&n) => Ok(n),
            _ => Err(format!("`{}` is no number between 1 and {most}", crate::fsio::printable(word))),
        };
        let words = sizes.split([' ', ',']).filter(|w| !w.is_empty() && *w != "prototypes");
        let sizes: Vec<usize> = words.map(size).collect::<Result<_, _>>()?;
        if sizes.is_empty() {
            return Err("takes numbers of pairs: sweep prototypes 25 50 100".into());
        }
        let method = self.draft.config.method.to_string();
        let known = |n: &usize| self.scores.iter().any(|s| s.method == method && s.pairs == *n && self.is_as_asked(s));
        let new: Vec<usize> = sizes.iter().copied().filter(|n| !known(n)).collect();
        let mut effects = Vec::new();
        for n in new {
            let mut draft = Box::new(self.draft.clone());
            draft.config.cluster.prototypes = n;
            let work = Work::Yardstick { method: method.clone(), draft };
            if !self.jobs.iter().any(|j| j.is_alive() && j.work == work) {
                effects.push(self.spawn(work));
            }
        }
        self.tell(format!("{} of {} sizes to judge; R-mean by pairs below", effects.len(), sizes.len()));
        (self.reading.by_pairs, self.reading.at) = (true, None);
        Ok(effects)
    }

    /// Whether a score is of as many runs and epochs, and by the encoders, that the settings ask for.
    pub(super) fn is_as_asked(&self, score: &Score) -> bool {
        let asked = &self.draft.config.evaluation;
        if let Some(protocol) = &score.protocol {
            return *protocol == protocol_name(asked);
        }
        score.epochs == asked.epochs
            && score.encoders.iter().map(|e| &e.encoder).eq(&asked.encoders)
            && score.encoders.iter().all(|e| e.runs == asked.runs)
    }
}

/// The curves of a job so far, thinned as those that are kept.
fn curves_of(series: &Series) -> Vec<Curve> {
    let found = curves(series);
    if !found.is_empty() {
        return found;
    }
    let losses = series.iter().filter(|(name, _)| name.ends_with("/loss"));
    losses.map(|(name, points)| Curve { name: name.clone(), points: points.clone() }).collect()
}

fn training(curves: &[Curve], method: String, of: String) -> Plot {
    let loss = curves.iter().all(|c| c.name.ends_with("/loss"));
    let line = |c: &Curve| Line {
        method: method.clone(),
        encoder: c.name.split('/').next().unwrap_or_default().to_owned(),
        points: c.points.clone(),
    };
    let title = if loss { "Training loss by epoch" } else { "R-mean by epoch" };
    Plot { title, of, lines: curves.iter().map(line).collect(), front: Vec::new() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_guess_finds_one_image_in_as_many_as_there_are_and_a_caption_more_often() {
        let found = chance((100, 500)).unwrap();
        assert_eq!(found[..3], [1.0, 5.0, 10.0]);
        assert!((found[3] - 1.0).abs() < 1e-9, "five of five hundred");
        // 1 - C(495, 5) / C(500, 5), 1 - C(495, 10) / C(500, 10).
        assert!((found[4] - 4.9203).abs() < 1e-3 && (found[5] - 9.6450).abs() < 1e-3, "{found:?}");
        assert_eq!((chance((0, 0)), chance((3, 3)).unwrap()[2]), (None, 100.0));
    }

    #[test]
    fn the_front_holds_what_no_smaller_set_surpasses() {
        let points = [(50.0, 20.0), (25.0, 18.0), (100.0, 19.0), (50.0, 22.0), (200.0, 23.0)];
        assert_eq!(front(&points), [(25.0, 18.0), (50.0, 22.0), (200.0, 23.0)]);
        assert_eq!(front(&[]), []);
    }

    #[test]
    fn a_curve_that_is_kept_is_short_and_has_its_ends() {
        let points: Vec<(f64, f64)> = (0..1000).map(|i| (f64::from(i), f64::from(i) / 3.0)).collect();
        let kept = thinned(&points);
        assert!(kept.len() <= POINTS + 1 && kept[0] == (0.0, 0.0) && kept.last() == Some(&(999.0, 333.0)));
        assert_eq!(kept[1].1, 5.3333);
    }
}
