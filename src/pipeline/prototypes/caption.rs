//! A caption for every prototype: the training captions nearest to its text prototype.

use super::Prototype;
use crate::pipeline::setting;
use crate::{
    data::{Pair, caption::PreCaption},
    error::{Error, Result},
};
use crate::{
    kernels::vectors,
    pipeline::{
        Ctx,
        space::{
            embeddings::Embeddings,
            nearest::{self, Candidate, Side},
        },
    },
};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// How to choose captions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CaptionSettings {
    /// How many to rank per prototype.
    pub candidates: usize,
    /// No caption twice.
    pub distinct: bool,
    /// What makes a caption near.
    pub by: By,
}

/// What makes a caption near to a prototype.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// Its cosine to the text prototype: the method's own (arXiv 2602.19756).
    #[default]
    Text,
    /// The mean of that and of the cosine of its image to the image prototype: what the caption then asks of the decoder
    /// is nearer to what the embedding does.
    Pair,
}

impl Default for CaptionSettings {
    fn default() -> Self {
        Self { candidates: 20, distinct: false, by: By::Text }
    }
}

impl CaptionSettings {
    /// # Errors
    /// [`Error::Setting`] for no candidates.
    pub fn check(&self) -> Result<()> {
        setting::check("caption", self)
    }
}

/// The ranked captions of a prototype and the choice among them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaptionChoice {
    /// Nearest first; rows of the training pairs, each wording once.
    pub candidates: Vec<Candidate>,
    /// The position of the one chosen: the nearest, unless captions are to be distinct.
    pub chosen: usize,
}

impl CaptionChoice {
    /// The training row of the one chosen.
    pub fn row(&self) -> Option<u32> {
        self.candidates.get(self.chosen).map(|c| c.row)
    }

    /// The words, given the training pairs.
    pub fn text<'a>(&'a self, pairs: &'a [Pair]) -> &'a str {
        self.candidates.get(self.chosen).map_or("", |c| &pairs[c.row as usize].caption)
    }
}

/// Ranks all training captions (also of pruned pairs) for each prototype; only the first row of captions worded alike
/// competes.
///
/// # Errors
/// [`Error::Setting`] if distinct captions are wanted and there are too few, [`Error::Shape`], [`Error::Cancelled`].
pub fn captions(
    prototypes: &[Prototype],
    data: &Embeddings,
    pairs: &[Pair],
    settings: &CaptionSettings,
    ctx: &Ctx,
) -> Result<Vec<CaptionChoice>> {
    settings.check()?;
    if pairs.len() != data.text.nrows() {
        return Err(vectors::shape("captions of the text embeddings", data.text.nrows(), pairs.len()));
    }
    let mut first = HashMap::new();
    let unique: Vec<bool> =
        pairs.iter().map(|p| first.insert(PreCaption::Reference.read(&p.caption), ()).is_none()).collect();
    if settings.distinct && first.len() < prototypes.len() {
        let message = format!("{} prototypes, but only {} different captions", prototypes.len(), first.len());
        return Err(Error::setting("caption.distinct", message));
    }
    let d = data.width();
    let texts = vectors::stack(prototypes.iter().map(|p| p.text.as_slice()), d)?;
    let images = vectors::stack(prototypes.iter().map(|p| p.image.as_slice()), d)?;
    let sides = [
        Side { queries: texts.view(), rows: data.text.view(), of: None },
        Side { queries: images.view(), rows: data.image.view(), of: Some(&data.image_of) },
    ];
    let sides = match settings.by {
        By::Text => &sides[..1],
        By::Pair => &sides[..],
    };
    // A distinct choice always succeeds with as many candidates as there are prototypes.
    let n = if settings.distinct { settings.candidates.max(prototypes.len()) } else { settings.candidates };
    let ranked = nearest::nearest(sides, n, |row| unique[row], ctx)?;
    let chosen = if settings.distinct { nearest::distinct(&ranked, |row| row) } else { vec![Some(0); ranked.len()] };
    let choice = |(mut candidates, at): (Vec<Candidate>, Option<usize>)| {
        let chosen = at.unwrap_or(0);
        candidates.truncate(settings.candidates.max(chosen + 1));
        CaptionChoice { candidates, chosen }
    };
    Ok(ranked.into_iter().zip(chosen).map(choice).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{
        data::ImageId,
        pipeline::cluster::{ImageCluster, TextCluster},
    };
    use ndarray::array;

    #[test]
    fn by_pair_the_image_of_a_caption_counts_as_much_as_its_words() {
        let prototype = Prototype {
            image: vec![0.0, 2.0],
            text: vec![1.0, 0.0],
            support: 2,
            similarity: 0.0,
            image_cluster: ImageCluster(0),
            text_cluster: TextCluster(0),
            rows: Vec::new(),
        };
        let images = array![[4.0, 3.0], [0.0, 1.0]];
        let text = array![[1.0, 0.0], [4.0, 3.0], [3.0, 4.0]];
        let data = Embeddings::new(images, text, vec![0, 1, 0]).unwrap();
        let pair = |(image, caption): (u32, &str)| Pair { image: ImageId(image), caption: caption.into() };
        let pairs: Vec<Pair> = [(0, "nearest words"), (1, "nearest pair"), (0, "neither")].map(pair).into();
        let ranked = |by| {
            let settings = CaptionSettings { by, ..CaptionSettings::default() };
            let choice = captions(std::slice::from_ref(&prototype), &data, &pairs, &settings, &Ctx::quiet()).unwrap();
            let words = choice[0].text(&pairs).to_owned();
            (words, choice[0].candidates.iter().map(|c| (c.row, (c.similarity * 100.0).round())).collect::<Vec<_>>())
        };
        assert_eq!(ranked(By::Text), ("nearest words".into(), vec![(0, 100.0), (1, 80.0), (2, 60.0)]));
        assert_eq!(ranked(By::Pair), ("nearest pair".into(), vec![(1, 90.0), (0, 80.0), (2, 60.0)]));
    }
}
