//! The page itself: HTML without a script and without anything that is not in it.

use super::{
    gather::{SHOWN, Set},
    html::{escaped, table},
    plot::{self, Line, Point},
};
use crate::{
    about,
    pipeline::{
        set::card::as_toml,
        space::stats::{histogram, quantiles},
    },
};
use ndarray::{Array2, Axis};
use serde_json::Value;
use std::{collections::BTreeMap, fmt::Write};

/// Nothing is fetched, whatever the page holds.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'";
const RECALLS: [(&str, &str); 7] = [
    ("ir1", "IR@1"),
    ("ir5", "IR@5"),
    ("ir10", "IR@10"),
    ("tr1", "TR@1"),
    ("tr5", "TR@5"),
    ("tr10", "TR@10"),
    ("r_mean", "R-mean"),
];

/// Sets on one page.
pub fn page(sets: &[Set]) -> String {
    let title = match sets {
        [one] => format!("Distilled set {}", one.name),
        many => format!("{} distilled sets", many.len()),
    };
    let mut body = if sets.len() > 1 { together(sets) } else { String::new() };
    for (i, set) in sets.iter().enumerate() {
        body += &section(i, set);
    }
    whole(&title, &body)
}

/// A page of this title and body.
pub fn whole(title: &str, body: &str) -> String {
    let (title, style, made) = (escaped(title), include_str!("style.css"), escaped(&about::line()));
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n<title>{title}</title>\n\
         <link rel=\"icon\" href=\"data:,\">\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n\
         <h1>{title}</h1>\n<p>Made by {made}</p>\n{body}</main>\n</body>\n</html>\n"
    )
}

fn encoders(set: &Set) -> &[Value] {
    set.scores.as_ref().and_then(|s| s["encoders"].as_array()).map_or(&[], Vec::as_slice)
}

fn number(encoder: &Value, name: &str, of: &str) -> f64 {
    encoder[name][of].as_f64().unwrap_or(f64::NAN)
}

/// All sets in a table, and their R-mean by number of pairs.
fn together(sets: &[Set]) -> String {
    let mut rows = Vec::new();
    // Curves by encoder, then by method.
    let mut curves: BTreeMap<String, BTreeMap<&str, Vec<Point>>> = BTreeMap::new();
    for set in sets {
        let (pairs, method) = (set.read.set.pairs.len(), set.read.set.method.as_str());
        let mut scores = Vec::new();
        for encoder in encoders(set) {
            let name = encoder["encoder"].as_str().unwrap_or_default().to_owned();
            let (mean, sd) = (number(encoder, "r_mean", "mean"), number(encoder, "r_mean", "sd"));
            scores.push(format!("{name} {mean:.1} ± {sd:.1}"));
            curves.entry(name).or_default().entry(method).or_default().push((pairs as f64, mean, sd));
        }
        let scores = if scores.is_empty() { "not evaluated".into() } else { scores.join(", ") };
        rows.push(vec![set.name.clone(), method.to_owned(), pairs.to_string(), seed(set), scores]);
    }
    let mut out = String::from("<section aria-labelledby=\"all\"><h2 id=\"all\">All sets</h2>\n");
    out += &table("All sets", "", &["set", "method", "pairs", "seed", "R-mean"], &rows);
    out += "<div class=\"charts\">\n";
    for (i, (encoder, methods)) in curves.into_iter().enumerate() {
        let lines = methods.into_iter().map(|(name, points)| Line { name: name.to_owned(), points }).collect();
        out += &by_pairs(i, &encoder, lines);
    }
    out + "</div></section>\n"
}

/// The `i`-th chart of R-mean against the number of pairs.
pub fn by_pairs(i: usize, of: &str, mut lines: Vec<Line>) -> String {
    lines.iter_mut().for_each(|line| line.points.sort_by(|a, b| a.0.total_cmp(&b.0)));
    let title = format!("R-mean against the number of pairs, {of}, percent");
    let chart = plot::lines(&format!("curve{i}"), &title, &lines);
    format!("<figure><figcaption>{}</figcaption>{chart}</figure>\n", escaped(&title))
}

