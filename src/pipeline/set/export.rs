//! Distilled pairs in the forms that other programs load: a webdataset shard, a parquet file as Hugging Face writes it,
//! what open_clip trains on.

use super::pair::DistilledPair;
use crate::{
    about,
    data::Split,
    error::{Error, Result},
    pipeline::methods::Way,
};
use parquet::{
    basic::Compression,
    data_type::{ByteArray, ByteArrayType, DataType, FloatType, Int32Type},
    errors::ParquetError,
    file::{
        metadata::KeyValue,
        properties::{EnabledStatistics, WriterProperties},
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::parser::parse_message_type,
};
use serde_json::json;
use std::{collections::BTreeSet, str::FromStr, sync::Arc};

/// Rows of a parquet file that a reader takes at once; images are large.
const GROUP: usize = 100;

/// A form beside the ImageFolder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// One tar of `0000.png`, `0000.txt` and `0000.json` (prototype, support, similarity).
    Webdataset,
    /// One parquet file with the columns `image` (`bytes`, `path`), `text`, `prototype`, `support`, `similarity`.
    Parquet,
    /// A table of `filepath` and `title`, the shard again, and how many samples it has, which open_clip asks for.
    OpenClip,
    /// DataComp's names of the pictures that were chosen, as its tools take a subset.
    Datacomp,
}

impl FromStr for Form {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "webdataset" => Ok(Self::Webdataset),
            "parquet" => Ok(Self::Parquet),
            "open_clip" => Ok(Self::OpenClip),
            "datacomp" => Ok(Self::Datacomp),
            other => {
                let message = format!("`{other}` is none of imagefolder, webdataset, parquet, open_clip, datacomp");
                Err(Error::setting("--format", message))
            }
        }
    }
}

impl Form {
    /// Its main file, below the set's folder. No name says a split: `datasets` would take it for all that there is of it,
    /// and the folder be no ImageFolder any more. Nothing lies beside a shard either that is none: `datasets` reads it as one.
    pub fn file(self) -> &'static str {
        match self {
            Self::Webdataset => "webdataset/00000.tar",
            Self::Parquet => "parquet/00000.parquet",
            Self::OpenClip => "open_clip/pairs.csv",
            Self::Datacomp => "datacomp/uids.npy",
        }
    }

    /// Whether sets that `way` makes of `train` can have it; asked before anything is computed.
    ///
    /// # Errors
    /// [`Error::Setting`] saying what it takes.
    pub fn fits(self, way: Way, train: &Split) -> Result<()> {
        let message = match self {
            Self::Datacomp if way.draws() => "names real pictures, and drawn ones have no name: add `--pictures real`",
            Self::Datacomp if train.uids.iter().all(Option::is_none) => "takes the source's `uid`s, and it has none",
            _ => return Ok(()),
        };
        Err(Error::setting("--format", format!("datacomp {message}")))
    }

    /// Its files, by their paths below the set's folder: `pngs` are the pairs' images. Equal pairs give equal bytes.
    ///
    /// # Errors
    /// [`Error::Input`] if one cannot be encoded.
    pub fn files(self, pairs: &[DistilledPair], pngs: &[Vec<u8>]) -> Result<Vec<(&'static str, Vec<u8>)>> {
        let failed = |e: String| Error::input(self.file(), format!("cannot be written: {e}"));
        let shard = || shard(pairs, pngs).map_err(|e| failed(e.to_string()));
        Ok(match self {
            Self::Webdataset => vec![(self.file(), shard()?)],
            Self::Parquet => vec![(self.file(), table(pairs, pngs).map_err(|e| failed(e.to_string()))?)],
            Self::OpenClip => vec![
                (self.file(), list(pairs).map_err(|e| failed(e.to_string()))?),
                ("open_clip/00000.tar", shard()?),
                ("open_clip/sizes.json", json!({ "00000.tar": pairs.len() }).to_string().into_bytes()),
            ],
            Self::Datacomp => vec![(self.file(), subset(pairs))],
        })
    }
}

