//! Pictures from prototypes.

pub(super) mod judge;
pub mod requests;
pub mod synthesize;
