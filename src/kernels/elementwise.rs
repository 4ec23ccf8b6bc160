//! The element-wise work between matrix products, on one CPU, in float32, channels last.
//!
//! Every sum has a fixed order and every row is computed by itself, so neither the number of threads nor the batch
//! changes a bit. The loops are written for the compiler to vectorise.

use super::product::read;
use super::simd::run;
use candle_core::{Device, Result, Shape, Tensor};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

/// Floats a thread takes at once.
const GRAIN: usize = 1 << 14;

/// A loop, compiled for the widest vectors of this machine. As closures the loops would not be.
enum Loop<'a> {
    Curve(Curve, &'a mut [f32]),
    Geglu(&'a [f32], &'a mut [f32]),
    Softmax(&'a mut [f32], f32),
    Add(&'a mut [f32], &'a [f32]),
    LayerNorm { x: &'a [f32], gain: &'a [f32], bias: &'a [f32], eps: f32, out: &'a mut [f32] },
    Sums { x: &'a [f32], centre: &'a [f32], square: bool, sums: &'a mut [f32] },
    Scale { x: &'a [f32], centre: &'a [f32], gain: &'a [f32], bias: &'a [f32], silu: bool, out: &'a mut [f32] },
}

impl WithSimd for Loop<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        match self {
            Self::Curve(curve, row) => curve_loop(curve, row),
            Self::Geglu(row, out) => {
                let (value, gate) = row.split_at(row.len() / 2);
                out.iter_mut().zip(value).zip(gate).for_each(|((o, v), g)| *o = v * gelu(*g));
            }
            Self::Softmax(row, scale) => softmax_loop(row, scale),
            Self::Add(y, x) => y.iter_mut().zip(x).for_each(|(y, x)| *y += x),
            Self::LayerNorm { x, gain, bias, eps, out } => layer_norm_loop(x, gain, bias, eps, out),
            Self::Sums { x, centre, square, sums } => sums_loop(x, centre, square, sums),
            Self::Scale { x, centre, gain, bias, silu: true, out } => scale_loop(x, [centre, gain, bias], out, silu),
            Self::Scale { x, centre, gain, bias, silu: false, out } => scale_loop(x, [centre, gain, bias], out, |y| y),
        }
    }
}

#[inline(always)]
fn curve_loop(curve: Curve, row: &mut [f32]) {
    const TWICE: f32 = 1.595_769; // 2 sqrt(2 / pi)
    match curve {
        Curve::Sigmoid(f) => row.iter_mut().for_each(|x| *x /= 1. + exp(-f * *x)),
        Curve::Gelu => row.iter_mut().for_each(|x| *x = gelu(*x)),
        Curve::GeluTanh => row.iter_mut().for_each(|x| *x /= 1. + exp(-TWICE * (*x + 0.044_715 * *x * *x * *x))),
    }
}

#[inline(always)]
fn softmax_loop(row: &mut [f32], scale: f32) {
    let (head, tail) = row.as_chunks::<8>();
    let mut most = [f32::NEG_INFINITY; 8];
    for chunk in head {
        for (m, v) in most.iter_mut().zip(chunk) {
            *m = if *v > *m { *v } else { *m };
        }
    }
    let most = most.iter().chain(tail).fold(f32::NEG_INFINITY, |m, v| m.max(*v)) * scale;
    for v in row.iter_mut() {
        *v = exp(*v * scale - most);
    }
    let inverse = 1. / sum(row, |v| v);
    for v in row.iter_mut() {
        *v *= inverse;
    }
}

#[inline(always)]
fn layer_norm_loop(x: &[f32], gain: &[f32], bias: &[f32], eps: f32, out: &mut [f32]) {
    let c = gain.len();
    for (out, x) in out.chunks_exact_mut(c).zip(x.chunks_exact(c)) {
        let mean = sum(x, |v| v) / c as f32;
        let scale = 1. / (sum(x, |v| (v - mean) * (v - mean)) / c as f32 + eps).sqrt();
        for (((o, v), g), b) in out.iter_mut().zip(x).zip(gain).zip(bias) {
            *o = (v - mean) * scale * g + b;
        }
    }
}

#[inline(always)]
fn sums_loop(x: &[f32], centre: &[f32], square: bool, sums: &mut [f32]) {
    for row in x.chunks_exact(centre.len()) {
        for ((s, v), m) in sums.iter_mut().zip(row).zip(centre) {
            let d = v - m;
            *s += if square { d * d } else { d };
        }
    }
}

#[inline(always)]
fn scale_loop(x: &[f32], [centre, gain, bias]: [&[f32]; 3], out: &mut [f32], then: impl Fn(f32) -> f32) {
    let c = centre.len();
    for (out, x) in out.chunks_exact_mut(c).zip(x.chunks_exact(c)) {
        for ((((o, v), m), k), b) in out.iter_mut().zip(x).zip(centre).zip(gain).zip(bias) {
            *o = then((v - m) * k + b);
        }
    }
}

/// A new tensor from the numbers of `x`.
fn unary(x: &Tensor, work: impl FnOnce(&[f32], &mut Vec<f32>) -> Shape) -> Result<Tensor> {
    read(x, |x| {
        let mut out = Vec::new();
        let shape = work(x, &mut out);
        Tensor::from_vec(out, shape, &Device::Cpu)
    })
}

/// e^x to a few ulp (Cephes), without a branch.
#[inline(always)]
fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.; // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
    let x = x.clamp(-87., 88.);
    let t = x * std::f32::consts::LOG2_E + ROUND;
    let n = t - ROUND;
    let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_2e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 0.166_666_65;
    let p = p * r + 0.5;
    let y = p * r * r + r + 1.;
    y * f32::from_bits(t.to_bits().wrapping_sub(0x4B40_0000).wrapping_add(127) << 23)
}

