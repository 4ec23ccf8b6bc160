//! Retrieval recall in both directions from scores that come block by block, so that they need not all be held.

use crate::{
    data::ImageId,
    error::{Error, Result},
};
use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// The k of recall at k.
pub const AT: [usize; 3] = [1, 5, 10];
const DEEPEST: usize = AT[AT.len() - 1];

/// Recall at 1, 5 and 10, in percent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Recall {
    /// Image retrieval (IR): a caption finds its image among the first k.
    pub ir: [f64; 3],
    /// Text retrieval (TR): an image finds one of its captions among the first k.
    pub tr: [f64; 3],
}

impl Recall {
    /// Mean of the six.
    pub fn r_mean(&self) -> f64 {
        self.all().iter().sum::<f64>() / 6.0
    }

    /// IR@1, IR@5, IR@10, TR@1, TR@5, TR@10.
    pub fn all(&self) -> [f64; 6] {
        let ([a, b, c], [d, e, f]) = (self.ir, self.tr);
        [a, b, c, d, e, f]
    }

    /// The inverse of [`Recall::all`].
    pub fn from_all([a, b, c, d, e, f]: [f64; 6]) -> Self {
        Self { ir: [a, b, c], tr: [d, e, f] }
    }
}

/// Collects captions' scores against every image.
///
/// Equal scores rank as in the reference, `argsort(scores)[::-1]` (with a stable sort): the later index first. So a
/// model that gives everything the same score does no better than chance. A score that is NaN finds nothing.
pub struct Ranker<'a> {
    image_of: &'a [ImageId],
    /// Every image's ten best captions so far, best first.
    best: Vec<Vec<Scored>>,
    image_hits: [usize; 3],
    seen: usize,
}

#[derive(Clone, Copy)]
struct Scored {
    score: f32,
    index: usize,
}

impl Scored {
    /// Best first.
    fn order(&self, other: &Self) -> Ordering {
        other.score.total_cmp(&self.score).then(other.index.cmp(&self.index))
    }
}

impl<'a> Ranker<'a> {
    /// For `images` images and captions of which the `t`-th belongs to image `image_of[t]`.
    ///
    /// # Errors
    /// [`Error::Shape`] if a caption's image does not exist, or there is nothing to rank.
    pub fn new(images: usize, image_of: &'a [ImageId]) -> Result<Self> {
        let wrong = |found: String| Error::Shape {
            what: "images of the captions that are ranked",
            expected: format!("one of {images} images for each caption"),
            found,
        };
        if image_of.is_empty() {
            return Err(wrong("no caption".into()));
        }
        if let Some(row) = image_of.iter().position(|id| id.index() >= images) {
            return Err(wrong(format!("image {} for caption {row}", image_of[row].0)));
        }
        Ok(Self { image_of, best: vec![Vec::with_capacity(DEEPEST + 1); images], image_hits: [0; 3], seen: 0 })
    }

    /// How many captions to score at once, so that a block holds at most 8 MB (64 MB with several runs beside it).
    pub fn block(images: usize) -> usize {
        ((8 << 20) / 4 / images.max(1)).clamp(1, 512)
    }

    /// Takes the next captions' scores, `[captions, images]`.
    ///
    /// # Errors
    /// [`Error::Shape`] if the block has another number of images, or more captions than there are left.
    pub fn push(&mut self, scores: ArrayView2<'_, f32>) -> Result<()> {
        let left = self.image_of.len() - self.seen;
        if scores.ncols() != self.best.len() || scores.nrows() > left {
            let expected = format!("at most {left} captions by {} images", self.best.len());
            return Err(Error::Shape { what: "a block of scores", expected, found: format!("{:?}", scores.shape()) });
        }
        for row in scores.rows() {
            let own = self.image_of[self.seen].index();
            let rank = rank_of(own, row.iter().copied());
            for (hits, k) in self.image_hits.iter_mut().zip(AT) {
                *hits += usize::from(rank < k);
            }
            for (image, &score) in row.iter().enumerate() {
                keep(&mut self.best[image], Scored { score, index: self.seen });
            }
            self.seen += 1;
        }
        Ok(())
    }

    /// The recalls, once every caption was seen. Images without a caption are not counted in TR.
    ///
    /// # Errors
    /// [`Error::Shape`] if captions are missing.
    pub fn finish(self) -> Result<Recall> {
        if self.seen != self.image_of.len() {
            let expected = format!("{} captions", self.image_of.len());
            return Err(Error::Shape { what: "scores for recall", expected, found: self.seen.to_string() });
        }
        let mut captioned = vec![false; self.best.len()];
        self.image_of.iter().for_each(|id| captioned[id.index()] = true);
        let mut text_hits = [0usize; 3];
        for (image, best) in self.best.iter().enumerate() {
            let own = best.iter().position(|s| self.image_of[s.index].index() == image);
            for (hits, k) in text_hits.iter_mut().zip(AT) {
                *hits += usize::from(own.is_some_and(|rank| rank < k));
            }
        }
        let percent = |hits: usize, of: usize| 100.0 * hits as f64 / of as f64;
        let images = captioned.iter().filter(|c| **c).count();
        Ok(Recall {
            ir: self.image_hits.map(|hits| percent(hits, self.seen)),
            tr: text_hits.map(|hits| percent(hits, images)),
        })
    }
}

