//! Pictures that were made: found in the store, and put together to a set.

use super::Shared;
use crate::{
    app::{Picture, Wanted},
    data::caption::PreCaption,
    error::{Error, Result},
    fingerprint::Fingerprint,
    pipeline::{
        draw::synthesize::{self, Request},
        set::folder::DistilledSet,
        workbench::Prototyped,
    },
};
use image::RgbImage;
use std::sync::Arc;

/// Pictures that are made alike, in their order.
pub fn alike(wanted: &[Wanted]) -> Vec<(synthesize::Settings, Vec<Wanted>)> {
    let mut groups: Vec<(synthesize::Settings, Vec<Wanted>)> = Vec::new();
    for w in wanted {
        match groups.iter_mut().find(|(settings, _)| *settings == w.settings) {
            Some((_, group)) => group.push(w.clone()),
            None => groups.push((w.settings.clone(), vec![w.clone()])),
        }
    }
    groups
}

pub fn requests(found: &Prototyped, wanted: &[Wanted], read: PreCaption) -> Result<Vec<Request>> {
    let request = |w: &Wanted| {
        let prototype = found.prototypes.list.get(w.prototype);
        let image = prototype.ok_or_else(|| Error::setting("prototypes", "a prototype is gone; cluster again"))?;
        Ok(Request { image: image.image.clone(), prompt: read.read(&w.caption).into_owned(), seed: w.seed })
    };
    wanted.iter().map(request).collect()
}

/// Finds pictures that the store has.
pub fn recall(
    shared: &Shared,
    basis: &Fingerprint,
    wanted: &[Wanted],
    tell: &dyn Fn(Fingerprint, Picture),
) -> Result<()> {
    // An old clustering's pictures are nobody's business any more.
    let Ok(found) = shared.found(basis) else { return Ok(()) };
    for (w, picture) in made(shared, &found, wanted)? {
        if let Some(picture) = picture {
            tell(w.key, Arc::new(picture));
        }
    }
    Ok(())
}

/// Pictures as far as the store has them.
pub fn made(shared: &Shared, found: &Prototyped, wanted: &[Wanted]) -> Result<Vec<(Wanted, Option<RgbImage>)>> {
    let bench = shared.bench()?;
    let read = bench.dataset().train.pre_caption;
    let group = |(asked, group): (synthesize::Settings, Vec<Wanted>)| {
        let pictures = bench.made(&requests(found, &group, read)?, &asked)?;
        Ok(group.into_iter().zip(pictures))
    };
    let groups = alike(wanted).into_iter().map(group).collect::<Result<Vec<_>>>()?;
    Ok(groups.into_iter().flatten().collect())
}

/// The set of these pairs; every picture must have been made, and be in the store.
pub fn distilled(shared: &Shared, basis: &Fingerprint, pairs: &[Wanted]) -> Result<DistilledSet> {
    let found = shared.found(basis)?;
    let mut pictures: Vec<_> = made(shared, &found, pairs)?;
    // They come by their settings.
    pictures.sort_by_key(|(w, _)| w.prototype);
    let drawn = pictures.into_iter().map(|(w, picture)| {
        let gone = || Error::setting("pictures", format!("the store has none for prototype {}", w.prototype + 1));
        Ok((&found.prototypes.list[w.prototype], picture.ok_or_else(gone)?, w.caption))
    });
    DistilledSet::drawn(drawn.collect::<Result<_>>()?)
}
