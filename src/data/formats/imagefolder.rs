//! Hugging Face's ImageFolder: `metadata.jsonl` beside the images, one JSON object a line.

use super::karpathy::{Keys, Row};
use crate::{
    data::files::json,
    error::{Error, Result},
    fsio::printable,
};
use std::path::Path;

/// The file that makes a folder an ImageFolder.
pub(in crate::data) const METADATA: &str = "metadata.jsonl";

/// Reads `{"file_name": path, "text": caption}` lines (`caption` is taken for `text` too; other keys are ignored).
/// Returns each row with its line, from 1, and how many NaNs there are; empty lines are passed over.
///
/// # Errors
/// [`Error::Input`] naming line and column.
pub(in crate::data) fn metadata(path: &Path, bytes: &[u8]) -> Result<(Vec<(usize, Row)>, usize)> {
    let (mut rows, mut odd) = (Vec::new(), 0);
    for (i, line) in bytes.split(|&b| b == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let (keys, more) = json::read(line, |line| serde_json::from_slice::<Keys>(line)).map_err(|e| {
            // The parser counts lines within what it was given: one.
            Error::input(path, format!("line {}, column {}: {}", i + 1, e.column, printable(&e.what)))
        })?;
        let row = keys.row().map_err(|what| Error::input(path, format!("line {}: {what}", i + 1)))?;
        rows.push((i + 1, row));
        odd += more;
    }
    Ok((rows, odd))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_and_caption_are_both_understood_and_empty_lines_passed_over() {
        let file =
            b"{\"file_name\":\"a.png\",\"text\":\"A\"}\n\n{\"file_name\":\"b.png\",\"caption\":[\"B\"],\"x\":1}\r\n";
        let (rows, _) = metadata(Path::new("m"), file).unwrap();
        assert_eq!(
            rows.iter().map(|(line, r)| (*line, r.image.as_str())).collect::<Vec<_>>(),
            [(1, "a.png"), (3, "b.png")]
        );
    }

    #[test]
    fn an_error_names_its_line() {
        let file = b"{\"file_name\":\"a.png\",\"text\":\"A\"}\n{\"file_name\":\"b.png\",";
        let text = metadata(Path::new("m"), file).unwrap_err().to_string();
        assert!(text.starts_with("m: line 2, column 21: EOF"), "{text}");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = metadata(Path::new("m"), &bytes);
        }
    }
}
