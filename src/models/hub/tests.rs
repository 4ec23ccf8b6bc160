//! A fetch that any crash or failing call may end.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::{
    fingerprint::Fingerprint,
    fsio::crash::{Kept, Recorder},
};
use sha1::Digest;
use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::Path,
};

const COMMIT: &str = "32bd64288804d66eefd0ccbe215aa642df71cc41";
const FILES: [(&str, &[u8]); 2] = [("config.json", b"{\"a\": 1}"), ("model.safetensors", b"weights, as it were")];

/// A hub of one model, for as long as the tests run; returns its address.
fn hub() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = format!("http://{}", listener.local_addr().unwrap());
    let about = |(name, bytes): &(&str, &[u8])| {
        let git = sha1::Sha1::new().chain_update(format!("blob {}\0", bytes.len())).chain_update(bytes);
        let hash = Fingerprint::of_bytes(bytes);
        let lfs =
            name.ends_with("safetensors").then(|| serde_json::json!({"sha256": hash.as_str(), "size": bytes.len()}));
        serde_json::json!({"rfilename": name, "size": bytes.len(), "blobId": format!("{:x}", git.finalize()), "lfs": lfs})
    };
    let listing =
        serde_json::json!({"sha": COMMIT, "siblings": FILES.iter().map(about).collect::<Vec<_>>()}).to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let lines = BufReader::new(&stream).lines().map_while(std::result::Result::ok);
            let head: Vec<String> = lines.take_while(|l| !l.is_empty()).collect();
            let path = head[0].split(' ').nth(1).unwrap_or_default();
            let file = FILES.iter().find(|(name, _)| path.ends_with(name)).map_or(listing.as_bytes(), |f| f.1);
            let length = file.len();
            let _ = write!(stream, "HTTP/1.1 200 -\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
            let _ = stream.write_all(file);
        }
    });
    place
}

fn fetch(endpoint: &str, cache: &Path) -> Result<Fetched> {
    let hub = Hub { endpoint: endpoint.to_owned(), offline: false, ..Hub::new(cache) };
    hub.fetch(&Name::parse("org/model").unwrap(), &mut |_, _| Ok(()))
}

/// What a name in a cache stands for, if it stands for anything; then it must be all of it.
fn held(cache: &Path) -> Option<PathBuf> {
    let folder = Hub::new(cache).snapshot(&Name::parse("org/model").unwrap()).ok()?;
    FILES.iter().for_each(|(name, bytes)| assert_eq!(std::fs::read(folder.join(name)).unwrap(), *bytes, "{name}"));
    Some(folder)
}

#[test]
fn whatever_crash_ends_a_fetch_a_name_stands_for_a_whole_model_and_the_next_fetch_brings_it() {
    let (endpoint, disk) = (hub(), Recorder::over(|_| {}));
    fetch(&endpoint, &disk.root().join("hub")).unwrap();
    disk.promise(Kept::PowerCut, 1);
    let (calls, states) = disk.states(|root, promised| {
        let cache = root.join("hub");
        assert!(held(&cache).is_some() || promised == 0);
        // A part whose bytes a power cut took is thrown away, which costs one more try.
        let again = fetch(&endpoint, &cache).or_else(|_| fetch(&endpoint, &cache));
        again.unwrap();
        assert!(held(&cache).is_some());
    });
    assert!(calls > 20 && states > 60, "{calls} calls, {states} states");
    for (call, ever) in (0..calls).flat_map(|call| [(call, false), (call, true)]) {
        let disk = Recorder::over(|_| {});
        let cache = disk.root().join("hub");
        disk.fail(call, ever);
        let done = fetch(&endpoint, &cache);
        assert!(held(&cache).is_some() || done.is_err(), "call {call}");
        disk.heal();
        fetch(&endpoint, &cache).or_else(|_| fetch(&endpoint, &cache)).unwrap();
        assert!(held(&cache).is_some(), "call {call}");
    }
}
