//! Arrow streams and files of record batches, read where they lie: of a batch only the columns that are asked for, and of
//! pictures only where they begin. Buffers are not copied, so nothing is made room for but offsets and texts.
//!
//! The format: <https://arrow.apache.org/docs/format/Columnar.html#serialization-and-interprocess-communication-ipc>.

mod layout;

use crate::{
    caught::caught,
    data::{
        folder::stamp,
        listing::{Origin, Shard},
        rows::{Columns, Kind, Picture, Texts},
    },
    door,
    error::{Error, Result},
    fsio::printable,
    lfs,
};
use arrow_ipc::{Endianness, root_as_message};
use layout::{Array, Field, Span};
use std::{
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom},
    path::Path,
    sync::Arc,
};

/// How a file of batches begins, to eight bytes; then it goes on as a stream.
const MAGIC: &[u8; 8] = b"ARROW1\0\0";
/// Longest description of a batch, in bytes.
const MAX_MESSAGE: usize = 1 << 25;
/// Most batches of one file.
const MAX_BATCHES: usize = 1 << 20;
/// Longest text of a cell, in bytes.
const MAX_TEXT: u64 = 1 << 20;
/// Bytes of a view.
const VIEW: usize = 16;
/// Longest value that lies in its view, in bytes.
const SHORT: u64 = 12;

/// What a file of record batches holds.
pub(super) struct Table {
    shard: Arc<Shard>,
    columns: Vec<(String, Kind)>,
    batches: Vec<Batch>,
    rows: usize,
}

/// One batch: where its buffers begin, and how its columns lie among them.
struct Batch {
    rows: usize,
    body: u64,
    columns: Vec<Array>,
}

impl Table {
    /// # Errors
    /// [`Error::Input`] naming the byte where the file is no such stream, is cut off, or claims what cannot be; [`Error::Io`].
    pub fn open(path: &Path) -> Result<Self> {
        let opened = caught(|| Self::scan(path)).unwrap_or_else(|| Err(Error::input(path, "its batches are damaged")));
        opened.map_err(lfs::told(path))
    }

    fn scan(path: &Path) -> Result<Self> {
        let file = door::open(path).map_err(Error::io(path))?;
        let end = file.metadata().map_err(Error::io(path))?.len();
        let mut stream = Stream { path, from: BufReader::new(file), at: 0, end };
        let fields = stream.schema()?;
        let (mut batches, mut rows) = (Vec::new(), 0usize);
        while let Some(batch) = stream.batch(&fields)? {
            rows += batch.rows;
            batches.push(batch);
            if batches.len() > MAX_BATCHES || rows > u32::MAX as usize {
                return Err(stream.wrong("more batches or rows than are read"));
            }
        }
        let columns = fields.iter().map(|field| (field.name.clone(), field.kind())).collect();
        let stamp = stamp(path).unwrap_or_default();
        let shard = Arc::new(Shard { path: path.into(), stamp, unpacked: None });
        Ok(Self { shard, columns, batches, rows })
    }

    fn wrong(&self, what: &str) -> Error {
        Error::input(&*self.shard.path, printable(what))
    }

    /// Runs `see` over each batch with the column `at` of it and the buffers' first byte.
    fn each(&self, at: usize, see: &mut dyn FnMut(&Buffers, usize, &Array) -> Result<()>) -> Result<()> {
        let path = &self.shard.path;
        let file = door::open(path).map_err(Error::io(path))?;
        let mut first = 0;
        for batch in &self.batches {
            let buffers = Buffers { table: self, file: &file, body: batch.body };
            see(&buffers, first, &batch.columns[at])?;
            first += batch.rows;
        }
        Ok(())
    }
}

impl Columns for Table {
    fn columns(&self) -> &[(String, Kind)] {
        &self.columns
    }

    fn rows(&self) -> usize {
        self.rows
    }

    fn texts(&self, at: usize) -> Result<Texts> {
        let mut all = Vec::with_capacity(self.rows);
        self.each(at, &mut |buffers, first, array| {
            match array {
                Array::Many { rows, valid, offsets, wide, of } => {
                    let cells = buffers.strings(of, first)?;
                    let offsets = buffers.offsets(offsets, *rows, *wide, cells.len() as u64)?;
                    let valid = buffers.valid(valid, *rows)?;
                    let mut cells = cells.into_iter();
                    // Between the lists of two rows lies nothing: the offsets are one run.
                    (0..offsets[0]).for_each(|_| drop(cells.next()));
                    for (row, pair) in offsets.windows(2).enumerate() {
                        let cell: Vec<String> = cells.by_ref().take((pair[1] - pair[0]) as usize).flatten().collect();
                        all.push(if valid[row] { cell } else { Vec::new() });
                    }
                }
                array => all.extend(buffers.strings(array, first)?.into_iter().map(|t| t.into_iter().collect())),
            }
            Ok(())
        })?;
        Ok(all)
    }

