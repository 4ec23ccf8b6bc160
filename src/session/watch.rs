//! Looking on while another process works in a session.

use super::{Sink, live};
use crate::app::{Event, Told};
use serde_json::Value;
use std::{
    io::{self, BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::Path,
    thread,
};

/// An end of the owner's socket.
pub struct Watch(UnixStream);

impl Watch {
    /// Listens to the owner of a session.
    ///
    /// # Errors
    /// If nobody owns it, or it cannot be reached.
    pub fn open(journal: &Path, sink: Sink) -> io::Result<Self> {
        let place = live::place(journal).map_err(io::Error::other)?;
        let stream = UnixStream::connect(place)?;
        let from = BufReader::new(stream.try_clone()?);
        let hear = move || {
            let told = from.lines().map_while(Result::ok).filter_map(|line| told(&line));
            told.for_each(|told| sink(Event::Elsewhere(told)));
            sink(Event::Elsewhere(Told::Gone));
        };
        thread::Builder::new().name("watch".into()).spawn(hear)?;
        Ok(Self(stream))
    }

    /// Asks the owner to end.
    pub fn ask(&mut self) -> io::Result<()> {
        writeln!(self.0, "{}", live::END)
    }
}

/// Whether anybody owns the session and can be reached.
pub fn is_open(journal: &Path) -> bool {
    live::place(journal).is_ok_and(|place| UnixStream::connect(place).is_ok())
}

/// What a line says; lines of later versions may say what is unknown here.
fn told(line: &str) -> Option<Told> {
    let value: Value = serde_json::from_str(line).ok()?;
    let words = |v: &Value| v.as_array().map(|a| a.iter().filter_map(|s| s.as_str().map(str::to_owned)).collect());
    let whole = |key: &str| value.get(key).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
    if let Some(jobs) = value.get("jobs") {
        return words(jobs).map(Told::Jobs);
    }
    if let Some(left) = value.get("left") {
        return words(left).map(Told::Left);
    }
    Some(Told::Step(value.get("stage")?.as_str()?.to_owned(), whole("done")?, whole("total")?))
}
