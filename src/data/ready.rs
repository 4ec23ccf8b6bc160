//! Features that came with a data set, joined to its images and captions.

use super::files::npy::Table;
use crate::error::{Error, Result};
use ndarray::Array2;
use std::{collections::BTreeMap, io::Write, path::Path};

/// Features of one split as they lie on disk.
#[derive(Clone, Debug, Default)]
pub(super) struct Features {
    pub image: Option<Table>,
    pub text: Option<Table>,
    /// Of evaluation encoders, by their names.
    pub encoders: BTreeMap<String, Table>,
}

/// Rows of a table that belong to a split's images or captions. Raw, as they were saved.
#[derive(Clone, Debug)]
pub struct Picked {
    pub(super) table: Table,
    pub(super) rows: Vec<u32>,
}

impl Picked {
    /// All of them in memory: `[n, d]`.
    ///
    /// # Errors
    /// [`Error::Input`] naming a number that is not finite; [`Error::Io`].
    pub fn read(&self) -> Result<Array2<f32>> {
        self.table.read(&self.rows)
    }

    /// Some of them.
    ///
    /// # Errors
    /// As [`Self::read`]; [`Error::Shape`] if there is no such row.
    pub fn some(&self, which: &[usize]) -> Result<Array2<f32>> {
        let rows: Vec<u32> = which.iter().map(|&i| self.rows.get(i).copied().unwrap_or(u32::MAX)).collect();
        self.table.read(&rows)
    }

    /// Shape of what [`Self::read`] gives.
    pub fn dim(&self) -> (usize, usize) {
        (self.rows.len(), self.table.width())
    }

    /// Writes what [`Self::read`] gives as little-endian float32 numbers, some thousand rows at a time.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn copy_to(&self, to: &mut dyn Write) -> Result<()> {
        for some in self.rows.chunks(AT_ONCE) {
            let bytes: Vec<u8> = self.table.read(some)?.iter().flat_map(|v| v.to_le_bytes()).collect();
            to.write_all(&bytes).map_err(Error::io("features in a temporary file"))?;
        }
        Ok(())
    }

    /// Whether all of it are finite numbers, some thousand rows at a time.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn check(&self) -> Result<()> {
        self.rows.chunks(AT_ONCE).try_for_each(|some| self.table.read(some).map(drop))
    }
}

/// Rows read at once where not all of them are.
const AT_ONCE: usize = 4096;

/// Features of one split, joined to its images and pairs.
#[derive(Clone, Debug)]
pub struct Ready {
    /// A split that is only measured on needs none.
    pub(super) image: Option<Picked>,
    pub(super) text: Picked,
}

impl Ready {
    /// Row by row those of [`Split::images`](super::Split::images).
    ///
    /// # Errors
    /// [`Error::Input`] if the split has no image features.
    pub fn images(&self) -> Result<&Picked> {
        self.image.as_ref().ok_or_else(|| Error::input(self.text.table.path(), "has no image features beside it"))
    }

    /// Row by row those of [`Split::pairs`](super::Split::pairs).
    pub fn texts(&self) -> &Picked {
        &self.text
    }

    /// Whether a decoder of embeddings `wide` numbers wide can take its image features.
    ///
    /// # Errors
    /// [`Error::Input`] naming file, shape and what was expected.
    pub fn fits_decoder(&self, wide: usize) -> Result<()> {
        match &self.image {
            Some(image) if image.dim().1 != wide => {
                let (rows, width) = (image.table.rows(), image.table.width());
                let message = format!("{rows} x {width} numbers, where `models.decoder` decodes embeddings of {wide}");
                Err(Error::input(image.table.path(), message))
            }
            _ => Ok(()),
        }
    }

    /// The file of its text features, for messages.
    pub fn path(&self) -> &Path {
        self.text.table.path()
    }

    /// Whether rows are as long as those of `train`: others come from another network.
    pub(super) fn check_width(&self, train: &Self) -> Result<()> {
        let (found, expected) = (self.text.dim().1, train.text.dim().1);
        if found == expected {
            return Ok(());
        }
        let message = format!("rows of {found} numbers, where {} has {expected}", train.path().display());
        Err(Error::input(self.path(), message))
    }

    /// Whether all of it are finite numbers.
    ///
    /// # Errors
    /// As [`Picked::check`].
    pub(super) fn check(&self) -> Result<()> {
        self.image.iter().chain([&self.text]).try_for_each(Picked::check)
    }
}
