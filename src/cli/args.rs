//! The command line: one definition, from which `--help` is printed.

#[cfg(feature = "tui")]
mod explore;

#[cfg(feature = "tui")]
pub use explore::*;

use super::flags::{Judging, Making, Pairs, change, layouts};
use crate::{
    config::Config,
    data::world::Swapped,
    error::Result,
    pipeline::{engine::Engine, setting::Change},
};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::{
    fmt::{self, Debug},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Distil an image-text dataset into a few synthetic pairs that still teach a retrieval model.
///
/// Without --config, everything runs on the demo: a captioned world that protostill draws itself, with checkpoints
/// that ship in the binary.
#[derive(Debug, Parser)]
#[command(name = "protostill", disable_version_flag = true, max_term_width = 100)]
pub struct Cli {
    /// Print version, commit, target and features
    #[arg(short = 'V', long)]
    pub version: bool,
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do; the explorer if nothing is named.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// Settings in TOML; the built-in default is configs/demo.toml
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Any setting by its full name, over the file's; `settings` lists them
    #[arg(long, global = true, value_name = "NAME=VALUE", value_parser = change)]
    pub set: Vec<Change>,
    /// Seed of everything random
    #[arg(long, global = true, value_name = "N")]
    pub seed: Option<u64>,
    /// What CLIP and the decoder compute on: cpu, cuda or cuda:N
    #[arg(long, global = true, value_name = "DEVICE", default_value = "cpu")]
    pub device: String,
    /// What they multiply in: float32, bfloat16 (CLIP, on a GPU or a CPU that has it) or float16 (both, on a GPU)
    #[arg(long, global = true, value_name = "TYPE", default_value = "float32")]
    pub precision: String,
    /// Threads to compute with [default: all cores]
    #[arg(long, global = true, value_name = "N")]
    pub threads: Option<usize>,
    /// Memory to use, in GB: larger arrays of features are mapped from disk, and pictures are decoded in a quarter of it [default: what is available]
    #[arg(long, global = true, value_name = "GB")]
    pub memory: Option<f64>,
    /// How to show progress, on stderr
    #[arg(long, global = true, value_enum, default_value_t = Progress::Auto)]
    pub progress: Progress,
    /// Print the result as JSON on stdout
    #[arg(long, global = true)]
    pub json: bool,
    /// Folder for finished stages [default: $XDG_CACHE_HOME/protostill]
    #[arg(long, global = true, value_name = "DIR")]
    pub store: Option<PathBuf>,
    /// The data set: `world` for the demo, or a folder in any layout that --as names, one of its files, a pattern of
    /// shards such as 'train-{000..012}.tar', or a data set of the Hugging Face hub as org/name
    #[arg(long, global = true, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// How the data set lies on disk, where that is not to be found out
    #[arg(long = "as", global = true, value_name = "LAYOUT", value_parser = layouts())]
    pub layout: Option<String>,
    /// Opens what stages are spread over; none for this process alone.
    #[arg(skip)]
    pub engine: Option<OpenEngine>,
}

/// Opens an engine whose workers find this data set, these checkpoints and this store.
type EngineOf = dyn Fn(&Config, &Path) -> Result<Arc<dyn Engine>> + Send + Sync;

/// Opens an engine for settings and the folder of a store.
#[derive(Clone)]
pub struct OpenEngine(pub Arc<EngineOf>);

impl Debug for OpenEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpenEngine")
    }
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Progress {
    /// A bar with ETA on a terminal, plain lines elsewhere
    Auto,
    /// A line per stage
    Plain,
    /// JSON lines
    Json,
    /// Nothing
    None,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Open the explorer: tune a distilled set by eye and by recall (also without a command)
    #[cfg(feature = "tui")]
    Explore(Explore),
    /// Rebuild the set that an explorer session came to, without a terminal
    #[cfg(feature = "tui")]
    Replay(Replay),
    /// Distil a data set into M pairs
    #[command(after_help = methods())]
    Distill(Distill),
    /// Train on distilled pairs and score retrieval on the test split
    Evaluate(Evaluate),
    /// Show distilled sets on one page that needs no network: pairs beside their nearest real ones, recall, provenance
    Report(Report),
    /// Upload a distilled set to the Hugging Face hub as a data set, private unless told otherwise, after asking
    Push(Push),
    /// Run several ways to get pairs under one protocol and print one table
    #[command(after_help = methods())]
    Compare(Compare),
    /// Measure methods against each other over numbers of pairs, shares of mismatched captions and seeds
    #[command(after_help = methods())]
    Bench(Bench),
    /// Statistics of the embeddings: pair cosines, modality gap, effective rank, near-duplicates, worst pairs
    Stats(Stats),
    /// Look for what would stop or spoil a run: missing and unreadable images, empty captions, duplicates, leaks, what is
    /// left out; and count pictures that are turned and captions that CLIP reads otherwise
    Check(Check),
    /// Draw the demo world as a data set on disk
    World(World),
    /// Fetch checkpoints from the Hugging Face hub into its cache
    Fetch(Fetch),
    /// Every setting: its value, what it may be, what it is; with --json a JSON schema of settings in TOML
    Settings,
    /// Versions, device, paths, and what the store holds
    Info,
    /// Print what a shell completes commands and options by
    Completions(Completions),
    /// Write man pages
    Man(Man),
}

