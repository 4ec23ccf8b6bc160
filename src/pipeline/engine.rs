//! The seam to other machines. A stage that can be done in pieces names them; whoever does one, wherever, leaves its result
//! in the store that all share, under the name by which the stage looks for it. So the bytes are those of one process,
//! whoever did what, in what order and how often.

use super::{
    draw::synthesize::{Request, Settings},
    space::embed::Side,
};
use crate::{error::Result, fingerprint::Fingerprint};
use serde::{Deserialize, Serialize};

/// A piece of a stage, for whoever has the same data set, checkpoints and store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Features of the training images of this part.
    Images(usize),
    /// Features of the training captions of this part.
    Captions(usize),
    /// The nearest centre of each of some rows, both by their names in the store.
    Assign {
        /// What is clustered.
        side: Side,
        /// Which of them, and how often each counts.
        rows: Fingerprint,
        /// The centres.
        start: Fingerprint,
    },
    /// A picture.
    Draw(Request, Settings),
}

impl Task {
    /// As people call it.
    pub fn words(&self) -> String {
        match self {
            Self::Images(part) => format!("images, part {part}"),
            Self::Captions(part) => format!("captions, part {part}"),
            Self::Assign { side, .. } => format!("clusters of some {}", side.name()),
            Self::Draw(request, _) => format!("the picture of {:?}", request.prompt),
        }
    }
}

/// Has tasks done elsewhere.
pub trait Engine: Send + Sync {
    /// Returns once all of `tasks` are done: the names of what they left in the store, in their order. Calls `watch` every now
    /// and then and ends with its error.
    ///
    /// # Errors
    /// Those of `watch`; else one that names the tasks that failed, when all others are done.
    fn run(&self, tasks: &[Task], watch: &mut dyn FnMut() -> Result<()>) -> Result<Vec<Fingerprint>>;
}
