//! The `protostill` program: parse, carry out, say what went wrong in one sentence.

use clap::Parser;
use protostill::{cli, fsio::printable};
use std::{io::Write, process::ExitCode};

fn main() -> ExitCode {
    let cli = cli::args::Cli::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_env("PROTOSTILL_LOG").unwrap_or_else(|_| "warn".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
    match cli::run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            // The message may quote foreign text; a closed stderr is no reason to fail differently.
            let _ = writeln!(std::io::stderr(), "protostill: {}", printable(&e.to_string()));
            ExitCode::from(e.exit_code())
        }
    }
}
