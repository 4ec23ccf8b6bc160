//! The method: each stage one function of inputs, its own settings and a [`Ctx`].

pub mod arrays;
mod ctx;
pub mod distilled;
pub mod evaluate;
pub mod features;
pub mod recall;
pub mod store;
pub mod train;

pub use ctx::{Ctx, Report};
