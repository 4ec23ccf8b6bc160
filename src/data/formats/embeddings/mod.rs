//! Ready embeddings: features that were computed elsewhere, instead of images or beside them.
//!
//! - clip-retrieval's folders: `img_emb/*.npy`, `text_emb/*.npy`, `metadata/*.parquet` (`caption`, `image_path`), row by
//!   row, here or in `train/`, `val/`, `test/`;
//! - `.npy`, `.npz` and `.safetensors` files beside the lists that `source::open` reads, or beside `captions.txt` (a
//!   caption a line). Words of a name say what a file holds (`image`, `img`; `text`, `txt`) and for which split
//!   (`train`, `val`, `test`, else its folder's name, else training; `NAME_text_embed.npz` alone is the test split's,
//!   as PDS names it). Other words are allowed beside `emb`, `embed`, `embeds`, `embeddings` or `features`;
//! - features of evaluation encoders in the same places: `ENCODER_test_features.npy`, or `_logits`. Recall is then measured
//!   without the images.
//!
//! Text rows are one per caption, in the lists' order; image rows one per caption, per entry or per image.
//! Images are then used where they are found; rows of unnamed images are one image if their bytes are equal.

use crate::{
    data::{
        fields::{Names, UID, uid},
        files::{
            npy::{Matrix, Table},
            parquet, text,
        },
        folder::{Place, file_names, folder_name, image_roots, read_list},
        formats::delimited,
        listing::{Format, Listed, Listing, Origin},
        ready::Features,
        splits::{Part, split_folders, split_of},
    },
    error::{Error, Result},
    lfs,
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

/// clip-retrieval's folders.
pub(in crate::data) const CLIP_RETRIEVAL: Format = Format {
    name: "clip-retrieval",
    words: "clip-retrieval's folders (img_emb, text_emb, metadata)",
    is: |place| place.file.is_none() && is_clip_retrieval(&place.dir),
    read: |place, _| clip_retrieval(&place.dir),
};

/// Captions without images, and features.
pub(in crate::data) const CAPTIONS_FORMAT: Format = Format {
    name: "captions",
    words: "captions with ready features (captions.txt beside .npy, .npz or .safetensors)",
    is: |place| {
        let prose = |file: &PathBuf| !delimited::Table::is(file);
        let lists = caption_lists(&place.dir);
        place.file.is_none() && lists.values().any(prose) && has_text_features(&place.dir)
    },
    read: captioned,
};

/// Captions without images, a line each.
const CAPTIONS: &str = "captions.txt";

/// What the file name of an array says that it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Image,
    Text,
}

/// The features in `dir` and its folders named after splits.
pub(in crate::data) fn beside(dir: &Path) -> Result<[Features; 3]> {
    let mut found: [[Vec<Matrix>; 2]; 3] = Default::default();
    let mut encoders: [BTreeMap<String, Table>; 3] = Default::default();
    for (folder, path) in feature_files(dir)? {
        let name = stem(&path);
        let by_name = if name.ends_with("_embed") { Part::Test } else { Part::Train };
        let part = split_of(&name).or(folder).unwrap_or(by_name);
        let place = &mut found[part as usize];
        if path.extension().is_some_and(|e| e == "npy") {
            if let Some(side) = side_of(&name) {
                place[side as usize].push(open(&path)?);
            } else if let Some(encoder) = encoder_of(&name) {
                encoders[part as usize].insert(encoder.to_owned(), Table::new(vec![open(&path)?])?);
            }
            continue;
        }
        let archive = path.extension().is_some_and(|e| e == "npz");
        let open = if archive { Matrix::open_archive } else { Matrix::open_tensors };
        let arrays = open(&path).map_err(lfs::told(&path))?;
        let only = arrays.len() == 1;
        for (array, matrix) in arrays {
            let side = if only { side_of(&name).or(side_of(&array)) } else { side_of(&array) };
            if let Some(side) = side {
                place[side as usize].push(matrix);
            }
        }
    }
    let table = |parts: Vec<Matrix>| if parts.is_empty() { Ok(None) } else { Table::new(parts).map(Some) };
    let mut all: [Features; 3] = Default::default();
    for ((to, [image, text]), encoders) in all.iter_mut().zip(found).zip(encoders) {
        *to = Features { image: table(image)?, text: table(text)?, encoders };
    }
    Ok(all)
}

