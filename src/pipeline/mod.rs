//! The method: each stage one function of inputs, its own settings and a [`Ctx`].

mod ctx;
pub mod synthesize;

pub use ctx::{Ctx, Report};
