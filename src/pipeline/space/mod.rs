//! The space that CLIP makes of a data set: its rows, which of them belong together, and what they look like as a whole.

pub mod content;
pub mod embed;
pub mod embeddings;
pub mod nearest;
pub mod noise;
pub mod order;
pub mod rows;
pub mod stats;
