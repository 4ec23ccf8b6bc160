//! What a report shows of a set: the folder itself, its scores, and the real pairs nearest to it where they are at hand.

use crate::{
    cli::{Needs, args::Global, onlooker, workbench},
    config::Config,
    data::ImageSource,
    door,
    error::{Error, Result},
    pipeline::{
        Ctx,
        set::folder::{DistilledSet, ReadSet, SCORES},
        space::nearest::Candidate,
    },
};
use base64::{Engine, engine::general_purpose::STANDARD};
use image::{RgbImage, codecs::jpeg::JpegEncoder, imageops};
use serde_json::Value;
use std::path::Path;

/// Pairs that are shown of one set: a page shall open at once.
pub const SHOWN: usize = 200;
/// Real pairs beside each.
const NEAREST: usize = 3;
/// Longest sides of pictures, in pixels: of a pair, and of a real one beside it.
const SIDE: u32 = 192;
const BESIDE: u32 = 96;
const QUALITY: u8 = 82;

/// A set to show.
pub struct Set {
    /// What to call it: its folder.
    pub name: String,
    pub read: ReadSet,
    /// What `recall.json` holds.
    pub scores: Option<Value>,
    /// Pictures of the first pairs, as data URIs; none where the source had only features of one.
    pub pictures: Vec<Option<String>>,
    /// The real pairs nearest to each, or why there are none.
    pub real: std::result::Result<Vec<Vec<Real>>, String>,
}

/// A real pair beside a distilled one.
pub struct Real {
    pub picture: Option<String>,
    pub caption: String,
    /// Its image's cosine to the pair's image embedding.
    pub similarity: f32,
}

/// Reads the set in `dir`. The data set it was made of is opened as its manifest says; embeddings that the store lacks are
/// computed only if `embed`.
///
/// # Errors
/// Those of reading the set; all that concerns the data set is told in [`Set::real`] instead.
pub fn set(global: &Global, dir: &Path, embed: bool, ctx: &Ctx) -> Result<Set> {
    let read = DistilledSet::read(dir)?;
    let whole = std::fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
    let name = whole.file_name().map_or_else(|| dir.display().to_string(), |n| n.to_string_lossy().into_owned());
    let shown = read.set.pairs.iter().take(SHOWN);
    let pictures = shown.map(|pair| match &pair.image {
        ImageSource::Absent(_) => Ok(None),
        image => uri(&image.decode()?, SIDE, dir).map(Some),
    });
    let pictures = pictures.collect::<Result<_>>()?;
    let real = match real(global, &read, embed, ctx) {
        Err(Error::Cancelled) => return Err(Error::Cancelled),
        found => found.map_err(|e| e.to_string()),
    };
    Ok(Set { name, scores: scores(dir)?, read, pictures, real })
}

fn scores(dir: &Path) -> Result<Option<Value>> {
    let path = dir.join(SCORES);
    if !path.exists() {
        return Ok(None);
    }
    let bytes = door::read(&path, door::SETTINGS).map_err(Error::io(&path))?;
    serde_json::from_slice(&bytes).map(Some).map_err(|e| Error::input(&path, e.to_string()))
}

fn real(global: &Global, read: &ReadSet, embed: bool, ctx: &Ctx) -> Result<Vec<Vec<Real>>> {
    let config = read.manifest["config"].clone();
    let mut config: Config =
        serde_json::from_value(config).map_err(|e| Error::input("manifest.json", e.to_string()))?;
    if let Some(data) = &global.data {
        config.data.source = data.display().to_string();
    }
    let needs = Needs { decoder: false, encoders: false };
    let bench = if embed { workbench(global, &config, needs, ctx)? } else { onlooker(global, &config, needs)? };
    let data = bench.dataset();
    if read.manifest["dataset"]["fingerprint"] != data.fingerprint.as_str() {
        return Err(Error::input(&config.data.source, "is not the data set that this set was distilled from"));
    }
    if !embed && !bench.has_embeddings()? {
        return Err(Error::setting("--embed", "the store has no embeddings of the data set; this computes them"));
    }
    let nearest = bench.nearest_real(&read.set, NEAREST, ctx)?;
    let captions = data.train.captions_of();
    let real = |&Candidate { row, similarity }: &Candidate| {
        let image = row as usize;
        let caption = captions[image].first().map(|&row| data.train.pairs[row].caption.clone()).unwrap_or_default();
        let picture = match &data.train.images[image] {
            ImageSource::Absent(_) => None,
            source => source.with(|pixels| uri(pixels, BESIDE, Path::new("picture"))).ok(),
        };
        Real { picture, caption, similarity }
    };
    Ok(nearest.iter().take(SHOWN).map(|found| found.iter().map(real).collect()).collect())
}

/// A picture with no side longer than `side`, inside an address: small ones as PNG, others as JPEG.
fn uri(picture: &RgbImage, side: u32, of: &Path) -> Result<String> {
    let (w, h) = picture.dimensions();
    let failed = |e: image::ImageError| Error::input(of, format!("cannot be shown: {e}"));
    let mut bytes = Vec::new();
    let kind = if w.max(h) <= BESIDE {
        let mut to = std::io::Cursor::new(&mut bytes);
        picture.write_to(&mut to, image::ImageFormat::Png).map_err(failed)?;
        "png"
    } else {
        let scale = |v: u32| (u64::from(v) * u64::from(side) / u64::from(w.max(h))).clamp(1, u64::from(v)) as u32;
        let small = if w.max(h) > side { imageops::thumbnail(picture, scale(w), scale(h)) } else { picture.clone() };
        JpegEncoder::new_with_quality(&mut bytes, QUALITY).encode_image(&small).map_err(failed)?;
        "jpeg"
    };
    Ok(format!("data:image/{kind};base64,{}", STANDARD.encode(bytes)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn pictures_are_small_whatever_their_shape() {
        let size = |w, h| {
            let text = uri(&RgbImage::new(w, h), SIDE, Path::new("x")).unwrap();
            let (kind, data) = text.split_once(";base64,").unwrap();
            let found = image::load_from_memory(&STANDARD.decode(data).unwrap()).unwrap();
            (kind.to_owned(), found.width(), found.height())
        };
        assert_eq!(size(64, 48), ("data:image/png".into(), 64, 48));
        assert_eq!(size(768, 512), ("data:image/jpeg".into(), 192, 128));
        assert_eq!(size(2, 4000), ("data:image/jpeg".into(), 1, 192));
        assert_eq!(size(150, 100), ("data:image/jpeg".into(), 150, 100));
    }
}
