//! What the panes show, as plain data: translated once from the pipeline's types, never recomputed while drawing.

use crate::{fingerprint::Fingerprint, pipeline::methods::Way};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

/// A decoded picture, shared rather than copied.
pub type Picture = Arc<image::RgbImage>;

/// The pairs of the train split: row by row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// Caption of each pair.
    pub captions: Vec<String>,
    /// Image of each pair.
    pub image_of: Vec<u32>,
    /// Number of images.
    pub images: usize,
    /// Images and captions of the split that recall is measured on.
    pub judged_on: (usize, usize),
    /// Their name, once it was asked for: of a million rows it takes a while.
    pub named: OnceLock<Fingerprint>,
}

impl Rows {
    /// Names what row numbers stand for, wherever the data set lies: captions, and which images they share.
    pub fn fingerprint(&self) -> Fingerprint {
        self.named.get_or_init(|| Fingerprint::of_content("rows", &(&self.captions, &self.image_of), &[])).clone()
    }
}

/// What every pair is worth, and the rows from the worst to the best.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// One cosine per row.
    pub cosines: Vec<f32>,
    /// What rows are ranked by: their scores if the pairs were judged, else their cosines.
    pub scores: Vec<f32>,
    /// Rows, ascending by score; of equals the earlier row first, as pruning has it.
    pub order: Vec<u32>,
    /// The place of each row in `order`.
    pub rank: Vec<u32>,
    /// What was found about mismatched pairs, if the pairs were judged.
    pub noise: Option<Noise>,
}

/// Mismatched pairs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Noise {
    /// How likely each row is matched.
    pub trust: Vec<f32>,
    /// Scores of some captions that were re-paired at random, ascending.
    pub null: Vec<f32>,
    /// Their share of all pairs.
    pub share: f64,
    /// It is no larger than this, with 95 % confidence.
    pub upper: f64,
    /// What says so.
    pub witness: &'static str,
    /// How many are left among the pairs that stay.
    pub expected: f64,
    /// The share of pairs to leave out.
    pub proposed: f64,
}

impl Measured {
    /// Ranks by `cosines`, or by the scores of what was found.
    pub fn new(cosines: Vec<f32>, noise: Option<(Vec<f32>, Noise)>) -> Self {
        let (scores, noise) = noise.map_or((cosines.clone(), None), |(scores, noise)| (scores, Some(noise)));
        let mut order: Vec<u32> = (0..scores.len() as u32).collect();
        order.sort_by(|&a, &b| scores[a as usize].total_cmp(&scores[b as usize]).then(a.cmp(&b)));
        let mut rank = vec![0; order.len()];
        order.iter().enumerate().for_each(|(place, &row)| rank[row as usize] = place as u32);
        Self { cosines, scores, order, rank, noise }
    }
}

/// A cloud of points: where each image and each pair's caption lies in the plane of largest variance.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cloud {
    /// Of each image.
    pub image: Vec<[f32; 2]>,
    /// Of each pair's caption.
    pub text: Vec<[f32; 2]>,
}

/// What the embeddings look like as a whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Width of an embedding.
    pub width: usize,
    /// Median length of image and text embeddings.
    pub norms: [f64; 2],
    /// Effective rank of image and text embeddings.
    pub ranks: [f64; 2],
    /// Distance between the two means of unit rows.
    pub gap: f64,
    /// Image pairs that are near-duplicates, and images compared.
    pub duplicates: (u64, usize),
    /// Share of pairs a two-component mixture calls doubtful.
    pub doubtful: f64,
    /// In the plane.
    pub cloud: Arc<Cloud>,
}

/// A row and how near it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Near {
    /// Row of the train pairs.
    pub row: u32,
    /// Cosine.
    pub cosine: f32,
}

/// What is nearest to words, or to a picture.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// What was asked for.
    pub words: String,
    /// A row of each of the nearest images, nearest first.
    pub rows: Vec<u32>,
    /// Their images' cosines.
    pub cosines: BTreeMap<u32, f32>,
    /// The clustering that the prototypes are of, if there was one.
    pub basis: Option<Fingerprint>,
    /// Cosine of each image prototype.
    pub prototypes: Vec<f32>,
    /// Cosines of finished pictures.
    pub pictures: BTreeMap<Fingerprint, f32>,
}

