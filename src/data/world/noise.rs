//! Wrong pairs on purpose: captions swapped between scenes, with the truth kept.

use super::scene::Lots;
use super::{CAPTIONS, Part, Scene, World, WorldSpec};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Between which scenes captions are swapped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Among {
    /// Any.
    #[default]
    All,
    /// Those that look alike: of each scene the twenty that share most with it.
    Neighbours,
}

impl Among {
    pub(super) fn is_all(&self) -> bool {
        *self == Self::All
    }
}

/// Captions at wrong pictures: `0.4`, or `near:0.4` among scenes that look alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Swapped {
    /// Between which scenes.
    pub among: Among,
    thousandths: u16,
}

impl Swapped {
    /// The share of all captions.
    pub fn share(self) -> f32 {
        f32::from(self.thousandths) / 1000.0
    }
}

impl FromStr for Swapped {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (among, share) = match text.strip_prefix("near:") {
            Some(share) => (Among::Neighbours, share),
            None => (Among::All, text),
        };
        match share.parse::<f32>() {
            Ok(share) if (0.0..=1.0).contains(&share) => {
                Ok(Self { among, thousandths: (share * 1000.0).round() as u16 })
            }
            _ => Err("must be a share from 0 to 1, with `near:` before it for scenes that look alike".into()),
        }
    }
}

impl fmt::Display for Swapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let near = if self.among == Among::Neighbours { "near:" } else { "" };
        write!(f, "{near}{:.2}", self.share())
    }
}

/// Scenes near to one.
const NEAR: usize = 20;

/// A share `noise` of the caption rows, chosen by lot, trade scenes among themselves, so every scene keeps as many captions as
/// it had.
pub(super) fn shown(spec: &WorldSpec) -> Vec<usize> {
    let rows = spec.scenes * CAPTIONS;
    let count = ((f64::from(spec.noise) * rows as f64).round() as usize).min(rows);
    let mut lots = Lots::new(spec.noise_seed.unwrap_or(spec.seed), 2);
    let mut order: Vec<usize> = (0..rows).collect();
    lots.shuffle(&mut order);
    let chosen = order[..count].to_vec();
    let mut shown: Vec<usize> = (0..rows).map(|row| row / CAPTIONS).collect();
    match spec.among {
        Among::All => scatter(chosen, &mut shown, &mut lots),
        Among::Neighbours => trade_nearby(chosen, &mut shown, spec, &mut lots),
    }
    shown
}

/// Each of the chosen rows, in turn, trades with one that has not yet, of a scene near to its own if there is one; rows that
/// meet none stay, about one in a hundred.
fn trade_nearby(chosen: Vec<usize>, shown: &mut [usize], spec: &WorldSpec, lots: &mut Lots) {
    let world = World::new(spec.seed);
    let scenes: Vec<Scene> = (0..spec.scenes).map(|i| world.scene(Part::Train, i)).collect();
    let mut waiting = vec![Vec::new(); spec.scenes];
    chosen.iter().for_each(|&row| waiting[row / CAPTIONS].push(row));
    for row in chosen {
        let own = row / CAPTIONS;
        let Some(at) = waiting[own].iter().position(|&other| other == row) else { continue };
        let mut near: Vec<usize> = (0..scenes.len()).filter(|&i| i != own).collect();
        near.sort_by_key(|&i| std::cmp::Reverse(alike(&scenes[own], &scenes[i])));
        near.truncate(NEAR);
        near.retain(|&i| !waiting[i].is_empty());
        if near.is_empty() {
            continue;
        }
        let other = near[lots.below(near.len())];
        let take = lots.below(waiting[other].len());
        let partner = waiting[other].swap_remove(take);
        waiting[own].swap_remove(at);
        shown[row] = other;
        shown[partner] = own;
    }
}

/// How much two scenes share: objects of one shape, more so of one colour or in one place, and the backdrop.
fn alike(a: &Scene, b: &Scene) -> usize {
    let shared = |x: &super::Object| {
        let same = b.objects.iter().find(|y| y.shape == x.shape);
        same.map_or(0, |y| 4 + 3 * usize::from(y.colour == x.colour) + usize::from(y.slot == x.slot))
    };
    a.objects.iter().map(shared).sum::<usize>() + 3 * usize::from(a.backdrop == b.backdrop)
}

/// None of the chosen rows keeps its own scene unless that cannot be (two captions of one scene alone have nothing to trade).
fn scatter(mut chosen: Vec<usize>, shown: &mut [usize], lots: &mut Lots) {
    chosen.sort_unstable();
    let count = chosen.len();
    let mut targets: Vec<usize> = chosen.iter().map(|row| row / CAPTIONS).collect();
    lots.shuffle(&mut targets);
    for at in 0..count {
        give_away(at, &chosen, &mut targets, lots);
    }
    for (row, target) in chosen.into_iter().zip(targets) {
        shown[row] = target;
    }
}

/// If the chosen row `at` was dealt its own scene, trades it with the first row, from a random one on, that gains or loses
/// nothing by it.
fn give_away(at: usize, chosen: &[usize], targets: &mut [usize], lots: &mut Lots) {
    let own = |index: usize| chosen[index] / CAPTIONS;
    if targets[at] != own(at) {
        return;
    }
    let start = lots.below(chosen.len());
    let partner = (0..chosen.len())
        .map(|step| (start + step) % chosen.len())
        .find(|&other| targets[other] != own(at) && targets[at] != own(other));
    if let Some(other) = partner {
        targets.swap(at, other);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn noise_is_read_as_it_is_written() {
        for text in ["0.40", "near:0.60", "0.00", "1.00"] {
            assert_eq!(text.parse::<Swapped>().unwrap().to_string(), text);
        }
        for wrong in ["", "near:", "2", "-0.1", "NaN", "far:0.2"] {
            assert!(wrong.parse::<Swapped>().is_err(), "{wrong}");
        }
    }
}
