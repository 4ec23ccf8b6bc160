//! What a data set is told from others by: its content. Who copies one need not have it embedded again.

use crate::{
    data::{Dataset, ImageSource},
    error::Result,
    fingerprint::Fingerprint,
    pipeline::{
        Ctx,
        store::{Store, arrays::Arrays},
    },
};
use ndarray::{Array1, Ix1};
use rayon::prelude::*;
use sha2::{Digest, Sha256};

/// Images read between two looks at whether to go on.
const BATCH: usize = 64;

/// Names `data` by what it holds. Its images are read once: the store remembers what came of it, as long as every file is the
/// very same (device, inode, times of change, length). Without `ctx` none is read, and a set that the store does not know
/// keeps the name that it has.
///
/// # Errors
/// Unreadable images, a full disk, cancellation.
pub fn name(data: &mut Dataset, store: &Store, ctx: Option<&Ctx>) -> Result<()> {
    let images: Vec<&ImageSource> =
        [&data.train, &data.val, &data.test].into_iter().flat_map(|split| &split.images).collect();
    // What is drawn here is named by how it is drawn.
    if images.iter().all(|image| matches!(image, ImageSource::Memory(_))) {
        return Ok(());
    }
    let place = Fingerprint::of_stage("contents", &"", &[&data.fingerprint]);
    let found = match (store.get::<Arrays>(&place)?, ctx) {
        (Some((found, _)), _) => found,
        (None, None) => return Ok(()),
        (None, Some(ctx)) => {
            let begun = std::time::Instant::now();
            let found = Arrays::new().with_u32("sha256", &Array1::from(read(&images, ctx)?));
            store.put(&place, "read images", &found, begun.elapsed().as_secs_f64())?;
            found
        }
    };
    let found = found.u32::<Ix1>("sha256")?.to_vec();
    data.fingerprint = Fingerprint::of_content("data set", &found, &[&data.listed]);
    Ok(())
}

/// SHA-256 over those of all images, in words.
fn read(images: &[&ImageSource], ctx: &Ctx) -> Result<Vec<u32>> {
    let mut all = Sha256::new();
    for (n, batch) in images.chunks(BATCH).enumerate() {
        ctx.step("read images", n * BATCH, images.len())?;
        let hashes: Vec<[u8; 32]> = batch.par_iter().map(|image| hash(image)).collect::<Result<_>>()?;
        hashes.iter().for_each(|hash| all.update(hash));
    }
    ctx.step("read images", images.len(), images.len())?;
    Ok(all.finalize().as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect())
}

fn hash(image: &ImageSource) -> Result<[u8; 32]> {
    match image {
        // There are only features of it, and these are named already.
        ImageSource::Absent(_) => Ok([0; 32]),
        ImageSource::AsStored(of) => hash(of),
        ImageSource::Memory(pixels) => Ok(Sha256::digest(pixels.as_raw()).into()),
        _ => image.read().map(|(_, bytes)| Sha256::digest(&*bytes).into()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::data::open;
    use std::{fs, path::Path};

    fn named(dir: &Path, store: &Store, ctx: Option<&Ctx>) -> Fingerprint {
        let mut data = open(dir).unwrap();
        name(&mut data, store, ctx).unwrap();
        data.fingerprint
    }

    fn set(dir: &Path, n: u8) {
        fs::create_dir_all(dir).unwrap();
        image::RgbImage::from_pixel(2, 2, image::Rgb([n, 0, 0])).save(dir.join("a.png")).unwrap();
        fs::write(dir.join("metadata.jsonl"), "{\"file_name\":\"a.png\",\"text\":\"a dog\"}\n").unwrap();
    }

    #[test]
    fn a_copy_has_the_name_of_its_original_and_another_picture_or_caption_another() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        let store = Store::open(at("store")).unwrap();
        ["one", "copy"].iter().for_each(|name| set(&at(name), 1));
        set(&at("other"), 2);
        let of = |name: &str| named(&at(name), &store, Some(&Ctx::quiet()));
        assert_eq!(of("one"), of("copy"));
        assert_ne!(of("one"), of("other"));
        fs::write(at("copy/metadata.jsonl"), "{\"file_name\":\"a.png\",\"text\":\"a cat\"}\n").unwrap();
        assert_ne!(of("one"), of("copy"));
    }

    #[test]
    fn the_very_same_files_are_read_once_and_nothing_is_read_by_who_only_looks() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        let store = Store::open(at("store")).unwrap();
        set(&at("set"), 1);
        let before = open(&at("set")).unwrap().fingerprint;
        assert_eq!(named(&at("set"), &store, None), before);
        let read = named(&at("set"), &store, Some(&Ctx::quiet()));
        assert_ne!(read, before);
        assert_eq!(named(&at("set"), &store, None), read);
    }
}
