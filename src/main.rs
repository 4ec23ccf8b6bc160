//! The `protostill` program: parse, carry out, say what went wrong in one sentence.

#[cfg(feature = "tui")]
mod explore;

use clap::Parser;
use protostill::{
    cli::{self, args::Cli},
    error::Result,
    fsio::printable,
};
use std::{io::Write, process::ExitCode};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            if cli.global.json {
                let _ = cli::print(format_args!("{:#}", cli::failure(&e)));
            }
            // The message may quote foreign text; a closed stderr is no reason to fail differently.
            let _ = writeln!(std::io::stderr(), "protostill: {}", printable(&e.to_string()));
            ExitCode::from(e.exit_code())
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    if cli.version {
        return cli::version(&cli.global);
    }
    #[cfg(feature = "tui")]
    if let Some(done) = explore::run(cli) {
        return done;
    }
    log_to_stderr();
    #[cfg(feature = "tui")]
    let terminal = explore::terminal;
    #[cfg(not(feature = "tui"))]
    let terminal = Vec::new;
    cli::run(cli, &terminal)
}

fn log_to_stderr() {
    tracing_subscriber::fmt()
        .with_env_filter(protostill::log::filter())
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
}
