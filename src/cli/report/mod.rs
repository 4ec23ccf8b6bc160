//! `protostill report`: distilled sets as one page that opens anywhere, offline.

mod gather;
pub(super) mod html;
pub(super) mod page;
pub(super) mod plot;

use super::{
    args::{Global, Report},
    print, print_json, progress,
};
use crate::{
    error::{Error, Result},
    fsio::{printable, try_place, write_atomic},
};
use serde_json::json;

pub fn run(global: &Global, args: &Report) -> Result<()> {
    try_place(&args.out)?;
    if args.out.is_dir() {
        return Err(Error::setting("--out", format!("{} is a folder; name a file", args.out.display())));
    }
    let ctx = progress::ctx(global.progress);
    let sets = args.dirs.iter().map(|dir| gather::set(global, dir, args.embed, &ctx)).collect::<Result<Vec<_>>>()?;
    let page = page::page(&sets);
    write_atomic(&args.out, page.as_bytes())?;
    let missing: Vec<&str> = sets.iter().filter_map(|set| set.real.as_ref().err().map(String::as_str)).collect();
    if global.json {
        let pairs: usize = sets.iter().map(|set| set.read.set.pairs.len()).sum();
        return print_json(&json!({
            "file": args.out, "bytes": page.len(), "sets": sets.len(), "pairs": pairs, "missing": missing,
        }));
    }
    let out = printable(&args.out.display().to_string());
    print(format_args!(
        "{} in {out}, {:.1} MB; a browser opens it without a network",
        of(sets.len()),
        megabytes(&page)
    ))?;
    missing.iter().try_for_each(|why| print(format_args!("without nearest real pairs: {}", printable(why))))
}

fn of(sets: usize) -> String {
    if sets == 1 { "a set".into() } else { format!("{sets} sets") }
}

fn megabytes(page: &str) -> f64 {
    page.len() as f64 / 1e6
}
