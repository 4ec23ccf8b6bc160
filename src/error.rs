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
    /// Any of the others, where it is known what helps.
    #[error("{error}; {hint}")]
    Hinted {
        /// What went wrong.
        error: Box<Error>,
        /// The way out.
        hint: String,
    },
    /// The work was cancelled by the user; nothing is lost.
    #[error("cancelled")]
    Cancelled,
}

/// What candle says, without the backtrace it adds where `RUST_BACKTRACE` is set; of a full GPU, what helps.
pub(crate) fn said(error: &candle_core::Error) -> String {
    use candle_core::Error as E;
    match error {
        E::Cuda(cause) if ["OUT_OF_MEMORY", "ALLOC_FAILED"].iter().any(|what| cause.to_string().contains(what)) => {
            "the GPU's memory is full: take `--precision float16` or a smaller `synthesis.batch`, or end what else uses it"
                .into()
        }
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

    /// The same with a way out: `.or("name another folder")`.
    #[must_use]
    pub fn or(self, hint: impl Into<String>) -> Self {
        Self::Hinted { error: Box::new(self), hint: hint.into() }
    }

    /// What went wrong, and the way out, where one is known.
    pub fn parts(&self) -> (&Self, Option<&str>) {
        match self {
            Self::Hinted { error, hint } => (error, Some(hint)),
            other => (other, None),
        }
    }

    /// What kept a network from being built of the weights in `file`: the GPU, or, told after `why`, the file.
    pub(crate) fn weights(file: PathBuf, why: &'static str) -> impl FnOnce(candle_core::Error) -> Self {
        use candle_core::Error as E;
        fn of_gpu(error: &E) -> bool {
            match error {
                E::WithBacktrace { inner, .. } | E::WithPath { inner, .. } | E::Context { inner, .. } => of_gpu(inner),
                other => matches!(other, E::Cuda(_)),
            }
        }
        move |e| {
            if of_gpu(&e) {
                Self::tensor("loading weights")(e)
            } else {
                Self::input(file, format!("{why}{}", said(&e)))
            }
        }
    }

    /// The process's exit status: 2 for what the user can mend, 130 for a cancelled run, 1 for the rest.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Io { .. } | Self::Input { .. } | Self::Setting { .. } | Self::Shape { .. } => 2,
            Self::Hinted { error, .. } => error.exit_code(),
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

    #[test]
    fn a_way_out_is_told_after_the_cause_and_can_be_had_apart_from_it() {
        let error = Error::setting("out", "is taken").or("name another folder");
        assert_eq!((error.to_string().as_str(), error.exit_code()), ("out: is taken; name another folder", 2));
        let (cause, hint) = error.parts();
        assert_eq!((cause.to_string().as_str(), hint), ("out: is taken", Some("name another folder")));
        assert_eq!(Error::Cancelled.parts().1, None);
    }

    #[test]
    fn a_full_gpu_is_not_blamed_on_the_weights_and_says_what_helps() {
        let full = || candle_core::Error::Cuda("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")".into());
        let error = Error::weights("unet.safetensors".into(), "")(full().context("conv_in"));
        assert_eq!(error.exit_code(), 1);
        assert!(error.to_string().starts_with("loading weights: conv_in: the GPU's memory is full: take"), "{error}");
        let error = Error::weights("unet.safetensors".into(), "no: ")(candle_core::Error::Msg("a shape".into()));
        assert_eq!((error.exit_code(), error.to_string().as_str()), (2, "unet.safetensors: no: a shape"));
    }
}
