//! The ways that captioned sets lie on disk, a file each. To add one: its file, and its line in the table here.

pub(super) mod arrow;
pub(super) mod coco;
pub(super) mod delimited;
pub(super) mod embeddings;
pub(super) mod files;
pub(super) mod imagefolder;
pub(super) mod karpathy;
pub(super) mod lists;
pub(super) mod parquet;
pub(super) mod table;
pub mod webdataset;

use crate::data::listing::Format;

/// Every layout that is read, in the order in which a place is asked whether it is one.
pub(super) const FORMATS: [&Format; 11] = [
    &imagefolder::FORMAT,
    &arrow::FORMAT,
    &coco::FORMAT,
    &lists::FORMAT,
    &karpathy::FORMAT,
    &embeddings::CLIP_RETRIEVAL,
    &embeddings::CAPTIONS_FORMAT,
    &table::FORMAT,
    &webdataset::FORMAT,
    &parquet::FORMAT,
    &files::FORMAT,
];
