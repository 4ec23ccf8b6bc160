//! Memory: ready features that do not fit in it, and what strangers make to fill it.
#![allow(clippy::unwrap_used)]

mod program;

use half::f16;
use program::{assert_same, contents, protostill};
use protostill::{
    data,
    models::device::Backend,
    pipeline::{
        Ctx,
        store::Store,
        workbench::{Checkpoints, Workbench},
    },
};
use std::{fs, path::Path};

/// Width of the demo's embeddings.
const WIDTH: usize = 128;
const PAIRS: usize = 300;

/// An npy file of `PAIRS` rows about a few centres.
fn npy(path: &Path, seed: u64, half: bool) {
    let mut state = seed;
    let mut draw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    };
    let centres: Vec<f32> = (0..8 * WIDTH).map(|_| 3.0 * draw()).collect();
    let value = |i: usize, noise: f32| f16::from_f32(centres[i / WIDTH % 8 * WIDTH + i % WIDTH] + noise);
    let values: Vec<f16> = (0..PAIRS * WIDTH).map(|i| value(i, draw())).collect();
    let descr = if half { "<f2" } else { "<f4" };
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({PAIRS}, {WIDTH}), }}");
    let header = format!("{header:<117}\n");
    let mut bytes = [&b"\x93NUMPY\x01\0"[..], &(header.len() as u16).to_le_bytes(), header.as_bytes()].concat();
    for v in values {
        if half { bytes.extend(v.to_le_bytes()) } else { bytes.extend(v.to_f32().to_le_bytes()) }
    }
    fs::write(path, bytes).unwrap();
}

fn features(dir: &Path, half: bool) {
    fs::create_dir_all(dir).unwrap();
    let captions: String = (0..PAIRS).map(|i| format!("thing {} seen from side {i}\n", i % 8)).collect();
    fs::write(dir.join("captions.txt"), captions).unwrap();
    npy(&dir.join("train_image.npy"), 1, half);
    npy(&dir.join("train_text.npy"), 2, half);
}

#[test]
fn features_that_do_not_fit_are_mapped_and_give_the_same_set() {
    for half in [false, true] {
        let home = tempfile::tempdir().unwrap();
        features(&home.path().join("data"), half);
        let distil = |out: &str, more: &[&str]| {
            let mut command = protostill(home.path());
            command.args(["distill", "--data", "data", "--store", out, "--out"]).arg(format!("{out}-set")).args(more);
            command.assert().success();
        };
        distil("held", &[]);
        // 0.0001 GB: a third of one of the two matrices.
        distil("mapped", &["--memory", "0.0001"]);
        assert_same(&home.path().join("held-set"), &home.path().join("mapped-set"));
        let names = |store: &str| contents(&home.path().join(store)).into_keys().collect::<Vec<_>>();
        assert_eq!(names("held"), names("mapped"), "a copy of the features is left");
    }
}

#[test]
fn a_dry_run_tells_what_reading_features_takes() {
    for half in [false, true] {
        let home = tempfile::tempdir().unwrap();
        features(&home.path().join("data"), half);
        let read = |memory: &str| {
            let args = ["distill", "--data", "data", "--store", "none", "--memory", memory, "--dry-run", "--json"];
            let run = protostill(home.path()).args(args).assert().success();
            let plan: serde_json::Value = serde_json::from_slice(&run.get_output().stdout).unwrap();
            assert!(!home.path().join("none").exists());
            let stage = plan["stages"][0].clone();
            assert_eq!((stage["stage"].as_str(), stage["items"].as_u64()), (Some("read features"), Some(600)));
            assert!(stage["seconds"].as_f64().unwrap() > 0.0);
            (stage["memory"].as_u64().unwrap(), stage["disk"].as_u64().unwrap())
        };
        let bytes = (2 * PAIRS * WIDTH * 4) as u64;
        assert_eq!(read("64"), (bytes, 0));
        // Copied, and mapped.
        assert_eq!(read("0.0001"), (0, bytes));
    }
}

#[test]
fn features_cut_before_they_are_read_are_an_error_with_the_file_and_cut_later_do_no_harm() {
    let home = tempfile::tempdir().unwrap();
    let (folder, file) = (home.path().join("data"), home.path().join("data/train_image.npy"));
    features(&folder, false);
    let open = || {
        let store = Store::open(home.path().join("store")).unwrap();
        let bench = Workbench::new(data::open(&folder).unwrap(), Checkpoints::demo(), store, Backend::CPU);
        bench.within(100_000)
    };
    let cut = |to: u64| fs::File::options().write(true).open(&file).unwrap().set_len(to).unwrap();
    let (bench, ctx) = (open(), Ctx::quiet());
    let found = bench.embeddings(&ctx).unwrap();
    assert!(found.0.image.is_mapped());
    let last = found.0.image.row(PAIRS - 1).to_vec();
    cut(1000);
    assert_eq!(found.0.image.row(PAIRS - 1).to_vec(), last);
    bench.stats(&Default::default(), &ctx).unwrap();

    features(&folder, false);
    let late = open();
    cut(1000);
    let said = late.embeddings(&ctx).unwrap_err().to_string();
    assert!(said.contains("train_image.npy"), "{said}");
}

/// The most memory that a command holds, in bytes, and what it prints.
#[cfg(target_os = "linux")]
fn peak(mut command: std::process::Command) -> (u64, String) {
    use std::io::Read;
    let mut child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null()).spawn().unwrap();
    let (about, mut most) = (format!("/proc/{}/status", child.id()), 0);
    while child.try_wait().unwrap().is_none() {
        let status = fs::read_to_string(&about).unwrap_or_default();
        let peak =
            status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
        most = most.max(peak.unwrap_or(0) * 1024);
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let mut said = String::new();
    child.stdout.unwrap().read_to_string(&mut said).unwrap();
    (most, said)
}

#[cfg(target_os = "linux")]
#[test]
fn a_gigabyte_is_kept_however_large_pictures_and_their_files_are_and_however_many_threads_read_them() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("data");
    fs::create_dir(&folder).unwrap();
    // Each takes 150 MB as a file and 108 MB as pixels.
    image::RgbImage::from_pixel(6000, 6000, image::Rgb([3, 200, 9])).save(folder.join("0.png")).unwrap();
    fs::File::options().write(true).open(folder.join("0.png")).unwrap().set_len(150 << 20).unwrap();
    let mut list = String::new();
    for i in 0..8 {
        let _ = fs::hard_link(folder.join("0.png"), folder.join(format!("{i}.png")));
        list += &format!("{{\"file_name\": \"{i}.png\", \"text\": \"thing {i}\"}}\n");
    }
    fs::write(folder.join("metadata.jsonl"), list).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_protostill"));
    command.args(["check", "data", "--memory", "1", "--threads", "16", "--json"]).current_dir(home.path());
    let (most, said) = peak(command);
    let found: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(found["train"]["images"], 8, "{found}");
    assert!(found["problems"].get("unreadable-image").is_none(), "{found}");
    assert!(most > 200_000_000 && most < 1_200_000_000, "{most} bytes");
}
