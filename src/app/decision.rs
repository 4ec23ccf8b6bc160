//! What the user decides, as a list that can be walked back and forth: the draft is always the fold of the list.

use crate::{fingerprint::Fingerprint, pipeline::methods::Way};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The words under a prototype, when a person chose them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caption {
    /// The words.
    pub text: String,
    /// The training row they come from, or none if they were typed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<u32>,
}

/// How pictures are synthesised.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Synthesis {
    /// Denoising steps.
    pub steps: usize,
    /// Guidance scale.
    pub guidance: f64,
    /// Noise level.
    pub noise: usize,
}

impl Synthesis {
    /// What keys bring it to: they stop at the bounds.
    pub(super) fn within_bounds(self) -> Self {
        Self {
            steps: self.steps.clamp(*bounds::STEPS.start(), *bounds::STEPS.end()),
            guidance: self.guidance.clamp(*bounds::GUIDANCE.start(), *bounds::GUIDANCE.end()),
            noise: self.noise.min(*bounds::NOISE.end()),
        }
    }
}

/// One decision, as it stands in the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the fields of `Draft` say what they mean")]
pub enum Decision {
    Prototypes(usize),
    Prune(f64),
    /// Keep (true) or drop (false) a row against the threshold, or (none) let the threshold decide again.
    Hand {
        row: u32,
        keep: Option<bool>,
    },
    Distinct(bool),
    /// Choose or write the caption of a prototype; none: back to the rule's choice.
    Caption {
        basis: Fingerprint,
        prototype: usize,
        caption: Option<Caption>,
    },
    Seed {
        basis: Fingerprint,
        prototype: usize,
        seed: u64,
    },
    Steps(usize),
    Guidance(f64),
    Noise(usize),
    /// Settings of one picture; none: as all the others.
    Own {
        basis: Fingerprint,
        prototype: usize,
        settings: Option<Synthesis>,
    },
    Prefix(String),
    Rank(usize),
    Method(Way),
    Runs(usize),
    Epochs(usize),
    Encoders(Vec<String>),
    /// One step of undo that concerns several lines.
    Many(Vec<Self>),
}

/// What settings may be, whoever sets them; the decoder and the data may allow less.
pub mod bounds {
    use std::ops::RangeInclusive;

    /// Share of pairs pruned.
    pub const PRUNE: RangeInclusive<f64> = 0.0..=0.95;
    /// Denoising steps.
    pub const STEPS: RangeInclusive<usize> = 1..=1000;
    /// Guidance scale.
    pub const GUIDANCE: RangeInclusive<f64> = 0.0..=100.0;
    /// Noise level.
    pub const NOISE: RangeInclusive<usize> = 0..=999;
    /// Runs for each encoder.
    pub const RUNS: RangeInclusive<usize> = 1..=100;
    /// Epochs of a run.
    pub const EPOCHS: RangeInclusive<usize> = 1..=10_000;

    /// A value that lies in `range`.
    ///
    /// # Errors
    /// The bounds, in words.
    pub fn within<T: PartialOrd + std::fmt::Display>(value: T, range: RangeInclusive<T>) -> Result<T, String> {
        let (least, most) = (range.start(), range.end());
        if range.contains(&value) { Ok(value) } else { Err(format!("{value} is not between {least} and {most}")) }
    }
}

impl Decision {
    /// Whether it is one that the explorer could have made: a journal is a file, and anything may be in it.
    ///
    /// # Errors
    /// What is out of bounds, in words.
    pub fn check(&self) -> Result<(), String> {
        fn within<T: PartialOrd + std::fmt::Display>(
            what: &str,
            value: T,
            range: std::ops::RangeInclusive<T>,
        ) -> Result<(), String> {
            bounds::within(value, range).map(drop).map_err(|why| format!("{what} {why}"))
        }
        match self {
            Self::Prototypes(m) => within("prototypes", *m, 1..=usize::MAX),
            Self::Prune(r) => within("prune", *r, bounds::PRUNE),
            Self::Steps(n) => within("steps", *n, bounds::STEPS),
            Self::Guidance(g) => within("guidance", *g, bounds::GUIDANCE),
            Self::Noise(n) => within("noise", *n, bounds::NOISE),
            Self::Runs(n) => within("runs", *n, bounds::RUNS),
            Self::Epochs(n) => within("epochs", *n, bounds::EPOCHS),
            Self::Method(way) if !way.draws() => Err(format!("{way} makes no prototypes to look at")),
            Self::Encoders(names) if names.is_empty() => Err("no encoder is named".into()),
            Self::Own { settings: Some(own), .. } => within("steps", own.steps, bounds::STEPS)
                .and_then(|()| within("guidance", own.guidance, bounds::GUIDANCE))
                .and_then(|()| within("noise", own.noise, bounds::NOISE)),
            Self::Many(list) => list.iter().try_for_each(Self::check),
            _ => Ok(()),
        }
    }

