//! Fetching from a hub: a server on this machine that speaks the hub's protocol, well or badly.
#![allow(clippy::unwrap_used)]

#[path = "hub/server.rs"]
mod server;

mod common;
mod program;
#[path = "hub/push.rs"]
mod push;

use candle_core::{DType, Device};
use common::golden;
use protostill::{
    error::{Error, Result},
    fingerprint::Fingerprint,
    models::{
        clip::Clip,
        hub::{Fetched, Hub, Name},
        weights::Checkpoint,
    },
};
use server::{BIG, COMMIT, Reply, Request, Server, data_hub, files, hub, listing, plain};
use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

const TOKEN: &str = "hf_averysecrettoken";
fn at(server: &Server, cache: &Path, more: &[(&str, &str)]) -> Hub {
    let mut vars = BTreeMap::from([
        ("HF_HUB_CACHE", cache.display().to_string()),
        ("HF_ENDPOINT", server.url()),
        ("HF_TOKEN", TOKEN.into()),
    ]);
    vars.extend(more.iter().map(|(k, v)| (*k, (*v).to_owned())));
    Hub::from_env(|name| vars.get(name).map(Into::into))
}

fn fetch(hub: &Hub) -> Result<Fetched> {
    hub.fetch(&Name::parse("org/clip").unwrap(), &mut |_, _| Ok(()))
}

fn works(hub: &Hub) {
    let ids = |clip: &Clip| clip.tokenizer().ids("a red man").unwrap();
    let features = |checkpoint: &Checkpoint| {
        let clip = Clip::load(checkpoint, DType::F32, &Device::Cpu).unwrap();
        clip.encode_texts(&[ids(&clip)]).unwrap().to_vec2::<f32>().unwrap()
    };
    let found = features(&Checkpoint::open("org/clip", hub).unwrap());
    assert_eq!(found, features(&Checkpoint::Folder(golden("clip"))));
}

