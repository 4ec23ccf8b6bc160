//! The method: each stage one function of inputs, its own settings and a [`Ctx`].

pub mod arrays;
pub mod assign;
pub mod caption;
pub mod card;
mod cholesky;
pub mod cluster;
mod ctx;
pub mod curves;
mod dense;
pub mod distilled;
pub mod embed;
pub mod embeddings;
pub mod evaluate;
pub mod export;
pub mod features;
mod gram;
pub mod joint;
pub mod methods;
pub mod nearest;
pub mod need;
pub mod noise;
pub mod pair;
pub mod plan;
pub mod prototype;
pub mod prune;
pub mod recall;
pub mod ridge;
pub mod rows;
pub mod stats;
pub mod store;
pub mod synthesize;
pub mod targets;
pub mod train;
pub mod trust;
pub mod workbench;

pub use ctx::{Ctx, Embedded, Report};
