//! Frozen image features: every image decoded, squashed and encoded once.

use crate::pipeline::Ctx;
use crate::{
    data::ImageSource,
    error::Result,
    models::encoders::{Encoder, Features},
};
use ndarray::{Array2, Array4, Axis, s};
use rayon::prelude::*;

/// Images in memory at once.
pub(in crate::pipeline) const BATCH: usize = 32;

/// Features of every image as the encoder is shown it, `[images, width]`, in order.
///
/// # Errors
/// [`crate::error::Error::Input`] or [`crate::error::Error::Io`] naming an image that cannot be read,
/// [`crate::error::Error::Cancelled`] within a batch of cancelling.
pub fn encode_features(encoder: &Encoder, kind: Features, images: &[ImageSource], ctx: &Ctx) -> Result<Array2<f32>> {
    let side = encoder.side();
    let mut features = Array2::zeros((images.len(), encoder.width(kind)));
    for (i, batch) in images.chunks(BATCH).enumerate() {
        ctx.step("encode images", i * BATCH, images.len())?;
        let planes = batch
            .par_iter()
            .map(|image| image.with(|image| encoder.preprocess(image)))
            .collect::<Vec<Result<Vec<f32>>>>();
        let mut x = Array4::zeros((batch.len(), 3, side, side));
        for (mut image, planes) in x.axis_iter_mut(Axis(0)).zip(planes) {
            image.iter_mut().zip(planes?).for_each(|(to, from)| *to = from);
        }
        features.slice_mut(s![i * BATCH..i * BATCH + batch.len(), ..]).assign(&encoder.encode(x.view(), kind)?);
    }
    ctx.step("encode images", images.len(), images.len())?;
    Ok(features)
}
