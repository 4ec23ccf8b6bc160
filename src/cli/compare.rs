//! `protostill compare`: several ways to get pairs, one protocol, one table.

use super::{
    Needs,
    args::{Compare, Global},
    config,
    distill::otherwise,
    onlooker, plan, print, print_json, progress,
    table::{render, row, scores},
    workbench,
};
use crate::{
    error::Result,
    pipeline::{methods::Way, recipe::Recipe},
};
use serde_json::{Value, json};

pub fn run(global: &Global, args: &Compare) -> Result<()> {
    let mut config = args.protocol.over(args.pairs.over(config(global)?)?)?;
    let mut way = |name: &String| otherwise(&mut config, &args.otherwise, name.parse()?);
    let methods = args.methods.iter().map(&mut way).collect::<Result<Vec<Way>>>()?;
    let config = config.checked()?;
    let needs = Needs::of(methods.iter().copied(), true);
    let recipes: Vec<Recipe> = methods.into_iter().map(|method| Recipe { method, ..config.recipe() }).collect();
    if args.dry_run {
        let bench = onlooker(global, &config, needs)?;
        let planned = plan::compare(&bench, &recipes, &config)?;
        return plan::show(global, "compare", &planned, bench.dataset(), bench.store().dir());
    }
    let ctx = progress::ctx(global.progress);
    let bench = workbench(global, &config, needs, &ctx)?;
    let (mut rows, mut lines) = (Vec::new(), Vec::new());
    for recipe in recipes {
        let method = recipe.method;
        let set = bench.distil(&recipe, &ctx)?;
        for recall in bench.evaluate(&set, &config.evaluation, config.seed, &ctx)? {
            lines.push(
                [vec![method.to_string(), recall.encoder.clone(), set.pairs.len().to_string()], scores(&recall)]
                    .concat(),
            );
            let mut row = row(&recall);
            row["method"] = json!(method);
            row["pairs"] = json!(set.pairs.len());
            rows.push(row);
        }
    }
    if global.json {
        print_json(&json!({ "rows": rows.into_iter().map(in_order).collect::<Vec<_>>() }))
    } else {
        let header = ["method", "encoder", "pairs", "IR@1", "IR@5", "IR@10", "TR@1", "TR@5", "TR@10", "R-mean"];
        let (table, runs) = (render(&header, &lines), config.evaluation.runs);
        print(format_args!("{table}\n\npercent, mean ± sd of {runs} runs, {}", config.evaluation.selection))
    }
}

/// Keys in the order people read them.
fn in_order(row: Value) -> Value {
    let keys = ["method", "encoder", "pairs", "ir1", "ir5", "ir10", "tr1", "tr5", "tr10", "r_mean", "selection"];
    Value::Object(keys.iter().map(|k| ((*k).to_owned(), row[*k].clone())).collect())
}
