//! Image files to RGB pixels, with limits a hostile file cannot pass.

use super::{jpeg, orientation};
use crate::{
    caught::caught,
    door,
    error::{Error, Result},
    lfs,
    pixels::room::{self, Taken},
};
use image::{DynamicImage, ImageFormat, ImageReader, Limits, RgbImage};
use std::{io::Cursor, path::Path};

/// Widest and tallest image read, in pixels: more is an attack or a mistake.
const MAX_SIDE: u32 = 16_384;
/// Most pixels one image may have: where Pillow warns of a decompression bomb (`Image.MAX_IMAGE_PIXELS`).
const MAX_PIXELS: u64 = 89_478_485;
/// Most memory one decoded image may take, in bytes.
const MAX_BYTES: u64 = 1 << 29;
/// Largest file read, in bytes: what the largest image takes without compression.
const MAX_FILE: u64 = 1 << 28;

/// Reads a PNG, JPEG, WebP, GIF, BMP or TIFF file as RGB, as Pillow's `Image.open(path).convert("RGB")`: alpha is dropped, not
/// blended; palettes and grey are expanded; of 16-bit samples the high byte is kept (Pillow does
/// so for colour, but clips 16-bit grey to white: a known defect, not followed); of an animation the first frame.
/// It is turned upright where EXIF says how. JPEG photographs, grey or in three colours, come out to the byte as from libjpeg-turbo.
///
/// # Errors
/// [`Error::Io`] if the file cannot be read; [`Error::Input`] if it is not an image, is cut off, or its header claims
/// more than 16,384 pixels a side or 89 million in all. Such a claim is met before anything is allocated for it.
pub fn decode_rgb(path: &Path) -> Result<RgbImage> {
    decode_bytes(path, &read_file(path)?)
}

/// A file's bytes, and the room that they take.
pub struct Bytes {
    bytes: Vec<u8>,
    _room: Taken,
}

impl Bytes {
    /// What `read` reads, which takes room for `length` bytes before; `name` is for messages.
    ///
    /// # Errors
    /// Those of `read`; [`Error::Input`] if that is too large for an image.
    pub(in crate::data) fn of(name: &Path, length: u64, read: impl FnOnce() -> Result<Vec<u8>>) -> Result<Self> {
        fits(name, length)?;
        let room = room::take(length);
        Ok(Self { bytes: read()?, _room: room })
    }
}

impl std::ops::Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Reads an image file as it is.
///
/// # Errors
/// [`Error::Io`] if it cannot be read or is too large for an image.
pub fn read_file(path: &Path) -> Result<Bytes> {
    let read = || {
        let file = door::open(path)?;
        let room = room::take(file.metadata()?.len().min(MAX_FILE));
        Ok(Bytes { bytes: door::whole(&file, MAX_FILE)?, _room: room })
    };
    read().map_err(Error::io(path))
}

/// Whether `length` bytes may be an image.
///
/// # Errors
/// [`Error::Input`] about `name` if they are too many.
pub(in crate::data) fn fits(name: &Path, length: u64) -> Result<()> {
    if length > MAX_FILE {
        return Err(Error::input(name, format!("{length} bytes: too large for an image")));
    }
    Ok(())
}

/// As [`decode_rgb`], for `bytes` in memory; `path` is for messages only.
///
/// # Errors
/// As [`decode_rgb`].
pub fn decode_bytes(path: &Path, bytes: &[u8]) -> Result<RgbImage> {
    held(path, bytes, true).map(|(pixels, _)| pixels)
}

/// Pixels, and the room that they take.
pub(in crate::data) type Held = (RgbImage, Taken);

/// As [`decode_bytes`], turned `upright` or as the pixels are stored.
pub(in crate::data) fn held(path: &Path, bytes: &[u8], upright: bool) -> Result<Held> {
    let (mut pixels, mut room) = stored(path, bytes)?;
    if let Some(turn) = orientation::of(bytes).filter(|_| upright) {
        let mut image = DynamicImage::from(pixels);
        image.apply_orientation(turn);
        pixels = image.into_rgb8();
    }
    room.keep(pixels.len() as u64);
    Ok((pixels, room))
}

/// Whether the image file `bytes` says that its pixels are not stored upright.
pub fn is_turned(bytes: &[u8]) -> bool {
    orientation::of(bytes).is_some()
}

