//! What a distilled set teaches: features of frozen encoders, heads trained on the set, recall on the test split.

pub mod curves;
pub mod evaluate;
pub mod features;
pub mod recall;
