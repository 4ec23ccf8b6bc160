//! `protostill-cluster`: the headless commands of `protostill`, with what can be done elsewhere done by executors.

mod cluster;
mod message;
mod secret;
mod serve;
mod worker;

use clap::{Args, Parser, Subcommand};
use cluster::{Cluster, On};
use protostill::{
    cli::{
        self,
        args::{Cli, Command, Global, OpenEngine},
    },
    error::{Error, Result},
    log,
    pipeline::engine::Engine,
};
use secret::Secret;
use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};
use worker::Worker;

/// Distil on more than one machine: every headless command of protostill, and what works for them.
///
/// All machines find the data set, the checkpoints and the folder of --store under the same names.
#[derive(Parser)]
#[command(name = "protostill-cluster", version, max_term_width = 100)]
struct Program {
    /// Whose executors work; this process alone if nothing is named
    #[arg(long, global = true, value_name = "df://HOST:PORT")]
    on: Option<String>,
    /// A file that all machines of the cluster have, and nobody else: needed for more than this machine
    #[arg(long, global = true, value_name = "FILE")]
    secret: Option<PathBuf>,
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: What,
}

#[derive(Subcommand)]
enum What {
    /// Give tasks to executors
    Scheduler {
        /// Where it is reached
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:50050")]
        bind: SocketAddr,
    },
    /// Carry tasks out
    Executor(Executor),
    #[command(flatten)]
    Product(Command),
}

#[derive(Args)]
struct Executor {
    /// Whose tasks
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:50050")]
    scheduler: SocketAddr,
    /// Where scheduler and commands reach it
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    bind: IpAddr,
    /// Tasks at once. Each uses all --threads: more than one only where one leaves cores idle
    #[arg(long, value_name = "N", default_value_t = 1)]
    slots: usize,
    /// Seconds after which a task is given up and told to have failed
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    deadline: u64,
}

fn main() -> ExitCode {
    let program = Program::parse();
    log::to_stderr();
    cli::ended("protostill-cluster", program.global.json, run(program))
}

fn run(program: Program) -> Result<()> {
    let Program { on, secret, mut global, command } = program;
    let secret = Secret::read(secret.as_deref())?;
    let executor = |deadline| Arc::new(Worker::new(global.clone(), Duration::from_secs(deadline)));
    match command {
        What::Scheduler { bind } => serving(serve::scheduler(bind, secret)),
        What::Executor(args) => {
            cli::prepare(&global)?;
            let worker = executor(args.deadline);
            serving(serve::executor(worker, args.scheduler, args.bind, args.slots.max(1), secret))
        }
        What::Product(command) => {
            let on = on.map_or_else(|| On::Here(executor(u64::MAX)), |on| On::There(on, secret));
            global.engine = Some(OpenEngine(Arc::new(move |config, store| {
                Ok(Arc::new(Cluster::new(on.clone(), config, store)?) as Arc<dyn Engine>)
            })));
            cli::run(&Cli { version: false, global, command: Some(command) }, &Vec::new)
        }
    }
}

/// Threads for what others ask beside those that tasks take.
fn serving(what: impl Future<Output = Result<()>>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(8).enable_all().build();
    runtime.map_err(Error::io("threads"))?.block_on(what)
}
