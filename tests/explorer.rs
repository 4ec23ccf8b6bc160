//! The explorer: its state by keys, its panes as pictures, foreign text, the real program in a real terminal.
#![cfg(feature = "tui")]
#![allow(clippy::unwrap_used)]

#[path = "explorer/bulk.rs"]
mod bulk;
mod common;
#[path = "explorer/drill.rs"]
mod drill;
#[path = "explorer/fetching.rs"]
mod fetching;
#[path = "explorer/fixture.rs"]
mod fixture;
#[path = "explorer/foreign.rs"]
mod foreign;
#[path = "explorer/images.rs"]
mod images;
#[path = "explorer/jobs.rs"]
mod jobs;
#[path = "explorer/keys.rs"]
mod keys;
#[path = "explorer/leaving.rs"]
mod leaving;
#[path = "explorer/machine.rs"]
mod machine;
#[path = "explorer/mouse.rs"]
mod mouse;
#[path = "explorer/pty.rs"]
mod pty;
#[path = "hub/server.rs"]
mod server;
#[path = "explorer/sessions.rs"]
mod sessions;
#[path = "explorer/view.rs"]
mod view;
#[path = "explorer/walk.rs"]
mod walk;
