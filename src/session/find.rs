//! What is nearest to words, or to a picture: one embedding against all that there are.

use super::{Shared, lock, work};
use crate::{
    app::{Found, Wanted},
    data::ImageSource,
    error::{Error, Result},
    fingerprint::Fingerprint,
    pipeline::{Ctx, space::embed},
};
use ndarray::{Array1, ArrayView1};
use rayon::prelude::*;
use std::{collections::BTreeMap, path::Path};

/// Images found at most.
const MOST: usize = 2000;
/// Endings of what is taken for a path.
const ENDINGS: [&str; 5] = ["png", "jpg", "jpeg", "webp", "gif"];

/// Ranks real images, prototypes and finished pictures by their cosine to `words`, or to the picture of that path.
///
/// # Errors
/// A picture that cannot be read, a broken checkpoint, [`Error::Setting`] if the features are not CLIP's.
pub fn find(shared: &Shared, words: &str, of: (Option<&Fingerprint>, &[Wanted]), ctx: &Ctx) -> Result<Found> {
    let bench = shared.bench()?;
    let embedded = bench.embeddings(ctx)?;
    let (data, query) = (&embedded.0, asked(shared, words, ctx)?);
    if query.len() != data.image.ncols() {
        let why =
            format!("features of width {} are not this CLIP's, whose width is {}", data.image.ncols(), query.len());
        return Err(Error::setting("find", why));
    }
    let images: Vec<f32> = (0..data.image.nrows()).into_par_iter().map(|i| near(&query, data.image.row(i))).collect();
    let mut best: Vec<u32> = (0..images.len() as u32).collect();
    let by = |a: &u32, b: &u32| images[*b as usize].total_cmp(&images[*a as usize]).then(a.cmp(b));
    if best.len() > MOST {
        best.select_nth_unstable_by(MOST, by);
        best.truncate(MOST);
    }
    best.sort_by(by);
    let mut first = BTreeMap::new();
    for (&image, row) in data.image_of.iter().zip(0u32..) {
        first.entry(image).or_insert(row);
    }
    let rows: Vec<(u32, f32)> =
        best.iter().filter_map(|image| Some((*first.get(image)?, images[*image as usize]))).collect();
    let (basis, pairs) = of;
    let prototypes = match basis {
        Some(basis) => {
            let found = shared.found(basis)?;
            found.prototypes.list.iter().map(|p| near(&query, ArrayView1::from(&p.image))).collect()
        }
        None => Vec::new(),
    };
    let pictures = match basis {
        Some(basis) => {
            seen(shared, basis, pairs, ctx)?.into_iter().map(|(key, row)| (key, near(&query, row.view()))).collect()
        }
        None => BTreeMap::new(),
    };
    Ok(Found {
        words: words.to_owned(),
        rows: rows.iter().map(|(row, _)| *row).collect(),
        cosines: rows.into_iter().collect(),
        basis: basis.cloned(),
        prototypes,
        pictures,
    })
}

/// What was asked for, of length 1.
fn asked(shared: &Shared, words: &str, ctx: &Ctx) -> Result<Array1<f32>> {
    let bench = shared.bench()?;
    let (clip, path) = (bench.clip()?, Path::new(words));
    let ending = path.extension().and_then(|e| e.to_str()).map(str::to_lowercase);
    let row = if ending.is_some_and(|e| ENDINGS.contains(&e.as_str())) {
        embed::embed_images(&[ImageSource::File(path.to_owned())], &clip, ctx)?
    } else {
        let read = bench.dataset().train.pre_caption;
        embed::embed_captions(&[read.read(words).as_ref()], &clip, ctx)?
    };
    let row = row.row(0).to_owned();
    let norm = row.dot(&row).sqrt().max(f32::MIN_POSITIVE);
    Ok(row / norm)
}

/// Cosine to a query of length 1.
fn near(query: &Array1<f32>, row: ArrayView1<f32>) -> f32 {
    let norm = row.dot(&row).sqrt();
    if norm > 0.0 { query.dot(&row) / norm } else { 0.0 }
}

/// Finished pictures as CLIP sees them; each is looked at once.
pub fn seen(
    shared: &Shared,
    basis: &Fingerprint,
    pairs: &[Wanted],
    ctx: &Ctx,
) -> Result<Vec<(Fingerprint, Array1<f32>)>> {
    let new: Vec<Wanted> = {
        let known = lock(&shared.seen);
        pairs.iter().filter(|w| !known.contains_key(&w.key)).cloned().collect()
    };
    if !new.is_empty() {
        let set = work::distilled(shared, basis, &new)?;
        let images: Vec<_> = set.pairs.iter().map(|p| p.image.clone()).collect();
        let rows = embed::embed_images(&images, &*shared.bench()?.clip()?, ctx)?;
        // They come in the order of the prototypes.
        let mut order = new;
        order.sort_by_key(|w| w.prototype);
        let mut known = lock(&shared.seen);
        order.iter().zip(rows.outer_iter()).for_each(|(w, row)| drop(known.insert(w.key.clone(), row.to_owned())));
    }
    let known = lock(&shared.seen);
    Ok(pairs.iter().filter_map(|w| Some((w.key.clone(), known.get(&w.key)?.clone()))).collect())
}

/// What is amiss with data and checkpoints before anything is computed, and what to change.
pub fn remarks(shared: &Shared) -> Result<Vec<String>> {
    let (bench, config) = (shared.bench()?, &shared.config);
    let mut all = Vec::new();
    let train = &bench.dataset().train;
    let drawn = matches!(train.images.first(), Some(ImageSource::Memory(_))) || config.data.source == "world";
    if config.models.clip == "demo" && !drawn && train.ready.is_none() && !bench.dataset().name.contains("world") {
        let what = "the demo's CLIP knows only the drawn world: for photographs set `models.clip` to a checkpoint such as \
                    openai/clip-vit-large-patch14";
        all.push(what.to_owned());
    }
    Ok(all)
}
