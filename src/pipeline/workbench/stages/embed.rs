//! Features of the training pairs.

use super::{
    Dry, FEW, Known, Run, SAMPLE, Stage, Step, Workbench, cluster, cost, each, grown, judge, matrix, part_name,
    source_name,
};
use crate::{
    caught::lock,
    error::Result,
    fingerprint::Fingerprint,
    models::clip::Clip,
    pipeline::{
        Ctx,
        methods::Way,
        space::{embed, embeddings::Embeddings},
        store::arrays::Arrays,
    },
};
use ndarray::Array2;
use std::{
    collections::HashSet,
    sync::Mutex,
    time::{Duration, Instant},
};

const IMAGES: &str = "embed images";
const READ: &str = "read features";
/// What takes less is made again sooner than it is kept.
const WORTH_KEEPING: Duration = Duration::from_secs(1);

/// CLIP's features, or those that came with the data set.
pub(super) struct Embed;

impl Step for Embed {
    fn cost(&self, dry: &mut Dry) -> Result<()> {
        let train = &dry.bench.dataset.train;
        if dry.plan.has(IMAGES) || dry.plan.has(READ) {
            return Ok(());
        }
        if train.ready.is_some() {
            return reading(dry);
        }
        let mut seen = HashSet::new();
        let texts = train.texts();
        let unique: Vec<&str> = texts.iter().map(AsRef::as_ref).filter(|c| seen.insert(*c)).collect();
        let (clip, done) = (dry.bench.clip()?, dry.bench.has_embeddings()?);
        let (n, u, row) = (train.images.len(), unique.len(), 4 * clip.width() as u64);
        let mut images = Stage::new(IMAGES, (n, "images"), done);
        let mut captions = Stage::new("embed captions", (u, "captions"), done);
        if !done && n > 0 {
            let some = &train.images[..n.min(FEW)];
            let (_, one) = cost(|| embed::embed_images(some, &clip, dry.ctx))?;
            let batch = grown(one, some.len(), embed::IMAGES);
            images = images.costs(each(one, some.len(), n), row * n as u64 + batch, 0);
            let some = &unique[..u.min(FEW)];
            let (_, one) = cost(|| embed::embed_captions(some, &clip, dry.ctx))?;
            let (all, batch) = (train.pairs.len() as u64, grown(one, some.len(), embed::TEXTS));
            let memory = row * (n as u64 + all) + batch;
            captions = captions.costs(each(one, some.len(), u), memory, row * (n as u64 + all));
        }
        dry.plan.add(images);
        dry.plan.add(captions);
        Ok(())
    }

    fn make(&self, run: &mut Run) -> Result<()> {
        run.bench.embeddings(run.ctx).map(drop)
    }
}

/// Ready features are read.
fn reading(dry: &mut Dry) -> Result<()> {
    let Some(ready) = &dry.bench.dataset.train.ready else { return Ok(()) };
    let (image, text) = (ready.images()?, ready.texts());
    let rows = image.dim().0 + text.dim().0;
    let some = |n: usize| (0..n.min(SAMPLE)).collect::<Vec<_>>();
    let (a, b) = (some(image.dim().0), some(text.dim().0));
    let (_, one) = cost(|| Embeddings::new(image.some(&a)?, text.some(&b)?, vec![0; b.len()]))?;
    let bytes = matrix(image) + matrix(text);
    // The system gives mapped pages to whoever needs them.
    let (memory, disk) = if dry.bench.fits(image, text) { (bytes, 0) } else { (0, bytes) };
    let seconds = each(one, a.len() + b.len(), rows);
    dry.plan.add(Stage::new(READ, (rows, "rows"), false).costs(seconds, memory, disk));
    Ok(())
}

impl Workbench {
    pub(in crate::pipeline) fn embedding_name(&self, clip: &Clip) -> Fingerprint {
        Fingerprint::of_stage("embed", &"train", &[&self.dataset.fingerprint, clip.fingerprint()])
    }

