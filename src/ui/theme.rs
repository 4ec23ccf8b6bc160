//! Colours: one accent, three signals, and shades of the terminal's own text. The whole screen is drawn from this table.

use ratatui::style::{Color, Modifier, Style};

/// How many colours the terminal shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// 24 bits.
    #[default]
    True,
    /// The 256-colour palette.
    Ansi256,
    /// The 16 colours.
    Ansi16,
    /// None: bold, dim and reversed text only.
    None,
}

impl Depth {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::True => "24 bits",
            Self::Ansi256 => "256",
            Self::Ansi16 => "16",
            Self::None => "none",
        }
    }
}

/// Styles by what they mean.
#[derive(Clone, Copy, Debug)]
pub struct Theme {
    /// Colours to be had.
    pub depth: Depth,
    /// Ordinary text: the terminal's own.
    pub text: Style,
    /// Titles.
    pub strong: Style,
    /// Labels, and what matters less.
    pub dim: Style,
    /// Rules and empty tracks.
    pub faint: Style,
    /// What is active.
    pub accent: Style,
    /// The selected line.
    pub selected: Style,
    /// Where a picture will be.
    pub ground: Style,
    /// Fresh, done.
    pub good: Style,
    /// Stale, pruned, worth a look.
    pub warn: Style,
    /// Failed.
    pub bad: Style,
    /// Lines of a plot, told apart.
    pub series: [Color; 6],
}

/// A colour at each depth: truecolour on dark and on light ground, 256, 16.
type Ladder = ([u8; 3], [u8; 3], u8, Color);

const DIM: Ladder = ([0x8a, 0x91, 0xa6], [0x5f, 0x66, 0x78], 245, Color::Gray);
const FAINT: Ladder = ([0x43, 0x49, 0x5a], [0xc3, 0xc7, 0xd1], 239, Color::DarkGray);
const ACCENT: Ladder = ([0x78, 0xc2, 0xd8], [0x0b, 0x70, 0x8c], 74, Color::Cyan);
const GROUND: Ladder = ([0x26, 0x30, 0x3c], [0xdd, 0xe9, 0xee], 236, Color::DarkGray);
const BLANK: Ladder = ([0x1b, 0x20, 0x28], [0xee, 0xf0, 0xf3], 234, Color::Reset);
const GOOD: Ladder = ([0x93, 0xc9, 0x8d], [0x2b, 0x7a, 0x2f], 108, Color::Green);
const WARN: Ladder = ([0xe0, 0xb4, 0x6c], [0x9a, 0x5f, 0x00], 179, Color::Yellow);
const BAD: Ladder = ([0xe5, 0x80, 0x7c], [0xb3, 0x26, 0x26], 174, Color::Red);
const MORE: [Ladder; 3] = [
    ([0xb4, 0x9c, 0xe0], [0x6a, 0x45, 0xa8], 140, Color::Magenta),
    ([0xd0, 0x8f, 0xb8], [0x9c, 0x3a, 0x78], 175, Color::LightMagenta),
    ([0x8f, 0xa8, 0xe6], [0x35, 0x52, 0xb0], 110, Color::Blue),
];

impl Theme {
    /// For a terminal of this depth on a light or dark ground.
    pub fn new(depth: Depth, light: bool) -> Self {
        let pick = |(dark, bright, indexed, named): Ladder| match depth {
            Depth::True => {
                let [r, g, b] = if light { bright } else { dark };
                Color::Rgb(r, g, b)
            }
            Depth::Ansi256 => Color::Indexed(indexed),
            Depth::Ansi16 => named,
            Depth::None => Color::Reset,
        };
        let text = Style::reset();
        let bold = text.add_modifier(Modifier::BOLD);
        let plain = depth == Depth::None;
        let [a, b, c] = MORE.map(pick);
        let selected = match depth {
            Depth::None | Depth::Ansi16 => text.add_modifier(Modifier::REVERSED),
            _ => bold.bg(pick(GROUND)),
        };
        Self {
            depth,
            text,
            strong: bold,
            dim: if plain { text.add_modifier(Modifier::DIM) } else { text.fg(pick(DIM)) },
            faint: if plain { text.add_modifier(Modifier::DIM) } else { text.fg(pick(FAINT)) },
            accent: if plain { bold } else { text.fg(pick(ACCENT)) },
            selected,
            ground: if matches!(depth, Depth::True | Depth::Ansi256) { text.bg(pick(BLANK)) } else { text },
            good: text.fg(pick(GOOD)),
            warn: if plain { bold } else { text.fg(pick(WARN)) },
            bad: if plain { bold } else { text.fg(pick(BAD)) },
            series: [pick(ACCENT), pick(WARN), pick(GOOD), a, b, c],
        }
    }
}
