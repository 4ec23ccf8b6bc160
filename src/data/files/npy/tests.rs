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
    assert!(complaint(&npy("'<f8'", "False", "(1, 2)", &four)).contains("type <f8"));
    assert!(complaint(&npy("[('x', '<f4')]", "False", "(2, 2)", &four)).contains("a structure"));
    assert!(complaint(&npy("'<f4'", "True", "(2, 2)", &four)).contains("Fortran"));
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
