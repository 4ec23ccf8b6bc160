//! Every parser of foreign bytes, with files that it reads: what the seeded test changes at random (`mutate.rs`) and what
//! `fuzz/` changes by what it covers.

#[path = "layouts.rs"]
mod layouts;

use image::{DynamicImage, ImageFormat, RgbImage};
use parquet::{
    data_type::{ByteArray, ByteArrayType},
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::parser::parse_message_type,
};
use protostill::{
    config::Config,
    data::{self, Dataset, ImageSource, files::decode},
    models::{clip::Clip, encoders::Encoder, tokenizer::Tokenizer, unclip::Unclip, weights::Checkpoint},
    pipeline::{
        set::{folder::DistilledSet, pair::DistilledPair},
        store::arrays::Arrays,
    },
};
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

/// A folder of files, and what reads it; `read` says whether it was content.
pub struct Parser {
    pub name: &'static str,
    pub files: Vec<(&'static str, Vec<u8>)>,
    pub read: fn(&Path) -> bool,
}

impl Parser {
    /// Writes one of the files.
    pub fn put(&self, dir: &Path, file: usize, bytes: &[u8]) {
        let path = dir.join(self.files[file].0);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// All of them; `golden` finds what is below `tests/golden`.
pub fn parsers(golden: impl Fn(&str) -> PathBuf) -> Vec<Parser> {
    let mut all = pictures(&golden);
    all.extend(lists());
    all.extend(tables());
    all.extend(layouts::lists());
    all.extend(layouts::tables());
    all.extend(sets());
    all.extend(checkpoints(&golden));
    all.extend(settings());
    all
}

pub fn picture() -> DynamicImage {
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

fn opened(dir: &Path) -> bool {
    used(data::open(dir))
}

fn pictures(golden: &impl Fn(&str) -> PathBuf) -> Vec<Parser> {
    let one = |name, bytes| Parser {
        name,
        files: vec![("x", bytes)],
        read: |dir| {
            let path = dir.join("x");
            decode::is_turned(&fs::read(&path).unwrap());
            decode::decode_rgb(&path).is_ok()
        },
    };
    vec![
        one("png", encoded(ImageFormat::Png)),
        one("jpeg", encoded(ImageFormat::Jpeg)),
        one("webp", encoded(ImageFormat::WebP)),
        one("gif", encoded(ImageFormat::Gif)),
        one("bmp", encoded(ImageFormat::Bmp)),
        one("tiff", encoded(ImageFormat::Tiff)),
        one("progressive", fs::read(golden("decode/progressive.jpg")).unwrap()),
    ]
}

fn lists() -> Vec<Parser> {
    let png = || ("a.png", encoded(ImageFormat::Png));
    let list = |name, file, text: &[u8]| Parser { name, files: vec![(file, text.to_vec()), png()], read: opened };
    let utf16: Vec<u8> = "\u{feff}a dog\na cat\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let files = vec![("captions.txt", utf16), ("train_image.npy", npy(2, 3)), ("train_text.npy", npy(2, 3))];
    vec![
        list(
            "flat",
            "x_train.json",
            br#"[{"image": "a.png", "caption": ["a dog", "two"]}, {"image": "a.png", "caption": "a cat \u00e9"}]"#,
        ),
        list(
            "original",
            "dataset_x.json",
            br#"{"images": [{"filename": "a.png", "filepath": ".", "split": "train", "sentences": [{"raw": "a dog"}]}], "dataset": "x"}"#,
        ),
        list(
            "imagefolder",
            "metadata.jsonl",
            b"{\"file_name\": \"a.png\", \"text\": \"a dog\"}\n{\"file_name\": \"a.png\", \"text\": [\"b\"]}\n",
        ),
        Parser { name: "captions", files, read: opened },
    ]
}

fn tables() -> Vec<Parser> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in
        [("1.png", encoded(ImageFormat::Png)), ("1.txt", b"a dog".to_vec()), ("1.json", b"{}".to_vec())]
    {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, name, &bytes[..]).unwrap();
    }
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for name in ["image.npy", "text.npy"] {
        zip.start_file(name, stored).unwrap();
        zip.write_all(&npy(2, 3)).unwrap();
    }
    let captions = ("captions.txt", b"a dog\na cat\n".to_vec());
    let ready = vec![
        ("metadata/metadata_0.parquet", table(&["a dog", "a cat", "a dog"])),
        ("img_emb/img_emb_0.npy", npy(3, 2)),
        ("text_emb/text_emb_0.npy", npy(3, 2)),
    ];
    let npz = |dir: &Path| {
        opened(dir);
        true
    };
    vec![
        Parser { name: "tar", files: vec![("0.tar", tar.into_inner().unwrap())], read: opened },
        Parser { name: "npz", files: vec![("train.npz", zip.finish().unwrap().into_inner()), captions], read: npz },
        Parser { name: "parquet", files: ready, read: opened },
    ]
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

/// Writes a distilled set of one pair below `dir`.
pub fn written(dir: &Path) -> PathBuf {
    let image = ImageSource::Memory(picture().into_rgb8());
    let pair = DistilledPair { image, caption: "a dog".into(), support: 3, similarity: 0.5, uid: None };
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

fn sets() -> Vec<Parser> {
    let dir = tempfile::tempdir().unwrap();
    let out = written(dir.path());
    let names = ["manifest.json", "metadata.jsonl", "prototypes.safetensors", "images/0000.png"];
    let files = names.map(|name| (name, fs::read(out.join(name)).unwrap())).to_vec();
    let arrays = vec![("a", fs::read(out.join("prototypes.safetensors")).unwrap())];
    let read = |dir: &Path| {
        let path = dir.join("a");
        Arrays::from_bytes(&path, &fs::read(&path).unwrap()).is_ok()
    };
    let set = |dir: &Path| {
        let read = DistilledSet::read(dir);
        read.is_ok_and(|read| read.set.pairs.iter().all(|pair| pair.image.decode().is_ok()))
    };
    vec![Parser { name: "set", files, read: set }, Parser { name: "arrays", files: arrays, read }]
}

fn checkpoints(golden: &impl Fn(&str) -> PathBuf) -> Vec<Parser> {
    const CPU: candle_core::Device = candle_core::Device::Cpu;
    const F32: candle_core::DType = candle_core::DType::F32;
    let of = |folder: &str, names: &[&'static str]| {
        names.iter().map(|name| (*name, fs::read(golden(folder).join(name)).unwrap())).collect()
    };
    let clip = |dir: &Path| {
        let clip = Clip::load(&Checkpoint::Folder(dir.into()), F32, &CPU);
        clip.map(|clip| clip.tokenizer().ids("a big red circle, left of 12 trees! \u{e9}猫\u{301}")).is_ok()
    };
    let vocabulary =
        |dir: &Path| Tokenizer::load(&Checkpoint::Folder(dir.into()).root()).map(|t| t.ids("a red dog's")).is_ok();
    let encoder = |dir: &Path| Encoder::load(&Checkpoint::Folder(dir.into()).root()).is_ok();
    let decoder = |dir: &Path| Unclip::load(&Checkpoint::Folder(dir.into()), F32, &CPU).is_ok();
    let of_clip =
        ["config.json", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"];
    let of_decoder = [
        "model_index.json",
        "image_noising_scheduler/scheduler_config.json",
        "image_normalizer/config.json",
        "image_normalizer/diffusion_pytorch_model.safetensors",
        "scheduler/scheduler_config.json",
        "text_encoder/config.json",
        "text_encoder/model.safetensors",
        "tokenizer/merges.txt",
        "tokenizer/tokenizer_config.json",
        "tokenizer/vocab.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
        "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors",
    ];
    vec![
        Parser { name: "checkpoint", files: of("clip", &of_clip), read: clip },
        Parser { name: "siglip", files: of("siglip", &of_clip), read: clip },
        Parser { name: "vocabulary", files: of("clip", &["vocab.json", "merges.txt"]), read: vocabulary },
        Parser { name: "encoder", files: of("timm/vit", &["config.json", "model.safetensors"]), read: encoder },
        Parser { name: "decoder", files: of("unclip2", &of_decoder), read: decoder },
    ]
}

fn settings() -> Vec<Parser> {
    let text = include_bytes!("../../configs/demo.toml").to_vec();
    let read = |dir: &Path| Config::load(Some(&dir.join("c.toml"))).and_then(Config::checked).is_ok();
    #[allow(unused_mut, reason = "journals come with the explorer")]
    let mut all = vec![Parser { name: "settings", files: vec![("c.toml", text)], read }];
    #[cfg(feature = "tui")]
    all.extend(explorer());
    all
}

#[cfg(feature = "tui")]
fn explorer() -> [Parser; 3] {
    use protostill::{
        app::{Decision, Entry, Keys, State},
        journal::{self, Journal},
        session,
        ui::image::{Wish, settle},
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.jsonl");
    let mut journal = Journal::create(&path, &Config::load(None).unwrap()).unwrap();
    for entry in [Entry::Do(Decision::set("synthesis.guidance", 2.0)), Entry::Undo, Entry::Redo] {
        journal.append(&entry).unwrap();
    }
    drop(journal);
    let held = |dir: &Path| {
        let Ok(held) = journal::read(&dir.join("s.jsonl")) else { return false };
        State::new(session::draft(&held.header.config)).restore(held.entries);
        true
    };
    let keys = |dir: &Path| {
        let _ = Keys::parse(&String::from_utf8_lossy(&fs::read(dir.join("keys.toml")).unwrap()));
        true
    };
    let answer = |dir: &Path| {
        settle(Wish::Auto, Ok(fs::read(dir.join("answer")).unwrap()), |_| None);
        true
    };
    let said = b"j\x1b_Gi=31;OK\x1b\\\x1b[6;20;10t\x1b[4;600;800t\x1b[?62;4;22ck".to_vec();
    let bound = b"\"picture.guidance.more\" = [\"ctrl-x\"]\n".to_vec();
    [
        Parser { name: "journal", files: vec![("s.jsonl", fs::read(&path).unwrap())], read: held },
        Parser { name: "keys", files: vec![("keys.toml", bound)], read: keys },
        Parser { name: "answer", files: vec![("answer", said)], read: answer },
    ]
}
