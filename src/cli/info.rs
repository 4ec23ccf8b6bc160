//! `protostill info`.

use super::{args::Global, config, print, print_json, store};
use crate::{about, error::Result, fsio::printable, machine, models::device::Backend};
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
        return print_json(&json!({
            "protostill": about::VERSION,
            "build": about::json(),
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
    }
    let models = &config.models;
    let gigabytes = |bytes| bytes as f64 / 1e9;
    let avx = if candle_core::utils::with_avx() { ", AVX" } else { "" };
    let mut rows = vec![
        ("protostill", about::line().trim_start_matches("protostill ").to_owned()),
        ("device", format!("{device}, {precision}, {threads} threads{avx}")),
    ];
    rows.extend(gpus.into_iter().map(|gpu| ("gpu", gpu)));
    let of_memory =
        |m: machine::Memory| format!("{:.1} GB, {:.1} GB available", gigabytes(m.total), gigabytes(m.available));
    rows.extend(memory.map(|memory| ("memory", of_memory(memory))));
    let store = (usage.path.display(), usage.count, usage.bytes as f64 / 1e6);
    rows.extend([
        ("config", file),
        ("data", config.data.source),
        ("models", format!("clip {}, decoder {}, encoders {}", models.clip, models.decoder, models.encoders)),
        ("store", format!("{} ({} artefacts, {:.1} MB)", store.0, store.1, store.2)),
    ]);
    let lines = rows.iter().map(|(name, value)| format!("{name:<11} {}", printable(value)));
    let of_terminal = terminal.iter().map(|(name, value)| format!("{name:<14} {}", printable(value)));
    print(lines.chain(of_terminal).collect::<Vec<_>>().join("\n"))
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
