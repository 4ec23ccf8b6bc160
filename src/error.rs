//! One error type; every variant names the path, setting or shape it is about.

use std::path::{Path, PathBuf};

/// Result of anything in this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong, in words meant for the person at the keyboard.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused: missing, unreadable, full, read-only.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file's content is not what it should be.
    #[error("{}: {message}", path.display())]
    Input {
        /// The file.
        path: PathBuf,
        /// The place in the file and what is wrong there.
        message: String,
    },
    /// A setting that is unknown, out of range or at odds with the data.
    #[error("{name}: {message}")]
    Setting {
        /// The setting's full name, as in the configuration file or on the command line.
        name: String,
        /// What is wrong with it and what would do.
        message: String,
    },
    /// Two arrays that belong together do not fit.
    #[error("{what}: expected {expected}, found {found}")]
    Shape {
        /// Which arrays.
        what: &'static str,
        /// The shape asked for.
        expected: String,
        /// The shape met.
        found: String,
    },
    /// A network failed while it computed.
    #[error("{stage}: {}", said(source))]
    Tensor {
        /// What was being computed.
        stage: &'static str,
        /// candle's own message.
        source: candle_core::Error,
    },
    /// The work was cancelled by the user; nothing is lost.
    #[error("cancelled")]
    Cancelled,
}

/// What candle says, without the backtrace it adds where `RUST_BACKTRACE` is set.
pub(crate) fn said(error: &candle_core::Error) -> String {
    use candle_core::Error as E;
    match error {
        E::WithBacktrace { inner, .. } => said(inner),
        E::WithPath { inner, path } => format!("{}: {}", path.display(), said(inner)),
        E::Context { inner, context } => format!("{context}: {}", said(inner)),
        other => other.to_string(),
    }
}

impl Error {
    /// An [`Error::Io`] about `path`: `.map_err(Error::io(path))`.
    pub fn io(path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { path, source }
    }

    /// An [`Error::Input`] about `path`.
    pub fn input(path: impl AsRef<Path>, message: impl Into<String>) -> Self {
        Self::Input { path: path.as_ref().to_owned(), message: message.into() }
    }

    /// An [`Error::Setting`] about the setting `name`.
    pub fn setting(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Setting { name: name.into(), message: message.into() }
    }

    /// An [`Error::Tensor`] in `stage`: `.map_err(Error::tensor("CLIP image tower"))`.
    pub fn tensor(stage: &'static str) -> impl FnOnce(candle_core::Error) -> Self {
        move |source| Self::Tensor { stage, source }
    }

    /// The process's exit status: 2 for what the user can mend, 130 for a cancelled run, 1 for the rest.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Io { .. } | Self::Input { .. } | Self::Setting { .. } | Self::Shape { .. } => 2,
            Self::Cancelled => 130,
            Self::Tensor { .. } => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_candle_says_is_told_without_its_backtrace() {
        let inner = candle_core::Error::Msg("no such tensor".into());
        let backtrace = Box::new(std::backtrace::Backtrace::force_capture());
        let traced = candle_core::Error::WithBacktrace { inner: Box::new(inner), backtrace };
        let told = Error::tensor("CLIP")(traced.context("loading")).to_string();
        assert_eq!(told, "CLIP: loading: no such tensor");
    }
}
