//! `--dry-run`: what a command would take.

use super::{args::Global, print, print_json, table::render};
use crate::{
    data::Dataset,
    error::Result,
    machine,
    pipeline::{
        Ctx,
        recipe::Recipe,
        workbench::{
            Workbench, able,
            dry::cost::{Plan, Stage},
        },
    },
};
use serde_json::json;
use std::path::Path;

/// Prints `plan`: what is left of it, what it takes, and whether the machine has that. `out` is where most is written.
///
/// # Errors
/// As [`print()`].
pub fn show(global: &Global, command: &str, plan: &Plan, data: &Dataset, out: &Path) -> Result<()> {
    let given = global.memory.map(|gigabytes| (gigabytes * 1e9) as u64);
    let memory = given.or(machine::memory().map(|m| m.available + machine::resident().unwrap_or(0)));
    let disk = machine::disk(out);
    let warnings = plan.warnings(memory, disk);
    if global.json {
        return print_json(&json!({
            "command": command,
            "dataset": { "name": data.name, "fingerprint": data.fingerprint },
            "stages": plan.stages,
            "seconds": plan.seconds(),
            "memory": plan.memory(),
            "disk": plan.disk(),
            "available": { "memory": memory, "disk": disk },
            "methods": able::allowed(plan.undrawn.is_none()),
            "warnings": warnings,
        }));
    }
    let rows: Vec<Vec<String>> = plan.stages.iter().map(row).collect();
    let header = ["stage", "items", "", "in store", "seconds", "memory, MB", "disk, MB"];
    print(format_args!("{}\n", render(&header, &rows)))?;
    let (all, peak) = (plan.seconds(), plan.memory() as f64 / 1e9);
    print(format_args!(
        "about {} in all, {peak:.2} GB of memory, {:.2} GB of disk; nothing was written",
        time(all),
        plan.disk() as f64 / 1e9
    ))?;
    print(methods(plan.undrawn.as_deref()))?;
    warnings.iter().try_for_each(|warning| print(format_args!("warning: {warning}")))
}

/// The methods that the checkpoints allow, and why no others.
pub fn methods(undrawn: Option<&str>) -> String {
    let list = able::allowed(undrawn.is_none()).join(", ");
    undrawn.map_or_else(|| format!("methods: {list}"), |why| format!("methods: {list}; none that draws: {why}"))
}

fn row(stage: &Stage) -> Vec<String> {
    let there = match stage.done {
        0 => String::new(),
        _ if stage.is_done() => "all".into(),
        some => some.to_string(),
    };
    let megabytes = |bytes: u64| format!("{:.1}", bytes as f64 / 1e6);
    let left = [format!("{:.2}", stage.seconds), megabytes(stage.memory), megabytes(stage.disk)];
    [vec![stage.stage.clone(), stage.items.to_string(), stage.unit.to_owned(), there], left.to_vec()].concat()
}

fn time(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.1} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

/// Several methods and the scoring of what each makes.
pub fn compare(bench: &Workbench, recipes: &[Recipe], config: &crate::config::Config) -> Result<Plan> {
    let (mut plan, ctx) = (Plan::default(), Ctx::quiet());
    for recipe in recipes {
        bench.plan(recipe, &mut plan, &ctx)?;
        let drawn = recipe.method.draws();
        let needed = |s: &&Stage| {
            let name = &s.stage;
            name.starts_with("embed ") && !name.contains("test") && !name.contains("val")
                || recipe.method.method.clusters() && name.starts_with("cluster ")
                || drawn && name == "synthesise"
        };
        // Features that do not fit would be copied to disk.
        let copies = plan.stages.iter().any(|s| s.stage == "read features" && s.disk > 0);
        let there = !copies && plan.stages.iter().filter(needed).all(Stage::is_done);
        let there = there && bench.store().knows("evaluate");
        let set = if there { Some(bench.distil(recipe, &ctx)?) } else { None };
        let what = (set.as_ref(), recipe.cluster.prototypes, &*format!(" of {}", recipe.method));
        bench.plan_scores(what, &config.evaluation, config.seed, &mut plan, &ctx)?;
    }
    // Nothing is left in a folder.
    plan.stages.retain(|s| s.stage != "write the set");
    Ok(plan)
}
