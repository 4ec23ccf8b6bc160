//! Modules that name each other, on a way of any length.

use super::tree::{Import, Segments};
use std::collections::{BTreeMap, BTreeSet};

type Arrows = BTreeMap<String, BTreeSet<String>>;

/// Circles among the children of each module, as `parent: child, child`. The parent's own file does not count: it is the
/// house of its children, they may name it and it them.
pub fn circles(imports: &[Import]) -> BTreeSet<String> {
    let mut houses: BTreeMap<Segments, Arrows> = BTreeMap::new();
    for Import { from, to, .. } in imports {
        let shared = from.iter().zip(to).take_while(|(a, b)| a == b).count();
        if let (Some(a), Some(b)) = (from.get(shared), to.get(shared)) {
            let arrows = houses.entry(from[..shared].to_vec()).or_default();
            arrows.entry(a.clone()).or_default().insert(b.clone());
        }
    }
    houses.iter().flat_map(|(house, arrows)| among(house, arrows)).collect()
}

fn among(house: &[String], arrows: &Arrows) -> Vec<String> {
    let house = if house.is_empty() { "crate".into() } else { house.join("::") };
    let reached: BTreeMap<_, _> = arrows.keys().map(|child| (child, below(child, arrows))).collect();
    let rings = reached.iter().filter(|(child, seen)| seen.contains(**child)).map(|(child, seen)| {
        let back = |other: &&String| reached.get(other).is_some_and(|seen| seen.contains(*child));
        seen.iter().filter(back).cloned().collect::<Vec<_>>().join(", ")
    });
    rings.map(|ring| format!("{house}: {ring}")).collect()
}

/// Everything that arrows from `child` lead to.
fn below(child: &str, arrows: &Arrows) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut open = vec![child];
    while let Some(at) = open.pop() {
        for next in arrows.get(at).into_iter().flatten() {
            if seen.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    seen
}
