//! Small pieces of HTML.

/// Text of others that means nothing in HTML.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            c => out.push(c),
        }
    }
    out
}

/// Rows under a header, which may be absent; a screen reader says `name`.
pub fn table(name: &str, class: &str, head: &[&str], rows: &[Vec<String>]) -> String {
    let cells = |tag: &str, cells: &[String]| {
        cells.iter().map(|c| format!("<{tag}>{}</{tag}>", escaped(c))).collect::<String>()
    };
    let named: Vec<String> = head.iter().map(|h| format!("<th scope=\"col\">{}</th>", escaped(h))).collect();
    let head = if head.is_empty() { String::new() } else { format!("<thead><tr>{}</tr></thead>", named.concat()) };
    let rows: String = rows.iter().map(|row| format!("<tr>{}</tr>\n", cells("td", row))).collect();
    let name = escaped(name);
    format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{name}\">\
         <table class=\"{class}\" aria-label=\"{name}\">{head}<tbody>\n{rows}</tbody></table></div>\n"
    )
}
