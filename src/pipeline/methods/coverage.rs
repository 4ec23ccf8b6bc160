//! Images that leave none far away: k-centre on what distinguishes them.

use crate::{
    error::{Error, Result},
    kernels::vectors,
    pipeline::{
        Ctx,
        methods::choice::{Asked, Choice},
        space::embeddings::Embeddings,
    },
};
use ndarray::ArrayView1;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// What the method starts from.
pub(super) fn choose(asked: &Asked) -> Result<Choice> {
    coverage(asked.data, asked.weights, asked.m, asked.seed, asked.ctx).map(Choice::Images)
}

/// `m` images with a pair of weight 0.5 or more, each the farthest from those before (Gonzalez 1985) by unit embeddings
/// minus their mean; the first is drawn by `seed`. Their numbers, in order of choice.
///
/// # Errors
/// [`Error::Setting`] for more than there are, [`Error::Shape`], [`Error::Cancelled`].
pub fn coverage(data: &Embeddings, weights: &[f32], m: usize, seed: u64, ctx: &Ctx) -> Result<Vec<u32>> {
    let mut trusted = vec![false; data.image.nrows()];
    data.image_of.iter().zip(weights).for_each(|(&image, &w)| trusted[image as usize] |= w >= 0.5);
    let images: Vec<u32> = (0..data.image.nrows() as u32).filter(|&i| trusted[i as usize]).collect();
    if m > images.len() {
        let message = format!("{m} pairs asked of {} trusted images; ask for at most as many", images.len());
        return Err(Error::setting("cluster.prototypes", message));
    }
    // Subtracting a mean moves no point nearer to another: distances are those of the unit rows.
    let length: Vec<f64> = images.par_iter().map(|&i| vectors::norm(data.image.row(i as usize)).max(1e-12)).collect();
    let mut closest = vec![f64::INFINITY; images.len()];
    let mut next = ChaCha8Rng::seed_from_u64(seed).random_range(0..images.len().max(1));
    let mut chosen = Vec::with_capacity(m);
    while chosen.len() < m {
        ctx.step("coverage", chosen.len(), m)?;
        chosen.push(images[next]);
        let unit: Vec<f32> = data.image.row(images[next] as usize).iter().map(|v| v / length[next] as f32).collect();
        let unit = ArrayView1::from(&unit);
        closest.par_iter_mut().enumerate().for_each(|(i, closest)| {
            let cosine = vectors::cosine(data.image.row(images[i] as usize), unit);
            *closest = closest.min(2.0 - 2.0 * cosine);
        });
        closest[next] = f64::NEG_INFINITY;
        let far = closest.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(&a.0)));
        next = far.map_or(0, |(i, _)| i);
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ndarray::array;

    #[test]
    fn the_next_image_is_the_farthest_and_none_is_taken_that_nobody_trusts() {
        let images = array![[1.0, 0.0], [0.0, 2.0], [1.0, 0.1], [-1.0, 0.0], [0.0, -1.0]];
        let data = Embeddings::new(images.clone(), images, vec![0, 1, 2, 3, 4]).unwrap();
        let weights = [1.0, 1.0, 1.0, 1.0, 0.2];
        for seed in 0..8 {
            let chosen = coverage(&data, &weights, 3, seed, &Ctx::quiet()).unwrap();
            let mut kinds: Vec<u32> = chosen.iter().map(|&i| if i == 2 { 0 } else { i }).collect();
            kinds.sort_unstable();
            assert_eq!(kinds, [0, 1, 3], "{chosen:?}");
        }
        assert!(coverage(&data, &weights, 5, 0, &Ctx::quiet()).is_err());
    }
}
