//! `protostill evaluate`.

use super::{
    Needs,
    args::{Evaluate, Global},
    config, metrics, onlooker, plan, print, print_json, progress,
    table::{render, row, scores},
    workbench,
};
use crate::{
    about,
    config::Config,
    data::{self, Dataset},
    error::{Error, Result},
    fsio::{printable, try_place, write_atomic},
    pipeline::{
        Ctx,
        score::{curves::Curves, evaluate::EncoderRecall},
        set::folder::{DistilledSet, MANIFEST, ReadSet, SCORES},
        space::content,
        workbench::{Workbench, dry::cost::Plan},
    },
};
use serde_json::{Value, json};
use std::path::Path;

pub fn run(global: &Global, args: &Evaluate) -> Result<()> {
    let config = args.protocol.over(config(global)?)?.checked()?;
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
        return Err(Error::setting("--metrics", format!("{} is a folder", file.display())).or("name a file"));
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
    let result = result(&config, &bench, &read, &recalls);
    // Shown before it is written, and written before a failure to show it ends the run: what cannot be kept is seen at
    // least, and the other way round.
    let shown = show(global, &config, &result, &recalls, path.as_deref());
    let mut renewed = true;
    if let Some(path) = &path {
        write_atomic(path, format!("{result:#}\n").as_bytes())?;
        renewed = read.renew_card(&args.dir)?;
    }
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

/// What is kept of it.
fn result(config: &Config, bench: &Workbench, read: &ReadSet, recalls: &[EncoderRecall]) -> Value {
    json!({
        "set": { "fingerprint": read.fingerprint, "method": read.set.method, "pairs": read.set.pairs.len(), "edited": read.edited },
        "dataset": { "name": bench.dataset().name, "fingerprint": bench.dataset().fingerprint },
        "selection": config.evaluation.selection.to_string(),
        "pixels": config.evaluation.pixels,
        "split": config.evaluation.split.name(),
        "runs": config.evaluation.runs,
        "seed": config.seed,
        "checkpoints": bench.students(&config.evaluation.encoders),
        "protostill": about::json(),
        "encoders": recalls.iter().map(row).collect::<Vec<_>>(),
    })
}

fn show(
    global: &Global,
    config: &Config,
    result: &Value,
    recalls: &[EncoderRecall],
    path: Option<&Path>,
) -> Result<()> {
    if global.json {
        return print_json(result);
    }
    let rows: Vec<Vec<String>> = recalls.iter().map(|r| [vec![r.encoder.clone()], scores(r)].concat()).collect();
    let table = render(&["encoder", "IR@1", "IR@5", "IR@10", "TR@1", "TR@5", "TR@10", "R-mean"], &rows);
    let (runs, selection) = (config.evaluation.runs, config.evaluation.selection);
    let kept = path.map(|path| format!("; kept in {}", printable(&path.display().to_string()))).unwrap_or_default();
    print(format_args!("{table}\n\npercent, mean ± sd of {runs} runs, {selection}{kept}"))
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
