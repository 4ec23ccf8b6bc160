//! Every image once and every caption once through CLIP.

use super::{
    embeddings::Embeddings,
    order::Order,
    stats::{self, StatsSettings},
};
use crate::{
    data::{ImageSource, Split},
    error::{Error, Result},
    kernels::vectors,
    models::clip::Clip,
    pipeline::{Ctx, Embedded, Report},
};
use candle_core::{DType, Tensor};
use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::sync::mpsc::sync_channel;

/// Images a batch; fixed, so that results do not depend on the machine.
pub(in crate::pipeline) const IMAGES: usize = 32;
/// Captions a batch.
pub(in crate::pipeline) const TEXTS: usize = 64;
/// Batches of a part: what an end in the middle costs.
const PART: usize = 16;

/// What is embedded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Images.
    Images,
    /// Captions.
    Captions,
}

impl Side {
    /// In the names of artefacts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Images => "images",
            Self::Captions => "captions",
        }
    }
}

/// Gives the features of a part of the rows: side and number of the part, and what makes them, `[rows, d]`. It may keep them, and
/// give those that were kept before instead.
pub type Parts<'a> = &'a dyn Fn(Side, usize, &mut dyn FnMut() -> Result<Array2<f32>>) -> Result<Array2<f32>>;

/// Keeps nothing.
pub const UNKEPT: Parts<'static> = &|_, _, make| make();

/// Embeds `split`: progress as `embed images` and `embed captions`. What `parts` kept is not computed again.
///
/// # Errors
/// What decoding, the network, cancelling and `parts` give; [`Error::Shape`] naming the row if a feature is not finite.
pub fn embed(split: &Split, clip: &Clip, parts: Parts, ctx: &Ctx) -> Result<Embeddings> {
    let image = image_parts(&split.images, clip, parts, ctx)?;
    let texts = split.texts();
    let captions: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
    let centre = vectors::mean_direction(image.view(), |_| 1.0);
    let (mut sum, mut n) = (vec![0f64; centre.len()], 0);
    let text = encode_captions(&captions, clip, parts, ctx, &mut |rows_of, features| {
        let mut seen = Embedded::default();
        let first = features.nrows() - rows_of.len();
        for (rows, features) in rows_of.iter().zip(features.outer_iter().skip(first)) {
            let (norm, many) = (vectors::norm(features), rows.len() as f64);
            n += rows.len();
            sum.iter_mut().zip(features).for_each(|(s, x)| *s += many * f64::from(*x) / norm.max(f64::MIN_POSITIVE));
            let cosine = |&row: &usize| vectors::cosine(image.row(split.pairs[row].image.index()), features) as f32;
            seen.cosines.extend(rows.iter().map(cosine));
            seen.texts.resize(seen.cosines.len(), norm as f32);
        }
        seen.gap = Some(centre.iter().zip(&sum).map(|(c, s)| (c - s / n as f64).powi(2)).sum::<f64>().sqrt());
        if doubled(first, features.nrows()) {
            seen.ranks[1] = Some((stats::effective_rank(features, ctx)?, features.nrows()));
        }
        ctx.report(Report::Embedded(seen));
        Ok(())
    })?;
    Embeddings::new(image, text, split.pairs.iter().map(|p| p.image.0).collect())
}

/// Whether rows have doubled: when to measure what costs more with every row. All these times together cost about what
/// the last one does.
fn doubled(before: usize, now: usize) -> bool {
    now >= TEXTS && before.max(1).ilog2() < now.ilog2()
}

/// Features of `images`, `[images, d]`.
///
/// # Errors
/// The first unreadable image's, [`Error::Cancelled`], or the network's.
pub fn embed_images(images: &[ImageSource], clip: &Clip, ctx: &Ctx) -> Result<Array2<f32>> {
    image_parts(images, clip, UNKEPT, ctx)
}

fn image_parts(images: &[ImageSource], clip: &Clip, parts: Parts, ctx: &Ctx) -> Result<Array2<f32>> {
    let width = clip.width();
    let mut features = Features { width, values: Vec::with_capacity(images.len() * width) };
    ctx.step("embed images", 0, images.len())?;
    for (index, part) in images.chunks(PART * IMAGES).enumerate() {
        let mut told = |new: usize, features: ArrayView2<f32>| {
            tell_images(new, features, ctx)?;
            ctx.step("embed images", features.nrows(), images.len())
        };
        features.part((Side::Images, index, part.len()), parts, &mut told, &mut |features, told| {
            encode_images(part, clip, &mut |new| features.extend(new, told))
        })?;
    }
    to_rows("image features", features.values, width)
}

