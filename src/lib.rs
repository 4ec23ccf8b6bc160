//! protostill distils an image-text dataset into a few synthetic pairs that still teach a retrieval model.
//!
//! `data` reads captioned images, `models` holds the networks, `pipeline` the method (embed, prune, cluster, match,
//! prototypes, captions, synthesis, evaluation). Nothing looks up: models know no datasets, stages know no terminal.

pub mod cli;
pub mod config;
pub mod data;
pub mod error;
pub mod fingerprint;
pub mod fsio;
pub mod models;
pub mod pipeline;
