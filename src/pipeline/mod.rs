//! The method: each stage one function of inputs, its own settings and a [`Ctx`].

pub mod cluster;
mod ctx;
pub mod draw;
pub mod engine;
pub mod methods;
pub mod prototypes;
pub mod recipe;
pub mod ridge;
pub mod score;
pub mod set;
pub mod setting;
pub mod space;
pub mod store;
pub mod trust;
pub mod workbench;

pub use ctx::{Ctx, Embedded, Report};
