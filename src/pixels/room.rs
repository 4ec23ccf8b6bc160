//! Room that pictures are decoded in: whatever they claim, and however many threads decode, they hold no more at once.

use crate::{caught::lock, machine};
use std::{
    cell::Cell,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

/// What decoding a pixel takes at most, in bytes: coefficients, samples and colours of a JPEG, or 16-bit samples with alpha
/// and their colours.
pub(crate) const PIXEL: u64 = 12;
/// The share of memory that is for pictures.
const SHARE: u64 = 4;
/// Where the system does not say what it has, in bytes.
const UNKNOWN: u64 = 1 << 31;

#[derive(Default)]
struct Room {
    taken: u64,
    /// Pictures that are being decoded, or looked at.
    decoding: usize,
    /// None before it was asked for.
    most: Option<u64>,
}

impl Room {
    fn most(&mut self) -> u64 {
        *self.most.get_or_insert_with(|| machine::memory().map_or(UNKNOWN, |m| m.available / SHARE))
    }
}

static ROOM: Mutex<Room> = Mutex::new(Room { taken: 0, decoding: 0, most: None });
static LEFT: Condvar = Condvar::new();

thread_local! {
    /// What this thread holds; it does not wait for itself.
    static OWN: Cell<u64> = const { Cell::new(0) };
    /// How many pictures this thread decodes.
    static DECODES: Cell<usize> = const { Cell::new(0) };
}

fn room() -> MutexGuard<'static, Room> {
    lock(&ROOM)
}

/// Lets pictures take a share of `memory` bytes, whatever the machine has.
pub fn within(memory: u64) {
    room().most = Some(memory / SHARE);
    LEFT.notify_all();
}

/// Some of the room, until it is dropped; on the thread that took it.
pub(crate) struct Taken {
    bytes: u64,
    decodes: bool,
    here: std::marker::PhantomData<*const ()>,
}

/// How many bytes there are in all.
pub(crate) fn most() -> u64 {
    room().most()
}

/// Waits until `bytes` are to be had, for a file. One that takes more than there is gets it when nobody else has any.
pub(crate) fn take(bytes: u64) -> Taken {
    wait_for(bytes, false, |room| OWN.get() == 0 && room.taken > 0)
}

/// Waits until `bytes` are to be had, for the pixels of a picture whose file may be held already. What others hold of theirs is
/// no reason to wait, since they may wait as well: one that takes more than there is gets it when nobody else decodes.
pub(crate) fn decode(bytes: u64) -> Taken {
    wait_for(bytes, true, |room| DECODES.get() == 0 && room.decoding > 0)
}

fn wait_for(bytes: u64, decodes: bool, others: impl Fn(&Room) -> bool) -> Taken {
    let mut room = room();
    let most = room.most();
    while others(&room) && room.taken.saturating_add(bytes) > most {
        room = LEFT.wait(room).unwrap_or_else(PoisonError::into_inner);
    }
    room.taken += bytes;
    room.decoding += usize::from(decodes);
    OWN.set(OWN.get() + bytes);
    DECODES.set(DECODES.get() + usize::from(decodes));
    Taken { bytes, decodes, here: std::marker::PhantomData }
}

/// How many lines of a picture are worth another thread's help: `few`, or none while this thread holds room. Help is waited
/// for by helping others, who might wait for this very room, and where pictures are many each has its thread anyway.
pub(crate) fn lines(few: usize) -> usize {
    if OWN.get() > 0 { usize::MAX } else { few }
}

impl Taken {
    /// Gives back all but `bytes`.
    pub fn keep(&mut self, bytes: u64) {
        let less = self.bytes.saturating_sub(bytes);
        self.bytes -= less;
        room().taken -= less;
        OWN.set(OWN.get() - less);
        LEFT.notify_all();
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        room().decoding -= usize::from(self.decodes);
        DECODES.set(DECODES.get() - usize::from(self.decodes));
        self.keep(0);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{data::ImageSource, pixels};
    use rayon::prelude::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// The only test that sets the room, which is everybody's: to as much as makes no other one wait for good.
    #[test]
    fn threads_together_take_no_more_than_the_room_and_one_never_waits_for_itself() {
        let (most, held, highest) = (1 << 30, AtomicU64::new(0), AtomicU64::new(0));
        within(most * SHARE);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let taken = take(most / 3);
                        let now = held.fetch_add(most / 3, Ordering::SeqCst) + most / 3;
                        highest.fetch_max(now, Ordering::SeqCst);
                        std::thread::yield_now();
                        held.fetch_sub(most / 3, Ordering::SeqCst);
                        drop(taken);
                    }
                });
            }
        });
        assert!((most / 3..=most).contains(&highest.into_inner()));
        let first = take(2 * most);
        drop(take(most));
        assert_eq!(lines(8), usize::MAX);
        drop(first);
        assert_eq!((OWN.get(), lines(8)), (0, 8));
        files_and_pictures_together();
        many_pictures_in_little_room();
        within(most * SHARE);
    }

    /// Each holds a file while it waits for room to decode it: files take the room at most, and one picture beside them.
    fn files_and_pictures_together() {
        let (most, held, highest) = (1 << 20, AtomicU64::new(0), AtomicU64::new(0));
        within(most * SHARE);
        let hold = |bytes: u64| highest.fetch_max(held.fetch_add(bytes, Ordering::SeqCst) + bytes, Ordering::SeqCst);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        let file = take(most / 2);
                        hold(most / 2);
                        let picture = decode(2 * most);
                        hold(2 * most);
                        std::thread::yield_now();
                        held.fetch_sub(2 * most + most / 2, Ordering::SeqCst);
                        drop((picture, file));
                    }
                });
            }
        });
        assert!((2 * most + most / 2..=3 * most).contains(&highest.into_inner()));
        assert_eq!((OWN.get(), room().decoding), (0, 0));
    }

    /// Threads that helped each other while they hold room would wait for each other without end.
    fn many_pictures_in_little_room() {
        let file = tempfile::Builder::new().suffix(".png").tempfile().unwrap();
        image::RgbImage::from_fn(64, 200, |x, y| image::Rgb([x as u8, y as u8, 7])).save(file.path()).unwrap();
        let source = ImageSource::File(file.path().to_owned());
        within(SHARE * PIXEL * 64 * 200);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(8).build().unwrap();
        let small =
            |_| source.with(|image| pixels::resize(image, 32, 32, pixels::Filter::Bicubic)).unwrap().into_raw().len();
        let sizes: Vec<usize> = pool.install(|| (0..400).into_par_iter().map(small).collect());
        assert_eq!(sizes, [3 * 32 * 32; 400]);
    }
}
