//! HTTP as the hub speaks it: redirects to other hosts, answers from the middle of a file, refusals.
//!
//! Not by the crate hf-hub (1.0): it begins a cut download anew, compares neither length nor hash with what was announced, knows
//! nothing of `HF_HUB_OFFLINE`, and brings an HTTP stack and a runtime of its own (326 crates).

use super::{Hub, Secret, brisk::Brisk};
use std::{collections::BTreeMap, io::Read, time::Duration};

/// Redirects followed for one file.
const REDIRECTS: usize = 10;
/// Largest answer to what was posted that is read, in bytes.
const ANSWER: u64 = 16 << 20;

/// Why an answer did not come.
pub enum Failure {
    /// It may come if asked again: a cut connection, an overloaded server.
    Again(String),
    /// It will not.
    Final(String),
    /// What was to be made is there.
    Conflict,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Again(message) | Self::Final(message) => f.write_str(message),
            Self::Conflict => f.write_str("is there already (409)"),
        }
    }
}

/// An answer's body and where in the file it starts.
pub struct Answer {
    pub start: u64,
    pub body: Box<dyn Read>,
}

pub struct Client {
    agent: ureq::Agent,
    /// Scheme and host that the token is for, with a slash.
    origin: String,
    token: Option<Secret>,
    patience: Duration,
}

impl Client {
    pub fn new(hub: &Hub) -> Result<Self, Failure> {
        let host = ["https://", "http://"].iter().find_map(|s| Some((s, hub.endpoint.strip_prefix(s)?)));
        let Some((scheme, rest)) = host else {
            return Err(Failure::Final("HF_ENDPOINT must start with https:// or http://".into()));
        };
        let origin = format!("{scheme}{}/", rest.split('/').next().unwrap_or_default());
        let config = ureq::Agent::config_builder()
            .max_redirects(0)
            .http_status_as_error(false)
            .timeout_connect(Some(Duration::from_secs(30)))
            .timeout_recv_response(Some(Duration::from_secs(60)))
            .timeout_per_read(Some(hub.patience));
        Ok(Self { agent: config.build().into(), origin, token: hub.token(), patience: hub.patience })
    }

    /// The content of `url` from byte `from` on; an answer may start earlier than asked.
    pub fn get(&self, url: &str, from: u64) -> Result<Answer, Failure> {
        let mut url = url.to_owned();
        for _ in 0..=REDIRECTS {
            let response = self.ask(&url, from)?;
            let header = |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok());
            let status = response.status().as_u16();
            match status {
                200 | 206 => {
                    let range =
                        header("content-range").and_then(|r| r.strip_prefix("bytes ")?.split('-').next()?.parse().ok());
                    let start = if status == 206 { range.unwrap_or(from) } else { 0 };
                    return Ok(Answer {
                        start,
                        body: Box::new(Brisk::new(response.into_body().into_reader(), self.patience)),
                    });
                }
                301 | 302 | 303 | 307 | 308 => url = self.redirected(header("location").unwrap_or_default())?,
                _ => return Err(refusal(status, self.token.is_some())),
            }
        }
        Err(Failure::Final(format!("more than {REDIRECTS} redirects")))
    }

    fn ask(&self, url: &str, from: u64) -> Result<ureq::http::Response<ureq::Body>, Failure> {
        let mut request = self.agent.get(url).header("Accept-Encoding", "identity");
        if let Some(bearer) = self.bearer(url) {
            request = request.header("Authorization", bearer);
        }
        if from > 0 {
            request = request.header("Range", format!("bytes={from}-"));
        }
        request.call().map_err(unanswered)
    }

    /// The token is the hub's alone: redirects and addresses to upload to lead to other people's hosts.
    fn bearer(&self, url: &str) -> Option<String> {
        let Secret(token) = self.token.as_ref().filter(|_| url.starts_with(&self.origin))?;
        Some(format!("Bearer {token}"))
    }

    /// Posts `body`, which is of this kind; the answer.
    pub fn post(&self, url: &str, kind: &str, body: &[u8]) -> Result<Vec<u8>, Failure> {
        let mut request =
            self.agent.post(url).header("Content-Type", kind).header("Accept", "*/*, application/vnd.git-lfs+json");
        if let Some(bearer) = self.bearer(url) {
            request = request.header("Authorization", bearer);
        }
        let response = request.send(body).map_err(unanswered)?;
        let status = response.status().as_u16();
        let mut bytes = Vec::new();
        let body = Brisk::new(response.into_body().into_reader(), self.patience);
        body.take(ANSWER).read_to_end(&mut bytes).map_err(|e| Failure::Again(e.to_string()))?;
        match status {
            200..=299 => Ok(bytes),
            409 => Err(Failure::Conflict),
            _ => Err(refusal(status, self.token.is_some())),
        }
    }

    /// Puts `bytes` where the hub said, with the headers that it asks for.
    pub fn put(&self, url: &str, headers: &BTreeMap<String, String>, bytes: &[u8]) -> Result<(), Failure> {
        let mut request = headers.iter().fold(self.agent.put(url), |r, (name, value)| r.header(name, value));
        if let Some(bearer) = self.bearer(url).filter(|_| !headers.contains_key("Authorization")) {
            request = request.header("Authorization", bearer);
        }
        match request.send(bytes).map_err(unanswered)?.status().as_u16() {
            200..=299 => Ok(()),
            status => Err(refusal(status, self.token.is_some())),
        }
    }

    fn redirected(&self, location: &str) -> Result<String, Failure> {
        match location {
            l if l.starts_with("https://") || l.starts_with("http://") && self.origin.starts_with("http://") => {
                Ok(l.to_owned())
            }
            l if l.starts_with('/') && !l.starts_with("//") => Ok(format!("{}{}", self.origin, &l[1..])),
            _ => Err(Failure::Final("redirected to nowhere that can be followed".into())),
        }
    }
}

/// Why there was no answer at all, in words of ours: ureq's may hold an address, and that a signature.
fn unanswered(error: ureq::Error) -> Failure {
    match error {
        ureq::Error::Io(e) => Failure::Again(format!("the hub cannot be reached: {e}")),
        ureq::Error::Timeout(_) => Failure::Again("no answer in time".into()),
        ureq::Error::HostNotFound => Failure::Again("the hub's host is not known".into()),
        ureq::Error::Http(_) => Failure::Final("the token or an address has characters that HTTP forbids".into()),
        ureq::Error::Rustls(e) => Failure::Final(format!("TLS: {e}")),
        _ => Failure::Again("the connection failed".into()),
    }
}

/// What a status other than success means for the person who asked.
fn refusal(status: u16, token: bool) -> Failure {
    match status {
        401 | 403 => {
            let token = if token {
                "the token that was sent may not read it, or not write to it"
            } else {
                "no token was sent: set HF_TOKEN"
            };
            Failure::Final(format!(
                "the hub refuses ({status}): unknown, private, or gated by conditions to accept; {token}"
            ))
        }
        404 => Failure::Final("the hub has no such model, revision or file (404)".into()),
        408 | 429 | 500.. => Failure::Again(format!("the hub is busy or broken ({status})")),
        _ => Failure::Final(format!("the hub answered {status}")),
    }
}
