#![allow(clippy::unwrap_used)]
use super::*;
use half::f16;
use ndarray::arr2;
use proptest::prelude::*;
use std::io::Write;

/// An npy file as numpy writes it, with any header.
pub fn npy(descr: &str, order: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let dict = format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}");
    let text = format!("{dict:<117}\n");
    [b"\x93NUMPY\x01\x00", (text.len() as u16).to_le_bytes().as_slice(), text.as_bytes(), data].concat()
}

pub fn singles(rows: usize, width: usize, numbers: &[f32]) -> Vec<u8> {
    let data: Vec<u8> = numbers.iter().flat_map(|v| v.to_le_bytes()).collect();
    npy("'<f4'", "False", &format!("({rows}, {width})"), &data)
}

fn open(bytes: &[u8]) -> Result<(tempfile::NamedTempFile, Matrix)> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    Matrix::open(file.path()).map(|m| (file, m))
}

fn complaint(bytes: &[u8]) -> String {
    open(bytes).unwrap_err().to_string()
}

#[test]
fn half_and_single_precision_give_the_same_rows() {
    let numbers = [1.0f32, -2.5, 0.25, 1000.0, 0.0, -0.125];
    let halves: Vec<u8> = numbers.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect();
    let (_a, half) = open(&npy("'<f2'", "False", "(3, 2)", &halves)).unwrap();
    let (_b, single) = open(&singles(3, 2, &numbers)).unwrap();
    let rows = |m: Matrix| Table::new(vec![m]).unwrap().read(&[2, 0, 1]).unwrap();
    let expected = arr2(&[[0.0, -0.125], [1.0, -2.5], [0.25, 1000.0]]);
    assert_eq!(rows(half), expected);
    assert_eq!(rows(single), expected);
}

#[test]
fn rows_are_found_across_files() {
    let (_a, a) = open(&singles(2, 1, &[0.0, 1.0])).unwrap();
    let (_b, b) = open(&singles(0, 1, &[])).unwrap();
    let (_c, c) = open(&singles(3, 1, &[2.0, 3.0, 4.0])).unwrap();
    let table = Table::new(vec![a, b, c]).unwrap();
    let numbers = |picks: &[u32]| table.read(picks).map(|a| a.into_raw_vec_and_offset().0);
    assert_eq!(numbers(&[0, 1, 2, 3, 4]).unwrap(), [0.0, 1.0, 2.0, 3.0, 4.0]);
    assert_eq!(numbers(&[4, 1, 2, 2]).unwrap(), [4.0, 1.0, 2.0, 2.0]);
    assert!(numbers(&[4, 5]).is_err());
    let (_d, wide) = open(&singles(1, 2, &[1.0, 2.0])).unwrap();
    let mixed = Table::new(vec![table.parts[0].clone(), wide]).unwrap_err().to_string();
    assert!(mixed.contains("rows of 2 numbers"), "{mixed}");
}

#[test]
fn what_is_not_a_float_matrix_is_refused_in_words() {
    let four = [0; 16];
    assert!(complaint(b"PK\x03\x04 and so on").contains("not an npy file"));
    assert!(complaint(b"\x93NUM").contains("ends within the header"));
    assert!(complaint(&npy("'|O'", "False", "(2, 2)", &four)).contains("never read"));
    assert!(complaint(&npy("'>f4'", "False", "(2, 2)", &four)).contains("big-endian"));
    assert!(complaint(&npy("'<i8'", "False", "(1, 2)", &four)).contains("type <i8"));
    assert!(complaint(&npy("[('x', '<f4')]", "False", "(2, 2)", &four)).contains("a structure"));
    assert!(complaint(&npy("'<f4'", "Maybe", "(2, 2)", &four)).contains("fortran_order"));
    for shape in ["(4,)", "()", "(1, 2, 2)", "(-1, 2)", "(2, x)", "2", "(99999999999999999999, 1)"] {
        assert!(complaint(&npy("'<f4'", "False", shape, &four)).contains("two axes"), "{shape}");
    }
    for shape in ["(4, 0)", "(0, 9223372036854775808)", "(0, 4611686018427387904)"] {
        assert!(complaint(&npy("'<f4'", "False", shape, &four)).contains("no matrix"), "{shape}");
    }
}

