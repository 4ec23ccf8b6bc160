//! Feature matrices in `.npy` files, in `.npz` archives of them and in `.safetensors` files, read in place, or where they are
//! compressed from a temporary file. Pickles are never read.
//!
//! The formats: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>,
//! <https://github.com/huggingface/safetensors#format>.

mod archive;
mod header;
mod tensors;

use super::unpacked::Unpacked;
use crate::{
    door,
    error::{Error, Result},
};
use header::{Float, Header};
use ndarray::Array2;
use sha2::{Digest, Sha256};
use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
    sync::Arc,
};

/// Bytes read at once.
const CHUNK: usize = 1 << 22;
/// Widest matrix of features, in numbers: of no rows at all a file can claim any width.
const MAX_WIDTH: usize = 1 << 20;

/// One matrix of a file: `rows` of `width` floats from byte `offset`.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::data) struct Matrix {
    pub path: Arc<Path>,
    offset: u64,
    float: Float,
    pub rows: usize,
    width: usize,
    /// Whether a column's numbers follow each other, not a row's.
    columns: bool,
    /// Where they lie unpacked, if the file is compressed.
    unpacked: Option<Arc<Unpacked>>,
}

impl Matrix {
    /// The matrix in the `.npy` file `path`; its header is checked against the file's length, its numbers are not read.
    ///
    /// # Errors
    /// [`Error::Input`] saying what is wrong with the header: no npy file, another type than float16, float32 or float64
    /// (little-endian), not two axes, a file that is too short; [`Error::Io`].
    pub fn open(path: &Path) -> Result<Self> {
        let mut file = door::open(path).map_err(Error::io(path))?;
        let end = file.metadata().map_err(Error::io(path))?.len();
        Self::at(path, &mut file, 0, end, None)
    }

    /// The npy file that takes the bytes from `start` to `end` of `file`.
    fn at(path: &Path, file: &mut File, start: u64, end: u64, unpacked: Option<Arc<Unpacked>>) -> Result<Self> {
        file.seek(SeekFrom::Start(start)).map_err(Error::io(path))?;
        let header =
            header::read(&mut file.take(end.saturating_sub(start))).map_err(|what| Error::input(path, what))?;
        Self::of(path, start + header.bytes, end, header, unpacked)
    }

    /// The matrix that `header` says lies between `offset` and `end`.
    fn of(path: &Path, offset: u64, end: u64, header: Header, unpacked: Option<Arc<Unpacked>>) -> Result<Self> {
        let Header { float, rows, width, columns, .. } = header;
        let wrong = |message: String| Err(Error::input(path, message));
        let size = (rows as u64).checked_mul(width as u64).and_then(|n| n.checked_mul(float.bytes() as u64));
        let left = end.saturating_sub(offset);
        if size.is_none_or(|size| size > left) {
            return wrong(format!("claims {rows} x {width} numbers, but {left} bytes are left"));
        }
        if rows > u32::MAX as usize || !(1..=MAX_WIDTH).contains(&width) {
            return wrong(format!("{rows} x {width} is no matrix of features"));
        }
        Ok(Self { path: path.into(), offset, float, rows, width, columns, unpacked })
    }

    /// The file that holds the numbers.
    fn file(&self) -> Result<File> {
        let file = match &self.unpacked {
            Some(unpacked) => unpacked.file(),
            None => door::open(&self.path),
        };
        file.map_err(Error::io(&self.path))
    }

    /// Gives the bytes of rows `from..to` to `see`, some whole rows at a time.
    fn stream(&self, file: &mut File, from: usize, to: usize, see: &mut dyn FnMut(&[u8])) -> Result<()> {
        let row = self.width * self.float.bytes();
        let (at_once, mut at) = ((CHUNK / row).max(1), from);
        let mut bytes = vec![0; at_once.min(to - from) * row];
        while at < to {
            let rows = at_once.min(to - at);
            let some = &mut bytes[..rows * row];
            let read = if self.columns {
                self.transposed(file, at, rows, some)
            } else {
                self.run(file, at * self.width, some)
            };
            read.map_err(Error::io(&self.path))?;
            see(some);
            at += rows;
        }
        Ok(())
    }

    /// Fills `to` with the numbers from the `first` on. Hands on what is unpacked share one position: each asks anew.
    fn run(&self, file: &mut File, first: usize, to: &mut [u8]) -> io::Result<()> {
        let from = self.offset + (first * self.float.bytes()) as u64;
        match &self.unpacked {
            Some(unpacked) => unpacked.read_into(from, to),
            None => {
                file.seek(SeekFrom::Start(from))?;
                file.read_exact(to)
            }
        }
    }