    /// Several as one; none if there are none.
    pub fn many(mut list: Vec<Self>) -> Option<Self> {
        if list.len() > 1 { Some(Self::Many(list)) } else { list.pop() }
    }

    /// Moves of one slider follow each other as one decision.
    fn replaces(&self, last: &Self) -> bool {
        use Decision::{Encoders, Epochs, Guidance, Many, Method, Noise, Own, Prototypes, Prune, Rank, Runs, Steps};
        let slider = match (self, last) {
            (Own { basis: a, prototype: i, .. }, Own { basis: b, prototype: j, .. }) => a == b && i == j,
            (Prototypes(_) | Prune(_) | Steps(_) | Guidance(_) | Noise(_) | Rank(_), _) => true,
            (Runs(_) | Epochs(_) | Encoders(_) | Method(_), _) => true,
            (Many(a), Many(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.replaces(b)),
            _ => false,
        };
        slider && std::mem::discriminant(self) == std::mem::discriminant(last)
    }

    /// The clusterings that it is about.
    pub(super) fn bases(&self, each: &mut dyn FnMut(&Fingerprint)) {
        match self {
            Self::Caption { basis, .. } | Self::Seed { basis, .. } | Self::Own { basis, .. } => each(basis),
            Self::Many(list) => list.iter().for_each(|d| d.bases(each)),
            _ => {}
        }
    }

    fn rename(&mut self, from: &Fingerprint, to: &Fingerprint) {
        match self {
            Self::Caption { basis, .. } | Self::Seed { basis, .. } | Self::Own { basis, .. } if basis == from => {
                *basis = to.clone();
            }
            Self::Many(list) => list.iter_mut().for_each(|d| d.rename(from, to)),
            _ => {}
        }
    }

    /// In words, for the status line.
    pub fn words(&self) -> String {
        match self {
            Self::Prototypes(m) => format!("{m} prototypes"),
            Self::Prune(r) => format!("prune {:.0} %", r * 100.0),
            Self::Hand { row, keep: Some(true) } => format!("keep pair {row}"),
            Self::Hand { row, keep: Some(false) } => format!("drop pair {row}"),
            Self::Hand { row, keep: None } => format!("threshold decides pair {row}"),
            Self::Distinct(on) => format!("distinct captions {}", if *on { "on" } else { "off" }),
            Self::Caption { prototype, caption: Some(_), .. } => format!("caption of prototype {}", prototype + 1),
            Self::Caption { prototype, caption: None, .. } => {
                format!("automatic caption of prototype {}", prototype + 1)
            }
            Self::Seed { prototype, .. } => format!("new seed of prototype {}", prototype + 1),
            Self::Steps(n) => format!("{n} steps"),
            Self::Guidance(g) => format!("guidance {g:.1}"),
            Self::Noise(n) => format!("noise level {n}"),
            Self::Own { prototype, settings: Some(s), .. } => format!(
                "prototype {} alone: {} steps, guidance {:.1}, noise level {}",
                prototype + 1,
                s.steps,
                s.guidance,
                s.noise
            ),
            Self::Own { prototype, settings: None, .. } => format!("prototype {} as all others", prototype + 1),
            Self::Prefix(words) if words.is_empty() => "no prefix".into(),
            Self::Prefix(words) => format!("prefix \"{}\"", crate::fsio::printable(words)),
            Self::Rank(0) => "captions by the rule".into(),
            Self::Rank(n) => format!("candidate {} for every caption", n + 1),
            Self::Method(way) => format!("method {way}"),
            Self::Runs(n) => format!("{n} runs"),
            Self::Epochs(n) => format!("{n} epochs"),
            Self::Encoders(names) => format!("judged by {}", names.join(" and ")),
            Self::Many(list) => {
                let first = list.first().map_or(String::new(), Self::words);
                format!("{first}, and {} more", list.len().saturating_sub(1))
            }
        }
    }
}

/// Everything that makes the set on screen: the configuration with the decisions laid over it.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// How prototypes are got, and what students match their pictures with.
    pub way: Way,
    /// Number of prototypes.
    pub prototypes: usize,
    /// Share of pairs dropped for low cosine.
    pub prune: f64,
    /// Rows kept or dropped by hand.
    pub by_hand: BTreeMap<u32, bool>,
    /// No caption twice.
    pub distinct: bool,
    /// Captions chosen or written, by clustering and prototype.
    pub captions: BTreeMap<(Fingerprint, usize), Caption>,
    /// Seeds rerolled, by clustering and prototype.
    pub seeds: BTreeMap<(Fingerprint, usize), u64>,
    /// Seed of everything else.
    pub seed: u64,
    /// How pictures are synthesised.
    pub synthesis: Synthesis,
    /// Settings of single pictures, by clustering and prototype.
    pub own: BTreeMap<(Fingerprint, usize), Synthesis>,
    /// Words in front of every automatic caption.
    pub prefix: String,
    /// Which candidate the automatic captions take; 0 leaves it to the rule.
    pub rank: usize,
    /// How sets are judged.
    pub protocol: Protocol,
}