fn seed(set: &Set) -> String {
    set.read.manifest.pointer("/config/seed").map_or_else(String::new, Value::to_string)
}

fn section(i: usize, set: &Set) -> String {
    let facts = [
        ("method", set.read.set.method.clone()),
        ("pairs", set.read.set.pairs.len().to_string()),
        ("seed", seed(set)),
        ("data set", text(&set.read.manifest, "/dataset/name")),
        (
            "licence of the data",
            Some(text(&set.read.manifest, "/config/data/licence"))
                .filter(|l| !l.is_empty())
                .unwrap_or("unknown".into()),
        ),
        ("changed by hand", set.read.edited.join(", ")),
    ];
    let facts: Vec<_> = facts.into_iter().filter(|(_, v)| !v.is_empty()).map(|(k, v)| vec![k.to_owned(), v]).collect();
    let mut out = format!("<section aria-labelledby=\"set{i}\"><h2 id=\"set{i}\">{}</h2>\n", escaped(&set.name));
    out += &table(&of("About", set), "facts", &[], &facts);
    out += &recalls(set);
    out += &pairs(set);
    out += &statistics(i, set);
    out += &provenance(set);
    out + "</section>\n"
}

/// What a table tells, and of which set.
fn of(what: &str, set: &Set) -> String {
    format!("{what}: {}", set.name)
}