fn open(path: &Path) -> Result<Matrix> {
    Matrix::open(path).map_err(lfs::told(path))
}

/// `nf_resnet` of `nf_resnet_test_features`.
fn encoder_of(name: &str) -> Option<&str> {
    let rest = name.strip_suffix("_features").or_else(|| name.strip_suffix("_logits"))?;
    let splits = ["_train", "_validation", "_val", "_test"];
    Some(splits.iter().find_map(|split| rest.strip_suffix(split)).unwrap_or(rest))
}

/// `.npy` and `.npz` files that may hold features, in the order of the numbers in their names, with the split that their
/// folder says.
fn feature_files(dir: &Path) -> Result<Vec<(Option<Part>, PathBuf)>> {
    let mut files = Vec::new();
    for (part, folder) in split_folders(dir) {
        let mut names = file_names(&folder)?;
        let archive = |n: &str| n.ends_with(".npz") || n.ends_with(".safetensors");
        names.retain(|n| n.ends_with(".npy") || (archive(n) && words(n).any(is_embedding)));
        names.sort_by_key(|n| in_order(n));
        files.extend(names.iter().map(|n| ((folder != dir).then_some(part), folder.join(n))));
    }
    Ok(files)
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn words(name: &str) -> impl Iterator<Item = &str> + Clone {
    name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty())
}

fn is_embedding(word: &str) -> bool {
    ["emb", "embs", "embed", "embeds", "embedding", "embeddings", "features"].contains(&word)
}

/// What the words of a name say, unless they say something else besides.
fn side_of(name: &str) -> Option<Side> {
    let side = |word: &str| match word {
        "image" | "images" | "img" | "imgs" => Some(Side::Image),
        "text" | "texts" | "txt" | "caption" | "captions" => Some(Side::Text),
        _ => None,
    };
    let usual = |word: &str| {
        side(word).is_some() || word.parse::<u64>().is_ok() || ["train", "val", "validation", "test"].contains(&word)
    };
    let known = words(name).any(is_embedding) || words(name).all(usual);
    words(name).find_map(side).filter(|_| known)
}

/// Digits as numbers, so that `img_emb_10` comes after `img_emb_2`.
fn in_order(name: &str) -> Vec<(String, u64)> {
    let mut parts = vec![(String::new(), 0u64)];
    let mut digits = false;
    for c in name.chars() {
        if let (Some(digit), Some(last)) = (c.to_digit(10), parts.last_mut()) {
            last.1 = last.1.saturating_mul(10).saturating_add(u64::from(digit));
            digits = true;
            continue;
        }
        if std::mem::take(&mut digits) {
            parts.push((String::new(), 0));
        }
        if let Some(last) = parts.last_mut() {
            last.0.push(c);
        }
    }
    parts
}

/// Whether `dir`, or a folder of it named after a split, is laid out as clip-retrieval writes it.
fn is_clip_retrieval(dir: &Path) -> bool {
    split_folders(dir).iter().any(|(_, folder)| has_embeddings(folder))
}

fn has_embeddings(folder: &Path) -> bool {
    folder.join("img_emb").is_dir() && folder.join("text_emb").is_dir()
}

/// Reads clip-retrieval's folders. Its image paths are those of another machine, often: an image is taken from below
/// `dir` if the end of its path is found there.
fn clip_retrieval(dir: &Path) -> Result<Listing> {
    let roots = Arc::new(image_roots(dir)?);
    let mut listing = Listing { name: folder_name(dir), ..Listing::default() };
    for (part, folder) in split_folders(dir).into_iter().filter(|(_, folder)| has_embeddings(folder)) {
        let image = table(&folder.join("img_emb"))?;
        let text = table(&folder.join("text_emb"))?;
        let place = folder.join("metadata");
        let mut rows = Vec::new();
        for file in numbered(&place, ".parquet")? {
            metadata(&file, &roots, &mut rows)?;
        }
        if rows.len() != text.rows() || rows.len() != image.rows() {
            let (images, texts, captions) = (image.rows(), text.rows(), rows.len());
            let message = format!("{captions} rows, where img_emb has {images} and text_emb {texts}");
            return Err(Error::input(&place, message));
        }
        name_by_features(&mut rows, &image)?;
        listing.parts[part as usize].extend(rows);
        listing.features[part as usize] = Features { image: Some(image), text: Some(text), ..Features::default() };
    }
    Ok(listing)
}

