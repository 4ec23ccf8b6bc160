//! Kinds of files, one by one: pictures, arrays, tables, archives, text. None knows what a data set is.

pub mod decode;
mod jpeg;
pub(in crate::data) mod json;
pub mod npy;
pub(in crate::data) mod orientation;
pub mod parquet;
pub(in crate::data) mod tarfile;
pub(in crate::data) mod text;
pub mod unpacked;
