//! `protostill`, `protostill explore` and `protostill replay`: from the command line to the explorer.

use protostill::{
    cli::{
        self,
        args::{Cli, Color, Command, Explore, Global, Ground, Images, Palette, Replay},
    },
    config::Config,
    error::{Error, Result},
    fsio::{printable, try_place},
    journal,
    pipeline::set::folder::replaceable,
    session::{self, Hold, Open},
    ui::{
        self,
        canvas::Cells,
        image::{Protocol, Wish},
        theme::{self, Depth},
    },
};
use serde_json::Value;
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
    let given = config.clone();
    let opener = move |config: &Config| {
        agree(global, &given, config)?;
        Ok(Open { flags: flags(global), ..Open::new(workbench) })
    };
    if !args.run.is_empty() {
        return headless(config, opener, args);
    }
    let options = ui::Options { tour: args.session.is_none() && config.data.source == "world", ..options(args) };
    let left = ui::run(config, opener, &options)?;
    let path = printable(&left.session.display().to_string());
    let told = match &left.way {
        ui::Way::Quit => format!("the session is kept: protostill explore --session {path}"),
        ui::Way::Taken => format!("another process goes on with the session: protostill explore --session {path}"),
        ui::Way::GoOn(lines) => {
            let log = go_on(&left, lines)?;
            let log = printable(&log.display().to_string());
            format!(
                "it goes on without a terminal, and says how in {log}\nlook on, or take it over: protostill explore --session {path}"
            )
        }
    };
    // Standard output may be gone with the terminal.
    let _ = writeln!(std::io::stdout(), "{told}");
    Ok(())
}

/// Carries out command lines without a terminal.
fn headless(config: Config, open: impl FnOnce(&Config) -> Result<Open>, args: &Explore) -> Result<()> {
    let ui::Begun { config, entries, broken, hold } = ui::begin(config, args.session.as_deref())?;
    let journal = match hold {
        Hold::Own(journal) => journal,
        Hold::Look(path, _) => {
            let way = "look on and take it over without --run, or wait until it is through";
            return Err(Error::input(path, "another process works in this session").or(way));
        }
    };
    let say = |line: &str| drop(writeln!(std::io::stderr(), "{}", printable(line)));
    broken.iter().for_each(|line| say(line));
    let path = journal.path().to_owned();
    let open = open(&config)?;
    session::headless((config, entries), open, journal, &args.run, &say)?;
    cli::print(format_args!(
        "the session is kept: protostill explore --session {}",
        printable(&path.display().to_string())
    ))
}

/// Flags that a process needs to go on with a session elsewhere.
fn flags(global: &Global) -> Vec<String> {
    let mut all = Vec::new();
    let mut flag = |name: &str, value: Option<String>| all.extend(value.into_iter().flat_map(|v| [name.to_owned(), v]));
    flag("--device", (global.device != "cpu").then(|| global.device.clone()));
    flag("--precision", (global.precision != "float32").then(|| global.precision.clone()));
    flag("--threads", global.threads.map(|n| n.to_string()));
    flag("--memory", global.memory.map(|n| n.to_string()));
    flag("--store", global.store.as_ref().map(|p| p.display().to_string()));
    all
}

/// Starts a process of its own that carries out what waits; returns where it says how it goes.
fn go_on(left: &ui::Left, lines: &[String]) -> Result<std::path::PathBuf> {
    let log = left.session.with_added_extension("out");
    let out = std::fs::File::create(&log).map_err(Error::io(&log))?;
    let both = out.try_clone().map_err(Error::io(&log))?;
    let program = std::env::current_exe().map_err(Error::io("protostill"))?;
    let mut command = std::process::Command::new(program);
    command.arg("explore").arg("--session").arg(&left.session).args(&left.flags);
    command.args(lines.iter().flat_map(|line| ["--run", line]));
    command.stdin(std::process::Stdio::null()).stdout(out).stderr(both);
    // A group of its own: what ends the terminal's does not end it.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.spawn().map_err(Error::io("protostill"))?;
    Ok(log)
}

