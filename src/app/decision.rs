//! What the user decides, as a list that can be walked back and forth: the draft is always the fold of the list.

use crate::{
    config::Config,
    fingerprint::Fingerprint,
    pipeline::{
        draw::synthesize,
        score::evaluate,
        setting::{Change, Kind, Setting},
    },
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
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

/// What a single picture may have of its own.
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
    /// That of all pictures.
    pub fn of(settings: &synthesize::Settings) -> Self {
        Self { steps: settings.steps, guidance: settings.guidance, noise: settings.noise_level }
    }

    /// All other settings, with these.
    pub fn within(self, settings: &synthesize::Settings) -> synthesize::Settings {
        let Self { steps, guidance, noise: noise_level } = self;
        synthesize::Settings { steps, guidance, noise_level, ..settings.clone() }
    }

    /// What keys bring it to: they stop at the bounds.
    pub(super) fn bounded(self) -> Self {
        let [steps, guidance, noise] =
            self.changes().map(|c| c.setting.kind.nearest(c.value.as_f64().unwrap_or_default()));
        Self { steps: steps as usize, guidance, noise: noise as usize }
    }

    /// What `change` does to one of them, if it is about one.
    pub(super) fn changed(change: &Change) -> Option<impl Fn(&mut Self) + use<>> {
        let (name, to) = (change.setting.name, change.value.as_f64()?);
        ["synthesis.steps", "synthesis.guidance", "synthesis.noise_level"].contains(&name).then_some(
            move |own: &mut Self| match name {
                "synthesis.steps" => own.steps = to as usize,
                "synthesis.guidance" => own.guidance = to,
                _ => own.noise = to as usize,
            },
        )
    }

    /// These as changes of the settings of all.
    pub(super) fn changes(self) -> [Change; 3] {
        [
            Change::of("synthesis.steps", self.steps),
            Change::of("synthesis.guidance", self.guidance),
            Change::of("synthesis.noise_level", self.noise),
        ]
    }
}

/// One decision, as it stands in the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the fields of `Draft` say what they mean")]
pub enum Decision {
    /// Keep (true) or drop (false) a row against the threshold, or (none) let the threshold decide again.
    Hand {
        row: u32,
        keep: Option<bool>,
    },
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
    /// Settings of one picture; none: as all the others.
    Own {
        basis: Fingerprint,
        prototype: usize,
        settings: Option<Synthesis>,
    },
    Prefix(String),
    Rank(usize),
    /// One step of undo that concerns several lines.
    Many(Vec<Self>),
    /// A setting, under its own word.
    #[serde(untagged)]
    Set(Change),
}

impl Decision {
    /// Whether it is one that the explorer could have made: a journal is a file, and anything may be in it.
    ///
    /// # Errors
    /// What is out of bounds, in words.
    pub fn check(&self) -> Result<(), String> {
        let fits = |change: &Change| {
            let Change { setting, value } = change;
            setting.kind.check(value).map_err(|why| format!("{} {why}", setting.called()))
        };
        match self {
            Self::Set(Change { setting, .. }) if Self::at_start(setting) => {
                Err(format!("is chosen at the start, by --set {}=... or in a file", setting.name))
            }
            Self::Set(change) => {
                fits(change)?;
                let way = change.applied(&Config::default()).map_err(|e| e.to_string())?.method;
                if way.draws() { Ok(()) } else { Err(format!("{way} makes no prototypes to look at")) }
            }
            Self::Own { settings: Some(own), .. } => own.changes().iter().try_for_each(fits),
            Self::Many(list) => list.iter().try_for_each(Self::check),
            _ => Ok(()),
        }
    }

    /// Whether a setting says which data, checkpoints, streams and judge of pairs: those are chosen at the start.
    pub(super) fn at_start(setting: &Setting) -> bool {
        matches!(setting.section(), "data" | "models")
            || ["seed", "cluster.seed", "prune.method"].contains(&setting.name)
    }

    /// A change of the setting `name`.
    pub fn set(name: &str, value: impl Into<serde_json::Value>) -> Self {
        Self::Set(Change::of(name, value))
    }

    /// Several as one; none if there are none.
    pub fn many(mut list: Vec<Self>) -> Option<Self> {
        if list.len() > 1 { Some(Self::Many(list)) } else { list.pop() }
    }

