//! What everybody who belongs to a cluster knows, and nobody else.

use ballista_core::extension::EndpointOverrideFn;
use protostill::{
    error::{Error, Result},
    fingerprint::Fingerprint,
};
use std::{net::IpAddr, path::Path, sync::Arc};
use tonic::{Request, Status};

/// Where it is said: the one header that every client of the engine lets be set.
const HEADER: &str = "user-agent";
/// A secret that is shorter can be guessed.
const LEAST: usize = 16;

/// A secret, or that there is none.
#[derive(Clone)]
pub struct Secret(Option<String>);

impl Secret {
    /// The words of a file, but for white space around them.
    ///
    /// # Errors
    /// [`Error::Io`] naming the file, [`Error::Input`] if it holds less than 16 bytes.
    pub fn read(file: Option<&Path>) -> Result<Self> {
        let Some(file) = file else { return Ok(Self(None)) };
        let words = std::fs::read(file).map_err(Error::io(file))?;
        let words = words.trim_ascii();
        if words.len() < LEAST {
            return Err(Error::input(file, format!("holds {} bytes; a secret has at least {LEAST}", words.len())));
        }
        Ok(Self(Some(Fingerprint::of_bytes(words).as_str().to_owned())))
    }

    /// Whether it is safe to be reached at this address.
    ///
    /// # Errors
    /// [`Error::Setting`] without a secret, unless only this machine reaches it.
    pub fn suffices(&self, bind: IpAddr) -> Result<()> {
        if self.0.is_some() || bind.is_loopback() {
            return Ok(());
        }
        let message = format!("{bind} is reached from other machines, and whoever reaches it can have anything done");
        Err(Error::setting("--bind", message).or("give all the same --secret FILE"))
    }

    fn words(&self) -> String {
        format!("protostill/{}", self.0.as_deref().unwrap_or("open"))
    }

    /// Says it with everything that is asked.
    pub fn said(&self) -> EndpointOverrideFn {
        let words = self.words();
        Arc::new(move |endpoint| endpoint.user_agent(words.clone()).map_err(Into::into))
    }

    /// Turns away whoever does not say it. Hashes are compared: how long that takes says nothing.
    pub fn asked(
        &self,
    ) -> impl Fn(Request<()>) -> std::result::Result<Request<()>, Status> + Clone + Send + Sync + 'static {
        let right = Fingerprint::of_bytes(self.words().as_bytes());
        move |request| {
            let said = request.metadata().get(HEADER).and_then(|said| said.to_str().ok()).unwrap_or_default();
            // The library's own name follows.
            let said = said.split(' ').next().unwrap_or_default();
            let known = Fingerprint::of_bytes(said.as_bytes()) == right;
            if known {
                Ok(request)
            } else {
                Err(Status::unauthenticated("the secret is another one, or none was given"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_secret_is_long_and_without_one_only_this_machine_is_served() {
        let dir = tempfile::tempdir().unwrap();
        let (short, long) = (dir.path().join("short"), dir.path().join("long"));
        std::fs::write(&short, "  too short  \n").unwrap();
        std::fs::write(&long, "sixteen or more bytes\n").unwrap();
        assert!(Secret::read(Some(&short)).is_err() && Secret::read(Some(&dir.path().join("none"))).is_err());
        let (none, some) = (Secret::read(None).unwrap(), Secret::read(Some(&long)).unwrap());
        let (here, there) = ("127.0.0.1".parse().unwrap(), "10.0.0.1".parse().unwrap());
        assert!(none.suffices(here).is_ok() && none.suffices(there).is_err() && some.suffices(there).is_ok());
    }

    #[test]
    fn only_who_says_the_secret_is_let_in() {
        let (one, other, none) = (Secret(Some("a".into())), Secret(Some("b".into())), Secret(None));
        let says = |secret: &Secret| {
            let mut request = Request::new(());
            request.metadata_mut().insert(HEADER, format!("{} tonic/0.14", secret.words()).parse().unwrap());
            request
        };
        assert!(one.asked()(says(&one)).is_ok() && none.asked()(says(&none)).is_ok());
        assert!(one.asked()(says(&other)).is_err() && one.asked()(says(&none)).is_err());
        assert!(one.asked()(Request::new(())).is_err() && none.asked()(says(&one)).is_err());
    }
}
