//! Bytes that strangers made: under every name that is read, nothing hangs, and nothing panics.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "foreign/mutate.rs"]
mod mutate;

use common::golden;
use image::{DynamicImage, ImageFormat, RgbImage};
use mutate::survives;
use parquet::{
    data_type::{ByteArray, ByteArrayType},
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::parser::parse_message_type,
};
use protostill::{
    config::Config,
    data::{self, Dataset, ImageSource, files::decode},
    models::{clip::Clip, weights::Checkpoint},
    pipeline::{
        set::{folder::DistilledSet, pair::DistilledPair},
        store::arrays::Arrays,
    },
};
use std::{fs, io::Write, path::Path, sync::Arc};

fn picture() -> DynamicImage {
    RgbImage::from_fn(20, 12, |x, y| image::Rgb([(x * 12) as u8, (y * 20) as u8, (x * y) as u8])).into()
}

fn encoded(format: ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn npy(rows: usize, width: usize) -> Vec<u8> {
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {width}), }}");
    let header = format!("{header:<117}\n");
    let numbers: Vec<u8> = (0..rows * width).flat_map(|i| (i as f32).to_le_bytes()).collect();
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), &numbers].concat()
}

/// Reads a data set as far as a run would: every list, some pictures, all features.
fn used(set: protostill::error::Result<Dataset>) -> bool {
    let Ok(set) = set else { return false };
    for split in [&set.train, &set.val, &set.test] {
        split.images.iter().take(3).for_each(|image| drop(image.decode()));
        split.texts();
        if let Some(ready) = &split.ready {
            let _ = ready.texts().read();
            let _ = ready.images().and_then(|images| images.read());
        }
    }
    true
}

#[test]
fn pictures_of_every_kind() {
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP] {
        let decoded = |dir: &Path| decode::decode_rgb(&dir.join("x")).is_ok();
        survives(&format!("{format:?}"), &[("x", encoded(format))], decoded);
    }
    let progressive = fs::read(golden("decode/progressive.jpg")).unwrap();
    survives("progressive", &[("x", progressive)], |dir| decode::decode_rgb(&dir.join("x")).is_ok());
}

#[test]
fn lists_in_every_layout() {
    let png = || ("a.png", encoded(ImageFormat::Png));
    let rows = br#"[{"image": "a.png", "caption": ["a dog", "two"]}, {"image": "a.png", "caption": "a cat \u00e9"}]"#;
    survives("flat", &[png(), ("x_train.json", rows.to_vec())], |dir| used(data::open(dir)));
    let original = br#"{"images": [{"filename": "a.png", "filepath": ".", "split": "train", "sentences": [{"raw": "a dog"}]}], "dataset": "x"}"#;
    survives("original", &[png(), ("dataset_x.json", original.to_vec())], |dir| used(data::open(dir)));
    let lines = b"{\"file_name\": \"a.png\", \"text\": \"a dog\"}\n{\"file_name\": \"a.png\", \"text\": [\"b\"]}\n";
    survives("imagefolder", &[png(), ("metadata.jsonl", lines.to_vec())], |dir| used(data::open(dir)));
    let utf16: Vec<u8> = "\u{feff}a dog\na cat\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let files = [("captions.txt", utf16), ("train_image.npy", npy(2, 3)), ("train_text.npy", npy(2, 3))];
    survives("captions", &files, |dir| used(data::open(dir)));
}

#[test]
fn archives_and_tables() {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in
        [("1.png", encoded(ImageFormat::Png)), ("1.txt", b"a dog".to_vec()), ("1.json", b"{}".to_vec())]
    {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, name, &bytes[..]).unwrap();
    }
    survives("tar", &[("0.tar", tar.into_inner().unwrap())], |dir| used(data::open(dir)));
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for name in ["image.npy", "text.npy"] {
        zip.start_file(name, stored).unwrap();
        zip.write_all(&npy(2, 3)).unwrap();
    }
    let files = [("captions.txt", b"a dog\na cat\n".to_vec()), ("train.npz", zip.finish().unwrap().into_inner())];
    survives("npz", &files, |dir| {
        let _ = used(data::open(dir));
        true
    });
    let files = [
        ("metadata/metadata_0.parquet", table(&["a dog", "a cat", "a dog"])),
        ("img_emb/img_emb_0.npy", npy(3, 2)),
        ("text_emb/text_emb_0.npy", npy(3, 2)),
    ];
    survives("parquet", &files, |dir| used(data::open(dir)));
}

fn table(captions: &[&str]) -> Vec<u8> {
    let schema = Arc::new(parse_message_type("message m { optional binary caption (UTF8); }").unwrap());
    let properties = WriterProperties::builder().set_compression(parquet::basic::Compression::SNAPPY).build();
    let mut file = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties)).unwrap();
    let mut group = file.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let values: Vec<ByteArray> = captions.iter().map(|text| ByteArray::from(*text)).collect();
    column.typed::<ByteArrayType>().write_batch(&values, Some(&vec![1; values.len()]), None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    file.into_inner().unwrap()
}

