//! Bytes in a column of a parquet file, cell by cell. The page that a cell lies in is unpacked and kept until another one is
//! asked for: rows are mostly read in order.

use super::{Read, guard, guarded, pages::Checked};
use crate::{caught::lock, door, error::Error, pixels::room};
use parquet::{
    column::reader::ColumnReaderImpl,
    data_type::{ByteArray, ByteArrayType},
    errors::ParquetError,
    file::{metadata::ColumnChunkMetaData, serialized_reader::SerializedPageReader},
};
use std::{
    fs::File,
    ops::Range,
    path::Path,
    sync::{Arc, Mutex},
};

/// A column of bytes.
#[derive(Debug)]
pub struct Cells {
    path: Arc<Path>,
    stamp: String,
    /// In each row group where its pages begin, and what the file says of its column.
    groups: Vec<(Vec<u64>, ColumnChunkMetaData)>,
    rows: u64,
}

impl PartialEq for Cells {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Cells {}

/// The values of one page.
struct Held {
    of: Arc<Path>,
    stamp: String,
    rows: Range<u64>,
    leaf: Vec<String>,
    values: Vec<Option<ByteArray>>,
}

/// One page for all files: pages can be large.
static HELD: Mutex<Option<Held>> = Mutex::new(None);

impl Cells {
    /// The cells of a column, from what the file says of it in each row group; every page is looked at, none unpacked.
    pub(super) fn of<'a>(
        path: &Arc<Path>,
        stamp: String,
        file: &File,
        groups: impl Iterator<Item = &'a ColumnChunkMetaData>,
    ) -> Read<Self> {
        let (mut found, mut rows) = (Vec::new(), 0u64);
        for column in groups {
            let mut begins = vec![rows];
            for values in guard::pages(file, column)? {
                rows = rows.saturating_add(values);
                begins.push(rows);
            }
            found.push((begins, column.clone()));
        }
        Ok(Self { path: path.clone(), stamp, groups: found, rows })
    }

    /// The file that they lie in.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What tells whether the file has changed.
    pub fn stamp(&self) -> &str {
        &self.stamp
    }

    /// How many cells the pages say there are.
    pub(in crate::data) fn rows(&self) -> u64 {
        self.rows
    }

    /// Whether the file says that none of the cells is null.
    pub(in crate::data) fn are_all_there(&self) -> bool {
        let nulls = |(_, column): &(Vec<u64>, ColumnChunkMetaData)| column.statistics()?.null_count_opt();
        self.groups.iter().all(|group| nulls(group) == Some(0) || group.1.column_descr().max_def_level() == 0)
    }

    /// Whether a row has a value.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(in crate::data) fn has(&self, row: u64) -> crate::error::Result<bool> {
        self.with(row, |value| value.is_some())
    }

    /// The bytes in a row.
    ///
    /// # Errors
    /// [`Error::Input`] naming file and row where there are none or the pages are damaged; [`Error::Io`].
    pub(in crate::data) fn read(&self, row: u64) -> crate::error::Result<Vec<u8>> {
        let bytes = self.with(row, |value| value.map(|bytes| bytes.data().to_vec()))?;
        bytes.ok_or_else(|| Error::input(&*self.path, format!("row {} has no picture", row + 1)))
    }

    fn with<T>(&self, row: u64, see: impl FnOnce(Option<&ByteArray>) -> T) -> crate::error::Result<T> {
        let mut held = lock(&HELD);
        let ours =
            |h: &Held| h.of == self.path && h.stamp == self.stamp && h.leaf == self.leaf() && h.rows.contains(&row);
        if !held.as_ref().is_some_and(ours) {
            // Two of them are never there at once.
            *held = None;
            let file = door::open(&self.path).map_err(Error::io(&self.path))?;
            *held = Some(guarded(&self.path, || self.page(file, row))?);
        }
        let value = held.as_ref().and_then(|h| h.values.get((row - h.rows.start) as usize)?.as_ref());
        Ok(see(value))
    }

    fn leaf(&self) -> Vec<String> {
        self.groups.first().map(|(_, column)| column.column_path().parts().to_vec()).unwrap_or_default()
    }

    /// The values of the page that `row` lies in.
    fn page(&self, file: File, row: u64) -> Read<Held> {
        let wrong = |what: String| ParquetError::General(what);
        let beyond = || wrong(format!("there is no row {}", row + 1));
        let inside = |(begins, _): &&(Vec<u64>, ColumnChunkMetaData)| begins.last().is_some_and(|end| row < *end);
        let (begins, column) = self.groups.iter().find(inside).ok_or_else(beyond)?;
        let after = begins.partition_point(|begin| *begin <= row);
        let (first, rows) = (begins[0], begins[after - 1]..begins[after]);
        // It may have changed since it was looked at.
        if guard::pages(&file, column)?.iter().sum::<u64>() != begins[begins.len() - 1] - first {
            return Err(wrong("it has changed".into()));
        }
        let descr = column.column_descr_ptr();
        let most = descr.max_def_level();
        let all = begins[begins.len() - 1] - first;
        let pages = SerializedPageReader::new(Arc::new(file), column, all as usize, None)?;
        let pages =
            Checked { inner: Box::new(pages), rows: all, nullable: most > 0, lists: false, bytes: room::most() };
        let mut reader = ColumnReaderImpl::<ByteArrayType>::new(descr, Box::new(pages));
        let (skipped, wanted) = ((rows.start - first) as usize, (rows.end - rows.start) as usize);
        if reader.skip_records(skipped)? != skipped {
            return Err(wrong("a page has fewer rows than it claims".into()));
        }
        let (mut values, mut levels) = (Vec::new(), Vec::new());
        reader.read_records(wanted, (most > 0).then_some(&mut levels), None, &mut values)?;
        if most == 0 {
            levels = vec![0; values.len()];
        }
        let mut values = values.into_iter();
        let values = levels.into_iter().map(|level| if level == most { values.next() } else { None }).collect();
        Ok(Held { of: self.path.clone(), stamp: self.stamp.clone(), rows, leaf: self.leaf(), values })
    }
}
