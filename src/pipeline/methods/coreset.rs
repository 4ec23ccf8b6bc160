//! Which real pairs teach most as they are: a greedy coreset for a student that learns a linear map from text to image.
//! Choosing pairs one by one by what a least-squares student gains, and exchanging them until none helps, is forward selection
//! with exchanges (Miller 2002; Fedorov 1972); what it is to reach is the map that all trusted pairs teach.

mod search;

use crate::{
    error::{Error, Result},
    pipeline::{
        Ctx,
        methods::choice::{Asked, Choice, JointCluster},
        ridge::{Space, Texts, Weighted},
        space::embeddings::Embeddings,
    },
};
use search::Search;

/// Ridge of the map that all pairs teach, relative to the mean eigenvalue: of .01 to .3 the best on the demo's validation split.
const MAP: f64 = 0.1;
/// Most exchanges of each pair.
const ROUNDS: usize = 2;
/// Candidates times the square of the pairs chosen, at most: what an evaluation of all candidates costs.
const WORK: usize = 40_000_000;

/// What the method starts from.
pub(super) fn choose(asked: &Asked) -> Result<Choice> {
    let data = asked.data;
    let one = |row: u32| JointCluster {
        image: data.image.row(data.image_of[row as usize] as usize).to_vec(),
        text: data.text.row(row as usize).to_vec(),
        rows: vec![row],
    };
    let rows = coreset(data, asked.weights, asked.m, asked.ctx)?;
    Ok(Choice::Clusters(rows.into_iter().map(one).collect()))
}

