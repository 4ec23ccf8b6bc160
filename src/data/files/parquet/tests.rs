#![allow(clippy::unwrap_used)]
use super::*;

/// For each list of names, the first column of text that has one of them.
fn text_columns(path: &Path, wanted: &[&[&str]]) -> Result<(usize, Vec<Option<Texts>>)> {
    let table = Table::open(path)?;
    let texts = wanted.iter().map(|names| table.find(names).map(|leaf| table.texts(leaf)).transpose());
    Ok((table.rows(), texts.collect::<Result<_>>()?))
}

use parquet::{
    basic::{Compression, Encoding},
    file::{
        properties::{WriterProperties, WriterVersion},
        writer::SerializedFileWriter,
    },
    schema::parser::parse_message_type,
};
use proptest::prelude::*;
use std::sync::Arc;

/// A file with two text columns in row groups of two rows, the second one nullable.
pub fn sample(path: &Path, rows: &[(&str, Option<&str>)]) {
    sample_by(Compression::SNAPPY, path, rows);
}

fn sample_by(codec: Compression, path: &Path, rows: &[(&str, Option<&str>)]) {
    let schema = "message m { required binary caption (UTF8); optional binary image_path (UTF8); optional int32 n; }";
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
    assert!(text_columns(&path, &[&["n"]]).unwrap().1[0].is_none(), "numbers are no text");
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

/// A file of one page of captions in each row group, as `encoding` writes them.
fn encoded(path: &Path, encoding: Encoding, version: WriterVersion, rows: &[&str]) {
    let schema = Arc::new(parse_message_type("message m { optional binary caption (UTF8); }").unwrap());
    let properties = WriterProperties::builder().set_dictionary_enabled(false).set_encoding(encoding);
    let properties = Arc::new(properties.set_writer_version(version).build());
    let mut file = SerializedFileWriter::new(File::create(path).unwrap(), schema, properties).unwrap();
    let mut group = file.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let texts: Vec<_> = rows.iter().map(|t| ByteArray::from(*t)).collect();
    column.typed::<ByteArrayType>().write_batch(&texts, Some(&vec![1; rows.len()]), None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    file.close().unwrap();
}

#[test]
fn differences_of_lengths_and_of_texts_are_read_whatever_their_number() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.parquet");
    for encoding in [Encoding::PLAIN, Encoding::DELTA_BYTE_ARRAY, Encoding::DELTA_LENGTH_BYTE_ARRAY] {
        for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
            for n in [1, 2, 32, 33, 128, 129, 1000] {
                let rows: Vec<String> = (0..n).map(|i| format!("a photo {} of {i}", "x".repeat(i * 7 % 90))).collect();
                let texts: Vec<&str> = rows.iter().map(String::as_str).collect();
                encoded(&path, encoding, version, &texts);
                let (_, columns) = text_columns(&path, &[&["caption"]]).unwrap();
                let read: Vec<_> = columns[0].iter().flatten().map(|t| t.as_deref().unwrap()).collect();
                assert_eq!(read, texts, "{encoding} {version:?} {n}");
            }
        }
    }
}

#[test]
fn texts_that_repeat_a_long_one_without_end_are_not_unpacked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.parquet");
    let long = "x".repeat(1 << 20);
    for encoding in [Encoding::RLE_DICTIONARY, Encoding::DELTA_BYTE_ARRAY] {
        let rows = vec![long.as_str(); 300];
        if encoding == Encoding::DELTA_BYTE_ARRAY {
            encoded(&path, encoding, WriterVersion::PARQUET_2_0, &rows);
        } else {
            sample_by(Compression::ZSTD(Default::default()), &path, &vec![(long.as_str(), None); 300]);
        }
        let length = std::fs::metadata(&path).unwrap().len();
        let said = text_columns(&path, &[&["caption"]]).unwrap_err().to_string();
        assert!(said.contains("text"), "{encoding}, {length} bytes: {said}");
    }
}

#[test]
fn a_footer_beyond_the_file_and_a_schema_that_nests_or_claims_without_end_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.parquet");
    let said = |footer: &[u8], length: u32| {
        let file = [b"PAR1", footer, &length.to_le_bytes(), b"PAR1"].concat();
        std::fs::write(&path, file).unwrap();
        text_columns(&path, &[&["caption"]]).unwrap_err().to_string()
    };
    // 1: 1, 2: [each {4: "a", 5: children}], 3: 0, 4: []
    let schema = |elements: u32, children: &[u8]| {
        let mut footer = vec![0x15, 2, 0x19, 0xfc];
        footer.extend([elements as u8 & 0x7f | 0x80, (elements >> 7) as u8 & 0x7f | 0x80, (elements >> 14) as u8]);
        (0..elements).for_each(|_| footer.extend([&[0x48, 1, b'a', 0x15][..], children, &[0]].concat()));
        footer.extend([0x16, 0, 0x19, 0x0c, 0]);
        let length = footer.len() as u32;
        (footer, length)
    };
    assert!(said(&[0; 9], u32::MAX).contains("its footer claims 4294967295 bytes"));
    let (deep, length) = schema(30_000, &[2]);
    assert!(said(&deep, length).contains("30000 columns, 30000 deep"));
    let (many, length) = schema(1, &[0xfe, 0xff, 0xff, 0xff, 0x0f]);
    assert!(said(&many, length).contains("claims more columns than it has"));
    assert!(said(&deep[..100], 100).contains("its footer is damaged"));
}

/// What is said of a dictionary of 1.2 MB once its page claims to unpack to `claim` bytes.
fn claiming(codec: Compression, claim: u32) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.parquet");
    sample_by(codec, &path, &[(&"a dog ".repeat(200_000), None)]);
    let mut bytes = std::fs::read(&path).unwrap();
    assert_eq!(bytes[4..7], [0x15, 4, 0x15], "{{1: dictionary, 2: ..");
    let coded = claim << 1;
    for (i, byte) in bytes[7..11].iter_mut().enumerate() {
        assert_eq!(*byte >> 7, u8::from(i < 3), "another length");
        *byte = (coded >> (7 * i)) as u8 & 0x7f | *byte & 0x80;
    }
    std::fs::write(&path, bytes).unwrap();
    text_columns(&path, &[&["caption"]]).unwrap_err().to_string()
}

#[test]
fn a_page_that_unpacks_to_more_than_it_claims_or_claims_more_than_it_is_worth_is_not_unpacked() {
    let said = claiming(Compression::SNAPPY, (1 << 27) - 1);
    assert!(said.contains("bytes claims to unpack to 134217727"), "{said}");
    let said = claiming(Compression::BROTLI(Default::default()), 100);
    assert!(said.contains("a page unpacks to more than it claims"), "{said}");
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
