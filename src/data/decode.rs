//! Image files to RGB pixels, with limits a hostile file cannot pass.

use crate::error::{Error, Result};
use image::{ImageReader, Limits, RgbImage};
use std::path::Path;

/// Widest and tallest image read, in pixels: more is an attack or a mistake.
const MAX_SIDE: u32 = 16_384;
/// Most memory one decoded image may take, in bytes.
const MAX_BYTES: u64 = 1 << 30;

/// Reads a PNG, JPEG or WebP file as RGB.
///
/// # Errors
/// [`Error::Io`] if the file cannot be read; [`Error::Input`] if it is not an image, is cut off, or its header claims
/// more than 16,384 pixels a side.
pub fn decode_rgb(path: &Path) -> Result<RgbImage> {
    let bytes = std::fs::read(path).map_err(Error::io(path))?;
    let mut reader = ImageReader::new(std::io::Cursor::new(bytes)).with_guessed_format().map_err(Error::io(path))?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_BYTES);
    reader.limits(limits);
    let image = reader.decode().map_err(|e| Error::input(path, format!("not a readable image: {e}")))?;
    Ok(image.into_rgb8())
}
