//! A screen as an SVG: every cell's ground and characters in a monospaced font, half-blocks as the two colours they are.

use ratatui::{
    buffer::{Buffer, Cell},
    style::{Color, Modifier},
};
use std::fmt::Write;

/// A cell in pixels.
const CELL: (u32, u32) = (8, 17);

/// The drawing.
pub fn of(buf: &Buffer, light: bool) -> String {
    let (width, height) = (u32::from(buf.area.width) * CELL.0, u32::from(buf.area.height) * CELL.1);
    let (ground, ink) = if light { ("#ffffff", "#1c1f26") } else { ("#14171d", "#e4e7ee") };
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"ui-monospace, DejaVu Sans Mono, monospace\" font-size=\"13\" fill=\"{ink}\" xml:space=\"preserve\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"{ground}\"/>\n"
    );
    for y in 0..buf.area.height {
        for x in 0..buf.area.width {
            grounds(&mut out, &buf[(x, y)], (u32::from(x), u32::from(y)));
        }
        words(&mut out, buf, y);
    }
    out.push_str("</svg>\n");
    out
}

fn colour(colour: Color) -> Option<String> {
    const NAMED: [(Color, &str); 15] = [
        (Color::Black, "#000000"),
        (Color::Red, "#cc4444"),
        (Color::Green, "#44aa55"),
        (Color::Yellow, "#c9a227"),
        (Color::Blue, "#4477cc"),
        (Color::Magenta, "#aa55aa"),
        (Color::Cyan, "#33a0aa"),
        (Color::Gray, "#aaaaaa"),
        (Color::DarkGray, "#666666"),
        (Color::LightRed, "#ee6666"),
        (Color::LightGreen, "#66cc77"),
        (Color::LightYellow, "#eecc55"),
        (Color::LightBlue, "#77aaff"),
        (Color::LightMagenta, "#dd88dd"),
        (Color::LightCyan, "#66ccdd"),
    ];
    match colour {
        Color::Reset => None,
        Color::Rgb(r, g, b) => Some(format!("#{r:02x}{g:02x}{b:02x}")),
        Color::Indexed(n) => Some(super::theme::rgb_of(n)).map(|[r, g, b]| format!("#{r:02x}{g:02x}{b:02x}")),
        named => NAMED.iter().find(|(c, _)| *c == named).map(|(_, hex)| (*hex).to_owned()),
    }
}

fn rect(out: &mut String, (x, y): (u32, u32), (width, height): (u32, u32), fill: &str) {
    let _ = writeln!(out, "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" fill=\"{fill}\"/>");
}

/// What lies behind the character, and both halves of a half-block.
fn grounds(out: &mut String, cell: &Cell, (x, y): (u32, u32)) {
    let at = (x * CELL.0, y * CELL.1);
    if let Some(fill) = colour(cell.bg) {
        rect(out, at, CELL, &fill);
    }
    if let ("▀", Some(fill)) = (cell.symbol(), colour(cell.fg)) {
        rect(out, at, (CELL.0, CELL.1.div_ceil(2)), &fill);
    }
}

/// A line's characters, those of one style that stand together as one text.
fn words(out: &mut String, buf: &Buffer, y: u16) {
    let mut x = 0;
    while x < buf.area.width {
        let (start, first) = (x, &buf[(x, y)]);
        let alike = |cell: &Cell| (cell.fg, cell.modifier) == (first.fg, first.modifier) && cell.symbol() != "▀";
        let mut text = String::new();
        while x < buf.area.width && (alike(&buf[(x, y)]) || x == start) {
            text.push_str(if buf[(x, y)].symbol() == "▀" { " " } else { buf[(x, y)].symbol() });
            x += super::text::width(buf[(x, y)].symbol()).max(1) as u16;
        }
        let shown = text.trim_end();
        if shown.trim().is_empty() {
            continue;
        }
        let at = (u32::from(start) * CELL.0, u32::from(y) * CELL.1 + 13);
        let fill = colour(first.fg).map_or(String::new(), |hex| format!(" fill=\"{hex}\""));
        let bold = if first.modifier.contains(Modifier::BOLD) { " font-weight=\"bold\"" } else { "" };
        // Columns stay where they are whatever the font.
        let cells: usize = super::text::clusters(shown).map(super::text::width).sum();
        let _ = writeln!(
            out,
            "<text x=\"{}\" y=\"{}\" textLength=\"{}\"{fill}{bold}>{}</text>",
            at.0,
            at.1,
            cells as u32 * CELL.0,
            escaped(shown)
        );
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::{layout::Rect, style::Style};

    #[test]
    fn a_screen_becomes_a_drawing_and_foreign_words_no_marks_in_it() {
        let mut buf = Buffer::empty(Rect::new(0, 0, 20, 2));
        buf.set_string(1, 0, "<b> & 猫", Style::new().fg(Color::Rgb(1, 2, 3)));
        buf[(0, 1)].set_symbol("▀").set_style(Style::new().fg(Color::Indexed(196)).bg(Color::Rgb(9, 9, 9)));
        let text = of(&buf, false);
        assert!(
            text.contains("x=\"8\" y=\"13\" textLength=\"64\" fill=\"#010203\">&lt;b&gt; &amp; 猫</text>"),
            "{text}"
        );
        assert!(text.contains("fill=\"#ff0000\"") && text.contains("fill=\"#090909\""));
        assert_eq!((text.matches("<text").count(), text.matches("</svg>").count()), (1, 1));
    }
}