/// A session goes on with its own settings: flags that say otherwise are refused rather than ignored.
fn agree(global: &Global, given: &Config, own: &Config) -> Result<()> {
    let refused = |flag: &str, what: &str, asked: String, own: String| {
        let way = "leave the flag out to go on with it, or name another --session to start anew";
        Err(Error::setting(flag, format!("says {what} {asked}, but the session was made with {own}")).or(way))
    };
    if global.data.is_some() && given.data.source != own.data.source {
        return refused("--data", "data.source", given.data.source.clone(), own.data.source.clone());
    }
    if global.seed.is_some() && given.seed != own.seed {
        return refused("--seed", "seed", given.seed.to_string(), own.seed.to_string());
    }
    if let (Some(file), Some((key, asked, own))) = (&global.config, difference(given, own)) {
        return refused(&format!("--config {}", file.display()), &key, asked, own);
    }
    Ok(())
}

/// The first setting that two configurations have differently, and both values. How often pictures are previewed is none
/// of a session's.
fn difference(a: &Config, b: &Config) -> Option<(String, String, String)> {
    fn first(path: &str, a: &Value, b: &Value) -> Option<(String, String, String)> {
        match (a, b) {
            (Value::Object(a), Value::Object(b)) => a.iter().find_map(|(key, value)| {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                first(&path, value, b.get(key).unwrap_or(&Value::Null))
            }),
            _ if a == b || path == "synthesis.preview_every" => None,
            _ => Some((path.to_owned(), a.to_string(), b.to_string())),
        }
    }
    first("", &serde_json::to_value(a).ok()?, &serde_json::to_value(b).ok()?)
}

fn options(args: &Explore) -> ui::Options {
    ui::Options {
        session: args.session.clone(),
        todo: args.compare.iter().map(|other| format!("compare {}", other.display())).collect(),
        depth: args.color.map(|c| match c {
            Color::True => Depth::True,
            Color::Indexed => Depth::Ansi256,
            Color::Named => Depth::Ansi16,
            Color::None => Depth::None,
        }),
        light: args.theme.map(|t| t == Ground::Light),
        palette: match args.palette {
            Palette::Default => theme::Palette::Usual,
            Palette::ColourBlind => theme::Palette::Safe,
            Palette::HighContrast => theme::Palette::Strong,
        },
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
        ..ui::Options::default()
    }
}

fn replay(global: &Global, args: &Replay) -> Result<()> {
    let (_, workbench) = cli::parts(global)?;
    // Refused before the first image rather than after the last picture.
    replaceable(&args.out, false)?;
    try_place(&args.out)?;
    let held = journal::read(&args.session)?;
    held.broken.iter().for_each(|line| drop(writeln!(std::io::stderr(), "protostill: {line}")));
    let pairs = session::replay(held, Open::new(workbench), &args.out, &cli::watched(global))?;
    let out = printable(&args.out.display().to_string());
    cli::print(format_args!("{pairs} pairs rebuilt in {out}"))
}

/// What the explorer would make of this terminal, for `info`.
pub fn terminal() -> Vec<(&'static str, String)> {
    let var = |name: &str| std::env::var(name).ok();
    let path = |p: Option<std::path::PathBuf>| p.map_or("no home directory".into(), |p| p.display().to_string());
    let alone = ui::Options::default().cells_alone(var);
    let pictures = match alone {
        _ if ui::terminal::is_dumb(var) => Some("none: TERM is \"dumb\", where the explorer does not run".into()),
        Some(why) => Some(why),
        None => ui::terminal::raw(|| ui::image::agree(Wish::Auto, var).why),
    };
    vec![
        ("pictures", pictures.unwrap_or_else(|| "none: this is no terminal".into())),
        ("colours", ui::terminal::depth(var).name().into()),
        ("sessions, logs", path(journal::state_folder().ok())),
        ("keys", path(ui::keys_path())),
    ]
}
