//! What a ridge student would gain by each candidate, from inner products with the pairs that it has.

use crate::{
    error::Result,
    kernels::{cholesky::Cholesky, vectors},
    pipeline::{
        Ctx,
        ridge::{
            Space, Weighted,
            gram::{Packed, exact},
            single,
        },
    },
};
use ndarray::{Array1, Array2, ArrayView1, Axis, s};
use rayon::prelude::*;

/// Ridge of the student, relative to the captions' mean square length: of .1, .3, 1 and 3 the best on the demo's validation split.
pub(super) const STUDENT: f64 = 1.0;
/// Candidates of a block of work.
const BLOCK: usize = 192;

/// With captions `S [k, a]` (centred, of mean square 1) and images `Y [k, b]` (centred), the student learns
/// `B = Sᵀ (S Sᵀ + STUDENT)⁻¹ Y`; the captions' second moments are `C`, the map that all pairs teach is `W`, and `X = C W`. What is
/// gained is how much nearer its answers come to those of `W`: `2 ⟨B, X⟩ - ⟨B, C B⟩`, the squared error over all captions but for
/// its sign and a constant. (Their cosine, which does not mind the answers' length, chose worse pairs where these are few.)
/// A candidate changes `B` by a matrix of rank one, and all that this depends on are inner products with the chosen.
pub(super) struct Search {
    /// Training rows of the candidates, and their images.
    rows: Vec<u32>,
    image_of: Vec<u32>,
    /// `[candidates, a]`, `[candidates, b]`
    texts: Array2<f32>,
    images: Array2<f32>,
    moments: Array2<f64>,
    cross: Array2<f64>,
    /// `sᵀs`, `sᵀ X y`, `sᵀ C s` and `yᵀy` of each candidate.
    own: Vec<[f64; 4]>,
    with: With,
    /// The candidate in each slot.
    pub chosen: Vec<usize>,
}

/// Inner products of each candidate with the pair in each slot, `[candidates, slots]`.
struct With {
    /// `sᵀ sₖ`
    ss: Array2<f64>,
    /// `sᵀ C sₖ`
    scs: Array2<f64>,
    /// `sᵀ X yₖ`
    sxy: Array2<f64>,
    /// `sₖᵀ X y`
    xsy: Array2<f64>,
    /// `yᵀ yₖ`
    yy: Array2<f64>,
}

impl Search {
    /// To choose `m` of the candidate rows.
    pub fn new(space: &Space, pairs: &Weighted, (rows, m): (Vec<u32>, usize), lam: f64, ctx: &Ctx) -> Result<Self> {
        let (mut moments, image_of) = (pairs.texts(ctx)?, rows.iter().map(|&r| space.data.image_of[r as usize]));
        let image_of: Vec<u32> = image_of.collect();
        let map = pairs.to_images(moments.clone(), &pairs.cross(ctx)?, lam)?.map;
        let spread = moments.diag().sum();
        let scale = if spread > 0.0 { 1.0 / spread.sqrt() } else { 0.0 };
        moments *= scale * scale;
        let cross = moments.dot(&map) / scale.max(f64::MIN_POSITIVE);
        let (n, (a, b)) = (rows.len(), cross.dim());
        let (mut texts, mut images) = (Array2::zeros((n, a)), Array2::zeros((n, b)));
        let (text_mean, image_mean) = (single(&pairs.text_mean), single(&pairs.image_mean));
        let filled = texts.as_slice_mut().into_iter().flat_map(|t: &mut [f32]| t.chunks_exact_mut(a.max(1)));
        filled.zip(&rows).for_each(|(out, &r)| space.text(r as usize, &text_mean, scale as f32, out));
        let filled = images.as_slice_mut().into_iter().flat_map(|t: &mut [f32]| t.chunks_exact_mut(b.max(1)));
        filled.zip(&image_of).for_each(|(out, &i)| space.image(i as usize, &image_mean, 1.0, out));
        let none = || Array2::zeros((n, m));
        let with = With { ss: none(), scs: none(), sxy: none(), xsy: none(), yy: none() };
        let mut search =
            Self { rows, image_of, texts, images, moments, cross, own: Vec::new(), with, chosen: Vec::new() };
        let sxy = search.forms(&search.cross, &search.images);
        let scs = search.forms(&search.moments, &search.texts);
        let square = |x: &Array2<f32>, i: usize| product(x.row(i), x.row(i));
        search.own = (0..n).map(|i| [square(&search.texts, i), sxy[i], scs[i], square(&search.images, i)]).collect();
        Ok(search)
    }

    /// The chosen rows.
    pub fn rows(&self) -> Vec<u32> {
        self.chosen.iter().map(|&k| self.rows[k]).collect()
    }

    /// `sᵀ F x` of each candidate's caption and its row `x` of `other`.
    fn forms(&self, form: &Array2<f64>, other: &Array2<f32>) -> Vec<f64> {
        let packed = Packed::new(form.view());
        let mut out = vec![0.0; self.rows.len()];
        out.par_chunks_mut(BLOCK).enumerate().for_each(|(block, out)| {
            let (from, mut found) = (block * BLOCK, Vec::new());
            let rows = self.texts.slice(s![from..from + out.len(), ..]);
            packed.times(rows.to_slice().unwrap_or(&[]), &mut found);
            for (k, (out, row)) in out.iter_mut().zip(found.chunks_exact(packed.line.max(1))).enumerate() {
                *out = product(other.row(from + k), ArrayView1::from(&row[..other.ncols()]));
            }
        });
        out
    }

