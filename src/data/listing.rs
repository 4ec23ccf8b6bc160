//! The words that every format lists a data set in, and what may be wrong with it.

use super::{
    fields::Names,
    files::{parquet::Cells, unpacked::Unpacked},
    folder::Place,
    ready::Features,
    splits::Part,
};
use crate::{
    door,
    error::{Error, Result},
};
use serde::Serialize;
use std::{
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::Arc,
};

/// What lists say: a data set's name and, split by split, its rows and the features that lie beside them.
#[derive(Default)]
pub(super) struct Listing {
    pub name: String,
    pub parts: [Vec<Listed>; 3],
    pub features: [Features; 3],
    /// What was met in reading and does not stop it: where, and how often.
    pub noted: Vec<(Problem, String, usize)>,
}

impl Listing {
    pub fn new(name: String) -> Self {
        Self { name, ..Self::default() }
    }

    /// Appends rows to a split.
    pub fn add(&mut self, part: Part, rows: impl IntoIterator<Item = Listed>) {
        self.parts[part as usize].extend(rows);
    }

    /// Notes what `file` has `count` times, if it has.
    pub fn note(&mut self, problem: Problem, file: &Path, count: usize) {
        self.noted.extend((count > 0).then(|| (problem, file.display().to_string(), count)));
    }
}

/// A way that captioned sets lie on disk.
pub(super) struct Format {
    /// What forces it: `--as NAME`.
    pub name: &'static str,
    /// What `check` says of it.
    pub words: &'static str,
    /// Whether a place looks like it, by its content.
    pub is: fn(&Place) -> bool,
    /// What the place holds, read so; nothing of it is checked yet.
    pub read: fn(&Place, &Names) -> Result<Listing>,
}

/// An image as a list names it, and where it must lie. Rows of one name are one image.
pub(in crate::data) struct Listed {
    pub image: String,
    pub captions: Vec<String>,
    /// The list and the place in it, for messages: `row 3` or `line 3`.
    pub list: Arc<Path>,
    pub place: String,
    pub origin: Origin,
    /// DataComp's name of it.
    pub uid: Option<u128>,
}

/// Where an image lies.
#[derive(Clone)]
pub(in crate::data) enum Origin {
    /// In one of these folders, by preference.
    Below(Arc<Vec<PathBuf>>),
    /// There too, but its path may be another machine's: what counts is the end of it.
    Ends(Arc<Vec<PathBuf>>),
    /// The same, or nowhere: features stand in for it.
    Perhaps(Arc<Vec<PathBuf>>),
    /// In a shard: `length` bytes from `offset`.
    Member { shard: Arc<Shard>, offset: u64, length: u64 },
    /// In a row of a column of a parquet file.
    Cell { cells: Arc<Cells>, row: u64 },
}

impl Listed {
    /// What its image is told from others by: rows of one name are one image, where they say it of the same place.
    pub fn key(&self) -> (usize, String) {
        let place = match &self.origin {
            Origin::Below(roots) | Origin::Ends(roots) | Origin::Perhaps(roots) => Arc::as_ptr(roots).addr(),
            Origin::Member { shard, .. } => Arc::as_ptr(shard).addr(),
            Origin::Cell { cells, .. } => Arc::as_ptr(cells).addr(),
        };
        (place, self.image.clone())
    }
}

/// A file that holds others, and what tells whether it has changed.
#[derive(Debug, PartialEq, Eq)]
pub struct Shard {
    pub(crate) path: Arc<Path>,
    pub(in crate::data) stamp: String,
    /// Its content, where it is packed.
    pub(in crate::data) unpacked: Option<Arc<Unpacked>>,
}

impl Shard {
    /// `length` bytes from `offset`.
    ///
    /// # Errors
    /// [`Error::Io`] naming the file, such as where it ends before.
    pub(in crate::data) fn read(&self, offset: u64, length: u64) -> Result<Vec<u8>> {
        let read = || {
            if let Some(unpacked) = &self.unpacked {
                return unpacked.read(offset, length);
            }
            let mut from = door::open(&self.path)?;
            from.seek(SeekFrom::Start(offset))?;
            let mut bytes = Vec::new();
            bytes.try_reserve_exact(length as usize)?;
            let read = from.take(length).read_to_end(&mut bytes)?;
            if read as u64 == length { Ok(bytes) } else { Err(std::io::ErrorKind::UnexpectedEof.into()) }
        };
        read().map_err(Error::io(&self.path))
    }
}

/// What can be wrong, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Problem {
    /// A list names an image outside the data folder.
    PathOutside,
    /// A list names an image that is not there.
    MissingImage,
    /// An image is there but cannot be decoded.
    UnreadableImage,
    /// What lists, features and splits say of each other does not fit, or nothing is there.
    Unusable,
    /// The same image, byte for byte, in two splits: what is tested on was trained on.
    Leak,
    /// Ready features are of another width than the built-in decoder's: to draw pictures of them, another must be named.
    OtherWidth,
    /// A list, shard or array that says no split while others do, or that cannot be used; it is left out.
    LeftOut,
    /// A sample lacks its image or its caption; it is left out.
    IncompleteSample,
    /// A row or sample has a picture, a text or captions twice; the first counts.
    SaidTwice,
    /// NaN or Infinity, which JSON does not have, where nobody reads it.
    NotANumber,
    /// A caption without a word; it is left out.
    EmptyCaption,
    /// A caption of over 4,096 bytes; the rest is cut off.
    LongCaption,
    /// The same image, byte for byte, under two names of one split.
    DuplicateImage,
    /// A caption of one split word for word as one before it.
    DuplicateCaption,
}

impl Problem {
    /// Whether a run would end at it.
    pub fn stops(self) -> bool {
        self <= Self::Unusable
    }

    /// What a log says of it.
    pub(super) fn told(self) -> &'static str {
        match self {
            Self::LeftOut => "is left out",
            Self::IncompleteSample => "samples without an image or without a caption are skipped",
            Self::SaidTwice => "of what is said twice the first counts",
            Self::NotANumber => "NaN or Infinity, which JSON does not have",
            _ => "is not as it should be",
        }
    }
}