    /// Moves of one slider follow each other as one decision.
    fn replaces(&self, last: &Self) -> bool {
        match (self, last) {
            (Self::Own { basis: a, prototype: i, .. }, Self::Own { basis: b, prototype: j, .. }) => a == b && i == j,
            (Self::Set(a), Self::Set(b)) => a.setting.name == b.setting.name && a.setting.kind != Kind::Flag,
            (Self::Rank(_), Self::Rank(_)) => true,
            (Self::Many(a), Self::Many(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.replaces(b)),
            _ => false,
        }
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
            Self::Set(change) => said(change),
            Self::Hand { row, keep: Some(true) } => format!("keep pair {row}"),
            Self::Hand { row, keep: Some(false) } => format!("drop pair {row}"),
            Self::Hand { row, keep: None } => format!("threshold decides pair {row}"),
            Self::Caption { prototype, caption: Some(_), .. } => format!("caption of prototype {}", prototype + 1),
            Self::Caption { prototype, caption: None, .. } => {
                format!("automatic caption of prototype {}", prototype + 1)
            }
            Self::Seed { prototype, .. } => format!("new seed of prototype {}", prototype + 1),
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
            Self::Many(list) => {
                let first = list.first().map_or(String::new(), Self::words);
                format!("{first}, and {} more", list.len().saturating_sub(1))
            }
        }
    }
}

/// A change in words.
fn said(change: &Change) -> String {
    let Change { setting, value } = change;
    let text = value.as_str().map_or_else(|| value.to_string(), crate::fsio::printable);
    match (setting.called(), setting.kind) {
        ("prune", _) => format!("prune {:.0} %", value.as_f64().unwrap_or_default() * 100.0),
        ("guidance", _) => format!("guidance {:.1}", value.as_f64().unwrap_or_default()),
        ("noise", _) => format!("noise level {text}"),
        ("encoders", _) => {
            let names: Vec<&str> = value.as_array().into_iter().flatten().filter_map(|v| v.as_str()).collect();
            format!("judged by {}", crate::fsio::printable(&names.join(" and ")))
        }
        ("distinct", _) => format!("distinct captions {}", if value == true { "on" } else { "off" }),
        (word, Kind::Whole(..)) if word == setting.word => format!("{text} {word}"),
        (word, _) => format!("{word} {text}"),
    }
}

/// Everything that makes the set on screen: the configuration with the decisions laid over it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Draft {
    /// The settings, with those that were changed.
    pub config: Config,
    /// Rows kept or dropped by hand.
    pub by_hand: BTreeMap<u32, bool>,
    /// Captions chosen or written, by clustering and prototype.
    pub captions: BTreeMap<(Fingerprint, usize), Caption>,
    /// Seeds rerolled, by clustering and prototype.
    pub seeds: BTreeMap<(Fingerprint, usize), u64>,
    /// Settings of single pictures, by clustering and prototype.
    pub own: BTreeMap<(Fingerprint, usize), Synthesis>,
    /// Words in front of every automatic caption.
    pub prefix: String,
    /// Which candidate the automatic captions take; 0 leaves it to the rule.
    pub rank: usize,
}

impl Draft {
    /// A configuration, and nothing decided.
    pub fn new(config: Config) -> Self {
        Self { config, ..Self::default() }
    }

    /// Whether the same pairs are clustered in the same way as under `other`.
    pub(super) fn clusters_as(&self, other: &Self) -> bool {
        let of = |c: &Config| {
            let prune = (c.prune.method, c.prune.ratio.to_bits());
            (c.method.method.origin(), c.seed, prune, c.cluster.clone(), c.prototype.clone())
        };
        of(&self.config) == of(&other.config) && self.by_hand == other.by_hand
    }

    /// Lays a decision over it; settings over `config`, which is its own as JSON.
    fn apply(&mut self, decision: &Decision, config: &mut Value) {
        match decision.clone() {
            Decision::Set(change) => drop(change.write(config)),
            Decision::Hand { row, keep } => set(&mut self.by_hand, row, keep),
            Decision::Caption { basis, prototype, caption } => set(&mut self.captions, (basis, prototype), caption),
            Decision::Seed { basis, prototype, seed } => set(&mut self.seeds, (basis, prototype), Some(seed)),
            Decision::Own { basis, prototype, settings } => set(&mut self.own, (basis, prototype), settings),
            Decision::Prefix(words) => self.prefix = words,
            Decision::Rank(n) => self.rank = n,
            Decision::Many(list) => list.iter().for_each(|d| self.apply(d, config)),
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
#[derive(Clone, Debug, Default, PartialEq)]
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
        self.base.config.prune.ratio = share;
    }

    /// What holds now.
    pub fn draft(&self) -> Draft {
        let mut draft = self.base.clone();
        let mut config = draft.config.json();
        self.list[..self.now].iter().for_each(|d| draft.apply(d, &mut config));
        // What cannot be is refused when it is decided or read.
        draft.config = serde_json::from_value(config).unwrap_or(draft.config);
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

/// Names a protocol of judging.
pub fn protocol_name(settings: &evaluate::Settings) -> Fingerprint {
    Fingerprint::of_stage("protocol", settings, &[])
}