    /// Puts a candidate into a slot, the next or one that is taken.
    pub fn put(&mut self, slot: usize, candidate: usize) {
        let own = |x: &Array2<f32>| x.row(candidate).mapv(f64::from);
        let (text, image) = (own(&self.texts), own(&self.images));
        let narrow = |x: Array1<f64>| x.mapv(|v| v as f32);
        let to = [
            (&self.texts, narrow(text.clone())),
            (&self.texts, narrow(self.moments.dot(&text))),
            (&self.texts, narrow(self.cross.dot(&image))),
            (&self.images, narrow(text.dot(&self.cross))),
            (&self.images, narrow(image)),
        ];
        let With { ss, scs, sxy, xsy, yy } = &mut self.with;
        for (out, (rows, with)) in [ss, scs, sxy, xsy, yy].into_iter().zip(&to) {
            let out = out.column_mut(slot).into_iter().collect::<Vec<_>>();
            out.into_par_iter().enumerate().for_each(|(i, out)| *out = product(rows.row(i), with.view()));
        }
        match self.chosen.get_mut(slot) {
            Some(chosen) => *chosen = candidate,
            None => self.chosen.push(candidate),
        }
    }

    /// The candidate that a student gains most by who has what is in the first `slots`, but for `without`; of none whose image
    /// is among these.
    pub fn best(&self, slots: usize, without: Option<usize>) -> Result<usize> {
        let known = Known::new(self, slots, without)?;
        let mut barred = vec![false; self.rows.len()];
        let taken: Vec<u32> =
            (0..slots).filter(|k| Some(*k) != without).map(|k| self.image_of[self.chosen[k]]).collect();
        barred.iter_mut().zip(&self.image_of).for_each(|(barred, image)| *barred = taken.contains(image));
        let mut gain = vec![f64::NEG_INFINITY; self.rows.len()];
        gain.par_chunks_mut(BLOCK).enumerate().for_each(|(block, gain)| self.gain(&known, block * BLOCK, gain));
        let free = (0..gain.len()).filter(|&k| !barred[k]);
        // Where two are as good, the one that is there, then the first.
        let there = without.map(|slot| self.chosen[slot]);
        let order = |&a: &usize, &b: &usize| {
            gain[a].total_cmp(&gain[b]).then((Some(a) == there).cmp(&(Some(b) == there))).then(b.cmp(&a))
        };
        free.max_by(order).ok_or_else(|| vectors::shape("candidates", "one of another image", "none"))
    }

    /// What is gained by each candidate from `from` on.
    fn gain(&self, known: &Known, from: usize, gain: &mut [f64]) {
        let part = |x: &Array2<f64>| x.slice(s![from..from + gain.len(), ..known.inverse.nrows()]).to_owned();
        let With { ss, scs, sxy, xsy, yy } = &self.with;
        let (ss, scs, sxy, xsy, yy) = (part(ss), part(scs), part(sxy), part(xsy), part(yy));
        let share = ss.dot(&known.inverse); // of the chosen in what the student says to the caption
        let left_scs = &scs - &share.dot(&known.scs);
        let left_yy = &yy - &share.dot(&known.yy);
        let (answer, through) = (left_yy.dot(&known.inverse), share.dot(&known.sxy));
        for (i, gain) in gain.iter_mut().enumerate() {
            let dot = |a: &Array2<f64>, b: &Array2<f64>| a.row(i).dot(&b.row(i));
            let [s2, own_sxy, own_scs, y2] = self.own[from + i];
            let new = STUDENT + (s2 - dot(&ss, &share)).max(0.0);
            let along = own_sxy - dot(&share, &xsy) - dot(&sxy, &share) + dot(&through, &share);
            let again = dot(&left_scs, &answer);
            let own = (own_scs - dot(&scs, &share) - dot(&left_scs, &share)).max(0.0);
            let error = (y2 - dot(&yy, &share) - dot(&left_yy, &share)).max(0.0);
            let square = known.square + (2.0 * again + own * error / new) / new;
            *gain = 2.0 * (known.found + along / new) - square;
        }
    }
}

/// What a student has: matrices of inner products among the chosen, `[slots, slots]`.
struct Known {
    /// `(S Sᵀ + STUDENT)⁻¹`; nothing in row and column of a slot that is left out.
    inverse: Array2<f64>,
    scs: Array2<f64>,
    sxy: Array2<f64>,
    yy: Array2<f64>,
    /// `⟨B, X⟩` and `⟨B, C B⟩`.
    found: f64,
    square: f64,
}

impl Known {
    fn new(search: &Search, slots: usize, without: Option<usize>) -> Result<Self> {
        let among = |x: &Array2<f64>| x.select(Axis(0), &search.chosen[..slots]).slice_move(s![.., ..slots]);
        let With { ss, scs, sxy, yy, .. } = &search.with;
        let (mut ss, scs, sxy, yy) = (among(ss), among(scs), among(sxy), among(yy));
        ss.diag_mut().mapv_inplace(|v| v + STUDENT);
        let mut unit = Array2::<f64>::eye(slots);
        if let Some(slot) = without {
            ss.row_mut(slot).fill(0.0);
            ss.column_mut(slot).fill(0.0);
            ss[[slot, slot]] = 1.0;
            unit[[slot, slot]] = 0.0;
        }
        let inverse = Cholesky::new(ss)?.solve(unit.view());
        let sum = |a: &Array2<f64>, b: &Array2<f64>| (a * b).sum();
        let (found, square) = (sum(&inverse, &sxy), sum(&inverse.dot(&scs).dot(&inverse), &yy));
        Ok(Self { inverse, scs, sxy, yy, found, square })
    }
}

fn product(a: ArrayView1<f32>, b: ArrayView1<f32>) -> f64 {
    exact(a.to_slice().unwrap_or(&[]), b.to_slice().unwrap_or(&[]))
}
