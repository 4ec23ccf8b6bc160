//! A set to a hub that takes it as the real one does: large files first, then a commit that names all.

use super::{
    program::{bare, complaint},
    server::{Reply, Request, Server},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use ndarray::Array2;
use protostill::{
    data::ImageSource,
    fingerprint::Fingerprint,
    pipeline::set::{export::Form, folder::DistilledSet, pair::DistilledPair},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{Arc, Mutex},
};

const TOKEN: &str = "hf_maywrite";

/// What a hub holds: large files by hash, and the files of the last commit.
#[derive(Default)]
struct Held {
    large: BTreeMap<String, Vec<u8>>,
    files: BTreeMap<String, Vec<u8>>,
    created: Option<Value>,
}

fn answer(held: &Mutex<Held>, store: &str, request: &Request) -> Reply {
    let mut held = held.lock().unwrap();
    let path = request.path.as_str();
    let body = || serde_json::from_slice::<Value>(&request.body).unwrap();
    if let Some(oid) = path.strip_prefix("/store/") {
        assert!(request.header("authorization").is_none(), "the token is the hub's alone");
        held.large.insert(oid.to_owned(), request.body.clone());
        return Reply::ok(b"");
    }
    assert_eq!(request.header("authorization").map(String::as_str), Some("Bearer hf_maywrite"));
    match path {
        "/api/repos/create" if held.created.is_some() => Reply::status(409),
        "/api/repos/create" => {
            held.created = Some(body());
            Reply::ok(b"{}")
        }
        "/api/datasets/org/set/preupload/main" => {
            let mode = |f: &Value| {
                let name = f["path"].as_str().unwrap();
                let large = name.ends_with(".png") || name.ends_with(".safetensors") || name.ends_with(".tar");
                json!({ "path": name, "uploadMode": if large { "lfs" } else { "regular" }, "shouldIgnore": false })
            };
            let files: Vec<Value> = body()["files"].as_array().unwrap().iter().map(mode).collect();
            Reply::ok(json!({ "files": files }).to_string().as_bytes())
        }
        "/datasets/org/set.git/info/lfs/objects/batch" => {
            let place = |object: &Value| {
                let oid = object["oid"].as_str().unwrap();
                match held.large.contains_key(oid) {
                    true => json!({ "oid": oid, "size": object["size"] }),
                    false => {
                        json!({ "oid": oid, "size": object["size"], "actions": { "upload": { "href": format!("{store}/store/{oid}") } } })
                    }
                }
            };
            let objects: Vec<Value> = body()["objects"].as_array().unwrap().iter().map(place).collect();
            Reply::ok(json!({ "transfer": "basic", "objects": objects }).to_string().as_bytes())
        }
        "/api/datasets/org/set/commit/main" => {
            held.files.clear();
            for line in String::from_utf8(request.body.clone()).unwrap().lines() {
                let line: Value = serde_json::from_str(line).unwrap();
                let (value, name) = (&line["value"], line["value"]["path"].as_str().unwrap_or_default().to_owned());
                let bytes = match line["key"].as_str().unwrap() {
                    "header" => continue,
                    "file" => STANDARD.decode(value["content"].as_str().unwrap()).unwrap(),
                    _ => held.large[value["oid"].as_str().unwrap()].clone(),
                };
                held.files.insert(name, bytes);
            }
            Reply::ok(b"{\"commitOid\": \"0\"}")
        }
        _ => Reply::status(404),
    }
}

fn set(dir: &Path) {
    let pair = |i: u8| DistilledPair {
        image: ImageSource::Memory(image::RgbImage::from_pixel(3, 2, image::Rgb([i, 0, 0]))),
        caption: format!("caption {i}"),
        support: 1,
        similarity: 0.5,
        uid: None,
    };
    let rows = || Array2::from_elem((2, 2), 1.0);
    let (image_prototypes, text_prototypes) = (rows(), rows());
    let pairs = vec![pair(0), pair(1)];
    let set = DistilledSet { method: "random".into(), pairs, image_prototypes, text_prototypes, correspondence: None };
    set.write_as(dir, &json!({}), &[Form::Webdataset], false).unwrap();
}

fn push(home: &Path, endpoint: &str, args: &[&str]) -> assert_cmd::Command {
    let mut command = bare(home);
    command.env("HF_ENDPOINT", endpoint).env("HF_TOKEN", TOKEN).env("HF_HOME", home.join("hf"));
    command.args(["push", "org/set", "set"]).args(args);
    command
}

#[test]
fn a_set_arrives_whole_and_private_and_again_into_the_same_data_set() {
    let home = tempfile::tempdir().unwrap();
    set(&home.path().join("set"));
    fs::write(home.path().join("set/notes.txt"), "the user's own").unwrap();
    let held = Arc::new(Mutex::new(Held::default()));
    let (a, b) = (held.clone(), held.clone());
    let store = Server::start(move |request| answer(&a, "", request));
    let place = store.url();
    let hub = Server::start(move |request| answer(&b, &place, request));
    for _ in 0..2 {
        push(home.path(), &hub.url(), &["--yes"]).assert().success();
        let held = held.lock().unwrap();
        let created = json!({ "type": "dataset", "name": "set", "organization": "org", "visibility": "private" });
        assert_eq!(held.created, Some(created));
        let names: Vec<&str> = held.files.keys().map(String::as_str).collect();
        let expected = [
            "README.md",
            "images/0000.png",
            "images/0001.png",
            "manifest.json",
            "metadata.jsonl",
            "prototypes.safetensors",
            "webdataset/00000.tar",
        ];
        assert_eq!(names, expected, "what is no part of the set stays at home");
        for (name, bytes) in &held.files {
            assert!(*bytes == fs::read(home.path().join("set").join(name)).unwrap(), "{name}");
        }
        assert!(held.large.iter().all(|(oid, bytes)| Fingerprint::of_bytes(bytes).as_str() == oid));
    }
    assert_eq!(store.asked().len(), 4, "what the hub has is not sent again");
}

#[test]
fn nothing_leaves_without_a_yes_a_token_or_a_network() {
    let home = tempfile::tempdir().unwrap();
    set(&home.path().join("set"));
    let hub = Server::start(|_| Reply::status(500));
    let said = complaint(push(home.path(), &hub.url(), &[]), 2);
    assert!(said.contains("--yes: nobody is there to be asked"), "{said}");
    let dry = push(home.path(), &hub.url(), &["--dry-run"]).output().unwrap();
    let told = String::from_utf8(dry.stdout).unwrap();
    assert!(dry.status.success() && told.contains("manifest.json") && told.contains("images/, 2 files"), "{told}");
    assert!(told.contains("private, if it is not there yet") && !told.contains("Upload?"), "{told}");
    let mut without = push(home.path(), &hub.url(), &["--yes"]);
    without.env_remove("HF_TOKEN");
    assert!(complaint(without, 2).contains("HF_TOKEN: is not set"));
    let mut offline = push(home.path(), &hub.url(), &["--yes"]);
    offline.env("HF_HUB_OFFLINE", "1");
    assert!(complaint(offline, 2).contains("HF_HUB_OFFLINE: is set"));
    assert!(hub.asked().is_empty());
}

#[test]
fn a_refusal_is_told_in_a_sentence_without_the_token() {
    let home = tempfile::tempdir().unwrap();
    set(&home.path().join("set"));
    let hub = Server::start(|_| Reply::status(403));
    let said = complaint(push(home.path(), &hub.url(), &["--yes"]), 2);
    assert!(said.contains("org/set: the hub refuses (403)") && !said.contains(TOKEN), "{said}");
    let mut nameless = bare(home.path());
    nameless.args(["push", "set", "set"]);
    assert!(complaint(nameless, 2).contains("`set` is not org/name"));
}
