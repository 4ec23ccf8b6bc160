//! Pairs that others distilled, or chose: any captioned images, measured like our own.

use super::Workbench;
use crate::{
    data::Dataset,
    error::{Error, Result},
    fingerprint::Fingerprint,
    pipeline::{
        Ctx,
        set::{
            folder::{DistilledSet, ReadSet},
            pair::DistilledPair,
        },
        space::embed,
    },
};
use ndarray::Axis;

impl Workbench {
    /// The training pairs of `given` as a set: what students match each picture with is its caption, by CLIP.
    ///
    /// # Errors
    /// [`Error::Input`] if there are none, or the captions to measure on are ready features, whose space CLIP's need not be;
    /// those of embedding.
    pub fn given(&self, given: &Dataset, ctx: &Ctx) -> Result<ReadSet> {
        let split = &given.train;
        if split.pairs.is_empty() {
            return Err(Error::input(&given.name, "holds no pair to train on"));
        }
        if let Some(ready) = &self.dataset.test.ready {
            let message = "recall is measured on ready features; captions of another set cannot be put beside them";
            return Err(Error::input(ready.path(), message));
        }
        let clip = self.clip()?;
        let texts = split.texts();
        let captions: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
        let image_of: Vec<usize> = split.pairs.iter().map(|pair| pair.image.index()).collect();
        let images = embed::embed_images(&split.images, &clip, ctx)?;
        let pair = |(row, pair): (usize, &crate::data::Pair)| DistilledPair {
            image: split.images[image_of[row]].clone(),
            caption: pair.caption.clone(),
            support: 1,
            similarity: 1.0,
            uid: None,
        };
        let set = DistilledSet {
            method: "given".into(),
            pairs: split.pairs.iter().enumerate().map(pair).collect(),
            image_prototypes: images.select(Axis(0), &image_of),
            text_prototypes: embed::embed_captions(&captions, &clip, ctx)?,
            correspondence: None,
        };
        let fingerprint = Fingerprint::of_stage("given set", &"", &[&given.fingerprint, clip.fingerprint()]);
        Ok(ReadSet { set, manifest: serde_json::Value::Null, edited: Vec::new(), fingerprint })
    }
}
