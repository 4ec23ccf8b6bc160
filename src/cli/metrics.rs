//! Losses and recalls of an evaluation, for other programs to plot.

use super::{table::row, tensorboard};
use crate::{
    error::Result,
    fsio::write_atomic_with,
    pipeline::score::{curves::Point, evaluate::EncoderRecall},
};
use serde_json::json;
use std::{collections::BTreeMap, path::Path};

/// Writes a line `{"series", "step", "value"}` for each point, then one for each encoder: means and standard deviations.
///
/// # Errors
/// [`crate::error::Error::Io`] naming `path`.
pub fn json_lines(path: &Path, points: &[Point], recalls: &[EncoderRecall]) -> Result<()> {
    write_atomic_with(path, |to| {
        for (series, step, value) in points {
            writeln!(to, "{}", json!({ "series": series, "step": *step as u64, "value": value }))?;
        }
        recalls.iter().try_for_each(|recall| writeln!(to, "{}", row(recall)))
    })
}

/// Writes event files: `DIR/ENCODER/run N` with the curves of a run, `DIR/ENCODER` with the means over the runs.
///
/// # Errors
/// [`crate::error::Error::Io`] naming a file.
pub fn event_files(dir: &Path, points: &[Point], recalls: &[EncoderRecall]) -> Result<()> {
    let mut runs: BTreeMap<&str, Vec<tensorboard::Scalar>> = BTreeMap::new();
    for (series, x, y) in points {
        let (run, tag) = series.rsplit_once('/').unwrap_or(("", series));
        runs.entry(run).or_default().push(tensorboard::Scalar { tag, step: *x as i64, value: *y as f32 });
    }
    for (run, scalars) in runs {
        tensorboard::write(&dir.join(run), &scalars)?;
    }
    let names = ["IR@1", "IR@5", "IR@10", "TR@1", "TR@5", "TR@10", "R-mean"];
    for recall in recalls {
        let step = recall.epochs.iter().copied().max().unwrap_or(0) as i64;
        let means = recall.mean.all().into_iter().chain([recall.r_mean]);
        let scalars: Vec<_> =
            names.iter().zip(means).map(|(tag, v)| tensorboard::Scalar { tag, step, value: v as f32 }).collect();
        tensorboard::write(&dir.join(&recall.encoder), &scalars)?;
    }
    Ok(())
}
