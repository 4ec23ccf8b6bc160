//! The explorer's program as values: events go in, state changes in one place, effects come out. Nothing here knows a
//! terminal, a file, a thread or a clock, so every behaviour can be tested as state, keys, state.

mod action;
mod album;
mod asks;
mod commands;
mod compare;
mod decide;
mod decision;
mod drill;
mod elsewhere;
mod event;
mod field;
mod film;
mod find;
mod focus;
mod format;
mod gallery;
mod glossary;
mod handoff;
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
mod real;
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
pub use event::{Effect, Entry, Event, JobId, Level, News, Outcome, Side, Wanted, Work};
pub use field::Field;
pub use focus::{Drill, Focus, Reading};
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
    Cloud, Compared, Curve, Elsewhere, EncoderScore, Found, HandOff, Laid, Measured, Near, Noise, Picture, Proto,
    Protos, Rows, Score, Summary, Told, Twins, Usage,
};
pub use real::Real;
pub use runs::{Line, Plot, chance, is_judging};
pub use set::ImageState;
pub use state::{LogLine, State};
