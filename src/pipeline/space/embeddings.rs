//! Features of pairs, and which of the pairs are kept: what every stage after the encoder reads.

use super::rows::Rows;
use crate::kernels::vectors;
use crate::{
    error::{Error, Result},
    fingerprint::Fingerprint,
};
use ndarray::{ArrayView1, ArrayView2, Axis};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// CLIP features of a split: raw, not normalised, float32.
#[derive(Clone, Debug)]
pub struct Embeddings {
    /// `[images, d]`, each image once.
    pub image: Rows,
    /// `[pairs, d]`.
    pub text: Rows,
    /// The image row of each pair: `[pairs]`.
    pub image_of: Vec<u32>,
    /// Of what made them.
    pub fingerprint: Fingerprint,
}

impl Embeddings {
    /// Puts features together; their fingerprint is that of the numbers.
    ///
    /// # Errors
    /// [`Error::Shape`] if widths or row counts differ, a pair names a missing image, or a feature is not finite.
    pub fn new(image: impl Into<Rows>, text: impl Into<Rows>, image_of: Vec<u32>) -> Result<Self> {
        let (image, text): (Rows, Rows) = (image.into(), text.into());
        let fail = |what, expected: String, found: String| Err(Error::Shape { what, expected, found });
        if image.ncols() != text.ncols() {
            return fail("widths of image and text features", image.ncols().to_string(), text.ncols().to_string());
        }
        if text.nrows() != image_of.len() {
            return fail("pairs", text.nrows().to_string(), image_of.len().to_string());
        }
        if let Some((row, i)) = image_of.iter().enumerate().find(|(_, i)| **i as usize >= image.nrows()) {
            return fail("image of a pair", format!("below {}", image.nrows()), format!("{i} in row {row}"));
        }
        vectors::finite("image features", image.view())?;
        vectors::finite("text features", text.view())?;
        let fingerprint = Fingerprint::of_content(
            "embeddings",
            &(image.dim(), &image_of),
            &[&fingerprint(image.view()), &fingerprint(text.view())],
        );
        Ok(Self { image, text, image_of, fingerprint })
    }

    /// Number of pairs.
    pub fn pairs(&self) -> usize {
        self.image_of.len()
    }

    /// Width `d`.
    pub fn width(&self) -> usize {
        self.image.ncols()
    }

    /// The image features of pair `row`.
    ///
    /// # Panics
    /// If there is no such pair.
    pub fn image_row(&self, row: usize) -> ArrayView1<'_, f32> {
        self.image.row(self.image_of[row] as usize)
    }
}

/// Of all numbers, a block at a time.
fn fingerprint(rows: ArrayView2<f32>) -> Fingerprint {
    let (mut hash, mut bytes) = (Sha256::new(), Vec::new());
    for block in rows.axis_chunks_iter(Axis(0), vectors::BLOCK) {
        bytes.clear();
        block.iter().for_each(|v| bytes.extend_from_slice(&v.to_le_bytes()));
        hash.update(&bytes);
    }
    Fingerprint::of_hash(hash)
}

/// Rows of the original pairs that stay, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept(pub Vec<u32>);

impl Kept {
    /// # Errors
    /// [`Error::Shape`] unless the rows are ascending rows of `data`.
    pub fn check(&self, data: &Embeddings) -> Result<()> {
        let n = data.text.nrows();
        let sorted = self.0.windows(2).all(|w| w[0] < w[1]);
        if sorted && self.0.last().is_none_or(|&row| (row as usize) < n) {
            return Ok(());
        }
        Err(vectors::shape("kept rows", format!("ascending, below {n}"), format!("{} others", self.0.len())))
    }
}

/// An error unless the arrays belong together and hold numbers.
pub(crate) fn fits(data: &Embeddings) -> Result<()> {
    if data.image.ncols() != data.text.ncols() {
        return Err(vectors::shape("widths of image and text embeddings", data.image.ncols(), data.text.ncols()));
    }
    if data.image_of.len() != data.text.nrows() {
        return Err(vectors::shape("captions with an image", data.text.nrows(), data.image_of.len()));
    }
    if let Some(image) = data.image_of.iter().find(|&&i| i as usize >= data.image.nrows()) {
        return Err(vectors::shape("image of a caption", format!("below {}", data.image.nrows()), image));
    }
    vectors::finite("image embeddings", data.image.view())?;
    vectors::finite("text embeddings", data.text.view())
}
