//! `protostill info`.

use super::{args::Global, config, print_json, store};
use crate::{error::Result, fsio::printable};
use serde_json::json;
use std::collections::BTreeMap;

pub fn run(global: &Global, terminal: &[(&str, String)]) -> Result<()> {
    let config = config(global)?;
    let usage = store(global)?.usage()?;
    let threads = rayon::current_num_threads();
    let memory = memory();
    let file = global.config.as_ref().map_or("built in".to_owned(), |p| p.display().to_string());
    if global.json {
        print_json(&json!({
            "protostill": env!("CARGO_PKG_VERSION"),
            "device": "cpu",
            "threads": threads,
            "memory": memory.map(|(all, free)| json!({"bytes": all, "available": free})),
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
    if let Some((all, free)) = memory {
        println!("memory      {:.1} GB, {:.1} GB available", all as f64 / 1e9, free as f64 / 1e9);
    }
    println!("config      {file}");
    println!("data        {}", config.data.source);
    println!(
        "models      clip {}, decoder {}, encoders {}",
        config.models.clip, config.models.decoder, config.models.encoders
    );
    println!("store       {} ({} artefacts, {:.1} MB)", usage.path.display(), usage.count, usage.bytes as f64 / 1e6);
    for (name, value) in terminal {
        println!("{name:<14} {}", printable(value));
    }
    Ok(())
}

/// The device's memory in bytes, and how much of it is to be had, where the system says so (Linux: proc_meminfo(5)).
fn memory() -> Option<(u64, u64)> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let of = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
    };
    Some((of("MemTotal:")?, of("MemAvailable:")?))
}