fn written(dir: &Path) -> std::path::PathBuf {
    let image = ImageSource::Memory(picture().into_rgb8());
    let pair = DistilledPair { image, caption: "a dog".into(), support: 3, similarity: 0.5 };
    let rows = || ndarray::Array2::ones((1, 4));
    let (image_prototypes, text_prototypes) = (rows(), rows());
    let set = DistilledSet {
        method: "pds".into(),
        pairs: vec![pair],
        image_prototypes,
        text_prototypes,
        correspondence: None,
    };
    set.write(&dir.join("out"), &serde_json::json!({})).unwrap();
    dir.join("out")
}

#[test]
fn distilled_sets_and_their_arrays() {
    let dir = tempfile::tempdir().unwrap();
    let out = written(dir.path());
    let names = ["manifest.json", "metadata.jsonl", "prototypes.safetensors", "images/0000.png"];
    let files = names.map(|name| (name, fs::read(out.join(name)).unwrap()));
    survives("set", &files, |dir| DistilledSet::read(dir).is_ok());
    let arrays = fs::read(out.join("prototypes.safetensors")).unwrap();
    survives("arrays", &[("a", arrays)], |dir| {
        let path = dir.join("a");
        Arrays::from_bytes(&path, &fs::read(&path).unwrap()).is_ok()
    });
}

#[test]
fn checkpoints_with_their_settings_and_tokenizers() {
    let names =
        ["config.json", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"];
    let files = names.map(|name| (name, fs::read(golden("clip").join(name)).unwrap()));
    let read = |dir: &Path| {
        let clip = Clip::load(&Checkpoint::Folder(dir.into()), candle_core::DType::F32, &candle_core::Device::Cpu);
        clip.map(|clip| clip.tokenizer().ids("a big red circle, left of 12 trees! \u{e9}猫\u{301}")).is_ok()
    };
    survives("checkpoint", &files, read);
    let files = ["vocab.json", "merges.txt"].map(|name| (name, fs::read(golden("clip").join(name)).unwrap()));
    survives("vocabulary", &files, |dir| {
        let checkpoint = Checkpoint::Folder(dir.into());
        protostill::models::tokenizer::Tokenizer::load(&checkpoint.root()).map(|t| t.ids("a red dog's")).is_ok()
    });
}

#[test]
fn settings() {
    let text = include_bytes!("../configs/demo.toml").to_vec();
    survives("settings", &[("c.toml", text)], |dir| {
        Config::load(Some(&dir.join("c.toml"))).and_then(Config::checked).is_ok()
    });
}

#[cfg(feature = "tui")]
#[test]
fn journals_and_keys() {
    use protostill::{
        app::{Decision, Entry, Keys},
        journal::{self, Journal},
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.jsonl");
    let mut journal = Journal::create(&path, &Config::load(None).unwrap()).unwrap();
    for entry in [Entry::Do(Decision::Guidance(2.0)), Entry::Undo, Entry::Redo] {
        journal.append(&entry).unwrap();
    }
    drop(journal);
    survives("journal", &[("s.jsonl", fs::read(&path).unwrap())], |dir| journal::read(&dir.join("s.jsonl")).is_ok());
    survives("keys", &[("keys.toml", b"\"picture.guidance.more\" = [\"ctrl-x\"]\n".to_vec())], |dir| {
        let _ = Keys::parse(&String::from_utf8_lossy(&fs::read(dir.join("keys.toml")).unwrap()));
        true
    });
}

/// A FIFO that nobody writes to, and what has no end, under every name that a data set or a distilled set is read by.
#[cfg(unix)]
#[test]
fn what_is_no_file_is_named_and_nobody_waits_for_it() {
    use std::os::unix::fs::symlink;
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for (target, what) in [(pipe.as_path(), "a FIFO"), (Path::new("/dev/zero"), "a device")] {
        let place = |name: &str| {
            let path = dir.path().join(name);
            let _ = fs::remove_file(&path);
            symlink(target, &path).unwrap();
            path
        };
        let refused = |said: String, name: &str| {
            assert!(said.ends_with(&format!("{name}: is {what}, not a file")), "{said}");
        };
        assert!(data::open(&place("x.tar")).is_err());
        for name in ["dataset_x.json", "x.jsonl"] {
            refused(data::open(&place(name)).unwrap_err().to_string(), name);
        }
        refused(decode::decode_rgb(&place("b.jpg")).unwrap_err().to_string(), "b.jpg");
        refused(Config::load(Some(&place("c.toml"))).unwrap_err().to_string(), "c.toml");
        for name in ["manifest.json", "metadata.jsonl", "prototypes.safetensors", "images/0000.png"] {
            let home = tempfile::tempdir().unwrap();
            let out = written(home.path());
            fs::remove_file(out.join(name)).unwrap();
            symlink(target, out.join(name)).unwrap();
            refused(DistilledSet::read(&out).unwrap_err().to_string(), name);
        }
    }
}
