//! Pictures from prototypes.

pub mod synthesize;
