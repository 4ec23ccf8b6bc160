//! `protostill evaluate`, and the protocol options it shares with `compare`.

use super::{
    Needs,
    args::{Evaluate, Global, Protocol},
    config, metrics, onlooker, plan, print, print_json, progress,
    table::{render, row, scores},
    workbench,
};
use crate::{
    about,
    config::Config,
    error::{Error, Result},
    fsio::{printable, try_place, write_atomic},
    pipeline::{
        Ctx,
        score::curves::Curves,
        set::folder::{DistilledSet, SCORES},
        workbench::dry::cost::Plan,
    },
};
use serde_json::json;

pub fn run(global: &Global, args: &Evaluate) -> Result<()> {
    let mut config = config(global)?;
    apply(&mut config, &args.protocol)?;
    let config = config.checked()?;
    let read = DistilledSet::read(&args.dir)?;
    let needs = Needs { decoder: false, encoders: true };
    if args.dry_run {
        let (bench, mut planned) = (onlooker(global, &config, needs)?, Plan::default());
        let what = (Some(&read.set), read.set.pairs.len(), "");
        bench.plan_scores(what, &config.evaluation, config.seed, &mut planned, &Ctx::quiet())?;
        return plan::show(global, "evaluate", &planned, bench.dataset(), &args.dir);
    }
    let path = args.dir.join(SCORES);
    for place in [Some(&path), args.metrics.as_ref(), args.tensorboard.as_ref()].into_iter().flatten() {
        try_place(place)?;
    }
    if let Some(file) = args.metrics.as_ref().filter(|file| file.is_dir()) {
        return Err(Error::setting("--metrics", format!("{} is a folder; name a file", file.display())));
    }
    let curves = Curves::default();
    let ctx = curves.collect(&progress::ctx(global.progress));
    let bench = workbench(global, &config, needs, &ctx)?;
    let recalls = bench.evaluate(&read.set, &config.evaluation, config.seed, &ctx)?;
    let result = json!({
        "set": { "fingerprint": read.fingerprint, "method": read.set.method, "pairs": read.set.pairs.len(), "edited": read.edited },
        "dataset": { "name": bench.dataset().name, "fingerprint": bench.dataset().fingerprint },
        "selection": config.evaluation.selection.to_string(),
        "split": config.evaluation.split.name(),
        "runs": config.evaluation.runs,
        "seed": config.seed,
        "checkpoints": bench.students(&config.evaluation.encoders)?,
        "protostill": about::json(),
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
        let place = printable(&path.display().to_string());
        print(format_args!("{table}\n\npercent, mean ± sd of {runs} runs, {selection}; kept in {place}"))
    };
    write_atomic(&path, format!("{result:#}\n").as_bytes())?;
    let renewed = read.renew_card(&args.dir)?;
    if let Some(file) = &args.metrics {
        metrics::json_lines(file, &curves.sorted(), &recalls)?;
    }
    if let Some(dir) = &args.tensorboard {
        let made_of = (&config.evaluation, config.seed);
        let name = metrics::name(&args.dir, &made_of, &[&read.fingerprint, &bench.dataset().fingerprint]);
        metrics::event_files(&dir.join(name), &curves.sorted(), &recalls)?;
    }
    shown?;
    match renewed || global.json {
        true => Ok(()),
        false => print("README.md was changed by hand, so the scores were not put into it"),
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
