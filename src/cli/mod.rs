//! The headless commands. The only place that prints.

pub mod args;
mod bench;
mod check;
mod compare;
mod distill;
mod evaluate;
mod fetch;
mod info;
mod metrics;
mod plan;
mod progress;
mod stats;
mod table;
mod tensorboard;
mod world;

use crate::{
    config::Config,
    data::{self, Dataset, world as demo},
    error::{Error, Result},
    models::{demo as shipped, device::Backend, hub::Hub, weights::Checkpoint},
    pipeline::{
        Ctx,
        methods::Way,
        store::Store,
        workbench::{Checkpoints, Workbench},
    },
    pixels,
};
use args::{Cli, Command, Global};
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Carries out a command.
///
/// # Errors
/// Whatever went wrong, in one sentence that names the place.
pub fn run(cli: &Cli, terminal: &dyn Fn() -> Vec<(&'static str, String)>) -> Result<()> {
    threads(cli.global.threads)?;
    memory(cli.global.memory)?;
    let Some(command) = &cli.command else { return Err(no_explorer()) };
    match command {
        #[cfg(feature = "tui")]
        Command::Explore(_) | Command::Replay(_) => Err(no_explorer()),
        Command::World(args) => world::run(&cli.global, args),
        Command::Fetch(args) => fetch::run(&cli.global, args),
        Command::Info => info::run(&cli.global, &terminal()),
        Command::Check(args) => check::run(&cli.global, args),
        Command::Bench(args) => bench::run(&cli.global, args),
        Command::Stats(args) => stats::run(&cli.global, args),
        Command::Distill(args) => distill::run(&cli.global, args),
        Command::Evaluate(args) => evaluate::run(&cli.global, args),
        Command::Compare(args) => compare::run(&cli.global, args),
    }
}

fn no_explorer() -> Error {
    Error::setting("command", "name one; see `protostill --help`")
}

/// What the explorer needs of the command line: settings, and what opens the data set when it is wanted.
pub fn parts(global: &Global) -> Result<(Config, impl Fn(&Config, &Ctx) -> Result<Workbench> + Send + Sync + 'static)> {
    threads(global.threads)?;
    memory(global.memory)?;
    // Refused before the screen is taken.
    Backend::open(&global.device, &global.precision)?;
    let mut config = settings(global)?.checked()?;
    if config.data.source != "world" {
        // A session may be reopened from another folder.
        let folder = Path::new(&config.data.source);
        let whole = match data::formats::webdataset::is_pattern(folder) && !folder.exists() {
            true => std::path::absolute(folder),
            false => std::fs::canonicalize(folder),
        };
        config.data.source = whole.map_err(Error::io(folder))?.display().to_string();
    }
    let global = global.clone();
    Ok((config, move |config: &Config, ctx: &Ctx| workbench(&global, config, Needs::ALL, ctx)))
}

/// A context that shows progress as the command line asks.
pub fn watched(global: &Global) -> Ctx {
    progress::ctx(global.progress)
}

/// The settings of a command that nobody watches: previews are seen by none, and each costs a decoding.
fn config(global: &Global) -> Result<Config> {
    let mut config = settings(global)?;
    config.synthesis.preview_every = 0;
    Ok(config)
}

/// The settings: the file, then the flags of every command over it.
fn settings(global: &Global) -> Result<Config> {
    let mut config = Config::load(global.config.as_deref())?;
    if let Some(seed) = global.seed {
        config.seed = seed;
    }
    if let Some(data) = &global.data {
        config.data.source = data.display().to_string();
    }
    Ok(config)
}

/// What a command computes with besides CLIP, so that nothing else is fetched or missed.
#[derive(Clone, Copy)]
struct Needs {
    decoder: bool,
    encoders: bool,
}

impl Needs {
    const ALL: Self = Self { decoder: true, encoders: true };

    /// To make sets by these methods.
    fn of(mut ways: impl Iterator<Item = Way>, encoders: bool) -> Self {
        Self { decoder: ways.any(Way::draws), encoders }
    }
}

fn hub() -> Hub {
    Hub::from_env(|name| std::env::var_os(name))
}

/// The data set, the checkpoints and the store of `config`; nothing is loaded yet but the captions.
fn bench(global: &Global, config: &Config, needs: Needs) -> Result<Workbench> {
    assemble(global, config, needs, store(global)?)
}

/// The same for one who only looks: nothing is fetched, and no store created.
fn onlooker(global: &Global, config: &Config, needs: Needs) -> Result<Workbench> {
    assemble(global, config, needs, Store::at(store_dir(global)?))
}

fn assemble(global: &Global, config: &Config, needs: Needs, store: Store) -> Result<Workbench> {
    let (hub, backend) = (hub(), Backend::open(&global.device, &global.precision)?);
    let checkpoints = Checkpoints {
        clip: checkpoint(&config.models.clip, shipped::clip, &hub, true)?,
        decoder: checkpoint(&config.models.decoder, shipped::decoder, &hub, needs.decoder)?,
        encoders: checkpoint(&config.models.encoders, shipped::encoders, &hub, needs.encoders)?,
        hub,
    };
    let bench = Workbench::new(dataset(config)?, checkpoints, store, backend);
    Ok(match memory(global.memory)? {
        None => bench,
        Some(bytes) => bench.within(bytes),
    })
}

/// Bytes of memory to use, if that was said, for pictures too.
fn memory(gigabytes: Option<f64>) -> Result<Option<u64>> {
    match gigabytes {
        None => Ok(None),
        Some(gigabytes) if gigabytes > 0.0 => {
            let bytes = (gigabytes * 1e9) as u64;
            pixels::room::within(bytes);
            Ok(Some(bytes))
        }
        Some(_) => Err(Error::setting("--memory", "must be above 0")),
    }
}

/// The same, with what it takes fetched from the hub before.
fn workbench(global: &Global, config: &Config, needs: Needs, ctx: &Ctx) -> Result<Workbench> {
    fetch::missing(config, needs, &hub(), ctx)?;
    bench(global, config, needs)
}

/// The demo world of the settings.
fn world_spec(config: &Config) -> demo::WorldSpec {
    demo::WorldSpec { scenes: config.data.scenes, noise: config.data.noise, seed: demo::DEFAULT_SEED }
}

fn dataset(config: &Config) -> Result<Dataset> {
    match config.data.source.as_str() {
        "world" => demo::dataset(&world_spec(config)),
        folder => data::open_by(Path::new(folder), config.data.rules()),
    }
}

fn store(global: &Global) -> Result<Store> {
    Store::open(store_dir(global)?)
}

fn store_dir(global: &Global) -> Result<PathBuf> {
    global.store.clone().map_or_else(Store::default_dir, Ok)
}

/// `demo` is what ships in the binary; anything else is a folder or a name on the hub.
/// One that is not needed need not be there.
fn checkpoint(name: &str, shipped: fn() -> Checkpoint, hub: &Hub, needed: bool) -> Result<Checkpoint> {
    if name == "demo" {
        return Ok(shipped());
    }
    match Checkpoint::open(name, hub) {
        Err(_) if !needed => Ok(Checkpoint::Folder(name.into())),
        other => other,
    }
}

/// Most threads that are started: each takes memory, and no machine has more to compute with.
const MAX_THREADS: usize = 1024;

/// The size of the one pool of threads that everything computes on.
fn threads(wanted: Option<usize>) -> Result<()> {
    if let Some(n) = wanted.filter(|n| !(1..=MAX_THREADS).contains(n)) {
        return Err(Error::setting("--threads", format!("{n} is not between 1 and {MAX_THREADS}")));
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(wanted.unwrap_or(0));
    pool.build_global().map_err(|e| Error::setting("--threads", e.to_string()))
}

/// A line of a command's result, on stdout. A reader that has had enough ends nothing, since what is computed may yet be
/// kept.
///
/// # Errors
/// [`Error::Io`] naming stdout, such as for a full disk.
pub fn print(line: impl std::fmt::Display) -> Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{line}").and_then(|()| out.flush()) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done.map_err(Error::io("stdout")),
    }
}

/// A result for machines, on stdout.
fn print_json(value: &serde_json::Value) -> Result<()> {
    print(format_args!("{value:#}"))
}