/// Where the picture of pair `i` lies below the set's folder.
pub(super) fn picture(i: usize) -> String {
    format!("images/{i:04}.png")
}

/// Tab-separated, as open_clip's `--dataset-type csv` expects it; paths are relative to the set's folder.
fn list(pairs: &[DistilledPair]) -> std::result::Result<Vec<u8>, csv::Error> {
    let mut rows = csv::WriterBuilder::new().delimiter(b'\t').from_writer(Vec::new());
    rows.write_record(["filepath", "title"])?;
    for (i, pair) in pairs.iter().enumerate() {
        rows.write_record([&picture(i), &pair.caption])?;
    }
    rows.into_inner().map_err(|e| e.into_error().into())
}

/// A sorted array of `u8,u8`: the halves of each name, the upper one first (DataComp's `resharder.py`).
fn subset(pairs: &[DistilledPair]) -> Vec<u8> {
    let uids: BTreeSet<u128> = pairs.iter().filter_map(|pair| pair.uid).collect();
    let about =
        format!("{{'descr': [('f0', '<u8'), ('f1', '<u8')], 'fortran_order': False, 'shape': ({},), }}", uids.len());
    // Magic, version and length take ten bytes; the numbers start at a multiple of 64, after a line's end.
    let length = (10 + about.len() + 1).next_multiple_of(64) - 10;
    let head = [b"\x93NUMPY\x01\x00", (length as u16).to_le_bytes().as_slice()].concat();
    let halves = uids.iter().flat_map(|uid| [(uid >> 64) as u64, *uid as u64]);
    let numbers: Vec<u8> = halves.flat_map(u64::to_le_bytes).collect();
    [head, format!("{about:<0$}\n", length - 1).into_bytes(), numbers].concat()
}

fn shard(pairs: &[DistilledPair], pngs: &[Vec<u8>]) -> std::io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut put = |name: String, bytes: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        tar.append_data(&mut header, name, bytes)
    };
    for (i, (pair, png)) in pairs.iter().zip(pngs).enumerate() {
        let about = json!({ "prototype": i, "support": pair.support, "similarity": pair.similarity });
        put(format!("{i:04}.png"), png)?;
        put(format!("{i:04}.txt"), pair.caption.as_bytes())?;
        put(format!("{i:04}.json"), about.to_string().as_bytes())?;
    }
    tar.into_inner()
}

/// Nothing is null, but all may be: `datasets` compares a column with what it would have written itself before it believes
/// the metadata about it.
const SCHEMA: &str = "message schema {
    optional group image { optional binary bytes; optional binary path (UTF8); }
    optional binary text (UTF8);
    optional int32 prototype;
    optional int32 support;
    optional float similarity;
}";

/// What Hugging Face's `datasets` reads from a file's metadata, so that `image` is an image and not two columns.
fn features() -> String {
    let value = |kind: &str| json!({ "dtype": kind, "_type": "Value" });
    json!({ "info": { "features": {
        "image": { "_type": "Image" },
        "text": value("string"),
        "prototype": value("int32"),
        "support": value("int32"),
        "similarity": value("float32"),
    } } })
    .to_string()
}

fn table(pairs: &[DistilledPair], pngs: &[Vec<u8>]) -> std::result::Result<Vec<u8>, ParquetError> {
    let properties = WriterProperties::builder()
        .set_created_by(format!("protostill {}", about::VERSION))
        .set_key_value_metadata(Some(vec![KeyValue::new("huggingface".to_owned(), features())]))
        .set_compression(Compression::UNCOMPRESSED) // it is PNG nearly throughout
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
        .build();
    let mut file = SerializedFileWriter::new(Vec::new(), Arc::new(parse_message_type(SCHEMA)?), Arc::new(properties))?;
    for (n, (pairs, pngs)) in pairs.chunks(GROUP).zip(pngs.chunks(GROUP)).enumerate() {
        let number = |i: usize| (n * GROUP + i) as i32;
        let rows = 0..pairs.len();
        let mut group = file.next_row_group()?;
        column::<ByteArrayType>(&mut group, pngs.iter().map(|p| ByteArray::from(p.clone())))?;
        let path = |i| ByteArray::from(format!("{:04}.png", number(i)).into_bytes());
        column::<ByteArrayType>(&mut group, rows.clone().map(path))?;
        column::<ByteArrayType>(&mut group, pairs.iter().map(|p| ByteArray::from(p.caption.as_str())))?;
        column::<Int32Type>(&mut group, rows.map(number))?;
        column::<Int32Type>(&mut group, pairs.iter().map(|p| p.support.min(i32::MAX as u32) as i32))?;
        column::<FloatType>(&mut group, pairs.iter().map(|p| p.similarity))?;
        group.close()?;
    }
    file.into_inner()
}

