//! What is looked at in a foreign parquet file before the crate is given it. The crate makes room for what metadata claim,
//! and follows nested schemas by recursion: 900 bytes could take any amount of memory, or the stack, and neither failure can
//! be caught. <https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift>

use super::thrift::{
    Fields,
    Kind::{Binary, Bool, Byte, Double, Int, List, Struct},
    walk,
};
use crate::pixels::room;
use parquet::{basic::Compression, errors::ParquetError, file::metadata::ColumnChunkMetaData};
use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
};

/// Largest footer read, in bytes.
const FOOTER: u64 = 1 << 25;
/// How deep a schema may be nested, and how many columns it may have.
const DEPTH: usize = 64;
const COLUMNS: usize = 100_000;
/// Largest page that is unpacked however little it takes, in bytes; writers mean to fill one megabyte.
const PAGE: u64 = 1 << 26;
/// What is unpacked of each byte besides: text shrinks by less. But never more than the room for pictures.
const RATIO: u64 = 64;
/// How a header of a page may be long; it can hold a least and a greatest value.
const HEADERS: [u64; 2] = [1 << 13, 1 << 24];

const STATISTICS: Fields =
    &[(1, Binary), (2, Binary), (3, Int), (4, Int), (5, Binary), (6, Binary), (7, Bool), (8, Bool), (9, Int)];
const PAIR: Fields = &[(1, Binary), (2, Binary)];
const UNIT: Fields = &[(1, Struct(&[])), (2, Struct(&[])), (3, Struct(&[]))];
const TIME: Fields = &[(1, Bool), (2, Struct(UNIT))];
const LOGICAL: Fields = &[
    (1, Struct(&[])),
    (2, Struct(&[])),
    (3, Struct(&[])),
    (4, Struct(&[])),
    (5, Struct(&[(1, Int), (2, Int)])),
    (6, Struct(&[])),
    (7, Struct(TIME)),
    (8, Struct(TIME)),
    (10, Struct(&[(1, Byte), (2, Bool)])),
    (11, Struct(&[])),
    (12, Struct(&[])),
    (13, Struct(&[])),
    (14, Struct(&[])),
    (15, Struct(&[])),
    (16, Struct(&[(1, Byte)])),
    (17, Struct(&[(1, Binary)])),
    (18, Struct(&[(1, Binary), (2, Int)])),
    (19, Struct(&[])),
];
const SCHEMA: Fields = &[
    (1, Int),
    (2, Int),
    (3, Int),
    (4, Binary),
    (5, Int),
    (6, Int),
    (7, Int),
    (8, Int),
    (9, Int),
    (10, Struct(LOGICAL)),
];
const BOX: Fields =
    &[(1, Double), (2, Double), (3, Double), (4, Double), (5, Double), (6, Double), (7, Double), (8, Double)];
const COLUMN: Fields = &[
    (1, Int),
    (2, List(&Int)),
    (3, List(&Binary)),
    (4, Int),
    (5, Int),
    (6, Int),
    (7, Int),
    (8, List(&Struct(PAIR))),
    (9, Int),
    (10, Int),
    (11, Int),
    (12, Struct(STATISTICS)),
    (13, List(&Struct(&[(1, Int), (2, Int), (3, Int)]))),
    (14, Int),
    (15, Int),
    (16, Struct(&[(1, Int), (2, List(&Int)), (3, List(&Int))])),
    (17, Struct(&[(1, Struct(BOX)), (2, List(&Int))])),
];
const CHUNK: Fields = &[
    (1, Binary),
    (2, Int),
    (3, Struct(COLUMN)),
    (4, Int),
    (5, Int),
    (6, Int),
    (7, Int),
    (8, Struct(&[])),
    (9, Binary),
];
const GROUP: Fields = &[
    (1, List(&Struct(CHUNK))),
    (2, Int),
    (3, Int),
    (4, List(&Struct(&[(1, Int), (2, Bool), (3, Bool)]))),
    (5, Int),
    (6, Int),
    (7, Int),
];
const FILE: Fields = &[
    (1, Int),
    (2, List(&Struct(SCHEMA))),
    (3, Int),
    (4, List(&Struct(GROUP))),
    (5, List(&Struct(PAIR))),
    (6, Binary),
    (7, List(&Struct(&[(1, Struct(&[])), (2, Struct(&[]))]))),
    (8, Struct(&[])),
    (9, Binary),
];
const PAGE_HEADER: Fields = &[
    (1, Int),
    (2, Int),
    (3, Int),
    (4, Int),
    (5, Struct(&[(1, Int), (2, Int), (3, Int), (4, Int), (5, Struct(STATISTICS))])),
    (6, Struct(&[])),
    (7, Struct(&[(1, Int), (2, Int), (3, Bool)])),
    (8, Struct(&[(1, Int), (2, Int), (3, Int), (4, Int), (5, Int), (6, Int), (7, Bool), (8, Struct(STATISTICS))])),
];

type Result<T> = std::result::Result<T, ParquetError>;

fn wrong<T>(what: impl Into<String>) -> Result<T> {
    Err(ParquetError::General(what.into()))
}