/// The pixels as they are stored; the room is taken before anything is made room for.
fn stored(path: &Path, bytes: &[u8]) -> Result<Held> {
    lfs::refuse(path, bytes)?;
    let unreadable = |e: image::ImageError| Error::input(path, format!("not a readable image: {e}"));
    let format = image::guess_format(bytes).map_err(unreadable)?;
    let (width, height) = ImageReader::with_format(Cursor::new(bytes), format).into_dimensions().map_err(unreadable)?;
    if width > MAX_SIDE || height > MAX_SIDE || u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(Error::input(
            path,
            format!("claims {width} x {height} pixels; at most {MAX_SIDE} a side and {MAX_PIXELS} in all are read"),
        ));
    }
    let room = room::decode(room::PIXEL * u64::from(width) * u64::from(height));
    if format == ImageFormat::Jpeg {
        if let Some(pixels) = jpeg::decode(bytes) {
            return Ok((pixels, room));
        }
        if !jpeg_is_whole(bytes) {
            return Err(Error::input(path, "not a readable image: the JPEG data ends too early"));
        }
    }
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_BYTES);
    reader.limits(limits);
    let decoded =
        caught(|| reader.decode()).ok_or_else(|| Error::input(path, "not a readable image: it is damaged"))?;
    let pixels = to_rgb(decoded.map_err(unreadable)?);
    let pixels = pixels.ok_or_else(|| Error::input(path, "not a readable image: its pixels do not fill its frame"))?;
    Ok((pixels, room))
}

/// Whether the last scan of a JPEG is followed by its end marker. `image` decodes leniently and fills what is missing
/// with grey; Pillow refuses such files, and a half-grey training image is worse than a message.
fn jpeg_is_whole(bytes: &[u8]) -> bool {
    let mut at = 2; // after the start marker
    while let (Some(&first), Some(&second)) = (bytes.get(at), bytes.get(at + 1)) {
        match (first, second) {
            (0xff, 0xd9) => return true,
            (0xff, 0xff) => at += 1,
            (0xff, 0x00 | 0x01 | 0xd0..=0xd8) => at += 2,
            (0xff, _) => {
                let Some(&[high, low]) = bytes.get(at + 2..at + 4) else { return false };
                at += 2 + usize::from(u16::from_be_bytes([high, low]));
            }
            // Entropy-coded data, or stray bytes between segments, which decoders skip too.
            _ => at += 1,
        }
    }
    false
}

/// Drops alpha, triples grey and keeps the high byte of 16-bit samples. `None` if the buffer does not fit the frame.
fn to_rgb(image: DynamicImage) -> Option<RgbImage> {
    let (width, height) = (image.width(), image.height());
    let high = |sample: u16| (sample >> 8) as u8;
    let raw = match image {
        DynamicImage::ImageRgb8(pixels) => return Some(pixels),
        DynamicImage::ImageRgba8(pixels) => three(pixels.as_raw(), 4, |s| s),
        DynamicImage::ImageLuma8(pixels) => three(pixels.as_raw(), 1, |s| s),
        DynamicImage::ImageLumaA8(pixels) => three(pixels.as_raw(), 2, |s| s),
        DynamicImage::ImageRgb16(pixels) => three(pixels.as_raw(), 3, high),
        DynamicImage::ImageRgba16(pixels) => three(pixels.as_raw(), 4, high),
        DynamicImage::ImageLuma16(pixels) => three(pixels.as_raw(), 1, high),
        DynamicImage::ImageLumaA16(pixels) => three(pixels.as_raw(), 2, high),
        other => return Some(other.into_rgb8()),
    };
    RgbImage::from_raw(width, height, raw)
}

