//! Foreign text in columns: nothing a caption holds reaches the terminal as anything but visible characters, and
//! columns stay where they are.

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthChar;

/// At most this many combining marks on one character; more is an attack on the line above.
const MARKS: usize = 2;
/// Characters of one cluster, at most: what is longer is no writing.
const CLUSTER: usize = 8;

/// Characters that show nothing but change how others are measured or drawn: terminals disagree about them.
fn vanishes(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ad}')
        || matches!(c, '\u{e0000}'..='\u{e01ef}' | '\u{1f3fb}'..='\u{1f3ff}')
}

/// Characters that could act on the terminal or turn the line around.
fn acts(c: char) -> bool {
    let bidi = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || bidi || matches!(c, '\u{2028}' | '\u{2029}' | '\u{fff9}'..='\u{fffb}')
}

/// What stands for a character that acts: the picture of the control code, or a mark.
fn visible(c: char) -> char {
    match c as u32 {
        code @ 0..0x20 => char::from_u32(0x2400 + code).unwrap_or('¿'),
        0x7f => '␡',
        _ => '¿',
    }
}

/// Cells that a character is given. Where terminals disagree it is the most that is common, so that nothing is hidden by
/// what follows: a vowel sign that stands beside its letter has a cell, and so has the frame of a keycap.
fn cells(c: char) -> usize {
    let beside = matches!(c, '\u{9be}' | '\u{9d7}' | '\u{b3e}' | '\u{b57}' | '\u{bbe}' | '\u{bd7}' | '\u{cc2}')
        || matches!(c, '\u{cd5}' | '\u{cd6}' | '\u{d3e}' | '\u{d57}' | '\u{dcf}' | '\u{ddf}' | '\u{20e3}');
    if beside { 1 } else { c.width().unwrap_or(0) }
}

/// Characters of whose width no terminal has another idea: letters without marks, East Asian ones, what the panes draw.
fn certain(c: char) -> bool {
    matches!(c, ' '..='~' | '\u{a0}'..='\u{2ff}' | '\u{370}'..='\u{482}' | '\u{48a}'..='\u{556}' | '\u{1e00}'..='\u{20cf}')
        || matches!(c, '\u{2100}'..='\u{22ff}' | '\u{2400}'..='\u{259f}' | '\u{25a0}'..='\u{25fc}' | '\u{2800}'..='\u{28ff}')
        || matches!(c, '\u{3001}'..='\u{3029}' | '\u{3041}'..='\u{3096}' | '\u{309b}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}')
        || matches!(c, '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' | '\u{ff01}'..='\u{ff60}' | '\u{10eeee}')
}

/// Cells that a terminal may use for `cluster` at most, if it may use others than [`clusters`] gives it.
pub fn reach(cluster: &str) -> Option<usize> {
    let mut chars = cluster.chars();
    let sure = chars.next().is_none_or(certain) && chars.next().is_none();
    // No terminal gives a character more than two.
    (!sure).then(|| cluster.chars().count() * 2)
}

/// Cells that a cluster of [`clusters`] takes.
pub fn width(cluster: &str) -> usize {
    cluster.chars().map(cells).sum()
}

/// What stands together in cells, of text that is clean.
pub fn clusters(clean: &str) -> impl Iterator<Item = &str> {
    let part = |cluster: &'_ str| cluster.char_indices().nth(CLUSTER).map_or(cluster.len(), |(i, _)| i);
    clean.graphemes(true).map(move |cluster| &cluster[..part(cluster)]).filter(|cluster| width(cluster) > 0)
}

/// The characters of `text` that are shown, and what stands for those that act.
fn clean(text: &str) -> impl Iterator<Item = char> {
    let mut marks = 0;
    text.chars().filter(|&c| !vanishes(c)).map(|c| if acts(c) { visible(c) } else { c }).filter(move |&c| {
        marks = if cells(c) == 0 { marks + 1 } else { 0 };
        marks <= MARKS
    })
}

/// The first `width` cells of `text`, ending in `…` if there is more. Reads no more of it than it shows.
pub fn fit(text: &str, width: usize) -> String {
    // More than any writing takes; a million marks on one letter are not worth reading.
    let most = text.char_indices().nth(64 + 4 * CLUSTER * width).map_or(text.len(), |(i, _)| i);
    let clean: String = clean(&text[..most]).collect();
    let (mut out, mut used) = (String::new(), 0);
    // Where to cut so that the ellipsis still fits.
    let mut cut = 0;
    for cluster in clusters(&clean) {
        let w = self::width(cluster);
        if used + w > width {
            out.truncate(cut);
            if width > 0 {
                out.push('…');
            }
            return out;
        }
        out.push_str(cluster);
        used += w;
        if used < width {
            cut = out.len();
        }
    }
    out
}

