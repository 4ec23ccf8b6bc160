//! The explorer: its state by keys, its panes as pictures, foreign text, the real program in a real terminal.
#![cfg(feature = "tui")]
#![allow(clippy::unwrap_used)]

mod bulk;
mod bytes;
#[path = "../common/mod.rs"]
mod common;
mod drill;
mod fetching;
mod fixture;
mod foreign;
mod images;
mod jobs;
mod keys;
mod leaving;
mod machine;
mod mouse;
mod pty;
#[path = "../common/server.rs"]
mod server;
mod sessions;
mod together;
mod view;
mod walk;
