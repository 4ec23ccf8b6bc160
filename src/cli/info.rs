//! `protostill info`.

use super::{args::Global, config, print_json, store};
use crate::{error::Result, fsio::printable, machine, models::device::Backend};
use serde_json::json;
use std::collections::BTreeMap;

pub fn run(global: &Global, terminal: &[(&str, String)]) -> Result<()> {
    let (config, backend) = (config(global)?, Backend::open(&global.device, &global.precision)?);
    let (device, precision) = (backend.device_name(), backend.precision_name());
    let gpus = gpus();
    let usage = store(global)?.usage()?;
    let threads = rayon::current_num_threads();
    let memory = machine::memory();
    let file = global.config.as_ref().map_or("built in".to_owned(), |p| p.display().to_string());
    if global.json {
        print_json(&json!({
            "protostill": env!("CARGO_PKG_VERSION"),
            "device": device,
            "precision": precision,
            "gpus": gpus,
            "threads": threads,
            "memory": memory.map(|m| json!({"bytes": m.total, "available": m.available})),
            "config": file,
            "store": usage,
            "data": config.data.source,
            "models": config.models,
            "terminal": terminal.iter().cloned().collect::<BTreeMap<_, _>>(),
        }));
        return Ok(());
    }
    println!("protostill  {}", env!("CARGO_PKG_VERSION"));
    println!(
        "device      {device}, {precision}, {threads} threads{}",
        if candle_core::utils::with_avx() { ", AVX" } else { "" }
    );
    gpus.iter().for_each(|gpu| println!("gpu         {gpu}"));
    if let Some(memory) = memory {
        let gigabytes = |bytes| bytes as f64 / 1e9;
        println!("memory      {:.1} GB, {:.1} GB available", gigabytes(memory.total), gigabytes(memory.available));
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

/// NVIDIA's GPUs with their memory, as the driver's own tool tells them; none where there is no such tool.
fn gpus() -> Vec<String> {
    let asked = ["--query-gpu=index,name,memory.total,memory.free", "--format=csv,noheader"];
    let told = std::process::Command::new("nvidia-smi").args(asked).stdin(std::process::Stdio::null()).output();
    let told = told.ok().filter(|t| t.status.success()).map(|t| t.stdout).unwrap_or_default();
    let gpu = |line: &str| {
        let [index, name, memory, free] = line.split(", ").collect::<Vec<_>>()[..] else { return None };
        Some(printable(&format!("cuda:{index} {name}, {memory}, {free} free")))
    };
    String::from_utf8_lossy(&told).lines().filter_map(gpu).collect()
}
