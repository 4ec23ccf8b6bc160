//! `protostill fetch`, and the fetching that other commands do when the cache lacks what the settings name.

use super::{
    Needs,
    args::{Fetch, Global},
    config, hub, print, print_json, progress,
};
use crate::{
    config::Config,
    error::{Error, Result},
    fsio::printable,
    models::hub::{Fetched, Hub, Name},
    pipeline::Ctx,
};
use serde_json::json;
use std::path::{Path, PathBuf};

pub fn run(global: &Global, args: &Fetch) -> Result<()> {
    let (hub, ctx) = (hub(), progress::ctx(global.progress));
    let mut all = Vec::new();
    for name in names(global, args)? {
        let (found, lacking) = if args.dry_run { hub.lacking(&name)? } else { (one(&hub, &name, &ctx)?, 0) };
        if !global.json {
            let mega = |bytes: u64| bytes as f64 / 1e6;
            let to_come =
                if args.dry_run { format!(", {:.1} MB of them to fetch", mega(lacking)) } else { String::new() };
            let folder = printable(&found.folder.display().to_string());
            print(format_args!("{name}: {} files, {:.1} MB{to_come}, in {folder}", found.files, mega(found.bytes)))?;
        }
        let Fetched { folder, files, bytes } = found;
        all.push(
            json!({"name": name.to_string(), "files": files, "bytes": bytes, "lacking": lacking, "folder": folder}),
        );
    }
    if global.json { print_json(&json!(all)) } else { Ok(()) }
}

/// Fetches what the settings name, the command needs and the cache lacks. Offline it does nothing: opening says what is missing.
pub fn missing(config: &Config, needs: Needs, hub: &Hub, ctx: &Ctx) -> Result<()> {
    let mut lacking = named(config, needs).into_iter().filter(|name| !hub.is_offline() && hub.snapshot(name).is_err());
    lacking.try_for_each(|name| one(hub, &name, ctx).map(drop))
}

fn one(hub: &Hub, name: &Name, ctx: &Ctx) -> Result<Fetched> {
    // In megabytes, and never 0 of 0.
    let mega = |bytes: u64| (bytes / 1_000_000) as usize + 1;
    hub.fetch(name, &mut |done, total| ctx.step("fetch, MB", mega(done), mega(total)))
}

/// The names given, or those of the settings.
fn names(global: &Global, args: &Fetch) -> Result<Vec<Name>> {
    let parse = |name: &String| {
        let wrong = || {
            let message = format!("`{name}` is not org/model, datasets/org/name, or either with @revision");
            Error::setting("NAME", message)
        };
        Name::parse(name).ok_or_else(wrong)
    };
    if !args.names.is_empty() {
        return args.names.iter().map(parse).collect();
    }
    let names = named(&config(global)?, Needs::ALL);
    if names.is_empty() {
        return Err(
            Error::setting("models", "the settings name nothing on the hub").or("name a model, or give --config")
        );
    }
    Ok(names)
}

/// The folder of a data set that is named as on the hub, fetched if the cache lacks it and `ctx` says that it may be; none
/// for any other name.
pub fn data(source: &str, hub: &Hub, ctx: Option<&Ctx>) -> Result<Option<PathBuf>> {
    let Some(name) = Name::parse_data(source).filter(|_| !Path::new(source).exists()) else { return Ok(None) };
    match (hub.snapshot(&name), ctx) {
        (Err(_), Some(ctx)) if !hub.is_offline() => one(hub, &name, ctx).map(|fetched| Some(fetched.folder)),
        (found, _) => found.map(Some),
    }
}

/// What of the settings stands for a model on the hub.
fn named(config: &Config, needs: Needs) -> Vec<Name> {
    let models = &config.models;
    let mut all = vec![&models.clip];
    all.extend(needs.decoder.then_some(&models.decoder));
    if needs.encoders {
        all.push(&models.encoders);
        all.extend(&config.evaluation.encoders);
    }
    all.into_iter().filter(|name| !Path::new(name).is_dir()).filter_map(|name| Name::parse(name)).collect()
}