/// Chooses `m` pairs of weight 0.5 or more, each of another image: with them, captions and images as they are, the answers
/// of a ridge student come nearest to those of the map from text to image that all pairs teach by weight. Their rows, in no order of worth.
///
/// # Errors
/// [`Error::Setting`] for more than there are such images, [`Error::Shape`], [`Error::Cancelled`].
pub fn coreset(data: &Embeddings, weights: &[f32], m: usize, ctx: &Ctx) -> Result<Vec<u32>> {
    let space = Space::new(data, Texts::Raw)?;
    let pairs = Weighted::new(&space, weights)?;
    let rows_of = trusted(&space, weights);
    if m > rows_of.len() {
        let message = format!("{m} pairs asked of {} trusted images; ask for at most as many", rows_of.len());
        return Err(Error::setting("cluster.prototypes", message));
    }
    let rows = candidates(&rows_of, (WORK / (m * m).max(1)).max(4 * m));
    let mut search = Search::new(&space, &pairs, (rows, m), MAP, ctx)?;
    for slot in 0..m {
        ctx.step("pairs that teach", slot, m)?;
        let best = search.best(slot, None)?;
        search.put(slot, best);
    }
    for round in 0..ROUNDS {
        let mut changed = false;
        for slot in 0..m {
            ctx.step("pairs exchanged", round * m + slot, ROUNDS * m)?;
            let best = search.best(m, Some(slot))?;
            if best != search.chosen[slot] {
                search.put(slot, best);
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    Ok(search.rows())
}

/// The trusted captions of each image that has one.
fn trusted(space: &Space, weights: &[f32]) -> Vec<Vec<u32>> {
    let of = |i| space.rows_of(i).iter().copied().filter(|&r| weights[r as usize] >= 0.5).collect::<Vec<_>>();
    (0..space.data.image.nrows()).map(of).filter(|rows| !rows.is_empty()).collect()
}

/// About `most` captions, of as many images as can be: a caption of each image after the other, of images evenly spaced where
/// there are more.
fn candidates(rows_of: &[Vec<u32>], most: usize) -> Vec<u32> {
    let n = rows_of.len();
    if n > most {
        return (0..most).map(|k| &rows_of[k * n / most]).enumerate().map(|(k, rows)| rows[k % rows.len()]).collect();
    }
    let deepest = rows_of.iter().map(Vec::len).max().unwrap_or(0);
    (0..deepest).flat_map(|depth| rows_of.iter().filter_map(move |rows| rows.get(depth).copied())).take(most).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::pipeline::ridge::{Ridge, sample};
    use ndarray::{Array2, Axis};

    /// How far the answers of a ridge student that has these rows are from those of the map that all pairs teach.
    fn off(data: &Embeddings, weights: &[f32], rows: &[u32]) -> f64 {
        let space = Space::new(data, Texts::Raw).unwrap();
        let pairs = Weighted::new(&space, weights).unwrap();
        let (texts, ctx) = (pairs.texts(&Ctx::quiet()).unwrap(), Ctx::quiet());
        let all = pairs.to_images(texts.clone(), &pairs.cross(&ctx).unwrap(), MAP).unwrap();
        let scale = texts.diag().sum();
        let own: Vec<usize> = rows.iter().map(|&r| r as usize).collect();
        let of: Vec<usize> = own.iter().map(|&r| data.image_of[r] as usize).collect();
        let centred = |x: Array2<f32>, mean: &[f64]| x.mapv(f64::from) - ndarray::ArrayView1::from(mean);
        let text = centred(data.text.view().select(Axis(0), &own), &all.from);
        let image = centred(crate::kernels::vectors::unit(data.image.view().select(Axis(0), &of).view()), &all.to);
        let mut moments = text.t().dot(&text);
        moments.diag_mut().mapv_inplace(|v| v + search::STUDENT * scale);
        let learned = Ridge::solve(moments, text.t().dot(&image).view(), 0.0, vec![], vec![]).unwrap().map;
        let off = learned - &all.map;
        (&off * &texts.dot(&off)).sum() / (&all.map * &texts.dot(&all.map)).sum()
    }

    #[test]
    fn each_choice_is_the_best_of_all_and_no_exchange_helps() {
        let (data, _) = sample::pairs(24, 2, [7, 5], 0.2, 21);
        let weights: Vec<f32> = (0..48).map(|r| [1.0, 0.3, 0.8][r % 3]).collect();
        let free = |taken: &[u32]| -> Vec<u32> {
            let image = |r: u32| data.image_of[r as usize];
            (0..48).filter(|&r| weights[r as usize] >= 0.5 && taken.iter().all(|&t| image(t) != image(r))).collect()
        };
        let first = coreset(&data, &weights, 1, &Ctx::quiet()).unwrap();
        let least = free(&[]).into_iter().map(|r| off(&data, &weights, &[r])).fold(f64::INFINITY, f64::min);
        assert!((off(&data, &weights, &first) - least).abs() < 1e-6);
        let chosen = coreset(&data, &weights, 5, &Ctx::quiet()).unwrap();
        let reached = off(&data, &weights, &chosen);
        for slot in 0..5 {
            let mut others = chosen.clone();
            others.remove(slot);
            for row in free(&others) {
                let with = [&others[..], &[row]].concat();
                // Two rounds leave next to nothing on so few pairs.
                assert!(off(&data, &weights, &with) > reached - 5e-3, "{slot} {row}");
            }
        }
    }

    #[test]
    fn pairs_are_of_other_images_and_trusted_and_too_many_are_refused() {
        let (data, _) = sample::pairs(30, 2, [6, 6], 0.0, 6);
        let weights: Vec<f32> = (0..60).map(|r| if r < 30 { 0.4 } else { 0.9 }).collect();
        let chosen = coreset(&data, &weights, 15, &Ctx::quiet()).unwrap();
        let mut images: Vec<u32> = chosen.iter().map(|&r| data.image_of[r as usize]).collect();
        images.sort_unstable();
        assert_eq!(images, (15..30).collect::<Vec<u32>>());
        let refused = coreset(&data, &weights, 16, &Ctx::quiet()).unwrap_err().to_string();
        assert!(refused.contains("at most"), "{refused}");
    }

    #[test]
    fn candidates_are_of_as_many_images_as_can_be() {
        let rows_of = [vec![0, 1, 2], vec![3], vec![4, 5]];
        assert_eq!(candidates(&rows_of, 9), [0, 3, 4, 1, 5, 2]);
        assert_eq!(candidates(&rows_of, 4), [0, 3, 4, 1]);
        assert_eq!(candidates(&rows_of, 2), [0, 3]);
    }
}
