//! Panics: those of other people's parsers over foreign bytes, caught and not told as a defect of this program, and what they
//! leave of locks.

use std::{
    cell::Cell,
    panic::{self, AssertUnwindSafe},
    sync::{Mutex, MutexGuard, Once, PoisonError},
};

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// What `parse` returns, or none if it panics, of which nothing is printed. What it would have changed is not to be used.
pub fn caught<T>(parse: impl FnOnce() -> T) -> Option<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let told = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                told(panic)
            }
        }));
    });
    let before = QUIET.replace(true);
    let parsed = panic::catch_unwind(AssertUnwindSafe(parse));
    QUIET.set(before);
    parsed.ok()
}

/// What `mutex` guards, whoever panicked with it: what this program locks is changed in one step, so a panic leaves it whole.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_had_after_a_panic_with_it() {
        let number = Mutex::new(7);
        assert!(caught(|| number.lock().map(|_held| panic!("with the lock")).is_ok()).is_none());
        assert!(number.is_poisoned() && *lock(&number) == 7);
    }

    #[test]
    fn a_panic_is_none_and_later_ones_are_told_again() {
        assert_eq!(caught(|| 7), Some(7));
        assert_eq!(caught(|| caught(|| panic!("within")).map_or(1, |()| 2)), Some(1));
        assert!(caught(|| panic!("foreign bytes")).is_none() && !QUIET.get());
    }
}
