//! The explorer's program as values: events go in, state changes in one place, effects come out. Nothing here knows a
//! terminal, a file, a thread or a clock, so every behaviour can be tested as state, keys, state.

mod action;
mod album;
mod asks;
mod commands;
mod decide;
mod decision;
mod event;
mod field;
mod format;
mod job;
mod kept;
mod key;
mod keys;
mod line;
mod lists;
mod marks;
mod modal;
mod model;
mod observe;
mod pictures;
mod queue;
mod set;
mod state;
mod update;

pub use crate::pipeline::Embedded;
pub use action::{Action, Pane, Which};
pub use album::Album;
pub use asks::{Asks, Modal};
pub use commands::{COMMANDS, Command, help, matching, on};
pub use decision::{Caption, Decision, Draft, History, Synthesis, protocol_name};
pub use event::{Effect, Entry, Event, JobId, Level, News, Outcome, Wanted, Work};
pub use field::Field;
pub use format::{count, duration, percent};
pub use job::{Job, Status};
pub use kept::{below, keeps, kept_count, kept_images, kept_rows};
pub use key::Key;
pub use keys::Keys;
pub use line::{Entry as LineEntry, completions};
pub use lists::{Cursor, SortBy};
pub use marks::Marks;
pub use model::{Cloud, EncoderScore, Measured, Near, Noise, Picture, Proto, Protos, Rows, Score, Summary};
pub use set::ImageState;
pub use state::{CELL, LogLine, State, gallery_columns};
