//! Folders that Hugging Face's `datasets` writes by `save_to_disk`: `state.json` beside `data-*.arrow`, or `dataset_dict.json`
//! over a folder a split. Files of record batches alone are read too. Pictures are read where they lie.

use crate::{
    data::{
        fields::Names,
        folder::{Place, folder_name, image_roots, read_list, stays_inside},
        listing::{Format, Listing, Problem},
        rows::of_table,
        splits::{Part, parts_of, split_of},
    },
    error::{Error, Result},
    fsio::printable,
};
use serde::Deserialize;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use table::Table;

mod table;

/// By what `save_to_disk` leaves, or by the ending.
pub(in crate::data) const FORMAT: Format = Format {
    name: "arrow",
    words: "an arrow folder of datasets (save_to_disk)",
    is: |place| place.has(STATE) || place.has(DICT) || place.has(ENDING),
    read,
};

const STATE: &str = "state.json";
const DICT: &str = "dataset_dict.json";
const ENDING: &str = ".arrow";

/// What is read of `state.json`.
#[derive(Deserialize)]
struct State {
    #[serde(rename = "_data_files", default)]
    files: Vec<DataFile>,
    #[serde(rename = "_split", default)]
    split: Option<String>,
    /// Where old versions keep which rows count.
    #[serde(rename = "_indices_data_files", default)]
    indices: Option<Vec<DataFile>>,
}

#[derive(Deserialize)]
struct DataFile {
    filename: String,
}

/// What is read of `dataset_dict.json`.
#[derive(Deserialize)]
struct Splits {
    splits: Vec<String>,
}

fn read(place: &Place, names: &Names) -> Result<Listing> {
    let mut listing = Listing::new(folder_name(&place.dir));
    if place.file.is_none() && place.has(DICT) {
        let path = place.dir.join(DICT);
        let Splits { splits } = json(&path)?;
        let alone = splits.len() == 1;
        for split in splits {
            let folder = place.dir.join(inside(&path, &split)?);
            match split_of(&split).or(alone.then_some(Part::Train)) {
                Some(part) => folder_rows(&folder, Some(part), names, &mut listing)?,
                None => listing.note(Problem::LeftOut, &folder, 1),
            }
        }
    } else if place.file.is_none() && place.has(STATE) {
        folder_rows(&place.dir, None, names, &mut listing)?;
    } else {
        let files = place.files(&[ENDING])?;
        for (file, part) in files.iter().zip(parts_of(&place.path, &files)) {
            match part {
                Some(part) => file_rows(file, &place.dir, part, names, &mut listing)?,
                None => listing.note(Problem::LeftOut, file, 1),
            }
        }
    }
    Ok(listing)
}

fn json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    serde_json::from_slice(&read_list(path)?).map_err(|e| Error::input(path, printable(&e.to_string())))
}

fn inside<'a>(list: &Path, name: &'a str) -> Result<&'a str> {
    if stays_inside(name) {
        return Ok(name);
    }
    Err(Error::input(list, format!("the path \"{}\" leaves the data folder", printable(name))))
}

/// The rows of a folder with `state.json`; its own split counts where none is given.
fn folder_rows(dir: &Path, part: Option<Part>, names: &Names, listing: &mut Listing) -> Result<()> {
    let path = dir.join(STATE);
    let state: State = json(&path)?;
    if state.indices.is_some_and(|files| !files.is_empty()) {
        let message = "keeps the numbers of its rows apart; call flatten_indices() before save_to_disk()";
        return Err(Error::input(path, message));
    }
    let part = part.or(state.split.as_deref().and_then(split_of)).unwrap_or(Part::Train);
    for file in &state.files {
        file_rows(&dir.join(inside(&path, &file.filename)?), dir, part, names, listing)?;
    }
    Ok(())
}

fn file_rows(file: &Path, dir: &Path, part: Part, names: &Names, listing: &mut Listing) -> Result<()> {
    let roots: Arc<Vec<PathBuf>> = Arc::new(image_roots(dir)?);
    let table = Table::open(file)?;
    for (own, row) in of_table(&table, file, names, &roots, listing)? {
        listing.add(own.unwrap_or(part), [row]);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::data::open;
    use std::fs;
    use table::tests::{batch, stream};

    fn png(n: u8) -> Vec<u8> {
        let mut bytes = std::io::Cursor::new(Vec::new());
        let picture = image::RgbImage::from_pixel(3, 2, image::Rgb([n, 0, 9]));
        picture.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    /// A folder as `Dataset.save_to_disk` writes it, of one file for each of these pictures.
    fn save(dir: &Path, split: &str, pictures: &[u8]) {
        fs::create_dir_all(dir).unwrap();
        let names: Vec<String> = (0..pictures.len()).map(|i| format!("data-{i:05}.arrow")).collect();
        for (name, &n) in names.iter().zip(pictures) {
            let rows = batch(&[(Some(&png(n)), &["a dog", "two"]), (None, &["lost"])]);
            fs::write(dir.join(name), stream(&[rows])).unwrap();
        }
        let files: Vec<_> = names.iter().map(|name| serde_json::json!({ "filename": name })).collect();
        let state = serde_json::json!({ "_data_files": files, "_split": split, "_indices_data_files": null });
        fs::write(dir.join(STATE), state.to_string()).unwrap();
    }

    #[test]
    fn a_saved_dictionary_has_the_splits_that_it_names() {
        let dir = tempfile::tempdir().unwrap();
        save(&dir.path().join("train"), "train", &[1, 2]);
        save(&dir.path().join("validation"), "validation", &[3]);
        save(&dir.path().join("unsupervised"), "unsupervised", &[4]);
        fs::write(dir.path().join(DICT), r#"{"splits": ["train", "validation", "unsupervised"]}"#).unwrap();
        let set = open(dir.path()).unwrap();
        assert_eq!((set.train.images.len(), set.train.pairs.len(), set.val.images.len()), (2, 4, 1));
        assert_eq!(set.train.images[1].decode().unwrap().get_pixel(0, 0).0, [2, 0, 9]);
        assert_eq!(set.test.images.len(), 0);
    }

    #[test]
    fn a_saved_split_says_itself_which_it_is_and_a_file_that_is_gone_is_named() {
        let dir = tempfile::tempdir().unwrap();
        save(dir.path(), "test", &[1, 2]);
        assert_eq!(open(dir.path()).unwrap().test.images.len(), 2);
        let file = dir.path().join("data-00001.arrow");
        let whole = fs::read(&file).unwrap();
        fs::write(&file, &whole[..whole.len() - 9]).unwrap();
        assert!(open(dir.path()).unwrap_err().to_string().contains("data-00001.arrow: byte"));
        fs::remove_file(&file).unwrap();
        assert!(open(dir.path()).unwrap_err().to_string().contains("data-00001.arrow"));
        fs::write(dir.path().join(STATE), r#"{"_data_files": [{"filename": "../x.arrow"}]}"#).unwrap();
        assert!(open(dir.path()).unwrap_err().to_string().contains("state.json: the path \"../x.arrow\" leaves"));
    }
}
