//! `protostill bench`: methods x pairs x noise x seeds, one table. What was measured before is taken from the store, so a run
//! that was killed goes on where it was.

use super::{
    Needs,
    args::{Bench, Global},
    config, print, print_json, progress,
    table::render,
    workbench, world_spec,
};
use crate::{
    config::Config,
    data::world::shown_with,
    error::{Error, Result},
    pipeline::{Ctx, methods::Way, score::evaluate::mean_and_sd, trust::prune::PruneMethod, workbench::Workbench},
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What is measured together: noise in thousandths, pairs, place of the way, encoder.
type Cell = (u32, usize, usize, String);

pub fn run(global: &Global, args: &Bench) -> Result<()> {
    let mut config = args.protocol.over(config(global)?)?;
    let ways = args.methods.iter().map(|name| name.parse()).collect::<Result<Vec<Way>>>()?;
    if config.data.source != "world" && args.noise.iter().any(|&n| n > 0.0) {
        return Err(Error::setting("--noise", "captions are swapped in the demo world only"));
    }
    let ctx = progress::ctx(global.progress);
    let (mut scores, mut trust) = (BTreeMap::<Cell, Vec<f64>>::new(), Vec::new());
    for &noise in &args.noise {
        config.data.noise = noise;
        for &seed in &args.seeds {
            let config = Config { seed, ..config.clone() }.checked()?;
            let bench = workbench(global, &config, Needs::of(ways.iter().copied(), true), &ctx)?;
            if config.prune.method == PruneMethod::Trust && seed == args.seeds[0] {
                trust.push(trusted(&bench, &config, &ctx)?);
            }
            for &pairs in &args.pairs {
                for (at, &way) in ways.iter().enumerate() {
                    let mut recipe = config.recipe();
                    (recipe.method, recipe.cluster.prototypes) = (way, pairs);
                    let set = bench.distil(&recipe, &ctx)?;
                    for recall in bench.evaluate(&set, &config.evaluation, seed, &ctx)? {
                        let cell = ((noise * 1000.0).round() as u32, pairs, at, recall.encoder);
                        scores.entry(cell).or_default().push(recall.r_mean);
                    }
                }
            }
        }
    }
    show(global, &ways, &scores, &trust, args.seeds.len())
}

/// What trust says of the pairs, beside the truth where it is known.
fn trusted(bench: &Workbench, config: &Config, ctx: &Ctx) -> Result<Value> {
    let found = bench.trust(ctx)?;
    let (kept, mut about) = (found.kept(), found.about());
    about["noise"] = json!(config.data.noise);
    if config.data.source == "world" {
        let spec = world_spec(config);
        let shown = shown_with(spec.scenes, spec.noise, spec.seed);
        let per = shown.len() / spec.scenes.max(1);
        let wrong = |row: usize| shown[row] != row / per;
        about["true_share"] = json!((0..shown.len()).filter(|&r| wrong(r)).count() as f64 / shown.len().max(1) as f64);
        about["mismatched"] = json!(kept.0.iter().filter(|&&r| wrong(r as usize)).count());
    }
    Ok(about)
}

fn show(global: &Global, ways: &[Way], scores: &BTreeMap<Cell, Vec<f64>>, trust: &[Value], seeds: usize) -> Result<()> {
    if global.json {
        let row = |((noise, pairs, at, encoder), runs): (&Cell, &Vec<f64>)| {
            let (mean, sd) = mean_and_sd(runs.iter().copied());
            json!({ "noise": f64::from(*noise) / 1000.0, "pairs": pairs, "method": ways[*at], "encoder": encoder,
                "r_mean": { "mean": mean, "sd": sd, "seeds": runs } })
        };
        return print_json(&json!({ "rows": scores.iter().map(row).collect::<Vec<_>>(), "trust": trust }));
    }
    let mut lines: BTreeMap<(u32, usize, usize), Vec<String>> = BTreeMap::new();
    let mut encoders: Vec<&str> = Vec::new();
    for ((noise, pairs, at, encoder), runs) in scores {
        if !encoders.contains(&encoder.as_str()) {
            encoders.push(encoder);
        }
        let (mean, sd) = mean_and_sd(runs.iter().copied());
        let head = || vec![ways[*at].to_string(), pairs.to_string(), format!("{:.2}", f64::from(*noise) / 1000.0)];
        lines.entry((*noise, *pairs, *at)).or_insert_with(head).push(format!("{mean:.1} ± {sd:.1}"));
    }
    let header = [&["method", "pairs", "noise"], &encoders[..]].concat();
    print(format_args!("{}\n", render(&header, &lines.into_values().collect::<Vec<_>>())))?;
    print(format_args!("R-mean in percent, mean ± sd over {seeds} seeds"))?;
    for about in trust {
        let number = |key: &str| about[key].as_f64().unwrap_or(f64::NAN);
        print(format_args!(
            "noise {:.2}: mismatched {:.3} by trust, at most {:.3} (true {:.3}); {:.0} expected among {} kept (true {:.0})",
            number("noise"),
            number("share"),
            number("upper"),
            number("true_share"),
            number("expected_mismatched"),
            about["kept"],
            number("mismatched"),
        ))?;
    }
    Ok(())
}