    /// The embeddings, where the store has them, or where they tell what else it has and are read without writing.
    pub(in crate::pipeline) fn known(&self, way: Way, ctx: &Ctx) -> Result<Known> {
        let there = match &self.dataset.train.ready {
            None => self.has_embeddings()?,
            Some(ready) => {
                let (image, text) = (ready.images()?, ready.texts());
                let clustered = !way.method.picks() && self.store.knows(judge::NAME)
                    || way.method.clusters() && self.store.knows(cluster::NAMES[0]);
                clustered && self.fits(image, text)
            }
        };
        if there { self.embeddings(ctx).map(Some) } else { Ok(None) }
    }

    /// What [`Workbench::embeddings`] gives, and its name.
    pub(in crate::pipeline) fn embedded(&self, ctx: &Ctx) -> Result<(Embeddings, Fingerprint)> {
        if let Some(ready) = &self.dataset.train.ready {
            let image_of = self.dataset.train.pairs.iter().map(|p| p.image.0).collect();
            let name = source_name(self)?;
            let (image, text) = (ready.images()?, ready.texts());
            let fits = self.fits(image, text);
            return Ok((Embeddings::new(self.rows(image, fits)?, self.rows(text, fits)?, image_of)?, name));
        }
        let clip = self.clip()?;
        let name = self.embedding_name(&clip);
        let made = Mutex::new(Vec::new());
        let mut arrays = self.staged("embed", &name, || {
            self.embed_elsewhere(&clip, &name, ctx)?;
            let part = |side, index, make: &mut dyn FnMut() -> Result<Array2<f32>>| {
                let part = part_name(side, index, &name);
                let found = self.part(&part, make, ctx);
                lock(&made).push(part);
                found
            };
            let found = embed::embed(&self.dataset.train, &clip, &part, ctx)?;
            Ok(Arrays::new()
                .holding("image", found.image.into_array())
                .holding("text", found.text.into_array())
                .with_u32("image_of", &ndarray::Array1::from(found.image_of)))
        })?;
        lock(&made).iter().for_each(|part| self.store.forget::<Arrays>(part));
        let image_of = arrays.u32::<ndarray::Ix1>("image_of")?.to_vec();
        let (image, text) = (arrays.take::<ndarray::Ix2>("image")?, arrays.take::<ndarray::Ix2>("text")?);
        Ok((Embeddings::new(image, text, image_of)?, name))
    }

    /// Features of a part of the rows, from the store or made; kept there if they took long enough that it is worth it. Of
    /// several processes one makes it and the others wait.
    fn part(
        &self,
        name: &Fingerprint,
        make: &mut dyn FnMut() -> Result<Array2<f32>>,
        ctx: &Ctx,
    ) -> Result<Array2<f32>> {
        let _alone = self.store.alone(name, ctx)?;
        if let Some((mut rows, _)) = self.store.get::<Arrays>(name)? {
            return rows.take("rows");
        }
        let start = Instant::now();
        let rows = make()?;
        if start.elapsed() < WORTH_KEEPING {
            return Ok(rows);
        }
        let kept = Arrays::new().holding("rows", rows);
        self.store.put(name, "embed part", &kept, start.elapsed().as_secs_f64())?;
        { kept }.take("rows")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{
        data::world::{WorldSpec, dataset},
        models::device::Backend,
        pipeline::{store::Store, workbench::Checkpoints},
    };

    #[test]
    fn a_part_that_took_long_is_kept_until_the_whole_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let (world, store) = (dataset(&WorldSpec::new(2, 0.0, 5)).unwrap(), Store::open(dir.path()).unwrap());
        let bench = Workbench::new(world, Checkpoints::demo(), store, Backend::CPU);
        let name = Fingerprint::of_bytes(b"part");
        let rows = Array2::from_elem((2, 3), 0.1);
        let quick = bench.part(&name, &mut || Ok(rows.clone()), &Ctx::quiet()).unwrap();
        assert!(quick == rows && bench.store.get::<Arrays>(&name).unwrap().is_none());
        let slow = || {
            std::thread::sleep(WORTH_KEEPING);
            Ok(rows.clone())
        };
        assert_eq!(bench.part(&name, &mut { slow }, &Ctx::quiet()).unwrap(), rows);
        assert_eq!(bench.part(&name, &mut || panic!("made twice"), &Ctx::quiet()).unwrap(), rows);
        bench.store.forget::<Arrays>(&name);
        assert_eq!(bench.store.usage().unwrap().count, 0);
    }
}
