//! The data set card of a distilled set: `README.md`, as the Hugging Face hub shows it and a person reads it.

use super::export::picture;
use crate::{about, fingerprint::Fingerprint, pipeline::methods::Way};
use serde_json::{Map, Value};
use std::fmt::Write;

/// Its name.
pub const CARD: &str = "README.md";
/// Pairs that its gallery shows, and how many of them side by side.
const SHOWN: usize = 8;
const BESIDE: usize = 4;
/// In the place of the gallery, where the source had features alone.
const NO_PICTURES: &str = "It holds no pictures: `key` in `metadata.jsonl` is what the source calls each, `prototypes.safetensors` their features.\n";
const SEAL: &str = "\n<!-- protostill ";

/// The card of the set whose `manifest.json` this is, with these captions and, if it was evaluated, what `recall.json` holds.
/// Equal sets have equal cards.
pub fn card(manifest: &Value, captions: &[&str], scores: Option<&Value>) -> String {
    let parts = [
        header(manifest, captions.len()),
        opening(manifest, captions.len()),
        if manifest["files"].get(picture(0)).is_some() { gallery(captions) } else { NO_PICTURES.into() },
        recalls(scores),
        loading(manifest, captions.len()),
        origin(manifest),
        settings(manifest),
        citation(manifest),
    ];
    seal(&parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n"))
}

/// Whether a card is as it was written: a person's own words are not replaced.
pub fn is_sealed(card: &[u8]) -> bool {
    let text = str::from_utf8(card).unwrap_or_default();
    text.rsplit_once(SEAL).is_some_and(|(text, _)| seal(text).as_bytes() == card)
}

/// `text` and a last line that names it: whoever finds both to agree knows that nobody changed it.
fn seal(text: &str) -> String {
    let hash = Fingerprint::of_bytes(text.as_bytes());
    format!("{text}{SEAL}{hash}: a card that differs from this hash was edited, and is not written anew -->\n")
}

/// What stands at this place of a manifest, as text; nothing if it is absent.
fn at<'a>(manifest: &'a Value, place: &str) -> &'a str {
    manifest.pointer(place).and_then(Value::as_str).unwrap_or_default()
}

/// The source's licence as the settings name it.
fn licence(manifest: &Value) -> &str {
    Some(at(manifest, "/config/data/licence")).filter(|l| !l.is_empty()).unwrap_or("unknown")
}

/// What the data set was called.
fn source(manifest: &Value) -> &str {
    Some(at(manifest, "/dataset/name")).filter(|l| !l.is_empty()).unwrap_or("unknown")
}

/// The hub's own words, in YAML; a JSON string is one of YAML.
fn header(manifest: &Value, pairs: usize) -> String {
    let quoted = |text: &str| Value::from(text).to_string();
    let size = match pairs {
        0..1_000 => "n<1K",
        1_000..10_000 => "1K<n<10K",
        _ => "10K<n<100K",
    };
    let name = quoted(&format!("{pairs} pairs distilled from {}", source(manifest)));
    let licence = quoted(licence(manifest));
    format!(
        "---\nlicense: {licence}\npretty_name: {name}\nsize_categories:\n- {size}\ntask_categories:\n- text-to-image\n\
         - image-to-text\ntags:\n- dataset-distillation\n- image-text-retrieval\n- protostill\nconfigs:\n\
         - config_name: default\n  data_files:\n  - split: train\n    path:\n    - metadata.jsonl\n    - images/*.png\n---\n"
    )
}

fn opening(manifest: &Value, pairs: usize) -> String {
    let way = at(manifest, "/method");
    let words = way.parse::<Way>().map_or_else(|_| escaped(way), |way| way.in_words());
    let seed = manifest.pointer("/config/seed").map_or("unknown".into(), Value::to_string);
    let (name, version) = (escaped(source(manifest)), escaped(at(manifest, "/protostill/version")));
    format!(
        "# {pairs} image-text pairs distilled from {name}\n\n\
         They stand for the whole training split when a retrieval model is trained: a projection head on a frozen image \
         encoder learns from them which picture goes with which words.\n\n\
         | | |\n|---|---|\n| pairs | {pairs} |\n| task | image-text retrieval |\n| method | {words} |\n| seed | {seed} |\n\
         | source | {name} |\n| licence of the source | {} |\n| made by | protostill {version} |\n",
        escaped(licence(manifest))
    )
}

fn gallery(captions: &[&str]) -> String {
    let mut text = String::from("## The first pairs\n");
    for row in (0..captions.len().min(SHOWN)).collect::<Vec<_>>().chunks(BESIDE) {
        let image = |i: &usize| format!(" <img src=\"{}\" width=\"160\" alt=\"pair {i}\"> |", picture(*i));
        let words = |i: &usize| format!(" {} |", escaped(captions[*i]));
        let line = |cell: &dyn Fn(&usize) -> String| row.iter().map(cell).collect::<String>();
        let _ = write!(text, "\n|{}\n|{}\n|{}\n", line(&image), line(&|_| "---|".into()), line(&words));
    }
    text
}

