//! Stages tried on a small scale.

use super::cost::line;
use crate::{
    caught::lock,
    error::Result,
    machine,
    models::unclip::Unclip,
    pipeline::{
        Ctx, Report,
        cluster::{self, ClusterSettings, Clusters},
        draw::synthesize::{self, Request},
    },
};
use image::RgbImage;
use ndarray::ArrayView2;
use std::{
    sync::{Arc, Mutex},
    time::Instant,
};

/// Clusters half of a sample, then all of it: the clusters, and seconds for `n` rows by these two.
pub(super) fn try_clustering(
    rows: ArrayView2<f32>,
    n: usize,
    settings: &ClusterSettings,
    ctx: &Ctx,
) -> Result<(Clusters, f64)> {
    let half = rows.nrows().div_ceil(2).max(settings.prototypes).min(rows.nrows());
    let timed = |s: usize| {
        let start = Instant::now();
        let found = cluster::fit(rows.slice(ndarray::s![..s, ..]), &vec![1; s], settings, ctx)?;
        Ok((found, (s, start.elapsed().as_secs_f64())))
    };
    let (_, less) = timed(half)?;
    let (found, more) = timed(rows.nrows())?;
    Ok((found, line(less, more, n)))
}

/// Seconds that a batch takes in each network call, and around all of them.
pub(super) struct Tried {
    pub call: f64,
    pub around: f64,
}

/// Draws some pictures in few steps: those, what it took, and the memory.
pub(super) fn try_drawing(
    decoder: &Unclip,
    asked: &[Request],
    settings: &synthesize::Settings,
    ctx: &Ctx,
) -> Result<(Vec<RgbImage>, Tried, u64)> {
    let seen: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let watcher = seen.clone();
    let ctx = ctx.watched(move |report| {
        if matches!(report, Report::Step { stage: synthesize::STAGE, .. }) {
            lock(&watcher).push(Instant::now());
        }
    });
    let before = machine::reset_peak().unwrap_or(0);
    let start = Instant::now();
    let mut drawn = Vec::new();
    synthesize::synthesize(decoder, asked, settings, &ctx, &mut |_, images| {
        drawn.extend(images);
        Ok(())
    })?;
    let whole = start.elapsed().as_secs_f64();
    let memory = machine::peak().unwrap_or(0).saturating_sub(before);
    let seen = lock(&seen);
    // The first report comes before any call, each of the others after one.
    let calls = seen.len().saturating_sub(1);
    let between = match (seen.get(1), seen.last()) {
        (Some(first), Some(last)) if calls > 1 => (*last - *first).as_secs_f64() / (calls - 1) as f64,
        _ => whole,
    };
    Ok((drawn, Tried { call: between, around: (whole - calls as f64 * between).max(0.0) }, memory))
}
