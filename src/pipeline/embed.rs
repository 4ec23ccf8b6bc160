//! Embeddings of a split: every image once, every caption once.

use ndarray::Array2;

/// Raw (not normalised) CLIP embeddings. Pair row `r` has image row `image_of[r]` and text row `r`.
#[derive(Clone, Debug, PartialEq)]
pub struct Embeddings {
    /// `[images, d]`
    pub image: Array2<f32>,
    /// `[pairs, d]`
    pub text: Array2<f32>,
    /// The image row of each pair row.
    pub image_of: Vec<u32>,
}
