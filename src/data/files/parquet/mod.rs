//! Columns of text and of bytes of parquet files.

mod cells;
mod guard;
mod pages;
mod thrift;

use crate::{
    caught::caught,
    door,
    error::{Error, Result},
    fsio::printable,
    lfs,
};
pub use cells::Cells;
use pages::Checked;
use parquet::{
    basic::{ConvertedType, LogicalType, Type},
    column::reader::ColumnReaderImpl,
    data_type::{ByteArray, ByteArrayType},
    errors::ParquetError,
    file::reader::{FileReader, RowGroupReader, SerializedFileReader},
    schema::types::ColumnDescriptor,
};
use std::{fs::File, path::Path, sync::Arc};

/// Values read at once.
const BATCH: usize = 1 << 16;
/// Most rows of one file.
const MAX_ROWS: i64 = 100_000_000;
/// What texts may take however short a file is, and for each of its bytes besides: captions are stored at half their length
/// or so, and what is said of every row once.
const BASE: u64 = 1 << 27;
const WORTH: u64 = 64;
/// What a value takes at least, in bytes.
const EACH: u64 = size_of::<Option<String>>() as u64;

/// A column, row by row; `None` where it is null.
pub(in crate::data) type Texts = Vec<Option<String>>;

/// The columns of a parquet file of which something is read, by the first part of their names.
pub(in crate::data) struct Table {
    path: Arc<Path>,
    file: File,
    reader: SerializedFileReader<File>,
    rows: usize,
    columns: Vec<(String, Holds)>,
}

/// What a column holds, and the numbers of its leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::data) enum Holds {
    /// A text a row.
    Text(usize),
    /// A list of texts a row.
    Texts(usize),
    /// Bytes, and perhaps a name.
    Bytes(usize, Option<usize>),
    /// What is not read.
    Other,
}

type Read<T> = std::result::Result<T, ParquetError>;

impl Table {
    /// Opens the parquet file `path`. Rows are as many as it says it has. What texts take in memory is held to what a file of
    /// its length can be worth.
    ///
    /// # Errors
    /// [`Error::Input`] for a file that is no parquet, is damaged, or claims more than that; [`Error::Io`].
    pub fn open(path: &Path) -> Result<Self> {
        let file = door::open(path).map_err(Error::io(path))?;
        let opened = guarded(path, || {
            guard::footer(&file)?;
            let reader = SerializedFileReader::new(file.try_clone()?)?;
            let rows = reader.metadata().file_metadata().num_rows();
            if !(0..=MAX_ROWS).contains(&rows) {
                return Err(ParquetError::General(format!("claims {rows} rows")));
            }
            Ok((rows as usize, columns(&reader), reader))
        });
        let (rows, columns, reader) = opened.map_err(lfs::told(path))?;
        Ok(Self { path: path.into(), file, reader, rows, columns })
    }

    /// Its columns in order.
    pub fn columns(&self) -> &[(String, Holds)] {
        &self.columns
    }

    /// How many rows it says it has.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The file.
    pub fn path(&self) -> &Arc<Path> {
        &self.path
    }

    /// The first column of text that has one of these names.
    pub fn find(&self, names: &[&str]) -> Option<usize> {
        let flat = |(name, holds): &(String, Holds)| match holds {
            Holds::Text(leaf) | Holds::Bytes(leaf, _) if names.contains(&name.as_str()) => Some(*leaf),
            _ => None,
        };
        self.columns.iter().find_map(flat)
    }

    /// The texts of a leaf of one a row.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn texts(&self, leaf: usize) -> Result<Texts> {
        guarded(&self.path, || {
            let mut texts = Vec::with_capacity(self.rows);
            self.each(leaf, &mut |_, text| {
                texts.push(text);
                Ok(())
            })?;
            counted(texts, self.rows)
        })
    }

    /// The texts of a leaf of any number a row.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn lists(&self, leaf: usize) -> Result<Vec<Vec<String>>> {
        guarded(&self.path, || {
            let mut lists: Vec<Vec<String>> = Vec::with_capacity(self.rows);
            self.each(leaf, &mut |begins, text| {
                if begins {
                    lists.push(Vec::new());
                }
                match lists.last_mut() {
                    Some(list) => list.extend(text),
                    None => return Err(ParquetError::General("a list goes on before it begins".into())),
                }
                Ok(())
            })?;
            counted(lists, self.rows)
        })
    }

    /// The cells of a leaf of bytes, where they lie.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn cells(&self, leaf: usize, stamp: String) -> Result<Cells> {
        guarded(&self.path, || {
            let groups = self.reader.metadata().row_groups();
            Cells::of(&self.path, stamp, &self.file, groups.iter().map(|group| group.column(leaf)))
        })
    }

    /// Gives every value of a leaf to `see`, and whether a row begins with it.
    fn each(&self, leaf: usize, see: &mut dyn FnMut(bool, Option<String>) -> Read<()>) -> Read<()> {
        let mut budget = BASE + WORTH * self.file.metadata()?.len();
        take(&mut budget, self.rows as u64 * EACH)?;
        for group in 0..self.reader.num_row_groups() {
            let group = self.reader.get_row_group(group)?;
            guard::pages(&self.file, group.metadata().column(leaf))?;
            text_column(&*group, leaf, self.rows, &mut budget, see)?;
        }
        Ok(())
    }
}

