//! The words that every format lists a data set in, and what may be wrong with it.

use super::ready::Features;
use serde::Serialize;
use std::{
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

/// An image as a list names it, and where it must lie. Rows of one name are one image.
pub(in crate::data) struct Listed {
    pub image: String,
    pub captions: Vec<String>,
    /// The list and the place in it, for messages: `row 3` or `line 3`.
    pub list: Arc<Path>,
    pub place: String,
    pub origin: Origin,
}

/// Where an image lies.
pub(in crate::data) enum Origin {
    /// In one of these folders, by preference.
    Below(Arc<Vec<PathBuf>>),
    /// There too, or nowhere: features stand in for it. What counts is the end of its path.
    Perhaps(Arc<Vec<PathBuf>>),
    /// In a shard: `length` bytes from `offset`.
    Member { shard: Arc<Shard>, offset: u64, length: u64 },
}

/// A tar and what tells whether it has changed.
#[derive(Debug)]
pub(in crate::data) struct Shard {
    pub path: Arc<Path>,
    pub stamp: String,
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
