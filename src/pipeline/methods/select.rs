//! Real pairs: those that a yardstick picks, and the pairs nearest to prototypes.

use super::{Method, Start};
use crate::{
    error::{Error, Result},
    kernels::vectors,
    pipeline::{
        Ctx,
        prototypes::Prototype,
        space::{
            embeddings::{Embeddings, Kept},
            nearest,
        },
    },
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// A real pair and what the student is to match it with.
#[derive(Clone, Debug, PartialEq)]
pub struct SelectedPair {
    /// Row of the training pairs: its image and caption.
    pub row: u32,
    /// The text target, `[d]`.
    pub text: Vec<f32>,
}

/// `m` real pairs by a yardstick that knows no prototypes, from all training rows; what is random about it, by `seed`.
///
/// # Errors
/// [`Error::Setting`] for more pairs than rows or a method that needs prototypes, [`Error::Shape`], [`Error::Cancelled`].
pub fn real_pairs(method: Method, data: &Embeddings, m: usize, seed: u64, ctx: &Ctx) -> Result<Vec<SelectedPair>> {
    let n = data.text.nrows();
    if m > n {
        return Err(Error::setting("cluster.prototypes", format!("{m} pairs asked of {n}; ask for at most {n}")));
    }
    let Start::Pairs(pick) = method.start() else {
        return Err(Error::setting("method", format!("{method} needs prototypes")));
    };
    let rows = pick(data, m, &mut ChaCha8Rng::seed_from_u64(seed), ctx)?;
    Ok(rows.into_iter().map(|row| SelectedPair { row, text: data.text.row(row as usize).to_vec() }).collect())
}

/// For each prototype the real pair (among the kept rows) nearest to it: by image or by text, no image or caption
/// taken twice while others are left. In the order of the prototypes.
///
/// # Errors
/// [`Error::Setting`] for a method that uses no prototypes or too few rows, [`Error::Shape`], [`Error::Cancelled`].
pub fn nearest_pairs(
    method: Method,
    data: &Embeddings,
    kept: &Kept,
    prototypes: &[Prototype],
    ctx: &Ctx,
) -> Result<Vec<SelectedPair>> {
    kept.check(data)?;
    let by_image = match method {
        Method::NearestImage => true,
        Method::NearestText => false,
        other => return Err(Error::setting("method", format!("{other} is not chosen by prototypes"))),
    };
    let (rows, side) = if by_image { (&data.image, "images") } else { (&data.text, "captions") };
    // The first kept pair of each image stands for it.
    let mut pair_of = vec![None; rows.nrows()];
    for &row in &kept.0 {
        let at = if by_image { data.image_of[row as usize] } else { row };
        pair_of[at as usize].get_or_insert(row);
    }
    let left = pair_of.iter().flatten().count();
    if left < prototypes.len() {
        let message = format!("{} prototypes, but only {left} kept {side}", prototypes.len());
        return Err(Error::setting("cluster.prototypes", message));
    }
    let half: fn(&Prototype) -> &[f32] = if by_image { |p| &p.image } else { |p| &p.text };
    let queries = vectors::stack(prototypes.iter().map(half), rows.ncols())?;
    let side = nearest::Side { queries: queries.view(), rows: rows.view(), of: None };
    let ranked = nearest::nearest(&[side], prototypes.len(), |r| pair_of[r].is_some(), ctx)?;
    let chosen = nearest::distinct(&ranked, |row| row);
    let pick = |((list, at), prototype): ((&Vec<nearest::Candidate>, Option<usize>), &Prototype)| {
        let row = pair_of[list.get(at?)?.row as usize]?;
        let text = if by_image { prototype.text.clone() } else { data.text.row(row as usize).to_vec() };
        Some(SelectedPair { row, text })
    };
    Ok(ranked.iter().zip(chosen).zip(prototypes).filter_map(pick).collect())
}
