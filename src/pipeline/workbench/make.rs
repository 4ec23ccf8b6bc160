//! Making distilled pairs: prototypes decoded, or real pairs chosen.

use super::{
    Prototyped, Workbench,
    tasks::{part_name, source_name},
};
use crate::pipeline::recipe::Recipe;
use crate::{
    caught::lock,
    data::Pair,
    error::Result,
    fingerprint::Fingerprint,
    kernels::vectors,
    models::{
        device::made_on,
        files::{DIFFUSERS, MODEL},
    },
    pipeline::{
        Ctx,
        draw::{
            judge::Judge,
            requests::{by_request, image_name, requests},
            synthesize::{self, Request},
        },
        methods::{
            Method, Start, Way,
            select::{self, SelectedPair},
        },
        prototypes::caption::CaptionChoice,
        set::{folder::DistilledSet, pair::DistilledPair},
        space::{embed, embeddings::Embeddings},
        store::arrays::Arrays,
    },
};
use image::RgbImage;
use ndarray::{Array2, ArrayView1};
use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// Parts of a decoder: stem of their weights and their other files, in the layouts that diffusers and transformers write.
pub(super) const DECODER: [(&str, Option<&str>, &[&str]); 7] = [
    ("image_noising_scheduler", None, &["scheduler_config.json"]),
    ("image_normalizer", Some(DIFFUSERS), &["config.json"]),
    ("scheduler", None, &["scheduler_config.json"]),
    ("text_encoder", Some(MODEL), &["config.json"]),
    ("tokenizer", None, TOKENIZER),
    ("unet", Some(DIFFUSERS), &["config.json"]),
    ("vae", Some(DIFFUSERS), &["config.json"]),
];
const TOKENIZER: &[&str] =
    &["tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"];

/// What takes less is made again sooner than it is kept.
const WORTH_KEEPING: Duration = Duration::from_secs(1);

