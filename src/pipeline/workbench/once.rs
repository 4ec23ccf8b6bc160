//! What is loaded or computed at most once.

use crate::error::Result;
use std::sync::{Arc, Mutex, PoisonError};

/// Filled on first use; a failed attempt leaves it empty, so that it can be tried again.
pub(super) struct Once<T>(Mutex<Option<Arc<T>>>);

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Once<T> {
    pub fn get(&self, make: impl FnOnce() -> Result<T>) -> Result<Arc<T>> {
        let mut slot = lock(&self.0);
        if let Some(made) = &*slot {
            return Ok(made.clone());
        }
        let made = Arc::new(make()?);
        *slot = Some(made.clone());
        Ok(made)
    }
}

/// What these locks guard is replaced whole: a panic elsewhere leaves nothing half done.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
