//! Archives of npy files, as `numpy.savez` and `numpy.savez_compressed` write them.

use super::{Matrix, Unpacked};
use crate::{
    door,
    error::{Error, Result},
    fsio::printable,
};
use flate2::read::DeflateDecoder;
use std::{io::BufReader, path::Path, sync::Arc};
use zip::CompressionMethod;

impl Matrix {
    /// The arrays in the `.npz` file `path` by name; compressed ones are unpacked to a temporary file.
    ///
    /// # Errors
    /// As [`Self::open`]; [`Error::Input`] for what is no zip, is encrypted, or unpacks to more than it can be worth.
    pub fn open_archive(path: &Path) -> Result<Vec<(String, Self)>> {
        let wrong = |e: zip::result::ZipError| {
            Error::input(path, format!("not a readable npz file: {}", printable(&e.to_string())))
        };
        let mut file = door::open(path).map_err(Error::io(path))?;
        let end = file.metadata().map_err(Error::io(path))?.len();
        let mut archive = zip::ZipArchive::new(door::open(path).map_err(Error::io(path))?).map_err(wrong)?;
        let mut found = Vec::new();
        for i in 0..archive.len() {
            let mut entry = archive.by_index_raw(i).map_err(wrong)?;
            let name = printable(&entry.name().map_err(wrong)?);
            let Some(name) = name.strip_suffix(".npy") else { continue };
            let about = |e: Error| match e {
                Error::Input { path, message } => {
                    Error::Input { path, message: format!("array \"{name}\": {message}") }
                }
                other => other,
            };
            let packed = entry.compression() == CompressionMethod::DEFLATE;
            if entry.encrypted() || !packed && entry.compression() != CompressionMethod::Stored {
                let message =
                    format!("\"{name}\" is encrypted, or packed in another way than numpy.savez_compressed does");
                return Err(Error::input(path, message));
            }
            let matrix = if packed {
                let (length, size) = (entry.compressed_size(), entry.size());
                let unpack = Unpacked::of(&mut DeflateDecoder::new(BufReader::new(&mut entry)), length);
                let unpacked = Arc::new(unpack.map_err(|e| about(Error::input(path, e.to_string())))?);
                let mut file = unpacked.file().map_err(Error::io(path))?;
                Self::at(path, &mut file, 0, size.min(unpacked.length()), Some(unpacked))
            } else {
                let Some(from) = entry.data_start() else { continue };
                Self::at(path, &mut file, from, from.saturating_add(entry.size()).min(end), None)
            };
            found.push((name.to_owned(), matrix.map_err(about)?));
        }
        Ok(found)
    }
}
