//! A matrix of features wherever it lies: in memory, or in a file that is mapped, of which the system keeps in memory what
//! it has room for. Every stage reads rows in place and cannot tell the difference.

use crate::{
    door,
    error::{Error, Result},
    fsio::{Mapped, map},
};
use ndarray::{Array2, ArrayView1, ArrayView2};
use std::{
    fmt,
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

/// `[n, d]`, float32; copies share the numbers.
#[derive(Clone)]
pub struct Rows(Held);

#[derive(Clone)]
enum Held {
    Memory(Arc<Array2<f32>>),
    /// The file, the first byte of the matrix in it, its shape.
    File(Arc<Source>, usize, (usize, usize)),
}

struct Source {
    map: Mapped,
    file: File,
    path: PathBuf,
}

impl From<Array2<f32>> for Rows {
    fn from(rows: Array2<f32>) -> Self {
        // Stages read whole rows as slices.
        let rows = if rows.is_standard_layout() { rows } else { rows.as_standard_layout().into_owned() };
        Self(Held::Memory(Arc::new(rows)))
    }
}

impl Rows {
    /// The matrix of little-endian float32 numbers from byte `offset` of `path`, which nobody may shorten meanwhile.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Input`] if the file is too short or the numbers lie askew.
    pub fn in_file(path: &Path, offset: u64, shape: (usize, usize)) -> Result<Self> {
        let file = door::open(path).map_err(Error::io(path))?;
        Self::mapped(path, &file, offset, shape)
    }

    /// What `write` writes, `shape` numbers of it, to a file without a name in `folder` that is gone with the last copy.
    ///
    /// # Errors
    /// Those of `write`; [`Error::Io`] naming `folder`, such as for a full disk.
    pub fn spilled(
        folder: &Path,
        shape: (usize, usize),
        write: impl FnOnce(&mut dyn Write) -> Result<()>,
    ) -> Result<Self> {
        let file = tempfile::tempfile_in(folder).map_err(Error::io(folder))?;
        let mut out = BufWriter::with_capacity(1 << 20, &file);
        write(&mut out)?;
        out.flush().map_err(Error::io(folder))?;
        drop(out);
        Self::mapped(folder, &file, 0, shape)
    }

    fn mapped(path: &Path, file: &File, offset: u64, shape: (usize, usize)) -> Result<Self> {
        if cfg!(target_endian = "big") {
            return Err(Error::input(path, "does not fit in memory, and cannot be mapped on a big-endian machine"));
        }
        let map = map(file).map_err(Error::io(path))?;
        let (from, short) = (offset as usize, || Error::io(path)(io::ErrorKind::UnexpectedEof.into()));
        let bytes = shape.0.checked_mul(shape.1).and_then(|n| n.checked_mul(4)).ok_or_else(short)?;
        match from.checked_add(bytes) {
            Some(to) if to <= map.len() && from.is_multiple_of(4) => {
                let source = Source { map, file: file.try_clone().map_err(Error::io(path))?, path: path.to_owned() };
                Ok(Self(Held::File(Arc::new(source), from, shape)))
            }
            _ => Err(short()),
        }
    }

    /// Looks whether all of the file is still there, if they lie in one: reading rows that another program has cut off ends
    /// this one, and cannot be met later than here.
    ///
    /// # Errors
    /// [`Error::Input`] naming the file; [`Error::Io`].
    pub fn check(&self) -> Result<()> {
        let Held::File(source, from, shape) = &self.0 else { return Ok(()) };
        let Source { file, path, .. } = &**source;
        let (length, needed) = (file.metadata().map_err(Error::io(path))?.len(), from + 4 * shape.0 * shape.1);
        if length >= needed as u64 {
            return Ok(());
        }
        Err(Error::input(path, format!("was cut to {length} bytes while its rows were in use; {needed} are needed")))
    }

    /// All of it.
    pub fn view(&self) -> ArrayView2<'_, f32> {
        match &self.0 {
            Held::Memory(rows) => rows.view(),
            Held::File(source, offset, shape) => {
                let bytes = &source.map[*offset..*offset + 4 * shape.0 * shape.1];
                let rows = ArrayView2::from_shape(*shape, bytemuck::cast_slice(bytes));
                // Both fit: a map begins at a page, and the rest was checked when it was made.
                rows.unwrap_or_else(|_| ArrayView2::from(&[[]]))
            }
        }
    }

    /// Row `i`.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row(&self, i: usize) -> ArrayView1<'_, f32> {
        self.view().index_axis_move(ndarray::Axis(0), i)
    }

    /// Rows and columns.
    pub fn dim(&self) -> (usize, usize) {
        match &self.0 {
            Held::Memory(rows) => rows.dim(),
            Held::File(_, _, shape) => *shape,
        }
    }

    /// How many rows.
    pub fn nrows(&self) -> usize {
        self.dim().0
    }

    /// How many columns.
    pub fn ncols(&self) -> usize {
        self.dim().1
    }

    /// Whether they lie in a file.
    pub fn is_mapped(&self) -> bool {
        matches!(self.0, Held::File(..))
    }

    /// The matrix itself; copied only if it is mapped, or another copy is left.
    pub fn into_array(self) -> Array2<f32> {
        match self.0 {
            Held::Memory(rows) => Arc::unwrap_or_clone(rows),
            Held::File(..) => self.view().to_owned(),
        }
    }
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rows({:?}{})", self.dim(), if self.is_mapped() { ", mapped" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn some() -> Array2<f32> {
        Array2::from_shape_fn((7, 3), |(i, j)| (i * 10 + j) as f32)
    }

    fn bytes(rows: &Array2<f32>) -> Vec<u8> {
        rows.iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    #[test]
    fn a_file_that_was_cut_meanwhile_is_named_before_its_rows_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, bytes(&some())).unwrap();
        let rows = Rows::in_file(&path, 0, (7, 3)).unwrap();
        rows.check().unwrap();
        File::options().write(true).open(&path).unwrap().set_len(40).unwrap();
        let said = rows.check().unwrap_err().to_string();
        assert!(said.ends_with("a: was cut to 40 bytes while its rows were in use; 84 are needed"), "{said}");
    }

    #[test]
    fn rows_in_memory_spilled_and_mapped_in_place_are_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, [&[9; 64][..], &bytes(&some())].concat()).unwrap();
        let spilled = Rows::spilled(dir.path(), (7, 3), |to| to.write_all(&bytes(&some())).map_err(Error::io("")));
        for rows in [Rows::from(some()), spilled.unwrap(), Rows::in_file(&path, 64, (7, 3)).unwrap()] {
            assert_eq!((rows.view(), rows.row(4), rows.dim()), (some().view(), some().row(4), (7, 3)));
            assert_eq!(rows.clone().into_array(), some());
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "a spilled matrix leaves a file behind");
    }

    #[test]
    fn a_file_shorter_than_its_shape_and_numbers_that_lie_askew_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, bytes(&some())).unwrap();
        for (offset, shape) in [(0, (8, 3)), (1, (2, 3)), (80, (1, 3)), (u64::MAX, (1, 1)), (0, (usize::MAX, 9))] {
            let refused = Rows::in_file(&path, offset, shape).unwrap_err().to_string();
            assert!(refused.contains(path.to_str().unwrap()), "{refused}");
        }
    }
}
