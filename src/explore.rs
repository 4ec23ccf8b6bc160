//! `protostill`, `protostill explore` and `protostill replay`: from the command line to the explorer.

use protostill::{
    cli::{
        self,
        args::{Cli, Color, Command, Explore, Global, Ground, Images, Replay},
    },
    config::Config,
    error::Result,
    fsio::printable,
    journal,
    session::{self, Open},
    ui::{
        self,
        canvas::Cells,
        image::{Protocol, Wish},
        theme::Depth,
    },
};
use std::io::Write;

/// Carries out the explorer's commands; none for all others.
pub fn run(cli: &Cli) -> Option<Result<()>> {
    match &cli.command {
        None => Some(open(&cli.global, &Explore::default())),
        Some(Command::Explore(args)) => Some(open(&cli.global, args)),
        Some(Command::Replay(args)) => Some(replay(&cli.global, args)),
        _ => None,
    }
}

fn open(global: &Global, args: &Explore) -> Result<()> {
    let (config, workbench) = cli::parts(global)?;
    let opener = move |config: Config| -> Open { Box::new(move |ctx| workbench(&config, ctx)) };
    let path = ui::run(config, opener, &options(args))?;
    let path = printable(&path.display().to_string());
    // Standard output may be gone with the terminal.
    let _ = writeln!(std::io::stdout(), "the session is kept: protostill explore --session {path}");
    Ok(())
}

fn options(args: &Explore) -> ui::Options {
    ui::Options {
        session: args.session.clone(),
        depth: args.color.map(|c| match c {
            Color::True => Depth::True,
            Color::Indexed => Depth::Ansi256,
            Color::Named => Depth::Ansi16,
            Color::None => Depth::None,
        }),
        light: args.theme.map(|t| t == Ground::Light),
        cells: match args.image_protocol {
            Images::Ascii => Cells::Ascii,
            Images::Off => Cells::Off,
            _ => Cells::Half,
        },
        pixels: match args.image_protocol {
            Images::Auto => Wish::Auto,
            Images::Kitty => Wish::Only(Protocol::Kitty),
            Images::Iterm2 => Wish::Only(Protocol::Iterm2),
            Images::Sixel => Wish::Only(Protocol::Sixel),
            Images::Half | Images::Ascii | Images::Off => Wish::Cells,
        },
        ascii: args.ascii,
    }
}

fn replay(global: &Global, args: &Replay) -> Result<()> {
    let (_, workbench) = cli::parts(global)?;
    let held = journal::read(&args.session)?;
    held.broken.iter().for_each(|line| drop(writeln!(std::io::stderr(), "protostill: {line}")));
    let config = held.header.config.clone();
    let open: Open = Box::new(move |ctx| workbench(&config, ctx));
    let pairs = session::replay(held, open, &args.out, &cli::watched(global))?;
    let out = printable(&args.out.display().to_string());
    let _ = writeln!(std::io::stdout(), "{pairs} pairs rebuilt in {out}");
    Ok(())
}

/// What the explorer would make of this terminal, for `info`.
pub fn terminal() -> Vec<(&'static str, String)> {
    let var = |name: &str| std::env::var(name).ok();
    let path = |p: Option<std::path::PathBuf>| p.map_or("no home directory".into(), |p| p.display().to_string());
    let pictures = ui::terminal::raw(|| ui::image::agree(Wish::Auto, var).why);
    vec![
        ("pictures", pictures.unwrap_or_else(|| "half-blocks: this is no terminal".into())),
        ("colours", ui::terminal::depth(var).name().into()),
        ("sessions, logs", path(journal::state_folder().ok())),
        ("keys", path(ui::keys_path())),
    ]
}
