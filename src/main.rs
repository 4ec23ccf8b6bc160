//! The `protostill` program: parse, carry out, say what went wrong in one sentence.

#[cfg(feature = "tui")]
mod explore;

use clap::Parser;
use protostill::{
    cli::{self, args::Cli},
    error::Result,
    log,
};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    cli::ended("protostill", cli.global.json, run(&cli))
}

fn run(cli: &Cli) -> Result<()> {
    if cli.version {
        return cli::version(&cli.global);
    }
    #[cfg(feature = "tui")]
    if let Some(done) = explore::run(cli) {
        return done;
    }
    log::to_stderr();
    #[cfg(feature = "tui")]
    let terminal = explore::terminal;
    #[cfg(not(feature = "tui"))]
    let terminal = Vec::new;
    cli::run(cli, &terminal)
}