/// Recall in percent, mean and standard deviation over the runs.
fn recalls(scores: Option<&Value>) -> String {
    let Some(scores) = scores else { return String::new() };
    let names = ["ir1", "ir5", "ir10", "tr1", "tr5", "tr10", "r_mean"];
    let mut rows = String::new();
    for encoder in scores["encoders"].as_array().into_iter().flatten() {
        let number = |name: &str, of: &str| encoder[name][of].as_f64().unwrap_or(f64::NAN);
        let cell = |name: &&str| format!(" {:.1} ± {:.1} |", number(name, "mean"), number(name, "sd"));
        let cells: String = names.iter().map(cell).collect();
        let _ = writeln!(rows, "| {} |{cells}", escaped(encoder["encoder"].as_str().unwrap_or_default()));
    }
    format!(
        "## Recall\n\nOf students trained on these pairs alone, in percent on the {} split of {}; mean ± standard deviation of \
         {} runs, epoch: {}.\n\n\
         | encoder | IR@1 | IR@5 | IR@10 | TR@1 | TR@5 | TR@10 | R-mean |\n|---|---|---|---|---|---|---|---|\n{rows}",
        escaped(scores["split"].as_str().unwrap_or("test")),
        escaped(at(scores, "/dataset/name")),
        scores["runs"],
        escaped(at(scores, "/selection")),
    )
}

/// How three libraries load it.
fn loading(manifest: &Value, pairs: usize) -> String {
    let has = |file: &str| manifest["files"].get(file).is_some();
    let mut text = String::from(
        "## Loading it\n\nWith [datasets](https://pypi.org/project/datasets) (`DIR` is this folder, or its name on the hub):\n\n\
         ```python\nfrom datasets import load_dataset\n\n\
         pairs = load_dataset(\"DIR\", split=\"train\")  # image, text, prototype, support, similarity\n```\n\n\
         In PyTorch, pictures with the vectors that students match them with (`prototypes.safetensors`: `text` holds the \
         targets, `image` the image embeddings, row by row the pairs'; neither is normalised):\n\n\
         ```python\nimport json\nfrom PIL import Image\nfrom safetensors.torch import load_file\n\n\
         rows = [json.loads(line) for line in open(\"DIR/metadata.jsonl\", encoding=\"utf-8\")]\n\
         images = [Image.open(\"DIR/\" + row[\"file_name\"]).convert(\"RGB\") for row in rows]\n\
         targets = load_file(\"DIR/prototypes.safetensors\")[\"text\"]  # [pairs, width], float32\n```\n",
    );
    if has("webdataset/00000.tar") {
        text += "\nWith [webdataset](https://pypi.org/project/webdataset):\n\n```python\nimport webdataset as wds\n\n\
                 pairs = wds.WebDataset(\"DIR/webdataset/00000.tar\", shardshuffle=False).decode(\"pil\").to_tuple(\"png\", \"txt\")\n```\n";
    }
    if has("parquet/00000.parquet") {
        text += "\nAs parquet:\n\n```python\npairs = load_dataset(\"parquet\", data_files=\"DIR/parquet/*.parquet\", split=\"train\")\n```\n";
    }
    if has("open_clip/pairs.csv") {
        let batch = pairs.min(64);
        let _ = write!(
            text,
            "\nWith [open_clip](https://pypi.org/project/open-clip-torch), in this folder (a batch larger than the set would \
             train on nothing, without a word):\n\n```sh\npython -m open_clip_train.main --model ViT-B-32 \
             --dataset-type csv --train-data open_clip/pairs.csv --csv-img-key filepath --csv-caption-key title \
             --batch-size {batch}\n```\n"
        );
    }
    if has("datacomp/uids.npy") {
        text += "\nThe same pictures out of [DataComp](https://github.com/mlfoundations/datacomp)'s shards (`SHARDS`):\n\n\
                 ```sh\npython resharder.py -i SHARDS -o SUBSET -s datacomp/uids.npy\n```\n";
    }
    if !["webdataset/00000.tar", "parquet/00000.parquet", "open_clip/pairs.csv"].into_iter().any(has) {
        text +=
            "\nFor webdataset, parquet and open_clip: `protostill distill --format webdataset,parquet,open_clip`.\n";
    }
    text
}

/// What it was made of: data, checkpoints, program.
fn origin(manifest: &Value) -> String {
    let mut text = String::from("## Where it comes from\n\n| | |\n|---|---|\n");
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(text, "| {} | {} |", escaped(name), escaped(value));
        }
    };
    line("data set", source(manifest));
    line("its fingerprint", at(manifest, "/dataset/fingerprint"));
    for (role, about) in manifest["checkpoints"].as_object().into_iter().flatten() {
        line(role, at(about, "/name"));
        line(&format!("{role}, commit"), at(about, "/commit"));
        for (file, hash) in about["weights"].as_object().into_iter().flatten() {
            line(&format!("{role}, {file}, SHA-256"), hash.as_str().unwrap_or_default());
        }
    }
    line("protostill", at(manifest, "/protostill/version"));
    line("its commit", at(manifest, "/protostill/commit"));
    line("device", &format!("{}, {}", at(manifest, "/device"), at(manifest, "/precision")));
    text
}

