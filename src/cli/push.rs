//! `protostill push`: a distilled set to the hub, after asking.

use super::{
    args::{Global, Push},
    hub, print, print_json, progress,
};
use crate::{
    error::{Error, Result},
    fsio::printable,
    models::hub::{Hub, Name, Upload},
    pipeline::set::folder::{DistilledSet, ReadSet},
};
use serde_json::json;
use std::io::{BufRead, IsTerminal, Write};

pub fn run(global: &Global, args: &Push) -> Result<()> {
    let wrong = || Error::setting("NAME", format!("`{}` is not org/name", args.name));
    let name = Name::parse(&args.name).ok_or_else(wrong)?;
    let (read, hub) = (DistilledSet::read(&args.dir)?, hub());
    let upload = |path: String| Upload { from: args.dir.join(&path), path };
    let files: Vec<Upload> = read.files(&args.dir).into_iter().map(upload).collect();
    let about = about(args, &hub, &name, &read, &files);
    if args.dry_run && global.json {
        let paths: Vec<&str> = files.iter().map(|f| f.path.as_str()).collect();
        return print_json(
            &json!({ "dataset": name.to_string(), "address": hub.dataset_address(&name), "files": paths }),
        );
    }
    if args.dry_run {
        return print(about);
    }
    if !args.yes {
        agree(&about)?;
    }
    let ctx = progress::ctx(global.progress);
    let message = format!("{} pairs distilled by {}", read.set.pairs.len(), read.set.method);
    let kilo = |bytes: u64| (bytes / 1000) as usize + 1;
    hub.push(&name, &files, (&message, !args.public), &mut |done, total| {
        ctx.step("upload, kB", kilo(done), kilo(total))
    })?;
    let address = hub.dataset_address(&name);
    if global.json {
        return print_json(&json!({ "dataset": name.to_string(), "address": address, "files": files.len() }));
    }
    print(format_args!("{} files in {address}; load them with: load_dataset(\"{name}\")", files.len()))
}

/// What would be uploaded and where.
fn about(args: &Push, hub: &Hub, name: &Name, read: &ReadSet, files: &[Upload]) -> String {
    let bytes: u64 = files.iter().filter_map(|f| std::fs::metadata(&f.from).ok()).map(|about| about.len()).sum();
    let seen = if args.public { "PUBLIC, for everybody to see" } else { "private" };
    let source = read.manifest.pointer("/config/data/source").and_then(|s| s.as_str()).unwrap_or("unknown");
    let mut text = format!("to {} ({seen}, if it is not there yet):\n", hub.dataset_address(name));
    for file in files.iter().filter(|f| !f.path.starts_with("images/")) {
        text += &format!("  {}\n", file.path);
    }
    text += &format!(
        "  images/, {} files\n{} files, {:.1} MB. manifest.json and README.md name your data as \"{source}\".",
        files.iter().filter(|f| f.path.starts_with("images/")).count(),
        files.len(),
        bytes as f64 / 1e6
    );
    text.lines().map(printable).collect::<Vec<_>>().join("\n")
}

/// Says so, and asks.
fn agree(about: &str) -> Result<()> {
    if !std::io::stdin().is_terminal() {
        return Err(Error::setting("--yes", "nobody is there to be asked; this uploads without asking"));
    }
    let _ = write!(std::io::stderr(), "{about}\nUpload? [y/N] ");
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).map_err(Error::io("stdin"))?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Error::Cancelled),
    }
}
