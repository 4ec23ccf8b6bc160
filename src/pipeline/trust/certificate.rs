//! What each prototype's caption withstands.

use crate::{
    error::Result,
    kernels::vectors,
    pipeline::{
        Ctx,
        prototypes::{Prototype, caption::CaptionChoice},
        ridge::gram::Packed,
        space::embeddings::Embeddings,
    },
};
use ndarray::{Array1, Array2, ArrayView1, Axis};
use rayon::prelude::*;
use serde::Serialize;

/// Rows of a block of work.
const BLOCK: usize = 192;
/// What a margin or an inner product in float32 may be off.
const OFF: f64 = 1e-5;

/// What the caption of a prototype withstands.
///
/// The rule that is certified: with m the mean of the n support captions, each scaled to length 1, the caption is the one
/// whose direction c has the largest inner product with m (so, the largest cosine). If k support captions are replaced by
/// *anything* of length 1, m moves by some v with |v| <= 2 k / n. For every other caption b,
///
/// `<c - b, m + v> >= <c - b, m> - |c - b| 2 k / n`,
///
/// which is above 0 as long as 2 k / n is below `margin = min over b of <c - b, m> / |c - b|`. The minimum is over all
/// captions, not only the second: one that is nearer to c needs a smaller push.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Certificate {
    /// Mismatched pairs to expect in the support: the sum of 1 - weight.
    pub expected_mismatched: f64,
    /// Support captions that could be replaced by anything before the caption changes.
    pub replaceable: u32,
    /// How far m has to move for that; 0 if the caption chosen is not the nearest to m.
    pub margin: f32,
}

/// A certificate for each of `prototypes` and the caption chosen for it. Captions of the same embedding count as one.
///
/// # Errors
/// [`crate::error::Error::Shape`] for lists that do not fit, [`crate::error::Error::Cancelled`].
pub fn certificates(
    prototypes: &[Prototype],
    captions: &[CaptionChoice],
    data: &Embeddings,
    trust_weights: &[f32],
    ctx: &Ctx,
) -> Result<Vec<Certificate>> {
    if captions.len() != prototypes.len() {
        return Err(vectors::shape("captions of the prototypes", prototypes.len(), captions.len()));
    }
    if trust_weights.len() != data.pairs() {
        return Err(vectors::shape("weights of the pairs", data.pairs(), trust_weights.len()));
    }
    let rows = prototypes.iter().flat_map(|p| &p.rows);
    if let Some(row) = rows.chain(captions.iter().filter_map(row_of)).find(|&&r| r as usize >= data.pairs()) {
        return Err(vectors::shape("row of a prototype", format!("below {}", data.pairs()), row));
    }
    let d = data.text.ncols();
    let (mut means, mut chosen) = (Array2::zeros((prototypes.len(), d)), Array2::zeros((prototypes.len(), d)));
    for (k, (prototype, choice)) in prototypes.iter().zip(captions).enumerate() {
        for &r in &prototype.rows {
            means.row_mut(k).scaled_add(1.0 / prototype.rows.len() as f64, &direction(data.text.row(r as usize)));
        }
        if let Some(&row) = row_of(choice) {
            chosen.row_mut(k).assign(&direction(data.text.row(row as usize)));
        }
    }
    let margins = margins(&means, &chosen, data, ctx)?;
    let certificate = |(prototype, margin): (&Prototype, f64)| {
        let n = prototype.rows.len() as f64;
        let most = (n * (margin - OFF) / 2.0).ceil() - 1.0;
        Certificate {
            expected_mismatched: prototype.rows.iter().map(|&r| 1.0 - f64::from(trust_weights[r as usize])).sum(),
            replaceable: most.max(0.0) as u32,
            margin: margin as f32,
        }
    };
    Ok(prototypes.iter().zip(margins).map(certificate).collect())
}

/// The row of the caption chosen.
fn row_of(choice: &CaptionChoice) -> Option<&u32> {
    choice.candidates.get(choice.chosen).map(|c| &c.row)
}

fn direction(row: ArrayView1<f32>) -> Array1<f64> {
    let length = vectors::norm(row);
    row.mapv(|v| if length > 0.0 { f64::from(v) / length } else { 0.0 })
}

/// The margin of each mean `[m, d]` and its chosen caption: screened in float32, decided in float64.
fn margins(means: &Array2<f64>, chosen: &Array2<f64>, data: &Embeddings, ctx: &Ctx) -> Result<Vec<f64>> {
    let (m, d, texts) = (means.nrows(), means.ncols(), data.text.view());
    let [to_means, to_chosen] = [means, chosen].map(|rows| Packed::new(rows.t()));
    let own: Vec<f64> = means.outer_iter().zip(chosen.outer_iter()).map(|(mean, c)| mean.dot(&c)).collect();
    let blocks: Vec<_> = texts.axis_chunks_iter(Axis(0), BLOCK).collect();
    let part = |block: &ndarray::ArrayView2<f32>| {
        ctx.check()?;
        let unit = vectors::unit(*block);
        let rows = unit.as_slice().unwrap_or(&[]);
        let (mut near, mut alike, mut least) = (Vec::new(), Vec::new(), vec![f64::INFINITY; m]);
        to_means.times(rows, &mut near);
        to_chosen.times(rows, &mut alike);
        let lines = near.chunks_exact(to_means.line.max(1)).zip(alike.chunks_exact(to_chosen.line.max(1)));
        for (row, (near, alike)) in rows.chunks_exact(d.max(1)).zip(lines) {
            for k in 0..m {
                let gap = (2.0 - 2.0 * f64::from(alike[k]) + OFF).max(0.0).sqrt();
                if own[k] - f64::from(near[k]) - OFF < least[k] * gap {
                    least[k] = least[k].min(margin(row, means.row(k), chosen.row(k)));
                }
            }
        }
        Ok(least)
    };
    let parts: Vec<Vec<f64>> = blocks.par_iter().map(part).collect::<Result<_>>()?;
    let least = |k: usize| parts.iter().map(|part| part[k]).fold(f64::INFINITY, f64::min);
    // Without another caption there is nothing to change to.
    Ok((0..m).map(|k| least(k).clamp(0.0, 1.0)).collect())
}

