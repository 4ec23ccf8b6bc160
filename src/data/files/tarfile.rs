//! Which files a tar holds and where they begin, so that they can be read in place.

use crate::{
    error::{Error, Result},
    fsio::printable,
};
use std::{
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom},
    path::Path,
};
use tar::{EntryType, Header, PaxExtensions};

/// tar's unit, in bytes.
const BLOCK: u64 = 512;
/// Longest name or extended header read, in bytes.
const MAX_NAME: u64 = 1 << 16;
/// Most members of one tar.
const MAX_MEMBERS: usize = 10_000_000;

/// A file in a tar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::data) struct Member {
    /// As written there, lossily UTF-8. It leads nowhere: members are read by offset and never unpacked.
    pub name: String,
    /// Of its first byte.
    pub offset: u64,
    /// In bytes.
    pub length: u64,
}

/// The regular files of the tar `file`, which messages call `path`, in order: ustar, GNU long names, pax paths. Folders, links and devices are passed
/// over. A member is listed only if all of it is there.
///
/// # Errors
/// [`Error::Input`] naming the byte where the file is no tar, ends too early or claims what cannot be;
/// [`Error::Io`] if it cannot be read.
pub(in crate::data) fn members(path: &Path, mut file: File) -> Result<Vec<Member>> {
    file.rewind().map_err(Error::io(path))?;
    let end = file.metadata().map_err(Error::io(path))?.len();
    let mut index = Index { path, from: BufReader::new(file), at: 0, end };
    let (mut found, mut long_name) = (Vec::new(), None);
    while let Some((header, length)) = index.header()? {
        let (kind, offset) = (header.entry_type(), index.at);
        match kind {
            EntryType::GNULongName => {
                let name = index.text(length)?;
                long_name = Some(String::from_utf8_lossy(name.split(|&b| b == 0).next().unwrap_or(&[])).into_owned());
            }
            EntryType::XHeader => {
                let records = index.text(length)?;
                long_name = pax_path(&records).map_err(|what| index.wrong(&what))?.or(long_name);
            }
            _ => {
                let own = || String::from_utf8_lossy(&header.path_bytes()).into_owned();
                let name = long_name.take().unwrap_or_else(own);
                if matches!(kind, EntryType::Regular | EntryType::Continuous) && !name.ends_with('/') {
                    found.push(Member { name, offset, length });
                }
            }
        }
        if found.len() > MAX_MEMBERS {
            return Err(index.wrong(&format!("more than {MAX_MEMBERS} members")));
        }
        index.skip(length)?;
    }
    Ok(found)
}

struct Index<'a> {
    path: &'a Path,
    from: BufReader<File>,
    at: u64,
    end: u64,
}

impl Index<'_> {
    fn wrong(&self, what: &str) -> Error {
        Error::input(self.path, format!("byte {}: {}", self.at, printable(what)))
    }

    /// The next header and the size of what follows it, which fits into the file; `None` at the end.
    fn header(&mut self) -> Result<Option<(Header, u64)>> {
        if self.at == self.end {
            return Ok(None);
        }
        let mut header = Header::new_old();
        if self.end - self.at < BLOCK {
            return Err(self.wrong("the tar ends within a header"));
        }
        self.from.read_exact(header.as_mut_bytes()).map_err(Error::io(self.path))?;
        let bytes = header.as_bytes();
        if bytes.iter().all(|&b| b == 0) {
            return Ok(None);
        }
        // The sum counts its own field as blanks.
        let sum: u32 =
            bytes.iter().enumerate().map(|(i, &b)| u32::from(if (148..156).contains(&i) { b' ' } else { b })).sum();
        if header.cksum().ok() != Some(sum) {
            return Err(self.wrong("not a tar header (a compressed tar must be unpacked first)"));
        }
        let length = header.entry_size().map_err(|e| self.wrong(&e.to_string()))?;
        self.at += BLOCK;
        if length > self.end - self.at {
            let name = String::from_utf8_lossy(&header.path_bytes()).into_owned();
            let left = self.end - self.at;
            return Err(self.wrong(&format!("\"{name}\" claims {length} bytes, but {left} are left: cut off")));
        }
        Ok(Some((header, length)))
    }

    /// A member's content that describes the next member.
    fn text(&mut self, length: u64) -> Result<Vec<u8>> {
        if length > MAX_NAME {
            return Err(self.wrong(&format!("a name of {length} bytes")));
        }
        let mut text = vec![0; length as usize];
        self.from.read_exact(&mut text).map_err(Error::io(self.path))?;
        self.from.seek(SeekFrom::Start(self.at)).map_err(Error::io(self.path))?;
        Ok(text)
    }

    /// Over a member to the next header. The padding of the last one may be missing.
    fn skip(&mut self, length: u64) -> Result<()> {
        self.at = (self.at + length.next_multiple_of(BLOCK)).min(self.end);
        self.from.seek(SeekFrom::Start(self.at)).map(|_| ()).map_err(Error::io(self.path))
    }
}

