//! protostill distils an image-text dataset into a few synthetic pairs that still teach a retrieval model.
//!
//! `data` reads captioned images, `models` holds the networks, `pipeline` the method (embed, prune, cluster, match,
//! prototypes, captions, synthesis, evaluation). Nothing looks up: models know no datasets, stages know no terminal, and no
//! two modules name each other in a circle (`tests/architecture.rs` has the floors and the circles that are left).
//! `app` is the explorer as values, `ui` its terminal, `session` carries out in jobs what it decides.

pub mod about;
#[cfg(feature = "tui")]
pub mod app;
mod caught;
pub mod cli;
pub mod config;
pub mod data;
mod door;
pub mod error;
pub mod fingerprint;
pub mod fsio;
#[cfg(feature = "tui")]
pub mod job;
#[cfg(feature = "tui")]
pub mod journal;
mod kernels;
pub mod lfs;
pub mod log;
pub mod machine;
pub mod models;
pub mod pipeline;
pub mod pixels;
#[cfg(feature = "tui")]
pub mod session;
#[cfg(feature = "tui")]
pub mod ui;
