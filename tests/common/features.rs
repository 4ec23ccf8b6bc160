//! Ready features in files.
#![allow(clippy::unwrap_used)]

use std::{fs, path::Path};

/// Ready features of more rows than one part of a clustering has.
pub fn write(dir: &Path) {
    const ROWS: usize = 150_000;
    let noise = |i: usize, j: usize| (16 * i + j).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
    let value = |i: usize, j: usize| (noise(noise(i, j), j) >> 40) as f32 / (1 << 23) as f32 - 1.0;
    fs::create_dir_all(dir).unwrap();
    for (name, j) in [("image", 0), ("text", 1)] {
        let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({ROWS}, 6), }}");
        let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
        bytes.extend(format!("{header:<117}\n").bytes());
        bytes.extend((0..ROWS).flat_map(|i| (0..6).flat_map(move |k| value(i, 7 * j + k).to_le_bytes())));
        fs::write(dir.join(format!("{name}_embeddings.npy")), bytes).unwrap();
    }
    let captions: String = (0..ROWS).map(|i| format!("picture {i}\n")).collect();
    fs::write(dir.join("captions.txt"), captions).unwrap();
}
