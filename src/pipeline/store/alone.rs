//! One process makes an artefact, others wait for it.

use super::Store;
use crate::{error::Result, fingerprint::Fingerprint, fsio::disk, pipeline::Ctx};
use std::{
    fs::{File, TryLockError},
    path::PathBuf,
    thread,
    time::Duration,
};

/// Between two looks at what another process holds.
const PATIENCE: Duration = Duration::from_millis(100);

/// What others wait for.
pub struct Alone {
    path: PathBuf,
    _file: Option<File>,
}

impl Drop for Alone {
    /// Who waits for the file that is gone holds it alone with nobody to wait for: at worst something is made twice.
    fn drop(&mut self) {
        drop(disk::remove_file(&self.path));
    }
}

impl Store {
    /// Waits until no other process makes what `name` names, and keeps others waiting as long as the result is held. Where
    /// locks are not to be had nobody waits: what is made twice is the same.
    ///
    /// # Errors
    /// [`crate::error::Error::Cancelled`] while it waits.
    pub fn alone(&self, name: &Fingerprint, ctx: &Ctx) -> Result<Alone> {
        let own = format!("{name}.making");
        let (path, file) = (self.dir.join(&own), self.lock_file(&own));
        if let Some(file) = &file {
            while let Err(TryLockError::WouldBlock) = file.try_lock() {
                ctx.check()?;
                thread::sleep(PATIENCE);
            }
        }
        Ok(Alone { path, _file: file })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{error::Error, pipeline::store::Json};

    #[test]
    fn what_one_makes_others_wait_for_until_it_is_there_or_they_are_cancelled() {
        let dir = tempfile::tempdir().unwrap();
        let (store, key) = (Store::open(dir.path()).unwrap(), Fingerprint::of_bytes(b"key"));
        let held = store.alone(&key, &Ctx::quiet()).unwrap();
        let cancelled = Ctx::new(std::sync::Arc::new(true.into()), |_| {});
        assert!(matches!(store.alone(&key, &cancelled), Err(Error::Cancelled)));
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let _held = store.alone(&key, &Ctx::quiet()).unwrap();
                store.get::<Json<u8>>(&key).unwrap()
            });
            std::thread::sleep(PATIENCE);
            store.put(&key, "x", &Json(7u8), 1.0).unwrap();
            drop(held);
            assert_eq!(waiter.join().unwrap(), Some((Json(7), 1.0)));
        });
        assert!(!store.dir().join(format!("{key}.making")).exists());
    }
}
