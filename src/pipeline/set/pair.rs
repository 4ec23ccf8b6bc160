//! What a distilled set consists of.

use crate::data::ImageSource;

/// One synthetic pair. Its training target is row `prototype` of the set's `text_prototypes`; the caption only guided
/// synthesis.
#[derive(Clone, Debug, PartialEq)]
pub struct DistilledPair {
    /// The image: in memory before it is written, a file after it was read.
    pub image: ImageSource,
    /// The caption.
    pub caption: String,
    /// Pairs of the training set that the prototype is the mean of.
    pub support: u32,
    /// Cosine of the pair's two prototypes.
    pub similarity: f32,
    /// DataComp's name of the picture, if it is a real one that has one.
    pub uid: Option<u128>,
}
