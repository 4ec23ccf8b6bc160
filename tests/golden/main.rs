//! The numbers of the original libraries, from files that `tools/golden` made.
#![allow(clippy::unwrap_used)]

mod clip;
mod cluster;
#[path = "../common/mod.rs"]
mod common;
mod encoders;
mod eval;
mod oracle;
mod pixels;
mod tokens;
mod unclip;
mod wild;
