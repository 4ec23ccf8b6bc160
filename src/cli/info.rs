//! `protostill info`.

use super::{args::Global, config, print_json, store};
use crate::{error::Result, fsio::printable};
use serde_json::json;
use std::collections::BTreeMap;

pub fn run(global: &Global, terminal: &[(&str, String)]) -> Result<()> {
    let config = config(global)?;
    let usage = store(global)?.usage()?;
    let threads = rayon::current_num_threads();
    let file = global.config.as_ref().map_or("built in".to_owned(), |p| p.display().to_string());
    if global.json {
        print_json(&json!({
            "protostill": env!("CARGO_PKG_VERSION"),
            "device": "cpu",
            "threads": threads,
            "config": file,
            "store": usage,
            "data": config.data.source,
            "models": config.models,
            "terminal": terminal.iter().cloned().collect::<BTreeMap<_, _>>(),
        }));
        return Ok(());
    }
    println!("protostill  {}", env!("CARGO_PKG_VERSION"));
    println!("device      cpu, {threads} threads{}", if candle_core::utils::with_avx() { ", AVX" } else { "" });
    println!("config      {file}");
    println!("data        {}", config.data.source);
    println!(
        "models      clip {}, decoder {}, encoders {}",
        config.models.clip, config.models.decoder, config.models.encoders
    );
    println!("store       {} ({} artefacts, {:.1} MB)", usage.path.display(), usage.count, usage.bytes as f64 / 1e6);
    for (name, value) in terminal {
        println!("{name:<11} {}", printable(value));
    }
    Ok(())
}
