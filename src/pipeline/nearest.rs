//! The rows nearest to given queries by cosine, and a choice among them in which no row is taken twice.

use super::{Ctx, dense};
use crate::error::Result;
use ndarray::{ArrayView2, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// A row and how near it is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Row of the searched matrix.
    pub row: u32,
    /// Cosine to the query.
    pub similarity: f32,
}

/// For every query the `n` nearest of `rows`, nearest first, of equals the lower row; rows that `eligible` refuses
/// are passed over. `queries` `[m, d]`, `rows` `[rows, d]`, neither needs length 1.
///
/// # Errors
/// [`crate::error::Error::Shape`] for unequal widths, [`crate::error::Error::Cancelled`].
pub fn nearest(
    queries: ArrayView2<f32>,
    rows: ArrayView2<f32>,
    n: usize,
    eligible: impl Fn(usize) -> bool + Sync,
    ctx: &Ctx,
) -> Result<Vec<Vec<Candidate>>> {
    if queries.ncols() != rows.ncols() {
        return Err(dense::shape("widths of queries and rows", queries.ncols(), rows.ncols()));
    }
    let m = queries.nrows();
    let right = dense::tensor(dense::unit(queries).view())?;
    let blocks: Vec<_> = rows.axis_chunks_iter(Axis(0), dense::BLOCK).enumerate().collect();
    let search = |b: usize, block: ArrayView2<f32>| -> Result<Vec<Vec<Candidate>>> {
        ctx.check()?;
        let products = dense::product(&dense::tensor(dense::unit(block).view())?, &right)?;
        let mut best = vec![Vec::new(); m];
        for (i, scores) in products.chunks_exact(m.max(1)).enumerate() {
            let row = b * dense::BLOCK + i;
            if eligible(row) {
                let offer = |(best, &similarity)| insert(best, Candidate { row: row as u32, similarity }, n);
                best.iter_mut().zip(scores).for_each(offer);
            }
        }
        Ok(best)
    };
    let mut best = vec![Vec::new(); m];
    // Some at a time: every block has its own candidates until they are merged.
    for group in blocks.chunks(64) {
        let parts = group.par_iter().map(|(b, block)| search(*b, *block)).collect::<Result<Vec<_>>>()?;
        for part in parts {
            for (best, found) in best.iter_mut().zip(part) {
                found.into_iter().for_each(|c| insert(best, c, n));
            }
        }
    }
    Ok(best)
}

/// Keeps the `n` best, sorted; candidates come in row order, so equals stay in it.
fn insert(best: &mut Vec<Candidate>, new: Candidate, n: usize) {
    if best.len() == n && best.last().is_none_or(|last| last.similarity >= new.similarity) {
        return;
    }
    let at = best.partition_point(|c| c.similarity >= new.similarity);
    best.insert(at, new);
    best.truncate(n);
}

/// A different key for every query: the nearest free query-and-row pair of all is taken first, then the next.
/// `None` for a query whose candidates were all taken; with as many distinct keys per query as queries there is none.
/// Returns the position in each query's list.
pub fn distinct(candidates: &[Vec<Candidate>], key: impl Fn(u32) -> u32) -> Vec<Option<usize>> {
    let mut offers: Vec<(usize, usize, Candidate)> = candidates
        .iter()
        .enumerate()
        .flat_map(|(q, list)| list.iter().enumerate().map(move |(at, &c)| (q, at, c)))
        .collect();
    offers.sort_by(|a, b| b.2.similarity.total_cmp(&a.2.similarity).then(a.0.cmp(&b.0)).then(a.1.cmp(&b.1)));
    let mut taken = std::collections::HashSet::new();
    let mut chosen = vec![None; candidates.len()];
    for (query, at, candidate) in offers {
        if chosen[query].is_none() && taken.insert(key(candidate.row)) {
            chosen[query] = Some(at);
        }
    }
    chosen
}