impl Workbench {
    /// What [`Workbench::embeddings`] gives, and its name.
    pub(super) fn embedded(&self, ctx: &Ctx) -> Result<(Embeddings, Fingerprint)> {
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

    /// Names the decoder: a hash of every file of it that an image depends on.
    pub(super) fn decoder_name(&self) -> Result<Arc<Fingerprint>> {
        self.decoder_name.get(|| {
            let decoder = &self.checkpoints.decoder;
            let parts = DECODER.iter().map(|(part, stem, files)| decoder.part(part).fingerprint(*stem, files));
            let name = Fingerprint::of_stage("decoder", &parts.collect::<Result<Vec<_>>>()?, &[]);
            Ok(made_on(self.backend.device(), self.backend.decoder(), name))
        })
    }

    /// Names what makes a picture: the decoder and, where one of several candidates is kept, the CLIP that chooses it.
    pub(super) fn made_by(&self, settings: &synthesize::Settings) -> Result<Fingerprint> {
        let decoder = self.decoder_name()?;
        match settings.candidates {
            0 | 1 => Ok((*decoder).clone()),
            _ => Ok(Fingerprint::of_stage("judged", &"", &[&decoder, self.clip()?.fingerprint()])),
        }
    }

    /// The images of these requests that the store has.
    ///
    /// # Errors
    /// A decoder, a CLIP or a store that cannot be read.
    pub fn made(&self, requests: &[Request], settings: &synthesize::Settings) -> Result<Vec<Option<RgbImage>>> {
        let made_by = self.made_by(settings)?;
        let image = |r: &Request| Ok(self.store.get::<RgbImage>(&image_name(r, settings, &made_by))?.map(|(i, _)| i));
        requests.iter().map(image).collect()
    }

    /// Decodes image embeddings, each unless the store has its image; `finished` sees each as it is there.
    ///
    /// # Errors
    /// A broken checkpoint, settings out of range, a full disk, cancellation.
    pub fn synthesise(
        &self,
        requests: &[Request],
        settings: &synthesize::Settings,
        ctx: &Ctx,
        finished: &mut dyn FnMut(usize, RgbImage) -> Result<()>,
    ) -> Result<()> {
        let decoder = self.decoder()?;
        settings.fits(&decoder)?;
        let made_by = self.made_by(settings)?;
        self.draw_elsewhere(requests, settings, &made_by, ctx)?;
        let names: Vec<Fingerprint> = requests.iter().map(|r| image_name(r, settings, &made_by)).collect();
        let mut missing = Vec::new();
        for (i, name) in names.iter().enumerate() {
            match self.store.get::<RgbImage>(name)? {
                Some((image, seconds)) => {
                    self.spent("synthesise", seconds);
                    finished(i, image)?;
                }
                None => missing.push(i),
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let many = settings.candidates;
        let judge =
            if many > 1 { Some(Judge::new(self.clip()?, missing.iter().map(|&i| &requests[i]))?) } else { None };
        // Candidates of one request follow each other.
        let drawn: Vec<Request> =
            missing.iter().flat_map(|&i| (0..many).map(move |k| requests[i].candidate(k))).collect();
        let (mut since, mut best) = (Instant::now(), None);
        let ctx = by_request(ctx, missing.clone(), many);
        synthesize::synthesize(&decoder, &drawn, settings, &ctx, &mut |first, images| {
            let fits = match &judge {
                Some(judge) => judge.fits(&images, (first..).map(|at| at / many))?,
                None => vec![0.0; images.len()],
            };
            for ((at, image), fit) in (first..).zip(images).zip(fits) {
                if best.as_ref().is_none_or(|(most, _)| fit > *most) {
                    best = Some((fit, image));
                }
                let Some((_, image)) = best.take_if(|_| (at + 1).is_multiple_of(many)) else { continue };
                let seconds = since.elapsed().as_secs_f64();
                since = Instant::now();
                self.spent("synthesise", seconds);
                let request = missing[at / many];
                self.store.put(&names[request], "synthesise", &image, seconds)?;
                finished(request, image)?;
            }
            Ok(())
        })
    }

    /// The distilled set of `recipe`, whichever way it gets its pairs.
    ///
    /// # Errors
    /// Those of the stages.
    pub fn distil(&self, recipe: &Recipe, ctx: &Ctx) -> Result<DistilledSet> {
        let way = recipe.method;
        self.can_draw(way)?;
        if way.method.start() != Start::Pairs {
            return self.of_prototypes(recipe, &self.prototypes(recipe, ctx)?, ctx);
        }
        let (embedded, m) = (self.embeddings(ctx)?, recipe.cluster.prototypes);
        let chosen = select::real_pairs(way.method, &embedded.0, m, recipe.seed, ctx)?;
        let kept = self.kept(&recipe.prune, ctx)?;
        self.aim(self.real(&embedded.0, &chosen)?, &rows(&chosen), &kept, recipe, ctx)
    }

    /// The set that these prototypes come to.
    ///
    /// # Errors
    /// Those of the stages.
    pub fn of_prototypes(&self, recipe: &Recipe, found: &Prototyped, ctx: &Ctx) -> Result<DistilledSet> {
        let way = recipe.method;
        let (mut set, mut rows) = if way.draws() {
            (self.synthetic(recipe, found, ctx)?, found.captions.iter().map(CaptionChoice::row).collect())
        } else {
            let (data, list) = (&self.embeddings(ctx)?.0, &found.prototypes.list);
            let chosen = match way.method.start() {
                Start::Clusters => select::nearest_pairs(by_image(way), data, &found.kept, list, ctx)?,
                _ => self.nearest_images(data, found, ctx)?,
            };
            (self.real(data, &chosen)?, rows(&chosen))
        };
        if way.retells() {
            rows = self.retell(&mut set, &found.kept, recipe, ctx)?;
        }
        self.aim(set, &rows, &found.kept, recipe, ctx)
    }

    /// The real image of each prototype, with the caption that the prototype has and its target.
    fn nearest_images(&self, data: &Embeddings, found: &Prototyped, ctx: &Ctx) -> Result<Vec<SelectedPair>> {
        let list = &found.prototypes.list;
        let mut pairs = select::nearest_pairs(Method::NearestImage, data, &found.kept, list, ctx)?;
        for (pair, caption) in pairs.iter_mut().zip(&found.captions) {
            // Its own words where they describe this image, else the first that do.
            let own = |row: &u32| data.image_of[*row as usize] == data.image_of[pair.row as usize];
            pair.row = caption.candidates.iter().map(|c| c.row).find(own).unwrap_or(pair.row);
        }
        Ok(pairs)
    }

    /// Synthesises every prototype with its chosen caption.
    ///
    /// # Errors
    /// Those of [`Self::synthesise`].
    fn synthetic(&self, recipe: &Recipe, found: &Prototyped, ctx: &Ctx) -> Result<DistilledSet> {
        let pairs = &self.dataset.train.pairs;
        let list = &found.prototypes.list;
        let captions: Vec<&str> = found.captions.iter().map(|c| c.text(pairs)).collect();
        let prompts: Vec<_> = captions.iter().map(|c| self.dataset.train.pre_caption.read(c)).collect();
        let prompts: Vec<&str> = prompts.iter().map(AsRef::as_ref).collect();
        let requests = requests(recipe.seed, list, &prompts);
        let mut images: Vec<Option<RgbImage>> = vec![None; list.len()];
        self.synthesise(&requests, &recipe.synthesis, ctx, &mut |i, image| {
            images[i] = Some(image);
            Ok(())
        })?;
        let drawn = list.iter().zip(images.into_iter().flatten()).zip(captions);
        DistilledSet::drawn(drawn.map(|((p, image), caption)| (p, image, caption.to_owned())).collect())
    }

    fn real(&self, data: &Embeddings, chosen: &[SelectedPair]) -> Result<DistilledSet> {
        let train = &self.dataset.train;
        let image_row = |c: &SelectedPair| data.image.row(data.image_of[c.row as usize] as usize).to_vec();
        let pair = |c: &SelectedPair| {
            let Pair { image, caption } = &train.pairs[c.row as usize];
            let (image_row, text) = (image_row(c), data.text.row(c.row as usize));
            let similarity = vectors::cosine(ArrayView1::from(&image_row), text) as f32;
            DistilledPair {
                image: train.images[image.index()].clone(),
                caption: caption.clone(),
                support: 1,
                similarity,
                uid: train.uids.get(image.index()).copied().flatten(),
            }
        };
        let images: Vec<Vec<f32>> = chosen.iter().map(image_row).collect();
        Ok(DistilledSet {
            method: String::new(),
            pairs: chosen.iter().map(pair).collect(),
            image_prototypes: vectors::stack(images.iter().map(Vec::as_slice), data.image.ncols())?,
            text_prototypes: vectors::stack(chosen.iter().map(|c| c.text.as_slice()), data.text.ncols())?,
            correspondence: None,
        })
    }
}

fn rows(chosen: &[SelectedPair]) -> Vec<Option<u32>> {
    chosen.iter().map(|c| Some(c.row)).collect()
}

/// By which side a real pair is the nearest to a prototype.
fn by_image(way: Way) -> Method {
    if way.method == Method::NearestText { Method::NearestText } else { Method::NearestImage }
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
