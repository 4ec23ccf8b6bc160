//! Layouts in which data sets come, one file each; `source` is the only one who knows them all.

pub(in crate::data) mod embeddings;
pub(in crate::data) mod imagefolder;
pub(in crate::data) mod karpathy;
pub mod webdataset;
