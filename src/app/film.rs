//! Pictures as they formed.

use super::model::Picture;
use crate::fingerprint::Fingerprint;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

/// Longest side of a picture that is kept of each step, in pixels.
const SIDE: u32 = 96;
/// Bytes of pixels kept of steps.
const KEPT: usize = 64 << 20;

/// Pictures as they formed, small; the oldest go where there are too many.
#[derive(Clone, Debug, Default)]
pub struct Film {
    frames: BTreeMap<Fingerprint, Vec<(usize, Picture)>>,
    order: VecDeque<Fingerprint>,
    bytes: usize,
}

impl Film {
    /// Adds how a picture looked after `step` steps.
    pub fn keep(&mut self, key: &Fingerprint, step: usize, picture: &Picture) {
        let (w, h) = picture.dimensions();
        let most = w.max(h);
        let small = if most <= SIDE {
            picture.clone()
        } else {
            Arc::new(image::imageops::thumbnail(picture.as_ref(), (w * SIDE / most).max(1), (h * SIDE / most).max(1)))
        };
        self.bytes += small.as_raw().len();
        if !self.frames.contains_key(key) {
            self.order.push_back(key.clone());
        }
        let frames = self.frames.entry(key.clone()).or_default();
        // Made anew: it forms from the start.
        let old: usize = frames.extract_if(.., |(s, _)| *s >= step).map(|(_, p)| p.as_raw().len()).sum();
        frames.push((step, small));
        self.bytes -= old;
        while self.bytes > KEPT && self.order.len() > 1 {
            let gone = self.order.pop_front().and_then(|key| self.frames.remove(&key)).unwrap_or_default();
            self.bytes -= gone.iter().map(|(_, p)| p.as_raw().len()).sum::<usize>();
        }
    }

    /// Steps at which it was seen, ascending.
    pub fn steps(&self, key: &Fingerprint) -> Option<Vec<usize>> {
        Some(self.frames.get(key)?.iter().map(|(step, _)| *step).collect())
    }

    /// How it looked after `step` steps, or at the last step before.
    pub fn at(&self, key: &Fingerprint, step: usize) -> Option<&Picture> {
        self.frames.get(key)?.iter().rev().find(|(s, _)| *s <= step).map(|(_, picture)| picture)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_film_shows_the_last_step_before_and_one_made_anew_forms_from_the_start() {
        let (key, tint) =
            (Fingerprint::of_bytes(b"a"), |t: u8| Arc::new(image::RgbImage::from_pixel(2, 2, image::Rgb([t; 3]))));
        let mut film = Film::default();
        [10, 20, 30].into_iter().for_each(|step| film.keep(&key, step, &tint(step as u8)));
        let seen = |film: &Film, step| film.at(&key, step).map(|p| p.get_pixel(0, 0).0[0]);
        assert_eq!([5, 10, 29, 99].map(|s| seen(&film, s)), [None, Some(10), Some(20), Some(30)]);
        film.keep(&key, 10, &tint(77));
        assert_eq!((seen(&film, 99), film.bytes), (Some(77), 12));
    }

    #[test]
    fn films_have_an_end() {
        let mut film = Film::default();
        let frame = Arc::new(image::RgbImage::new(96, 96));
        let many = 2 * KEPT / frame.as_raw().len();
        (0..many).for_each(|i| film.keep(&Fingerprint::of_bytes(&i.to_le_bytes()), 1, &frame));
        assert!(film.bytes <= KEPT && film.order.len() == film.frames.len());
        assert!(film.at(&Fingerprint::of_bytes(&(many - 1).to_le_bytes()), 1).is_some());
    }
}