/// What lies in the cache's `blobs`.
fn blobs(cache: &Path) -> Vec<String> {
    let entries = fs::read_dir(cache.join("models--org--clip/blobs")).into_iter().flatten();
    entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_model_comes_through_redirects_and_the_token_stays_with_the_hub() {
    let cache = tempfile::tempdir().unwrap();
    let (server, store) = hub(plain);
    let hub = at(&server, cache.path(), &[]);
    let (mut last, mut seen) = (0, 0);
    let fetched = hub
        .fetch(&Name::parse("org/clip").unwrap(), &mut |done, total| {
            assert!(done >= last && done <= total);
            (last, seen) = (done, total);
            Ok(())
        })
        .unwrap();
    assert_eq!((last, fetched.bytes, fetched.files), (seen, seen, 8));
    works(&hub);
    let asked: Vec<Request> = server.asked();
    assert!(asked.iter().all(|r| r.header("authorization") == Some(&format!("Bearer {TOKEN}"))));
    assert!(!asked.iter().any(|r| r.path.contains("pytorch_model.bin") || r.path.contains("evil")));
    assert!(store.asked().iter().all(|r| r.header("authorization").is_none()) && !store.asked().is_empty());
    // Where huggingface_hub looks: named by hash, linked from the commit.
    let model = cache.path().join("models--org--clip");
    assert_eq!(fs::read_to_string(model.join("refs/main")).unwrap(), COMMIT);
    let hash = Fingerprint::of_bytes(&files()[BIG]).to_string();
    assert!(blobs(cache.path()).contains(&hash));
    #[cfg(unix)]
    assert_eq!(fs::read_link(fetched.folder.join(BIG)).unwrap(), Path::new("../../blobs").join(hash));
    // A second time, only the list is asked for.
    let before = (server.asked().len(), store.asked().len());
    fetch(&hub).unwrap();
    assert_eq!((server.asked().len(), store.asked().len()), (before.0 + 1, before.1));
}

#[test]
fn a_dry_run_tells_what_is_lacking_and_fetches_nothing_but_the_list() {
    let cache = tempfile::tempdir().unwrap();
    let (server, store) = hub(plain);
    let hub = at(&server, cache.path(), &[]);
    let lacking = || hub.lacking(&Name::parse("org/clip").unwrap()).unwrap();
    let (whole, bytes) = lacking();
    assert!(bytes == whole.bytes && store.asked().is_empty() && fs::read_dir(cache.path()).unwrap().next().is_none());
    assert_eq!((fetch(&hub).unwrap(), lacking()), (whole.clone(), (whole.clone(), 0)));
    fs::remove_file(fs::canonicalize(whole.folder.join(BIG)).unwrap()).unwrap();
    assert_eq!(lacking(), (whole, files()[BIG].len() as u64));
}

#[test]
fn a_cut_transfer_goes_on_where_it_stopped() {
    let cache = tempfile::tempdir().unwrap();
    let (server, store) = hub(|request, bytes| match request.from() {
        None => Reply { cut: Some(bytes.len() / 3), ..plain(request, bytes) },
        Some(from) if from < bytes.len() / 2 => Reply { cut: Some(bytes.len() / 3), ..plain(request, bytes) },
        Some(_) => plain(request, bytes),
    });
    let hub = at(&server, cache.path(), &[]);
    fetch(&hub).unwrap();
    let starts: Vec<Option<usize>> = store.asked().iter().map(Request::from).collect();
    let third = files()[BIG].len() / 3;
    assert_eq!(starts, [None, Some(third), Some(2 * third)]);
    works(&hub);
}

#[test]
fn a_stopped_fetch_goes_on_in_the_next_one() {
    let cache = tempfile::tempdir().unwrap();
    // Half of it, then nothing for as long as it is listened to.
    let (server, store) = hub(|request, bytes| Reply { cut: Some(bytes.len() / 2), ..plain(request, bytes) });
    let hub = at(&server, cache.path(), &[]);
    let half = files()[BIG].len() as u64 / 2;
    let result = hub.fetch(&Name::parse("org/clip").unwrap(), &mut |done, total| {
        if done + half + 1 >= total { Err(Error::Cancelled) } else { Ok(()) }
    });
    assert!(matches!(result, Err(Error::Cancelled)), "{result:?}");
    assert!(Checkpoint::open("org/clip", &hub).is_err(), "half a model is none");
    let first = store.asked().len();
    fetch(&hub).unwrap();
    assert!(store.asked()[first].from().is_some_and(|from| from > 0));
    works(&hub);
}

#[test]
fn a_server_without_ranges_is_read_from_the_start_again() {
    let cache = tempfile::tempdir().unwrap();
    let turn = AtomicUsize::new(0);
    let (server, _store) = hub(move |_, bytes| match turn.fetch_add(1, Ordering::SeqCst) {
        0 => Reply { cut: Some(1000), ..Reply::ok(bytes) },
        _ => Reply::ok(bytes),
    });
    let hub = at(&server, cache.path(), &[]);
    fetch(&hub).unwrap();
    works(&hub);
}

#[test]
fn a_download_that_falls_silent_is_asked_for_again_where_it_stopped() {
    let cache = tempfile::tempdir().unwrap();
    let turn = AtomicUsize::new(0);
    let (server, store) = hub(move |request, bytes| match turn.fetch_add(1, Ordering::SeqCst) {
        0 => Reply { cut: Some(1000), silence: Some(Duration::from_millis(2500)), ..Reply::ok(bytes) },
        _ => plain(request, bytes),
    });
    let hub = at(&server, cache.path(), &[("HF_HUB_DOWNLOAD_TIMEOUT", "1")]);
    fetch(&hub).unwrap();
    works(&hub);
    assert!(store.asked().len() > 1 && store.asked()[1].from() == Some(1000), "{:?}", store.asked());
}

#[test]
fn what_has_another_hash_is_not_kept() {
    type Spoil = fn(&[u8]) -> Vec<u8>;
    let wrong: [Spoil; 2] =
        [|bytes| [&bytes[..bytes.len() - 1], &[!bytes[bytes.len() - 1]]].concat(), |bytes| [bytes, b"more"].concat()];
    for (bytes, said) in wrong.into_iter().zip(["another hash", "longer than"]) {
        let cache = tempfile::tempdir().unwrap();
        let (server, _store) = hub(move |request, right| plain(request, &bytes(right)));
        let message = fetch(&at(&server, cache.path(), &[])).unwrap_err().to_string();
        assert!(message.contains(said) && message.contains("org/clip/model.safetensors"), "{message}");
        let hash = Fingerprint::of_bytes(&files()[BIG]).to_string();
        assert!(!blobs(cache.path()).contains(&hash), "{said}");
        assert!(!cache.path().join("models--org--clip/refs/main").exists());
    }
    // Small files have git's hash.
    let cache = tempfile::tempdir().unwrap();
    let mut all = files();
    let list = listing(&all).to_string();
    all.get_mut("merges.txt").unwrap()[3] ^= 1;
    let server = Server::start(move |request| match request.path.rsplit('/').next().unwrap() {
        "main?blobs=true" => Reply::ok(list.as_bytes()),
        file => Reply::ok(&all[file]),
    });
    let message = fetch(&at(&server, cache.path(), &[])).unwrap_err().to_string();
    assert!(message.contains("merges.txt") && message.contains("another hash"), "{message}");
}

#[test]
fn refusals_say_what_to_do_and_nothing_of_the_token() {
    let cache = tempfile::tempdir().unwrap();
    for (status, said) in [(401, "refuses (401)"), (403, "may not read it"), (404, "no such model"), (418, "418")] {
        let server = Server::start(move |_| Reply { body: TOKEN.into(), ..Reply::status(status) });
        let hub = at(&server, cache.path(), &[]);
        let message = fetch(&hub).unwrap_err().to_string();
        assert!(message.contains(said) && message.contains("org/clip") && !message.contains(TOKEN), "{message}");
        assert!(!format!("{hub:?}").contains(TOKEN));
        assert_eq!(server.asked().len(), 1, "what is refused is not asked for again");
        let anonymous = at(&server, cache.path(), &[("HF_TOKEN", ""), ("HF_TOKEN_PATH", "/nowhere")]);
        let message = fetch(&anonymous).unwrap_err().to_string();
        assert!(status > 403 || message.contains("set HF_TOKEN"), "{message}");
        assert!(server.asked()[1].header("authorization").is_none());
    }
    let file = cache.path().join("token");
    fs::write(&file, format!("{TOKEN}\n")).unwrap();
    let server = Server::start(|_| Reply::status(404));
    fetch(&at(&server, cache.path(), &[("HF_TOKEN", ""), ("HF_TOKEN_PATH", file.to_str().unwrap())])).unwrap_err();
    assert_eq!(server.asked()[0].header("authorization"), Some(&format!("Bearer {TOKEN}")));
}

#[test]
fn a_busy_hub_is_asked_again_and_a_loop_of_redirects_ends() {
    let cache = tempfile::tempdir().unwrap();
    let turn = Arc::new(AtomicUsize::new(0));
    let turns = turn.clone();
    let (inner, _store) = hub(plain);
    let url = inner.url();
    let busy = Server::start(move |request| match turns.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::status(503),
        1 => Reply::status(429),
        _ => Reply::status(307).with("Location", &format!("{url}{}", request.path)),
    });
    fetch(&at(&busy, cache.path(), &[])).unwrap();
    assert!(inner.asked().iter().all(|r| r.header("authorization").is_none()), "another port is another host");
    let circle = Server::start(|request| Reply::status(302).with("Location", &request.path));
    let message = fetch(&at(&circle, cache.path(), &[])).unwrap_err().to_string();
    assert!(message.contains("redirects"), "{message}");
}

