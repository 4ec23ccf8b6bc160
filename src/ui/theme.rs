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

/// Which colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Palette {
    /// The program's own.
    #[default]
    Usual,
    /// Those that are told apart without red and green (after Okabe and Ito).
    Safe,
    /// At least 7 : 1 against the ground.
    Strong,
}

impl Palette {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Usual => "default",
            Self::Safe => "colour-blind",
            Self::Strong => "high-contrast",
        }
    }
}

/// Styles by what they mean.
#[derive(Clone, Copy, Debug)]
pub struct Theme {
    /// Colours to be had.
    pub depth: Depth,
    /// On a light ground.
    pub light: bool,
    /// Ordinary text: the terminal's own.
    pub text: Style,
    /// Titles.
    pub strong: Style,
    /// Labels, and what matters less.
    pub dim: Style,
    /// Rules, empty tracks and what lies behind: never words.
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

/// A colour on dark ground and on light; where there are sixteen, the same.
type Ink = ([u8; 3], [u8; 3], [Color; 2]);

/// All colours of a palette.
struct Inks {
    dim: Ink,
    faint: Ink,
    accent: Ink,
    ground: Ink,
    blank: Ink,
    good: Ink,
    warn: Ink,
    bad: Ink,
    more: [Ink; 3],
}

const fn rgb(hex: u32) -> [u8; 3] {
    [(hex >> 16) as u8, (hex >> 8) as u8, hex as u8]
}

const fn ink(dark: u32, light: u32, named: [Color; 2]) -> Ink {
    (rgb(dark), rgb(light), named)
}

const GREY: [Color; 2] = [Color::Gray, Color::DarkGray];
const FAINT: Ink = ink(0x43495a, 0xc3c7d1, [Color::DarkGray, Color::Gray]);
const BLANK: Ink = ink(0x1b2028, 0xeef0f3, [Color::Reset; 2]);
const CYAN: [Color; 2] = [Color::Cyan, Color::Blue];
const GREEN: [Color; 2] = [Color::Green, Color::Green];
const YELLOW: [Color; 2] = [Color::Yellow, Color::Magenta];
const RED: [Color; 2] = [Color::Red, Color::Red];
const OTHERS: [[Color; 2]; 3] =
    [[Color::Magenta, Color::Cyan], [Color::LightMagenta, Color::Magenta], [Color::LightBlue, Color::DarkGray]];

const USUAL: Inks = Inks {
    dim: ink(0xa0a7ba, 0x565d6e, GREY),
    faint: FAINT,
    accent: ink(0x78c2d8, 0x0a6079, CYAN),
    ground: ink(0x26303c, 0xdde9ee, [Color::DarkGray, Color::Gray]),
    blank: BLANK,
    good: ink(0x93c98d, 0x1f6a24, GREEN),
    warn: ink(0xe0b46c, 0x7d4d00, YELLOW),
    bad: ink(0xf0928e, 0xab2020, RED),
    more: [ink(0xbda7e6, 0x5f2da0, OTHERS[0]), ink(0xd99cc3, 0x87185f, OTHERS[1]), ink(0x9db3ea, 0x2f4aa6, OTHERS[2])],
};

const SAFE: Inks = Inks {
    accent: ink(0x6cc0f0, 0x00578f, CYAN),
    good: ink(0x35c9a0, 0x00604a, GREEN),
    warn: ink(0xf0e442, 0x6e5200, YELLOW),
    bad: ink(0xee9cc6, 0x96215f, [Color::Magenta; 2]),
    more: [ink(0xf0a840, 0x7a3c00, OTHERS[0]), ink(0xff9a62, 0xa02a00, OTHERS[1]), ink(0xc8c8ff, 0x28289a, OTHERS[2])],
    ..USUAL
};

const STRONG: Inks = Inks {
    dim: ink(0xd4d9e6, 0x30343f, GREY),
    faint: ink(0x7a8194, 0x8a91a2, [Color::Gray, Color::DarkGray]),
    accent: ink(0xa6ecff, 0x003d52, CYAN),
    ground: ink(0x303038, 0xe4e4ea, [Color::DarkGray, Color::Gray]),
    good: ink(0xb4f5ac, 0x0c4410, GREEN),
    warn: ink(0xffdf8a, 0x553200, YELLOW),
    bad: ink(0xffbfbb, 0x7a0a0a, RED),
    more: [ink(0xddcbff, 0x42207c, OTHERS[0]), ink(0xffc3ea, 0x6c1850, OTHERS[1]), ink(0xc6d4ff, 0x1a3080, OTHERS[2])],
    ..USUAL
};

impl Theme {
    /// For a terminal of this depth on a light or dark ground.
    pub fn new(depth: Depth, light: bool) -> Self {
        Self::of(Palette::Usual, depth, light)
    }