/// How far the mean is from where `row` would be chosen; infinite if that is the same caption.
fn margin(row: &[f32], mean: ArrayView1<f64>, chosen: ArrayView1<f64>) -> f64 {
    let other = direction(ArrayView1::from(row));
    let apart = &chosen - &other;
    let length = apart.dot(&apart).sqrt();
    if length > 1e-6 { apart.dot(&mean) / length } else { f64::INFINITY }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::pipeline::{
        cluster::{ImageCluster, TextCluster},
        ridge::sample,
        space::nearest::Candidate,
    };
    use proptest::prelude::*;

    fn prototype(rows: Vec<u32>) -> Prototype {
        let (image_cluster, text_cluster, support) = (ImageCluster(0), TextCluster(0), rows.len() as u32);
        Prototype { image: vec![], text: vec![], support, similarity: 0.0, image_cluster, text_cluster, rows }
    }

    /// The caption of largest inner product with the mean of unit rows.
    fn nearest(rows: &[Array1<f64>], captions: &[Array1<f64>]) -> usize {
        let mean = rows.iter().fold(Array1::zeros(rows[0].len()), |sum, row| sum + row);
        let product = |k: &usize| captions[*k].dot(&mean);
        (0..captions.len()).max_by(|a, b| product(a).total_cmp(&product(b)).then(b.cmp(a))).unwrap()
    }

    proptest! {
        #[test]
        fn as_many_rows_as_certified_can_be_replaced_by_anything(
            seed in 0u64..1000, images in 3usize..9, support in 5usize..60, d in 2usize..9,
        ) {
            let (data, _) = sample::pairs(images, 8, [d, d], 0.0, seed);
            let captions: Vec<_> = data.text.view().outer_iter().map(direction).collect();
            // Captions of one image and some others.
            let rows: Vec<u32> = (0..support as u32).map(|k| if k % 5 < 4 { k % 8 } else { k % data.pairs() as u32 }).collect();
            let mut own: Vec<_> = rows.iter().map(|&r| captions[r as usize].clone()).collect();
            let first = nearest(&own, &captions);
            let candidate = Candidate { row: first as u32, similarity: 1.0 };
            let choice = CaptionChoice { candidates: vec![candidate], chosen: 0 };
            let weights = vec![0.75; data.pairs()];
            let found = certificates(&[prototype(rows)], &[choice], &data, &weights, &Ctx::quiet()).unwrap()[0];
            prop_assert!((found.expected_mismatched - support as f64 / 4.0).abs() < 1e-9);
            prop_assert!(2 * found.replaceable < support as u32);
            for other in 0..captions.len() {
                // Towards the other caption and away from the first, the rows that help the first most first.
                let away = &captions[other] - &captions[first];
                let length = away.dot(&away).sqrt();
                if length > 1e-6 {
                    let away = away / length;
                    own.sort_by(|a, b| a.dot(&away).total_cmp(&b.dot(&away)));
                    let mut changed = own.clone();
                    changed.iter_mut().take(found.replaceable as usize).for_each(|row| row.assign(&away));
                    let now = nearest(&changed, &captions);
                    prop_assert!(captions[now].dot(&captions[first]) > 1.0 - 1e-9, "{found:?} {now} {first}");
                }
            }
        }
    }

    #[test]
    fn a_unanimous_support_withstands_nearly_half_and_a_caption_not_the_nearest_nothing() {
        let text = ndarray::array![[1.0f32, 0.0], [-1.0, 0.0], [0.0, 1.0]];
        let data = Embeddings::new(text.clone(), text, vec![0, 1, 2]).unwrap();
        let of = |row: u32| {
            let choice = CaptionChoice { candidates: vec![Candidate { row, similarity: 1.0 }], chosen: 0 };
            certificates(&[prototype(vec![0; 101])], &[choice], &data, &[1.0; 3], &Ctx::quiet()).unwrap()[0]
        };
        // The nearest rival is at a right angle: <c - b, m> / |c - b| = 1 / sqrt 2.
        assert!((f64::from(of(0).margin) - 0.5f64.sqrt()).abs() < 1e-6);
        assert_eq!((of(0).replaceable, of(0).expected_mismatched), (35, 0.0));
        assert_eq!((of(2).replaceable, of(2).margin), (0, 0.0));
    }
}
