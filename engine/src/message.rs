//! What is said between a command and those who work for it.

use protostill::{about, config::Config, fingerprint::Fingerprint, pipeline::engine::Task};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Everything a worker needs to know of a task.
#[derive(Clone, Serialize, Deserialize)]
pub struct Order {
    /// Of the program that asks.
    pub program: Program,
    /// Which data set and checkpoints.
    pub config: Config,
    /// Where results go; a folder that all share.
    pub store: PathBuf,
    /// What to do.
    pub task: Task,
}

/// What came of a task.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The name of what lies in the store.
    Made(Fingerprint),
    /// Why there is nothing.
    Failed(String),
}

/// A build: two that differ may compute differently.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Program {
    version: String,
    commit: String,
}

impl Program {
    /// This one.
    pub fn this() -> Self {
        Self { version: about::VERSION.into(), commit: about::COMMIT.into() }
    }

    /// For people.
    pub fn words(&self) -> String {
        format!("{} ({})", self.version, self.commit.get(..12).unwrap_or(&self.commit))
    }
}
