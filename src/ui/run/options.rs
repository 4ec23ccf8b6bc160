//! What the user asked of the screen, and the keys that the user bound.

use crate::{
    app::Keys,
    door,
    error::{Error, Result},
    ui::{
        canvas::Cells,
        image::Wish,
        terminal,
        theme::{Depth, Palette, Theme},
        view::Look,
    },
};
use std::path::PathBuf;

/// How to show things.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The journal to write, or to go on with if it exists.
    pub session: Option<PathBuf>,
    /// Colours; the environment's if not given.
    pub depth: Option<Depth>,
    /// A light ground; what the terminal says, else the environment, if not given.
    pub light: Option<bool>,
    /// Which colours.
    pub palette: Palette,
    /// Pictures in cells.
    pub cells: Cells,
    /// Real pixels over them.
    pub pixels: Wish,
    /// ASCII only.
    pub ascii: bool,
    /// Command lines that are carried out once the session stands.
    pub todo: Vec<String>,
    /// Somebody who is new is shown around, once.
    pub tour: bool,
}

impl Options {
    pub(super) fn look(&self, var: impl Fn(&str) -> Option<String>) -> Look {
        let depth = self.depth.unwrap_or_else(|| terminal::depth(&var));
        let light = self.light.unwrap_or_else(|| terminal::is_light(var));
        let theme = Theme::of(self.palette, depth, light);
        let letters = self.cells == Cells::Half && (self.ascii || depth == Depth::None);
        Look { theme, cells: if letters { Cells::Ascii } else { self.cells }, ascii: self.ascii }
    }

    /// How pictures are shown where no pixels are, and why; none if the terminal is to be asked for pixels.
    pub fn cells_alone(&self, var: impl Fn(&str) -> Option<String>) -> Option<String> {
        let no_color = var("NO_COLOR").is_some_and(|v| !v.is_empty());
        let words = match (self.cells, self.look(&var).cells) {
            (Cells::Off, _) => "nothing: --image-protocol off",
            (Cells::Ascii, _) => "letters: --image-protocol ascii",
            (_, Cells::Ascii) if self.ascii => "letters: --ascii",
            (_, Cells::Ascii) if self.depth.is_some() => "letters: --color none",
            (_, Cells::Ascii) if no_color => "letters: NO_COLOR is set",
            (_, Cells::Ascii) => "letters: the terminal has no colours",
            _ if self.pixels == Wish::Cells => "half-blocks: --image-protocol half",
            _ => return None,
        };
        Some(words.into())
    }
}

/// The user's keys, if there are any.
pub(super) fn keys() -> Result<Keys> {
    let Some(path) = keys_path().filter(|p| p.exists()) else { return Ok(Keys::default()) };
    let text = door::read_to_string(&path, door::SETTINGS).map_err(Error::io(&path))?;
    Keys::parse(&text).map_err(|e| Error::input(&path, e))
}

/// Where keys are bound: `$XDG_CONFIG_HOME/protostill/keys.toml`, or `~/.config/protostill/keys.toml`.
pub fn keys_path() -> Option<PathBuf> {
    Some(crate::fsio::own_folder("XDG_CONFIG_HOME", ".config")?.join("keys.toml"))
}
