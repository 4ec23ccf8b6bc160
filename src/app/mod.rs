//! The explorer's program as values: events go in, state changes in one place, effects come out. Nothing here knows a
//! terminal, a file, a thread or a clock, so every behaviour can be tested as state, keys, state.

mod action;
mod album;
mod asks;
mod commands;
mod decide;
mod decision;
mod drill;
mod event;
mod field;
mod find;
mod format;
mod gallery;
mod glossary;
mod job;
mod judge;
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
mod remarks;
mod runs;
mod set;
mod state;
mod update;

pub use crate::pipeline::Embedded;
pub use action::{Action, Pane, Which};
pub use album::Album;
pub use asks::{Asks, Modal};
pub use commands::{COMMANDS, Command, HelpLine, help, matching, on};
pub use decision::{Caption, Decision, Draft, History, Synthesis, protocol_name};
pub use drill::{Drill, Focus};
pub use event::{Effect, Entry, Event, JobId, Level, News, Outcome, Wanted, Work};
pub use field::Field;
pub use format::{count, duration, percent};
pub use gallery::{CELL, WIDE, gallery_columns, seed_name, version_words};
pub use glossary::{GLOSSARY, TOUR};
pub use job::{Job, Status};
pub use kept::{below, keeps, kept_count, kept_images, kept_rows};
pub use key::Key;
pub use keys::Keys;
pub use line::{Entry as LineEntry, completions};
pub use lists::{Cursor, SortBy};
pub use marks::Marks;
pub use model::{
    Cloud, Curve, EncoderScore, Found, Measured, Near, Noise, Picture, Proto, Protos, Rows, Score, Summary, Usage,
};
pub use runs::{Line, Plot, Reading, chance, is_judging};
pub use set::ImageState;
pub use state::{LogLine, State};
