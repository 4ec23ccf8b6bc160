//! The set on screen: each prototype's caption, seed and picture, and which pictures still fit.

use super::{
    decision::Draft,
    event::Wanted,
    job::Status,
    lists::SortBy,
    model::{Picture, Protos},
    state::State,
};
use crate::{
    fingerprint::Fingerprint,
    pipeline::{draw::synthesize, methods::Method, workbench::image_seed},
};

impl Draft {
    /// How a prototype is synthesised: as all are, unless it has settings of its own.
    pub fn synthesis_of(&self, basis: &Fingerprint, prototype: usize) -> synthesize::Settings {
        let (all, own) = (&self.config.synthesis, self.own.get(&(basis.clone(), prototype)));
        own.map_or_else(|| all.clone(), |own| own.within(all))
    }

    /// The seed of a prototype's noise: the one `distill` gives it, unless rerolled.
    pub fn seed_of(&self, basis: &Fingerprint, prototype: usize) -> u64 {
        let own = self.seeds.get(&(basis.clone(), prototype)).copied();
        own.unwrap_or_else(|| image_seed(self.config.seed, prototype))
    }
}

/// What there is to see of a prototype's picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageState {
    /// Never synthesised.
    Missing,
    /// Fits its caption, seed and settings.
    Fresh,
    /// Synthesised, but something that makes it has changed since.
    Stale,
    /// Waiting to be synthesised.
    Queued,
    /// Being synthesised, this many steps far.
    Forming(usize),
}

impl ImageState {
    /// In a word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Missing => "none",
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::Queued => "queued",
            Self::Forming(_) => "forming",
        }
    }
}

impl State {
    /// The caption a prototype has now.
    pub fn caption(&self, protos: &Protos, prototype: usize) -> String {
        if let Some(own) = self.draft.captions.get(&(protos.basis.clone(), prototype)) {
            return own.text.clone();
        }
        let Some(proto) = protos.list.get(prototype) else { return String::new() };
        // The rule's choice, or a lower rank for all where the user asked for one.
        let at =
            if self.draft.rank == 0 { proto.chosen } else { self.draft.rank.min(proto.candidates.len().max(1) - 1) };
        let row = proto.candidates.get(at).map(|c| c.row as usize);
        let found = row.and_then(|r| self.rows.captions.get(r)).map_or("", String::as_str);
        if self.draft.prefix.is_empty() { found.to_owned() } else { format!("{} {found}", self.draft.prefix) }
    }

    /// All that makes the picture of a prototype.
    pub fn wanted(&self, protos: &Protos, prototype: usize) -> Wanted {
        let (caption, seed) = (self.caption(protos, prototype), self.draft.seed_of(&protos.basis, prototype));
        let settings = self.draft.synthesis_of(&protos.basis, prototype);
        let key = Fingerprint::of_stage("picture", &(prototype, &caption, seed, settings.as_drawn()), &[&protos.basis]);
        Wanted { prototype, caption, seed, settings, key }
    }

    /// Recomputes captions and picture names after something they depend on has changed.
    pub(super) fn refresh(&mut self) {
        let Some(protos) = self.protos.clone() else { return self.pairs.clear() };
        self.pairs = (0..protos.list.len()).map(|i| self.wanted(&protos, i)).collect();
        let captions: Vec<String> = self.pairs.iter().map(|p| p.caption.clone()).collect();
        let near = self.nearness();
        let sort = if near.is_some() { SortBy::Found } else { self.sort };
        let fits: Vec<_> = self.pairs.iter().map(|p| self.fits.get(&p.key).map(|fit| fit[0])).collect();
        let scores = near.unwrap_or(fits);
        self.arranged = sort.arrange(&protos.list, (&captions, &scores), &self.filter, &self.pins);
    }

    /// Names the whole set: its clustering and all its pairs.
    pub fn set(&self) -> Option<Fingerprint> {
        let protos = self.protos.as_ref()?;
        let keys: Vec<&Fingerprint> = self.pairs.iter().map(|p| &p.key).collect();
        let name = Fingerprint::of_stage("set", &keys, &[&protos.basis]);
        // Other targets make another set of the same pictures.
        let (way, targets) = (self.draft.config.method, &self.draft.config.targets);
        let same = way == Method::Pds.into();
        Some(if same { name } else { Fingerprint::of_stage("set", &(way, targets), &[&name]) })
    }

    /// What there is of a prototype's picture.
    pub fn image_state(&self, prototype: usize) -> ImageState {
        let Some(pair) = self.pairs.get(prototype) else { return ImageState::Missing };
        let running = self.jobs.iter().filter(|j| j.is_alive());
        let mut making = running.filter(|j| j.wanted().iter().any(|w| w.key == pair.key));
        if self.pictures.has(&pair.key) {
            return ImageState::Fresh;
        }
        match making.next_back() {
            Some(job) if job.status == Status::Running => match self.forming.get(&pair.key) {
                Some((step, _)) => ImageState::Forming(*step),
                None => ImageState::Queued,
            },
            Some(_) => ImageState::Queued,
            None if self.shown_before(prototype).is_some() => ImageState::Stale,
            None => ImageState::Missing,
        }
    }

    fn shown_before(&self, prototype: usize) -> Option<&Picture> {
        let basis = &self.protos.as_ref()?.basis;
        self.made.get(&(basis.clone(), prototype)).and_then(|key| self.pictures.get(key))
    }

    /// The picture to show for a prototype: the fresh one, the one that is forming, or the stale one.
    pub fn picture(&self, prototype: usize) -> Option<&Picture> {
        let key = &self.pairs.get(prototype)?.key;
        let forming = || self.forming.get(key).map(|(_, picture)| picture);
        self.pictures.get(key).or_else(forming).or_else(|| self.shown_before(prototype))
    }

    /// Prototypes whose picture is missing or stale.
    pub fn outdated(&self) -> Vec<usize> {
        (0..self.pairs.len()).filter(|&i| !self.pictures.has(&self.pairs[i].key)).collect()
    }

    /// How many prototypes repeat the caption of an earlier one.
    pub fn repeated(&self) -> usize {
        let mut seen = std::collections::BTreeSet::new();
        self.pairs.iter().filter(|p| !seen.insert(&p.caption)).count()
    }
}
