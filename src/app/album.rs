//! Finished pictures by name, as many as memory should hold: the oldest that are not on screen go first.

use super::model::Picture;
use crate::fingerprint::Fingerprint;
use std::collections::{BTreeMap, VecDeque};

/// Bytes of pixels kept beside those of the set on screen. What goes is found again in the store.
const KEPT: usize = 256 << 20;

/// Finished pictures.
#[derive(Clone, Debug, Default)]
pub struct Album {
    pictures: BTreeMap<Fingerprint, Picture>,
    /// From the one that came first.
    order: VecDeque<Fingerprint>,
    bytes: usize,
}

impl Album {
    /// The picture of this name.
    pub fn get(&self, key: &Fingerprint) -> Option<&Picture> {
        self.pictures.get(key)
    }

    /// Whether it is there.
    pub fn has(&self, key: &Fingerprint) -> bool {
        self.pictures.contains_key(key)
    }

    /// Adds a picture; where there are too many, the oldest go that are not `in_use`.
    pub fn keep(&mut self, key: Fingerprint, picture: Picture, in_use: impl Fn(&Fingerprint) -> bool) {
        self.bytes += picture.as_raw().len();
        match self.pictures.insert(key.clone(), picture) {
            Some(old) => self.bytes -= old.as_raw().len(),
            None => self.order.push_back(key),
        }
        let mut at = 0;
        while self.bytes > KEPT && at < self.order.len() {
            if in_use(&self.order[at]) {
                at += 1;
            } else if let Some(gone) = self.order.remove(at).and_then(|key| self.pictures.remove(&key)) {
                self.bytes -= gone.as_raw().len();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::Arc;

    #[test]
    fn memory_has_an_end_and_what_is_on_screen_stays() {
        // 64 MiB each.
        let picture = Arc::new(image::RgbImage::new(4096, 5462));
        let name = |i: u32| Fingerprint::of_bytes(&i.to_le_bytes());
        let mut album = Album::default();
        (0..9).for_each(|i| album.keep(name(i), picture.clone(), |key| *key == name(0)));
        let left: Vec<u32> = (0..9).filter(|&i| album.has(&name(i))).collect();
        assert_eq!(left, [0, 7, 8]);
        assert_eq!((album.bytes, album.order.len()), (3 * picture.as_raw().len(), 3));
    }
}
