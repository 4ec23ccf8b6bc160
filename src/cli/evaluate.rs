//! `protostill evaluate`, and the protocol options it shares with `compare`.

use super::{
    Needs,
    args::{Evaluate, Global, Protocol},
    config, metrics, onlooker, plan, print, print_json, progress,
    table::{render, row, scores},
    workbench,
};
use crate::{
    config::Config,
    data::{self, Dataset},
    error::{Error, Result},
    fsio::{printable, try_place, write_atomic},
    pipeline::{
        Ctx,
        score::curves::Curves,
        set::folder::{DistilledSet, ReadSet, SCORES},
        space::content,
        workbench::dry::cost::Plan,
    },
};
use serde_json::json;
use std::path::Path;

/// What makes a folder a set that was distilled here.
const MANIFEST: &str = "manifest.json";

pub fn run(global: &Global, args: &Evaluate) -> Result<()> {
    let mut config = config(global)?;
    apply(&mut config, &args.protocol)?;
    let config = config.checked()?;
    let needs = Needs { decoder: false, encoders: true };
    let found = Found::read(&args.dir)?;
    if args.dry_run {
        let (bench, mut planned) = (onlooker(global, &config, needs)?, Plan::default());
        let what = match &found {
            Found::Ours(read) => (Some(&read.set), read.set.pairs.len(), ""),
            Found::Given(data) => (None, data.train.pairs.len(), ""),
        };
        bench.plan_scores(what, &config.evaluation, config.seed, &mut planned, &Ctx::quiet())?;
        return plan::show(global, "evaluate", &planned, bench.dataset(), &args.dir);
    }
    // In a folder of others nothing is left.
    let path = matches!(found, Found::Ours(_)).then(|| args.dir.join(SCORES));
    for place in [path.as_ref(), args.metrics.as_ref(), args.tensorboard.as_ref()].into_iter().flatten() {
        try_place(place)?;
    }
    if let Some(file) = args.metrics.as_ref().filter(|file| file.is_dir()) {
        return Err(Error::setting("--metrics", format!("{} is a folder; name a file", file.display())));
    }
    let curves = Curves::default();
    let ctx = curves.collect(&progress::ctx(global.progress));
    let bench = workbench(global, &config, needs, &ctx)?;
    let read = match found {
        Found::Ours(read) => *read,
        Found::Given(mut data) => {
            content::name(&mut data, bench.store(), Some(&ctx))?;
            bench.given(&data, &ctx)?
        }
    };
    let recalls = bench.evaluate(&read.set, &config.evaluation, config.seed, &ctx)?;
    let result = json!({
        "set": { "fingerprint": read.fingerprint, "method": read.set.method, "pairs": read.set.pairs.len(), "edited": read.edited },
        "dataset": { "name": bench.dataset().name, "fingerprint": bench.dataset().fingerprint },
        "selection": config.evaluation.selection.to_string(),
        "runs": config.evaluation.runs,
        "seed": config.seed,
        "encoders": recalls.iter().map(row).collect::<Vec<_>>(),
    });
    // Shown before it is written, and written before a failure to show it ends the run: what cannot be kept is seen at
    // least, and the other way round.
    let shown = if global.json {
        print_json(&result)
    } else {
        let rows: Vec<Vec<String>> = recalls.iter().map(|r| [vec![r.encoder.clone()], scores(r)].concat()).collect();
        let table = render(&["encoder", "IR@1", "IR@5", "IR@10", "TR@1", "TR@5", "TR@10", "R-mean"], &rows);
        let (runs, selection) = (config.evaluation.runs, config.evaluation.selection);
        let kept = path.as_ref().map(|path| format!("; kept in {}", printable(&path.display().to_string())));
        let kept = kept.unwrap_or_default();
        print(format_args!("{table}\n\npercent, mean ± sd of {runs} runs, {selection}{kept}"))
    };
    if let Some(path) = &path {
        write_atomic(path, format!("{result:#}\n").as_bytes())?;
    }
    if let Some(file) = &args.metrics {
        metrics::json_lines(file, &curves.sorted(), &recalls)?;
    }
    if let Some(dir) = &args.tensorboard {
        metrics::event_files(dir, &curves.sorted(), &recalls)?;
    }
    shown
}

/// What is measured.
enum Found {
    /// A set that was distilled here.
    Ours(Box<ReadSet>),
    /// Captioned images, whoever made them.
    Given(Box<Dataset>),
}

impl Found {
    fn read(dir: &Path) -> Result<Self> {
        if dir.join(MANIFEST).exists() || !dir.exists() {
            return DistilledSet::read(dir).map(|read| Self::Ours(Box::new(read)));
        }
        data::open(dir).map(|data| Self::Given(Box::new(data)))
    }
}

/// The protocol's flags over the settings.
pub fn apply(config: &mut Config, protocol: &Protocol) -> Result<()> {
    if let Some(encoders) = &protocol.encoders {
        config.evaluation.encoders.clone_from(encoders);
    }
    if let Some(runs) = protocol.runs {
        config.evaluation.runs = runs;
    }
    if let Some(split) = &protocol.split {
        let unknown = |_| Error::setting("--split", format!("`{split}` is neither test nor val"));
        config.evaluation.split = serde_json::from_value(json!(split)).map_err(unknown)?;
    }
    if let Some(rule) = &protocol.selection {
        config.evaluation.selection = serde_json::from_value(json!(rule)).map_err(|_| {
            Error::setting("--selection", format!("`{rule}` is none of last, validation, best-on-test"))
        })?;
    }
    Ok(())
}