/// Writes the next column of a row group.
fn column<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    values: impl Iterator<Item = T::T>,
) -> std::result::Result<(), ParquetError> {
    let missing = || ParquetError::General("more columns than the schema has".to_owned());
    let mut column = group.next_column()?.ok_or_else(missing)?;
    let (values, typed) = (values.collect::<Vec<_>>(), column.typed::<T>());
    let there = vec![typed.get_descriptor().max_def_level(); values.len()];
    typed.write_batch(&values, Some(&there), None)?;
    column.close()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{
        data::{self, ImageSource},
        pipeline::{set::folder::DistilledSet, store::encode_png},
    };
    use image::RgbImage;
    use parquet::{
        basic::Repetition,
        file::reader::{FileReader, SerializedFileReader},
        record::{Field, RowAccessor},
    };

    fn set(m: usize) -> DistilledSet {
        let picture = |i: usize| RgbImage::from_pixel(5, 4, image::Rgb([i as u8, 1, 2]));
        let pair = |i: usize| DistilledPair {
            image: ImageSource::Memory(picture(i)),
            caption: format!("caption é {i}"),
            support: i as u32 + 1,
            similarity: i as f32 / 8.0,
            uid: None,
        };
        let rows = || ndarray::Array2::zeros((m, 2));
        let pairs = (0..m).map(pair).collect();
        DistilledSet {
            method: "random".into(),
            pairs,
            image_prototypes: rows(),
            text_prototypes: rows(),
            correspondence: None,
        }
    }

    /// The main file of a form.
    fn bytes(form: Form, set: &DistilledSet, pngs: &[Vec<u8>]) -> Vec<u8> {
        form.files(&set.pairs, pngs).unwrap().swap_remove(0).1
    }

    #[test]
    fn a_set_in_every_form_is_read_again_and_its_shard_is_a_data_set() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        let forms = [Form::Webdataset, Form::Parquet, Form::OpenClip];
        set(3).write_as(&out, &json!({}), &forms, false).unwrap();
        assert_eq!(DistilledSet::read(&out).unwrap().set.pairs.len(), 3);
        let shards = data::open(&out.join("webdataset")).unwrap();
        assert_eq!(shards.train.pairs[2].caption, "caption é 2");
        assert_eq!(shards.train.images[2].decode().unwrap().get_pixel(0, 0).0, [2, 1, 2]);
        let read = |name: &str| std::fs::read(out.join(name)).unwrap();
        assert!(read("open_clip/00000.tar") == read("webdataset/00000.tar"));
        assert_eq!(read("open_clip/sizes.json"), br#"{"00000.tar":3}"#);
        // A set that was written in more forms may be replaced by one in fewer.
        set(2).write(&out, &json!({})).unwrap();
        assert!(!out.join("parquet").exists());
    }

    /// As numpy writes `np.array([(1, 2), (0xffffffffffffffff, 3)], "u8,u8")`.
    #[test]
    fn chosen_names_are_a_sorted_array_of_pairs_each_once() {
        let mut set = set(4);
        let uid = |upper: u64, lower: u64| Some(u128::from(upper) << 64 | u128::from(lower));
        for (pair, uid) in set.pairs.iter_mut().zip([uid(u64::MAX, 3), None, uid(1, 2), uid(1, 2)]) {
            pair.uid = uid;
        }
        let about = "{'descr': [('f0', '<u8'), ('f1', '<u8')], 'fortran_order': False, 'shape': (2,), }";
        let mut expected = [b"\x93NUMPY\x01\x00\x76\x00", about.as_bytes()].concat();
        expected.resize(127, b' ');
        expected.push(b'\n');
        expected.extend([1, 2, u64::MAX, 3].iter().flat_map(|n: &u64| n.to_le_bytes()));
        assert_eq!(bytes(Form::Datacomp, &set, &[]), expected);
    }

    #[test]
    fn a_parquet_file_holds_every_pair_in_order_over_several_row_groups() {
        let set = set(230);
        let pngs: Vec<Vec<u8>> = set.pairs.iter().map(|p| encode_png(&p.image.decode().unwrap()).unwrap()).collect();
        let bytes = bytes(Form::Parquet, &set, &pngs);
        assert_eq!(bytes, super::table(&set.pairs, &pngs).unwrap());
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let reader = SerializedFileReader::new(file.reopen().unwrap()).unwrap();
        assert_eq!(reader.num_row_groups(), 3);
        let mut seen = 0;
        for (i, row) in reader.get_row_iter(None).unwrap().enumerate() {
            let row = row.unwrap();
            let image = row.get_group(0).unwrap();
            assert_eq!(image.get_bytes(0).unwrap().data(), pngs[i]);
            assert_eq!(image.get_string(1).unwrap(), &format!("{i:04}.png"));
            assert_eq!(row.get_string(1).unwrap(), &set.pairs[i].caption);
            let columns: Vec<&Field> = row.get_column_iter().skip(2).map(|(_, f)| f).collect();
            let expected = [Field::Int(i as i32), Field::Int(i as i32 + 1), Field::Float(i as f32 / 8.0)];
            assert_eq!(columns, expected.iter().collect::<Vec<_>>());
            seen += 1;
        }
        assert_eq!(seen, 230);
    }

    #[test]
    fn the_columns_are_what_datasets_takes_for_an_image_and_no_name_says_a_split() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes(Form::Parquet, &set(1), &[vec![1]])).unwrap();
        let reader = SerializedFileReader::new(file.reopen().unwrap()).unwrap();
        let about = reader.metadata().file_metadata();
        let [image, ..] = about.schema().get_fields() else { panic!("no column") };
        let parts = [vec![image.clone()], image.get_fields().to_vec()].concat();
        assert_eq!(parts.iter().map(|f| f.name()).collect::<Vec<_>>(), ["image", "bytes", "path"]);
        assert!(parts.iter().all(|f| f.get_basic_info().repetition() == Repetition::OPTIONAL));
        let key = about.key_value_metadata().unwrap().iter().find(|pair| pair.key == "huggingface").unwrap();
        let value: serde_json::Value = serde_json::from_str(key.value.as_ref().unwrap()).unwrap();
        assert_eq!(value["info"]["features"]["image"]["_type"], "Image");
        let forms = [Form::Webdataset, Form::Parquet, Form::OpenClip];
        let names = forms.map(|form| form.files(&set(1).pairs, &[vec![1]]).unwrap());
        assert!(names.iter().flatten().all(|(name, _)| !name.contains("train")));
    }

    #[test]
    fn a_caption_with_tab_quote_or_line_break_is_one_field_of_the_list() {
        let mut set = set(2);
        set.pairs[0].caption = "a \"red\"\tball\nand, a box".into();
        let bytes = bytes(Form::OpenClip, &set, &[vec![], vec![]]);
        let mut rows = csv::ReaderBuilder::new().delimiter(b'\t').from_reader(&bytes[..]);
        assert_eq!(*rows.headers().unwrap(), vec!["filepath", "title"]);
        let rows: Vec<_> = rows.records().map(|row| row.unwrap()).collect();
        assert_eq!(rows[0], vec!["images/0000.png", &set.pairs[0].caption]);
        assert_eq!(rows[1], vec!["images/0001.png", "caption é 1"]);
    }

    #[test]
    fn an_unknown_form_is_named() {
        assert!("tfrecord".parse::<Form>().unwrap_err().to_string().contains("`tfrecord` is none of imagefolder"));
    }
}
