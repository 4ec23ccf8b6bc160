//! Scoring distilled pairs on the test split.

use super::Workbench;
use crate::{
    data::{ImageId, ImageSource, Split},
    error::{Error, Result},
    fingerprint::Fingerprint,
    models::{
        clip::Clip,
        encoders::{Encoder, Features, Pixels},
        files::MODEL,
        hub::{Hub, Name},
        weights::Checkpoint,
    },
    pipeline::{
        Ctx, Report,
        score::{
            curves::{Curves, Point},
            evaluate::{self, EncoderRecall},
            features::encode_features,
        },
        set::folder::DistilledSet,
        space::embed,
        store::{Json, arrays::Arrays},
    },
};
use ndarray::Array2;
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

impl Workbench {
    /// Trains on `set` and scores retrieval on the test split, once per encoder and run.
    ///
    /// # Errors
    /// [`Error::Setting`] if the data set has no test split (or no validation split where selection needs it), and
    /// those of the stages.
    pub fn evaluate(
        &self,
        set: &DistilledSet,
        settings: &evaluate::Settings,
        seed: u64,
        ctx: &Ctx,
    ) -> Result<Vec<EncoderRecall>> {
        settings.check()?;
        let images: Vec<ImageSource> = set.pairs.iter().map(|p| p.image.clone()).collect();
        let on = settings.split.name();
        let val = settings.selection == evaluate::Selection::Validation;
        let mut sides = Vec::new();
        for name in &settings.encoders {
            let encoder = self.student(name, settings.pixels)?;
            let train = self.shown(&encoder, settings.features, &images, ctx)?;
            let test = self.features(&encoder, settings.features, on, ctx)?;
            let val = if val { Some(self.features(&encoder, settings.features, "val", ctx)?) } else { None };
            sides.push((name, train, test, val));
        }
        let train: Vec<_> = sides.iter().map(|(name, train, ..)| (name.as_str(), train)).collect();
        let name = self.scores_name(set, &train, settings, seed)?;
        let mut computed = false;
        let Json(scored) = self.staged("evaluate", &name, || {
            computed = true;
            let curves = Curves::default();
            let ctx = &curves.collect(ctx);
            let text = self.captions(on, self.split(on)?, ctx)?;
            let val_text = if val { Some(self.captions("val", self.split("val")?, ctx)?) } else { None };
            let texts = evaluate::Texts {
                train: set.text_prototypes.view(),
                soft: set.correspondence.as_ref().map(Array2::view),
                test: evaluate::Captions { text: text.0.view(), image_of: &text.1 },
                val: val_text.as_ref().map(|v| evaluate::Captions { text: v.0.view(), image_of: &v.1 }),
            };
            let images: Vec<_> = sides
                .iter()
                .map(|(name, train, test, val)| evaluate::Images {
                    encoder: model(name),
                    train: train.view(),
                    test: test.view(),
                    val: val.as_ref().map(Array2::view),
                })
                .collect();
            let recalls = evaluate::evaluate(&images, &texts, settings, seed, ctx)?;
            Ok(Json(Scored { recalls, points: curves.sorted() }))
        })?;
        if !computed {
            // Who plots curves need not care when they were computed.
            let point = |(series, x, y): Point| ctx.report(Report::Point { series, x, y });
            scored.points.into_iter().for_each(point);
        }
        Ok(scored.recalls)
    }

    /// Features `[m, c]` of a set's pictures: those that came with the data set, where it has nothing else of them.
    fn shown(&self, encoder: &Student, kind: Features, images: &[ImageSource], ctx: &Ctx) -> Result<Array2<f32>> {
        let absent = |image: &ImageSource| match image {
            ImageSource::Absent(name) => Some(name.clone()),
            _ => None,
        };
        if images.iter().all(|image| absent(image).is_none()) {
            return encode_features(&encoder.network, kind, images, ctx);
        }
        let (train, name) = (&self.dataset.train, model(&encoder.name));
        let lacks = |what: String| Error::setting("evaluation.encoders", what);
        let ready = train.features.get(name).ok_or_else(|| {
            let what =
                format!("the set has no pictures, and the data set no features of its training images by `{name}`");
            lacks(what).or(format!("put {name}_train_features.npy beside it"))
        })?;
        let places = train.images.iter().enumerate().filter_map(|(i, image)| Some((absent(image)?, i)));
        let places: HashMap<PathBuf, usize> = places.collect();
        let rows: Option<Vec<usize>> = images.iter().map(|image| places.get(&absent(image)?).copied()).collect();
        ready.some(&rows.ok_or_else(|| lacks("the set is of images that the data set does not have".into()))?)
    }

    /// The encoder `name`, shown images by `pixels`.
    pub(super) fn student(&self, name: &str, pixels: Pixels) -> Result<Student> {
        Student::load(&self.checkpoints.encoders, &self.checkpoints.hub, name, pixels)
    }

    /// The split of that name, which must have pairs.
    pub(super) fn split(&self, part: &str) -> Result<&Split> {
        let split = if part == "val" { &self.dataset.val } else { &self.dataset.test };
        must_have(part, split)?;
        Ok(split)
    }

