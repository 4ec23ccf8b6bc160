//! COCO's own `captions_train2017.json`, here or in `annotations/`; images below the folder, in `train2017/` or
//! `images/train2017/`.

use crate::{
    data::{
        fields::{Names, Row},
        files::json,
        folder::{Place, file_names, first_of, folder_name, image_roots, read_list},
        listing::{Format, Listing, Problem},
        rows::listed,
        splits::parts_of,
    },
    error::{Error, Result},
    fsio::printable,
};
use serde::Deserialize;
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

/// By the name that COCO's files have, or by what a file holds.
pub(in crate::data) const FORMAT: Format = Format {
    name: "coco",
    words: "COCO's annotations (captions_*.json)",
    is: |place| !lists(place).is_empty() || place.is_json_with(&["images", "annotations"]),
    read,
};

fn is_named(name: &str) -> bool {
    name.starts_with("captions_") && name.ends_with(".json")
}

fn lists(place: &Place) -> Vec<PathBuf> {
    let mut dirs = vec![place.dir.clone()];
    dirs.extend(place.file.is_none().then(|| place.dir.join("annotations")));
    let named = |dir: &PathBuf| {
        let names = if *dir == place.dir { place.names.clone() } else { file_names(dir).unwrap_or_default() };
        let named = names.into_iter().filter(|name| is_named(name)).map(|name| dir.join(name));
        // A flat list may be called so too.
        named.filter(|path| first_of(path) == Some(b'{')).collect::<Vec<_>>()
    };
    dirs.iter().flat_map(named).collect()
}

#[derive(Deserialize)]
struct Whole {
    images: Vec<Image>,
    annotations: Vec<Annotation>,
}

#[derive(Deserialize)]
struct Image {
    id: u64,
    file_name: String,
}

#[derive(Deserialize)]
struct Annotation {
    image_id: u64,
    caption: Option<String>,
}

fn read(place: &Place, _: &Names) -> Result<Listing> {
    let mut files = lists(place);
    if files.is_empty() {
        files.extend(place.file.as_ref().map(|file| place.dir.join(file)));
    }
    let mut listing = Listing::new(folder_name(&place.dir));
    for (file, part) in files.iter().zip(parts_of(&place.path, &files)) {
        match part {
            Some(part) => {
                let roots = Arc::new(roots(&place.dir, file)?);
                let rows = rows(file, &roots, &mut listing)?;
                listing.add(part, rows);
            }
            None => listing.note(Problem::LeftOut, file, 1),
        }
    }
    Ok(listing)
}

/// Where the images of a list may lie, those of its own split first: other splits may have the same names.
fn roots(dir: &Path, file: &Path) -> Result<Vec<PathBuf>> {
    let above = if dir.ends_with("annotations") { dir.parent().unwrap_or(dir) } else { dir };
    let mut roots = image_roots(above)?;
    let images = above.join("images");
    if images.is_dir() {
        roots.extend(image_roots(&images)?);
    }
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let own = stem.strip_prefix("captions_").unwrap_or(&stem);
    roots.sort_by_key(|root| !root.ends_with(own));
    Ok(roots)
}

fn rows(file: &Path, roots: &Arc<Vec<PathBuf>>, listing: &mut Listing) -> Result<Vec<crate::data::listing::Listed>> {
    let bytes = read_list(file)?;
    let (whole, odd): (Whole, usize) = json::read(&bytes, |bytes| serde_json::from_slice(bytes))
        .map_err(|e| Error::input(file, printable(&e.to_string())))?;
    listing.note(Problem::NotANumber, file, odd);
    let (list, mut at): (Arc<Path>, HashMap<u64, usize>) = (file.into(), HashMap::new());
    let mut captions = vec![Vec::new(); whole.images.len()];
    for (i, image) in whole.images.iter().enumerate() {
        if at.insert(image.id, i).is_some() {
            return Err(Error::input(file, format!("image {}: the id {} is another's too", i + 1, image.id)));
        }
    }
    for (i, annotation) in whole.annotations.into_iter().enumerate() {
        let unknown = || Error::input(file, format!("annotation {}: there is no image {}", i + 1, annotation.image_id));
        captions[*at.get(&annotation.image_id).ok_or_else(unknown)?].push(annotation.caption.unwrap_or_default());
    }
    let mut rows = Vec::with_capacity(captions.len());
    for (i, (image, caption)) in whole.images.into_iter().zip(captions).enumerate() {
        let row = Row { image: image.file_name, caption, twice: false, uid: None };
        rows.push(listed(&list, format!("image {}", i + 1), row, roots));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::data::open;
    use std::{fs, path::Path};

    fn put(dir: &Path, name: &str, text: &str) {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn picture(dir: &Path, name: &str, n: u8) {
        fs::create_dir_all(dir.join(name).parent().unwrap()).unwrap();
        image::RgbImage::from_pixel(2, 2, image::Rgb([n, 0, 0])).save(dir.join(name)).unwrap();
    }

    const TRAIN: &str = r#"{"info": {"year": NaN}, "images": [{"id": 9, "file_name": "1.png", "height": 2}, {"id": 7, "file_name": "2.png"}],
        "annotations": [{"id": 1, "image_id": 7, "caption": "two"}, {"id": 2, "image_id": 9, "caption": "one"},
        {"id": 3, "image_id": 7, "caption": "two again"}]}"#;
    const VAL: &str =
        r#"{"images": [{"id": 9, "file_name": "1.png"}], "annotations": [{"image_id": 9, "caption": "val"}]}"#;

    #[test]
    fn captions_are_joined_to_images_by_id_and_each_split_has_its_own_folder() {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), "annotations/captions_train2017.json", TRAIN);
        put(dir.path(), "annotations/captions_val2017.json", VAL);
        put(dir.path(), "annotations/instances_val2017.json", "not read");
        [("images/train2017/1.png", 1), ("images/train2017/2.png", 2), ("images/val2017/1.png", 3)]
            .iter()
            .for_each(|(name, n)| picture(dir.path(), name, *n));
        let set = open(dir.path()).unwrap();
        let first = |image: &crate::data::ImageSource| image.decode().unwrap().get_pixel(0, 0).0[0];
        assert_eq!(set.train.images.iter().map(first).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(set.train.captions_of().iter().map(Vec::len).collect::<Vec<_>>(), [1, 2]);
        assert_eq!((first(&set.val.images[0]), set.val.pairs[0].caption.as_str()), (3, "val"));
        let alone = open(&dir.path().join("annotations/captions_train2017.json")).unwrap();
        assert_eq!(alone.train.pairs, set.train.pairs);
    }

    #[test]
    fn an_annotation_of_no_image_and_half_a_file_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = || open(dir.path()).unwrap_err().to_string();
        put(dir.path(), "captions_val.json", &VAL.replace(r#""image_id": 9"#, r#""image_id": 8"#));
        assert!(error().contains("captions_val.json: annotation 1: there is no image 8"), "{}", error());
        put(dir.path(), "captions_val.json", &VAL[..VAL.len() / 2]);
        assert!(error().contains("captions_val.json: EOF"), "{}", error());
    }
}
