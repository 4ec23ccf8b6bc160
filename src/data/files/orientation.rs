//! Which way up a picture was taken, by the EXIF tag that cameras write into JPEG, PNG and WebP files.

use image::metadata::Orientation;

/// What must be done to the pixels of the file `bytes` for the picture to stand upright, if anything.
pub(in crate::data) fn of(bytes: &[u8]) -> Option<Orientation> {
    let exif = match bytes {
        [0xff, 0xd8, ..] => jpeg(bytes),
        [0x89, b'P', b'N', b'G', ..] => png(bytes),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => webp(bytes),
        _ => None,
    }?;
    let exif = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
    Orientation::from_exif_chunk(exif).filter(|turn| *turn != Orientation::NoTransforms)
}

/// The first segment APP1 that holds EXIF.
fn jpeg(bytes: &[u8]) -> Option<&[u8]> {
    let mut at = 2;
    loop {
        let &[0xff, marker] = bytes.get(at..at + 2)? else { return None };
        match marker {
            0xff => at += 1,
            0xd9 | 0xda => return None, // pixels follow
            _ => {
                let length = usize::from(u16::from_be_bytes(*bytes.get(at + 2..)?.first_chunk()?));
                let content = bytes.get(at + 4..at + 2 + length)?;
                if marker == 0xe1 && content.starts_with(b"Exif\0\0") {
                    return Some(content);
                }
                at += 2 + length;
            }
        }
    }
}

/// The chunk eXIf, which may also follow the pixels. A chunk: length, name, content, checksum.
fn png(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = bytes.get(8..)?;
    loop {
        let length = u32::from_be_bytes(*rest.first_chunk()?) as usize;
        let content = rest.get(8..8usize.checked_add(length)?)?;
        if rest.get(4..8)? == b"eXIf" {
            return Some(content);
        }
        rest = rest.get(length + 12..)?;
    }
}

/// The chunk EXIF. A chunk: name, length, content, a byte that makes it even.
fn webp(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = bytes.get(12..)?;
    loop {
        let length = u32::from_le_bytes(*rest.get(4..)?.first_chunk()?) as usize;
        let content = rest.get(8..8usize.checked_add(length)?)?;
        if rest.get(..4)? == b"EXIF" {
            return Some(content);
        }
        rest = rest.get(8 + length + length % 2..)?;
    }
}

#[cfg(test)]
pub(in crate::data) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::data::files::decode::decode_bytes;
    use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
    use proptest::prelude::*;
    use std::{io::Cursor, path::Path};

    /// EXIF, big-endian, with one entry: the orientation.
    fn exif(orientation: u8) -> Vec<u8> {
        let entry = [1, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0];
        [b"MM\0*\0\0\0\x08\0\x01".as_slice(), &entry, &[0; 4]].concat()
    }

    /// `image` stored as it is, with a tag that says how to turn it.
    pub fn tagged(image: &RgbImage, format: ImageFormat, orientation: u8) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        DynamicImage::from(image.clone()).write_to(&mut bytes, format).unwrap();
        let (bytes, exif) = (bytes.into_inner(), exif(orientation));
        let length = exif.len() as u32;
        match format {
            ImageFormat::Jpeg => {
                let head = [b"\xff\xe1".as_slice(), &(length as u16 + 8).to_be_bytes(), b"Exif\0\0"].concat();
                [&bytes[..2], &head, &exif, &bytes[2..]].concat()
            }
            // After the pixels, before the end.
            ImageFormat::Png => {
                let end = bytes.len() - 12;
                let body = [b"eXIf".as_slice(), &exif].concat();
                let sum = !body.iter().fold(!0u32, |crc, &byte| {
                    (0..8).fold(crc ^ u32::from(byte), |c, _| if c & 1 == 1 { c >> 1 ^ 0xedb8_8320 } else { c >> 1 })
                });
                [&bytes[..end], &length.to_be_bytes(), &body, &sum.to_be_bytes(), &bytes[end..]].concat()
            }
            _ => {
                let chunk = [b"EXIF".as_slice(), &length.to_le_bytes(), &exif].concat();
                let (w, h) = (image.width() - 1, image.height() - 1);
                let frame = [w as u8, (w >> 8) as u8, 0, h as u8, (h >> 8) as u8, 0];
                let extended = [b"VP8X\x0a\0\0\0\x08\0\0\0".as_slice(), &frame].concat();
                let body = [b"WEBP".as_slice(), &extended, &bytes[12..], &chunk].concat();
                [b"RIFF".as_slice(), &(body.len() as u32).to_le_bytes(), &body].concat()
            }
        }
    }

    #[test]
    fn a_picture_stored_turned_comes_out_upright_from_every_format() {
        let upright = RgbImage::from_fn(9, 6, |x, y| Rgb([x as u8 * 25, y as u8 * 40, 128]));
        let quarter = image::imageops::rotate270(&upright);
        for format in [ImageFormat::Png, ImageFormat::WebP] {
            let pixels = decode_bytes(Path::new("x"), &tagged(&quarter, format, 6)).unwrap();
            assert_eq!(pixels, upright, "{format:?}");
            let mirrored = image::imageops::flip_horizontal(&upright);
            assert_eq!(decode_bytes(Path::new("x"), &tagged(&mirrored, format, 2)).unwrap(), upright, "{format:?}");
            assert_eq!(decode_bytes(Path::new("x"), &tagged(&upright, format, 1)).unwrap(), upright, "{format:?}");
        }
        let jpeg = decode_bytes(Path::new("x"), &tagged(&quarter, ImageFormat::Jpeg, 6)).unwrap();
        assert_eq!(jpeg.dimensions(), upright.dimensions());
        assert!(jpeg.get_pixel(8, 0).0[0] > 150 && jpeg.get_pixel(0, 5).0[1] > 150, "turned the wrong way");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(head in 0usize..3, tail in proptest::collection::vec(any::<u8>(), 0..200)) {
            let magic: [&[u8]; 3] = [b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"RIFF\x40\0\0\0WEBP"];
            let _ = of(&[magic[head], &tail].concat());
        }
    }
}