fn settings(manifest: &Value) -> String {
    as_toml(&manifest["config"]).map_or_else(String::new, |text| {
        format!("## Settings\n\nAs a file for `protostill --config`:\n\n```toml\n{text}\n```\n")
    })
}

/// The settings in a manifest as a file that `--config` takes.
pub fn as_toml(config: &Value) -> Option<String> {
    let mut config = config.clone();
    drop_nulls(&mut config);
    let text = toml::to_string(&config).ok().filter(|_| config.is_object())?;
    Some(text.trim_end().to_owned())
}

/// TOML has no null: what is absent has its default.
fn drop_nulls(value: &mut Value) {
    let Value::Object(map) = value else { return };
    let kept = std::mem::take(map).into_iter().filter(|(_, v)| !v.is_null());
    *map = kept
        .map(|(key, mut v)| {
            (key, {
                drop_nulls(&mut v);
                v
            })
        })
        .collect::<Map<_, _>>();
}

fn citation(manifest: &Value) -> String {
    let version = at(manifest, "/protostill/version");
    let version = if version.is_empty() { about::VERSION } else { version };
    let mut text = format!(
        "## Citation\n\n```bibtex\n@software{{protostill,\n  title = {{protostill: an image-text data set distilled into a few pairs}},\n  \
         version = {{{version}}}\n}}\n"
    );
    if at(manifest, "/method").split('+').next() == Some("pds") {
        text += "@misc{pds,\n  author = {Choi and Mo and Chae},\n  year = {2026},\n  eprint = {2602.19756},\n  archivePrefix = {arXiv}\n}\n";
    }
    text + "```\n"
}

/// Foreign words that neither end a table's cell nor mean anything in Markdown or HTML.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '|' => out += "&#124;",
            '\n' | '\r' => out.push(' '),
            '\\' | '`' | '*' | '_' | '[' | ']' | '$' | '~' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::Config;
    use serde_json::json;

    fn manifest() -> Value {
        json!({
            "protostill": about::json(),
            "method": "need+real",
            "config": Config::default(),
            "dataset": { "name": "a | \"b\"", "fingerprint": "ff" },
            "checkpoints": { "clip": { "name": "org/clip", "commit": "abc", "weights": { "model.safetensors": "00" } } },
            "files": { "images/0000.png": "", "webdataset/00000.tar": "" },
        })
    }

    #[test]
    fn a_card_names_source_checkpoints_and_settings_and_invents_no_licence() {
        let text = card(&manifest(), &["one", "two"], None);
        assert!(text.starts_with("---\nlicense: \"unknown\"\npretty_name: \"2 pairs distilled from a | \\\"b\\\"\"\n"));
        for part in
            ["| clip, commit | abc |", "| clip, model.safetensors, SHA-256 | 00 |", "wds.WebDataset", "seed = 42"]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains("resharder.py"));
        let mut chosen = manifest();
        chosen["files"]["datacomp/uids.npy"] = json!("");
        assert!(card(&chosen, &["one"], None).contains("-s datacomp/uids.npy"));
        assert!(!text.contains("## Recall") && !text.contains("open_clip_train") && !text.contains("2602.19756"));
        let mut named = manifest();
        named["config"]["data"]["licence"] = json!("cc-by-4.0");
        assert!(card(&named, &["one"], None).contains("license: \"cc-by-4.0\""));
    }

    #[test]
    fn the_settings_of_a_card_are_a_file_of_settings() {
        let text = card(&manifest(), &["one"], None);
        let (_, rest) = text.split_once("```toml\n").unwrap();
        let read: Config = toml::from_str(rest.split_once("```").unwrap().0).unwrap();
        assert_eq!(read, Config::default());
    }

    #[test]
    fn words_of_strangers_stay_within_their_cell() {
        let text = card(&manifest(), &["a | b\n<script>`x`*_[l](u)"], None);
        assert!(text.contains("| a &#124; b &lt;script&gt;\\`x\\`\\*\\_\\[l\\](u) |"), "{text}");
    }

    #[test]
    fn recalls_are_shown_with_their_deviation() {
        let one = json!({ "mean": 12.34, "sd": 0.56 });
        let encoder = json!({ "encoder": "vit", "ir1": one, "ir5": one, "ir10": one, "tr1": one, "tr5": one, "tr10": one, "r_mean": one });
        let scores = json!({ "dataset": { "name": "w" }, "runs": 5, "selection": "last", "encoders": [encoder] });
        let text = card(&manifest(), &["one"], Some(&scores));
        assert!(
            text.contains("| vit | 12.3 ± 0.6 |") && text.contains("mean ± standard deviation of 5 runs"),
            "{text}"
        );
    }

    #[test]
    fn a_card_is_known_as_unchanged_until_a_person_changes_it() {
        let text = card(&manifest(), &["one"], None);
        assert!(is_sealed(text.as_bytes()));
        assert!(!is_sealed(text.replace("one", "two").as_bytes()));
        assert!(!is_sealed(format!("{text}more").as_bytes()) && !is_sealed(b"# mine") && !is_sealed(&[0xff]));
    }
}
