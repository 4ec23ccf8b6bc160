//! Text columns of parquet files.

use crate::{
    error::{Error, Result},
    fsio::printable,
};
use parquet::{
    column::reader::{ColumnReader, ColumnReaderImpl},
    data_type::{ByteArray, ByteArrayType},
    errors::ParquetError,
    file::reader::{FileReader, RowGroupReader, SerializedFileReader},
};
use std::{fs::File, panic::AssertUnwindSafe, path::Path};

/// Values read at once.
const BATCH: usize = 1 << 16;
/// Most rows of one file.
const MAX_ROWS: i64 = 100_000_000;

/// A column, row by row; `None` where it is null.
pub(super) type Texts = Vec<Option<String>>;

/// For each list of names, the first top-level text column of the parquet file `path` that has one of them. Rows are as
/// many as the file says it has.
///
/// # Errors
/// [`Error::Input`] for a file that is no parquet or is damaged; [`Error::Io`].
pub(super) fn text_columns(path: &Path, wanted: &[&[&str]]) -> Result<(usize, Vec<Option<Texts>>)> {
    let file = File::open(path).map_err(Error::io(path))?;
    let wrong = |what: &str| Error::input(path, format!("not a readable parquet file: {}", printable(what)));
    // The crate's decoders index into pages as these say; a damaged one may be met by a panic.
    let read = std::panic::catch_unwind(AssertUnwindSafe(|| read(file, wanted)));
    read.map_err(|_| wrong("its pages are damaged"))?.map_err(|e| wrong(&e.to_string()))
}

fn read(file: File, wanted: &[&[&str]]) -> std::result::Result<(usize, Vec<Option<Texts>>), ParquetError> {
    let reader = SerializedFileReader::new(file)?;
    let rows = reader.metadata().file_metadata().num_rows();
    if !(0..=MAX_ROWS).contains(&rows) {
        return Err(ParquetError::General(format!("claims {rows} rows")));
    }
    let schema = reader.metadata().file_metadata().schema_descr();
    let flat = |i: &usize, names: &[&str]| {
        let column = schema.column(*i);
        column.max_rep_level() == 0 && matches!(column.path().parts(), [only] if names.contains(&only.as_str()))
    };
    let find = |names: &&[&str]| (0..schema.num_columns()).find(|i| flat(i, names));
    let mut columns = Vec::new();
    for at in wanted.iter().map(find) {
        let Some(at) = at else {
            columns.push(None);
            continue;
        };
        let mut texts = Vec::new();
        for group in 0..reader.num_row_groups() {
            text_column(&*reader.get_row_group(group)?, at, &mut texts)?;
        }
        if texts.len() as i64 != rows {
            return Err(ParquetError::General(format!("claims {rows} rows, but a column has {}", texts.len())));
        }
        columns.push(Some(texts));
    }
    Ok((rows as usize, columns))
}

fn text_column(group: &dyn RowGroupReader, at: usize, texts: &mut Texts) -> std::result::Result<(), ParquetError> {
    let name = group.metadata().column(at).column_path().string();
    let ColumnReader::ByteArrayColumnReader(mut column) = group.get_column_reader(at)? else {
        return Err(ParquetError::General(format!("column \"{name}\" holds no text")));
    };
    let nullable = group.metadata().column(at).column_descr().max_def_level() > 0;
    loop {
        let (values, levels) = batch(&mut column, nullable)?;
        if values.is_empty() && levels.is_empty() {
            return Ok(());
        }
        let text = |v: ByteArray| match std::str::from_utf8(v.data()) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(ParquetError::General(format!("column \"{name}\", from row {}: not UTF-8", texts.len() + 1))),
        };
        let mut values = values.into_iter().map(text).collect::<std::result::Result<Vec<_>, _>>()?.into_iter();
        if nullable {
            texts.extend(levels.into_iter().map(|level| if level > 0 { values.next() } else { None }));
        } else {
            texts.extend(values.map(Some));
        }
        if texts.len() as i64 > MAX_ROWS {
            return Err(ParquetError::General(format!("column \"{name}\" has too many rows")));
        }
    }
}

type Column = ColumnReaderImpl<ByteArrayType>;

