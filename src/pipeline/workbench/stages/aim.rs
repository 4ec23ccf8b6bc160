//! What students match a set's pictures with, found once the pictures are there.

use super::{Dry, Run, Stage, Step, along};
use crate::{
    data::ImageSource,
    error::{Error, Result},
    fingerprint::Fingerprint,
    kernels::vectors,
    pipeline::{
        methods::{
            Method, Pictures, Targets,
            apm::apm,
            covmatch::{RIDGE, covmatch},
            lors::{LorsSettings, lors},
        },
        ridge::targets,
        space::{
            embed,
            embeddings::Embeddings,
            nearest::{self, Side},
        },
        store::arrays::Arrays,
    },
};
use ndarray::{Array2, s};

const SEEN: &str = "embed pictures";

/// Gives a set the targets that its way asks for.
pub(super) struct Aim;

impl Step for Aim {
    fn cost(&self, dry: &mut Dry) -> Result<()> {
        if dry.recipe.method.targets() == Targets::Solved { solving(dry) } else { Ok(()) }
    }

    fn make(&self, run: &mut Run) -> Result<()> {
        let way = run.recipe.method;
        match way.targets() {
            Targets::Mean => {}
            Targets::Caption => run.set.text_prototypes = caption_targets(run)?,
            _ => fit(run)?,
        }
        if way.soft {
            let (embedded, weights) = (run.bench.embeddings(run.ctx)?, run.weights()?);
            let to = run.set.text_prototypes.view();
            run.set.correspondence =
                Some(targets::soft_correspondence(to, &embedded.0, &weights, &run.recipe.targets)?);
        }
        run.set.method = way.to_string();
        Ok(())
    }
}

/// Gives each picture the words that teach most: of the captions of kept pairs the one nearest to what a solved target
/// would be, with its image nearest to the picture; none twice while others are left.
pub(super) struct Retell;

impl Step for Retell {
    fn cost(&self, dry: &mut Dry) -> Result<()> {
        solving(dry)
    }

    fn make(&self, run: &mut Run) -> Result<()> {
        let (embedded, weights, pictures) = (run.bench.embeddings(run.ctx)?, run.weights()?, run.seen()?);
        let data = &embedded.0;
        let wanted = targets::solve(pictures.view(), data, &weights, &run.recipe.targets, run.ctx)?;
        let sides = [
            Side { queries: wanted.view(), rows: data.text.view(), of: None },
            Side { queries: pictures.view(), rows: data.image.view(), of: Some(&data.image_of) },
        ];
        let ranked = nearest::nearest(&sides, run.set.pairs.len(), |row| weights[row] > 0.0, run.ctx)?;
        let chosen = nearest::distinct(&ranked, |row| row);
        run.rows = ranked.iter().zip(chosen).map(|(list, at)| Some(list.get(at?)?.row)).collect();
        for (pair, row) in run.set.pairs.iter_mut().zip(&run.rows) {
            if let Some(row) = row {
                pair.caption.clone_from(&run.bench.dataset.train.pairs[*row as usize].caption);
            }
        }
        Ok(())
    }
}

/// Solving targets for pictures that are as many as pairs are asked for.
fn solving(dry: &mut Dry) -> Result<()> {
    let (pairs, m) = (dry.bench.dataset.train.pairs.len(), dry.recipe.cluster.prototypes);
    let pictures = dry.sample.image.view().slice_move(s![..m.min(dry.sample.pairs()), ..]);
    let solve = |part: &Embeddings| {
        targets::solve(pictures, part, &vec![1.0; part.pairs()], &dry.recipe.targets, dry.ctx).map(drop)
    };
    let seconds = along(&dry.sample, pairs, solve)?;
    dry.plan.add(Stage::new("solve targets", (m, "targets"), false).costs(seconds, dry.held, 0));
    Ok(())
}

/// Gives a set targets that depend on its pictures and on what all kept pairs teach; one whose pairs are no prototypes has
/// its captions until then.
fn fit(run: &mut Run) -> Result<()> {
    let (embedded, recipe, ctx) = (run.bench.embeddings(run.ctx)?, run.recipe, run.ctx);
    let (data, weights, seen) = (&embedded.0, run.weights()?, run.seen()?);
    let (pictures, captions) = (seen.view(), run.set.text_prototypes.view());
    run.set.text_prototypes = match recipe.method.targets() {
        Targets::Learned => {
            let mut settings = LorsSettings::default();
            if recipe.method.method == Method::Mdw {
                settings.rank = pictures.nrows();
            }
            let how = (settings, recipe.seed);
            let (targets, similarity) = lors((pictures, captions), data, &weights, how, ctx)?;
            run.set.correspondence = Some(similarity);
            targets
        }
        Targets::Covariance => covmatch((pictures, captions), data, &weights, RIDGE, ctx)?,
        Targets::Projected => apm(pictures, data, &weights, ctx)?,
        _ => targets::solve(pictures, data, &weights, &recipe.targets, ctx)?,
    };
    Ok(())
}

/// Captions as targets: those of training rows are embedded already.
fn caption_targets(run: &Run) -> Result<Array2<f32>> {
    let (bench, embedded, set) = (run.bench, run.bench.embeddings(run.ctx)?, &run.set);
    let (data, train) = (&embedded.0, &bench.dataset.train);
    let mut targets = vec![None; set.pairs.len()];
    run.rows.iter().zip(&mut targets).for_each(|(row, target)| {
        *target = row.map(|row| data.text.row(row as usize).to_vec());
    });
    let typed: Vec<usize> = (0..targets.len()).filter(|&i| targets[i].is_none()).collect();
    if !typed.is_empty() {
        if train.ready.is_some() {
            let message = "captions written by hand have no ready features to be targets";
            return Err(Error::setting("method", message));
        }
        let words: Vec<_> = typed.iter().map(|&i| train.pre_caption.read(&set.pairs[i].caption)).collect();
        let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
        let found = embed::embed_captions(&words, &*bench.clip()?, run.ctx)?;
        typed.iter().zip(found.rows()).for_each(|(&i, row)| targets[i] = Some(row.to_vec()));
    }
    vectors::stack(targets.iter().flatten().map(Vec::as_slice), data.text.ncols())
}

impl Run<'_> {
    /// What each pair counts where pairs teach.
    fn weights(&self) -> Result<Vec<f32>> {
        self.bench.weights(&self.found.kept, &self.recipe.prune, self.ctx)
    }

    /// The pictures as CLIP sees them, `[m, d]`: real ones are embedded already.
    fn seen(&self) -> Result<Array2<f32>> {
        let (bench, set) = (self.bench, &self.set);
        if self.recipe.method.pictures() == Pictures::Real {
            return Ok(set.image_prototypes.clone());
        }
        let images: Vec<ImageSource> = set.pairs.iter().map(|p| p.image.clone()).collect();
        let mut pixels = Vec::new();
        for image in &images {
            pixels.extend_from_slice(Fingerprint::of_bytes(image.decode()?.as_raw()).as_str().as_bytes());
        }
        let clip = bench.clip()?;
        let name = Fingerprint::of_stage(SEEN, &Fingerprint::of_bytes(&pixels), &[clip.fingerprint()]);
        let mut found = bench.staged(SEEN, &name, || {
            Ok(Arrays::new().holding("image", embed::embed_images(&images, &clip, self.ctx)?))
        })?;
        found.take("image")
    }
}