    /// The same in other colours.
    pub fn of(palette: Palette, depth: Depth, light: bool) -> Self {
        let inks = match palette {
            Palette::Usual => USUAL,
            Palette::Safe => SAFE,
            Palette::Strong => STRONG,
        };
        let pick = |(dark, bright, named): Ink| {
            let [r, g, b] = if light { bright } else { dark };
            match depth {
                Depth::True => Color::Rgb(r, g, b),
                Depth::Ansi256 => Color::Indexed(indexed([r, g, b])),
                Depth::Ansi16 => named[usize::from(light)],
                Depth::None => Color::Reset,
            }
        };
        let text = Style::reset();
        let bold = text.add_modifier(Modifier::BOLD);
        let plain = depth == Depth::None;
        let [a, b, c] = inks.more.map(pick);
        let selected = match depth {
            Depth::None | Depth::Ansi16 => text.add_modifier(Modifier::REVERSED),
            _ => bold.bg(pick(inks.ground)),
        };
        Self {
            depth,
            light,
            text,
            strong: bold,
            dim: if plain { text.add_modifier(Modifier::DIM) } else { text.fg(pick(inks.dim)) },
            faint: if plain { text.add_modifier(Modifier::DIM) } else { text.fg(pick(inks.faint)) },
            accent: if plain { bold } else { text.fg(pick(inks.accent)) },
            selected,
            ground: if matches!(depth, Depth::True | Depth::Ansi256) { text.bg(pick(inks.blank)) } else { text },
            good: text.fg(pick(inks.good)),
            warn: if plain { bold } else { text.fg(pick(inks.warn)) },
            bad: if plain { bold } else { text.fg(pick(inks.bad)) },
            series: [pick(inks.accent), pick(inks.warn), pick(inks.good), a, b, c],
        }
    }
}

/// Levels of the 6x6x6 cube.
const LEVELS: [u8; 6] = [0, 95, 135, 175, 215, 255];

/// What a colour of the 256-colour palette looks like; the first sixteen are the terminal's own, and grey here.
pub fn rgb_of(indexed: u8) -> [u8; 3] {
    match indexed {
        0..16 => [indexed * 16; 3],
        232.. => [8 + 10 * (indexed - 232); 3],
        n => [(n - 16) / 36, (n - 16) / 6 % 6, (n - 16) % 6].map(|i| LEVELS[usize::from(i)]),
    }
}

/// The nearest of the 6x6x6 cube and the grey ramp of the 256-colour palette.
pub fn indexed(rgb: [u8; 3]) -> u8 {
    let nearest = |v: u8| (0..6).min_by_key(|&i| LEVELS[i].abs_diff(v)).unwrap_or(0);
    let cube = rgb.map(nearest);
    let mean = (u32::from(rgb[0]) + u32::from(rgb[1]) + u32::from(rgb[2])) / 3;
    let grey = (mean.saturating_sub(3) / 10).min(23) as u8;
    let far = |c: [u8; 3]| (0..3).map(|i| u32::from(c[i].abs_diff(rgb[i])).pow(2)).sum::<u32>();
    let [i, j, k] = cube;
    if far([8 + 10 * grey; 3]) < far(cube.map(|c| LEVELS[c])) { 232 + grey } else { (16 + 36 * i + 6 * j + k) as u8 }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Relative luminance (WCAG 2).
    fn luminance(rgb: [u8; 3]) -> f64 {
        let linear = |v: u8| match f64::from(v) / 255.0 {
            v if v <= 0.04045 => v / 12.92,
            v => ((v + 0.055) / 1.055).powf(2.4),
        };
        0.2126 * linear(rgb[0]) + 0.7152 * linear(rgb[1]) + 0.0722 * linear(rgb[2])
    }

    fn contrast(a: [u8; 3], b: [u8; 3]) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    fn seen(colour: Color) -> [u8; 3] {
        match colour {
            Color::Rgb(r, g, b) => [r, g, b],
            Color::Indexed(n) => rgb_of(n),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn words_stand_out_from_every_usual_ground_and_from_the_selected_line() {
        let dark = [0x000000, 0x1e1e1e, 0x282c34].map(rgb);
        let light = [0xffffff, 0xfdf6e3, 0xfafafa].map(rgb);
        for palette in [Palette::Usual, Palette::Safe, Palette::Strong] {
            for (depth, is_light) in [Depth::True, Depth::Ansi256].into_iter().flat_map(|d| [(d, false), (d, true)]) {
                let theme = Theme::of(palette, depth, is_light);
                let least = if palette == Palette::Strong && depth == Depth::True { 7.0 } else { 4.5 };
                let own = [theme.selected, theme.ground].map(|s| seen(s.bg.unwrap()));
                let words = [theme.dim, theme.accent, theme.good, theme.warn, theme.bad].map(|s| s.fg.unwrap());
                for word in words.into_iter().chain(theme.series).map(seen) {
                    let grounds = if is_light { light } else { dark };
                    let worst = grounds.into_iter().chain(own).map(|g| contrast(word, g)).fold(99.0, f64::min);
                    assert!(worst >= least, "{palette:?} {depth:?} light {is_light}: {word:?} has {worst:.2}");
                }
            }
        }
    }

    #[test]
    fn colours_come_down_to_the_palette() {
        assert_eq!(indexed([255, 0, 0]), 196);
        assert_eq!(indexed([118, 118, 118]), 243);
    }
}
