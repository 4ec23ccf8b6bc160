//! Matrices in safetensors files: a header in JSON, then the numbers.

use super::{
    Matrix,
    header::{Float, Header},
};
use crate::{
    door,
    error::{Error, Result},
    fsio::printable,
};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    io::{Read, Seek},
    path::Path,
};

/// Longest header read, in bytes.
const MAX_HEADER: u64 = 1 << 20;

/// What the header says of a tensor. That of its metadata has none of it.
#[derive(Deserialize)]
struct Tensor {
    dtype: Option<String>,
    #[serde(default)]
    shape: Vec<usize>,
    #[serde(default)]
    data_offsets: [u64; 2],
}

impl Matrix {
    /// The matrices of floats in the `.safetensors` file `path` by name; other tensors are passed over.
    ///
    /// # Errors
    /// [`Error::Input`] for what is no such file, or claims more than it has; [`Error::Io`].
    pub fn open_tensors(path: &Path) -> Result<Vec<(String, Self)>> {
        let wrong = |what: &str| Error::input(path, format!("not a readable safetensors file: {}", printable(what)));
        let mut file = door::open(path).map_err(Error::io(path))?;
        let end = file.metadata().map_err(Error::io(path))?.len();
        let mut length = [0; 8];
        file.read_exact(&mut length).map_err(|_| wrong("it ends within the header"))?;
        let length = u64::from_le_bytes(length);
        if length > MAX_HEADER.min(end.saturating_sub(8)) {
            return Err(wrong(&format!("a header of {length} bytes")));
        }
        let mut text = vec![0; length as usize];
        file.read_exact(&mut text).map_err(Error::io(path))?;
        let begin = file.stream_position().map_err(Error::io(path))?;
        let tensors: BTreeMap<String, Tensor> = serde_json::from_slice(&text).map_err(|e| wrong(&e.to_string()))?;
        let mut found = Vec::new();
        for (name, tensor) in tensors {
            let float = match tensor.dtype.as_deref() {
                Some("F16") => Float::Half,
                Some("BF16") => Float::Brain,
                Some("F32") => Float::Single,
                Some("F64") => Float::Double,
                _ => continue,
            };
            let (&[rows, width], [from, to]) = (&tensor.shape[..], tensor.data_offsets) else { continue };
            let header = Header { float, rows, width, columns: false, bytes: 0 };
            let (from, to) = (begin.saturating_add(from), begin.saturating_add(to).min(end));
            let matrix = Self::of(path, from, to, header, None).map_err(|e| match e {
                Error::Input { path, message } => {
                    Error::Input { path, message: format!("tensor \"{}\": {message}", printable(&name)) }
                }
                other => other,
            })?;
            found.push((name, matrix));
        }
        Ok(found)
    }
}
