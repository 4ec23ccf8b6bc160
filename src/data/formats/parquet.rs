//! Parquet with pictures in it: as the Hugging Face hub stores its data sets (`image`, a structure of bytes and path), and as
//! img2dataset writes it (`jpg`, bytes). Pictures are unpacked page by page as they are wanted.
//!
//! A file belongs to the split that a word of its name or of its folder says; a column `split` says it for each row.

use crate::{
    data::{
        fields::Names,
        files::parquet::{Holds, Table},
        folder::{Place, folder_name, image_roots, stamp},
        listing::{Format, Listing, Origin, Problem},
        rows::{Columns, Kind, Picture, Texts, has_both, of_table},
        splits::parts_of,
    },
    error::{Error, Result},
};
use std::{path::Path, sync::Arc};

/// Files without pictures beside shards say what the shards hold: those are looked for before.
pub(in crate::data) const FORMAT: Format = Format {
    name: "parquet",
    words: "parquet files with pictures and captions",
    is: |place| {
        let files = place.files(&[ENDING]).unwrap_or_default();
        files.first().is_some_and(|file| {
            place.file.is_some() || Parquet::open(file).is_ok_and(|table| has_both(&table, &Names::default(), false))
        })
    },
    read,
};

const ENDING: &str = ".parquet";

/// What is wrong with the first file, if it cannot be opened at all.
pub(in crate::data) fn fault(place: &Place) -> Option<Error> {
    Parquet::open(place.files(&[ENDING]).ok()?.first()?).err()
}

fn read(place: &Place, names: &Names) -> Result<Listing> {
    let files = place.files(&[ENDING])?;
    if files.is_empty() {
        return Err(Error::input(&place.path, "holds no .parquet file"));
    }
    let roots = Arc::new(image_roots(&place.dir)?);
    let mut listing = Listing::new(folder_name(&place.dir));
    for (file, part) in files.iter().zip(parts_of(&place.path, &files)) {
        let table = Parquet::open(file)?;
        let rows = of_table(&table, file, names, &roots, &mut listing)?;
        let mut left_out = 0;
        for (own, row) in rows {
            match own.or(part) {
                Some(part) => listing.add(part, [row]),
                None => left_out += 1,
            }
        }
        listing.note(Problem::LeftOut, file, usize::from(left_out > 0));
    }
    Ok(listing)
}

/// A parquet file as rows are made of it.
pub(in crate::data) struct Parquet {
    table: Table,
    columns: Vec<(String, Kind)>,
}

impl Parquet {
    /// # Errors
    /// [`Error::Input`] for what is no parquet file or is damaged; [`Error::Io`].
    pub fn open(path: &Path) -> Result<Self> {
        let table = Table::open(path)?;
        let kind = |holds: &Holds| match holds {
            Holds::Text(_) | Holds::Texts(_) => Kind::Text,
            Holds::Bytes(..) => Kind::Picture,
            Holds::Other => Kind::Other,
        };
        let columns = table.columns().iter().map(|(name, holds)| (name.clone(), kind(holds))).collect();
        Ok(Self { table, columns })
    }

    fn holds(&self, at: usize) -> Holds {
        self.table.columns()[at].1
    }
}

impl Columns for Parquet {
    fn columns(&self) -> &[(String, Kind)] {
        &self.columns
    }

    fn rows(&self) -> usize {
        self.table.rows()
    }

    fn texts(&self, at: usize) -> Result<Texts> {
        match self.holds(at) {
            Holds::Text(leaf) => {
                Ok(self.table.texts(leaf)?.into_iter().map(|text| text.into_iter().collect()).collect())
            }
            Holds::Texts(leaf) => self.table.lists(leaf),
            _ => Ok(vec![Vec::new(); self.rows()]),
        }
    }

