//! Pictures: which are wanted, which are kept, and how well they fit.

use super::{
    action::Pane,
    event::{Effect, Work},
    model::Picture,
    state::State,
};
use crate::fingerprint::Fingerprint;

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

    /// Asks for the real pictures that are in view and not there yet.
    pub(super) fn ask_for_pictures(&mut self) -> Vec<Effect> {
        let mut rows: Vec<u32> = Vec::new();
        match self.pane {
            Pane::Data => rows.extend(self.selected_row()),
            Pane::Runs | Pane::Log => {}
            _ => {
                let proto = self.protos.as_ref().and_then(|p| p.list.get(self.prototype));
                rows.extend(self.member_row());
                rows.extend(proto.iter().flat_map(|p| p.nearest.iter().take(6)).map(|n| n.row));
            }
        }
        let images = rows.iter().filter_map(|&r| self.rows.image_of.get(r as usize).copied()).collect::<Vec<_>>();
        self.real.ask(&images).into_iter().map(Effect::Picture).collect()
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