    fn pictures(&self, at: usize) -> Result<Vec<Option<Picture>>> {
        let mut all = Vec::with_capacity(self.rows);
        self.each(at, &mut |buffers, first, array| {
            let (bytes, names, whole) = match array {
                Array::Struct { rows, valid, of } => {
                    let find = |name: &str| of.iter().find(|(n, _)| n == name).map(|(_, array)| array);
                    let bytes = find("bytes").ok_or_else(|| self.wrong("a picture without bytes"))?;
                    // Where no picture of a set has a path, the column may have no type.
                    let names = find("path").filter(|path| !matches!(path, Array::Other { .. }));
                    let names = names.map(|path| buffers.strings(path, first)).transpose()?;
                    (bytes, names, buffers.valid(valid, *rows)?)
                }
                array => (array, None, vec![true; array.rows()]),
            };
            let mut names = names.unwrap_or_default();
            names.resize(whole.len(), None);
            let spans = buffers.spans(bytes)?;
            for ((span, name), whole) in spans.into_iter().zip(names).zip(whole) {
                let member = |(offset, length)| Origin::Member { shard: self.shard.clone(), offset, length };
                all.push(whole.then(|| (name, span.map(member))));
            }
            Ok(())
        })?;
        Ok(all)
    }
}

/// The buffers of one batch.
struct Buffers<'a> {
    table: &'a Table,
    file: &'a File,
    body: u64,
}

impl Buffers<'_> {
    fn bytes(&self, span: &Span, most: u64) -> Result<Vec<u8>> {
        let mut file = self.file;
        let length = span.length.min(most);
        let read = || {
            file.seek(SeekFrom::Start(self.body + span.offset))?;
            let mut bytes = Vec::new();
            bytes.try_reserve_exact(length as usize)?;
            file.take(length).read_to_end(&mut bytes).map(|_| bytes)
        };
        let mut read = read;
        read().map_err(Error::io(&self.table.shard.path))
    }

    /// Whether each row has a value.
    fn valid(&self, span: &Span, rows: usize) -> Result<Vec<bool>> {
        if span.length == 0 {
            return Ok(vec![true; rows]);
        }
        let bits = self.bytes(span, rows.div_ceil(8) as u64)?;
        let bit = |row: usize| bits.get(row / 8).map(|byte| byte >> (row % 8) & 1 == 1);
        (0..rows).map(bit).collect::<Option<_>>().ok_or_else(|| self.short())
    }

    /// Where the values of `rows` begin and the last one ends, none beyond `end`.
    fn offsets(&self, span: &Span, rows: usize, wide: bool, end: u64) -> Result<Vec<u64>> {
        if rows == 0 {
            return Ok(vec![0]);
        }
        let each = if wide { 8 } else { 4 };
        let bytes = self.bytes(span, (rows as u64 + 1) * each)?;
        let offsets: Vec<u64> = match wide {
            true => bytes.as_chunks::<8>().0.iter().map(|b| u64::from_le_bytes(*b)).collect(),
            false => bytes.as_chunks::<4>().0.iter().map(|b| u32::from_le_bytes(*b).into()).collect(),
        };
        let fine = offsets.len() == rows + 1 && offsets.is_sorted() && offsets[rows] <= end;
        if fine { Ok(offsets) } else { Err(self.short()) }
    }

    /// Where each value of a column of bytes lies in the file, and how long it is.
    fn spans(&self, array: &Array) -> Result<Vec<Option<(u64, u64)>>> {
        match array {
            Array::Bytes { rows, valid, offsets, wide, data } => {
                let (offsets, valid) = (self.offsets(offsets, *rows, *wide, data.length)?, self.valid(valid, *rows)?);
                let begin = self.body + data.offset;
                let span = |(pair, valid): (&[u64], bool)| valid.then(|| (begin + pair[0], pair[1] - pair[0]));
                Ok(offsets.windows(2).zip(valid).map(span).collect())
            }
            Array::Views { rows, valid, views, data } => {
                let bytes = self.bytes(views, (*rows * VIEW) as u64)?;
                let (all, valid) = (bytes.as_chunks::<VIEW>().0, self.valid(valid, *rows)?);
                if all.len() != *rows {
                    return Err(self.short());
                }
                let begin = |row: usize| self.body + views.offset + (row * VIEW) as u64;
                let span = |(row, valid): (usize, bool)| match valid {
                    true => viewed(&all[row], begin(row), self.body, data).map(Some).ok_or_else(|| self.short()),
                    false => Ok(None),
                };
                valid.into_iter().enumerate().map(span).collect()
            }
            _ => Err(self.table.wrong("a column of another type than its schema says")),
        }
    }

    /// The texts of a column; `first` is the number of its first row.
    fn strings(&self, array: &Array, first: usize) -> Result<Vec<Option<String>>> {
        let spans = self.spans(array)?;
        let mut from = BufReader::with_capacity(1 << 16, self.file);
        let mut texts = Vec::with_capacity(spans.len());
        let mut at = None;
        for (row, span) in spans.into_iter().enumerate() {
            let Some((offset, length)) = span else {
                texts.push(None);
                continue;
            };
            let wrong = |what: &str| self.table.wrong(&format!("row {}: {what}", first + row + 1));
            if length > MAX_TEXT {
                return Err(wrong(&format!("a text of {length} bytes")));
            }
            let mut bytes = vec![0; length as usize];
            let mut read = || {
                if at != Some(offset) {
                    from.seek(SeekFrom::Start(offset))?;
                }
                from.read_exact(&mut bytes)
            };
            read().map_err(Error::io(&self.table.shard.path))?;
            at = Some(offset + length);
            texts.push(Some(String::from_utf8(bytes).map_err(|_| wrong("not UTF-8"))?));
        }
        Ok(texts)
    }

    fn short(&self) -> Error {
        self.table.wrong(&format!("byte {}: where the values of a batch lie is damaged", self.body))
    }
}