/// Rows so far.
struct Features {
    width: usize,
    values: Vec<f32>,
}

/// What is told of rows that came: how many, and all so far.
type Came<'a> = dyn FnMut(usize, ArrayView2<f32>) -> Result<()> + 'a;

impl Features {
    fn extend(&mut self, new: Vec<f32>, told: &mut Came) -> Result<()> {
        let rows = new.len() / self.width.max(1);
        self.values.extend(new);
        told(rows, view(&self.values, self.width)?)
    }

    /// Adds a part, of so many rows, that `make` extends the features by, or that was kept.
    fn part(
        &mut self,
        (side, index, rows): (Side, usize, usize),
        parts: Parts,
        told: &mut Came,
        make: &mut dyn FnMut(&mut Self, &mut Came) -> Result<()>,
    ) -> Result<()> {
        let (before, width) = (self.values.len(), self.width);
        let found = parts(side, index, &mut || {
            make(self, told)?;
            view(&self.values[before..], width).map(|rows| rows.to_owned())
        })?;
        if found.dim() != (rows, width) {
            return Err(vectors::shape("kept features", format!("{rows} of {width}"), format!("{:?}", found.dim())));
        }
        if self.values.len() == before {
            return self.extend(found.into_raw_vec_and_offset().0, told);
        }
        self.values.truncate(before);
        self.values.extend(found);
        Ok(())
    }
}

/// Gives the features of each batch. The next batches are decoded and resized while the network works on this one.
fn encode_images(images: &[ImageSource], clip: &Clip, give: &mut dyn FnMut(Vec<f32>) -> Result<()>) -> Result<()> {
    std::thread::scope(|scope| {
        // Dropping the receiver, as any error here does, ends the reader at its next batch.
        let (send, batches) = sync_channel(2);
        let read = move || {
            for batch in images.chunks(IMAGES) {
                let pixels = read_batch(batch, clip);
                let failed = pixels.is_err();
                if send.send(pixels).is_err() || failed {
                    break;
                }
            }
        };
        let reader = std::thread::Builder::new().name("images".into());
        reader.spawn_scoped(scope, read).map_err(Error::io("a thread to read images"))?;
        let side = clip.image_size();
        for pixels in batches {
            let pixels = pixels?;
            let rows = pixels.len() / (3 * side * side);
            let pixels =
                Tensor::from_vec(pixels, (rows, 3, side, side), clip.device()).map_err(Error::tensor("pixels"))?;
            give(flat(&clip.encode_images(&pixels)?)?)?;
        }
        Ok(())
    })
}

/// What the `new` rows are, and, now and then, all so far.
fn tell_images(new: usize, features: ArrayView2<f32>, ctx: &Ctx) -> Result<()> {
    let before = features.nrows() - new;
    let norms = features.outer_iter().skip(before).map(|row| vectors::norm(row) as f32);
    let mut seen = Embedded { images: norms.collect(), ..Embedded::default() };
    if doubled(before, features.nrows()) {
        let found = stats::duplicates(features, &StatsSettings::default(), ctx)?;
        seen.ranks[0] = Some((stats::effective_rank(features, ctx)?, features.nrows()));
        seen.duplicates = Some((found.count, found.compared));
    }
    ctx.report(Report::Embedded(seen));
    Ok(())
}

/// The pixels of a batch, one image after the other; the error is the first bad image's, whichever thread met it.
fn read_batch(batch: &[ImageSource], clip: &Clip) -> Result<Vec<f32>> {
    let read: Vec<Result<Vec<f32>>> =
        batch.par_iter().map(|source| source.with(|image| clip.preprocess(image))).collect();
    let mut pixels = Vec::new();
    for image in read {
        pixels.extend_from_slice(&image?);
    }
    Ok(pixels)
}

/// Features of `captions`, `[captions, d]`. Equal captions are encoded once; batches hold captions of like length.
///
/// # Errors
/// [`Error::Cancelled`], or the tokenizer's or network's.
pub fn embed_captions(captions: &[&str], clip: &Clip, ctx: &Ctx) -> Result<Array2<f32>> {
    encode_captions(captions, clip, UNKEPT, ctx, &mut |_, _| Ok(()))
}

