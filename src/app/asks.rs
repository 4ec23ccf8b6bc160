//! What lies over a pane and takes the keys first: help, palette, a question, a line to type.

use super::field::Field;
use std::path::PathBuf;

/// What a typed line is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    /// The caption of a prototype.
    Caption(usize),
    /// The number of prototypes.
    Prototypes,
    /// Words in front of every automatic caption.
    Prefix,
    /// Words to filter by; it works while typing.
    Filter,
    /// Words or a picture's path to look for by meaning.
    Find,
    /// The folder to export into.
    Export,
}

impl Asks {
    /// The question.
    pub fn title(self) -> String {
        match self {
            Self::Caption(i) => format!("caption of prototype {}", i + 1),
            Self::Prototypes => "number of prototypes".into(),
            Self::Prefix => "prefix of automatic captions".into(),
            Self::Filter => "filter".into(),
            Self::Find => "find by meaning: words, or the path of a picture".into(),
            Self::Export => "export into folder".into(),
        }
    }
}

/// What is on top.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Modal {
    /// The keys of the pane, scrolled by some lines.
    Help(usize),
    /// A step of the tour.
    Tour(usize),
    /// A query and the chosen line of what it finds.
    Palette(Field, usize),
    /// Whether to upload a set under this name, and what that would take along.
    #[allow(missing_docs, reason = "as said")]
    Upload { set: PathBuf, name: String, said: Vec<String> },
    /// Whether to take the session over from another process.
    TakeOver,
    /// Whether to leave although a job runs.
    Quit,
    /// The answer to a question, being typed.
    Ask(Asks, Field),
    /// A command line, being typed.
    Line(Field),
}
