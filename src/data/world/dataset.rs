//! A world in memory, as a data set like any other.

use rayon::prelude::*;

use super::{Part, World, WorldSpec};
use crate::data::{Dataset, ImageId, ImageSource, Pair, Split};
use crate::error::Result;
use crate::fingerprint::Fingerprint;

/// The world of `spec` as a data set in memory: what [`write()`](super::write()) would put on disk, 12 KiB a picture.
///
/// # Errors
/// As [`WorldSpec::check`].
pub fn dataset(spec: &WorldSpec) -> Result<Dataset> {
    spec.check()?;
    let fingerprint = Fingerprint::of_stage("world", spec, &[]);
    Ok(Dataset {
        name: "world".to_owned(),
        train: split(spec, Part::Train),
        val: split(spec, Part::Val),
        test: split(spec, Part::Test),
        listed: fingerprint.clone(),
        fingerprint,
    })
}

fn split(spec: &WorldSpec, part: Part) -> Split {
    let (world, scenes) = (World::new(spec.seed), spec.scenes_in(part));
    let noise = if part == Part::Train { spec.noise } else { 0.0 };
    let shown = WorldSpec { scenes, noise, ..*spec }.shown();
    let images =
        (0..scenes).into_par_iter().map(|index| ImageSource::Memory(world.scene(part, index).render())).collect();
    let pairs = world
        .captions(part, scenes)
        .zip(shown)
        .map(|((_, caption), shown)| Pair { image: ImageId(shown as u32), caption })
        .collect();
    Split { images, pairs, ..Split::default() }
}