#[inline(always)]
fn silu(x: f32) -> f32 {
    x / (1. + exp(-x))
}

/// The exact GELU: erf by the rational approximation of Eigen and XLA (about 1 ulp).
#[inline(always)]
fn gelu(x: f32) -> f32 {
    let z = (x * std::f32::consts::FRAC_1_SQRT_2).clamp(-4., 4.);
    let s = z * z;
    let p = -2.726_142_3e-10 * s + 2.770_681_5e-8;
    let p = p * s - 2.101_024e-6;
    let p = p * s - 5.692_506_6e-5;
    let p = p * s - 7.349_906_4e-4;
    let p = p * s - 2.954_6e-3;
    let p = (p * s - 1.609_603_3e-2) * z;
    let q = -1.456_607_2e-5 * s - 2.133_740_5e-4;
    let q = q * s - 1.682_827e-3;
    let q = q * s - 7.373_329e-3;
    let q = q * s - 1.426_473_9e-2;
    0.5 * x * (1. + p / q)
}

/// Sum with eight running sums, so that it vectorises and still has one order.
#[inline(always)]
fn sum(x: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let (head, tail) = x.as_chunks::<8>();
    let mut lanes = [0f32; 8];
    for chunk in head {
        for (lane, v) in lanes.iter_mut().zip(chunk) {
            *lane += f(*v);
        }
    }
    lanes.iter().sum::<f32>() + tail.iter().map(|v| f(*v)).sum::<f32>()
}

/// x * sigmoid(x).
pub(crate) fn silu_of(x: &Tensor) -> Result<Tensor> {
    unary(x, |x, out| {
        *out = x.iter().map(|v| silu(*v)).collect();
        out.len().into()
    })?
    .reshape(x.shape())
}

/// A function of single numbers, for rows.
#[derive(Clone, Copy)]
pub(crate) enum Curve {
    /// `x sigmoid(factor x)`: 1.702 in CLIP's GELU.
    Sigmoid(f32),
    /// The exact GELU.
    Gelu,
    /// GELU by the hyperbolic tangent: `0.5 (1 + tanh z) = sigmoid(2 z)`.
    GeluTanh,
}

impl Curve {
    pub fn apply(self, row: &mut [f32]) {
        run(Loop::Curve(self, row));
    }
}

/// The first half of `row [2 n]` times the GELU of its second half: `out [n]`.
pub(crate) fn geglu(row: &[f32], out: &mut [f32]) {
    run(Loop::Geglu(row, out));
}

/// softmax(scale * row), in place.
pub(crate) fn softmax(row: &mut [f32], scale: f32) {
    run(Loop::Softmax(row, scale));
}

/// `y += x`.
pub(crate) fn add(y: &mut [f32], x: &[f32]) {
    run(Loop::Add(y, x));
}

/// LayerNorm over the last dimension of `x [rows, c]`.
pub(crate) fn layer_norm(x: &Tensor, gain: &[f32], bias: &[f32], eps: f32) -> Result<Tensor> {
    let (rows, c) = x.dims2()?;
    unary(x, |x, out| {
        out.resize(rows * c, 0.);
        let many = (GRAIN / c).max(1) * c;
        let parts = out.par_chunks_mut(many).zip(x.par_chunks(many));
        parts.for_each(|(out, x)| run(Loop::LayerNorm { x, gain, bias, eps, out }));
        (rows, c).into()
    })
}

