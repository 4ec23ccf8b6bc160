//! What comes in and what goes out.

use super::{
    action::Action,
    decision::{Decision, Draft},
    key::Key,
    model::{Compared, EncoderScore, Found, HandOff, Measured, Picture, Protos, Rows, Score, Summary, Told, Usage},
};
use crate::pipeline::draw::synthesize;
use crate::{fingerprint::Fingerprint, pipeline::Embedded};
use serde::{Deserialize, Serialize};
use std::{path::PathBuf, sync::Arc};

/// Names a job for as long as the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u64);

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As asked.
    Done,
    /// The user or a newer job stopped it.
    Cancelled,
    /// With an error, in words.
    Failed(String),
    /// With a bug, in its own words.
    Panicked(String),
}

/// Whatever reaches the explorer.
#[derive(Clone, Debug)]
pub enum Event {
    /// A key.
    Key(Key),
    /// What the mouse pointed at.
    Do(Action),
    /// Text pasted in one piece.
    Paste(String),
    /// The terminal's new width and height in cells.
    Resize(u16, u16),
    /// Milliseconds since the start.
    Tick(u64),
    /// Something from a job.
    Job(JobId, News),
    /// A real picture that was asked for.
    Picture(u32, Result<Picture, String>),
    /// What the file of a real picture is called.
    Named(u32, String),
    /// A picture synthesised earlier, found again by its fingerprint.
    Recalled(Fingerprint, Picture),
    /// What the machine is doing for this program; none while nothing runs.
    Usage(Option<Usage>),
    /// How pictures are shown, and why.
    Pictures(String),
    /// A line for the log.
    Log(Level, String),
    /// What another process tells that works in this session.
    Elsewhere(Told),
    /// What it decided.
    Followed(Vec<Entry>),
    /// It has ended: the session is this process's.
    Owned,
    /// Another process wants the session.
    HandOver,
}

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "their names")]
pub enum Level {
    Info,
    /// For the status line too.
    Notice,
    Warning,
    Error,
}

/// What a job tells.
#[derive(Clone, Debug)]
pub enum News {
    /// It left the queue.
    Started,
    /// Units done of its stage.
    Step {
        /// The stage's name.
        stage: &'static str,
        /// Units finished.
        done: usize,
        /// Units in all.
        total: usize,
    },
    /// A number of a series.
    Point {
        /// The series.
        series: String,
        /// Position.
        x: f64,
        /// Value.
        y: f64,
    },
    /// How picture `key` looks after `step` steps.
    Preview {
        /// The picture.
        key: Fingerprint,
        /// Denoising steps done.
        step: usize,
        /// The estimate.
        picture: Picture,
    },
    /// A picture is finished.
    Made {
        /// Its name.
        key: Fingerprint,
        /// It.
        picture: Picture,
    },
    /// The data set was read.
    Opened {
        /// Its name.
        name: String,
        /// Its train pairs.
        rows: Arc<Rows>,
    },
    /// What is amiss with the data or the checkpoints, and what to change.
    Remarks(Vec<String>),
    /// What is nearest to words.
    Found(Arc<Found>),
    /// Some more rows are embedded.
    Embedded(Embedded),
    /// Pair cosines are known.
    Measured(Arc<Measured>),
    /// The whole is described.
    Described(Summary),
    /// Prototypes as they look at first, and of how many pairs if not of all; the true ones follow.
    Glimpse(Arc<Protos>, Option<usize>),
    /// Prototypes are known.
    Prototypes(Arc<Protos>),
    /// CLIP's cosine of pictures to their image prototype and to their caption.
    Looked(Vec<(Fingerprint, [f32; 2])>),
    /// A set was judged.
    Scored(Score),
    /// The set was written.
    Exported(PathBuf),
    /// Two sets side by side.
    Compared(Arc<Compared>),
    /// What a command said of a set.
    Answered(String),
    /// Nothing more will come.
    Ended(Outcome),
}

/// A picture to synthesise.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Prototype.
    pub prototype: usize,
    /// Prompt.
    pub caption: String,
    /// Seed of its noise.
    pub seed: u64,
    /// How.
    pub settings: synthesize::Settings,
    /// Names all that makes it.
    pub key: Fingerprint,
}

