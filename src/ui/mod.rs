//! The explorer on a terminal: the loop that turns keys and news into frames.

pub mod canvas;
pub mod halfblock;
pub mod image;
mod keymap;
mod logfile;
mod overlay;
pub mod painter;
mod panels;
mod plot;
mod run;
mod scatter;
mod status;
mod svg;
pub mod terminal;
pub mod text;
pub mod theme;
pub mod view;

pub use run::{Begun, Left, Options, Way, begin, keys_path, run};
