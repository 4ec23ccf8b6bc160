//! The stages as a whole: what they promise whatever they are given.
#![allow(clippy::unwrap_used)]

mod dry;
mod elsewhere;
mod evaluation;
#[path = "../common/features.rs"]
mod features;
mod properties;
mod wild;