/// What a GroupNorm is made of.
pub(crate) struct Group<'a> {
    pub gain: &'a [f32],
    pub bias: &'a [f32],
    pub groups: usize,
    pub eps: f64,
    pub silu: bool,
}

/// GroupNorm of `x + shift`, then SiLU if asked, in three passes; `x [b, n, c]`, `shift [b, c]`.
pub(crate) fn group_norm(x: &Tensor, shift: Option<&Tensor>, g: &Group<'_>) -> Result<Tensor> {
    let (b, n, c) = x.dims3()?;
    let shape: Shape = (b, n, c).into();
    let all = |x: &[f32], shift: Option<&[f32]>, out: &mut Vec<f32>| {
        out.resize(x.len(), 0.);
        out.par_chunks_mut(n * c).zip(x.par_chunks(n * c)).enumerate().for_each(|(i, (out, x))| {
            norm_item(x, shift.map(|s| &s[i * c..][..c]), g, out);
        });
        shape.clone()
    };
    match shift {
        None => unary(x, |x, out| all(x, None, out)),
        Some(shift) => read(shift, |shift| unary(x, |x, out| all(x, Some(shift), out))),
    }
}

/// Rows whose sums are kept in float32 before they are added up in float64.
const BLOCK: usize = 64;

fn norm_item(x: &[f32], shift: Option<&[f32]>, g: &Group<'_>, out: &mut [f32]) {
    let c = g.gain.len();
    let per = c / g.groups;
    let count = (x.len() / c * per) as f64;
    let zeros = vec![0f32; c];
    let shift = shift.unwrap_or(&zeros);
    // Sum over the item of f(value, centre of its channel), by group.
    let sums = |centre: &[f32], square: bool| -> Vec<f64> {
        let blocks: Vec<Vec<f32>> = x
            .par_chunks(BLOCK * c)
            .map(|x| {
                let mut sums = vec![0f32; c];
                run(Loop::Sums { x, centre, square, sums: &mut sums });
                sums
            })
            .collect();
        let mut groups = vec![0f64; g.groups];
        for block in &blocks {
            for (group, part) in groups.iter_mut().zip(block.chunks_exact(per)) {
                *group += part.iter().map(|v| f64::from(*v)).sum::<f64>();
            }
        }
        groups
    };
    let minus: Vec<f32> = shift.iter().map(|s| -s).collect();
    let means: Vec<f64> = sums(&minus, false).iter().map(|s| s / count).collect();
    let centre: Vec<f32> = (0..c).map(|j| means[j / per] as f32 - shift[j]).collect();
    let scales: Vec<f32> = sums(&centre, true).iter().map(|s| (1. / (s / count + g.eps).sqrt()) as f32).collect();
    let gain: Vec<f32> = (0..c).map(|j| scales[j / per] * g.gain[j]).collect();
    let parts = out.par_chunks_mut(BLOCK * c).zip(x.par_chunks(BLOCK * c));
    parts.for_each(|(out, x)| run(Loop::Scale { x, centre: &centre, gain: &gain, bias: g.bias, silu: g.silu, out }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectorised_exponential_is_exact_to_3e7() {
        for i in -86_000..88_000 {
            let x = i as f32 / 1000.0;
            let (ours, exact) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((ours / exact - 1.0).abs() < 3e-7, "{x}: {ours} {exact}");
        }
    }

    #[test]
    fn every_curve_of_nan_is_nan_so_broken_weights_show() {
        for curve in [Curve::Sigmoid(1.702), Curve::Gelu, Curve::GeluTanh] {
            let mut row = [f32::NAN; 9];
            curve.apply(&mut row);
            assert!(row.iter().all(|x| x.is_nan()));
        }
    }

    #[test]
    fn curves_are_pytorchs() {
        // torch.nn.functional.gelu of 1 and -0.5, without and with approximate="tanh"; x * torch.sigmoid(1.702 * x).
        for (curve, truth) in [
            (Curve::Gelu, [0.841_344_7, -0.154_268_77]),
            (Curve::GeluTanh, [0.841_192, -0.154_286]),
            (Curve::Sigmoid(1.702), [0.845_795_8, -0.149_611_56]),
        ] {
            let mut row = [1.0, -0.5];
            curve.apply(&mut row);
            assert!(row.iter().zip(truth).all(|(a, b): (&f32, f32)| (a - b).abs() < 1e-6), "{row:?} {truth:?}");
        }
    }
}
