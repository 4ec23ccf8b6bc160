//! Options of the commands that open a session.

use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Options of `explore`.
#[derive(Clone, Debug, Default, Args)]
pub struct Explore {
    /// Write the session's journal here, or reopen it where it stood
    #[arg(long, value_name = "FILE")]
    pub session: Option<PathBuf>,
    /// Colours [default: what the terminal says]
    #[arg(long, value_enum)]
    pub color: Option<Color>,
    /// The terminal's ground [default: what the terminal says, else dark]
    #[arg(long, value_enum)]
    pub theme: Option<Ground>,
    /// Colours told apart without red and green, or of higher contrast
    #[arg(long, value_enum, default_value_t = Palette::Default)]
    pub palette: Palette,
    /// How pictures are shown
    #[arg(long, value_enum, default_value_t = Images::Auto)]
    pub image_protocol: Images,
    /// Rules, bars and plots in plain ASCII
    #[arg(long)]
    pub ascii: bool,
    /// Lay what another session came to beside this one
    #[arg(long, value_name = "SESSION")]
    pub compare: Option<PathBuf>,
    /// Carry out a line as typed after `:`, without a terminal, and leave when it is done; may be given several times
    #[arg(long, value_name = "LINE")]
    pub run: Vec<String>,
}

/// Options of `replay`.
#[derive(Clone, Debug, Args)]
pub struct Replay {
    /// The journal of a session
    pub session: PathBuf,
    /// Where the set goes
    #[arg(long, value_name = "DIR", default_value = "distilled")]
    pub out: PathBuf,
}

/// Depth of colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// 24 bits
    True,
    /// 256 colours
    #[value(name = "256")]
    Indexed,
    /// 16 colours
    #[value(name = "16")]
    Named,
    /// None
    None,
}

/// Which colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Palette {
    /// The program's own
    #[default]
    Default,
    /// Told apart without red and green
    ColourBlind,
    /// At least 7 : 1 against the ground
    HighContrast,
}

/// What colours stand on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Ground {
    /// Light text on dark
    Dark,
    /// Dark text on light
    Light,
}

/// How pictures are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Images {
    /// The best that the terminal says it knows
    #[default]
    Auto,
    /// kitty graphics
    Kitty,
    /// iTerm2's inline images
    Iterm2,
    /// Sixel
    Sixel,
    /// Half-blocks: everywhere, also in tmux
    Half,
    /// Letters
    Ascii,
    /// Not at all
    Off,
}