#[test]
fn a_shape_that_the_file_cannot_hold_is_met_before_anything_is_allocated() {
    for shape in ["(1000000, 1000000)", "(9223372036854775807, 9223372036854775807)", "(3, 2)"] {
        let text = complaint(&npy("'<f4'", "False", shape, &[0; 20]));
        assert!(text.contains("but 20 bytes are left"), "{text}");
    }
    let mut long = npy("'<f4'", "False", "(1, 1)", &[0; 4]);
    (long[6], long[8], long[9], long[10], long[11]) = (2, 255, 255, 255, 255);
    assert!(complaint(&long).contains("is not read"));
}

#[test]
fn a_number_that_is_not_finite_is_named() {
    let (file, matrix) = open(&singles(2, 2, &[0.0, 1.0, 2.0, f32::NAN])).unwrap();
    let text = Table::new(vec![matrix]).unwrap().read(&[0, 1]).unwrap_err().to_string();
    assert_eq!(text, format!("{}: row 1, column 1 is NaN", file.path().display()));
}

#[test]
fn arrays_of_an_archive_are_read_in_place() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut to = zip::ZipWriter::new(file.reopen().unwrap());
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, number) in [("a.npy", 1.0), ("b.npy", 2.0), ("note.txt", 0.0)] {
        to.start_file(name, stored).unwrap();
        to.write_all(&singles(1, 1, &[number])).unwrap();
    }
    to.finish().unwrap();
    let arrays = Matrix::open_archive(file.path()).unwrap();
    let first = |m: &Matrix| Table::new(vec![m.clone()]).unwrap().read(&[0]).unwrap()[[0, 0]];
    assert_eq!(arrays.iter().map(|(n, m)| (n.as_str(), first(m))).collect::<Vec<_>>(), [("a", 1.0), ("b", 2.0)]);
    let whole = std::fs::read(file.path()).unwrap();
    for cut in 0..whole.len() {
        std::fs::write(file.path(), &whole[..cut]).unwrap();
        assert!(Matrix::open_archive(file.path()).is_err(), "cut at {cut}");
    }
}

#[test]
fn doubles_and_fortran_order_give_the_same_rows_in_any_run() {
    let expected = arr2(&[[1.0, -2.5], [0.25, 3.0], [7.0, 8.0]]);
    let doubles: Vec<u8> = expected.iter().flat_map(|v: &f32| f64::from(*v).to_le_bytes()).collect();
    let turned: Vec<u8> = expected.t().iter().flat_map(|v: &f32| v.to_le_bytes()).collect();
    for bytes in [npy("'<f8'", "False", "(3, 2)", &doubles), npy("'<f4'", "True", "(3, 2)", &turned)] {
        let (_file, matrix) = open(&bytes).unwrap();
        let table = Table::new(vec![matrix]).unwrap();
        assert_eq!(table.read(&[0, 1, 2]).unwrap(), expected);
        assert_eq!(
            table.read(&[2, 1]).unwrap(),
            ndarray::concatenate![
                ndarray::Axis(0),
                expected.slice(ndarray::s![2..3, ..]),
                expected.slice(ndarray::s![1..2, ..])
            ]
        );
    }
}