    fn pictures(&self, at: usize) -> Result<Vec<Option<Picture>>> {
        let Holds::Bytes(bytes, path) = self.holds(at) else { return Ok(vec![None; self.rows()]) };
        let path = path.map(|leaf| self.table.texts(leaf)).transpose()?;
        let mut names = path.unwrap_or_default();
        names.resize(self.rows(), None);
        let cells = Arc::new(self.table.cells(bytes, stamp(self.table.path()).unwrap_or_default())?);
        if cells.rows() != self.rows() as u64 {
            let message = format!("claims {} rows, but its pictures are {}", self.rows(), cells.rows());
            return Err(Error::input(&**self.table.path(), message));
        }
        let all = cells.are_all_there();
        let picture = |(row, name): (u64, Option<String>)| {
            let there = all || cells.has(row)?;
            Ok(Some((name, there.then(|| Origin::Cell { cells: cells.clone(), row }))))
        };
        (0..).zip(names).map(picture).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::data::{Dataset, open};
    use parquet::{
        data_type::{ByteArray, ByteArrayType},
        file::{properties::WriterProperties, writer::SerializedFileWriter},
        schema::parser::parse_message_type,
    };
    use std::{fs, path::PathBuf};

    fn png(n: u8) -> Vec<u8> {
        let mut bytes = std::io::Cursor::new(Vec::new());
        let picture = image::RgbImage::from_pixel(3, 2, image::Rgb([n, 0, 9]));
        picture.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    /// A picture or none, captions and a split, a row; in row groups of two and pages of one row.
    type Row<'a> = (Option<u8>, &'a [&'a str], &'a str);

    pub fn write(path: &Path, rows: &[Row<'_>]) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let schema = "message m {
            optional group image { optional binary bytes; optional binary path (UTF8); }
            optional group caption (LIST) { repeated group list { optional binary element (UTF8); } }
            required binary split (UTF8); }";
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let properties = WriterProperties::builder()
            .set_compression(parquet::basic::Compression::SNAPPY)
            .set_data_page_row_count_limit(1)
            .set_write_batch_size(1);
        let mut file =
            SerializedFileWriter::new(fs::File::create(path).unwrap(), schema, Arc::new(properties.build())).unwrap();
        for rows in rows.chunks(2) {
            let mut group = file.next_row_group().unwrap();
            let mut put = |values: Vec<ByteArray>, levels: Option<Vec<i16>>, repeats: Option<Vec<i16>>| {
                let mut column = group.next_column().unwrap().unwrap();
                let typed = column.typed::<ByteArrayType>();
                typed.write_batch(&values, levels.as_deref(), repeats.as_deref()).unwrap();
                column.close().unwrap();
            };
            let there: Vec<i16> = rows.iter().map(|row| if row.0.is_some() { 2 } else { 0 }).collect();
            let bytes = rows.iter().filter_map(|row| row.0.map(|n| png(n).into())).collect();
            put(bytes, Some(there.clone()), None);
            put(rows.iter().filter_map(|row| row.0.map(|_| "same.png".into())).collect(), Some(there), None);
            let captions = rows.iter().flat_map(|row| row.1.iter().map(|text| ByteArray::from(*text))).collect();
            let levels = rows.iter().flat_map(|row| if row.1.is_empty() { vec![1] } else { vec![3; row.1.len()] });
            let repeats = rows.iter().flat_map(|row| (0..row.1.len().max(1)).map(|i| i16::from(i > 0)));
            put(captions, Some(levels.collect()), Some(repeats.collect()));
            put(rows.iter().map(|row| row.2.into()).collect(), None, None);
            group.close().unwrap();
        }
        file.close().unwrap();
    }

    fn read(set: &Dataset) -> Vec<(u8, Vec<&str>)> {
        let first = |image: &crate::data::ImageSource| image.decode().unwrap().get_pixel(0, 0).0[0];
        let captions = |rows: Vec<usize>| rows.iter().map(|&row| set.train.pairs[row].caption.as_str()).collect();
        set.train.images.iter().map(first).zip(set.train.captions_of().into_iter().map(captions)).collect()
    }

    #[test]
    fn pictures_and_lists_of_captions_are_read_in_any_order_and_half_rows_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let rows: [Row<'_>; 5] = [
            (Some(1), &["a dog", "two"], "train"),
            (None, &["no picture"], "train"),
            (Some(3), &[], "train"),
            (Some(4), &["four"], "val"),
            (Some(5), &["five"], "restval"),
        ];
        write(&dir.path().join("data/test-00000-of-00001.parquet"), &rows);
        let set = open(dir.path()).unwrap();
        assert_eq!(read(&set), [(1, vec!["a dog", "two"]), (5, vec!["five"])]);
        assert_eq!((set.val.pairs.len(), set.test.pairs.len()), (1, 0));
        let again: Vec<u8> = set.train.images.iter().rev().map(|i| i.decode().unwrap().get_pixel(0, 0).0[0]).collect();
        assert_eq!(again, [5, 1]);
    }

    #[test]
    fn files_belong_to_the_splits_that_their_names_say() {
        let dir = tempfile::tempdir().unwrap();
        for (name, n) in [("train-00000-of-00002", 1), ("train-00001-of-00002", 2), ("validation-00000-of-00001", 3)] {
            write(&dir.path().join(format!("{name}.parquet")), &[(Some(n), &["words"], "no split at all")]);
        }
        let set = open(dir.path()).unwrap();
        assert_eq!(read(&set), [(1, vec!["words"]), (2, vec!["words"])]);
        assert_eq!(set.val.images.len(), 1);
    }

    #[test]
    fn a_file_cut_short_is_named_and_so_is_what_a_table_lacks() {
        let dir = tempfile::tempdir().unwrap();
        let path: PathBuf = dir.path().join("train.parquet");
        write(&path, &[(Some(1), &["a"], "train"), (Some(2), &["b"], "train")]);
        let whole = fs::read(&path).unwrap();
        let said = |names: &Names| {
            let place = Place::open(&path, false).unwrap();
            super::read(&place, names).err().unwrap().to_string()
        };
        let names = Names { caption: Some("words".into()), ..Names::default() };
        let lacks = said(&names);
        assert!(lacks.contains("no column of captions") && lacks.contains("image, caption, split"), "{lacks}");
        for part in 1..10 {
            fs::write(&path, &whole[..whole.len() * part / 10]).unwrap();
            assert!(said(&Names::default()).contains("train.parquet: not a readable parquet file"));
        }
    }
}