/// What a job does.
#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    /// Read the data set and embed it.
    Embed,
    /// Describe the embeddings.
    Describe,
    /// Cluster and average.
    Prototypes(Box<Draft>),
    /// Synthesise pictures of one clustering.
    Synthesise {
        /// The clustering.
        basis: Fingerprint,
        /// Which pictures.
        wanted: Vec<Wanted>,
    },
    /// Look for what is nearest to words, or to the picture of this path.
    Find {
        /// What was typed.
        words: String,
        /// The clustering on screen, if it is one.
        basis: Option<Fingerprint>,
        /// Its pairs whose pictures are finished.
        pairs: Vec<Wanted>,
    },
    /// Let CLIP look at finished pictures.
    Look {
        /// The clustering.
        basis: Fingerprint,
        /// Their pairs.
        pairs: Vec<Wanted>,
    },
    /// Judge the set made of these pictures.
    Evaluate {
        /// The clustering.
        basis: Fingerprint,
        /// Names the set.
        set: Fingerprint,
        /// Its pairs.
        pairs: Vec<Wanted>,
        /// How many of their captions a person chose.
        edited: usize,
        /// The settings that they were made by.
        draft: Box<Draft>,
    },
    /// Lay two sets side by side.
    Compare(Box<[Side; 2]>),
    /// Judge as many pairs got in another way.
    Yardstick {
        /// The way.
        method: String,
        /// The draft to take number and seed from.
        draft: Box<Draft>,
    },
    /// Hand a written set on.
    HandOff {
        /// Its folder.
        set: PathBuf,
        /// To where.
        to: HandOff,
    },
    /// Write the set.
    Export {
        /// The clustering.
        basis: Fingerprint,
        /// Names the set.
        set: Fingerprint,
        /// Its pairs.
        pairs: Vec<Wanted>,
        /// The settings to write down.
        draft: Box<Draft>,
        /// Where to.
        dir: PathBuf,
    },
}

/// A set that is to be laid beside another one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Side {
    /// What it is called on screen.
    pub name: String,
    /// The session it is of; this one if none is named.
    pub session: Option<PathBuf>,
    /// The decisions of this session that lead to it.
    pub entries: Vec<Entry>,
    /// Real pairs got by this method; what the decisions come to if none is named.
    pub method: Option<String>,
    /// How it was judged, as far as it was.
    pub encoders: Vec<EncoderScore>,
}

/// A line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Entry {
    /// A decision.
    Do(Decision),
    /// The last decision was taken back.
    Undo,
    /// It was brought back.
    Redo,
    /// A set was judged.
    Score(Score),
    /// The data set that the lines around it are about.
    Data {
        /// Its name.
        name: String,
        /// Its [`Rows::fingerprint`].
        rows: Fingerprint,
    },
}

impl Entry {
    /// Whether the explorer could have written it.
    ///
    /// # Errors
    /// What is out of bounds, in words.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Self::Do(decision) => decision.check(),
            Self::Score(score) => score.check(),
            Self::Undo | Self::Redo | Self::Data { .. } => Ok(()),
        }
    }
}

/// What the session is to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Start a job.
    Start(JobId, Work),
    /// Stop a job.
    Cancel(JobId),
    /// Write to the journal.
    Append(Entry),
    /// Decode a real picture.
    Picture(u32),
    /// Look for pictures synthesised earlier.
    Recall {
        /// The clustering.
        basis: Fingerprint,
        /// Which pictures.
        wanted: Vec<Wanted>,
    },
    /// Do the first job before the second one, both being queued.
    Before(JobId, JobId),
    /// Let the mouse point here, or leave it to the terminal.
    Mouse(bool),
    /// Put words where others can paste them.
    Copy(String),
    /// Draw the screen into an SVG file.
    SavePlot(PathBuf),
    /// Write a SLURM script that carries out command lines in this session.
    Sbatch(PathBuf, Vec<String>),
    /// Leave, and carry out command lines in this session without a terminal.
    Detach(Vec<String>),
    /// Leave the session, and what is undone in it, to the process that asked for it.
    HandOver(Vec<String>),
    /// Ask the process that owns the session to end.
    TakeOver,
    /// Go to the shell for a while.
    Suspend,
    /// Paint everything anew.
    Redraw,
    /// Leave.
    Quit,
}
