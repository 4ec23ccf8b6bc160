//! Looking at a set beside the data it was made of.

use super::Workbench;
use crate::{
    error::Result,
    pipeline::{
        Ctx,
        set::folder::DistilledSet,
        space::nearest::{Candidate, Side, nearest},
        store::arrays::Arrays,
    },
};

impl Workbench {
    /// Whether embeddings of the training split are there without computing: ready ones, or in the store.
    ///
    /// # Errors
    /// Whatever is wrong with CLIP's checkpoint.
    pub fn has_embeddings(&self) -> Result<bool> {
        match self.dataset.train.ready {
            Some(_) => Ok(true),
            None => Ok(self.store.cost::<Arrays>(&self.embedding_name(&*self.clip()?)).is_some()),
        }
    }

    /// The `n` training images nearest to each image prototype of `set`, nearest first.
    ///
    /// # Errors
    /// As [`Self::embeddings`]; [`crate::error::Error::Shape`] if they are of another width.
    pub fn nearest_real(&self, set: &DistilledSet, n: usize, ctx: &Ctx) -> Result<Vec<Vec<Candidate>>> {
        let embedded = self.embeddings(ctx)?;
        let side = Side { queries: set.image_prototypes.view(), rows: embedded.0.image.view(), of: None };
        nearest(&[side], n, |_| true, ctx)
    }
}
