//! The gallery's pictures: how many stand side by side, which versions there were, and how they formed.

use super::{event::Wanted, model::Picture, state::State};
use crate::fingerprint::Fingerprint;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

/// Width and height of a gallery cell, with its caption line and gap.
pub const CELL: (u16, u16) = (16, 8);
/// Cells that the large picture beside the gallery needs at least, and is worth at most.
const LARGE: (u16, u16) = (40, 64);
/// Below so many columns there is room for one thing at a time.
pub const WIDE: u16 = 80;
/// Longest side of a picture that is kept of each step, in pixels.
const SIDE: u32 = 96;
/// Bytes of pixels kept of steps.
const KEPT: usize = 64 << 20;
/// Versions of a picture that have a name.
const VERSIONS: usize = 26;

/// How many pictures stand side by side in the gallery: it has the left part of the terminal, or all of it when zoomed or
/// where there is no room for two parts.
pub fn gallery_columns(width: u16, zoom: bool) -> usize {
    let inner = width.saturating_sub(2);
    let beside = if zoom || width < WIDE { 0 } else { (inner * 9 / 20).clamp(LARGE.0, LARGE.1) };
    usize::from(inner.saturating_sub(beside) / CELL.0).max(1)
}

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

    /// How it looked after `step` steps, or at the last step before.
    pub fn at(&self, key: &Fingerprint, step: usize) -> Option<&Picture> {
        self.frames.get(key)?.iter().rev().find(|(s, _)| *s <= step).map(|(_, picture)| picture)
    }
}

/// A seed as it is shown: the first of its hexadecimal digits.
pub fn seed_name(seed: u64) -> String {
    format!("{:08x}", seed >> 32)
}

impl State {
    /// Steps at which any picture of the set on screen was seen.
    fn steps_seen(&self) -> Vec<usize> {
        let frames = self.pairs.iter().filter_map(|p| self.film.frames.get(&p.key)).flatten();
        frames.map(|(step, _)| *step).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// All pictures some previews back or on; beyond the last one they are as they came out.
    pub(super) fn scrub(&mut self, by: i32) {
        let steps = self.steps_seen();
        if steps.is_empty() {
            self.tell("no picture of this set was seen forming: s or S makes some");
            return;
        }
        let now = self.focus.scrub.map_or(steps.len(), |at| steps.iter().take_while(|s| **s < at).count());
        self.focus.scrub = steps.get(now.saturating_add_signed(by as isize)).copied();
        self.tell(match self.focus.scrub {
            Some(step) => format!("all pictures after {step} steps; ) goes on"),
            None => "all pictures as they came out".to_owned(),
        });
    }

    /// Notes what a finished picture was made of.
    pub(super) fn keep_version(&mut self, key: &Fingerprint) {
        let Some(pair) = self.pairs.iter().find(|p| p.key == *key).cloned() else { return };
        let Some(protos) = &self.protos else { return };
        let versions = self.versions.entry((protos.basis.clone(), pair.prototype)).or_default();
        if versions.iter().all(|v| v.key != *key) && versions.len() < VERSIONS {
            versions.push(pair);
        }
    }

    /// Finished pictures of a prototype that are still there, the first made first, each with its letter.
    pub fn versions(&self, prototype: usize) -> Vec<(char, &Wanted)> {
        let Some(basis) = self.protos.as_ref().map(|p| p.basis.clone()) else { return Vec::new() };
        let all = self.versions.get(&(basis, prototype)).map_or(&[][..], Vec::as_slice);
        ('A'..='Z').zip(all).filter(|(_, v)| self.pictures.has(&v.key)).collect()
    }

    /// The version that is shown instead of the newest, if one is.
    pub fn flipped(&self, prototype: usize) -> Option<(char, &Wanted)> {
        let (of, back) = self.focus.flip;
        if of != prototype || back == 0 {
            return None;
        }
        let (versions, now) = (self.versions(prototype), self.pairs.get(prototype)?);
        let at = versions.iter().position(|(_, v)| v.key == now.key).unwrap_or(versions.len());
        versions.get(at.checked_sub(back)?).copied()
    }

    /// One version further back; after the first one the newest again.
    pub(super) fn flip(&mut self) {
        let back = if self.focus.flip.0 == self.prototype { self.focus.flip.1 + 1 } else { 1 };
        self.focus.flip = (self.prototype, back);
        let words = match self.flipped(self.prototype) {
            Some((letter, v)) => format!("version {letter}: {}", version_words(v)),
            None if back == 1 => "there is no other version of this picture; r makes one".to_owned(),
            None => "the newest version".to_owned(),
        };
        if self.flipped(self.prototype).is_none() {
            self.focus.flip.1 = 0;
        }
        self.tell(words);
    }

    /// The picture to show in the gallery: one on its way, an earlier version, or what there is now.
    pub fn shown_picture(&self, prototype: usize) -> Option<&Picture> {
        let formed = || self.film.at(&self.pairs.get(prototype)?.key, self.focus.scrub?);
        let before = || self.pictures.get(&self.flipped(prototype)?.1.key);
        formed().or_else(before).or_else(|| self.picture(prototype))
    }
}

/// What made a picture, in a line.
pub fn version_words(pair: &Wanted) -> String {
    let s = &pair.settings;
    format!("seed {} · steps {} · guidance {:.1} · noise {}", seed_name(pair.seed), s.steps, s.guidance, s.noise_level)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn pictures_stand_closer_the_wider_the_window_and_alone_where_it_is_narrow() {
        let across = |width| (gallery_columns(width, false), gallery_columns(width, true));
        assert_eq!([60, 80, 120, 200].map(across), [(3, 3), (2, 4), (4, 7), (8, 12)]);
        assert_eq!(gallery_columns(1, false), 1);
    }

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
