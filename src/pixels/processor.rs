//! CLIP's image processor, driven by a checkpoint's settings: Pillow's resizing and torchvision's crop, as CLIP was trained
//! with (OpenAI's `_transform`).

use super::{CLIP_MEAN, CLIP_STD, Filter, not_empty, resample::resize_window, standardise};
use crate::error;
use image::RgbImage;
use serde::Deserialize;
use serde_json::Value;

/// Largest side a checkpoint may ask for, in pixels.
const MAX_SIDE: u32 = 4096;

/// `size` and `crop_size` in any of the forms transformers has written over the years.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged)]
enum Size {
    Number(u32),
    Shortest { shortest_edge: u32 },
    Exact { height: u32, width: u32 },
}

#[derive(Debug, Deserialize)]
#[serde(default)]
struct Config {
    do_resize: bool,
    size: Size,
    resample: u32,
    do_center_crop: bool,
    crop_size: Size,
    do_rescale: bool,
    rescale_factor: f64,
    do_normalize: bool,
    image_mean: [f32; 3],
    image_std: [f32; 3],
}

impl Default for Config {
    fn default() -> Self {
        Self {
            do_resize: true,
            size: Size::Shortest { shortest_edge: 224 },
            resample: 3,
            do_center_crop: true,
            crop_size: Size::Exact { height: 224, width: 224 },
            do_rescale: true,
            rescale_factor: 1.0 / 255.0,
            do_normalize: true,
            image_mean: CLIP_MEAN,
            image_std: CLIP_STD,
        }
    }
}

/// Shortest edge to `size`, centre crop, rescale, standardise.
#[derive(Clone, Debug)]
pub struct Processor {
    resize: Option<Target>,
    filter: Filter,
    /// Width and height.
    crop: (u32, u32),
    scale: Option<f64>,
    mean: [f32; 3],
    std: [f32; 3],
}

#[derive(Clone, Copy, Debug)]
enum Target {
    Shortest(u32),
    Exact(u32, u32),
}

impl Processor {
    /// Reads a processor's settings; absent keys, and those that are null, have transformers' defaults.
    ///
    /// # Errors
    /// In words, if it is no object or asks for what CLIP's processor does not do.
    pub fn read(mut json: Value) -> Result<Self, String> {
        json.as_object_mut().ok_or("not a JSON object")?.retain(|_, v| !v.is_null());
        let config: Config = serde_json::from_value(json).map_err(|e| e.to_string())?;
        Ok(Self::new(&config)?)
    }

    fn new(config: &Config) -> Result<Self, &'static str> {
        let filter = match config.resample {
            1 => Filter::Lanczos,
            2 => Filter::Bilinear,
            3 => Filter::Bicubic,
            _ => return Err("resample must be 1 (Lanczos), 2 (bilinear) or 3 (bicubic)"),
        };
        let resize = match config.size {
            Size::Number(s) | Size::Shortest { shortest_edge: s } => Target::Shortest(s),
            Size::Exact { height, width } => Target::Exact(width, height),
        };
        let crop = match (config.do_center_crop, config.crop_size, resize) {
            (true, Size::Exact { height, width }, _) | (false, _, Target::Exact(width, height)) => (width, height),
            (true, Size::Number(s) | Size::Shortest { shortest_edge: s }, _) => (s, s),
            (false, _, Target::Shortest(_)) => return Err("without do_center_crop, size must give height and width"),
        };
        let sides = match resize {
            Target::Shortest(s) => [s, s, crop.0, crop.1],
            Target::Exact(w, h) => [w, h, crop.0, crop.1],
        };
        if sides.iter().any(|s| !(1..=MAX_SIDE).contains(s)) {
            return Err("size and crop_size must be 1 to 4096");
        }
        if !config.do_resize && !config.do_center_crop {
            return Err("without do_resize and do_center_crop, images keep unequal sizes");
        }
        let (mean, std) =
            if config.do_normalize { (config.image_mean, config.image_std) } else { ([0.0; 3], [1.0; 3]) };
        if mean.iter().chain(&std).any(|x| !x.is_finite()) || std.contains(&0.0) || !config.rescale_factor.is_finite() {
            return Err("image_mean, image_std and rescale_factor must be finite, image_std not 0");
        }
        let scale = config.do_rescale.then_some(config.rescale_factor);
        Ok(Self { resize: config.do_resize.then_some(resize), filter, crop, scale, mean, std })
    }

    /// Width and height of what [`Processor::apply`] makes.
    pub fn side(&self) -> (u32, u32) {
        self.crop
    }

    /// `image` as `[3, height, width]`.
    ///
    /// # Errors
    /// [`error::Error::Shape`] if the image has no pixels.
    pub fn apply(&self, image: &RgbImage) -> error::Result<Vec<f32>> {
        not_empty(image.dimensions())?;
        Ok(standardise(&self.cropped(image), self.scale, self.mean, self.std))
    }

    /// Resized and cropped; what the crop takes from outside the image is black.
    fn cropped(&self, image: &RgbImage) -> RgbImage {
        let (w, h) = self.resized(image.dimensions());
        let ((left, xs), (top, ys)) = (window(w, self.crop.0), window(h, self.crop.1));
        let inner = resize_window(image, (w, h), xs, ys, self.filter);
        if inner.dimensions() == self.crop {
            return inner;
        }
        let mut padded = RgbImage::new(self.crop.0, self.crop.1);
        image::imageops::replace(&mut padded, &inner, i64::from(left), i64::from(top));
        padded
    }

    /// The whole image's size after resizing: transformers' `get_resize_output_image_size`, which cuts the long side to an
    /// integer in floating point.
    fn resized(&self, (w, h): (u32, u32)) -> (u32, u32) {
        match self.resize {
            None => (w, h),
            Some(Target::Exact(w, h)) => (w, h),
            Some(Target::Shortest(s)) => {
                let (short, long) = (w.min(h), w.max(h));
                let long = ((f64::from(s) * f64::from(long)) / f64::from(short)) as u32;
                if w <= h { (s, long) } else { (long, s) }
            }
        }
    }
}

/// Where a crop of `crop` lies on a line of `size` pixels, as torchvision's `center_crop` counts: the offset of the first
/// pixel seen inside the crop, and the pixels seen. Half of an odd margin is rounded, half to even; transformers' fast
/// processors do the same, its older one cuts off.
fn window(size: u32, crop: u32) -> (u32, std::ops::Range<u32>) {
    if size >= crop {
        let margin = size - crop;
        let start = margin / 2 + u32::from(margin % 4 == 3);
        return (0, start..start + crop);
    }
    ((crop - size) / 2, 0..size)
}
