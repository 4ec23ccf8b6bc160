//! Feature matrices in `.npy` files and in `.npz` archives of them, read in place. Pickles are never read.
//!
//! The format: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.

mod header;

use crate::{
    door,
    error::{Error, Result},
    fsio::printable,
};
use header::Float;
use ndarray::Array2;
use sha2::{Digest, Sha256};
use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
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
}

impl Matrix {
    /// The matrix in the `.npy` file `path`; its header is checked against the file's length, its numbers are not read.
    ///
    /// # Errors
    /// [`Error::Input`] saying what is wrong with the header: no npy file, another type than float16 or float32
    /// (little-endian), not two axes, Fortran order, a file that is too short; [`Error::Io`].
    pub fn open(path: &Path) -> Result<Self> {
        let mut file = door::open(path).map_err(Error::io(path))?;
        let end = file.metadata().map_err(Error::io(path))?.len();
        Self::at(path, &mut file, 0, end)
    }

    /// The arrays in the `.npz` file `path` by name, as `numpy.savez` writes it: stored, not compressed.
    ///
    /// # Errors
    /// As [`Self::open`]; [`Error::Input`] for what is no zip, or is compressed.
    pub fn open_archive(path: &Path) -> Result<Vec<(String, Self)>> {
        let wrong = |e: zip::result::ZipError| {
            Error::input(path, format!("not a readable npz file: {}", printable(&e.to_string())))
        };
        let mut file = door::open(path).map_err(Error::io(path))?;
        let end = file.metadata().map_err(Error::io(path))?.len();
        let mut archive = zip::ZipArchive::new(door::open(path).map_err(Error::io(path))?).map_err(wrong)?;
        let mut found = Vec::new();
        for i in 0..archive.len() {
            let entry = archive.by_index_raw(i).map_err(wrong)?;
            let name = printable(&entry.name().map_err(wrong)?);
            let Some(name) = name.strip_suffix(".npy") else { continue };
            if entry.compression() != zip::CompressionMethod::Stored || entry.encrypted() {
                let message = format!("\"{name}\" is compressed; numpy.savez writes files that can be read in place");
                return Err(Error::input(path, message));
            }
            let (Some(from), length) = (entry.data_start(), entry.size()) else { continue };
            let to = from.saturating_add(length).min(end);
            let about = |e: Error| match e {
                Error::Input { path, message } => {
                    Error::Input { path, message: format!("array \"{name}\": {message}") }
                }
                other => other,
            };
            found.push((name.to_owned(), Self::at(path, &mut file, from, to).map_err(about)?));
        }
        Ok(found)
    }

    /// The npy file that takes the bytes from `start` to `end` of `file`.
    fn at(path: &Path, file: &mut File, start: u64, end: u64) -> Result<Self> {
        let wrong = |message: String| Error::input(path, message);
        file.seek(SeekFrom::Start(start)).map_err(Error::io(path))?;
        let header = header::read(&mut file.take(end.saturating_sub(start))).map_err(wrong)?;
        let offset = start + header.bytes;
        let size = (header.rows as u64)
            .checked_mul(header.width as u64)
            .and_then(|n| n.checked_mul(header.float.bytes() as u64));
        let left = end.saturating_sub(offset);
        if size.is_none_or(|size| size > left) {
            let message = format!("claims {} x {} numbers, but {left} bytes are left", header.rows, header.width);
            return Err(wrong(message));
        }
        if header.rows > u32::MAX as usize || !(1..=MAX_WIDTH).contains(&header.width) {
            return Err(wrong(format!("{} x {} is no matrix of features", header.rows, header.width)));
        }
        let (rows, width, float) = (header.rows, header.width, header.float);
        Ok(Self { path: path.into(), offset, float, rows, width })
    }

    /// Gives the bytes of rows `from..to` to `see`, some whole rows at a time.
    fn stream(&self, file: &mut File, from: usize, to: usize, see: &mut dyn FnMut(&[u8])) -> Result<()> {
        let row = self.width * self.float.bytes();
        file.seek(SeekFrom::Start(self.offset + (from * row) as u64)).map_err(Error::io(&self.path))?;
        let (at_once, mut left) = ((CHUNK / row).max(1), to - from);
        let mut bytes = vec![0; at_once.min(left) * row];
        while left > 0 {
            let some = &mut bytes[..at_once.min(left) * row];
            file.read_exact(some).map_err(Error::io(&self.path))?;
            see(some);
            left -= some.len() / row;
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

    /// The file and the first byte of the numbers, if they lie in one file as they would lie in memory.
    pub(in crate::data) fn whole(&self) -> Option<(&Path, u64)> {
        match self.parts.as_slice() {
            [only] if only.float == Float::Single && only.offset.is_multiple_of(4) => Some((&only.path, only.offset)),
            _ => None,
        }
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
            let mut file = door::open(&part.path).map_err(Error::io(&part.path))?;
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
            let mut file = door::open(&part.path).map_err(Error::io(&part.path))?;
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
    let mut file = door::open(&part.path).map_err(Error::io(&part.path))?;
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
