//! `protostill completions` and `protostill man`: what shells and `man` read.

use super::{
    args::{Cli, Completions, Man},
    print,
};
use crate::{
    error::{Error, Result},
    fsio::{printable, write_atomic},
};
use clap::CommandFactory;

/// The script that a shell completes commands and options by, on stdout.
pub fn completions(args: &Completions) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "protostill", &mut script);
    print(String::from_utf8_lossy(&script).trim_end())
}

/// A page for the program and one for each command, in a folder of man pages.
pub fn man(args: &Man) -> Result<()> {
    let mut whole = Cli::command();
    whole.build();
    let mut pages = vec![whole.clone()];
    pages.extend(whole.get_subcommands().filter(|c| c.get_name() != "help").cloned());
    for page in &pages {
        let name = page.get_display_name().unwrap_or_else(|| page.get_name());
        let path = args.dir.join(format!("{name}.1"));
        let mut text = Vec::new();
        clap_mangen::Man::new(page.clone()).render(&mut text).map_err(Error::io(&path))?;
        write_atomic(&path, &text)?;
    }
    let dir = printable(&args.dir.display().to_string());
    print(format_args!("{} pages in {dir}; read one with: man {dir}/protostill.1", pages.len()))
}
