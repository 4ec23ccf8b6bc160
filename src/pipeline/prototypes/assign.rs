//! Pairs every image cluster with a text cluster so that the pairs share the most rows.

use crate::error::Result;
use crate::{
    kernels::vectors,
    pipeline::{
        Ctx,
        cluster::{ImageCluster, ImageClusters, TextCluster, TextClusters},
    },
};
use ndarray::{Array2, ArrayView2};

/// A one-to-one matching of image clusters and text clusters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matching {
    /// `[M, M]`: kept rows that lie in image cluster i and text cluster j. Always full, so no empty row shifts another.
    pub table: Array2<u32>,
    /// The text cluster of each image cluster: a permutation.
    pub text_of: Vec<TextCluster>,
    /// Rows that lie in matched clusters.
    pub gain: u64,
}

impl Matching {
    /// Rows shared by an image cluster and a text cluster.
    pub fn shared(&self, image: ImageCluster, text: TextCluster) -> u32 {
        self.table[[image.0 as usize, text.0 as usize]]
    }
}

/// Counts and matches.
///
/// # Errors
/// [`crate::error::Error::Shape`] if the clusterings differ in rows or clusters, [`crate::error::Error::Cancelled`].
pub fn assign(image: &ImageClusters, text: &TextClusters, ctx: &Ctx) -> Result<Matching> {
    let (image, text) = (&image.0, &text.0);
    if image.labels.len() != text.labels.len() {
        return Err(vectors::shape("rows of both clusterings", image.labels.len(), text.labels.len()));
    }
    let m = image.centroids.nrows();
    if m != text.centroids.nrows() {
        return Err(vectors::shape("clusters of both sides", m, text.centroids.nrows()));
    }
    let mut table = Array2::zeros((m, m));
    image.labels.iter().zip(&text.labels).for_each(|(&i, &j)| table[[i as usize, j as usize]] += 1);
    let columns = best_assignment(table.mapv(i64::from).view(), ctx)?;
    let gain = columns.iter().enumerate().map(|(i, &j)| u64::from(table[[i, j]])).sum();
    let text_of = columns.into_iter().map(|j| TextCluster(j as u32)).collect();
    Ok(Matching { table, text_of, gain })
}

/// Linear sum assignment, maximising: the column of each row of the square matrix `gain`.
/// Shortest augmenting paths as in scipy (Crouse, IEEE TAES 2016): O(n³) at worst, integers throughout.
///
/// # Errors
/// [`crate::error::Error::Cancelled`].
pub fn best_assignment(gain: ArrayView2<i64>, ctx: &Ctx) -> Result<Vec<usize>> {
    let n = gain.nrows();
    let top = gain.iter().copied().max().unwrap_or(0);
    let mut solver = Solver {
        cost: gain.mapv(|g| top - g),
        row_price: vec![0; n],
        column_price: vec![0; n],
        column_of: vec![None; n],
        row_of: vec![None; n],
    };
    for row in 0..n {
        ctx.step("match", row, n)?;
        solver.augment(row);
    }
    Ok(solver.column_of.into_iter().flatten().collect())
}

struct Solver {
    cost: Array2<i64>,
    row_price: Vec<i64>,
    column_price: Vec<i64>,
    column_of: Vec<Option<usize>>,
    row_of: Vec<Option<usize>>,
}

impl Solver {
    /// Matches `first` along the cheapest alternating path to a free column.
    fn augment(&mut self, first: usize) {
        let n = self.row_of.len();
        let (mut reached, mut from) = (vec![i64::MAX; n], vec![first; n]);
        let mut open: Vec<usize> = (0..n).collect();
        let (mut closed, mut least, mut row) = (Vec::new(), 0, first);
        let sink = loop {
            let costs = self.cost.row(row);
            let (mut best, mut at) = (i64::MAX, 0);
            for (slot, &j) in open.iter().enumerate() {
                let length = least + costs[j] - self.row_price[row] - self.column_price[j];
                if length < reached[j] {
                    (reached[j], from[j]) = (length, row);
                }
                // Of equals a free column ends the search soonest.
                if reached[j] < best || (reached[j] == best && self.row_of[j].is_none()) {
                    (best, at) = (reached[j], slot);
                }
            }
            let column = open.swap_remove(at);
            least = best;
            match self.row_of[column] {
                None => break column,
                Some(next) => {
                    closed.push((next, column));
                    row = next;
                }
            }
        };
        self.row_price[first] += least;
        for (row, column) in closed {
            self.row_price[row] += least - reached[column];
            self.column_price[column] -= least - reached[column];
        }
        let mut column = sink;
        loop {
            let row = from[column];
            self.row_of[column] = Some(row);
            match self.column_of[row].replace(column) {
                Some(previous) if row != first => column = previous,
                _ => break,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use pathfinding::prelude::{Matrix, kuhn_munkres};
    use rand::{Rng, SeedableRng};

    #[test]
    fn the_gain_is_that_of_kuhn_and_munkres_ties_included() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        for case in 0..60 {
            let n = 1 + case % 23;
            // Few distinct values make many ties; large ones make few.
            let top = if case % 2 == 0 { 3 } else { 1_000_000 };
            let gain = Array2::from_shape_fn((n, n), |_| rng.random_range(0..=top));
            let ours = best_assignment(gain.view(), &Ctx::quiet()).unwrap();
            let total: i64 = ours.iter().enumerate().map(|(i, &j)| gain[[i, j]]).sum();
            let oracle = Matrix::from_vec(n, n, gain.iter().copied().collect()).unwrap();
            assert_eq!(total, kuhn_munkres(&oracle).0, "n {n}");
            let mut columns = ours.clone();
            columns.sort_unstable();
            assert_eq!(columns, (0..n).collect::<Vec<_>>());
        }
    }
}