/// Interleaved samples of `channels` channels to interleaved RGB bytes.
fn three<T: Copy>(samples: &[T], channels: usize, byte: impl Fn(T) -> u8) -> Vec<u8> {
    let [r, g, b] = if channels < 3 { [0, 0, 0] } else { [0, 1, 2] };
    samples.chunks_exact(channels).flat_map(|p| [byte(p[r]), byte(p[g]), byte(p[b])]).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use image::{GrayImage, ImageBuffer, Luma, LumaA, Rgb, Rgba, RgbaImage};
    use proptest::prelude::*;

    fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn decoded(image: impl Into<DynamicImage>) -> RgbImage {
        decode_bytes(Path::new("x"), &encoded(&image.into(), ImageFormat::Png)).unwrap()
    }

    fn noise() -> DynamicImage {
        RgbImage::from_fn(64, 48, |x, y| Rgb([(x * 4) as u8, (y * 5) as u8, (x * y) as u8])).into()
    }

    #[test]
    fn alpha_is_dropped_not_blended() {
        assert_eq!(*decoded(RgbaImage::from_pixel(2, 2, Rgba([10, 20, 30, 0]))).get_pixel(1, 1), Rgb([10, 20, 30]));
        let grey = ImageBuffer::from_pixel(2, 2, LumaA([7u8, 1]));
        assert_eq!(*decoded(DynamicImage::ImageLumaA8(grey)).get_pixel(0, 1), Rgb([7, 7, 7]));
    }

    #[test]
    fn grey_is_tripled_and_sixteen_bits_keep_their_high_byte() {
        assert_eq!(*decoded(GrayImage::from_pixel(2, 2, Luma([9]))).get_pixel(0, 0), Rgb([9, 9, 9]));
        let deep = ImageBuffer::from_pixel(2, 2, Rgb([0x12ffu16, 0x3400, 0xfffe]));
        assert_eq!(*decoded(DynamicImage::ImageRgb16(deep)).get_pixel(0, 0), Rgb([0x12, 0x34, 0xff]));
        let deep = ImageBuffer::from_pixel(2, 2, Luma([0x80feu16]));
        assert_eq!(*decoded(DynamicImage::ImageLuma16(deep)).get_pixel(0, 0), Rgb([0x80; 3]));
    }

    /// Made by Pillow 13 with `tools/golden/decode.py`. Only CMYK, which photographs are not, is left to `image`'s decoder.
    #[test]
    fn every_kind_of_file_gives_the_pixels_of_pillow() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/decode");
        let mut seen = 0;
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "rgb") {
                continue;
            }
            let wanted = std::fs::read(path.with_added_extension("rgb")).unwrap();
            let pixels = decode_rgb(&path).unwrap();
            assert_eq!((pixels.dimensions(), wanted.len()), ((32, 24), 32 * 24 * 3), "{}", path.display());
            let worst = pixels.as_raw().iter().zip(&wanted).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
            let allowed = if path.ends_with("cmyk.jpg") { 4 } else { 0 };
            assert!(worst <= allowed, "{}: off by {worst}", path.display());
            seen += 1;
        }
        assert_eq!(seen, 22);
    }

    #[test]
    fn every_file_cut_short_is_an_error() {
        use ImageFormat::{Bmp, Gif, Jpeg, Png, Tiff, WebP};
        for format in [Jpeg, Png, WebP, Gif, Bmp, Tiff] {
            let bytes = encoded(&noise(), format);
            assert!(decode_bytes(Path::new("x"), &bytes).is_ok(), "{format:?}");
            for part in 1..20 {
                let cut = &bytes[..bytes.len() * part / 20];
                assert!(decode_bytes(Path::new("x"), cut).is_err(), "{format:?} cut at {part}/20 was taken for whole");
            }
        }
    }

    #[test]
    fn bytes_after_the_end_of_a_jpeg_do_no_harm() {
        let mut bytes = encoded(&noise(), ImageFormat::Jpeg);
        bytes.extend_from_slice(b"appended by some camera");
        assert!(decode_bytes(Path::new("x"), &bytes).is_ok());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(head in 0usize..4, tail in proptest::collection::vec(any::<u8>(), 0..400)) {
            let magic: [&[u8]; 4] = [b"", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"RIFF\x40\0\0\0WEBPVP8 "];
            let bytes = [magic[head], &tail].concat();
            let _ = decode_bytes(Path::new("x"), &bytes);
        }

        #[test]
        fn flipped_bytes_never_panic(at in 0usize..10_000, to in any::<u8>(), kind in 0usize..3) {
            let format = [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP][kind];
            let mut bytes = encoded(&noise(), format);
            let at = at % bytes.len();
            bytes[at] = to;
            let _ = decode_bytes(Path::new("x"), &bytes);
        }
    }
}
