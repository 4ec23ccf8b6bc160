//! The element-wise work between matrix products, on one CPU, in float32, channels last.
//!
//! Every sum has a fixed order and every row is computed by itself, so neither the number of threads nor the batch
//! changes a bit. The loops are written for the compiler to vectorise.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, InplaceOp1, InplaceOp2, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

/// Floats a thread takes at once.
const GRAIN: usize = 1 << 14;

pub(super) fn floats<'a>(s: &'a CpuStorage, l: &Layout) -> Result<&'a [f32]> {
    match l.contiguous_offsets() {
        Some((from, to)) => Ok(&s.as_slice::<f32>()?[from..to]),
        None => bail!("a kernel needs contiguous input, not {l:?}"),
    }
}

fn floats_mut<'a>(s: &'a mut CpuStorage, l: &Layout) -> Result<&'a mut [f32]> {
    match (s, l.contiguous_offsets()) {
        (CpuStorage::F32(v), Some((from, to))) => Ok(&mut v[from..to]),
        _ => bail!("a kernel needs contiguous float32"),
    }
}

/// A function of one or two slices as a candle operation on the CPU.
struct Op<F>(F);

impl<F: Fn(&[f32], &mut Vec<f32>) -> Shape> CustomOp1 for Op<F> {
    fn name(&self) -> &'static str {
        "kernel"
    }
    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut out = Vec::new();
        let shape = (self.0)(floats(s, l)?, &mut out);
        Ok((CpuStorage::F32(out), shape))
    }
}

impl<F: Fn(&[f32], &[f32], &mut Vec<f32>) -> Shape> CustomOp2 for Op<F> {
    fn name(&self) -> &'static str {
        "kernel"
    }
    fn cpu_fwd(&self, a: &CpuStorage, la: &Layout, b: &CpuStorage, lb: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut out = Vec::new();
        let shape = (self.0)(floats(a, la)?, floats(b, lb)?, &mut out);
        Ok((CpuStorage::F32(out), shape))
    }
}

impl<F: Fn(&mut [f32])> InplaceOp1 for Op<F> {
    fn name(&self) -> &'static str {
        "kernel"
    }
    fn cpu_fwd(&self, s: &mut CpuStorage, l: &Layout) -> Result<()> {
        (self.0)(floats_mut(s, l)?);
        Ok(())
    }
}

impl<F: Fn(&mut [f32], &[f32])> InplaceOp2 for Op<F> {
    fn name(&self) -> &'static str {
        "kernel"
    }
    fn cpu_fwd(&self, a: &mut CpuStorage, la: &Layout, b: &CpuStorage, lb: &Layout) -> Result<()> {
        (self.0)(floats_mut(a, la)?, floats(b, lb)?);
        Ok(())
    }
}

