//! How the panes are looked at: how close, at which version, step or value.

use super::lists::Cursor;

/// How close the pane in front looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Drill {
    /// All of it.
    #[default]
    List,
    /// One pair, prototype or picture, in the whole pane.
    Whole,
    /// One of the rows behind a prototype.
    Row,
}

/// What is looked at closely.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Focus {
    /// How close.
    pub drill: Drill,
    /// The selected row behind the prototype.
    pub member: Cursor,
    /// A prototype, and how many versions back its picture is shown.
    pub flip: (usize, usize),
    /// All pictures as they were after so many denoising steps.
    pub scrub: Option<usize>,
}

/// How the runs pane is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The score that all others are shown as differences from.
    pub pinned: Option<usize>,
    /// R-mean is plotted against pairs.
    pub by_pairs: bool,
    /// On a logarithmic scale.
    pub log: bool,
    /// The place that values are read at, among those that the plot has.
    pub at: Option<usize>,
    /// Scores marked to be laid side by side.
    pub marked: [Option<usize>; 2],
    /// The user chose a line: its curve is shown although something runs.
    pub chosen: bool,
}