fn batch(column: &mut Column, nullable: bool) -> std::result::Result<(Vec<ByteArray>, Vec<i16>), ParquetError> {
    let (mut values, mut levels) = (Vec::new(), Vec::new());
    column.read_records(BATCH, nullable.then_some(&mut levels), None, &mut values)?;
    Ok((values, levels))
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use parquet::{
        basic::Compression,
        file::{properties::WriterProperties, writer::SerializedFileWriter},
        schema::parser::parse_message_type,
    };
    use proptest::prelude::*;
    use std::sync::Arc;

    /// A file with two text columns in row groups of two rows, the second one nullable.
    pub fn sample(path: &Path, rows: &[(&str, Option<&str>)]) {
        sample_by(Compression::SNAPPY, path, rows);
    }

    fn sample_by(codec: Compression, path: &Path, rows: &[(&str, Option<&str>)]) {
        let schema =
            "message m { required binary caption (UTF8); optional binary image_path (UTF8); optional int32 n; }";
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let properties = Arc::new(WriterProperties::builder().set_compression(codec).build());
        let mut file = SerializedFileWriter::new(File::create(path).unwrap(), schema, properties).unwrap();
        for rows in rows.chunks(2) {
            let mut group = file.next_row_group().unwrap();
            let bytes = |t: &str| ByteArray::from(t);
            let captions: Vec<_> = rows.iter().map(|r| bytes(r.0)).collect();
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<ByteArrayType>().write_batch(&captions, None, None).unwrap();
            column.close().unwrap();
            let paths: Vec<_> = rows.iter().filter_map(|r| r.1.map(bytes)).collect();
            let levels: Vec<i16> = rows.iter().map(|r| i16::from(r.1.is_some())).collect();
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<ByteArrayType>().write_batch(&paths, Some(&levels), None).unwrap();
            column.close().unwrap();
            let mut column = group.next_column().unwrap().unwrap();
            let numbers = vec![0; rows.len()];
            let typed = column.typed::<parquet::data_type::Int32Type>();
            typed.write_batch(&[], Some(&numbers), None).unwrap();
            column.close().unwrap();
            group.close().unwrap();
        }
        file.close().unwrap();
    }

    const ROWS: [(&str, Option<&str>); 3] = [("a dog", Some("/x/1.jpg")), ("é", None), ("third", Some("3.jpg"))];

    #[test]
    fn columns_are_found_by_any_of_their_names_with_their_nulls() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.parquet");
        sample(&path, &ROWS);
        let (rows, columns) = text_columns(&path, &[&["text", "caption"], &["image_path"], &["absent"]]).unwrap();
        let text = |t: &str| Some(t.to_owned());
        assert_eq!(rows, 3);
        assert_eq!(columns[0].as_ref().unwrap(), &[text("a dog"), text("é"), text("third")]);
        assert_eq!(columns[1].as_ref().unwrap(), &[text("/x/1.jpg"), None, text("3.jpg")]);
        assert!(columns[2].is_none());
        let wrong = text_columns(&path, &[&["n"]]).unwrap_err().to_string();
        assert!(wrong.contains("m.parquet: ") && wrong.contains("\"n\" holds no text"), "{wrong}");
    }

    #[test]
    fn every_codec_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.parquet");
        let coded = [
            Compression::GZIP(Default::default()),
            Compression::ZSTD(Default::default()),
            Compression::BROTLI(Default::default()),
        ];
        let plain = [Compression::UNCOMPRESSED, Compression::SNAPPY, Compression::LZ4, Compression::LZ4_RAW];
        for codec in plain.into_iter().chain(coded) {
            sample_by(codec, &path, &ROWS);
            let (rows, columns) = text_columns(&path, &[&["caption"]]).unwrap();
            assert_eq!((rows, columns[0].as_ref().unwrap()[1].as_deref()), (3, Some("é")), "{codec}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn damaged_files_never_panic(at in 0usize..4000, to in any::<u8>(), cut in 0usize..8000) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("m.parquet");
            sample(&path, &ROWS);
            let mut bytes = std::fs::read(&path).unwrap();
            let at = at % bytes.len();
            bytes[at] = to;
            bytes.truncate(cut);
            std::fs::write(&path, bytes).unwrap();
            let _ = text_columns(&path, &[&["caption"], &["image_path"]]);
        }
    }
}
