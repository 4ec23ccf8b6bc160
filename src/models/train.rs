//! Fits the projection head to the distilled pairs: frozen image features on one side, text prototypes on the other.

use super::{
    head::{Head, Sgd},
    loss::symmetric_info_nce,
};
use ndarray::{Array2, ArrayView2, Axis};
use rand_chacha::ChaCha8Rng;

/// How the head is trained; the defaults are the protocol's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Training {
    /// Passes over the pairs.
    pub epochs: usize,
    /// Learning rate before [`Training::drop_at`].
    pub lr: f64,
    /// SGD's momentum.
    pub momentum: f64,
    /// Weight decay on every parameter.
    pub weight_decay: f64,
    /// Pairs in a batch, or all if there are fewer.
    pub batch: usize,
    /// Divides the cosines.
    pub temperature: f64,
    /// Dropout inside the head.
    pub dropout: f64,
    /// First epoch (from 0) at a tenth of the learning rate.
    pub drop_at: usize,
}

impl Default for Training {
    fn default() -> Self {
        Self {
            epochs: 101,
            lr: 0.2,
            momentum: 0.9,
            weight_decay: 5e-4,
            batch: 128,
            temperature: 0.07,
            dropout: 0.1,
            drop_at: 51,
        }
    }
}

impl Training {
    /// The learning rate of `epoch`, from 0.
    pub fn rate(&self, epoch: usize) -> f64 {
        if epoch < self.drop_at { self.lr } else { 0.1 * self.lr }
    }

    /// The pairs of every batch of one epoch: `⌈pairs / batch⌉` draws, each without replacement and independent of the
    /// others, as the reference draws them (so that an epoch may show a pair twice and another not at all).
    pub fn batches(&self, pairs: usize, rng: &mut ChaCha8Rng) -> Vec<Vec<usize>> {
        let size = self.batch.min(pairs).max(1);
        (0..pairs.div_ceil(size)).map(|_| rand::seq::index::sample(rng, pairs, size).into_vec()).collect()
    }
}

/// A head in training: its parameters and the optimiser's velocity.
pub struct Trainer {
    /// The head as it stands.
    pub head: Head,
    velocity: Head,
    settings: Training,
}

impl Trainer {
    /// Starts from `head`.
    pub fn new(head: Head, settings: Training) -> Self {
        Self { velocity: head.zeros_like(), head, settings }
    }

    /// One epoch over `batches` of rows of `image` `[M, c]` (unit rows), `text` `[M, d]` and their correspondence `soft`
    /// `[M, M]` if they have one; dropout is drawn from `rng`. Returns the mean loss of the epoch, each batch's before its
    /// step.
    pub fn epoch(
        &mut self,
        epoch: usize,
        batches: &[Vec<usize>],
        (image, text): (ArrayView2<'_, f32>, ArrayView2<'_, f32>),
        soft: Option<ArrayView2<'_, f32>>,
        rng: &mut ChaCha8Rng,
    ) -> f64 {
        let settings = self.settings;
        let sgd = Sgd {
            rate: settings.rate(epoch) as f32,
            momentum: settings.momentum as f32,
            decay: settings.weight_decay as f32,
        };
        let (mut total, mut rows) = (0.0, 0);
        for batch in batches {
            let (image, text): (Array2<f32>, Array2<f32>) = (image.select(Axis(0), batch), text.select(Axis(0), batch));
            let (projected, tape) = self.head.forward_train(text.view(), settings.dropout as f32, rng);
            let soft = soft.map(|s| s.select(Axis(0), batch).select(Axis(1), batch));
            let (loss, slope) = symmetric_info_nce(
                image.view(),
                projected,
                settings.temperature as f32,
                soft.as_ref().map(Array2::view),
            );
            let gradient = self.head.backward(text.view(), &tape, slope);
            self.head.descend(&gradient, &mut self.velocity, sgd);
            total += loss * batch.len() as f64;
            rows += batch.len();
        }
        total / rows.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::host::normalise_rows;
    use rand::{Rng, SeedableRng};

    #[test]
    fn a_batch_never_shows_a_pair_twice_and_an_epoch_draws_enough() {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        for (pairs, sizes) in [(100, vec![100]), (300, vec![128; 3]), (1, vec![1])] {
            let batches = Training::default().batches(pairs, &mut rng);
            assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), sizes);
            for mut batch in batches {
                batch.sort_unstable();
                batch.dedup();
                assert!(sizes.contains(&batch.len()) && batch.iter().all(|&i| i < pairs));
            }
        }
    }

    #[test]
    fn the_rate_drops_once_at_its_epoch() {
        let training = Training::default();
        assert_eq!((training.rate(50), training.rate(51)), (0.2, 0.1 * 0.2));
    }

    #[test]
    fn training_finds_the_partners_of_forty_random_pairs() {
        let mut rng = ChaCha8Rng::seed_from_u64(9);
        let text = Array2::from_shape_simple_fn((40, 24), || rng.random_range(-1.0f32..1.0));
        let mut image = Array2::from_shape_simple_fn((40, 20), || rng.random_range(-1.0f32..1.0));
        normalise_rows(&mut image);
        let settings = Training { batch: 16, dropout: 0.0, ..Training::default() };
        let mut trainer = Trainer::new(Head::init(24, 20, &mut rng), settings);
        let losses: Vec<f64> = (0..30)
            .map(|epoch| {
                let batches = settings.batches(40, &mut rng);
                trainer.epoch(epoch, &batches, (image.view(), text.view()), None, &mut rng)
            })
            .collect();
        assert!(losses[29] < 0.1 * losses[0], "{losses:?}");
    }
}