/// Where the value of a view that lies at byte `at` is, and how long it is; none outside the buffers of `data`.
fn viewed(view: &[u8; VIEW], at: u64, body: u64, data: &[Span]) -> Option<(u64, u64)> {
    let part = |i: usize| u32::from_le_bytes([view[i], view[i + 1], view[i + 2], view[i + 3]]);
    let (length, buffer, offset) = (u64::from(part(0)), part(8) as usize, u64::from(part(12)));
    if length <= SHORT {
        return Some((at + 4, length));
    }
    let buffer = data.get(buffer)?;
    (offset + length <= buffer.length).then(|| (body + buffer.offset + offset, length))
}

/// A file as it is gone through, message by message.
struct Stream<'a> {
    path: &'a Path,
    from: BufReader<File>,
    at: u64,
    end: u64,
}

impl Stream<'_> {
    fn wrong(&self, what: &str) -> Error {
        Error::input(self.path, format!("byte {}: {}", self.at, printable(what)))
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        if self.end - self.at < N as u64 {
            return Err(self.wrong("an arrow stream without its end mark: cut off"));
        }
        self.from.read_exact(&mut bytes).map_err(Error::io(self.path))?;
        self.at += N as u64;
        Ok(bytes)
    }

    /// What describes the next message; none at the end mark.
    fn message(&mut self) -> Result<Option<Vec<u8>>> {
        let mut length = self.take::<4>()?;
        // Before version 0.15 there was no mark.
        if length == [0xff; 4] {
            length = self.take()?;
        }
        let length = u32::from_le_bytes(length) as usize;
        if length > MAX_MESSAGE || length as u64 > self.end - self.at {
            return Err(self.wrong("not an arrow stream, or cut off"));
        }
        let mut bytes = vec![0; length];
        self.from.read_exact(&mut bytes).map_err(Error::io(self.path))?;
        self.at += length as u64;
        Ok((length > 0).then_some(bytes))
    }

    /// Its columns, from the first message.
    fn schema(&mut self) -> Result<Vec<Field>> {
        if self.end >= 8 && self.take::<8>()? != *MAGIC {
            self.from.rewind().map_err(Error::io(self.path))?;
            self.at = 0;
        }
        // A file's mark may be followed by zeros, up to 64 bytes in all.
        let mut bytes = self.message()?;
        while bytes.is_none() && (8..=64).contains(&self.at) {
            bytes = self.message()?;
        }
        let bytes = bytes.unwrap_or_default();
        let schema = root_as_message(&bytes).ok().and_then(|message| message.header_as_schema());
        let Some(schema) = schema else { return Err(self.wrong("not an arrow stream: it begins with no schema")) };
        if schema.endianness() != Endianness::Little {
            return Err(self.wrong("is big-endian"));
        }
        let fields = schema.fields().into_iter().flatten().map(|field| Field::read(&field, 0));
        fields.collect::<std::result::Result<_, _>>().map_err(|what| self.wrong(&what))
    }

    /// The next batch; none at the end.
    fn batch(&mut self, fields: &[Field]) -> Result<Option<Batch>> {
        loop {
            let Some(bytes) = self.message()? else { return Ok(None) };
            let message = root_as_message(&bytes).map_err(|_| self.wrong("the description of a batch is damaged"))?;
            let (body, length) = (self.at, message.bodyLength());
            if length < 0 || length.cast_unsigned() > self.end - body {
                let left = self.end - body;
                return Err(self.wrong(&format!("a batch claims {length} bytes, but {left} are left: cut off")));
            }
            let batch = message.header_as_record_batch();
            let found = batch.map(|batch| layout::columns(&batch, fields, length.cast_unsigned()));
            let found = found.transpose().map_err(|what| self.wrong(&what))?;
            self.at += length.cast_unsigned();
            self.from.seek(SeekFrom::Start(self.at)).map_err(Error::io(self.path))?;
            // Dictionaries go before batches; none of ours is read.
            if let Some((rows, columns)) = found {
                return Ok(Some(Batch { rows, body, columns }));
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
