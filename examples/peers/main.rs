//! One measured call on a file of numbers, for `tools/peers`, which runs the peers on the same file.
//!
//! ```text
//! peers kmeans ROWS.npy M N_INIT BREATH CENTRES.npy SEED MAX_ITER   # fit; the caller judges the centres written
//! peers warm ROWS.npy M TO N_INIT CENTRES.npy SEED                  # fit M unmeasured, then from there to TO
//! peers match TABLE.npy                                             # M x M gains, int64
//! peers CASE CHECKPOINT FOLDER                                      # a network on the inputs there; see models.rs
//! ```
//! Prints one line of JSON: wall and CPU seconds of the call, the value it reached, the process's memory before it and at
//! its peak.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod models;

use ndarray::{Array2, ArrayView2};
use protostill::{
    machine,
    pipeline::{
        Ctx,
        cluster::{ClusterSettings, Clusters, fit, fit_from},
        prototypes::assign::best_assignment,
    },
};
use std::{
    fs::{self, File},
    io::{BufReader, Read},
    path::Path,
    time::Instant,
};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize| args[i].parse::<usize>().unwrap();
    let ctx = Ctx::quiet();
    match args[0].as_str() {
        "kmeans" => {
            let (rows, ones) = rows(&args[1]);
            let settings = ClusterSettings {
                prototypes: number(2),
                n_init: number(3),
                breath: number(4),
                seed: number(6) as u64,
                max_iter: number(7),
                ..ClusterSettings::default()
            };
            let found = measured(|| fit(rows.view(), &ones, &settings, &ctx).unwrap(), told);
            write(&args[5], found.centroids.view());
        }
        "warm" => {
            let (rows, ones) = rows(&args[1]);
            let seed = number(6) as u64;
            let settings =
                |prototypes| ClusterSettings { prototypes, n_init: number(4), seed, ..ClusterSettings::default() };
            let from = fit(rows.view(), &ones, &settings(number(2)), &ctx).unwrap().centroids;
            let found =
                measured(|| fit_from(rows.view(), &ones, from.view(), &settings(number(3)), &ctx).unwrap(), told);
            write(&args[5], found.centroids.view());
        }
        "match" => {
            let gain = npy(&args[1], "<i8", i64::from_le_bytes);
            let total = |columns: &Vec<usize>| columns.iter().enumerate().map(|(i, &j)| gain[[i, j]] as f64).sum();
            measured(|| best_assignment(gain.view(), &ctx).unwrap(), |columns| (total(columns), 0));
        }
        case => models::run(case, &args[1], Path::new(&args[2])),
    }
}

fn told(found: &Clusters) -> (f64, usize) {
    (found.inertia, found.iterations)
}

fn measured<T>(work: impl FnOnce() -> T, value: impl Fn(&T) -> (f64, usize)) -> T {
    let clock = Clock::start();
    let made = work();
    let took = clock.read();
    let (value, rounds) = value(&made);
    tell(took, value, rounds);
    made
}

/// Wall and CPU time since it was started.
struct Clock(Instant, f64, u64);

impl Clock {
    fn start() -> Self {
        rayon::broadcast(|_| ());
        Self(Instant::now(), cpu_seconds(), machine::resident().unwrap_or(0))
    }

    fn read(&self) -> (f64, f64, u64) {
        (self.0.elapsed().as_secs_f64(), cpu_seconds() - self.1, self.2)
    }
}

fn tell((wall, cpu, before): (f64, f64, u64), value: f64, rounds: usize) {
    println!(
        "{}",
        serde_json::json!({
            "wall": wall, "cpu": cpu, "value": value, "rounds": rounds, "before": before, "peak": machine::peak().unwrap_or(0),
            "threads": rayon::current_num_threads(),
        })
    );
}

/// User and system time of this process; Linux counts in hundredths.
fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or("").split_whitespace();
    fields.skip(11).take(2).filter_map(|f| f.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn rows(path: &str) -> (Array2<f32>, Vec<u32>) {
    let rows = npy(path, "<f4", f32::from_le_bytes);
    let ones = vec![1; rows.nrows()];
    (rows, ones)
}

/// A two-dimensional array in C order, as `numpy.save` writes it, held once.
fn npy<T, const B: usize>(path: &str, kind: &str, value: fn([u8; B]) -> T) -> Array2<T> {
    let mut file = BufReader::new(File::open(path).unwrap());
    let mut start = [0; 10];
    file.read_exact(&mut start).unwrap();
    let mut header = vec![0; usize::from(u16::from_le_bytes([start[8], start[9]]))];
    file.read_exact(&mut header).unwrap();
    let text = String::from_utf8(header).unwrap();
    assert!(text.contains(kind) && text.contains("'fortran_order': False"), "{text}");
    let shape = text.split('(').nth(1).unwrap().split(')').next().unwrap();
    let shape: Vec<usize> = shape.split(',').filter_map(|s| s.trim().parse().ok()).collect();
    Array2::from_shape_simple_fn((shape[0], shape[1]), || {
        let mut bytes = [0; B];
        file.read_exact(&mut bytes).unwrap();
        value(bytes)
    })
}

fn write(path: &str, rows: ArrayView2<f32>) {
    let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", rows.nrows(), rows.ncols());
    let text = format!("{text:<117}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.bytes());
    rows.iter().for_each(|v| bytes.extend(v.to_le_bytes()));
    fs::write(path, bytes).unwrap();
}
