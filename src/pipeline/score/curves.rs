//! Points that stages report, kept.

use crate::{
    caught::lock,
    pipeline::{Ctx, Report},
};
use std::sync::{Arc, Mutex};

/// Series, position, value: what [`Report::Point`] holds.
pub type Point = (String, f64, f64);

/// Collects the points of a job.
#[derive(Clone, Default)]
pub struct Curves(Arc<Mutex<Vec<Point>>>);

impl Curves {
    /// The same job as `ctx`, its points kept and shown as before.
    pub fn collect(&self, ctx: &Ctx) -> Ctx {
        let (shown, points) = (ctx.clone(), self.0.clone());
        ctx.watched(move |report| {
            if let Report::Point { series, x, y } = &report {
                lock(&points).push((series.clone(), *x, *y));
            }
            shown.report(report);
        })
    }

    /// Series by series, each by position: runs beside each other report in any order.
    pub fn sorted(&self) -> Vec<Point> {
        let mut points = lock(&self.0).clone();
        points.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        points
    }
}