/// `text` in lines of at most `width` cells, broken at spaces where it can be, at most `lines` of them.
pub fn wrap(text: &str, width: usize, lines: usize) -> Vec<String> {
    // Enough for every line at four bytes a character, so that a megabyte costs no more than a sentence.
    let most = text.char_indices().nth(width.saturating_mul(lines).saturating_mul(2)).map_or(text.len(), |(i, _)| i);
    let (mut out, mut line) = (Vec::new(), String::new());
    for word in text[..most].split_whitespace().flat_map(|word| broken(word, width)) {
        let joined = if line.is_empty() { word.clone() } else { format!("{line} {word}") };
        if columns(&joined) <= width || line.is_empty() {
            line = joined;
        } else if out.len() + 1 == lines {
            // It does not fit, and says so at its end.
            line = joined;
            break;
        } else {
            out.push(std::mem::replace(&mut line, word));
        }
    }
    out.push(line);
    out.into_iter().filter(|l| !l.is_empty()).take(lines).map(|l| fit(&l, width)).collect()
}

/// A word, in parts of `width` cells if it is longer.
fn broken(word: &str, width: usize) -> Vec<String> {
    let clean: String = clean(word).collect();
    let mut parts = vec![String::new()];
    let mut used = 0;
    for cluster in clusters(&clean) {
        let w = self::width(cluster);
        if used + w > width.max(1) {
            parts.push(String::new());
            used = 0;
        }
        used += w;
        parts.last_mut().into_iter().for_each(|part| part.push_str(cluster));
    }
    parts
}

/// Cells that `text` takes as `fit` shows it.
pub fn columns(text: &str) -> usize {
    clusters(&clean(text).collect::<String>()).map(width).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_and_bidi_marks_become_visible_marks() {
        assert_eq!(fit("a\u{1b}[2Jb\u{202e}c", 20), "a␛[2Jb¿c");
    }

    #[test]
    fn wide_characters_are_never_cut_in_half() {
        assert_eq!(fit("猫猫猫", 6), "猫猫猫");
        assert_eq!(fit("猫猫猫", 5), "猫猫…");
        assert_eq!(fit("猫猫猫", 4), "猫…");
        assert_eq!(fit("猫", 1), "…");
        assert_eq!(fit("abc", 0), "");
    }

    #[test]
    fn joiners_and_piled_up_marks_do_not_shift_columns() {
        assert_eq!(fit("👩\u{200d}👩\u{200d}👧", 10), "👩👩👧");
        assert_eq!(fit(&format!("e{}x", "\u{301}".repeat(20)), 10), "e\u{301}\u{301}x");
    }

    #[test]
    fn letters_of_several_code_points_stay_together_and_a_terminal_may_differ_about_them() {
        let taken = |text: &str| clusters(text).map(|c| (c.to_owned(), width(c))).collect::<Vec<_>>();
        let of = |text: &str, w| (text.to_owned(), w);
        assert_eq!(taken("🇩🇪🇫🇷"), [of("🇩🇪", 2), of("🇫🇷", 2)]);
        assert_eq!(taken("பா"), [of("பா", 2)]);
        assert_eq!(taken("น้ำ"), [of("น้ำ", 2)]);
        assert_eq!(taken("1\u{20e3}"), [of("1\u{20e3}", 2)]);
        assert!(["🇩🇪", "कि", "பா", "ำ", "👩", "☔", "e\u{301}"].iter().all(|c| reach(c) >= Some(width(c))));
        assert!(["a", "é", "Я", "猫", "한", "─", "▀", "…", "⠿"].iter().all(|c| reach(c).is_none()));
    }

    #[test]
    fn a_megabyte_is_shown_as_fast_as_a_line() {
        let text = "word ".repeat(1 << 18);
        let start = std::time::Instant::now();
        for _ in 0..100 {
            assert_eq!(columns(&fit(&text, 40)), 40);
            assert_eq!(wrap(&text, 40, 3).len(), 3);
        }
        assert!(start.elapsed().as_millis() < 500, "{:?}", start.elapsed());
    }

    #[test]
    fn lines_break_at_spaces_or_within_a_word_that_is_longer_and_the_last_says_if_there_is_more() {
        assert_eq!(wrap("a small red circle", 8, 3), ["a small", "red", "circle"]);
        assert_eq!(wrap("a small red circle", 8, 2), ["a small", "red cir…"]);
        assert_eq!(wrap("in /data/images/3.png: cut", 9, 9), ["in", "/data/ima", "ges/3.png", ": cut"]);
        assert_eq!(wrap("猫猫猫", 3, 2), ["猫", "猫…"]);
        assert!(wrap("  ", 8, 2).is_empty());
    }
}
