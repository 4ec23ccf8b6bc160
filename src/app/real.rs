//! Real pictures, as many as memory should hold, and what their files are called.

use super::model::Picture;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Pictures kept decoded.
const KEPT: usize = 192;

/// By image number.
#[derive(Clone, Debug, Default)]
pub struct Real {
    /// An error stands for one that cannot be read.
    pictures: BTreeMap<u32, Result<Picture, String>>,
    names: BTreeMap<u32, String>,
    asked: BTreeSet<u32>,
    /// From the one that came first.
    order: VecDeque<u32>,
}

impl Real {
    /// The picture, or why it cannot be read, if it is there.
    pub fn get(&self, image: &u32) -> Option<&Result<Picture, String>> {
        self.pictures.get(image)
    }

    /// What its file is called, if it has one and was asked for.
    pub fn name(&self, image: &u32) -> Option<&str> {
        self.names.get(image).map(String::as_str)
    }

    /// Which of these are to be asked for: none that is there or on its way.
    pub(super) fn ask(&mut self, images: &[u32]) -> Vec<u32> {
        images.iter().copied().filter(|i| !self.pictures.contains_key(i) && self.asked.insert(*i)).collect()
    }

    pub(super) fn call(&mut self, image: u32, name: String) {
        self.names.insert(image, name);
    }

    /// Keeps one; where there are too many, the oldest goes.
    pub(super) fn keep(&mut self, image: u32, picture: Result<Picture, String>) {
        self.asked.remove(&image);
        if self.pictures.insert(image, picture).is_none() {
            self.order.push_back(image);
        }
        if self.order.len() > KEPT
            && let Some(old) = self.order.pop_front()
        {
            self.pictures.remove(&old);
            self.names.remove(&old);
        }
    }
}
