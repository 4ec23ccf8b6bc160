//! The explorer on a terminal: the loop that turns keys and news into frames.

pub mod canvas;
pub mod halfblock;
mod overlay;
mod panels;
mod status;
pub mod text;
pub mod theme;
pub mod view;