/// A zip of one member packed by deflate, as `numpy.savez_compressed` writes it: the crate here only stores.
fn compressed(name: &str, bytes: &[u8], claims: u32) -> Vec<u8> {
    let mut packed = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(bytes).unwrap();
    let packed = packed.finish().unwrap();
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    let about = [
        &[20, 0, 0, 0, 8, 0, 0, 0, 0, 0][..],
        &crc.sum().to_le_bytes(),
        &(packed.len() as u32).to_le_bytes(),
        &claims.to_le_bytes(),
        &(name.len() as u16).to_le_bytes(),
        &[0, 0],
    ]
    .concat();
    let local = [&b"PK\x03\x04"[..], &about, name.as_bytes(), &packed].concat();
    let central = [&b"PK\x01\x02\x14\x00"[..], &about, &[0; 14], name.as_bytes()].concat();
    let (size, from) = ((central.len() as u32).to_le_bytes(), (local.len() as u32).to_le_bytes());
    let end = [&b"PK\x05\x06\x00\x00\x00\x00\x01\x00\x01\x00"[..], &size, &from, &[0, 0]].concat();
    [local, central, end].concat()
}

#[test]
fn compressed_archives_are_unpacked_and_bombs_are_not() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let put = |bytes: &[u8], claims: usize| {
        std::fs::write(file.path(), compressed("image.npy", bytes, claims as u32)).unwrap();
        Matrix::open_archive(file.path())
    };
    let bytes = singles(2, 2, &[1.0, 2.0, 3.0, 4.0]);
    let arrays = put(&bytes, bytes.len()).unwrap();
    let table = Table::new(vec![arrays[0].1.clone()]).unwrap();
    assert_eq!((arrays[0].0.as_str(), table.read(&[1, 0]).unwrap()), ("image", arr2(&[[3.0, 4.0], [1.0, 2.0]])));
    let said = put(&bytes[..bytes.len() - 4], bytes.len()).unwrap_err().to_string();
    assert!(said.contains("array \"image\": claims 2 x 2 numbers"), "{said}");
    let said = put(&vec![0; 200_000_000], 7).unwrap_err().to_string();
    assert!(said.contains("array \"image\"") && said.contains("unpack to more than"), "{said}");
}

#[test]
fn matrices_of_safetensors_are_read_in_place_and_lies_are_met() {
    let file = tempfile::Builder::new().suffix(".safetensors").tempfile().unwrap();
    let put = |header: &str, data: &[u8]| {
        let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat();
        std::fs::write(file.path(), bytes).unwrap();
        Matrix::open_tensors(file.path())
    };
    let header = r#"{"__metadata__":{"format":"pt"},"text":{"dtype":"BF16","shape":[1,2],"data_offsets":[8,12]},"image":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},"n":{"dtype":"I64","shape":[1],"data_offsets":[12,20]}}"#;
    let data: Vec<u8> = [1.5f32.to_le_bytes(), 2f32.to_le_bytes(), [0x40, 0x40, 0x80, 0x40], [0; 4], [0; 4]].concat();
    let found = put(header, &data).unwrap();
    let rows = |i: usize| Table::new(vec![found[i].1.clone()]).unwrap().read(&[0]).unwrap();
    assert_eq!((found.len(), rows(0), rows(1)), (2, arr2(&[[1.5, 2.0]]), arr2(&[[3.0, 4.0]])));
    let said = put(&header.replace("[1,2]", "[9,2]"), &data).unwrap_err().to_string();
    assert!(said.contains("tensor \"image\": claims 9 x 2 numbers"), "{said}");
    assert!(put("{", &[]).unwrap_err().to_string().contains("not a readable safetensors file"));
    std::fs::write(file.path(), [0xff; 20]).unwrap();
    assert!(Matrix::open_tensors(file.path()).unwrap_err().to_string().contains("a header of"));
}

proptest! {
    #[test]
    fn damaged_headers_never_panic(at in 0usize..140, to in any::<u8>(), cut in 0usize..160) {
        let mut bytes = singles(2, 2, &[0.0, 1.0, 2.0, 3.0]);
        bytes[at] = to;
        bytes.truncate(cut);
        if let Ok((_file, matrix)) = open(&bytes) {
            let rows = matrix.rows as u32;
            let _ = Table::new(vec![matrix]).unwrap().read(&(0..rows).collect::<Vec<_>>());
        }
    }
}
