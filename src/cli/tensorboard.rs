//! Event files for TensorBoard: protobuf messages in TFRecord framing, both written by hand, since they are this small.
//!
//! Checked by hand with TensorBoard 2.21's own reader. Formats: `tensorflow/core/util/event.proto`, `tensorflow/core/framework/summary.proto`, `tensorflow/core/lib/io/record_writer.h`.

use crate::{error::Result, fsio::write_atomic};
use std::{
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

/// TensorBoard looks for `tfevents` in the name. The same name each time: a repeated run replaces its curve.
const FILE: &str = "events.out.tfevents.0.protostill";

/// A number of a curve.
pub struct Scalar<'a> {
    pub tag: &'a str,
    pub step: i64,
    pub value: f32,
}

/// Writes the curves of one run into folder `dir`.
///
/// # Errors
/// [`crate::error::Error::Io`] naming the file.
pub fn write(dir: &Path, scalars: &[Scalar]) -> Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |t| t.as_secs_f64());
    write_atomic(&dir.join(FILE), &events(now, scalars))
}

fn events(now: f64, scalars: &[Scalar]) -> Vec<u8> {
    let mut bytes = record(&event(now, 0, 3, b"brain.Event:2"));
    for scalar in scalars {
        let mut value = Vec::new();
        field(&mut value, 1, scalar.tag.as_bytes());
        value.push(2 << 3 | 5); // simple_value, 32 bits
        value.extend(scalar.value.to_le_bytes());
        let mut summary = Vec::new();
        field(&mut summary, 1, &value);
        bytes.extend(record(&event(now, scalar.step, 5, &summary)));
    }
    bytes
}

/// An Event: wall_time, step, and `what` as field `number` (3 file_version, 5 summary).
fn event(now: f64, step: i64, number: u8, what: &[u8]) -> Vec<u8> {
    let mut bytes = vec![1 << 3 | 1];
    bytes.extend(now.to_le_bytes());
    bytes.push(2 << 3);
    varint(&mut bytes, step as u64);
    field(&mut bytes, number, what);
    bytes
}

/// A field of bytes or of a message.
fn field(to: &mut Vec<u8>, number: u8, content: &[u8]) {
    to.push(number << 3 | 2);
    varint(to, content.len() as u64);
    to.extend(content);
}

fn varint(to: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

/// A TFRecord: length, its checksum, data, its checksum.
fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    [&length[..], &masked(&length).to_le_bytes(), data, &masked(data).to_le_bytes()].concat()
}

/// Checksums are masked, since one of data that holds checksums would be weak.
fn masked(data: &[u8]) -> u32 {
    crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli), bit by bit: these files have kilobytes.
fn crc32c(data: &[u8]) -> u32 {
    let byte =
        |crc: u32, b: &u8| (0..8).fold(crc ^ u32::from(*b), |c, _| (c >> 1) ^ (0x82f6_3b78 & 0u32.wrapping_sub(c & 1)));
    !data.iter().fold(!0, byte)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_checksum_is_castagnolis() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283); // the check value of CRC-32/ISCSI
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa); // RFC 3720, B.4
    }

    /// A decoder of its own: fields as (number, wire type, content).
    fn fields(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
        let mut found = Vec::new();
        let varint = |bytes: &mut &[u8]| {
            let mut value = 0u64;
            for shift in (0..).step_by(7) {
                let (first, rest) = bytes.split_first().unwrap();
                *bytes = rest;
                value |= u64::from(first & 0x7f) << shift;
                if first & 0x80 == 0 {
                    return value;
                }
            }
            value
        };
        while !bytes.is_empty() {
            let key = varint(&mut bytes);
            let length = match key & 7 {
                0 => {
                    found.push(((key >> 3) as u8, varint(&mut bytes).to_le_bytes().to_vec()));
                    continue;
                }
                1 => 8,
                5 => 4,
                _ => varint(&mut bytes) as usize,
            };
            let (content, rest) = bytes.split_at(length);
            found.push(((key >> 3) as u8, content.to_vec()));
            bytes = rest;
        }
        found
    }

    #[test]
    fn curves_come_back_from_the_file() {
        let scalars =
            [Scalar { tag: "loss", step: 0, value: 4.5 }, Scalar { tag: "R-mean, é", step: 300, value: -0.25 }];
        let mut bytes = &events(12.5, &scalars)[..];
        let mut read = Vec::new();
        while !bytes.is_empty() {
            let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
            let sum = |from: usize| u32::from_le_bytes(bytes[from..from + 4].try_into().unwrap());
            assert_eq!((sum(8), sum(12 + length)), (masked(&bytes[..8]), masked(&bytes[12..12 + length])));
            read.push(fields(&bytes[12..12 + length]));
            bytes = &bytes[16 + length..];
        }
        assert_eq!(read[0][0], (1, 12.5f64.to_le_bytes().to_vec()));
        assert_eq!(read[0][2], (3, b"brain.Event:2".to_vec()));
        for (event, scalar) in read[1..].iter().zip(&scalars) {
            assert_eq!(event[1], (2, scalar.step.to_le_bytes().to_vec()));
            let value = fields(&fields(&event[2].1)[0].1);
            assert_eq!(value, [(1, scalar.tag.as_bytes().to_vec()), (2, scalar.value.to_le_bytes().to_vec())]);
        }
        assert_eq!(read.len(), 3);
    }
}
