//! Layouts of data sets, with files that each reads.

use super::{Parser, encoded, opened};
use image::ImageFormat;
use parquet::{
    data_type::{ByteArray, ByteArrayType},
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::parser::parse_message_type,
};
use std::{io::Write, sync::Arc};

fn png() -> (&'static str, Vec<u8>) {
    ("a.png", encoded(ImageFormat::Png))
}

/// Lists in text and in COCO's JSON, and samples that lie as files.
pub fn lists() -> Vec<Parser> {
    let coco =
        br#"{"images": [{"id": 1, "file_name": "a.png"}], "annotations": [{"image_id": 1, "caption": "a dog"}]}"#;
    let csv = b"image,caption\na.png,\"a dog, \"\"red\"\"\"\na.png,\"[\"\"b\"\", \"\"c\"\"]\"\n".to_vec();
    let token = ("x.token", b"a.png#0\ta dog\na.png#1\ta \"cat\n".to_vec());
    let sample = vec![png(), ("a.txt", b"a dog\n".to_vec()), ("b/a.json", br#"{"caption": "x"}"#.to_vec())];
    [
        ("coco", vec![png(), ("captions_train.json", coco.to_vec())]),
        ("csv", vec![png(), ("captions.txt", csv.clone())]),
        ("metadata.csv", vec![png(), ("metadata.csv", csv)]),
        ("token", vec![png(), token, ("x.trainImages.txt", b"a.png\n".to_vec())]),
        ("files", sample),
    ]
    .into_iter()
    .map(|(name, files)| Parser { name, files, read: opened })
    .collect()
}

/// Tables with pictures in them, packed shards, features in safetensors.
pub fn tables() -> Vec<Parser> {
    let picture = encoded(ImageFormat::Png);
    let state = br#"{"_data_files": [{"filename": "data-0.arrow"}], "_split": "train"}"#.to_vec();
    let whole = br#"{"_data_files": [{"filename": "d.arrow"}], "_split": null, "_indices_data_files": null}"#.to_vec();
    let dict = ("dataset_dict.json", br#"{"splits": ["train"]}"#.to_vec());
    let header = r#"{"image":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"text":{"dtype":"F64","shape":[2,2],"data_offsets":[16,48]}}"#;
    let tensors = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 48]].concat();
    [
        ("parquet pictures", vec![("data/train-0.parquet", pictures(&picture))]),
        ("arrow", vec![("state.json", state), ("data-0.arrow", arrow(&picture))]),
        ("arrow splits", vec![dict, ("train/state.json", whole), ("train/d.arrow", arrow(&picture))]),
        ("tar.gz", vec![("0.tar.gz", packed())]),
        ("safetensors", vec![("captions.txt", b"a dog\na cat\n".to_vec()), ("train_embed.safetensors", tensors)]),
    ]
    .into_iter()
    .map(|(name, files)| Parser { name, files, read: opened })
    .collect()
}

/// A shard of one sample, compressed.
fn packed() -> Vec<u8> {
    use flate2::{Compression, write::GzEncoder};
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in [("1.gif", encoded(ImageFormat::Gif)), ("1.txt", b"a dog".to_vec())] {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, name, &bytes[..]).unwrap();
    }
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&tar.into_inner().unwrap()).unwrap();
    packed.finish().unwrap()
}

/// A stream of one batch with a picture and a list of captions.
fn arrow(png: &[u8]) -> Vec<u8> {
    use arrow_array::{ArrayRef, RecordBatch, StructArray, builder::*};
    let (mut bytes, mut path) = (BinaryBuilder::new(), StringBuilder::new());
    let mut captions = ListBuilder::new(StringBuilder::new());
    bytes.append_value(png);
    path.append_value("a.png");
    ["a dog", "two"].iter().for_each(|text| captions.values().append_value(text));
    captions.append(true);
    let (bytes, path): (ArrayRef, ArrayRef) = (Arc::new(bytes.finish()), Arc::new(path.finish()));
    let inner = RecordBatch::try_from_iter_with_nullable([("bytes", bytes, true), ("path", path, true)]).unwrap();
    let image: ArrayRef = Arc::new(StructArray::from(inner));
    let captions: ArrayRef = Arc::new(captions.finish());
    let rows = [("image", image, true), ("caption", captions, true)];
    let batch = RecordBatch::try_from_iter_with_nullable(rows).unwrap();
    let mut to = arrow_ipc::writer::StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    to.write(&batch).unwrap();
    to.into_inner().unwrap()
}

/// A parquet file of one picture and a list of captions.
fn pictures(png: &[u8]) -> Vec<u8> {
    let schema = "message m { optional group image { optional binary bytes; optional binary path (UTF8); }
        optional group caption (LIST) { repeated group list { optional binary element (UTF8); } } }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let properties = WriterProperties::builder().set_compression(parquet::basic::Compression::SNAPPY).build();
    let mut file = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties)).unwrap();
    let mut group = file.next_row_group().unwrap();
    let texts = |texts: &[&str]| texts.iter().map(|text| ByteArray::from(*text)).collect::<Vec<_>>();
    let columns = [
        (vec![png.to_vec().into()], vec![2], None),
        (texts(&["a.png"]), vec![2], None),
        (texts(&["a dog", "two"]), vec![3, 3], Some(vec![0, 1])),
    ];
    for (values, levels, repeats) in columns {
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&values, Some(&levels), repeats.as_deref()).unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    file.into_inner().unwrap()
}
