//! What is asked of the decoder, and what names the answer.

use super::synthesize::{self, Request};
use crate::{
    fingerprint::Fingerprint,
    pipeline::{Ctx, Report, prototypes::Prototype},
};

/// Previews, of each request's first candidate, under the number of the request.
pub(in crate::pipeline) fn by_request(ctx: &Ctx, requests: Vec<usize>, many: usize) -> Ctx {
    let to = ctx.clone();
    ctx.watched(move |report| match report {
        Report::Preview { index, step, pixels } => {
            to.report(Report::Preview { index: requests[index / many], step, pixels });
        }
        other => to.report(other),
    })
}

/// One picture of each prototype, asked for by its caption.
pub(in crate::pipeline) fn requests(seed: u64, prototypes: &[Prototype], captions: &[&str]) -> Vec<Request> {
    let ask = |(i, (p, &caption)): (usize, (&Prototype, &&str))| Request {
        image: p.image.clone(),
        prompt: caption.to_owned(),
        seed: image_seed(seed, i),
    };
    prototypes.iter().zip(captions).enumerate().map(ask).collect()
}

/// Names the picture of a request; pictures of equal requests are the same picture, whichever run asks.
pub(in crate::pipeline) fn image_name(
    request: &Request,
    settings: &synthesize::Settings,
    made_by: &Fingerprint,
) -> Fingerprint {
    let embedding: Vec<u8> = request.image.iter().flat_map(|v| v.to_le_bytes()).collect();
    let asked = (Fingerprint::of_bytes(&embedding), &request.prompt, request.seed, settings.as_drawn());
    Fingerprint::of_stage("synthesise", &asked, &[made_by])
}

/// The seed of prototype `index`: streams that neighbouring seeds and indices do not share (SplitMix64's finaliser).
pub fn image_seed(seed: u64, index: usize) -> u64 {
    let mut z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(index as u64 + 1);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
