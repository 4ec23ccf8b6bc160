#![allow(clippy::unwrap_used)]
use super::*;
use arrow_array::{
    ArrayRef, RecordBatch, StructArray,
    builder::{
        BinaryBuilder, BinaryViewBuilder, Int64Builder, LargeStringBuilder, ListBuilder, StringBuilder,
        StringViewBuilder,
    },
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
    let columns: [(&str, ArrayRef, bool); 4] = [
        ("n", Arc::new(numbers.finish()), true),
        ("image", image(Arc::new(bytes.finish()), Arc::new(path.finish())), true),
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

/// Pictures as `datasets` keeps them.
fn image(bytes: ArrayRef, path: ArrayRef) -> ArrayRef {
    let parts = [("bytes", bytes, true), ("path", path, true)];
    Arc::new(StructArray::from(RecordBatch::try_from_iter_with_nullable(parts).unwrap()))
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
            Some((name, Some(Origin::Member { shard, offset, length }))) => {
                (name.clone().unwrap(), shard.read(*offset, *length).unwrap())
            }
            _ => panic!("row {i} has no picture"),
        };
        assert!(matches!(pictures[1], None | Some((None, None))));
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

/// Polars writes texts and bytes so.
#[test]
fn views_are_read_wherever_their_values_lie() {
    let long = "a caption that no view has room for";
    let mut words = StringViewBuilder::new().with_fixed_block_size(64);
    let texts = [Some("short"), None, Some(long), Some(""), Some("twelve bytes"), Some(long), Some(long)];
    texts.iter().for_each(|text| words.append_option(*text));
    let mut lists = ListBuilder::new(StringViewBuilder::new());
    let mut bytes = BinaryViewBuilder::new();
    for i in 0..texts.len() {
        lists.values().append_value(&long[i..]);
        lists.append(true);
        bytes.append_value([i as u8; 40]);
    }
    let arrays: [(&str, ArrayRef, bool); 3] = [
        ("words", Arc::new(words.finish()), true),
        ("lists", Arc::new(lists.finish()), true),
        ("bytes", Arc::new(bytes.finish()), true),
    ];
    let whole = RecordBatch::try_from_iter_with_nullable(arrays).unwrap();
    let written = stream(&[whole.clone(), whole.slice(2, 3)]);
    let (_file, table) = opened(&written).unwrap();
    let found: Vec<Option<String>> = table.texts(0).unwrap().into_iter().map(|cell| cell.into_iter().next()).collect();
    let told = texts.iter().chain(&texts[2..5]).map(|text| text.map(String::from));
    assert_eq!(found, told.collect::<Vec<_>>());
    assert_eq!(table.texts(1).unwrap()[8], [&long[3..]]);
    let Some((None, Some(Origin::Member { shard, offset, length }))) = &table.pictures(2).unwrap()[6] else {
        panic!("no picture");
    };
    assert_eq!(shard.read(*offset, *length).unwrap(), [6; 40]);
    // A view into a buffer that there is not.
    let view = [(long.len() as u32).to_le_bytes(), *b"a ca", 0u32.to_le_bytes(), 0u32.to_le_bytes()].concat();
    let at = written.windows(16).position(|w| w == view).unwrap();
    for (place, value) in [(8, 9), (12, 60), (3, 1)] {
        let mut damaged = written.clone();
        damaged[at + place] = value;
        let (_file, table) = opened(&damaged).unwrap();
        assert!(table.texts(0).unwrap_err().to_string().contains("where the values of a batch lie is damaged"));
    }
}

#[test]
fn where_no_picture_has_a_path_the_paths_need_no_type() {
    let bytes: ArrayRef = Arc::new(arrow_array::BinaryArray::from_vec(vec![b"one"]));
    let none: ArrayRef = Arc::new(arrow_array::NullArray::new(1));
    let batch = RecordBatch::try_from_iter_with_nullable([("image", image(bytes, none), true)]).unwrap();
    let (_file, table) = opened(&stream(&[batch])).unwrap();
    assert!(matches!(table.pictures(0).unwrap()[..], [Some((None, Some(_)))]));
}