/// How many of `scores` rank before the one at `own`; past the end if that one is NaN.
fn rank_of(own: usize, scores: impl ExactSizeIterator<Item = f32> + Clone) -> usize {
    match scores.clone().nth(own) {
        Some(score) if !score.is_nan() => {
            scores.enumerate().filter(|&(i, other)| other > score || (other == score && i > own)).count()
        }
        _ => usize::MAX,
    }
}

/// Puts `new` among the ten best, if it is one. Captions come by rising index, so that among equals the new one leads.
fn keep(best: &mut Vec<Scored>, new: Scored) {
    // `+ 0.0` makes -0.0 equal to 0.0, as it is in the other direction.
    let new = Scored { score: new.score + 0.0, ..new };
    let full = best.len() == DEEPEST;
    if new.score.is_nan() || (full && best[DEEPEST - 1].score > new.score) {
        return;
    }
    let at = best.partition_point(|old| old.order(&new) == Ordering::Less);
    best.insert(at, new);
    best.truncate(DEEPEST);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ndarray::{Array2, array, s};
    use rand::{Rng, SeedableRng};

    fn ids(images: &[u32]) -> Vec<ImageId> {
        images.iter().map(|&i| ImageId(i)).collect()
    }

    fn recall(scores: &Array2<f32>, image_of: &[ImageId], block: usize) -> Recall {
        let mut ranker = Ranker::new(scores.ncols(), image_of).unwrap();
        for from in (0..scores.nrows()).step_by(block) {
            ranker.push(scores.slice(s![from..(from + block).min(scores.nrows()), ..])).unwrap();
        }
        ranker.finish().unwrap()
    }

    /// The reference's way: sort everything.
    fn by_sorting(scores: &Array2<f32>, image_of: &[ImageId]) -> Recall {
        let ranked = |row: Vec<f32>| {
            let mut order: Vec<usize> = (0..row.len()).collect();
            order.sort_by(|&a, &b| row[a].partial_cmp(&row[b]).unwrap());
            order.reverse();
            order
        };
        let mut recall = Recall::default();
        let (texts, images) = scores.dim();
        for (at, k) in AT.into_iter().enumerate() {
            let ir = (0..texts)
                .filter(|&t| ranked(scores.row(t).to_vec()).iter().take(k).any(|&i| i == image_of[t].index()));
            let tr = (0..images)
                .filter(|&i| ranked(scores.column(i).to_vec()).iter().take(k).any(|&t| image_of[t].index() == i));
            recall.ir[at] = 100.0 * ir.count() as f64 / texts as f64;
            recall.tr[at] = 100.0 * tr.count() as f64 / images as f64;
        }
        recall
    }

    #[test]
    fn blocks_and_ties_give_what_sorting_all_scores_gives() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        for levels in [2, 5, 1_000_000] {
            let image_of: Vec<ImageId> =
                (0..90).map(|t| ImageId(if t < 30 { t } else { rng.random_range(0..30) })).collect();
            let scores = Array2::from_shape_simple_fn((90, 30), || rng.random_range(-levels..levels) as f32);
            let whole = by_sorting(&scores, &image_of);
            for block in [1, 7, 90] {
                assert_eq!(recall(&scores, &image_of, block), whole, "{levels} levels, blocks of {block}");
            }
        }
    }

    #[test]
    fn equal_scores_are_no_better_than_chance() {
        let image_of: Vec<ImageId> = (0..100).map(ImageId).collect();
        let found = recall(&Array2::zeros((100, 100)), &image_of, 32);
        assert_eq!(found, Recall { ir: [1.0, 5.0, 10.0], tr: [1.0, 5.0, 10.0] });
        assert!((found.r_mean() - 16.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn a_diverged_model_finds_nothing() {
        let found = recall(&Array2::from_elem((4, 4), f32::NAN), &ids(&[0, 1, 2, 3]), 4);
        assert_eq!(found, Recall::default());
    }

    #[test]
    fn an_image_without_caption_does_not_count_against_the_model() {
        let found = recall(&array![[0.9, 0.1, 0.2], [0.1, 0.9, 0.2]], &ids(&[0, 1]), 2);
        assert_eq!(found, Recall { ir: [100.0; 3], tr: [100.0; 3] });
    }

    #[test]
    fn captions_of_images_that_do_not_exist_are_refused() {
        let wrong = ids(&[0, 5]);
        let message = Ranker::new(3, &wrong).err().unwrap().to_string();
        assert!(message.contains("image 5 for caption 1"), "{message}");
        let right = ids(&[0, 1]);
        let mut short = Ranker::new(3, &right).unwrap();
        assert!(short.push(Array2::zeros((3, 3)).view()).is_err());
        short.push(Array2::zeros((1, 3)).view()).unwrap();
        assert!(short.finish().is_err());
    }
}
