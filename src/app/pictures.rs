//! Pictures: which are wanted, which are kept, and how well they fit.

use super::{
    action::Pane,
    event::{Effect, Work},
    model::Picture,
    state::State,
};
use crate::fingerprint::Fingerprint;

/// Real pictures kept decoded.
const KEPT_PICTURES: usize = 192;

impl State {
    /// Looks for pictures that were synthesised before, perhaps in another session.
    pub(super) fn recall(&self) -> Vec<Effect> {
        let Some(basis) = self.protos.as_ref().map(|p| p.basis.clone()) else { return vec![] };
        let wanted: Vec<_> = self.outdated().into_iter().map(|i| self.pairs[i].clone()).collect();
        if wanted.is_empty() { vec![] } else { vec![Effect::Recall { basis, wanted }] }
    }

    pub(super) fn keep_made(&mut self, key: Fingerprint, picture: Picture) {
        self.forming.remove(&key);
        self.keep_version(&key);
        if let (Some(protos), Some(pair)) = (&self.protos, self.pairs.iter().find(|p| p.key == key)) {
            self.made.insert((protos.basis.clone(), pair.prototype), key.clone());
        }
        let pairs = &self.pairs;
        self.pictures.keep(key, picture, |key| pairs.iter().any(|p| p.key == *key));
    }

    pub(super) fn keep_real(&mut self, image: u32, picture: Result<Picture, String>) {
        self.asked.remove(&image);
        if self.real.insert(image, picture).is_none() {
            self.order_of_real.push_back(image);
        }
        if self.order_of_real.len() > KEPT_PICTURES
            && let Some(old) = self.order_of_real.pop_front()
        {
            self.real.remove(&old);
            self.names.remove(&old);
        }
    }

    /// Asks for the real pictures that are in view and not there yet.
    pub(super) fn ask_for_pictures(&mut self) -> Vec<Effect> {
        let mut rows: Vec<u32> = Vec::new();
        match self.pane {
            Pane::Data => rows.extend(self.selected_row()),
            Pane::Prototypes | Pane::Captions | Pane::Gallery => {
                let proto = self.protos.as_ref().and_then(|p| p.list.get(self.prototype));
                rows.extend(self.member_row());
                rows.extend(proto.iter().flat_map(|p| p.nearest.iter().take(6)).map(|n| n.row));
            }
            Pane::Runs | Pane::Log => {}
        }
        let images = rows.iter().filter_map(|&r| self.rows.image_of.get(r as usize).copied()).collect::<Vec<_>>();
        let new = images.into_iter().filter(|i| !self.real.contains_key(i) && self.asked.insert(*i));
        new.collect::<Vec<_>>().into_iter().map(Effect::Picture).collect()
    }

    /// Lets CLIP look at finished pictures, once the gallery is open and the device has nothing better to do.
    pub(super) fn look(&mut self) -> Option<Effect> {
        if self.pane != Pane::Gallery || self.is_busy() || self.look_failed {
            return None;
        }
        let basis = self.protos.as_ref()?.basis.clone();
        let new = |key: &Fingerprint| self.pictures.has(key) && !self.fits.contains_key(key);
        let pairs: Vec<_> = self.pairs.iter().filter(|p| new(&p.key)).cloned().collect();
        (!pairs.is_empty()).then(|| self.spawn(Work::Look { basis, pairs }))
    }
}