#[test]
fn offline_makes_no_connection_at_all() {
    let cache = tempfile::tempdir().unwrap();
    let (server, _store) = hub(plain);
    for value in ["1", "true", "YES", "on"] {
        let hub = at(&server, cache.path(), &[("HF_HUB_OFFLINE", value)]);
        let message = fetch(&hub).unwrap_err().to_string();
        assert!(message.contains("HF_HUB_OFFLINE") && message.contains("org/clip"), "{message}");
        let message = Checkpoint::open("org/clip", &hub).unwrap_err().to_string();
        assert!(message.contains("protostill fetch org/clip"), "{message}");
    }
    assert!(server.asked().is_empty());
    fetch(&at(&server, cache.path(), &[("HF_HUB_OFFLINE", "0")])).unwrap();
    works(&at(&server, cache.path(), &[("HF_HUB_OFFLINE", "1")]));
}

#[test]
fn a_list_that_lies_is_refused_and_nothing_is_written_beside_the_cache() {
    let outside = tempfile::tempdir().unwrap();
    let cache = outside.path().join("cache");
    let mut bad = vec![("[]".to_owned(), "cannot be read"), ("<html>".into(), "cannot be read")];
    for (key, value, said) in [("sha", "../../evil", "does not name a commit"), ("sha", "", "does not name a commit")] {
        let mut list = listing(&files());
        list[key] = value.into();
        bad.push((list.to_string(), said));
    }
    let mut list = listing(&files());
    for file in list["siblings"].as_array_mut().unwrap() {
        file["blobId"] = "../../../evil".into();
    }
    bad.push((list.to_string(), "no hash or size"));
    bad.push((
        serde_json::json!({"sha": COMMIT, "siblings": [{"rfilename": "pytorch_model.bin"}]}).to_string(),
        "safetensors",
    ));
    for (list, said) in bad {
        let server = Server::start(move |_| Reply::ok(list.as_bytes()));
        let message = fetch(&at(&server, &cache, &[])).unwrap_err().to_string();
        assert!(message.contains(said), "{message}");
    }
    let left: Vec<_> = fs::read_dir(outside.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.is_empty() || left == ["cache"], "{left:?}");
}