/// Options of `completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}

/// Options of `man`.
#[derive(Debug, Args)]
pub struct Man {
    /// The folder that they go to
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
}

/// What the help says of methods.
fn methods() -> String {
    format!("Methods:\n{}", crate::pipeline::methods::help())
}

/// Options of `fetch`.
#[derive(Debug, Args)]
pub struct Fetch {
    /// Models as org/model or org/model@revision, data sets as datasets/org/name [default: the models that the settings name]
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Only tell how much there is to fetch
    #[arg(long)]
    pub dry_run: bool,
}

/// Options of `distill`.
#[derive(Debug, Args)]
pub struct Distill {
    /// Settings with a flag.
    #[command(flatten)]
    pub making: Making,
    /// What is otherwise about the method.
    #[command(flatten)]
    pub otherwise: Otherwise,
    /// Where the distilled set goes
    #[arg(long, value_name = "DIR", default_value = "distilled")]
    pub out: PathBuf,
    /// Replace the set in DIR even if its captions or pictures were changed by hand
    #[arg(long)]
    pub force: bool,
    /// Further forms to write it in, separated by commas, beside the ImageFolder that `evaluate` reads: webdataset, parquet, open_clip,
    /// and, of pictures with a `uid`, datacomp
    #[arg(long, value_name = "FORM", value_delimiter = ',', default_value = "imagefolder")]
    pub format: Vec<String>,
    /// Print the work, seconds, peak memory and disk that it would take, by trying a few items of each stage; do nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// What of a method may be changed.
#[derive(Clone, Debug, Default, Args)]
pub struct Otherwise {
    /// Where pictures come from: drawn or real [default: the method's own]
    #[arg(long, value_name = "FROM")]
    pub pictures: Option<String>,
    /// What students match pictures with: mean (of the captions behind a prototype), caption or solved (from all trusted
    /// pairs) [default: the method's own]
    #[arg(long, value_name = "WHAT")]
    pub targets: Option<String>,
    /// Which pairs the student's loss takes to be alike: none, or soft (changes the protocol)
    #[arg(long, value_name = "WHICH", default_value = "none")]
    pub correspondence: String,
    /// Which pairs are left out: trust (those more likely mismatched than not) or clip-score (a share, `prune.ratio`)
    #[arg(long, value_name = "RULE")]
    pub prune: Option<String>,
}

/// Options of `stats`.
#[derive(Debug, Args)]
pub struct Stats {
    /// Print the work, seconds, peak memory and disk that it would take, by trying a few items of each stage; do nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Options of `check`.
#[derive(Debug, Args)]
pub struct Check {
    /// The data set, as for --data
    #[arg(value_name = "DATA")]
    pub path: PathBuf,
}

/// Options of `evaluate`.
#[derive(Debug, Args)]
pub struct Evaluate {
    /// A folder that `distill` wrote, or any captioned images in a layout that --as names
    pub dir: PathBuf,
    /// Write losses, recalls, their means and deviations as JSON lines of series, step and value
    #[arg(long, value_name = "FILE")]
    pub metrics: Option<PathBuf>,
    /// Write the same as event files for TensorBoard, a folder for each evaluation, and in it one per encoder and run
    #[arg(long, value_name = "DIR")]
    pub tensorboard: Option<PathBuf>,
    /// Print the work, seconds, peak memory and disk that it would take, by trying a few items of each stage; do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// The protocol: settings with a flag.
    #[command(flatten)]
    pub protocol: Judging,
}

/// Options of `report`.
#[derive(Debug, Args)]
pub struct Report {
    /// Folders that `distill` wrote
    #[arg(value_name = "DIR", required = true)]
    pub dirs: Vec<PathBuf>,
    /// Where the page goes
    #[arg(long, value_name = "FILE", default_value = "report.html")]
    pub out: PathBuf,
    /// Compute the embeddings of the data set where the store lacks them, to show the nearest real pairs
    #[arg(long)]
    pub embed: bool,
}

/// Options of `push`.
#[derive(Debug, Args)]
pub struct Push {
    /// The data set's name there, as org/name
    pub name: String,
    /// A folder that `distill` wrote
    pub dir: PathBuf,
    /// Where everybody sees it, if it is not there yet
    #[arg(long)]
    pub public: bool,
    /// Upload without asking
    #[arg(long, short)]
    pub yes: bool,
    /// Say what would be uploaded and where; upload nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Options of `compare`.
#[derive(Debug, Args)]
pub struct Compare {
    /// Number of pairs.
    #[command(flatten)]
    pub pairs: Pairs,
    /// Ways to get pairs, separated by commas, each as for `distill --method`
    #[arg(long, value_name = "A,B", value_delimiter = ',', default_value = "need,pds,random,kcenter")]
    pub methods: Vec<String>,
    /// What is otherwise about all of them.
    #[command(flatten)]
    pub otherwise: Otherwise,
    /// Print the work, seconds, peak memory and disk that it would take, by trying a few items of each stage; do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// The protocol: settings with a flag.
    #[command(flatten)]
    pub protocol: Judging,
}

/// Options of `bench`.
#[derive(Debug, Args)]
pub struct Bench {
    /// Ways to get pairs, separated by commas, each as for `distill --method`
    #[arg(
        long,
        value_name = "A,B",
        value_delimiter = ',',
        default_value = "need,need+real,need+caption,pds,random,kcenter"
    )]
    pub methods: Vec<String>,
    /// Numbers of pairs
    #[arg(long, value_name = "M,N", value_delimiter = ',', default_value = "25,50,100")]
    pub pairs: Vec<usize>,
    /// Shares of the demo's captions that are swapped, among any scenes or, as `near:0.6`, among those that look alike
    #[arg(long, value_name = "R,S", value_delimiter = ',', default_value = "0,0.4")]
    pub noise: Vec<Swapped>,
    /// Seeds, of what is swapped too
    #[arg(long, value_name = "N,O", value_delimiter = ',', default_value = "1,2,3,4")]
    pub seeds: Vec<u64>,
    /// Also what all pairs teach together, mismatched ones too
    #[arg(long)]
    pub ceiling: bool,
    /// Also write the table, with curves, to this file
    #[arg(long, value_name = "FILE.html")]
    pub out: Option<PathBuf>,
    /// The protocol: settings with a flag.
    #[command(flatten)]
    pub protocol: Judging,
}

/// Options of `world`.
#[derive(Debug, Args)]
pub struct World {
    /// Where it goes
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Training scenes, five captions each
    #[arg(long, value_name = "N", default_value_t = 2000)]
    pub pairs: usize,
    /// Fraction of training captions swapped between scenes
    #[arg(long, value_name = "R", default_value_t = 0.0)]
    pub noise: f32,
}
