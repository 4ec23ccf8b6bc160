//! The method: each stage one function of inputs, its own settings and a [`Ctx`].

mod ctx;

pub use ctx::{Ctx, Report};
