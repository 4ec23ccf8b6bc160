//! Numbers as people read them.

/// `12345` as `12 345`, with a thin gap that every terminal has.
pub fn count(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, d) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(d);
    }
    text
}

/// `part` of `whole` in percent, one decimal.
pub fn percent(part: usize, whole: usize) -> String {
    format!("{:.1} %", 100.0 * part as f64 / whole.max(1) as f64)
}

/// Milliseconds as `0.4 s`, `12 s`, `3:07` or `1:02:33`.
pub fn duration(ms: u64) -> String {
    let s = ms / 1000;
    match s {
        0..10 => format!("{:.1} s", ms as f64 / 1000.0),
        10..60 => format!("{s} s"),
        60..3600 => format!("{}:{:02}", s / 60, s % 60),
        _ => format!("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!([0, 999, 1000, 1234567].map(count), ["0", "999", "1 000", "1 234 567"]);
    }

    #[test]
    fn times_grow_from_tenths_to_hours() {
        assert_eq!([400, 12_900, 187_000, 3_753_000].map(duration), ["0.4 s", "12 s", "3:07", "1:02:33"]);
    }
}