/// How often and by whom a set is judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocol {
    /// Trainings with different initialisation.
    pub runs: usize,
    /// Passes over the pairs.
    pub epochs: usize,
    /// Image encoders.
    pub encoders: Vec<String>,
}

impl Draft {
    /// Whether the same pairs are clustered in the same way as under `other`.
    pub(super) fn clusters_as(&self, other: &Self) -> bool {
        let of = |draft: &Self| (draft.way.method.start(), draft.prototypes);
        (of(self), &self.by_hand) == (of(other), &other.by_hand) && self.prune.total_cmp(&other.prune).is_eq()
    }

    fn apply(&mut self, decision: &Decision) {
        match decision.clone() {
            Decision::Prototypes(m) => self.prototypes = m,
            Decision::Prune(r) => self.prune = r,
            Decision::Hand { row, keep } => set(&mut self.by_hand, row, keep),
            Decision::Distinct(on) => self.distinct = on,
            Decision::Caption { basis, prototype, caption } => set(&mut self.captions, (basis, prototype), caption),
            Decision::Seed { basis, prototype, seed } => set(&mut self.seeds, (basis, prototype), Some(seed)),
            Decision::Steps(n) => self.synthesis.steps = n,
            Decision::Guidance(g) => self.synthesis.guidance = g,
            Decision::Noise(n) => self.synthesis.noise = n,
            Decision::Own { basis, prototype, settings } => set(&mut self.own, (basis, prototype), settings),
            Decision::Prefix(words) => self.prefix = words,
            Decision::Rank(n) => self.rank = n,
            Decision::Method(way) => self.way = way,
            Decision::Runs(n) => self.protocol.runs = n,
            Decision::Epochs(n) => self.protocol.epochs = n,
            Decision::Encoders(names) => self.protocol.encoders = names,
            Decision::Many(list) => list.iter().for_each(|d| self.apply(d)),
        }
    }
}

fn set<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
    match value {
        Some(value) => drop(map.insert(key, value)),
        None => drop(map.remove(&key)),
    }
}

/// Decisions made, and those undone that can be redone.
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    base: Draft,
    list: Vec<Decision>,
    /// How many of `list` hold.
    now: usize,
}

impl History {
    /// Nothing decided yet.
    pub fn new(base: Draft) -> Self {
        Self { base, list: Vec::new(), now: 0 }
    }

    /// What holds where nothing was decided.
    pub fn base(&self) -> &Draft {
        &self.base
    }

    /// Lets `share` of the pairs be left out where nothing was decided.
    pub(super) fn propose(&mut self, share: f64) {
        self.base.prune = share;
    }

    /// What holds now.
    pub fn draft(&self) -> Draft {
        let mut draft = self.base.clone();
        self.list[..self.now].iter().for_each(|d| draft.apply(d));
        draft
    }

    /// Adds a decision; what was undone before is gone.
    pub fn push(&mut self, decision: Decision) {
        self.list.truncate(self.now);
        match self.list.last_mut() {
            Some(last) if decision.replaces(last) => *last = decision,
            _ => self.list.push(decision),
        }
        self.now = self.list.len();
    }

    /// Lets decisions about the clustering `from` be about `to`, which is the same under its new name.
    pub(super) fn rename(&mut self, from: &Fingerprint, to: &Fingerprint) {
        self.list.iter_mut().for_each(|d| d.rename(from, to));
    }

    /// Takes the last decision back.
    pub fn undo(&mut self) -> Option<&Decision> {
        self.now = self.now.checked_sub(1)?;
        self.list.get(self.now)
    }

    /// Brings back what was undone last.
    pub fn redo(&mut self) -> Option<&Decision> {
        let decision = self.list.get(self.now)?;
        self.now += 1;
        Some(decision)
    }
}
