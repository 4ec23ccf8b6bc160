//! The headless commands. The only place that prints.

pub mod args;
mod bench;
mod check;
mod compare;
mod distill;
mod evaluate;
mod fetch;
pub mod flags;
mod info;
mod metrics;
mod plan;
mod progress;
mod push;
mod report;
mod settings;
mod shell;
mod stats;
mod table;
mod tensorboard;
mod world;

use crate::{
    about,
    config::Config,
    data::{self, Dataset, world as demo},
    error::{Error, Result},
    fsio::printable,
    models::{
        demo as shipped,
        device::Backend,
        hub::{Hub, Name},
        weights::Checkpoint,
    },
    pipeline::{
        Ctx,
        methods::Way,
        space::content,
        store::Store,
        workbench::{Checkpoints, Workbench},
    },
    pixels,
};
use args::{Cli, Command, Global};
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
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
        Command::Settings => settings::run(&cli.global),
        Command::Info => info::run(&cli.global, &terminal()),
        Command::Completions(args) => shell::completions(args),
        Command::Man(args) => shell::man(args),
        Command::Check(args) => check::run(&cli.global, args),
        Command::Bench(args) => bench::run(&cli.global, args),
        Command::Stats(args) => stats::run(&cli.global, args),
        Command::Distill(args) => distill::run(&cli.global, args),
        Command::Evaluate(args) => evaluate::run(&cli.global, args),
        Command::Compare(args) => compare::run(&cli.global, args),
        Command::Report(args) => report::run(&cli.global, args),
        Command::Push(args) => push::run(&cli.global, args),
    }
}

/// `--version`.
///
/// # Errors
/// As [`print()`].
pub fn version(global: &Global) -> Result<()> {
    if global.json { print_json(&about::json()) } else { print(about::line()) }
}

fn no_explorer() -> Error {
    Error::setting("command", "none is named").or("see `protostill --help`")
}

/// What the explorer needs of the command line: settings, and what opens the data set when it is wanted.
pub fn parts(global: &Global) -> Result<(Config, impl Fn(&Config, &Ctx) -> Result<Workbench> + Send + Sync + 'static)> {
    // Refused before the screen is taken.
    prepare(global)?;
    // A session may be reopened from another folder.
    let config = anywhere(settings(global)?.checked()?)?;
    let global = global.clone();
    Ok((config, move |config: &Config, ctx: &Ctx| workbench(&global, config, Needs::ALL, ctx)))
}

/// The same data set, named so that it is found from every folder.
///
/// # Errors
/// [`Error::Io`] if it is not there.
pub fn anywhere(mut config: Config) -> Result<Config> {
    if config.data.source != "world" {
        let folder = Path::new(&config.data.source);
        let whole = match data::formats::webdataset::is_pattern(folder) && !folder.exists() {
            true => std::path::absolute(folder),
            false if !folder.exists() && Name::parse_data(&config.data.source).is_some() => Ok(folder.to_owned()),
            false => std::fs::canonicalize(folder),
        };
        config.data.source = whole.map_err(Error::io(folder))?.display().to_string();
    }
    Ok(config)
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
    for change in &global.set {
        config = config.with(change)?;
    }
    if let Some(seed) = global.seed {
        config.seed = seed;
    }
    if let Some(data) = &global.data {
        config.data.source = data.display().to_string();
    }
    if let Some(layout) = &global.layout {
        config.data.layout = Some(layout.clone());
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

/// The data set, the checkpoints and the store of `config` for one who only looks: nothing is fetched, no store created, and
/// nothing loaded yet but the captions.
fn onlooker(global: &Global, config: &Config, needs: Needs) -> Result<Workbench> {
    assemble(global, config, needs, Store::at(store_dir(global)?), None)
}

fn assemble(global: &Global, config: &Config, needs: Needs, store: Store, ctx: Option<&Ctx>) -> Result<Workbench> {
    let (hub, backend) = (hub(), Backend::open(&global.device, &global.precision)?);
    let checkpoints = Checkpoints {
        clip: checkpoint(&config.models.clip, shipped::clip, &hub, true)?,
        decoder: checkpoint(&config.models.decoder, shipped::decoder, &hub, needs.decoder)?,
        encoders: checkpoint(&config.models.encoders, shipped::encoders, &hub, needs.encoders)?,
        hub,
    };
    let mut data = dataset(config, ctx)?;
    content::name(&mut data, &store, ctx)?;
    // Who only looks has nothing done by others either.
    let engine = global.engine.as_ref().filter(|_| ctx.is_some());
    let engine = engine.map(|open| (open.0)(config, store.dir())).transpose()?;
    let mut bench = Workbench::new(data, checkpoints, store, backend);
    if let Some(bytes) = memory(global.memory)? {
        bench = bench.within(bytes);
    }
    Ok(match engine {
        Some(engine) => bench.on(engine),
        None => bench,
    })
}

/// What a worker of an engine carries tasks out with: the decoder is asked for where they draw.
///
/// # Errors
/// As for a command with these settings.
pub fn worker(global: &Global, config: &Config, draws: bool, ctx: &Ctx) -> Result<Workbench> {
    workbench(global, config, Needs { decoder: draws, encoders: false }, ctx)
}

/// Prepares the process for [`worker`]s: threads, memory.
///
/// # Errors
/// [`Error::Setting`] naming the flag.
pub fn prepare(global: &Global) -> Result<()> {
    threads(global.threads)?;
    memory(global.memory)?;
    Backend::open(&global.device, &global.precision).map(drop)
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
    assemble(global, config, needs, store(global)?, Some(ctx))
}

/// The demo world of the settings.
fn world_spec(config: &Config) -> demo::WorldSpec {
    let spec = demo::WorldSpec::new(config.data.scenes, config.data.noise, demo::DEFAULT_SEED);
    demo::WorldSpec { among: config.data.noise_among, noise_seed: config.data.noise_seed, ..spec }
}

/// The data set of the settings, fetched from the hub if it is named as there and `ctx` says that it may be.
fn dataset(config: &Config, ctx: Option<&Ctx>) -> Result<Dataset> {
    match config.data.source.as_str() {
        "world" => demo::dataset(&world_spec(config)),
        source => {
            let fetched = fetch::data(source, &hub(), ctx)?;
            let set = data::open_by(fetched.as_deref().unwrap_or(Path::new(source)), &config.data.rules())?;
            // A snapshot's folder is called by its commit.
            let name = if fetched.is_some() { source.to_owned() } else { set.name.clone() };
            Ok(Dataset { name, ..set })
        }
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

/// How `program` ends: says what went wrong, if anything did, in one sentence; with `json`, what stands in the place of a
/// result has the way out apart.
pub fn ended(program: &str, json: bool, done: Result<()>) -> ExitCode {
    let Err(e) = done else { return ExitCode::SUCCESS };
    if json {
        let (cause, hint) = e.parts();
        let _ = print_json(&serde_json::json!({ "error": cause.to_string(), "hint": hint }));
    }
    // The message may quote foreign text; a closed stderr is no reason to fail differently.
    let _ = writeln!(io::stderr(), "{program}: {}", printable(&e.to_string()));
    ExitCode::from(e.exit_code())
}

/// A result for machines, on stdout.
fn print_json(value: &serde_json::Value) -> Result<()> {
    print(format_args!("{value:#}"))
}
