//! The method: each stage one function of inputs, its own settings and a [`Ctx`].

pub mod arrays;
mod ctx;
pub mod distilled;
pub mod embed;
pub mod store;

pub use ctx::{Ctx, Report};
