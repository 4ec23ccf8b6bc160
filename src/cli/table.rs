//! Plain tables for people: columns aligned by display width, nothing that a terminal would interpret.

use crate::fsio::printable;
use unicode_width::UnicodeWidthStr;

/// Rows under a header; the first column to the left, the others to the right.
pub fn render(header: &[&str], rows: &[Vec<String>]) -> String {
    let clean: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| printable(cell)).collect()).collect();
    let width = |column: usize| {
        let cells = clean.iter().filter_map(|row| row.get(column)).map(|cell| cell.width());
        cells.chain([header[column].width()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let mut lines = vec![line(&header.iter().map(|h| (*h).to_owned()).collect::<Vec<_>>(), &widths)];
    lines.extend(clean.iter().map(|row| line(row, &widths)));
    lines.join("\n")
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let mut out = String::new();
    for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
        let pad = " ".repeat(width.saturating_sub(cell.width()));
        match column {
            0 => out.push_str(&format!("{cell}{pad}")),
            _ => out.push_str(&format!("  {pad}{cell}")),
        }
    }
    out.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stay_aligned_under_wide_and_hostile_text() {
        let table = render(&["caption", "n"], &[vec!["犬".into(), "1".into()], vec!["a\u{1b}[2J".into(), "12".into()]]);
        let lines: Vec<&str> = table.lines().collect();
        assert!(!table.contains('\u{1b}'));
        assert!(lines.windows(2).all(|w| w[0].width() == w[1].width()), "{table}");
    }
}
