//! `protostill distill`.

use super::{
    Needs,
    args::{Distill, Global, Otherwise},
    config, onlooker, plan, print, print_json, progress,
    table::render,
    workbench,
};
use crate::{
    config::Config,
    data::ImageSource,
    error::{Error, Result},
    fsio::{printable, try_place},
    pipeline::{
        Ctx,
        methods::Way,
        set::{
            export::Form,
            folder::{DistilledSet, replaceable},
        },
        workbench::dry::cost::Plan,
    },
};
use serde_json::json;
use std::collections::BTreeSet;

pub fn run(global: &Global, args: &Distill) -> Result<()> {
    let config = settings(global, args)?;
    // `imagefolder` is always written.
    let named = args.format.iter().filter(|f| *f != "imagefolder");
    let forms: Vec<Form> = named.map(|f| f.parse()).collect::<Result<BTreeSet<Form>>>()?.into_iter().collect();
    let needs = Needs::of([config.method].into_iter(), false);
    if args.dry_run {
        let (bench, mut planned) = (onlooker(global, &config, needs)?, Plan::default());
        forms.iter().try_for_each(|form| form.fits(config.method, &bench.dataset().train))?;
        bench.plan(&config.recipe(), &mut planned, &Ctx::quiet())?;
        return plan::show(global, "distill", &planned, bench.dataset(), &args.out);
    }
    // Refused before the first image rather than after the last picture.
    replaceable(&args.out, args.force)?;
    try_place(&args.out)?;
    let ctx = progress::ctx(global.progress);
    let bench = workbench(global, &config, needs, &ctx)?;
    forms.iter().try_for_each(|form| form.fits(config.method, &bench.dataset().train))?;
    let set = bench.distil(&config.recipe(), &ctx)?;
    let mut manifest = bench.manifest(&config, config.method.draws())?;
    if let Some(about) = bench.trusted(&config.recipe(), &ctx)? {
        manifest["trust"] = about;
    }
    manifest["seconds"] = json!(bench.seconds());
    set.write_as(&args.out, &manifest, &forms, args.force)?;
    let seconds: f64 = bench.seconds().values().sum();
    if global.json {
        print_json(&json!({
            "dir": args.out,
            "pairs": set.pairs.len(),
            "images": args.out.join("images"),
            "also": forms.iter().map(|f| args.out.join(f.file())).collect::<Vec<_>>(),
            "seconds": bench.seconds(),
        }))
    } else {
        let also: String = forms.iter().map(|f| format!(", {}", f.file())).collect();
        let out = printable(&args.out.display().to_string());
        print(format_args!(
            "{}\n\n{} pairs by {} in {out}: images/, metadata.jsonl, prototypes.safetensors, manifest.json, README.md{also}\n\
             computing them took {seconds:.1} s; score them with: protostill evaluate {out}",
            summary(&set),
            set.pairs.len(),
            set.method
        ))
    }
}

fn settings(global: &Global, args: &Distill) -> Result<Config> {
    let mut config = args.making.over(config(global)?)?;
    let way = config.method;
    config.method = otherwise(&mut config, &args.otherwise, way)?;
    config.checked()
}

/// A way with what the command line changes about it.
pub fn otherwise(config: &mut Config, args: &Otherwise, way: Way) -> Result<Way> {
    if let Some(rule) = &args.prune {
        let unknown = |_| Error::setting("--prune", format!("`{rule}` is neither trust nor clip-score"));
        config.prune.method = serde_json::from_value(json!(rule)).map_err(unknown)?;
    }
    let soft = match args.correspondence.as_str() {
        "none" => None,
        "soft" => Some("soft"),
        other => return Err(Error::setting("--correspondence", format!("`{other}` is neither none nor soft"))),
    };
    let all = [("--pictures", args.pictures.as_deref()), ("--targets", args.targets.as_deref()), ("", soft)];
    all.into_iter().try_fold(way, |way, (flag, option)| match (flag, option) {
        ("--pictures", Some(other)) if !["drawn", "real"].contains(&other) => {
            Err(Error::setting(flag, format!("`{other}` is neither drawn nor real")))
        }
        ("--targets", Some(other)) if !["mean", "caption", "solved"].contains(&other) => {
            Err(Error::setting(flag, format!("`{other}` is none of mean, caption, solved")))
        }
        (_, Some(option)) => way.with(option),
        (_, None) => Ok(way),
    })
}

/// The first few pairs, so that one sees what one got.
fn summary(set: &DistilledSet) -> String {
    let rows: Vec<Vec<String>> = set
        .pairs
        .iter()
        .take(10)
        .enumerate()
        .map(|(i, p)| {
            let caption: String = printable(&p.caption).chars().take(60).collect();
            let image = match &p.image {
                ImageSource::Absent(name) => printable(&name.display().to_string()),
                _ => format!("images/{i:04}.png"),
            };
            vec![image, format!("{:.3}", p.similarity), p.support.to_string(), caption]
        })
        .collect();
    let mut table = render(&["image", "similarity", "support", "caption"], &rows);
    if set.pairs.len() > rows.len() {
        table.push_str(&format!("\n… and {} more", set.pairs.len() - rows.len()));
    }
    table
}
