//! A matrix of features wherever it lies: in memory, or in a file of our own that is mapped, of which the system keeps in memory what
//! it has room for. Every stage reads rows in place and cannot tell the difference.

use crate::{
    error::{Error, Result},
    fsio::{Spilled, spilled},
};
use ndarray::{Array2, ArrayView1, ArrayView2};
use std::{
    fmt,
    io::{self, Write},
    path::Path,
    sync::Arc,
};

/// `[n, d]`, float32; copies share the numbers.
#[derive(Clone)]
pub struct Rows(Held);

#[derive(Clone)]
enum Held {
    Memory(Arc<Array2<f32>>),
    /// The numbers, and their shape.
    File(Arc<Spilled>, (usize, usize)),
}

impl From<Array2<f32>> for Rows {
    fn from(rows: Array2<f32>) -> Self {
        // Stages read whole rows as slices.
        let rows = if rows.is_standard_layout() { rows } else { rows.as_standard_layout().into_owned() };
        Self(Held::Memory(Arc::new(rows)))
    }
}

impl Rows {
    /// What `write` writes, `shape` little-endian float32 numbers, in a file without a name in `folder` that is gone with the
    /// last copy. Nobody else can cut it while it is read.
    ///
    /// # Errors
    /// Those of `write`; [`Error::Io`] naming `folder`, such as for a full disk, or too few numbers.
    pub fn spilled(
        folder: &Path,
        shape: (usize, usize),
        write: impl FnOnce(&mut dyn Write) -> Result<()>,
    ) -> Result<Self> {
        if cfg!(target_endian = "big") {
            return Err(Error::input(folder, "what does not fit in memory cannot be mapped on a big-endian machine"));
        }
        let found = spilled(folder, write)?;
        match shape.0.checked_mul(shape.1).and_then(|n| n.checked_mul(4)) {
            Some(bytes) if bytes == found.len() => Ok(Self(Held::File(Arc::new(found), shape))),
            _ => Err(Error::io(folder)(io::ErrorKind::UnexpectedEof.into())),
        }
    }

    /// All of it.
    pub fn view(&self) -> ArrayView2<'_, f32> {
        match &self.0 {
            Held::Memory(rows) => rows.view(),
            Held::File(bytes, shape) => {
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
            Held::File(_, shape) => *shape,
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
    fn rows_in_memory_and_spilled_are_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let spilled = Rows::spilled(dir.path(), (7, 3), |to| to.write_all(&bytes(&some())).map_err(Error::io("")));
        for rows in [Rows::from(some()), spilled.unwrap()] {
            assert_eq!((rows.view(), rows.row(4), rows.dim()), (some().view(), some().row(4), (7, 3)));
            assert_eq!(rows.clone().into_array(), some());
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "a spilled matrix leaves a file behind");
    }

    #[test]
    fn more_or_fewer_numbers_than_the_shape_says_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        for shape in [(8, 3), (6, 3), (usize::MAX, 9)] {
            let spilled = Rows::spilled(dir.path(), shape, |to| to.write_all(&bytes(&some())).map_err(Error::io("")));
            assert!(spilled.unwrap_err().to_string().contains(dir.path().to_str().unwrap()), "{shape:?}");
        }
    }
}
