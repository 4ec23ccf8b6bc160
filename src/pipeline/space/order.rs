//! In which order captions are encoded.

use crate::{data::Split, error::Result, models::clip::Clip};
use rayon::prelude::*;
use std::collections::HashMap;

/// Distinct captions in the order in which they are encoded: shortest first.
pub struct Order {
    /// Their tokens.
    pub(super) ids: Vec<Vec<u32>>,
    /// The rows of each.
    pub(super) rows: Vec<Vec<usize>>,
}

impl Order {
    pub(super) fn new(captions: &[&str], clip: &Clip) -> Result<Self> {
        let mut rows_of: HashMap<&str, Vec<usize>> = HashMap::new();
        captions.iter().enumerate().for_each(|(row, caption)| rows_of.entry(caption).or_default().push(row));
        let mut unique: Vec<(&str, Vec<usize>)> = rows_of.into_iter().collect();
        unique.sort_by_key(|(_, rows)| rows[0]);
        let ids = unique.par_iter().map(|(caption, _)| clip.tokenizer().ids(caption)).collect::<Result<Vec<_>>>()?;
        let mut all: Vec<(Vec<u32>, Vec<usize>)> = ids.into_iter().zip(unique.into_iter().map(|u| u.1)).collect();
        all.sort_by_key(|(ids, _)| ids.len());
        let (ids, rows) = all.into_iter().unzip();
        Ok(Self { ids, rows })
    }
}

/// In which order the captions of `split` are encoded.
///
/// # Errors
/// The tokenizer's.
pub fn order(split: &Split, clip: &Clip) -> Result<Order> {
    let texts = split.texts();
    Order::new(&texts.iter().map(AsRef::as_ref).collect::<Vec<_>>(), clip)
}
