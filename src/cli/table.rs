//! Plain tables for people: columns aligned by display width, nothing that a terminal would interpret. And recalls as rows.

use crate::{fsio::printable, pipeline::score::evaluate::EncoderRecall};
use serde_json::{Map, Value, json};
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

/// One encoder's recall, each metric as mean and sd.
pub fn row(recall: &EncoderRecall) -> Value {
    let mut row = Map::new();
    row.insert("encoder".into(), json!(recall.encoder));
    row.insert("selection".into(), json!(recall.selection.to_string()));
    let names = ["ir1", "ir5", "ir10", "tr1", "tr5", "tr10"];
    for (name, (mean, sd)) in names.iter().zip(recall.mean.all().into_iter().zip(recall.sd.all())) {
        row.insert((*name).into(), json!({ "mean": mean, "sd": sd }));
    }
    row.insert("r_mean".into(), json!({ "mean": recall.r_mean, "sd": recall.r_mean_sd }));
    Value::Object(row)
}

/// The same for people: six recalls and their mean.
pub fn scores(recall: &EncoderRecall) -> Vec<String> {
    let pairs = recall.mean.all().into_iter().zip(recall.sd.all());
    let all = pairs.chain([(recall.r_mean, recall.r_mean_sd)]);
    all.map(|(mean, sd)| format!("{mean:.1} ± {sd:.1}")).collect()
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
