//! Bytes of lists and captions to text: UTF-8, with or without a byte order mark, or UTF-16 with one. Anything else is
//! refused: a letter guessed wrong is another caption.

/// `bytes` as UTF-8 without a mark, as far as a mark says that they are anything else. They may still be malformed.
pub(in crate::data) fn unmarked(mut bytes: Vec<u8>) -> Result<Vec<u8>, String> {
    let big = match bytes.as_slice() {
        [0xef, 0xbb, 0xbf, ..] => {
            bytes.drain(..3);
            return Ok(bytes);
        }
        [0xff, 0xfe, ..] => false,
        [0xfe, 0xff, ..] => true,
        _ => return Ok(bytes),
    };
    let (pairs, rest) = bytes[2..].as_chunks::<2>();
    let unit = |b: &[u8; 2]| if big { u16::from_be_bytes(*b) } else { u16::from_le_bytes(*b) };
    let mut text = String::with_capacity(bytes.len());
    for letter in char::decode_utf16(pairs.iter().map(unit)) {
        match letter {
            Ok('\0') => return Err(place(&text, "a NUL character; UTF-32 is not read")),
            Ok(letter) => text.push(letter),
            Err(_) => return Err(place(&text, "half a pair of UTF-16 surrogates")),
        }
    }
    if rest.is_empty() { Ok(text.into_bytes()) } else { Err(place(&text, "UTF-16 ends within a letter")) }
}

/// `bytes` as text; the error names line and column.
pub(in crate::data) fn text(bytes: Vec<u8>) -> Result<String, String> {
    let text = String::from_utf8(unmarked(bytes)?).map_err(|e| {
        let (before, rest) = e.as_bytes().split_at(e.utf8_error().valid_up_to());
        let what = format!("byte {:#04x} is not UTF-8; save the file as UTF-8", rest.first().unwrap_or(&0));
        place(&String::from_utf8_lossy(before), &what)
    })?;
    match text.find('\0') {
        Some(at) => Err(place(&text[..at], "a NUL byte; is this UTF-16 without a byte order mark?")),
        None => Ok(text),
    }
}

/// Says where `what` follows the text `before`: columns are letters, from 1.
fn place(before: &str, what: &str) -> String {
    let line = before.bytes().filter(|&b| b == b'\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("line {line}, column {column}: {what}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn utf16(text: &str, big: bool) -> Vec<u8> {
        let bytes = |unit: u16| if big { unit.to_be_bytes() } else { unit.to_le_bytes() };
        ('\u{feff}'.encode_utf16(&mut [0; 2]).iter().copied()).chain(text.encode_utf16()).flat_map(bytes).collect()
    }

    #[test]
    fn a_byte_order_mark_says_how_to_read_and_is_taken_away() {
        for bytes in [utf16("chat é 🐈\n", false), utf16("chat é 🐈\n", true), "\u{feff}chat é 🐈\n".into()] {
            assert_eq!(text(bytes).unwrap(), "chat é 🐈\n");
        }
    }

    #[test]
    fn what_is_no_utf8_is_refused_with_line_and_column_and_never_replaced() {
        let latin = b"un chat\nle caf\xe9 noir\n".to_vec();
        assert!(text(latin).unwrap_err().starts_with("line 2, column 7: byte 0xe9 is not UTF-8"));
        assert!(text(b"a\0c\0".to_vec()).unwrap_err().starts_with("line 1, column 2: a NUL byte"));
        assert!(text(b"\xff\xfea\0\0".to_vec()).unwrap_err().contains("ends within a letter"));
        assert!(text(b"\xff\xfe\0\0a\0\0\0".to_vec()).unwrap_err().contains("UTF-32"));
        assert!(text(b"\xff\xfe\n\0\0\xd8a\0".to_vec()).unwrap_err().starts_with("line 2, column 1: half a pair"));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(text) = text(bytes.clone()) {
                let marked = bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff");
                prop_assert!(marked || bytes.ends_with(text.as_bytes()), "a letter was replaced");
            }
        }
    }
}
