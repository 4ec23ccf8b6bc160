//! Everything that can be asked of the explorer, by key, palette or test.

/// The panes, in the order of their tabs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "their titles")]
pub enum Pane {
    #[default]
    Data,
    Prototypes,
    Captions,
    Gallery,
    Runs,
    Log,
}

impl Pane {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Data, Self::Prototypes, Self::Captions, Self::Gallery, Self::Runs, Self::Log];

    /// As on the tab.
    pub fn title(self) -> &'static str {
        match self {
            Self::Data => "Data",
            Self::Prototypes => "Prototypes",
            Self::Captions => "Captions",
            Self::Gallery => "Gallery",
            Self::Runs => "Runs",
            Self::Log => "Log",
        }
    }

    /// The pane `by` tabs further, around the end.
    pub fn step(self, by: i32) -> Self {
        let n = Self::ALL.len() as i32;
        Self::ALL[(self as i32 + by).rem_euclid(n) as usize]
    }
}

/// Which pictures to synthesise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The marked prototypes', or the selected one's.
    Selected,
    /// Those that are missing or no longer fit their caption or settings.
    Stale,
}

/// What a key or a palette entry does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the table of commands says what each does")]
pub enum Action {
    Show(Pane),
    Turn(i32),
    Help,
    Palette,
    Line,
    Back,
    Quit,
    Redraw,
    Move(i32),
    Page(i32),
    First,
    Last,
    Enter,
    Undo,
    Redo,
    Threshold(i32),
    Prototypes(i32),
    AskPrototypes,
    /// Prototypes by the next method.
    Method,
    /// The next kind of targets.
    Targets,
    Drop,
    Keep,
    /// Marks the line under the cursor for the next bulk edit, or unmarks it.
    Mark,
    /// Begins a range of marks, or ends it.
    Range,
    Pin,
    /// To the next line, around the end.
    Next(i32),
    Filter,
    /// Asks what to look for by meaning.
    Find,
    /// What the words on the panes mean.
    Glossary,
    /// Leave, and go on without a terminal.
    Detach,
    Sort,
    Across(i32),
    EditCaption,
    AutoCaption,
    Distinct,
    Synthesise(Which),
    Reroll,
    Steps(i32),
    Guidance(i32),
    Noise(i32),
    /// Settings of synthesis change the selected picture alone.
    Alone,
    Rank(i32),
    AskPrefix,
    Copy,
    /// The seed of the selected picture, whole.
    CopySeed,
    /// An earlier version of the selected picture, or the newest again.
    Flip,
    /// All pictures at an earlier or later denoising step.
    Scrub(i32),
    Suspend,
    Runs(i32),
    Epochs(i32),
    Encoders,
    /// To another job of the list.
    PickJob(i32),
    StopJob,
    /// The selected job goes before or after its neighbour in the queue.
    Queue(i32),
    ByPairs,
    /// The selected score, as what the others differ from.
    PinRun,
    /// A logarithmic scale, or a plain one.
    LogScale,
    /// Two sets side by side.
    Compare,
    /// Reads the plot some places back or on.
    Read(i32),
    Evaluate,
    Yardstick(&'static str),
    CancelJob,
    Export,
    Zoom,
    Mouse,
    Scatter,
    /// The threshold at so many percent.
    ThresholdAt(u8),
    PrototypesAt(usize),
    /// A training pair, wherever it stands in the list.
    PickRow(u32),
    PickPrototype(usize),
    PickCandidate(usize),
    /// A row behind the opened prototype.
    PickMember(usize),
    PickRun(usize),
    /// A line of two sets side by side.
    PickTwins(usize),
}
