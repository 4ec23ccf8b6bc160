//! Losses and recalls of an evaluation, for other programs to plot.

use super::tensorboard;
use crate::{
    error::Result,
    fingerprint::Fingerprint,
    fsio::write_atomic_with,
    pipeline::score::{curves::Point, evaluate::EncoderRecall},
};
use serde::Serialize;
use serde_json::json;
use std::{collections::BTreeMap, path::Path};

const NAMES: [&str; 7] = ["IR@1", "IR@5", "IR@10", "TR@1", "TR@5", "TR@10", "R-mean"];

/// Writes a line `{"series", "step", "value"}` for each point, then those of each encoder's means and standard deviations
/// over its runs.
///
/// # Errors
/// [`crate::error::Error::Io`] naming `path`.
pub fn json_lines(path: &Path, points: &[Point], recalls: &[EncoderRecall]) -> Result<()> {
    write_atomic_with(path, |to| {
        for (series, step, value) in points {
            writeln!(to, "{}", json!({ "series": series, "step": *step as u64, "value": value }))?;
        }
        for recall in recalls {
            for (of, values) in [("mean", &recall.mean), ("sd", &recall.sd)] {
                let r_mean = if of == "sd" { recall.r_mean_sd } else { recall.r_mean };
                for (name, value) in NAMES.iter().zip(values.all().into_iter().chain([r_mean])) {
                    let series = format!("{}/{of}/{name}", recall.encoder);
                    writeln!(to, "{}", json!({ "series": series, "step": last(recall), "value": value }))?;
                }
            }
        }
        Ok(())
    })
}

/// Names an evaluation in a folder that has those of others: the set's folder, and what tells the set, the data and the
/// protocol from others. The same one twice has the same name, and replaces its curves.
pub fn name(set: &Path, made_of: &impl Serialize, parts: &[&Fingerprint]) -> String {
    let folder = std::fs::canonicalize(set).unwrap_or_else(|_| set.to_owned());
    let folder = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let plain: String =
        folder.chars().map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' }).collect();
    format!("{plain}-{}", Fingerprint::of_content("evaluation", made_of, parts).short())
}

/// The last epoch that a run reports.
fn last(recall: &EncoderRecall) -> u64 {
    recall.epochs.iter().copied().max().unwrap_or(0) as u64
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
    for recall in recalls {
        let step = last(recall) as i64;
        let means = recall.mean.all().into_iter().chain([recall.r_mean]);
        let scalars: Vec<_> =
            NAMES.iter().zip(means).map(|(tag, v)| tensorboard::Scalar { tag, step, value: v as f32 }).collect();
        tensorboard::write(&dir.join(&recall.encoder), &scalars)?;
    }
    Ok(())
}
