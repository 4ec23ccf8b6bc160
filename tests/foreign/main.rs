//! What others made: data sets, sets, checkpoints, the hub, and bytes of any kind.
#![allow(clippy::unwrap_used)]

mod bytes;
mod checkpoints;
#[path = "../common/mod.rs"]
mod common;
mod hostile;
mod hub;
mod mutate;
mod parsers;
#[path = "../program/mod.rs"]
mod program;
mod push;
#[path = "../common/server.rs"]
mod server;
mod sources;
