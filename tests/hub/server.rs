//! HTTP on a port of this machine, one connection after another; and a hub that speaks it.
#![allow(dead_code)]

use crate::common::golden;
use protostill::fingerprint::Fingerprint;
use sha1::{Digest, Sha1};
use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    time::Duration,
};

pub const COMMIT: &str = "32bd64288804d66eefd0ccbe215aa642df71cc41";
pub const BIG: &str = "model.safetensors";

/// The tiny CLIP's files, and some that must not be asked for.
pub fn files() -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::from([("pytorch_model.bin".into(), vec![1; 9]), ("../../evil.json".into(), vec![2; 9])]);
    for entry in fs::read_dir(golden("clip")).unwrap() {
        let path = entry.unwrap().path();
        all.insert(path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap());
    }
    all
}

/// The hub's list of `files`.
pub fn listing(files: &BTreeMap<String, Vec<u8>>) -> serde_json::Value {
    let about = |(name, bytes): (&String, &Vec<u8>)| {
        let git = Sha1::new().chain_update(format!("blob {}\0", bytes.len())).chain_update(bytes);
        let mut file =
            serde_json::json!({"rfilename": name, "size": bytes.len(), "blobId": format!("{:x}", git.finalize())});
        if name == BIG {
            file["lfs"] = serde_json::json!({"sha256": Fingerprint::of_bytes(bytes).as_str(), "size": bytes.len(), "pointerSize": 134});
        }
        file
    };
    serde_json::json!({"id": "org/clip", "sha": COMMIT, "siblings": files.iter().map(about).collect::<Vec<_>>()})
}

/// A well-behaved hub whose large files lie on another host, answered by `store`.
pub fn hub(store: impl Fn(&Request, &[u8]) -> Reply + Send + Sync + 'static) -> (Server, Server) {
    let big = files().remove(BIG).unwrap();
    let store = Server::start(move |request| store(request, &big));
    let place = format!("{}/blob?Signature=abc", store.url());
    let all = files();
    let hub = Server::start(move |request| {
        if request.path == "/api/models/org/clip/revision/main?blobs=true" {
            return Reply::ok(listing(&all).to_string().as_bytes());
        }
        let Some(file) = request.path.strip_prefix(&format!("/org/clip/resolve/{COMMIT}/")) else {
            // Small files are redirected within the hub.
            let moved = request.path.strip_prefix("/moved/").and_then(|file| all.get(file));
            return moved.map_or(Reply::status(404), |bytes| Reply::ok(bytes));
        };
        match file {
            BIG => Reply::status(302).with("Location", &place),
            "config.json" => Reply::status(307).with("Location", "/moved/config.json"),
            file => all.get(file).map_or(Reply::status(404), |bytes| Reply::ok(bytes)),
        }
    });
    (hub, store)
}

/// A storage host that answers ranges.
pub fn plain(request: &Request, bytes: &[u8]) -> Reply {
    match request.from() {
        Some(from) => {
            let range = format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
            Reply { status: 206, ..Reply::ok(&bytes[from..]) }.with("Content-Range", &range)
        }
        None => Reply::ok(bytes),
    }
}

/// A request's path, headers, names in lower case, and body.
#[derive(Clone, Debug)]
pub struct Request {
    pub path: String,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&String> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v)
    }

    /// Where the range that is asked for starts.
    pub fn from(&self) -> Option<usize> {
        self.header("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    }
}

#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Hang up after so many bytes of the body.
    pub cut: Option<usize>,
    /// Keep the line for so long after that, and say nothing.
    pub silence: Option<Duration>,
}

impl Reply {
    pub fn ok(body: &[u8]) -> Self {
        Self { body: body.to_vec(), ..Self::status(200) }
    }

    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), cut: None, silence: None }
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

pub struct Server {
    port: u16,
    asked: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Answers by `answer` until the tests end.
    pub fn start(answer: impl Fn(&Request) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self { port: listener.local_addr().unwrap().port(), asked: Arc::default() };
        let asked = server.asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let Some(request) = read(&stream) else { continue };
                asked.lock().unwrap().push(request.clone());
                // A client that hung up is a client's right.
                let _ = write(stream, &answer(&request));
            }
        });
        server
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn asked(&self) -> Vec<Request> {
        self.asked.lock().unwrap().clone()
    }
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut from = BufReader::new(stream);
    let mut lines = from.by_ref().lines().map_while(Result::ok);
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let header = |line: String| line.split_once(": ").map(|(n, v)| (n.to_lowercase(), v.to_owned()));
    let headers: Vec<_> = lines.take_while(|l| !l.is_empty()).filter_map(header).collect();
    let mut request = Request { path, headers, body: Vec::new() };
    let length = request.header("content-length").and_then(|v| v.parse().ok()).unwrap_or(0);
    from.take(length).read_to_end(&mut request.body).ok()?;
    Some(request)
}

fn write(mut stream: TcpStream, reply: &Reply) -> std::io::Result<()> {
    let mut head =
        format!("HTTP/1.1 {} -\r\nConnection: close\r\nContent-Length: {}\r\n", reply.status, reply.body.len());
    for (name, value) in &reply.headers {
        head += &format!("{name}: {value}\r\n");
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    stream.write_all(&reply.body[..reply.cut.unwrap_or(reply.body.len()).min(reply.body.len())])?;
    stream.flush()?;
    reply.silence.into_iter().for_each(std::thread::sleep);
    Ok(())
}

/// A hub with one data set, of which everything but the list of files is small.
pub fn data_hub(files: BTreeMap<String, Vec<u8>>) -> Server {
    Server::start(move |request| {
        if request.path == "/api/datasets/org/pairs/revision/main?blobs=true" {
            return Reply::ok(listing(&files).to_string().as_bytes());
        }
        let file = request.path.strip_prefix(&format!("/datasets/org/pairs/resolve/{COMMIT}/"));
        file.and_then(|file| files.get(file)).map_or(Reply::status(404), |bytes| Reply::ok(bytes))
    })
}
