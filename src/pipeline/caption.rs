//! A caption for every prototype: the training captions nearest to its text prototype.

use super::{
    Ctx, dense,
    nearest::{self, Candidate},
    prototype::Prototype,
};
use crate::{
    data::Pair,
    error::{Error, Result},
};
use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};

/// How to choose captions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CaptionSettings {
    /// How many to rank per prototype.
    pub candidates: usize,
    /// No caption twice.
    pub distinct: bool,
}

impl Default for CaptionSettings {
    fn default() -> Self {
        Self { candidates: 20, distinct: false }
    }
}

impl CaptionSettings {
    /// # Errors
    /// [`Error::Setting`] for no candidates.
    pub fn check(&self) -> Result<()> {
        if self.candidates == 0 { Err(Error::setting("caption.candidates", "must be at least 1")) } else { Ok(()) }
    }
}

/// What stands under a prototype.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Chosen {
    /// The candidate at this position.
    Nearest(usize),
    /// A person's own words.
    Edited(String),
}

/// The ranked captions of a prototype and the choice among them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaptionChoice {
    /// Nearest first; rows of the training pairs, each wording once.
    pub candidates: Vec<Candidate>,
    /// The nearest, unless told otherwise.
    pub chosen: Chosen,
}

impl CaptionChoice {
    /// The words, given the training pairs.
    pub fn text<'a>(&'a self, pairs: &'a [Pair]) -> &'a str {
        match &self.chosen {
            Chosen::Edited(text) => text,
            Chosen::Nearest(at) => self.candidates.get(*at).map_or("", |c| &pairs[c.row as usize].caption),
        }
    }
}

/// Ranks all training captions (also of pruned pairs) for each prototype. `text` `[pairs, d]` holds their embeddings.
/// Only the first row of captions worded alike competes.
///
/// # Errors
/// [`Error::Setting`] if distinct captions are wanted and there are too few, [`Error::Shape`], [`Error::Cancelled`].
pub fn captions(
    prototypes: &[Prototype],
    text: ArrayView2<f32>,
    pairs: &[Pair],
    settings: &CaptionSettings,
    ctx: &Ctx,
) -> Result<Vec<CaptionChoice>> {
    settings.check()?;
    if pairs.len() != text.nrows() {
        return Err(dense::shape("captions of the text embeddings", text.nrows(), pairs.len()));
    }
    let mut first = HashMap::new();
    let unique: Vec<bool> = pairs.iter().map(|p| first.insert(p.caption.as_str(), ()).is_none()).collect();
    if settings.distinct && first.len() < prototypes.len() {
        let message = format!("{} prototypes, but only {} different captions", prototypes.len(), first.len());
        return Err(Error::setting("caption.distinct", message));
    }
    let d = text.ncols();
    let mut queries = Array2::zeros((prototypes.len(), d));
    for (mut query, prototype) in queries.outer_iter_mut().zip(prototypes) {
        if prototype.text.len() != d {
            return Err(dense::shape("width of a text prototype", d, prototype.text.len()));
        }
        query.iter_mut().zip(&prototype.text).for_each(|(q, &v)| *q = v);
    }
    // A distinct choice always succeeds with as many candidates as there are prototypes.
    let n = if settings.distinct { settings.candidates.max(prototypes.len()) } else { settings.candidates };
    let ranked = nearest::nearest(queries.view(), text, n, |row| unique[row], ctx)?;
    let chosen = if settings.distinct { nearest::distinct(&ranked, |row| row) } else { vec![Some(0); ranked.len()] };
    let choice = |(mut candidates, at): (Vec<Candidate>, Option<usize>)| {
        let at = at.unwrap_or(0);
        candidates.truncate(settings.candidates.max(at + 1));
        CaptionChoice { candidates, chosen: Chosen::Nearest(at) }
    };
    Ok(ranked.into_iter().zip(chosen).map(choice).collect())
}

/// How many prototypes repeat the caption of an earlier one.
pub fn repeated(choices: &[CaptionChoice], pairs: &[Pair]) -> usize {
    let mut seen = HashSet::new();
    choices.iter().filter(|c| !seen.insert(c.text(pairs))).count()
}
