//! One file from the hub to the disk: what was cut off goes on where it stopped, what has another hash is not kept.

use super::client::{Client, Failure};
use crate::{
    error::{Error, Result},
    fsio::disk::{self, Out},
};
use serde::Deserialize;
use sha2::Digest;
use std::{
    io::{self, Read, Seek, Write},
    path::Path,
    time::Duration,
};

/// How often a file is asked for again after a cut.
pub(super) const RETRIES: u32 = 5;
/// Bytes after which the counting starts anew.
const ENOUGH: u64 = 1 << 20;

/// A file of a model, as the hub lists it.
#[derive(Clone, Deserialize)]
pub(super) struct Remote {
    pub(super) rfilename: String,
    #[serde(default)]
    size: u64,
    /// The file's name in git: SHA-1 over a header and the content.
    #[serde(default, rename = "blobId")]
    blob: String,
    /// Large files have a SHA-256.
    #[serde(default)]
    lfs: Option<Large>,
}

#[derive(Clone, Deserialize)]
struct Large {
    sha256: String,
    size: u64,
}

impl Remote {
    /// SHA-256 or git's SHA-1, in hex.
    pub(super) fn hash(&self) -> &str {
        self.lfs.as_ref().map_or(&self.blob, |l| &l.sha256)
    }

    /// In bytes.
    pub(super) fn size(&self) -> u64 {
        self.lfs.as_ref().map_or(self.size, |l| l.size)
    }
}

/// `file` to `blob`, by way of `blob.incomplete`, which a later fetch goes on with.
pub(super) fn download(
    client: &Client,
    url: &str,
    file: &Remote,
    blob: &Path,
    watch: &mut dyn FnMut(u64) -> Result<()>,
    wrong: &dyn Fn(Failure) -> Error,
) -> Result<()> {
    let partial = blob.with_file_name(format!("{}.incomplete", file.hash()));
    let open = || -> io::Result<Out> {
        disk::create_folders(disk::parent(&partial))?;
        Out::update(&partial)
    };
    let mut out = open().map_err(Error::io(&partial))?;
    if out.file().try_lock().is_err() {
        return Err(wrong(Failure::Final("is being fetched by another process".into())));
    }
    let (mut attempt, mut there) = (0, 0);
    while let Err(e) = stream(client, url, file.size(), &mut out, watch) {
        // Patience is for a hub that gives nothing; one that gives a little at a time gets there.
        let now = out.file().metadata().map_err(Error::io(&partial))?.len();
        if now >= there + ENOUGH {
            (attempt, there) = (0, now);
        }
        match e {
            Cut::Network(Failure::Again(_)) if attempt < RETRIES => pause(attempt),
            Cut::Network(failure) => return Err(wrong(failure)),
            Cut::Disk(e) => return Err(Error::io(&partial)(e)),
            Cut::Stopped(e) => return Err(e),
        }
        attempt += 1;
    }
    let mut keep = || -> io::Result<bool> {
        out.sync()?;
        let right = hash_of(&mut out, file)? == file.hash();
        if right {
            disk::rename(&partial, blob)?;
            disk::sync_folder(disk::parent(blob))?;
        } else {
            disk::remove_file(&partial)?;
        }
        Ok(right)
    };
    if keep().map_err(Error::io(&partial))? {
        return Ok(());
    }
    Err(wrong(Failure::Final(
        "what came has another hash than the hub announced, and was not kept; fetch it again".into(),
    )))
}

/// What ends a transfer early.
enum Cut {
    Network(Failure),
    Disk(io::Error),
    Stopped(Error),
}

/// Appends what is missing of a file of `size` bytes to `out`.
fn stream(
    client: &Client,
    url: &str,
    size: u64,
    out: &mut Out,
    watch: &mut dyn FnMut(u64) -> Result<()>,
) -> std::result::Result<(), Cut> {
    let there = out.file().metadata().map_err(Cut::Disk)?.len();
    if there == size {
        return Ok(());
    }
    let there = if there > size { 0 } else { there };
    let mut answer = client.get(url, there).map_err(Cut::Network)?;
    if answer.start > there {
        return Err(Cut::Network(Failure::Final("the hub left out a part".into())));
    }
    // A server that does not know ranges starts anew.
    let mut at = answer.start;
    out.set_len(at).and_then(|()| out.seek(io::SeekFrom::Start(at))).map_err(Cut::Disk)?;
    let mut buffer = vec![0; 1 << 18];
    loop {
        watch(at).map_err(Cut::Stopped)?;
        let read = answer.body.read(&mut buffer).map_err(|e| Cut::Network(Failure::Again(e.to_string())))?;
        at += read as u64;
        match read {
            0 if at == size => return Ok(()),
            0 => return Err(Cut::Network(Failure::Again(format!("ended at byte {at} of {size}")))),
            _ if at > size => {
                return Err(Cut::Network(Failure::Final(format!("is longer than the {size} bytes announced"))));
            }
            _ => out.write_all(&buffer[..read]).map_err(Cut::Disk)?,
        }
    }
}

/// SHA-256 of a large file, of others what git calls them.
fn hash_of(file: &mut Out, about: &Remote) -> io::Result<String> {
    file.seek(io::SeekFrom::Start(0))?;
    let mut reader = io::BufReader::with_capacity(1 << 20, file);
    if about.lfs.is_some() {
        let mut hash = sha2::Sha256::new();
        io::copy(&mut reader, &mut hash)?;
        return Ok(format!("{:x}", hash.finalize()));
    }
    let mut hash = sha1::Sha1::new();
    hash.update(format!("blob {}\0", about.size()));
    io::copy(&mut reader, &mut hash)?;
    Ok(format!("{:x}", hash.finalize()))
}

/// A relative link at `place` to `blob`, or the file itself where links are not to be had.
pub(super) fn link(blob: &Path, place: &Path, path: &str) -> Result<()> {
    let put = || -> io::Result<()> {
        disk::create_folders(disk::parent(place))?;
        if std::fs::symlink_metadata(place).is_ok() {
            disk::remove_file(place)?;
        }
        #[cfg(unix)]
        {
            let up = "../".repeat(2 + path.matches('/').count());
            let name = blob.file_name().unwrap_or_default();
            if disk::link(&Path::new(&up).join("blobs").join(name), place).is_ok() {
                return disk::sync_folder(disk::parent(place));
            }
        }
        #[cfg(not(unix))]
        let _ = path;
        disk::rename(blob, place)?;
        disk::sync_folder(disk::parent(place))
    };
    put().map_err(Error::io(place))
}

pub(super) fn pause(attempt: u32) {
    std::thread::sleep(Duration::from_millis(100 << attempt));
}
