//! What the store keeps, written and read piece by piece: nothing large is held twice.

use super::arrays::Arrays;
use crate::error::{Error, Result};
use image::RgbImage;
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use std::{
    io::{self, Read, Write},
    path::Path,
};

/// What the store can keep.
pub trait Artefact: Sized {
    /// The files' ending.
    const ENDING: &'static str;
    /// Writes a file's content; equal values give equal bytes.
    ///
    /// # Errors
    /// [`Error::Input`] if the value does not fit the format, [`Error::Io`].
    fn write(&self, to: &mut dyn Write) -> Result<()>;
    /// Reads a file's content of `length` bytes; `path` is for messages.
    ///
    /// # Errors
    /// [`Error::Input`] naming `path` if the content is not what it should be, [`Error::Io`].
    fn read(path: &Path, from: &mut dyn Read, length: u64) -> Result<Self>;
}

impl Artefact for Arrays {
    const ENDING: &'static str = "safetensors";

    fn write(&self, to: &mut dyn Write) -> Result<()> {
        self.write(to)
    }

    fn read(path: &Path, from: &mut dyn Read, length: u64) -> Result<Self> {
        Self::read(path, from, length)
    }
}

/// Any value serde knows, as JSON.
#[derive(Clone, Debug, PartialEq)]
pub struct Json<T>(pub T);

impl<T: Serialize + DeserializeOwned> Artefact for Json<T> {
    const ENDING: &'static str = "json";

    fn write(&self, to: &mut dyn Write) -> Result<()> {
        let wrong = |e| Error::input("", format!("cannot be written as JSON: {e}"));
        let bytes = serde_json::to_vec_pretty(&self.0).map_err(wrong)?;
        to.write_all(&bytes).map_err(Error::io(""))
    }

    fn read(path: &Path, from: &mut dyn Read, _: u64) -> Result<Self> {
        serde_json::from_slice(&all(path, from)?).map(Json).map_err(|e| Error::input(path, e.to_string()))
    }
}

impl Artefact for RgbImage {
    const ENDING: &'static str = "png";

    fn write(&self, to: &mut dyn Write) -> Result<()> {
        to.write_all(&encode_png(self)?).map_err(Error::io(""))
    }

    fn read(path: &Path, from: &mut dyn Read, _: u64) -> Result<Self> {
        crate::data::files::decode::decode_bytes(path, &all(path, from)?)
    }
}

fn all(path: &Path, from: &mut dyn Read) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).map_err(Error::io(path))?;
    Ok(bytes)
}

/// A PNG without times or other chunks: equal pixels give equal bytes.
///
/// # Errors
/// [`Error::Input`] for an image without pixels.
pub fn encode_png(image: &RgbImage) -> Result<Vec<u8>> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image
        .write_to(&mut bytes, image::ImageFormat::Png)
        .map_err(|e| Error::input("", format!("cannot be written as PNG: {e}")))?;
    Ok(bytes.into_inner())
}

/// Feeds what passes through to a hash.
pub(super) struct Hashed<'a, T> {
    pub inner: T,
    pub hash: &'a mut Sha256,
}

impl<T: Read> Read for Hashed<'_, T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.hash.update(&buffer[..n]);
        Ok(n)
    }
}

impl<T: Write> Write for Hashed<'_, T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.hash.update(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