pub(super) fn unary(x: &Tensor, f: impl Fn(&[f32], &mut Vec<f32>) -> Shape) -> Result<Tensor> {
    x.contiguous()?.apply_op1_no_bwd(&Op(f))
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
pub(super) fn silu_of(x: &Tensor) -> Result<Tensor> {
    unary(x, |x, out| {
        *out = x.iter().map(|v| silu(*v)).collect();
        out.len().into()
    })?
    .reshape(x.shape())
}

/// `x [.., 2 n]` -> its first half times the GELU of its second half, `[.., n]`.
pub(super) fn geglu(x: &Tensor) -> Result<Tensor> {
    let (rows, wide) = x.dims2()?;
    let n = wide / 2;
    unary(x, |x, out| {
        out.resize(rows * n, 0.);
        let many = (GRAIN / n.max(1)).max(1);
        out.par_chunks_mut(many * n).zip(x.par_chunks(many * wide)).for_each(|(out, x)| {
            for (out, x) in out.chunks_exact_mut(n).zip(x.chunks_exact(wide)) {
                let (value, gate) = x.split_at(n);
                for ((o, v), g) in out.iter_mut().zip(value).zip(gate) {
                    *o = v * gelu(*g);
                }
            }
        });
        (rows, n).into()
    })
}

/// softmax(scale * x) over the last dimension, in place.
pub(super) fn softmax(x: &Tensor, scale: f32) -> Result<()> {
    let n = x.dim(candle_core::D::Minus1)?;
    x.inplace_op1(&Op(|x: &mut [f32]| {
        for row in x.chunks_exact_mut(n) {
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
    }))
}

/// `y += bias` over the last dimension, `+= residual` if given; in place.
pub(super) fn finish(y: &Tensor, bias: Option<&Tensor>, residual: Option<&Tensor>) -> Result<()> {
    let c = y.dim(candle_core::D::Minus1)?;
    let add = |y: &mut [f32], x: &[f32]| {
        for (y, x) in y.iter_mut().zip(x) {
            *y += x;
        }
    };
    let many = (GRAIN / c).max(1) * c;
    if let Some(bias) = bias {
        y.inplace_op2(
            bias,
            &Op(|y: &mut [f32], bias: &[f32]| {
                y.par_chunks_mut(many).for_each(|y| y.chunks_exact_mut(c).for_each(|y| add(y, bias)));
            }),
        )?;
    }
    if let Some(residual) = residual {
        y.inplace_op2(
            &residual.contiguous()?,
            &Op(|y: &mut [f32], x: &[f32]| {
                y.par_chunks_mut(many).zip(x.par_chunks(many)).for_each(|(y, x)| add(y, x));
            }),
        )?;
    }
    Ok(())
}

/// LayerNorm over the last dimension of `x [rows, c]`.
pub(super) fn layer_norm(x: &Tensor, gain: &[f32], bias: &[f32], eps: f32) -> Result<Tensor> {
    let (rows, c) = x.dims2()?;
    unary(x, |x, out| {
        out.resize(rows * c, 0.);
        let many = (GRAIN / c).max(1) * c;
        out.par_chunks_mut(many).zip(x.par_chunks(many)).for_each(|(out, x)| {
            for (out, x) in out.chunks_exact_mut(c).zip(x.chunks_exact(c)) {
                let mean = sum(x, |v| v) / c as f32;
                let scale = 1. / (sum(x, |v| (v - mean) * (v - mean)) / c as f32 + eps).sqrt();
                for (((o, v), g), b) in out.iter_mut().zip(x).zip(gain).zip(bias) {
                    *o = (v - mean) * scale * g + b;
                }
            }
        });
        (rows, c).into()
    })
}

/// What a GroupNorm is made of.
pub(super) struct Group<'a> {
    pub gain: &'a [f32],
    pub bias: &'a [f32],
    pub groups: usize,
    pub eps: f64,
    pub silu: bool,
}

/// GroupNorm of `x + shift`, then SiLU if asked, in three passes; `x [b, n, c]`, `shift [b, c]`.
pub(super) fn group_norm(x: &Tensor, shift: Option<&Tensor>, g: &Group<'_>) -> Result<Tensor> {
    let (b, n, c) = x.dims3()?;
    let shape: Shape = (b, n, c).into();
    let run = |x: &[f32], shift: Option<&[f32]>, out: &mut Vec<f32>| {
        out.resize(x.len(), 0.);
        out.par_chunks_mut(n * c).zip(x.par_chunks(n * c)).enumerate().for_each(|(i, (out, x))| {
            norm_item(x, shift.map(|s| &s[i * c..][..c]), g, out);
        });
        shape.clone()
    };
    match shift {
        None => unary(x, |x, out| run(x, None, out)),
        Some(s) => x
            .contiguous()?
            .apply_op2_no_bwd(&s.contiguous()?, &Op(|x: &[f32], s: &[f32], out: &mut Vec<f32>| run(x, Some(s), out))),
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
            .map(|block| {
                let mut sums = vec![0f32; c];
                for row in block.chunks_exact(c) {
                    for ((s, v), m) in sums.iter_mut().zip(row).zip(centre) {
                        let d = v - m;
                        *s += if square { d * d } else { d };
                    }
                }
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
    out.par_chunks_mut(BLOCK * c).zip(x.par_chunks(BLOCK * c)).for_each(|(out, x)| {
        for (out, x) in out.chunks_exact_mut(c).zip(x.chunks_exact(c)) {
            for ((((o, v), m), k), b) in out.iter_mut().zip(x).zip(&centre).zip(&gain).zip(g.bias) {
                let y = (v - m) * k + b;
                *o = if g.silu { silu(y) } else { y };
            }
        }
    });
}
