//! Content of packed files, in a file that the system forgets with the process.

use crate::caught::lock;
use flate2::read::MultiGzDecoder;
use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    sync::Mutex,
};

/// Most bytes that a packed file is unpacked to however short it is, and for each of its bytes besides: what hardly repeats
/// itself, such as pictures and features, shrinks by less.
const BASE: u64 = 1 << 27;
const WORTH: u64 = 64;

/// Unpacked bytes, in the folder for temporary files (`TMPDIR`).
#[derive(Debug)]
pub struct Unpacked(Mutex<File>);

impl PartialEq for Unpacked {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Unpacked {}

impl Unpacked {
    /// What `from` gives, which was packed in `packed` bytes.
    ///
    /// # Errors
    /// What reading gives, [`io::ErrorKind::InvalidData`] for more than the file can be worth.
    pub fn of(from: &mut dyn Read, packed: u64) -> io::Result<Self> {
        let most = BASE + WORTH * packed;
        let mut to = tempfile::tempfile()?;
        let written = io::copy(&mut from.take(most + 1), &mut to)?;
        if written > most {
            let message = format!("{packed} bytes unpack to more than {most}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        to.flush()?;
        Ok(Self(Mutex::new(to)))
    }

    /// The content of a gzip file.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn gzip(file: &File) -> io::Result<Self> {
        let packed = file.metadata()?.len();
        Self::of(&mut MultiGzDecoder::new(io::BufReader::with_capacity(1 << 16, file)), packed)
    }

    /// `length` bytes from `offset`.
    ///
    /// # Errors
    /// What the system says, such as where it ends before.
    pub fn read(&self, offset: u64, length: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(length as usize)?;
        bytes.resize(length as usize, 0);
        self.read_into(offset, &mut bytes).map(|()| bytes)
    }

    /// Fills `to` from `offset` on.
    ///
    /// # Errors
    /// What the system says, such as where it ends before.
    pub fn read_into(&self, offset: u64, to: &mut [u8]) -> io::Result<()> {
        let mut file = lock(&self.0);
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(to)
    }

    /// How many bytes there are.
    pub fn length(&self) -> u64 {
        let file = lock(&self.0);
        file.metadata().map_or(0, |about| about.len())
    }

    /// Another hand on it; both have one position.
    ///
    /// # Errors
    /// What the system says.
    pub fn file(&self) -> io::Result<File> {
        lock(&self.0).try_clone()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn bytes_come_back_by_their_place_and_a_bomb_is_not_unpacked() {
        let unpacked = Unpacked::of(&mut &b"0123456789"[..], 10).unwrap();
        assert_eq!(unpacked.read(3, 4).unwrap(), b"3456");
        assert!(unpacked.read(8, 4).is_err());
        let said = Unpacked::of(&mut io::repeat(0), 1).unwrap_err().to_string();
        assert!(said.starts_with("1 bytes unpack to more than"), "{said}");
    }
}
