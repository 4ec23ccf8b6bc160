//! Which of several pictures is kept.

use super::synthesize::Request;
use crate::{
    data::ImageSource,
    error::Result,
    kernels::vectors,
    models::clip::Clip,
    pipeline::{Ctx, space::embed},
};
use image::RgbImage;
use ndarray::ArrayView1;
use std::sync::Arc;

/// Who says which candidate is kept: a picture shall be near its prototype and show what its caption says, which the mean
/// of many images does only in part.
pub(in crate::pipeline) struct Judge {
    clip: Arc<Clip>,
    /// Of each request: its image prototype and its caption's features.
    wanted: Vec<[Vec<f32>; 2]>,
}

impl Judge {
    pub(in crate::pipeline) fn new<'a>(
        clip: Arc<Clip>,
        requests: impl Iterator<Item = &'a Request> + Clone,
    ) -> Result<Self> {
        let prompts: Vec<&str> = requests.clone().map(|r| r.prompt.as_str()).collect();
        let texts = embed::embed_captions(&prompts, &clip, &Ctx::quiet())?;
        let wanted = requests.zip(texts.rows()).map(|(r, text)| [r.image.clone(), text.to_vec()]).collect();
        Ok(Self { clip, wanted })
    }

    /// The cosine of each picture to the prototype of its request, plus that to its caption.
    pub(in crate::pipeline) fn fits(&self, images: &[RgbImage], of: impl Iterator<Item = usize>) -> Result<Vec<f64>> {
        let sources: Vec<_> = images.iter().cloned().map(ImageSource::Memory).collect();
        let seen = embed::embed_images(&sources, &self.clip, &Ctx::quiet())?;
        let fit = |(seen, at): (ArrayView1<f32>, usize)| {
            let wanted = &self.wanted[at];
            match wanted.iter().find(|w| w.len() != seen.len()) {
                Some(other) => {
                    Err(vectors::shape("prototypes to choose candidates by, and CLIP", seen.len(), other.len()))
                }
                None => Ok(wanted.iter().map(|w| vectors::cosine(seen, ArrayView1::from(w.as_slice()))).sum()),
            }
        };
        seen.rows().into_iter().zip(of).map(fit).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{
        data::world::{WorldSpec, dataset},
        models::device::Backend,
        pipeline::{
            draw::synthesize,
            store::Store,
            workbench::{Checkpoints, Workbench},
        },
    };

    #[test]
    fn of_several_candidates_the_one_nearest_to_prototype_and_caption_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let world = dataset(&WorldSpec::new(2, 0.0, 5)).unwrap();
        let images = world.train.images.clone();
        let bench = Workbench::new(world, Checkpoints::demo(), store, Backend::CPU);
        let clip = bench.clip().unwrap();
        let features = embed::embed_images(&images, &clip, &Ctx::quiet()).unwrap();
        let request = |(row, prompt): (usize, &str)| Request {
            image: features.row(row).to_vec(),
            prompt: prompt.into(),
            seed: 9,
        };
        let requests: Vec<Request> = ["a tree", "a red star at sea"].into_iter().enumerate().map(request).collect();
        let judge = Judge::new(Arc::clone(&clip), requests.iter()).unwrap();
        let draw = |requests: &[Request], candidates: usize| {
            let settings = synthesize::Settings { steps: 4, candidates, ..Default::default() };
            let mut found = vec![None; requests.len()];
            let take = &mut |i: usize, image| {
                found[i] = Some(image);
                Ok(())
            };
            bench.synthesise(requests, &settings, &Ctx::quiet(), take).unwrap();
            found.into_iter().map(Option::unwrap).collect::<Vec<RgbImage>>()
        };
        for (i, (request, kept)) in requests.iter().zip(draw(&requests, 3)).enumerate() {
            let drawn = draw(&(0..3).map(|k| request.candidate(k)).collect::<Vec<_>>(), 1);
            assert_eq!(request.candidate(0), *request);
            let fits: Vec<f64> = judge.fits(&drawn, std::iter::repeat(i)).unwrap();
            let near = |image: &RgbImage, to: &[f32]| {
                let seen = embed::embed_images(&[ImageSource::Memory(image.clone())], &clip, &Ctx::quiet()).unwrap();
                vectors::cosine(seen.row(0), ArrayView1::from(to))
            };
            let text = embed::embed_captions(&[&request.prompt], &clip, &Ctx::quiet()).unwrap();
            let both = near(&drawn[0], &request.image) + near(&drawn[0], &text.row(0).to_vec());
            assert_eq!(fits[0], both);
            let best = (0..3).max_by(|&a, &b| fits[a].total_cmp(&fits[b])).unwrap();
            assert!(kept == drawn[best] && drawn[0] != drawn[1], "{fits:?}");
        }
    }
}