/// The `path` of an extended header.
fn pax_path(records: &[u8]) -> std::result::Result<Option<String>, String> {
    let mut path = None;
    for record in PaxExtensions::new(records) {
        let record = record.map_err(|e| e.to_string())?;
        match record.key_bytes() {
            b"path" => path = Some(String::from_utf8_lossy(record.value_bytes()).into_owned()),
            // Only for members of over 8 GiB; ignoring it would take their content for headers.
            b"size" => return Err("a size in an extended header is not read".to_owned()),
            _ => {}
        }
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn packed(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut to = tar::Builder::new(Vec::new());
        for (name, bytes) in files {
            let mut header = Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            to.append_data(&mut header, name, *bytes).unwrap();
        }
        to.into_inner().unwrap()
    }

    fn index(bytes: &[u8]) -> Result<Vec<Member>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        members(file.path(), File::open(file.path()).unwrap())
    }

    #[test]
    fn offsets_lead_to_the_content() {
        let bytes = packed(&[("a.txt", b"first"), ("b/c.jpg", &[7; 600]), ("empty", b"")]);
        let found = index(&bytes).unwrap();
        assert_eq!(found.iter().map(|m| m.name.as_str()).collect::<Vec<_>>(), ["a.txt", "b/c.jpg", "empty"]);
        let content = |m: &Member| bytes[m.offset as usize..(m.offset + m.length) as usize].to_vec();
        assert_eq!(
            [content(&found[0]), content(&found[1]), content(&found[2])],
            [b"first".to_vec(), vec![7; 600], vec![]]
        );
    }

    #[test]
    fn long_names_are_read_from_gnu_and_from_pax_headers() {
        let long = format!("{}/x.jpg", "folder".repeat(40));
        assert_eq!(index(&packed(&[(&long, b"1"), ("y", b"2")])).unwrap()[0].name, long);
        let mut to = tar::Builder::new(Vec::new());
        to.append_pax_extensions([("path", "long é.jpg".as_bytes()), ("mtime", b"1")]).unwrap();
        let mut header = Header::new_ustar();
        header.set_size(1);
        to.append_data(&mut header, "short.jpg", &b"1"[..]).unwrap();
        let names: Vec<String> = index(&to.into_inner().unwrap()).unwrap().into_iter().map(|m| m.name).collect();
        assert_eq!(names, ["long é.jpg"]);
    }

    #[test]
    fn folders_and_links_are_passed_over() {
        let mut to = tar::Builder::new(Vec::new());
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Directory);
        header.set_size(0);
        to.append_data(&mut header, "d", std::io::empty()).unwrap();
        header.set_entry_type(EntryType::Symlink);
        to.append_link(&mut header, "l.jpg", "/etc/passwd").unwrap();
        assert_eq!(index(&to.into_inner().unwrap()).unwrap(), []);
    }

    #[test]
    fn a_lie_about_a_size_a_cut_and_garbage_name_the_place() {
        let whole = packed(&[("a.txt", b"first"), ("b.jpg", &[7; 600])]);
        let text = index(&whole[..1600]).unwrap_err().to_string();
        assert!(text.contains("byte 1536: \"b.jpg\" claims 600 bytes, but 64 are left"), "{text}");
        let mut lie = whole.clone();
        let mut header = Header::from_byte_slice(&whole[..512]).clone();
        header.set_size(u64::MAX / 2);
        header.set_cksum();
        lie[..512].copy_from_slice(header.as_bytes());
        assert!(index(&lie).unwrap_err().to_string().contains("claims 9223372036854775807 bytes"));
        assert!(index(b"\x1f\x8b\x08").unwrap_err().to_string().contains("ends within a header"));
        assert!(index(&[9; 2000]).unwrap_err().to_string().contains("byte 0: not a tar header"));
        assert_eq!(index(b"").unwrap(), []);
    }

    #[test]
    fn the_end_marker_may_be_missing() {
        let whole = packed(&[("a.txt", b"first")]);
        assert_eq!(index(&whole[..517]).unwrap().len(), 1);
    }

    proptest! {
        #[test]
        fn damaged_tars_never_panic(at in 0usize..2048, to in any::<u8>(), cut in 0usize..4096) {
            let mut bytes = packed(&[("a.txt", b"first"), (&"l".repeat(200), &[7; 600])]);
            bytes[at] = to;
            bytes.truncate(cut.min(bytes.len()));
            let _ = index(&bytes);
        }
    }
}
