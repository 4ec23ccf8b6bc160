//! The ways that captioned sets lie on disk, a file each. To add one: its file, and its line in the table of
//! [`source`](super::source).

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