fn numbered(dir: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    let mut names = file_names(dir)?;
    names.retain(|n| n.ends_with(ending));
    names.sort_by_key(|n| in_order(n));
    Ok(names.iter().map(|n| dir.join(n)).collect())
}

fn table(dir: &Path) -> Result<Table> {
    let files = numbered(dir, ".npy")?;
    if files.is_empty() {
        return Err(Error::input(dir, "holds no .npy file"));
    }
    Table::new(files.iter().map(|f| open(f)).collect::<Result<_>>()?)
}

/// Appends a row for each row of one parquet file.
fn metadata(file: &Path, roots: &Arc<Vec<PathBuf>>, rows: &mut Vec<Listed>) -> Result<()> {
    let table = parquet::Table::open(file)?;
    let texts = |names: &[&str]| table.find(names).map(|leaf| table.texts(leaf)).transpose();
    let paths = texts(&["image_path", "file_name"])?.unwrap_or_else(|| vec![None; table.rows()]);
    let Some(captions) = texts(&["caption", "text"])? else {
        return Err(Error::input(file, "has no column \"caption\" or \"text\""));
    };
    let uids = texts(&[UID])?.unwrap_or_default();
    let named = |i: usize| uids.get(i)?.as_deref().and_then(uid);
    let list: Arc<Path> = file.into();
    rows.extend(captions.into_iter().zip(paths).enumerate().map(|(i, (caption, path))| Listed {
        image: path.unwrap_or_default(),
        captions: vec![caption.unwrap_or_default()],
        list: list.clone(),
        place: format!("row {}", i + 1),
        origin: Origin::Perhaps(roots.clone()),
        uid: named(i),
    }));
    Ok(())
}

/// Names images that have no name by their features.
fn name_by_features(rows: &mut [Listed], image: &Table) -> Result<()> {
    if rows.iter().any(|r| r.image.is_empty()) {
        let names = image.names()?;
        for (row, name) in rows.iter_mut().zip(names).filter(|(row, _)| row.image.is_empty()) {
            row.image = name;
        }
    }
    Ok(())
}

/// `captions.txt`, here or in folders named after splits.
fn caption_lists(dir: &Path) -> BTreeMap<usize, PathBuf> {
    let lists = split_folders(dir).into_iter().map(|(part, folder)| (part as usize, folder.join(CAPTIONS)));
    lists.filter(|(_, file)| file.is_file()).collect()
}

/// Whether the names of files in `dir` say that they hold features of texts.
fn has_text_features(dir: &Path) -> bool {
    let of_text = |(_, path): &(Option<Part>, PathBuf)| {
        let archive = path.extension().is_some_and(|e| e != "npy");
        side_of(&stem(path)).map_or(archive, |side| side == Side::Text)
    };
    feature_files(dir).is_ok_and(|files| files.iter().any(of_text))
}

/// Reads `captions.txt` with the features beside it.
fn captioned(place: &Place, _: &Names) -> Result<Listing> {
    let dir = &place.dir;
    let (lists, features) = (caption_lists(dir), beside(dir)?);
    if lists.is_empty() || features.iter().all(|f| f.text.is_none()) {
        return Err(Error::input(dir, "holds no captions.txt with features of its lines beside it"));
    }
    let mut listing = Listing { name: folder_name(dir), features, ..Listing::default() };
    let roots = Arc::new(Vec::new());
    for (part, file) in lists {
        let text = text::text(read_list(&file)?).map_err(|what| Error::input(&file, what))?;
        let list: Arc<Path> = file.as_path().into();
        let row = |(i, line): (usize, &str)| Listed {
            image: String::new(),
            captions: vec![line.to_owned()],
            list: list.clone(),
            place: format!("line {}", i + 1),
            origin: Origin::Perhaps(roots.clone()),
            uid: None,
        };
        let mut rows: Vec<Listed> = text.lines().enumerate().map(row).collect();
        match &listing.features[part].image {
            Some(image) if image.rows() == rows.len() => name_by_features(&mut rows, image)?,
            Some(image) => {
                let message = format!("{} rows, where {} has {} lines", image.rows(), file.display(), rows.len());
                return Err(Error::input(image.path(), message));
            }
            None => rows.iter_mut().enumerate().for_each(|(i, row)| row.image = i.to_string()),
        }
        listing.parts[part] = rows;
    }
    Ok(listing)
}

#[cfg(test)]
mod tests;