    /// Fills `to` with rows whose numbers lie a column after the other.
    fn transposed(&self, file: &mut File, from: usize, rows: usize, to: &mut [u8]) -> io::Result<()> {
        let each = self.float.bytes();
        let mut column = vec![0; rows * each];
        for at in 0..self.width {
            self.run(file, at * self.rows + from, &mut column)?;
            for (row, number) in column.chunks_exact(each).enumerate() {
                to[(row * self.width + at) * each..][..each].copy_from_slice(number);
            }
        }
        Ok(())
    }
}

/// Matrices of one width, one below the other: what the shards of an embedding run hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    parts: Vec<Matrix>,
    rows: usize,
    width: usize,
}

impl Table {
    /// # Errors
    /// [`Error::Input`] naming the first matrix of another width, or a table of over 2^32 rows.
    pub(in crate::data) fn new(parts: Vec<Matrix>) -> Result<Self> {
        let width = parts.first().map_or(0, |p| p.width);
        if let Some(odd) = parts.iter().find(|p| p.width != width) {
            let message =
                format!("rows of {} numbers, where {} has rows of {width}", odd.width, parts[0].path.display());
            return Err(Error::input(&*odd.path, message));
        }
        let rows = parts.iter().map(|p| p.rows).sum();
        match parts.last() {
            Some(last) if rows > u32::MAX as usize => Err(Error::input(&*last.path, "more than 2^32 rows in all")),
            _ => Ok(Self { parts, rows, width }),
        }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Width of a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The first of its files, for messages.
    pub(in crate::data) fn path(&self) -> &Path {
        self.parts.first().map_or(Path::new(""), |p| &p.path)
    }

    /// The rows `picks`, in that order, as float32: `[picks, width]`. Runs of neighbours are read at once.
    ///
    /// # Errors
    /// [`Error::Input`] naming file, row and column of a number that is not finite; [`Error::Io`]; [`Error::Shape`] if
    /// there is no such row.
    pub fn read(&self, picks: &[u32]) -> Result<Array2<f32>> {
        let mut numbers = Vec::with_capacity(picks.len().saturating_mul(self.width));
        for run in picks.chunk_by(|a, b| a.checked_add(1) == Some(*b)) {
            let mut rows = run[0] as usize..run[0] as usize + run.len();
            let mut begins = 0;
            for part in &self.parts {
                let (from, to) =
                    (rows.start.max(begins) - begins, rows.end.min(begins + part.rows).saturating_sub(begins));
                if from < to {
                    read_rows(part, from, to, &mut numbers)?;
                    rows.start += to - from;
                }
                begins += part.rows;
            }
        }
        let found = numbers.len();
        let expected = || format!("[{}, {}]", picks.len(), self.width);
        let wrong = |_| Error::Shape { what: "rows of features", expected: expected(), found: found.to_string() };
        Array2::from_shape_vec((picks.len(), self.width), numbers).map_err(wrong)
    }

    /// Feeds every file's numbers and shape to `hash`.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(in crate::data) fn hash(&self, hash: &mut Sha256) -> Result<()> {
        for part in &self.parts {
            hash.update(format!("{} {} {:?}\n", part.rows, part.width, part.float));
            let mut file = part.file()?;
            part.stream(&mut file, 0, part.rows, &mut |bytes| hash.update(bytes))?;
        }
        Ok(())
    }

    /// A name for every row; rows of equal bytes have equal names.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(in crate::data) fn names(&self) -> Result<Vec<String>> {
        let mut names = Vec::with_capacity(self.rows);
        for part in &self.parts {
            let row = part.width * part.float.bytes();
            let mut file = part.file()?;
            part.stream(&mut file, 0, part.rows, &mut |bytes| {
                names.extend(bytes.chunks_exact(row).map(|row| format!("{:x}", Sha256::digest(row))));
            })?;
        }
        Ok(names)
    }
}

/// Appends rows `from..to` of `part` to `numbers`.
fn read_rows(part: &Matrix, from: usize, to: usize, numbers: &mut Vec<f32>) -> Result<()> {
    let before = numbers.len();
    let mut file = part.file()?;
    part.stream(&mut file, from, to, &mut |bytes| part.float.decode(bytes, numbers))?;
    match numbers[before..].iter().position(|v| !v.is_finite()) {
        None => Ok(()),
        Some(i) => {
            let (row, column) = (from + i / part.width, i % part.width);
            Err(Error::input(&*part.path, format!("row {row}, column {column} is {}", numbers[before + i])))
        }
    }
}

#[cfg(test)]
pub(in crate::data) mod tests;
