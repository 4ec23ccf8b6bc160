//! `protostill check`.

use super::{
    args::{Check, Global},
    fetch, plan, print, print_json, progress,
    table::render,
};
use crate::{
    data::{
        Orientation, Rules,
        check::{self, Checked},
        listing::Problem,
    },
    error::{Error, Result},
    models::{demo as shipped, unclip},
    pipeline::workbench::able,
};
use serde_json::{Map, Value, json};

pub fn run(global: &Global, args: &Check) -> Result<()> {
    let ctx = progress::ctx(global.progress);
    let config = super::config(global)?.checked()?;
    let rules = config.data.rules();
    // Only where it is there; nothing is fetched to check data.
    let decoder = super::checkpoint(&config.models.decoder, shipped::decoder, &super::hub(), false);
    let problem = if config.method.draws() { Problem::Unusable } else { Problem::OtherWidth };
    let wide = decoder.as_ref().ok().and_then(|decoder| unclip::width_of(decoder).ok()).map(|wide| (wide, problem));
    let fetched = fetch::data(&args.path.to_string_lossy(), &super::hub(), Some(&ctx))?;
    let path = fetched.as_ref().unwrap_or(&args.path);
    let mut checked = check::check(path, &rules, wide, &mut |done, total| ctx.step("check images", done, total))?;
    let clip = super::checkpoint(&config.models.clip, shipped::clip, &super::hub(), false);
    let unfit = match (&clip, &decoder) {
        (Ok(clip), Ok(decoder)) if !checked.ready => able::fits(clip, decoder).err(),
        _ => None,
    };
    // What is not there says nothing.
    let unfit = unfit.filter(|e| matches!(e.parts().0, Error::Setting { .. }));
    if let Some(e) = unfit.as_ref().filter(|_| config.method.draws()) {
        checked.add(problem, || e.to_string());
    }
    let undrawn = unfit.map(|e| e.parts().0.to_string());
    if global.json {
        let mut told = result(&checked);
        told["methods"] = json!(able::allowed(undrawn.is_none()));
        print_json(&told)?;
    } else {
        let methods = undrawn.map_or_else(String::new, |why| format!("\n{}", plan::methods(Some(&why))));
        print(text(&checked, &rules) + &methods)?;
    }
    match checked.stopping() {
        0 => Ok(()),
        1 => Err(Error::input(&args.path, "1 problem would stop a run")),
        n => Err(Error::input(&args.path, format!("{n} problems would stop a run"))),
    }
}

fn result(checked: &Checked) -> Value {
    let split = |(images, captions): (usize, usize)| json!({ "images": images, "captions": captions });
    let [train, val, test] = checked.splits.map(split);
    let problems: Map<String, Value> = checked
        .problems
        .iter()
        .map(|(p, f)| (name(p), json!({ "count": f.count, "stops": p.stops(), "examples": f.examples })))
        .collect();
    json!({
        "dataset": checked.name,
        "layout": checked.layout.0,
        "train": train,
        "val": val,
        "test": test,
        "features_only": checked.features_only,
        "turned": checked.turned,
        "rewritten": checked.rewritten,
        "clean": checked.problems.is_empty(),
        "problems": problems,
    })
}

/// A problem as JSON spells it: `missing-image`.
fn name(problem: &Problem) -> String {
    json!(problem).as_str().unwrap_or_default().to_owned()
}

fn text(checked: &Checked, rules: &Rules) -> String {
    let [train, val, test] = checked.splits.map(|(images, captions)| format!("{images} images, {captions} captions"));
    let (layout, words) = checked.layout;
    let called = crate::fsio::printable(&checked.name);
    let mut out = format!("{called}: train {train}; val {val}; test {test}\nreads as: {words} (--as {layout})");
    if checked.features_only > 0 {
        out += &format!("\n{} images are known by their features only", checked.features_only);
    }
    if checked.turned > 0 {
        let done = match rules.orientation {
            Orientation::Apply => "are turned upright",
            Orientation::Ignore => "are taken as they are stored",
        };
        out += &format!("\n{} images carry an EXIF orientation and {done} (data.orientation)", checked.turned);
    }
    if checked.rewritten > 0 {
        out += &format!(
            "\n{} captions are read by CLIP as the reference rewrites them (data.pre_caption)",
            checked.rewritten
        );
    }
    if checked.problems.is_empty() {
        return out + "\nclean";
    }
    let rows: Vec<Vec<String>> = checked
        .problems
        .iter()
        .map(|(p, f)| vec![name(p).replace('-', " "), if p.stops() { "yes" } else { "no" }.into(), f.count.to_string()])
        .collect();
    out += &format!("\n\n{}", render(&["problem", "stops a run", "count"], &rows));
    for (problem, found) in &checked.problems {
        out += &format!("\n\n{}:", name(problem).replace('-', " "));
        found.examples.iter().for_each(|e| out += &format!("\n  {e}"));
        if found.examples.len() == check::EXAMPLES && found.count > check::EXAMPLES {
            out += &format!("\n  … and {} more", found.count - found.examples.len());
        }
    }
    out
}