#[test]
fn the_program_fetches_and_never_shows_the_token() {
    let home = tempfile::tempdir().unwrap();
    let (server, _store) = hub(plain);
    let refusing = Server::start(|_| Reply::status(401));
    for (server, code) in [(&server, 0), (&refusing, 2)] {
        let mut command = program::bare(home.path());
        command
            .args(["fetch", "org/clip", "--progress", "plain"])
            .env("PROTOSTILL_LOG", "trace")
            .env("HF_TOKEN", TOKEN);
        command.env("HF_ENDPOINT", server.url()).env("HF_HOME", home.path().join("hf"));
        let output = command.output().unwrap();
        let said = [output.stdout, output.stderr].map(|s| String::from_utf8_lossy(&s).into_owned()).concat();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains("org/clip") && !said.contains(TOKEN) && !said.contains("Signature"), "{said}");
    }
    assert!(home.path().join("hf/hub/models--org--clip/refs/main").is_file());
}

#[test]
fn what_the_settings_name_is_fetched_when_it_is_needed_unless_offline() {
    let home = tempfile::tempdir().unwrap();
    let (server, _store) = hub(plain);
    fs::write(home.path().join("hub.toml"), program::TINY.replace("clip = \"demo\"", "clip = \"org/clip\"")).unwrap();
    let stats = |offline: &str| {
        let mut command = program::bare(home.path());
        command.args(["--config", "hub.toml", "stats"]).env("HF_HUB_OFFLINE", offline);
        command.env("HF_ENDPOINT", server.url()).env("HF_HOME", home.path());
        command
    };
    let said = program::complaint(stats("1"), 2);
    assert!(said.contains("protostill fetch org/clip") && server.asked().is_empty(), "{said}");
    stats("0").assert().success();
    let asked = server.asked().len();
    stats("0").assert().success();
    assert_eq!(server.asked().len(), asked, "what is there is not asked for");
}

#[test]
fn a_data_set_is_named_as_on_the_hub_fetched_once_and_read_from_the_cache() {
    let mut picture = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(3, 2).write_to(&mut picture, image::ImageFormat::Png).unwrap();
    let line = b"{\"file_name\": \"a.png\", \"text\": \"a dog\"}\n".to_vec();
    let files = [
        ("train/metadata.jsonl", line),
        ("train/a.png", picture.into_inner()),
        ("README.md", vec![b'x']),
        ("../evil.json", vec![b'x']),
    ];
    let server = data_hub(files.map(|(name, bytes)| (name.to_owned(), bytes)).into());
    let home = tempfile::tempdir().unwrap();
    let check = |offline: &str| {
        let mut command = program::protostill(home.path());
        command.args(["check", "org/pairs", "--json", "--progress", "none"]);
        command
            .env("HF_HUB_CACHE", home.path().join("hub"))
            .env("HF_ENDPOINT", server.url())
            .env("HF_HUB_OFFLINE", offline);
        command.assert()
    };
    let said = check("1").code(2);
    let said = String::from_utf8_lossy(&said.get_output().stderr).into_owned();
    assert!(said.contains("protostill fetch datasets/org/pairs"), "{said}");
    let found = check("").success();
    let found: serde_json::Value = serde_json::from_slice(&found.get_output().stdout).unwrap();
    assert_eq!((&found["layout"], &found["train"]["captions"]), (&"imagefolder".into(), &1.into()));
    let asked = server.asked().len();
    check("1").success();
    assert_eq!(server.asked().len(), asked);
    assert!(!server.asked().iter().any(|r| r.path.contains("evil") || r.path.contains("README")));
}

#[test]
fn offline_a_model_that_is_whole_counts_as_fetched_and_half_a_one_does_not() {
    let cache = tempfile::tempdir().unwrap();
    let (server, _store) = hub(plain);
    let whole = fetch(&at(&server, cache.path(), &[])).unwrap();
    let offline = at(&server, cache.path(), &[("HF_HUB_OFFLINE", "1")]);
    assert_eq!(fetch(&offline).unwrap(), whole);
    fs::remove_file(whole.folder.join("preprocessor_config.json")).unwrap();
    let said = fetch(&offline).unwrap_err().to_string();
    assert!(said.contains("preprocessor_config.json: is needed"), "{said}");
}
