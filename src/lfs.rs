//! Pointers of Git LFS: what a clone without git-lfs has in the place of large files.

use crate::{
    door,
    error::{Error, Result},
};
use std::{io::Read, path::Path};

/// How a pointer begins, with git-lfs's own and its earlier names.
const BEGINNINGS: [&[u8]; 3] = [
    b"version https://git-lfs.github.com/spec/",
    b"version https://hawser.github.com/spec/",
    b"version http://git-media.io/v/",
];

/// Whether `bytes` are, or begin as, a pointer.
pub fn is_pointer(bytes: &[u8]) -> bool {
    BEGINNINGS.iter().any(|beginning| bytes.starts_with(beginning))
}

/// What to say of the pointer `path`.
pub fn error(path: &Path) -> Error {
    Error::input(path, "is a pointer of Git LFS, not the file itself").or("get its content with `git lfs pull`")
}

/// Refuses `bytes` of `path` that are a pointer.
///
/// # Errors
/// [`Error::Input`] that says how to get the content.
pub fn refuse(path: &Path, bytes: &[u8]) -> Result<()> {
    if is_pointer(bytes) { Err(error(path)) } else { Ok(()) }
}

/// The error of a reader of `path`, or, where that file is a pointer, what to do about it: `.map_err(lfs::told(path))`.
pub fn told(path: &Path) -> impl FnOnce(Error) -> Error {
    let path = path.to_owned();
    move |said| {
        let mut head = Vec::new();
        let read = door::open(&path).and_then(|file| file.take(64).read_to_end(&mut head));
        if read.is_ok() && is_pointer(&head) { error(&path) } else { said }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_readers_error_about_a_pointer_says_what_the_file_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.npy");
        std::fs::write(&path, "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n").unwrap();
        let said = |path: &Path| told(path)(Error::input(path, "not an npy file")).to_string();
        assert!(
            said(&path)
                .ends_with("a.npy: is a pointer of Git LFS, not the file itself; get its content with `git lfs pull`")
        );
        std::fs::write(&path, "version 1").unwrap();
        assert!(said(&path).ends_with("not an npy file") && said(dir.path()).ends_with("not an npy file"));
    }
}