/// What `read` gives; the error names the file. The crate's decoders index into pages as these say: a damaged one may be
/// met by a panic.
fn guarded<T>(path: &Path, read: impl FnOnce() -> Read<T>) -> Result<T> {
    let wrong = |what: &str| Error::input(path, format!("not a readable parquet file: {}", printable(what)));
    caught(read).ok_or_else(|| wrong("its pages are damaged"))?.map_err(|e| wrong(&e.to_string()))
}

fn take(budget: &mut u64, bytes: u64) -> Read<()> {
    let too_much = || ParquetError::General("holds more text than a file of its length can be worth".into());
    *budget = budget.checked_sub(bytes).ok_or_else(too_much)?;
    Ok(())
}

fn counted<T>(column: Vec<T>, rows: usize) -> Read<Vec<T>> {
    if column.len() == rows {
        return Ok(column);
    }
    Err(ParquetError::General(format!("claims {rows} rows, but a column has {}", column.len())))
}

/// The columns by the first part of their leaves' names.
fn columns(reader: &SerializedFileReader<File>) -> Vec<(String, Holds)> {
    let schema = reader.metadata().file_metadata().schema_descr();
    let mut columns: Vec<(String, Holds)> = Vec::new();
    for leaf in 0..schema.num_columns() {
        let column = schema.column(leaf);
        let parts: Vec<&str> = column.path().parts().iter().map(String::as_str).collect();
        let bytes = column.physical_type() == Type::BYTE_ARRAY;
        let holds = match (parts.as_slice(), column.max_rep_level()) {
            _ if !bytes => Holds::Other,
            ([_], 0) if is_text(&column) || !is_picture(parts[0]) => Holds::Text(leaf),
            ([_], 0) | ([_, "bytes"], 0) => Holds::Bytes(leaf, None),
            ([_, "path"], 0) => Holds::Bytes(usize::MAX, Some(leaf)),
            // A list of texts, or of structures of which one part is called so.
            ([_] | [_, _] | [_, _, _], 1) => Holds::Texts(leaf),
            ([_, .., "raw"], 1) => Holds::Texts(leaf),
            _ => Holds::Other,
        };
        match columns.last_mut().filter(|(name, _)| name == parts[0] && parts.len() > 1) {
            Some((_, known)) => *known = known.joined(holds),
            None => columns.push((parts[0].to_owned(), holds)),
        }
    }
    let whole = |holds| if matches!(holds, Holds::Bytes(usize::MAX, _)) { Holds::Other } else { holds };
    columns.into_iter().map(|(name, holds)| (name, whole(holds))).collect()
}

impl Holds {
    /// What a structure holds of which two leaves hold this.
    fn joined(self, other: Self) -> Self {
        match (self, other) {
            (Self::Bytes(usize::MAX, path), Self::Bytes(bytes, None)) => Self::Bytes(bytes, path),
            (Self::Bytes(bytes, _), Self::Bytes(usize::MAX, path)) => Self::Bytes(bytes, path),
            (Self::Other, other) => other,
            (known, _) => known,
        }
    }
}

fn is_text(column: &ColumnDescriptor) -> bool {
    column.converted_type() == ConvertedType::UTF8 || matches!(column.logical_type_ref(), Some(LogicalType::String))
}

/// Columns of bytes that are no text unless they say so: what writers call pictures.
fn is_picture(name: &str) -> bool {
    ["image", "bytes", "jpg", "jpeg", "png", "webp", "img", "picture"].contains(&name)
}

/// Gives the values of a row group to `see`, up to `rows` rows.
fn text_column(
    group: &dyn RowGroupReader,
    at: usize,
    rows: usize,
    budget: &mut u64,
    see: &mut dyn FnMut(bool, Option<String>) -> Read<()>,
) -> Read<()> {
    let about = group.metadata().column(at);
    let (name, descr) = (about.column_path().string(), about.column_descr_ptr());
    if descr.physical_type() != Type::BYTE_ARRAY {
        return Err(ParquetError::General(format!("column \"{name}\" holds no text")));
    }
    let (most, lists) = (descr.max_def_level(), descr.max_rep_level() > 0);
    // Of lists every value counts, whether it is null or not.
    let left = if lists { *budget / EACH } else { rows as u64 };
    let pages =
        Checked { inner: group.get_column_page_reader(at)?, rows: left, nullable: most > 0, lists, bytes: *budget };
    let mut column = ColumnReaderImpl::<ByteArrayType>::new(descr, Box::new(pages));
    let mut row = 0;
    loop {
        let (mut values, mut levels, mut repeats) = (Vec::new(), Vec::new(), Vec::new());
        let definitions = (most > 0).then_some(&mut levels);
        column.read_records(BATCH, definitions, lists.then_some(&mut repeats), &mut values)?;
        if most == 0 {
            levels = vec![0; values.len()];
        }
        if levels.is_empty() {
            return Ok(());
        }
        let held: u64 = values.iter().map(|v| v.len() as u64).sum();
        take(budget, held + if lists { levels.len() as u64 * EACH } else { 0 })?;
        let text = |v: ByteArray| match std::str::from_utf8(v.data()) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(ParquetError::General(format!("column \"{name}\", from row {}: not UTF-8", row + 1))),
        };
        let mut values = values.into_iter().map(text).collect::<Read<Vec<_>>>()?.into_iter();
        for (i, level) in levels.into_iter().enumerate() {
            let begins = repeats.get(i).is_none_or(|repeat| *repeat == 0);
            row += usize::from(begins);
            see(begins, if level == most { values.next() } else { None })?;
        }
        if row > rows {
            return Err(ParquetError::General(format!("column \"{name}\" has too many rows")));
        }
    }
}

#[cfg(test)]
pub(in crate::data) mod tests;
