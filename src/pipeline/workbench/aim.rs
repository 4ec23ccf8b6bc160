//! What students match a set's pictures with, found once the pictures are there.

use super::Workbench;
use crate::pipeline::recipe::Recipe;
use crate::{
    data::ImageSource,
    error::{Error, Result},
    fingerprint::Fingerprint,
    kernels::vectors,
    pipeline::{
        Ctx,
        methods::{
            Method, Pictures, Targets, Way,
            apm::apm,
            covmatch::{RIDGE, covmatch},
            lors::{LorsSettings, lors},
        },
        ridge::targets,
        set::folder::DistilledSet,
        space::{
            embed,
            embeddings::Kept,
            nearest::{self, Side},
        },
        store::arrays::Arrays,
    },
};
use ndarray::Array2;

impl Workbench {
    /// Gives a set the targets that its way asks for; `rows` are the training rows of its captions, where they have one,
    /// and `kept` the pairs that teach.
    ///
    /// # Errors
    /// As [`Self::embeddings`] and [`targets::solve`]; [`Error::Setting`] for words of people where ready features leave
    /// no CLIP to embed them.
    pub fn aim(
        &self,
        mut set: DistilledSet,
        rows: &[Option<u32>],
        kept: &Kept,
        recipe: &Recipe,
        ctx: &Ctx,
    ) -> Result<DistilledSet> {
        let (way, data) = (recipe.method, &self.embeddings(ctx)?.0);
        match way.targets() {
            Targets::Mean => {}
            Targets::Caption => set.text_prototypes = self.caption_targets(&set, rows, ctx)?,
            _ => self.fit(&mut set, kept, recipe, ctx)?,
        }
        if way.soft {
            let (weights, to) = (self.weights(kept, &recipe.prune, ctx)?, set.text_prototypes.view());
            set.correspondence = Some(targets::soft_correspondence(to, data, &weights, &recipe.targets)?);
        }
        set.method = way.to_string();
        Ok(set)
    }

    /// Gives a set targets that depend on its pictures and on what all kept pairs teach; one whose pairs are no prototypes has
    /// its captions until then.
    fn fit(&self, set: &mut DistilledSet, kept: &Kept, recipe: &Recipe, ctx: &Ctx) -> Result<()> {
        let data = &self.embeddings(ctx)?.0;
        let (weights, seen) = (self.weights(kept, &recipe.prune, ctx)?, self.seen(set, recipe.method, ctx)?);
        let (pictures, captions) = (seen.view(), set.text_prototypes.view());
        set.text_prototypes = match recipe.method.targets() {
            Targets::Learned => {
                let mut settings = LorsSettings::default();
                if recipe.method.method == Method::Mdw {
                    settings.rank = pictures.nrows();
                }
                let how = (settings, recipe.seed);
                let (targets, similarity) = lors((pictures, captions), data, &weights, how, ctx)?;
                set.correspondence = Some(similarity);
                targets
            }
            Targets::Covariance => covmatch((pictures, captions), data, &weights, RIDGE, ctx)?,
            Targets::Projected => apm(pictures, data, &weights, ctx)?,
            _ => targets::solve(pictures, data, &weights, &recipe.targets, ctx)?,
        };
        Ok(())
    }

    /// Gives each picture the words that teach most: of the captions of kept pairs the one nearest to what a solved target
    /// would be, with its image nearest to the picture; none twice while others are left. Returns their training rows.
    ///
    /// # Errors
    /// As [`Self::aim`].
    pub(super) fn retell(
        &self,
        set: &mut DistilledSet,
        kept: &Kept,
        recipe: &Recipe,
        ctx: &Ctx,
    ) -> Result<Vec<Option<u32>>> {
        let data = &self.embeddings(ctx)?.0;
        let weights = self.weights(kept, &recipe.prune, ctx)?;
        let pictures = self.seen(set, recipe.method, ctx)?;
        let wanted = targets::solve(pictures.view(), data, &weights, &recipe.targets, ctx)?;
        let sides = [
            Side { queries: wanted.view(), rows: data.text.view(), of: None },
            Side { queries: pictures.view(), rows: data.image.view(), of: Some(&data.image_of) },
        ];
        let ranked = nearest::nearest(&sides, set.pairs.len(), |row| weights[row] > 0.0, ctx)?;
        let chosen = nearest::distinct(&ranked, |row| row);
        let rows = ranked.iter().zip(chosen).map(|(list, at)| Some(list.get(at?)?.row)).collect::<Vec<_>>();
        for (pair, row) in set.pairs.iter_mut().zip(&rows) {
            if let Some(row) = row {
                pair.caption.clone_from(&self.dataset.train.pairs[*row as usize].caption);
            }
        }
        Ok(rows)
    }

    /// The pictures as CLIP sees them, `[m, d]`: real ones are embedded already.
    fn seen(&self, set: &DistilledSet, way: Way, ctx: &Ctx) -> Result<Array2<f32>> {
        if way.pictures() == Pictures::Real {
            return Ok(set.image_prototypes.clone());
        }
        let images: Vec<ImageSource> = set.pairs.iter().map(|p| p.image.clone()).collect();
        let mut pixels = Vec::new();
        for image in &images {
            pixels.extend_from_slice(Fingerprint::of_bytes(image.decode()?.as_raw()).as_str().as_bytes());
        }
        let clip = self.clip()?;
        let name = Fingerprint::of_stage("embed pictures", &Fingerprint::of_bytes(&pixels), &[clip.fingerprint()]);
        let mut found = self.staged("embed pictures", &name, || {
            Ok(Arrays::new().holding("image", embed::embed_images(&images, &clip, ctx)?))
        })?;
        found.take("image")
    }

    fn caption_targets(&self, set: &DistilledSet, rows: &[Option<u32>], ctx: &Ctx) -> Result<Array2<f32>> {
        let data = &self.embeddings(ctx)?.0;
        let mut targets = vec![None; set.pairs.len()];
        rows.iter().zip(&mut targets).for_each(|(row, target)| {
            *target = row.map(|row| data.text.row(row as usize).to_vec());
        });
        let typed: Vec<usize> = (0..targets.len()).filter(|&i| targets[i].is_none()).collect();
        if !typed.is_empty() {
            if self.dataset.train.ready.is_some() {
                let message = "captions written by hand have no ready features to be targets";
                return Err(Error::setting("method", message));
            }
            let words: Vec<_> =
                typed.iter().map(|&i| self.dataset.train.pre_caption.read(&set.pairs[i].caption)).collect();
            let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
            let found = embed::embed_captions(&words, &*self.clip()?, ctx)?;
            typed.iter().zip(found.rows()).for_each(|(&i, row)| targets[i] = Some(row.to_vec()));
        }
        vectors::stack(targets.iter().flatten().map(Vec::as_slice), data.text.ncols())
    }
}
