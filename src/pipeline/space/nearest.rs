//! The rows nearest to given queries by cosine, and a choice among them in which no row is taken twice.

use crate::error::Result;
use crate::{kernels::vectors, pipeline::Ctx};
use ndarray::{Array2, ArrayView2, Axis, s};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// A row and how near it is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Row of the searched matrix.
    pub row: u32,
    /// Cosine to the query, the mean of those on all sides.
    pub similarity: f32,
}

/// What rows are compared by.
#[derive(Clone, Copy)]
pub struct Side<'a> {
    /// `[m, d]`
    pub queries: ArrayView2<'a, f32>,
    /// `[_, d]`
    pub rows: ArrayView2<'a, f32>,
    /// Which of `rows` each row has; its own if absent.
    pub of: Option<&'a [u32]>,
}

impl Side<'_> {
    fn len(&self) -> usize {
        self.of.map_or(self.rows.nrows(), <[u32]>::len)
    }

    fn block(&self, from: usize, to: usize) -> Array2<f32> {
        match self.of {
            None => vectors::unit(self.rows.slice(s![from..to, ..])),
            Some(of) => {
                let at: Vec<usize> = of[from..to].iter().map(|&row| row as usize).collect();
                vectors::unit(self.rows.select(Axis(0), &at).view())
            }
        }
    }
}

/// For every query the `n` nearest rows by the mean of their cosines on all `sides`, nearest first, of equals the lower
/// row; rows that `eligible` refuses are passed over. Neither queries nor rows need length 1.
///
/// # Errors
/// [`crate::error::Error::Shape`] for unequal widths or numbers of rows, [`crate::error::Error::Cancelled`].
pub fn nearest(
    sides: &[Side<'_>],
    n: usize,
    eligible: impl Fn(usize) -> bool + Sync,
    ctx: &Ctx,
) -> Result<Vec<Vec<Candidate>>> {
    let (m, rows) = sides.first().map_or((0, 0), |side| (side.queries.nrows(), side.len()));
    let mut right = Vec::with_capacity(sides.len());
    for side in sides {
        if side.queries.ncols() != side.rows.ncols() {
            return Err(vectors::shape("widths of queries and rows", side.queries.ncols(), side.rows.ncols()));
        }
        if (side.queries.nrows(), side.len()) != (m, rows) {
            let found = format!("{} and {}", side.queries.nrows(), side.len());
            return Err(vectors::shape("queries and rows of every side", format!("{m} and {rows}"), found));
        }
        right.push(vectors::tensor(vectors::unit(side.queries).view())?);
    }
    let search = |b: usize| -> Result<Vec<Vec<Candidate>>> {
        ctx.check()?;
        let (from, to) = (b * vectors::BLOCK, rows.min((b + 1) * vectors::BLOCK));
        let mut products = vec![0.0; (to - from) * m];
        for (side, right) in sides.iter().zip(&right) {
            let cosines = vectors::product(&vectors::tensor(side.block(from, to).view())?, right)?;
            products.iter_mut().zip(cosines).for_each(|(sum, cosine)| *sum += cosine / sides.len() as f32);
        }
        let mut best = vec![Vec::new(); m];
        for (row, scores) in (from..).zip(products.chunks_exact(m.max(1))) {
            if eligible(row) {
                let offer = |(best, &similarity)| insert(best, Candidate { row: row as u32, similarity }, n);
                best.iter_mut().zip(scores).for_each(offer);
            }
        }
        Ok(best)
    };
    let blocks: Vec<usize> = (0..rows.div_ceil(vectors::BLOCK)).collect();
    let mut best = vec![Vec::new(); m];
    // Some at a time: every block has its own candidates until they are merged.
    for group in blocks.chunks(64) {
        let parts = group.par_iter().map(|&b| search(b)).collect::<Result<Vec<_>>>()?;
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
