//! Images to what networks take: resized as Pillow does, standardised as transformers and torchvision do.

mod processor;
mod resample;
pub mod room;

pub use processor::Processor;
pub use resample::Filter;

use crate::error::{Error, Result};
use image::RgbImage;

/// CLIP's channel means, which the reference's evaluation protocol uses for every encoder.
pub const CLIP_MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
/// CLIP's channel deviations.
pub const CLIP_STD: [f32; 3] = [0.268_629_54, 0.261_302_6, 0.275_777_1];

/// `image` resized to `width` x `height` by `filter`, the bytes Pillow's `resize` gives.
///
/// # Errors
/// [`Error::Shape`] if either image has no pixels.
pub fn resize(image: &RgbImage, width: u32, height: u32, filter: Filter) -> Result<RgbImage> {
    not_empty(image.dimensions())?;
    not_empty((width, height))?;
    Ok(resample::resize_window(image, (width, height), 0..width, 0..height, filter))
}

/// `image` squashed to a square by Lanczos, as synthesised images are brought to their final size.
///
/// # Errors
/// As [`resize`].
pub fn lanczos(image: &RgbImage, side: u32) -> Result<RgbImage> {
    resize(image, side, side, Filter::Lanczos)
}

/// `image` as encoders are shown it: squashed to `side` x `side` by bicubic, standardised: `[3, side, side]`.
///
/// # Errors
/// As [`resize`].
pub fn squashed(image: &RgbImage, side: u32, (mean, std): ([f32; 3], [f32; 3])) -> Result<Vec<f32>> {
    let small = resize(image, side, side, Filter::Bicubic)?;
    Ok(standardise(&small, Some(1.0 / 255.0), mean, std))
}

fn not_empty(size: (u32, u32)) -> Result<()> {
    if size.0 == 0 || size.1 == 0 {
        let found = format!("{}x{}", size.0, size.1);
        return Err(Error::Shape { what: "image", expected: "at least 1x1 pixels".into(), found });
    }
    Ok(())
}

/// `(byte * scale - mean) / std`, channel after channel; the product in float64, the rest in float32, as transformers does.
fn standardise(image: &RgbImage, scale: Option<f64>, mean: [f32; 3], std: [f32; 3]) -> Vec<f32> {
    let mut out = Vec::with_capacity(image.as_raw().len());
    for c in 0..3 {
        let value = |byte: usize| (scale.map_or(byte as f32, |s| (byte as f64 * s) as f32) - mean[c]) / std[c];
        let table: Vec<f32> = (0..256).map(value).collect();
        out.extend(image.as_raw().iter().skip(c).step_by(3).map(|byte| table[usize::from(*byte)]));
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_image_without_pixels_is_an_error_and_not_a_panic() {
        assert!(resize(&RgbImage::new(0, 7), 4, 4, Filter::Bicubic).is_err());
        assert!(lanczos(&RgbImage::new(3, 7), 0).is_err());
    }

    #[test]
    fn a_window_holds_the_bytes_of_the_whole() {
        let image = RgbImage::from_fn(61, 37, |x, y| image::Rgb([(x * 7 + y) as u8, (y * 13) as u8, (x * y) as u8]));
        for (size, xs, ys) in [((20, 90), 3..17, 40..61), ((61, 12), 5..60, 2..9), ((100, 37), 11..64, 8..37)] {
            let whole = resize(&image, size.0, size.1, Filter::Bicubic).unwrap();
            let part = resample::resize_window(&image, size, xs.clone(), ys.clone(), Filter::Bicubic);
            let cut =
                image::imageops::crop_imm(&whole, xs.start, ys.start, xs.len() as u32, ys.len() as u32).to_image();
            assert_eq!(part, cut);
        }
    }
}
