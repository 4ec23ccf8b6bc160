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

use super::canvas::Canvas;
use crate::app::{Pane, State};
use ratatui::layout::Rect;

/// The pane in front.
pub fn draw(canvas: &mut Canvas, area: Rect, state: &State) {
    match state.pane {
        Pane::Data => data::draw(canvas, area, state),
        Pane::Prototypes => match &state.protos {
            Some(protos) if state.is_drilled() => prototype::draw(canvas, area, state, protos),
            _ => prototypes::draw(canvas, area, state),
        },
        Pane::Captions => captions::draw(canvas, area, state),
        Pane::Gallery => gallery::draw(canvas, area, state),
        Pane::Runs => match state.comparison() {
            Some(compared) => compared::draw(canvas, area, state, compared),
            None => runs::draw(canvas, area, state),
        },
        Pane::Log => log::draw(canvas, area, state),
    }
}
