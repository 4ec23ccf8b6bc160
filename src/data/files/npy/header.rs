//! The header of an npy file: a Python dictionary in text, of which only what numpy writes is understood.

use crate::fsio::printable;
use half::{bf16, f16};
use std::io::Read;

/// Longest header read, in bytes: numpy's own are a hundred long.
const MAX_HEADER: usize = 1 << 14;

/// What the numbers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Float {
    Half,
    Brain,
    Single,
    Double,
}

impl Float {
    pub fn bytes(self) -> usize {
        match self {
            Self::Half | Self::Brain => 2,
            Self::Single => 4,
            Self::Double => 8,
        }
    }

    /// Appends the little-endian numbers in `bytes`.
    pub fn decode(self, bytes: &[u8], to: &mut Vec<f32>) {
        match self {
            Self::Half => to.extend(bytes.as_chunks::<2>().0.iter().map(|b| f16::from_le_bytes(*b).to_f32())),
            Self::Brain => to.extend(bytes.as_chunks::<2>().0.iter().map(|b| bf16::from_le_bytes(*b).to_f32())),
            Self::Single => to.extend(bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b))),
            Self::Double => to.extend(bytes.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b) as f32)),
        }
    }
}

/// A header, and how long it is with all before it.
#[derive(Debug, PartialEq)]
pub(super) struct Header {
    pub float: Float,
    pub rows: usize,
    pub width: usize,
    /// Whether the numbers of a column follow each other, not those of a row.
    pub columns: bool,
    pub bytes: u64,
}

/// Reads a header of any version of the format; the error says what is wrong with it.
pub(super) fn read(from: &mut impl Read) -> Result<Header, String> {
    let short = |_| "not an npy file: it ends within the header".to_owned();
    let mut magic = [0; 8];
    from.read_exact(&mut magic).map_err(short)?;
    let [b'\x93', b'N', b'U', b'M', b'P', b'Y', version, _] = magic else {
        return Err("not an npy file".into());
    };
    let mut size = [0; 4];
    let width = if version == 1 { 2 } else { 4 };
    from.read_exact(&mut size[..width]).map_err(short)?;
    let length = u32::from_le_bytes(size) as usize;
    if !(1..=3).contains(&version) || length > MAX_HEADER {
        return Err(format!("an npy header of version {version} and {length} bytes is not read"));
    }
    let mut text = vec![0; length];
    from.read_exact(&mut text).map_err(short)?;
    let text = std::str::from_utf8(&text).map_err(|_| "its header is not text".to_owned())?;
    Ok(Header { bytes: (8 + width + length) as u64, ..parse(text)? })
}

/// `{'descr': '<f4', 'fortran_order': False, 'shape': (9, 512), }`
fn parse(text: &str) -> Result<Header, String> {
    let value = |key: &str| {
        let quoted = [format!("'{key}'"), format!("\"{key}\"")];
        let after = quoted.iter().find_map(|q| text.split_once(q.as_str()))?.1;
        Some(after.trim_start().strip_prefix(':')?.trim_start())
    };
    let (Some(descr), Some(order), Some(shape)) = (value("descr"), value("fortran_order"), value("shape")) else {
        return Err("its header lacks descr, fortran_order or shape".into());
    };
    let float = float(descr)?;
    let columns = order.starts_with("True");
    if !columns && !order.starts_with("False") {
        return Err("its header says neither True nor False of fortran_order".into());
    }
    let inside = shape.strip_prefix('(').and_then(|s| s.split_once(')')).map(|(inside, _)| inside);
    let axes: Option<Vec<usize>> = inside
        .map(|s| s.trim().trim_end_matches(',').split(',').map(|n| n.trim().parse().ok()).collect::<Option<_>>())
        .unwrap_or_default();
    match axes.as_deref() {
        Some(&[rows, width]) => Ok(Header { float, rows, width, columns, bytes: 0 }),
        _ => {
            let shown: String = printable(inside.unwrap_or(shape)).chars().take(60).collect();
            Err(format!("has the shape ({shown}); features have two axes, [rows, width]"))
        }
    }
}

fn float(descr: &str) -> Result<Float, String> {
    let name = descr.strip_prefix(['\'', '"']).and_then(|d| d.split(['\'', '"']).next()).unwrap_or("a structure");
    match name {
        "<f2" => Ok(Float::Half),
        "<f4" => Ok(Float::Single),
        "<f8" => Ok(Float::Double),
        ">f2" | ">f4" | ">f8" => Err("is big-endian; save it with .astype('<f4')".into()),
        name if name.contains('O') => Err("holds Python objects: pickles run code and are never read".into()),
        name => {
            let shown: String = printable(name).chars().take(20).collect();
            Err(format!("holds numbers of type {shown}; float16 (<f2), float32 (<f4) and float64 (<f8) are read"))
        }
    }
}