fn text(manifest: &Value, place: &str) -> String {
    manifest.pointer(place).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn recalls(set: &Set) -> String {
    let Some(scores) = &set.scores else {
        return format!("<h3>Recall</h3>\n<p>Not evaluated yet: protostill evaluate {}</p>\n", escaped(&set.name));
    };
    let row = |encoder: &Value| {
        let cell = |(name, _): &(&str, &str)| {
            format!("{:.1} ± {:.1}", number(encoder, name, "mean"), number(encoder, name, "sd"))
        };
        let name = encoder["encoder"].as_str().unwrap_or_default().to_owned();
        [vec![name], RECALLS.iter().map(cell).collect()].concat()
    };
    let rows: Vec<_> = encoders(set).iter().map(row).collect();
    let head: Vec<&str> = ["encoder"].into_iter().chain(RECALLS.iter().map(|r| r.1)).collect();
    let how = format!(
        "Percent on the {} split, mean ± standard deviation of {} runs; epoch: {}",
        scores["split"].as_str().unwrap_or("test"),
        scores["runs"],
        scores["selection"].as_str().unwrap_or_default()
    );
    format!("<h3>Recall</h3>\n{}<p>{}</p>\n", table(&of("Recall", set), "", &head, &rows), escaped(&how))
}

/// Pictures with their captions, and the real pairs nearest to them.
fn pairs(set: &Set) -> String {
    let all = set.read.set.pairs.len();
    let mut out = String::from("<h3>Pairs</h3>\n");
    if all > SHOWN {
        let _ = writeln!(out, "<p>The first {SHOWN} of {all}.</p>");
    }
    match &set.real {
        Ok(_) => out += "<p>Below each pair: the real images nearest to its image embedding, with their cosines.</p>\n",
        Err(why) => {
            let _ = writeln!(out, "<p>Without the real pairs nearest to them: {}</p>", escaped(why));
        }
    }
    out += "<ol class=\"pairs\">\n";
    for (i, (pair, picture)) in set.read.set.pairs.iter().zip(&set.pictures).enumerate() {
        let caption = escaped(&pair.caption);
        let _ = write!(
            out,
            "<li><div class=\"pair\">{}<div><p>{caption}</p>\
             <span class=\"small\">pair {i}, support {}, cosine {:.3}</span></div></div>",
            img(picture.as_ref(), &format!("Picture of pair {i}: {caption}")),
            pair.support,
            pair.similarity
        );
        if let Some(real) = set.real.as_ref().ok().and_then(|real| real.get(i)) {
            out += &beside(real);
        }
        out += "</li>\n";
    }
    out + "</ol>\n"
}

/// A picture, if it is there, with its name; small ones, which are stored as PNG, pixel by pixel.
fn img(uri: Option<&String>, name: &str) -> String {
    let Some(uri) = uri else { return String::new() };
    let class = if uri.starts_with("data:image/png") { " class=\"tiny\"" } else { "" };
    format!("<img{class} src=\"{uri}\" alt=\"{name}\">")
}

fn beside(real: &[super::gather::Real]) -> String {
    let one = |r: &super::gather::Real| {
        let caption = escaped(&r.caption);
        let picture = img(r.picture.as_ref(), &format!("Real picture: {caption}"));
        format!("<li>{picture}{:.3} {caption}</li>", r.similarity)
    };
    format!("<ul class=\"real\">{}</ul>", real.iter().map(one).collect::<String>())
}

/// What the set's own embeddings say.
fn statistics(i: usize, set: &Set) -> String {
    let read = &set.read.set;
    let norms = |rows: &Array2<f32>| rows.axis_iter(Axis(0)).map(|r| r.dot(&r).sqrt()).collect::<Vec<f32>>();
    let cosines: Vec<f32> = read.pairs.iter().map(|p| p.similarity).collect();
    let rows: Vec<Vec<String>> = [
        ("cosine of a pair's embeddings", cosines.clone()),
        ("support", read.pairs.iter().map(|p| p.support as f32).collect()),
        ("norm of image embeddings", norms(&read.image_prototypes)),
        ("norm of text targets", norms(&read.text_prototypes)),
    ]
    .into_iter()
    .map(|(name, values)| {
        let q = quantiles(&values);
        let numbers = [q.mean, q.at[0], q.at[3], q.at[6]].map(|v| format!("{v:.3}"));
        [vec![name.to_owned()], numbers.to_vec()].concat()
    })
    .collect();
    let ends = quantiles(&cosines).at;
    let bins = histogram(&cosines, (ends[0], ends[6]), 20);
    let title = "Pairs by the cosine of their two embeddings";
    let chart = plot::bars(&format!("cosines{i}"), title, (bins.from, bins.to), &bins.counts);
    format!(
        "<h3>Embeddings</h3>\n{}<figure class=\"charts\"><div><figcaption>{title}</figcaption>{chart}</div></figure>\n",
        table(&of("Embeddings", set), "", &["", "mean", "least", "median", "most"], &rows)
    )
}

/// Data, checkpoints, program and settings.
fn provenance(set: &Set) -> String {
    let manifest = &set.read.manifest;
    let mut rows = Vec::new();
    let mut row = |name: &str, value: String| {
        if !value.is_empty() {
            rows.push(vec![name.to_owned(), value]);
        }
    };
    row("data set", text(manifest, "/dataset/fingerprint"));
    row("the set as it is now", set.read.fingerprint.to_string());
    for (role, about) in manifest["checkpoints"].as_object().into_iter().flatten() {
        row(role, text(about, "/name"));
        row(&format!("{role}, commit"), text(about, "/commit"));
        for (file, hash) in about["weights"].as_object().into_iter().flatten() {
            row(&format!("{role}, {file}"), hash.as_str().unwrap_or_default().to_owned());
        }
    }
    for (name, place) in [("protostill", "version"), ("commit", "commit"), ("target", "target")] {
        row(name, text(manifest, &format!("/protostill/{place}")));
    }
    row("device", format!("{}, {}", text(manifest, "/device"), text(manifest, "/precision")));
    if let Some(share) = manifest.pointer("/trust/share").and_then(Value::as_f64) {
        row("mismatched pairs by trust", format!("{:.1} %", 100.0 * share));
    }
    for (stage, seconds) in manifest["seconds"].as_object().into_iter().flatten() {
        row(&format!("seconds, {stage}"), format!("{:.1}", seconds.as_f64().unwrap_or(f64::NAN)));
    }
    let settings = as_toml(&manifest["config"]).unwrap_or_default();
    format!(
        "<details><summary>Provenance</summary>\n{}</details>\n<details><summary>Settings</summary>\n<pre>{}</pre></details>\n",
        table(&of("Provenance", set), "facts", &[], &rows),
        escaped(&settings)
    )
}
