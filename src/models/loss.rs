//! The student's loss: symmetric InfoNCE on matched pairs at a fixed temperature.

use super::host::normalise_rows;
use ndarray::{Array2, ArrayView2, Axis};

/// Mean of the image-to-text and the text-to-image cross-entropy over cosines divided by `temperature`, and its
/// gradient with respect to `text`. Row `i` of both belongs together, or, with `soft` `[b, b]`, as far as that says: its
/// rows (and columns), each divided by its sum, are what the softmax is to reach. `image` `[b, c]` has unit rows, `text`
/// `[b, c]` any but zero.
pub fn symmetric_info_nce(
    image: ArrayView2<'_, f32>,
    text: Array2<f32>,
    temperature: f32,
    soft: Option<ArrayView2<'_, f32>>,
) -> (f64, Array2<f32>) {
    let rows = text.nrows();
    let mut unit = text;
    let lengths = normalise_rows(&mut unit);
    let logits = image.dot(&unit.t()) / temperature; // [b images, b texts]
    let (to_text, of_images) = softmax_rows(logits.clone());
    let (to_image, of_texts) = softmax_rows(logits.t().to_owned());
    let mut slope = to_text.t().to_owned() + to_image; // [b texts, b images]
    let matched: f64 = match soft {
        None => {
            slope.diag_mut().mapv_inplace(|v| v - 2.0);
            2.0 * logits.diag().iter().map(|&v| f64::from(v)).sum::<f64>()
        }
        Some(soft) => {
            let wanted = &soft / &soft.sum_axis(Axis(1)).insert_axis(Axis(1)) + &soft / &soft.sum_axis(Axis(0));
            slope -= &wanted.t();
            wanted.iter().zip(&logits).map(|(&w, &v)| f64::from(w) * f64::from(v)).sum()
        }
    };
    let loss = (of_images + of_texts - matched) / (2.0 * rows as f64);

    let mut gradient = slope.dot(&image) * (0.5 / (rows as f32 * temperature));
    // Through the normalisation: what points along the row itself is lost.
    let along = (&gradient * &unit).sum_axis(Axis(1));
    for (i, mut row) in gradient.rows_mut().into_iter().enumerate() {
        row.scaled_add(-along[i], &unit.row(i));
        row /= lengths[i];
    }
    (loss, gradient)
}

/// Softmax of each row, and the sum of their log-sum-exps.
fn softmax_rows(mut x: Array2<f32>) -> (Array2<f32>, f64) {
    let mut total = 0.0;
    for mut row in x.rows_mut() {
        let max = row.fold(f32::NEG_INFINITY, |a, &b| a.max(b));
        row.mapv_inplace(|v| (v - max).exp());
        let sum: f64 = row.iter().map(|&v| f64::from(v)).sum();
        row /= sum as f32;
        total += f64::from(max) + sum.ln();
    }
    (x, total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};

    #[test]
    fn the_gradient_is_the_difference_quotient() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(3);
        let mut draw = |_| rng.random_range(-1.0f32..1.0);
        let mut image = Array2::from_shape_fn((5, 4), &mut draw);
        normalise_rows(&mut image);
        let text = Array2::from_shape_fn((5, 4), &mut draw);
        let soft = Array2::from_shape_fn((5, 5), |(i, j)| if i == j { 1.0 } else { 0.1 * (1 + i.min(j)) as f32 });
        for soft in [None, Some(soft.view())] {
            let (_, gradient) = symmetric_info_nce(image.view(), text.clone(), 0.3, soft);
            let step = 4e-3;
            for (i, j) in (0..5).flat_map(|i| (0..4).map(move |j| (i, j))) {
                let at = |by: f32| {
                    let mut moved = text.clone();
                    moved[[i, j]] += by;
                    symmetric_info_nce(image.view(), moved, 0.3, soft).0
                };
                let slope = (at(step) - at(-step)) / (2.0 * f64::from(step));
                assert!((f64::from(gradient[[i, j]]) - slope).abs() < 1e-3, "{i} {j} {} {slope}", gradient[[i, j]]);
            }
        }
    }

    #[test]
    fn a_correspondence_of_each_to_its_own_is_none() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(4);
        let mut draw = |_| rng.random_range(-1.0f32..1.0);
        let mut image = Array2::from_shape_fn((4, 3), &mut draw);
        normalise_rows(&mut image);
        let text = Array2::from_shape_fn((4, 3), &mut draw);
        let one = symmetric_info_nce(image.view(), text.clone(), 0.1, None);
        let other = symmetric_info_nce(image.view(), text, 0.1, Some(Array2::eye(4).view()));
        assert!((one.0 - other.0).abs() < 1e-6 && (one.1 - other.1).iter().all(|d| d.abs() < 1e-6));
    }

    #[test]
    fn indistinguishable_pairs_cost_the_logarithm_of_their_number() {
        let same = Array2::from_elem((8, 3), 1.0 / 3f32.sqrt());
        let (loss, _) = symmetric_info_nce(same.view(), same.clone(), 0.07, None);
        assert!((loss - 8f64.ln()).abs() < 1e-5, "{loss}");
    }
}