/// What is told after each batch: the rows of every caption in it, and the features of all captions so far.
type Told<'a> = dyn FnMut(&[Vec<usize>], ArrayView2<f32>) -> Result<()> + 'a;

/// How many parts the images of `split` have, and its captions.
pub fn parts(split: &Split, order: &Order) -> [usize; 2] {
    [split.images.len().div_ceil(PART * IMAGES), order.ids.len().div_ceil(PART * TEXTS)]
}

/// Features of a part, as [`embed`] has them made.
///
/// # Errors
/// As [`embed`]; [`Error::Shape`] if there is no such part.
pub fn part(split: &Split, order: &Order, clip: &Clip, (side, index): (Side, usize), ctx: &Ctx) -> Result<Array2<f32>> {
    let none = || vectors::shape("parts to embed", format!("more than {index}"), format!("{:?}", parts(split, order)));
    match side {
        Side::Images => {
            let images = split.images.chunks(PART * IMAGES).nth(index).ok_or_else(none)?;
            embed_images(images, clip, ctx)
        }
        Side::Captions => {
            let (mut values, part) = (Vec::new(), order.ids.chunks(PART * TEXTS).nth(index).ok_or_else(none)?);
            encode_part(part, clip, &mut |features| {
                values.extend(features);
                ctx.check()
            })?;
            to_rows("text features", values, clip.width())
        }
    }
}

/// Gives the features of each batch of captions.
fn encode_part(part: &[Vec<u32>], clip: &Clip, give: &mut dyn FnMut(Vec<f32>) -> Result<()>) -> Result<()> {
    part.chunks(TEXTS).try_for_each(|batch| give(flat(&clip.encode_texts(batch)?)?))
}

/// As [`embed_captions`], shortest captions first. The features are held once, whatever is equal.
fn encode_captions(captions: &[&str], clip: &Clip, parts: Parts, ctx: &Ctx, told: &mut Told) -> Result<Array2<f32>> {
    let Order { ids, rows } = Order::new(captions, clip)?;
    ctx.step("embed captions", 0, ids.len())?;
    let width = clip.width();
    let mut features = Features { width, values: Vec::with_capacity(captions.len() * width) };
    let mut came = |new: usize, features: ArrayView2<f32>| {
        let now = features.nrows();
        told(&rows[now - new..now], features)?;
        ctx.step("embed captions", now, ids.len())
    };
    for (index, part) in ids.chunks(PART * TEXTS).enumerate() {
        features.part((Side::Captions, index, part.len()), parts, &mut came, &mut |features, came| {
            encode_part(part, clip, &mut |new| features.extend(new, came))
        })?;
    }
    let mut features = features.values;
    features.resize(captions.len() * width, 0.0);
    spread(&mut features, width, &rows);
    to_rows("text features", features, width)
}

/// Moves row `i` to the rows `to[i]`, in place; every row is named once.
fn spread(features: &mut [f32], width: usize, to: &[Vec<usize>]) {
    let mut home: Vec<Option<usize>> = to.iter().map(|rows| Some(rows[0])).collect();
    home.resize(features.len() / width.max(1), None);
    for row in 0..home.len() {
        while let Some(other) = home[row].filter(|other| *other != row) {
            let (low, high) = features.split_at_mut(row.max(other) * width);
            low[row.min(other) * width..][..width].swap_with_slice(&mut high[..width]);
            home.swap(row, other);
        }
    }
    for rows in to {
        rows[1..].iter().for_each(|row| features.copy_within(rows[0] * width..(rows[0] + 1) * width, row * width));
    }
}

fn view(features: &[f32], width: usize) -> Result<ArrayView2<'_, f32>> {
    let rows = features.len() / width.max(1);
    ArrayView2::from_shape((rows, width), features).map_err(|e| vectors::shape("features", width, e))
}

fn flat(features: &Tensor) -> Result<Vec<f32>> {
    let read = || features.to_dtype(DType::F32)?.flatten_all()?.to_vec1();
    read().map_err(Error::tensor("reading features"))
}

fn to_rows(what: &'static str, features: Vec<f32>, width: usize) -> Result<Array2<f32>> {
    let (len, rows) = (features.len(), features.len() / width.max(1));
    let rows = Array2::from_shape_vec((rows, width), features);
    let rows = rows.map_err(|_| Error::Shape { what, expected: format!("rows of {width}"), found: len.to_string() })?;
    vectors::finite(what, rows.view())?;
    Ok(rows)
}

#[cfg(test)]
mod tests;
