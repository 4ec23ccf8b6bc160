//! Which patterns of a foreign `tokenizer.json` are matched: those that take a time in proportion to the text. The crate carries
//! out what looks around or refers back by trying every way, of which a short pattern can have more than anybody waits for.

/// Longest pattern, in bytes; CLIP's have under a hundred.
const LONGEST: usize = 1000;
/// How many times as much a pattern may become by counted repetitions, such as `{1,3}`.
const REPEATED: u64 = 64;
/// What `(?` may begin beside flags.
const NAMED: [&str; 3] = [":", "P<", "<"];

/// Checks that `pattern` is plain; the error says what it does.
pub(super) fn check(pattern: &str) -> Result<(), String> {
    if pattern.len() > LONGEST {
        return Err(format!("has a pattern of {} bytes; at most {LONGEST} are read", pattern.len()));
    }
    let shown: String = crate::fsio::printable(pattern).chars().take(60).collect();
    let plain = unescaped(pattern).filter(|plain| !looks_around(plain));
    match plain.map(|plain| repeats(&plain)) {
        None => Err(format!("pattern `{shown}` looks around or refers back, which can take for ever: not read")),
        Some(0..=REPEATED) => Ok(()),
        Some(n) => Err(format!("pattern `{shown}` repeats its parts {n} times; at most {REPEATED} times is read")),
    }
}

/// The pattern with a letter for each escape; none if one refers back, or to where another match ended.
fn unescaped(pattern: &str) -> Option<String> {
    let (mut out, mut rest) = (String::new(), pattern);
    while let Some((before, escape)) = rest.split_once('\\') {
        let named = escape.chars().next()?;
        if matches!(named, '1'..='9' | 'k' | 'g' | 'G' | 'K' | 'X' | 'R') {
            return None;
        }
        rest = &escape[named.len_utf8()..];
        if matches!(named, 'p' | 'P' | 'x' | 'u' | 'U') && rest.starts_with('{') {
            rest = rest.split_once('}')?.1;
        }
        out.extend([before, "a"]);
    }
    Some(out + rest)
}

/// Whether more than an automaton is needed for a pattern without escapes. Where a bracket is not what it seems here, a plain
/// pattern is refused, never another one let through.
fn looks_around(pattern: &str) -> bool {
    let (mut class, mut repeated) = (0usize, false);
    for (at, c) in pattern.char_indices() {
        let again = std::mem::take(&mut repeated);
        match c {
            '[' => class += 1,
            ']' => class = class.saturating_sub(1),
            _ if class > 0 => {}
            '(' => match pattern[at + 1..].strip_prefix('?') {
                Some(rest) if special(rest) => return true,
                _ => {}
            },
            // A repetition that gives nothing back.
            '+' if again => return true,
            '*' | '+' | '?' | '}' => repeated = true,
            _ => {}
        }
    }
    false
}

/// Whether what follows `(?` is more than a group with flags or a name.
fn special(rest: &str) -> bool {
    if rest.starts_with("<=") || rest.starts_with("<!") {
        return true;
    }
    let flags = rest.trim_start_matches(['i', 'm', 's', 'u', 'U', '-']);
    !NAMED.iter().any(|named| rest.starts_with(named)) && !flags.starts_with([':', ')'])
}

/// The product of the largest counts of all counted repetitions.
fn repeats(pattern: &str) -> u64 {
    let count = |part: &str| {
        let (counts, _) = part.split_once('}')?;
        let most = counts.rsplit(',').find(|n| !n.trim().is_empty())?;
        most.trim().parse::<u64>().ok()
    };
    pattern.split('{').skip(1).filter_map(count).fold(1, |all, n| all.saturating_mul(n.max(1)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_tokenizers_of_captions_have_is_read() {
        for plain in [
            super::super::WORDS,
            r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+",
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|\p{N}{1,3}| ?[^\s\p{L}]+[\r\n]*|\s+",
            r"(?<word>\w+)|(?P<n>[0-9]+)|(?i)x|[+*+?=]+|\x{3000}\p{Lu}+\{99\}",
        ] {
            check(plain).unwrap();
        }
    }

    #[test]
    fn a_pattern_that_can_take_for_ever_or_grow_without_end_is_refused() {
        for slow in [
            r"(?=a)b",
            r"\s+(?!\S)",
            r"a(?!b)",
            r"(?<=a)b",
            r"(?<!a)b",
            r"(?>a*)b",
            r"(a|b)\1",
            r"(a+)+\k<1>",
            r"a++",
            r"a*+",
            r"(?x)a",
            r"(?(1)a|b)",
            r"[](?=a)]",
            r"\\(?=a)",
            r"(?R)",
            r"a{2}+",
            r"\Ga",
        ] {
            assert!(check(slow).unwrap_err().contains("looks around or refers back"), "{slow}");
        }
        assert!(check(r"((a{8}){8}){2}").unwrap_err().contains("repeats its parts 128 times"));
        assert!(check(r"a{0,99999999999}").unwrap_err().contains("99999999999 times"));
        assert!(check(&"a".repeat(1001)).unwrap_err().contains("1001 bytes"));
    }
}