/// What the machine is doing for this program.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Percent of one core.
    pub cpu: f64,
    /// Bytes of memory held.
    pub memory: u64,
    /// Of the GPU: percent at work, bytes held and bytes in all.
    pub gpu: Option<(u8, u64, u64)>,
}

/// One prototype.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Proto {
    /// Cosine between its two means.
    pub similarity: f32,
    /// Pairs it is the mean of.
    pub support: usize,
    /// Mean cosine of its own images to their mean: near 1 is tight.
    pub tightness: f32,
    /// The rows that it is the mean of, nearest image first.
    pub rows: Vec<Near>,
    /// Its real pairs, nearest image first; each image once.
    pub nearest: Vec<Near>,
    /// The nearest other prototype, and the cosine of the two images.
    pub other: Option<(usize, f32)>,
    /// Ranked captions, nearest first.
    pub candidates: Vec<Near>,
    /// Which candidate the rule chose.
    pub chosen: usize,
    /// Mismatched pairs to expect in the support, and how many of its captions could be replaced by anything before the
    /// caption changes (none: the caption is not the nearest one, so nothing is certified); where pairs were judged.
    pub sure: Option<(f32, Option<u32>)>,
}

/// All prototypes of one clustering.
#[derive(Clone, Debug, PartialEq)]
pub struct Protos {
    /// Best-agreeing first.
    pub list: Vec<Proto>,
    /// Matched clusters that shared no row.
    pub empty: usize,
    /// Names what the prototypes were made of: captions and pictures belong to it.
    pub basis: Fingerprint,
    /// Rows of each image cluster (down) in each text cluster (across), matched ones on the diagonal.
    pub table: Vec<Vec<u32>>,
}

/// One encoder's recall.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EncoderScore {
    /// The image encoder.
    pub encoder: String,
    /// Number of runs.
    pub runs: usize,
    /// IR@1, 5, 10 and TR@1, 5, 10 in percent: mean over the runs.
    pub mean: [f64; 6],
    /// Their standard deviations.
    pub sd: [f64; 6],
    /// Mean of the six, and its standard deviation over the runs.
    pub r_mean: [f64; 2],
}

impl EncoderScore {
    /// IR@1, 5, 10, TR@1, 5, 10 and R-mean.
    pub fn values(&self) -> [f64; 7] {
        let [a, b, c, d, e, f] = self.mean;
        [a, b, c, d, e, f, self.r_mean[0]]
    }
}

/// A number over the epochs of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Encoder, run and what it is: `vit/run 1/loss`.
    pub name: String,
    /// Epoch and value.
    pub points: Vec<(f64, f64)>,
}

/// What an evaluation found, and of which set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The way of the set on screen (`pds`, `need` …), or the name of a yardstick.
    pub method: String,
    /// The set that was judged.
    pub set: Fingerprint,
    /// Its number of pairs.
    pub pairs: usize,
    /// How many of its captions a person chose.
    #[serde(default)]
    pub edited: usize,
    /// Passes over the pairs; 0 where a session of version 0.1.3 did not note it.
    #[serde(default)]
    pub epochs: usize,
    /// Names the whole protocol it was judged by; none in sessions of version 0.1.3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Fingerprint>,
    /// How many decisions of the session led to it, those taken back counted too; none in sessions of version 0.1.3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<usize>,
    /// One entry per encoder.
    pub encoders: Vec<EncoderScore>,
    /// How it came about; none where a session of an earlier version did not note it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub curves: Vec<Curve>,
}

impl Score {
    /// Whether it is what another one is: of the same set, judged in the same way.
    pub fn is_of(&self, other: &Self) -> bool {
        let way = |s: &Self| s.encoders.iter().map(|e| (e.encoder.clone(), e.runs)).collect::<Vec<_>>();
        let of = |s: &Self| (s.method.clone(), s.set.clone(), s.epochs, s.protocol.clone(), way(s));
        of(self) == of(other)
    }

    /// Whether it is of a set that was made here, and not of a yardstick.
    pub fn is_own(&self) -> bool {
        self.method.parse().is_ok_and(Way::draws)
    }

