//! One file per pane; each draws the state and changes nothing.

pub mod captions;
pub mod compared;
pub mod data;
pub mod gallery;
pub mod log;
mod neighbours;
pub mod prototype;
pub mod prototypes;
pub mod runs;
