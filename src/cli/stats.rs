//! `protostill stats`.

use super::{
    Needs,
    args::{self, Global},
    config, onlooker, plan, print, print_json, progress,
    table::render,
    workbench,
};
use crate::{
    data::Split,
    error::Result,
    fsio::printable,
    pipeline::{
        Ctx,
        space::stats::{Agreement, Quantiles, Stats},
        workbench::dry::cost::Plan,
    },
};
use serde_json::json;

pub fn run(global: &Global, args: &args::Stats) -> Result<()> {
    let config = config(global)?.checked()?;
    let needs = Needs { decoder: false, encoders: false };
    if args.dry_run {
        let (bench, mut planned) = (onlooker(global, &config, needs)?, Plan::default());
        bench.plan_stats(&config.recipe(), &mut planned, &Ctx::quiet())?;
        return plan::show(global, "stats", &planned, bench.dataset(), bench.store().dir());
    }
    let ctx = progress::ctx(global.progress);
    let bench = workbench(global, &config, needs, &ctx)?;
    let stats = bench.stats(&config.prune, &ctx)?;
    if global.json { print_json(&json!(stats)) } else { print(text(&stats, &bench.dataset().train)) }
}

fn text(s: &Stats, train: &Split) -> String {
    let parts = [
        format!("{} images, {} pairs, width {}", s.images, s.pairs, s.width),
        quantiles(s),
        histogram(&s.kept, &s.pruned),
        format!(
            "modality gap {:.3}   effective rank {:.1} of images, {:.1} of captions",
            s.modality_gap, s.image.effective_rank, s.text.effective_rank
        ),
        mixture(s),
        format!("near-duplicate images: {} pairs among {}", s.duplicates.count, s.duplicates.compared),
        worst(s, train),
    ];
    parts.join("\n\n")
}

fn quantiles(s: &Stats) -> String {
    let row = |name: &str, q: &Quantiles| {
        let numbers = std::iter::once(q.mean).chain(q.at).map(|v| format!("{v:.3}"));
        [vec![name.to_owned(), q.count.to_string()], numbers.collect()].concat()
    };
    let rows = [
        row("image norm", &s.image.norms),
        row("text norm", &s.text.norms),
        row("cosine, kept", &s.kept.quantiles),
        row("cosine, pruned", &s.pruned.quantiles),
    ];
    render(&["", "rows", "mean", "min", "5 %", "25 %", "median", "75 %", "95 %", "max"], &rows)
}

/// Kept and pruned pairs by cosine, 20 lines of bars.
fn histogram(kept: &Agreement, pruned: &Agreement) -> String {
    let (h, other) = (&kept.histogram, &pruned.histogram);
    let merged: Vec<(usize, usize)> =
        h.counts.chunks(2).zip(other.counts.chunks(2)).map(|(k, p)| (k.iter().sum(), p.iter().sum())).collect();
    let most = merged.iter().map(|(k, p)| k + p).max().unwrap_or(0).max(1);
    let step = (h.to - h.from) / merged.len().max(1) as f64;
    let bar = |n: usize, glyph: &str| glyph.repeat((n * 50).div_ceil(most));
    let lines = merged.iter().enumerate().map(|(i, &(k, p))| {
        format!("{:>7.3}  {}{}", h.from + step * i as f64, bar(p, "-"), bar(k, "#")).trim_end().to_owned()
    });
    let head = "pair cosines, # kept, - pruned".to_owned();
    std::iter::once(head).chain(lines).collect::<Vec<_>>().join("\n")
}

fn mixture(s: &Stats) -> String {
    match &s.mixture_note {
        Some(note) => format!("mismatched pairs: not estimated ({note})"),
        None => format!("mismatched pairs: {:.1} % by a two-part mixture of the losses", 100.0 * s.doubtful),
    }
}

fn worst(s: &Stats, train: &Split) -> String {
    let rows: Vec<Vec<String>> = s
        .worst
        .iter()
        .map(|w| {
            let pair = &train.pairs[w.row as usize];
            let caption: String = printable(&pair.caption).chars().take(70).collect();
            vec![w.row.to_string(), format!("{:.3}", w.similarity), pair.image.0.to_string(), caption]
        })
        .collect();
    render(&["worst pairs", "cosine", "image", "caption"], &rows)
}