fn part(mut file: &File, from: u64, length: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Checks that the footer lies within the file and is metadata in every field, and that the schema is no deeper and wider
/// than a table's.
pub(super) fn footer(file: &File) -> Result<()> {
    let end = file.metadata()?.len();
    let Some(tail) = end.checked_sub(12) else { return wrong("it is too short") };
    let last = part(file, end - 8, 8)?;
    let Some((length, _)) = last.split_first_chunk::<4>() else { return wrong("it is too short") };
    let length = u64::from(u32::from_le_bytes(*length));
    if length > tail.min(FOOTER) {
        return wrong(format!("its footer claims {length} bytes"));
    }
    // Of each structure that is open, how many parts are to come.
    let (mut open, mut children, mut elements, mut deepest) = (Vec::<i64>::new(), 0, 0usize, 0);
    let walked = walk(&part(file, end - 8 - length, length)?, FILE, &mut |path, value| match (path, value) {
        ([2, 5], Some(n)) => children = n,
        ([2], None) => {
            elements += 1;
            if children > 0 {
                open.push(children);
                deepest = deepest.max(open.len());
            } else {
                // It ends those of which it is the last part.
                while let Some(left) = open.last_mut() {
                    *left -= 1;
                    if *left > 0 {
                        break;
                    }
                    open.pop();
                }
            }
            children = 0;
        }
        _ => {}
    });
    match walked {
        None => wrong("its footer is damaged"),
        Some(_) if deepest > DEPTH || elements > COLUMNS => wrong(format!(
            "its schema has {elements} columns, {deepest} deep; at most {COLUMNS}, {DEPTH} deep, are read"
        )),
        // Whoever believes such a number makes room for it.
        Some(_) if !open.is_empty() => wrong("its schema claims more columns than it has"),
        Some(_) => Ok(()),
    }
}

/// What a header says of its page.
#[derive(Default)]
struct Header {
    packed: i64,
    unpacked: i64,
    /// Values of a page that is no dictionary.
    values: i64,
    /// Bytes before what is compressed, of a page of the second version, and whether anything is.
    levels: i64,
    plain: bool,
}

/// Checks that the pages of a column lie within it, and are not larger unpacked than their bytes can be worth. How many
/// values each has, but for dictionaries.
pub(super) fn pages(file: &File, column: &ColumnChunkMetaData) -> Result<Vec<u64>> {
    let (room, mut values) = (room::most(), Vec::new());
    let (mut at, length) = column.byte_range();
    let end = at.saturating_add(length).min(file.metadata()?.len());
    while at < end {
        let Some((header, size)) = header(file, at, end)? else { return wrong("a header of a page is damaged") };
        at += size;
        let packed = header.packed.cast_unsigned();
        if header.packed < 0 || packed > end - at {
            return wrong(format!("a page claims {} bytes of {}", header.packed, end - at));
        }
        let most = PAGE + RATIO * packed;
        if !(0..=most.cast_signed()).contains(&header.unpacked) {
            return wrong(format!("a page of {packed} bytes claims to unpack to {}", header.unpacked));
        }
        if header.unpacked.cast_unsigned() > room {
            let message = format!("a page unpacks to {} bytes; there is room for {room} (`--memory`)", header.unpacked);
            return wrong(message);
        }
        values.extend(u64::try_from(header.values).ok().filter(|n| *n > 0));
        if matches!(column.compression(), Compression::BROTLI(_)) && !header.plain {
            brotli(&part(file, at, packed)?, &header)?;
        }
        at += packed;
    }
    Ok(values)
}

fn header(file: &File, at: u64, end: u64) -> Result<Option<(Header, u64)>> {
    for longest in HEADERS {
        let mut header = Header::default();
        let see = &mut |path: &[i16], value| match (path, value) {
            ([2], Some(n)) => header.unpacked = n,
            ([3], Some(n)) => header.packed = n,
            ([5 | 8, 1], Some(n)) => header.values = n,
            ([8, 5 | 6], Some(n)) => header.levels += n.clamp(0, i64::from(i32::MAX)),
            ([8, 7], Some(n)) => header.plain = n == 0,
            _ => {}
        };
        if let Some(size) = walk(&part(file, at, longest.min(end - at))?, PAGE_HEADER, see) {
            return Ok(Some((header, size as u64)));
        }
    }
    Ok(None)
}

/// The crate unpacks Brotli to its end, whatever the page claims, and a few bytes of it can have any length.
fn brotli(bytes: &[u8], header: &Header) -> Result<()> {
    let packed = bytes.get(header.levels as usize..).unwrap_or_default();
    // A window of up to a gigabyte, which no writer of parquet asks for.
    if packed.first().is_some_and(|first| first & 0x7f == 0x11) {
        return wrong("a page is packed with a window that is not read");
    }
    let most = header.unpacked.cast_unsigned() + 1;
    let length = io::copy(&mut brotli::Decompressor::new(packed, 1 << 12).take(most), &mut io::sink())?;
    if length < most { Ok(()) } else { wrong("a page unpacks to more than it claims") }
}
