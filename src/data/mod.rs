//! Captioned image sets, whatever they come from. Knows no tensors and no models.

use crate::{
    error::{Error, Result},
    fingerprint::Fingerprint,
    pixels::room,
};
use serde::{Deserialize, Serialize};
use std::{
    borrow::Cow,
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Position of an image in its [`Split`]; an image owns several captions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ImageId(pub u32);

impl ImageId {
    /// As an index into [`Split::images`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One caption and the image it stands under: one row of everything that follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// The image.
    pub image: ImageId,
    /// Its source's own words, trimmed, without control characters.
    pub caption: String,
}

/// Where an image's pixels come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageSource {
    /// A PNG, JPEG, WebP, GIF, BMP or TIFF file.
    File(PathBuf),
    /// Such a file inside a larger one, where it is read in place.
    Member {
        /// The larger file.
        shard: Arc<listing::Shard>,
        /// What to call it in messages; leads nowhere.
        name: PathBuf,
        /// Its first byte.
        offset: u64,
        /// Its size in bytes.
        length: u64,
    },
    /// Such a file in a row of a table, from which it is unpacked.
    Cell {
        /// The column.
        cells: Arc<files::parquet::Cells>,
        /// What to call it in messages; leads nowhere.
        name: PathBuf,
        /// From 0.
        row: u64,
    },
    /// Nowhere: an image of this name that is known by its features only.
    Absent(PathBuf),
    /// Another one, its pixels as they are stored: an EXIF orientation is not followed.
    AsStored(Box<ImageSource>),
    /// Pixels in memory (RGB), as the demo world draws them and as synthesis leaves them.
    Memory(image::RgbImage),
}

/// Images and the pairs they take part in.
#[derive(Clone, Debug, Default)]
pub struct Split {
    /// Every image once.
    pub images: Vec<ImageSource>,
    /// DataComp's name of each, where there is one.
    pub uids: Vec<Option<u128>>,
    /// One row per caption.
    pub pairs: Vec<Pair>,
    /// Features that came with it: they take the place of embedding.
    pub ready: Option<ready::Ready>,
    /// Features of its images by evaluation encoders, by their names: they take the place of encoding.
    pub features: BTreeMap<String, ready::Picked>,
    /// What CLIP reads in the place of a caption.
    pub pre_caption: caption::PreCaption,
}

/// How a data set is read where usage differs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// How it lies on disk; none: whatever it looks like.
    pub layout: Option<String>,
    /// Which of several pictures and captions of a row count.
    pub names: fields::Names,
    /// What becomes of an EXIF orientation.
    pub orientation: Orientation,
    /// What CLIP reads in the place of a caption.
    pub pre_caption: caption::PreCaption,
}

/// What becomes of the orientation that cameras write into their files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Orientation {
    /// Pictures are turned upright, as Hugging Face's `datasets` does.
    #[default]
    Apply,
    /// Pixels are taken as they are stored, as the reference does.
    Ignore,
}

/// A captioned image set with its three splits.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// What to call it on screen and in manifests.
    pub name: String,
    /// What is distilled.
    pub train: Split,
    /// Where selection happens, if it is wanted.
    pub val: Split,
    /// Where recall is measured.
    pub test: Split,
    /// Of captions, image names and features, whatever the images hold.
    pub listed: Fingerprint,
    /// Of the same and what tells an image file from any other and from itself before a change, or of what it holds.
    pub fingerprint: Fingerprint,
}

impl Split {
    /// What CLIP reads, row by row those of [`Split::pairs`].
    pub fn texts(&self) -> Vec<Cow<'_, str>> {
        self.pairs.iter().map(|p| self.pre_caption.read(&p.caption)).collect()
    }

    /// Rows of [`Split::pairs`] that belong to each image, in order: `[images][captions]`.
    pub fn captions_of(&self) -> Vec<Vec<usize>> {
        let mut rows = vec![Vec::new(); self.images.len()];
        for (row, pair) in self.pairs.iter().enumerate() {
            rows[pair.image.index()].push(row);
        }
        rows
    }
}

impl ImageSource {
    /// Decodes to RGB (alpha dropped, palette and grey expanded, as Pillow's `convert("RGB")`), upright.
    ///
    /// # Errors
    /// [`crate::error::Error::Input`] naming the file if it is not an image, is truncated or claims an absurd size.
    pub fn decode(&self) -> Result<image::RgbImage> {
        match self {
            Self::Memory(pixels) => Ok(pixels.clone()),
            _ => self.held(true).map(|(pixels, _)| pixels),
        }
    }

    /// What `see` makes of the decoded image, which takes of the room for pictures until then: for many at once.
    ///
    /// # Errors
    /// Those of [`Self::decode`] and of `see`.
    pub fn with<T>(&self, see: impl FnOnce(&image::RgbImage) -> Result<T>) -> Result<T> {
        match self {
            Self::Memory(pixels) => see(pixels),
            _ => self.held(true).and_then(|(pixels, _room)| see(&pixels)),
        }
    }

    /// The image file's bytes, and what to call it.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, [`Error::Input`] if it is too large for an image, or nowhere.
    pub fn read(&self) -> Result<(&Path, files::decode::Bytes)> {
        match self {
            Self::File(path) => Ok((path, files::decode::read_file(path)?)),
            Self::Member { shard, name, offset, length } => {
                Ok((name, files::decode::Bytes::of(name, *length, || shard.read(*offset, *length))?))
            }
            Self::Cell { cells, name, row } => {
                let bytes = cells.read(*row)?;
                Ok((name, files::decode::Bytes::of(name, bytes.len() as u64, || Ok(bytes))?))
            }
            Self::AsStored(of) => of.read(),
            Self::Memory(_) => Err(Error::input("an image in memory", "is no file")),
            Self::Absent(name) => Err(Error::input(
                name,
                "there are only features of this image; measuring recall, real pairs and pictures need the image itself",
            )),
        }
    }

    fn held(&self, upright: bool) -> Result<files::decode::Held> {
        match self {
            Self::Memory(pixels) => Ok((pixels.clone(), room::take(0))),
            Self::AsStored(of) => of.held(false),
            _ => self.read().and_then(|(name, bytes)| files::decode::held(name, &bytes, upright)),
        }
    }
}

pub(crate) mod build;
pub mod caption;
pub mod check;
pub mod fields;
pub mod files;
mod folder;
pub mod formats;
pub mod listing;
pub mod ready;
mod rows;
mod samples;
pub mod source;
mod splits;
pub mod world;

pub use source::{open, open_by};
