//! Files changed at random, the same way for the same seed: every parser answers each of them, and none panics.

use super::parsers::Parser;
use rand::{Rng, RngCore, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Files that each parser is given in an ordinary run.
const ROUNDS: u64 = 150;

/// Bytes that lengths, counts and texts are made wrong with.
const ODD: [&[u8]; 14] = [
    &[0],
    &[0xff],
    &[0x7f, 0xff, 0xff, 0xff],
    &[0xff, 0xff, 0xff, 0x7f],
    &[0xff; 8],
    &[0, 0, 0, 0x80],
    b"NaN",
    b"-1",
    b"99999999999999999999",
    b"\"",
    b"[[[[[[[[",
    b"\xf0\x9f\x98\x80\xcc\x81",
    b"../",
    b"\x1b[2J\n",
];

/// Writes the parser's files to a folder and lets it read them, with which it must be content as they are, and which it may
/// refuse however one of them is changed. `PROTOSTILL_MUTATIONS` times as many rounds make a long run.
pub fn survives(parser: &Parser) {
    let more = std::env::var("PROTOSTILL_MUTATIONS").ok().and_then(|n| n.parse::<u64>().ok()).unwrap_or(1);
    let Parser { name, files, read } = parser;
    let dir = tempfile::tempdir().unwrap();
    (0..files.len()).for_each(|i| parser.put(dir.path(), i, &files[i].1));
    assert!(read(dir.path()), "{name}: what is whole is not read");
    for seed in 0..ROUNDS * more {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let i = rng.random_range(0..files.len());
        let (file, bytes) = &files[i];
        parser.put(dir.path(), i, &changed(bytes, &mut rng));
        if catch_unwind(AssertUnwindSafe(|| read(dir.path()))).is_err() {
            panic!("{name}: seed {seed} panics, by {file} in {}", dir.keep().display());
        }
        parser.put(dir.path(), i, bytes);
    }
}

fn changed(bytes: &[u8], rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..rng.random_range(1..5) {
        let at = rng.random_range(0..=bytes.len());
        let to = (at + rng.random_range(0..=(bytes.len() - at).min(64))).min(bytes.len());
        let odd = ODD.choose(rng).unwrap().to_vec();
        let over = bytes.len().min(at + odd.len());
        match rng.random_range(0..7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8),
            1 if at < bytes.len() => bytes[at] = rng.next_u32() as u8,
            2 => drop(bytes.splice(at..over, odd)),
            3 => drop(bytes.splice(at..at, odd)),
            4 => drop(bytes.drain(at..to)),
            5 => {
                let again = bytes[at..to].to_vec();
                let place = rng.random_range(0..=bytes.len());
                bytes.splice(place..place, again);
            }
            // A tenth of these cut: a longer file has more to say.
            _ if rng.random_range(0..10) == 0 => bytes.truncate(at),
            _ => {}
        }
    }
    bytes
}