    /// Whether its numbers are what an evaluation can find.
    ///
    /// # Errors
    /// The one that is not, in words.
    pub fn check(&self) -> Result<(), String> {
        let all = self.encoders.iter().flat_map(|e| e.mean.iter().chain(&e.sd).chain(&e.r_mean));
        let wrong = all.into_iter().find(|v| !(0.0..=100.0).contains(*v));
        if let Some(v) = wrong {
            return Err(format!("a recall of {v} is not between 0 and 100"));
        }
        let points = self.curves.iter().flat_map(|c| &c.points);
        let odd = points.flat_map(|p| [p.0, p.1]).find(|v| !v.is_finite());
        odd.map_or(Ok(()), |v| Err(format!("a curve with {v}")))
    }

    /// Lines of tab-separated values, with a head.
    pub fn table(&self) -> String {
        let mut out = String::from("method\tset\tpairs\tencoder\truns\tIR@1\tIR@5\tIR@10\tTR@1\tTR@5\tTR@10\tR-mean\n");
        for e in &self.encoders {
            let recalls: String = e.mean.iter().zip(e.sd).map(|(m, sd)| format!("\t{m:.2}±{sd:.2}")).collect();
            let about =
                [&self.method, self.set.as_str(), &self.pairs.to_string(), &e.encoder, &e.runs.to_string()].join("\t");
            out.push_str(&format!("{about}{recalls}\t{:.2}±{:.2}\n", e.r_mean[0], e.r_mean[1]));
        }
        out
    }
}

/// What there is to see of a set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Laid {
    /// What it is called.
    pub name: String,
    /// Its captions.
    pub captions: Vec<String>,
    /// Its pictures, as far as they were made.
    pub pictures: Vec<Option<Picture>>,
    /// How it was judged.
    pub encoders: Vec<EncoderScore>,
}

/// Prototypes of two sets that correspond, or one that has no counterpart.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Twins {
    /// Their numbers.
    pub of: [Option<usize>; 2],
    /// Cosine of their image embeddings, if there are two.
    pub cosine: Option<f32>,
    /// Whether captions and pictures are the same; none where there is nothing to compare.
    pub same: [Option<bool>; 2],
}

/// Two sets side by side.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Compared {
    /// Both.
    pub sides: [Laid; 2],
    /// Which of their prototypes correspond, the most different first, then those without a counterpart.
    pub twins: Vec<Twins>,
}

impl Compared {
    /// How many correspond, have the same caption, have the same picture.
    pub fn counts(&self) -> [usize; 3] {
        let count = |such: &dyn Fn(&Twins) -> bool| self.twins.iter().filter(|t| such(t)).count();
        [count(&|t| t.cosine.is_some()), count(&|t| t.same[0] == Some(true)), count(&|t| t.same[1] == Some(true))]
    }
}

/// What becomes of a written set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandOff {
    /// A page in this file.
    Report(PathBuf),
    /// What an upload under this name would take along; nothing is uploaded.
    Preview(String),
    /// The upload, once somebody agreed to it.
    Push(String),
}

impl HandOff {
    /// What it does with `set`, in a few words.
    pub fn title(&self, set: &Path) -> String {
        let words = match self {
            Self::Report(file) => format!("report on {} into {}", set.display(), file.display()),
            Self::Preview(name) => format!("what {} would upload to {name}", set.display()),
            Self::Push(name) => format!("upload {} to {name}", set.display()),
        };
        crate::fsio::printable(&words)
    }
}

/// What the owner of the session tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// Its jobs, the one at work first.
    Jobs(Vec<String>),
    /// Stage of the one at work, units done and in all.
    Step(String, usize, usize),
    /// Command lines that it leaves undone.
    Left(Vec<String>),
    /// Nothing more: it has ended.
    Gone,
    /// Another owner.
    Back,
}

/// What another process does in this session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Elsewhere {
    /// Its jobs, the one at work first.
    pub jobs: Vec<String>,
    /// How far that one is.
    pub step: Option<(String, usize, usize)>,
    /// It has ended, and the session can be had.
    pub gone: bool,
    pub(super) left: Vec<String>,
}