    /// Names the scores of `set`, whose images have these features.
    pub(super) fn scores_name(
        &self,
        set: &DistilledSet,
        train: &[(&str, &Array2<f32>)],
        settings: &evaluate::Settings,
        seed: u64,
    ) -> Result<Fingerprint> {
        let mut content = Arrays::new().with_f32("text", &set.text_prototypes);
        if let Some(soft) = &set.correspondence {
            content = content.with_f32("correspondence", soft);
        }
        for (name, train) in train {
            content = content.with_f32(name, train);
        }
        let content = Fingerprint::of_bytes(&content.to_bytes()?);
        let made_of = [&content, &self.dataset.fingerprint, &self.space()?];
        Ok(Fingerprint::of_stage("evaluate", &(settings, seed), &made_of))
    }

    /// Captions of a split that recall is measured on: embeddings `[T, d]` and the image of each.
    fn captions(&self, part: &str, split: &Split, ctx: &Ctx) -> Result<(Array2<f32>, Vec<ImageId>)> {
        let image_of = split.pairs.iter().map(|p| p.image).collect();
        if let Some(ready) = &split.ready {
            return Ok((ready.texts().read()?, image_of));
        }
        let clip = self.clip()?;
        let name = self.captions_name(part, &clip);
        let mut arrays = self.staged(&format!("embed {part} captions"), &name, || {
            let texts = split.texts();
            let captions: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
            Ok(Arrays::new().holding("text", embed::embed_captions(&captions, &clip, ctx)?))
        })?;
        Ok((arrays.take("text")?, image_of))
    }

    pub(super) fn captions_name(&self, part: &str, clip: &Clip) -> Fingerprint {
        Fingerprint::of_stage("captions", &part, &[&self.dataset.fingerprint, clip.fingerprint()])
    }

    pub(super) fn features_name(&self, encoder: &Student, kind: Features, part: &str) -> Fingerprint {
        Fingerprint::of_stage("features", &(part, kind), &[&self.dataset.fingerprint, &encoder.fingerprint])
    }

    /// Features `[I, c]` of a split's images.
    fn features(&self, encoder: &Student, kind: Features, part: &str, ctx: &Ctx) -> Result<Array2<f32>> {
        let split = self.split(part)?;
        if let Some(ready) = split.features.get(model(&encoder.name)) {
            return ready.read();
        }
        let name = self.features_name(encoder, kind, part);
        let mut arrays = self.staged(&format!("{} {part} images", encoder.name), &name, || {
            Ok(Arrays::new().holding("image", encode_features(&encoder.network, kind, &split.images, ctx)?))
        })?;
        arrays.take("image")
    }
}

/// Recalls, and the points reported on the way to them.
#[derive(Serialize, Deserialize)]
struct Scored {
    recalls: Vec<EncoderRecall>,
    points: Vec<Point>,
}

/// An evaluation encoder and what its features are named by.
pub(super) struct Student {
    pub name: String,
    pub network: Encoder,
    fingerprint: Fingerprint,
}

impl Student {
    /// `name` is a sub-folder of `folder`, the path of another one, or a name on the hub.
    pub fn load(folder: &Checkpoint, hub: &Hub, name: &str, pixels: Pixels) -> Result<Self> {
        // A path is one that looks like it: what has no slash lies in the folder of all encoders.
        let own = (name.contains('/') && Path::new(name).is_dir()).then(|| Checkpoint::Folder(name.into()));
        let named = || Name::parse(name).map(|_| Checkpoint::open(name, hub)).transpose();
        let on_hub = own.map_or_else(named, |own| Ok(Some(own)))?;
        if on_hub.is_none() && (name.is_empty() || name.contains(['/', '\\']) || name.contains("..")) {
            return Err(Error::setting("evaluation.encoders", format!("`{name}` is not the name of an encoder")));
        }
        let part = on_hub.as_ref().map_or_else(|| folder.part(name), Checkpoint::root);
        if on_hub.is_none() && !part.has("config.json") {
            let message = format!("no encoder `{name}`: {} is missing", part.path("config.json").display());
            return Err(Error::setting("evaluation.encoders", message));
        }
        let files = part.fingerprint(Some(MODEL), &["config.json"])?;
        let fingerprint = match pixels {
            Pixels::Reference => files,
            Pixels::Own => Fingerprint::of_content("encoder", &pixels, &[&files]),
        };
        Ok(Self { name: name.to_owned(), network: Encoder::load(&part)?.shown_by(pixels), fingerprint })
    }
}

/// What an encoder is called, without whose it is on the hub.
pub(super) fn model(name: &str) -> &str {
    let name = name.trim_end_matches('/');
    name.rsplit_once('/').map_or(name, |(_, model)| model)
}

fn must_have(part: &str, split: &Split) -> Result<()> {
    if split.pairs.is_empty() {
        return Err(Error::setting("data.source", format!("has no {part} split to measure recall on")));
    }
    Ok(())
}
