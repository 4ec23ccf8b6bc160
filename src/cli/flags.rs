//! Flags from the table of settings.

use crate::{
    config::Config,
    error::Result,
    fsio::printable,
    pipeline::setting::{Change, SETTINGS, Setting},
};
use clap::{
    Arg, ArgMatches, Args, Command, FromArgMatches,
    builder::{PossibleValue, PossibleValuesParser},
};

/// Settings that have a flag in one command, and what it makes of them.
macro_rules! flags {
    ($(#[$doc:meta])* $name:ident, $which:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default)]
        pub struct $name(Vec<Change>);

        impl $name {
            /// The settings with these over them.
            ///
            /// # Errors
            /// [`crate::error::Error::Setting`] naming the first that is wrong.
            pub fn over(&self, config: Config) -> Result<Config> {
                self.0.iter().try_fold(config, Config::with)
            }
        }

        impl Args for $name {
            fn augment_args(command: Command) -> Command {
                command.args(flagged($which).map(arg))
            }

            fn augment_args_for_update(command: Command) -> Command {
                Self::augment_args(command)
            }
        }

        impl FromArgMatches for $name {
            fn from_arg_matches(matches: &ArgMatches) -> std::result::Result<Self, clap::Error> {
                let given = flagged($which).filter_map(|s| matches.get_one::<Change>(s.flag));
                Ok(Self(given.cloned().collect()))
            }

            fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> std::result::Result<(), clap::Error> {
                *self = Self::from_arg_matches(matches)?;
                Ok(())
            }
        }
    };
}

flags!(
    /// Those that make a set.
    Making,
    |s| s.section() != "evaluation"
);
flags!(
    /// Those of the protocol that judges it.
    Judging,
    |s| s.section() == "evaluation"
);
flags!(
    /// How many pairs.
    Pairs,
    |s| s.flag == "pairs"
);

fn flagged(which: impl Fn(&Setting) -> bool) -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().filter(move |s| !s.flag.is_empty() && which(s))
}

fn arg(setting: &'static Setting) -> Arg {
    let read = move |text: &str| setting.to(text);
    let name = if setting.flag == "pairs" { "M" } else { setting.kind.metavar() };
    Arg::new(setting.flag).long(setting.flag).value_name(name).help(setting.says).value_parser(read)
}

/// What `--set NAME=VALUE` says.
///
/// # Errors
/// What is wrong with it, in words.
pub fn change(text: &str) -> std::result::Result<Change, String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    let unknown = || format!("no setting is called `{}`; `protostill settings` lists them", printable(name.trim()));
    Setting::find(name.trim()).ok_or_else(unknown)?.to(value)
}

/// The layouts that data sets are read in.
pub fn layouts() -> PossibleValuesParser {
    let value = |(name, words)| PossibleValue::new(name).help(words);
    crate::data::source::layouts().map(value).collect::<Vec<_>>().into()
}
