//! Captions as the method sees them.

/// `text` in lower case, each of `. ! " ( ) * # : ; ~` a space, runs of white space one, the first `max_words` words:
/// BLIP's `pre_caption`.
pub fn normalise(text: &str, max_words: usize) -> String {
    let lower = text.to_lowercase();
    let plain = lower.replace(['.', '!', '"', '(', ')', '*', '#', ':', ';', '~'], " ");
    plain.split_whitespace().take(max_words).collect::<Vec<_>>().join(" ")
}
