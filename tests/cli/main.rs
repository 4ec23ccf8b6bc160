//! The binary, as its users and their scripts meet it.
#![allow(clippy::unwrap_used)]

mod commands;
mod dry_run;
mod help;
mod hostile;
mod memory;
mod outputs;
#[path = "../program/mod.rs"]
mod program;
