#![allow(clippy::unwrap_used)]
use super::*;
use arrow_array::{
    ArrayRef, RecordBatch, StructArray,
    builder::{BinaryBuilder, Int64Builder, LargeStringBuilder, ListBuilder, StringBuilder},
};
use arrow_ipc::writer::{FileWriter, StreamWriter};

/// `image` (bytes and path), `captions` (a list), `n` (numbers before the others) and `title` (large text), row by row.
pub fn batch(rows: &[(Option<&[u8]>, &[&str])]) -> RecordBatch {
    let (mut bytes, mut path) = (BinaryBuilder::new(), StringBuilder::new());
    let (mut captions, mut numbers) = (ListBuilder::new(StringBuilder::new()), Int64Builder::new());
    let mut title = LargeStringBuilder::new();
    for (i, (picture, texts)) in rows.iter().enumerate() {
        bytes.append_option(*picture);
        path.append_option(picture.map(|_| format!("{i}.png")));
        texts.iter().for_each(|text| captions.values().append_value(text));
        captions.append(true);
        numbers.append_value(i as i64);
        title.append_option((i > 0).then_some("é"));
    }
    let field = |name: &str, array: &ArrayRef| {
        let whole = RecordBatch::try_from_iter_with_nullable([(name, array.clone(), true)]).unwrap();
        whole.schema().fields()[0].clone()
    };
    let inner: [(&str, ArrayRef); 2] = [("bytes", Arc::new(bytes.finish())), ("path", Arc::new(path.finish()))];
    let image = StructArray::from(inner.map(|(name, array)| (field(name, &array), array)).to_vec());
    let columns: [(&str, ArrayRef, bool); 4] = [
        ("n", Arc::new(numbers.finish()), true),
        ("image", Arc::new(image), true),
        ("captions", Arc::new(captions.finish()), true),
        ("title", Arc::new(title.finish()), true),
    ];
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

/// A stream of these batches.
pub fn stream(batches: &[RecordBatch]) -> Vec<u8> {
    let mut to = StreamWriter::try_new(Vec::new(), &batches[0].schema()).unwrap();
    batches.iter().for_each(|batch| to.write(batch).unwrap());
    to.into_inner().unwrap()
}

fn opened(bytes: &[u8]) -> Result<(tempfile::NamedTempFile, Table)> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let table = Table::open(file.path())?;
    Ok((file, table))
}

#[test]
fn cells_are_found_in_streams_and_files_whatever_lies_before_them() {
    let batches = [batch(&[(Some(b"one"), &["a", "b"]), (None, &[])]), batch(&[(Some(b"three"), &["c"])])];
    let mut file = FileWriter::try_new(Vec::new(), &batches[0].schema()).unwrap();
    batches.iter().for_each(|batch| file.write(batch).unwrap());
    for bytes in [stream(&batches), file.into_inner().unwrap()] {
        let (_file, table) = opened(&bytes).unwrap();
        let kinds: Vec<Kind> = table.columns().iter().map(|(_, kind)| *kind).collect();
        assert_eq!((kinds, table.rows()), (vec![Kind::Other, Kind::Picture, Kind::Text, Kind::Text], 3));
        assert_eq!(table.texts(2).unwrap(), [vec!["a".to_owned(), "b".into()], vec![], vec!["c".into()]]);
        assert_eq!(table.texts(3).unwrap(), [vec![], vec!["é".to_owned()], vec![]]);
        let pictures = table.pictures(1).unwrap();
        let content = |i: usize| match &pictures[i] {
            Some((name, Origin::Member { shard, offset, length })) => {
                (name.clone().unwrap(), shard.read(*offset, *length).unwrap())
            }
            _ => panic!("row {i} has no picture"),
        };
        assert!(pictures[1].is_none());
        assert_eq!((content(0), content(2)), (("0.png".into(), b"one".to_vec()), ("0.png".into(), b"three".to_vec())));
    }
}

#[test]
fn a_stream_cut_anywhere_is_an_error_that_names_the_byte() {
    let whole = stream(&[batch(&[(Some(&[7; 300]), &["a"])]), batch(&[(Some(&[8; 300]), &["b"])])]);
    for part in 0..40 {
        let said = opened(&whole[..whole.len() * part / 40]).err().unwrap().to_string();
        assert!(said.contains(": byte "), "{part}: {said}");
    }
    assert!(opened(b"PAR1 and so on").err().unwrap().to_string().contains("not an arrow stream"));
}
