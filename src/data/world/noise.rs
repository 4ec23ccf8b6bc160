//! Wrong pairs on purpose: captions swapped between scenes, with the truth kept.

use super::CAPTIONS;
use super::scene::Lots;

/// For each caption row (`CAPTIONS` to a scene, scene by scene) the scene it is shown with. A share `noise` of the rows,
/// chosen by lot, trade scenes among themselves, so every scene keeps as many captions as it had; none of them keeps its own
/// scene unless that cannot be (two captions of one scene alone have nothing to trade).
pub fn shown_with(scenes: usize, noise: f32, seed: u64) -> Vec<usize> {
    let rows = scenes * CAPTIONS;
    let mut shown: Vec<usize> = (0..rows).map(|row| row / CAPTIONS).collect();
    let count = ((f64::from(noise) * rows as f64).round() as usize).min(rows);
    let mut lots = Lots::new(seed, 2);
    let mut order: Vec<usize> = (0..rows).collect();
    lots.shuffle(&mut order);
    let mut chosen = order[..count].to_vec();
    chosen.sort_unstable();
    let mut targets: Vec<usize> = chosen.iter().map(|row| row / CAPTIONS).collect();
    lots.shuffle(&mut targets);
    for at in 0..count {
        give_away(at, &chosen, &mut targets, &mut lots);
    }
    for (row, target) in chosen.into_iter().zip(targets) {
        shown[row] = target;
    }
    shown
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
