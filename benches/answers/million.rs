//! A million pairs of ready features of width 512.

use super::{SIZE, panes_in_turn, report, terminal::Terminal};
use half::f16;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

const PAIRS: usize = 1_000_000;
const WIDTH: usize = 512;
/// Groups that images and captions lie around.
const GROUPS: usize = 300;

/// Features around centres, float16 as numpy writes them.
fn features(path: &Path, side: u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(side);
    let centres: Vec<f32> = (0..GROUPS * WIDTH).map(|_| rng.random_range(-1f32..1.0)).collect();
    let grain: Vec<f32> = (0..(1 << 20) + WIDTH).map(|_| rng.random_range(-1f32..1.0)).collect();
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path).unwrap());
    let head = format!("{{'descr': '<f2', 'fortran_order': False, 'shape': ({PAIRS}, {WIDTH}), }}");
    let head = format!("{head:<117}\n");
    out.write_all(b"\x93NUMPY\x01\x00").unwrap();
    out.write_all(&(head.len() as u16).to_le_bytes()).unwrap();
    out.write_all(head.as_bytes()).unwrap();
    for row in 0..PAIRS {
        let (centre, from) = (&centres[row * 7919 % GROUPS * WIDTH..][..WIDTH], row * 613 % (1 << 20));
        let values = centre.iter().zip(&grain[from..from + WIDTH]).map(|(c, g)| f16::from_f32(c + 0.7 * g));
        let bytes: Vec<u8> = values.flat_map(|v| v.to_le_bytes()).collect();
        out.write_all(&bytes).unwrap();
    }
    out.flush().unwrap();
}

pub fn million(home: &Path) {
    let data = home.join("data");
    std::fs::create_dir_all(&data).unwrap();
    features(&data.join("image_embeddings.npy"), 1);
    features(&data.join("text_embeddings.npy"), 2);
    let mut captions = BufWriter::new(File::create(data.join("captions.txt")).unwrap());
    (0..PAIRS).for_each(|i| writeln!(captions, "picture {i} of group {}", i * 7919 % GROUPS).unwrap());
    captions.into_inner().unwrap();
    let method = std::env::var("METHOD").unwrap_or_else(|_| "need".into());
    let method = format!("method={method}");
    let data = data.to_str().unwrap();
    let mut term = Terminal::start(home, SIZE, &["explore", "--data", data, "--set", &method]);
    println!("{:<44} {:10.1} ms", "first frame", term.until("protostill").as_secs_f64() * 1e3);
    println!("{:<44} {:10.1} s", "all pairs judged", term.until("by trust").as_secs_f64());
    println!("{:<44} {:10.1} s", "prototypes", term.until("· set").as_secs_f64());
    let panes = [("6", "embed the data:"), ("2", "support  tight"), ("5", "Training ")];
    term.press("2", "support  tight");
    let looks = (0..5).map(|_| {
        let time = term.press("+", "a first look, at");
        term.press("-", "· set");
        time
    });
    report("terminal, slider to new prototypes", looks.collect());
    report("terminal, panes at rest", panes_in_turn(&mut term, &panes));
    term.rest();
    term.press("2", "support  tight");
    term.keys.write_all(b"+").unwrap();
    report("terminal, panes while it clusters", panes_in_turn(&mut term, &panes));
    term.leave();
}
