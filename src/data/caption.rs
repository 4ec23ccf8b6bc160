//! Captions as their source has them, and as the method reads them.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Words that [`PreCaption::Reference`] keeps of a caption.
pub const MAX_WORDS: usize = 30;
/// Bytes kept of a caption: CLIP reads 77 tokens, and no caption of a megabyte gets through. Not of a word: Chinese,
/// Japanese and Thai put no spaces between theirs.
pub const MAX_BYTES: usize = 4096;

/// What CLIP and the decoder read in the place of a caption. What is shown and exported is the caption itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PreCaption {
    /// As the reference: BLIP's `pre_caption`, [`normalise`] to 30 words.
    #[default]
    Reference,
    /// The caption as it is.
    Off,
}

impl PreCaption {
    /// What is read in the place of `caption`.
    pub fn read(self, caption: &str) -> Cow<'_, str> {
        match self {
            Self::Off => caption.into(),
            Self::Reference => {
                let text = normalise(caption, MAX_WORDS);
                if text == caption { caption.into() } else { text.into() }
            }
        }
    }
}

/// `text` in lower case, each of `. ! " ( ) * # : ; ~` a space, runs of white space one, the first `max_words` words:
/// BLIP's `pre_caption`.
pub fn normalise(text: &str, max_words: usize) -> String {
    let lower = text.to_lowercase();
    let plain = lower.replace(['.', '!', '"', '(', ')', '*', '#', ':', ';', '~'], " ");
    plain.split_whitespace().take(max_words).collect::<Vec<_>>().join(" ")
}

/// A source's own words: control characters, which could speak to a terminal, and stray byte order marks are white space,
/// none of it at the ends; at most [`MAX_BYTES`].
pub(super) fn own(text: &str) -> String {
    let foreign = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    let text: String = text.chars().map(|c| if foreign(c) { ' ' } else { c }).collect();
    let text = text.trim();
    text[..text.floor_char_boundary(MAX_BYTES)].trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caption_without_spaces_between_its_words_is_not_cut() {
        let chinese = "一只棕色的狗在海滩上追逐一个红色的球".repeat(6);
        assert!(chinese.len() > 128 * 2);
        assert_eq!((own(&chinese), PreCaption::Reference.read(&chinese)), (chinese.clone(), chinese.as_str().into()));
        assert_eq!(own(&"é".repeat(500_000)).len(), MAX_BYTES);
    }

    #[test]
    fn a_caption_is_its_sources_own_and_read_as_the_setting_says() {
        let caption = own("  A Dog\u{1b}[2J (red).\n");
        assert_eq!(caption, "A Dog [2J (red).");
        assert_eq!(
            (PreCaption::Reference.read(&caption), PreCaption::Off.read(&caption)),
            ("a dog [2j red".into(), caption.as_str().into())
        );
    }
}
