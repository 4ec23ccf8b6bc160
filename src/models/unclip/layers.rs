//! The layers that UNet and decoder share, channels last: `[b, h, w, c]`, so that a convolution is one matrix product
//! over all pixels of all images and attention needs no transposition.
//!
//! On the CPU each runs on [`kernels`] and [`gather`]; elsewhere on candle's own operations.

use super::{
    gather::{self, Windows},
    kernels::{self, Group},
};
use candle_core::{D, Module, Result, Tensor};
use candle_nn::VarBuilder;
use rayon::prelude::*;

/// Bytes of gathered windows per chunk: they stay in the cache between gathering and multiplying.
const CHUNK: usize = 1 << 20;
/// Bytes of attention scores per chunk; the score matrix as a whole is never there.
const SCORES: usize = 1 << 20;
/// The same for a single head whose rows alone are larger.
const SCORES_WIDE: usize = 16 << 20;
/// Fewer rows take another path inside the matrix product, with other rounding: a batch of one would differ.
const MIN_ROWS: usize = 8;

#[cfg(test)]
thread_local! {
    /// Takes the way of other devices on the CPU, so that it is tested without them.
    pub(super) static ELSEWHERE: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

fn fast(x: &Tensor) -> bool {
    #[cfg(test)]
    if ELSEWHERE.get() {
        return false;
    }
    x.device().is_cpu()
}

fn host(x: &Tensor) -> Result<Vec<f32>> {
    x.to_dtype(candle_core::DType::F32)?.to_vec1()
}

/// `x [rows, k]` times `w [k, n]`; each row's bits are the same whatever the other rows are.
fn product(x: &Tensor, w: &Tensor) -> Result<Tensor> {
    let rows = x.dim(0)?;
    if rows >= MIN_ROWS {
        return x.matmul(w);
    }
    x.pad_with_zeros(0, 0, MIN_ROWS - rows)?.matmul(w)?.narrow(0, 0, rows)
}

/// y = x W + b.
pub(super) struct Linear {
    weight: Tensor, // [in, out]
    bias: Option<Tensor>,
}

impl Linear {
    /// Reads `weight` (as a matrix or as a 1 x 1 convolution) and, if asked, `bias`.
    pub fn load(vb: &VarBuilder<'_>, input: usize, output: usize, bias: bool) -> Result<Self> {
        Self::load_all(std::slice::from_ref(vb), input, output, bias)
    }

    /// Several layers of one input as one, side by side.
    pub fn load_all(parts: &[VarBuilder<'_>], input: usize, output: usize, bias: bool) -> Result<Self> {
        let weight = |vb: &VarBuilder<'_>| match vb.get((output, input), "weight") {
            Ok(w) => Ok(w),
            Err(e) => vb.get((output, input, 1, 1), "weight").map_err(|_| e)?.reshape((output, input)),
        };
        let weights = parts.iter().map(weight).collect::<Result<Vec<_>>>()?;
        let biases = parts.iter().filter(|_| bias).map(|vb| vb.get(output, "bias")).collect::<Result<Vec<_>>>()?;
        Ok(Self {
            weight: Tensor::cat(&weights, 0)?.t()?.contiguous()?,
            bias: if bias { Some(Tensor::cat(&biases, 0)?) } else { None },
        })
    }

    /// `x [rows, in]` -> `[rows, out]`, plus `residual` if given.
    pub fn run(&self, x: &Tensor, residual: Option<&Tensor>) -> Result<Tensor> {
        let y = product(x, &self.weight)?;
        if fast(x) {
            kernels::finish(&y, self.bias.as_ref(), residual)?;
            return Ok(y);
        }
        let y = self.bias.as_ref().map_or(Ok(y.clone()), |b| y.broadcast_add(b))?;
        residual.map_or(Ok(y.clone()), |r| &y + r)
    }

    /// The bias handed out, to be added elsewhere.
    pub fn take_bias(&mut self) -> Option<Tensor> {
        self.bias.take()
    }

    /// Adds `more` to the bias.
    pub fn add_bias(&mut self, more: &Tensor) -> Result<()> {
        self.bias = Some(self.bias.as_ref().map_or(Ok(more.clone()), |b| b + more)?);
        Ok(())
    }
}

/// A 3 x 3 convolution with one pixel of padding.
pub(super) struct Conv {
    matrix: Linear, // [9 in, out]
    kernel: Tensor, // [out, in, 3, 3], for devices with convolutions of their own
    host: Option<Vec<f32>>,
    stride: usize,
}

impl Conv {
    /// Reads `weight` and `bias`.
    pub fn load(vb: &VarBuilder<'_>, input: usize, output: usize, stride: usize) -> Result<Self> {
        let kernel = vb.get((output, input, 3, 3), "weight")?;
        let bias = vb.get(output, "bias")?;
        let weight = kernel.permute((2, 3, 1, 0))?.reshape((9 * input, output))?.contiguous()?;
        let host = Some(host(&bias)?);
        let (kernel, weight) = if fast(&kernel) { (weight.clone(), weight) } else { (kernel.clone(), kernel) };
        Ok(Self { matrix: Linear { weight, bias: Some(bias) }, kernel, host, stride })
    }

    /// The bias handed out, to be added elsewhere.
    pub fn take_bias(&mut self) -> Option<Tensor> {
        self.host = None;
        self.matrix.take_bias()
    }

    /// `x [b, h, w, in]`, scaled to `size` first -> `[b, h', w', out]`, plus `residual` if given.
    pub fn run(&self, x: &Tensor, size: Option<(usize, usize)>, residual: Option<&Tensor>) -> Result<Tensor> {
        let (b, h, w, c) = x.dims4()?;
        let at = Windows { stored: (h, w), size: size.unwrap_or((h, w)), stride: self.stride };
        if !fast(x) {
            return self.generic(x, at, residual);
        }
        let (oh, ow) = at.out();
        let (rows, step) = (b * oh * ow, (CHUNK / (36 * c)).next_multiple_of(64));
        let starts: Vec<usize> = (0..rows).step_by(step).collect();
        let chunk = |from: &usize| product(&gather::windows(x, at, *from..rows.min(from + step))?, &self.matrix.weight);
        let parts = starts.par_iter().map(chunk).collect::<Result<Vec<_>>>()?;
        gather::join(&parts, self.host.as_deref(), residual)?.reshape((b, oh, ow, ()))
    }

    fn generic(&self, x: &Tensor, at: Windows, residual: Option<&Tensor>) -> Result<Tensor> {
        let mut x = x.permute((0, 3, 1, 2))?.contiguous()?;
        if at.size != at.stored {
            x = x.upsample_nearest2d(at.size.0, at.size.1)?;
        }
        let y = x.conv2d(&self.kernel, 1, self.stride, 1, 1)?.permute((0, 2, 3, 1))?.contiguous()?;
        let y = self.matrix.bias.as_ref().map_or(Ok(y.clone()), |b| y.broadcast_add(b))?;
        residual.map_or(Ok(y.clone()), |r| &y + r.reshape(y.shape())?)
    }
}

/// GroupNorm over `[b, n, c]`.
pub(super) struct GroupNorm {
    gain: Tensor,
    bias: Tensor,
    host: (Vec<f32>, Vec<f32>),
    groups: usize,
    eps: f64,
}

impl GroupNorm {
    /// Reads `weight` and `bias`.
    pub fn load(vb: &VarBuilder<'_>, groups: usize, channels: usize, eps: f64) -> Result<Self> {
        if !channels.is_multiple_of(groups) {
            candle_core::bail!("{channels} channels do not split into {groups} groups")
        }
        let (gain, bias) = (vb.get(channels, "weight")?, vb.get(channels, "bias")?);
        let host = (host(&gain)?, host(&bias)?);
        Ok(Self { gain, bias, host, groups, eps })
    }

    /// Norm of `x + shift` (`shift [b, c]`), then SiLU if asked; any `x [b, .., c]`.
    pub fn run(&self, x: &Tensor, shift: Option<&Tensor>, silu: bool) -> Result<Tensor> {
        let (b, c) = (x.dim(0)?, x.dim(D::Minus1)?);
        let flat = x.reshape((b, (), c))?;
        if fast(x) {
            let g = Group { gain: &self.host.0, bias: &self.host.1, groups: self.groups, eps: self.eps, silu };
            return kernels::group_norm(&flat, shift, &g)?.reshape(x.shape());
        }
        let flat = shift.map_or(Ok(flat.clone()), |s| flat.broadcast_add(&s.unsqueeze(1)?))?;
        let y = flat.to_dtype(candle_core::DType::F32)?.reshape((b, (), self.groups, c / self.groups))?;
        let y = y.broadcast_sub(&y.mean_keepdim((1, 3))?)?;
        let scale = (y.sqr()?.mean_keepdim((1, 3))? + self.eps)?.sqrt()?;
        let y = y.broadcast_div(&scale)?.reshape((b, (), c))?.to_dtype(x.dtype())?;
        let y = y.broadcast_mul(&self.gain)?.broadcast_add(&self.bias)?;
        if silu { y.silu()? } else { y }.reshape(x.shape())
    }
}

/// LayerNorm over the last of two dimensions, eps 1e-5.
pub(super) struct LayerNorm {
    slow: candle_nn::LayerNorm,
    host: (Vec<f32>, Vec<f32>),
}

impl LayerNorm {
    /// Reads `weight` and `bias`.
    pub fn load(vb: &VarBuilder<'_>, width: usize) -> Result<Self> {
        let slow = candle_nn::layer_norm(width, 1e-5, vb.clone())?;
        let host = (host(&vb.get(width, "weight")?)?, host(&vb.get(width, "bias")?)?);
        Ok(Self { slow, host })
    }

    /// `x [rows, width]`.
    pub fn run(&self, x: &Tensor) -> Result<Tensor> {
        if fast(x) { kernels::layer_norm(x, &self.host.0, &self.host.1, 1e-5) } else { self.slow.forward(x) }
    }
}

/// x * sigmoid(x).
pub(super) fn silu(x: &Tensor) -> Result<Tensor> {
    if fast(x) { kernels::silu_of(x) } else { x.silu() }
}

/// `x [rows, 2 n]` -> first half times the GELU of the second.
pub(super) fn geglu(x: &Tensor) -> Result<Tensor> {
    if fast(x) {
        return kernels::geglu(x);
    }
    let halves = x.chunk(2, 1)?;
    &halves[0] * halves[1].gelu_erf()?
}

/// `x [b, n, parts * heads * d]` -> `parts` tensors `[b * heads, n, d]`.
pub(super) fn split_heads(x: &Tensor, parts: usize, heads: usize) -> Result<Vec<Tensor>> {
    if fast(x) {
        return gather::split_heads(x, parts, heads);
    }
    let (b, n, wide) = x.dims3()?;
    let d = wide / parts / heads;
    let x = x.reshape((b, n, parts, heads, d))?.permute((2, 0, 3, 1, 4))?.contiguous()?;
    (0..parts).map(|p| x.get(p)?.reshape((b * heads, n, d))).collect()
}

/// `[b * heads, n, d]` -> `[b * n, heads * d]`.
fn merge_heads(x: &Tensor, heads: usize) -> Result<Tensor> {
    if fast(x) {
        return gather::merge_heads(x, heads);
    }
    let (bh, n, d) = x.dims3()?;
    x.reshape((bh / heads, heads, n, d))?.transpose(1, 2)?.reshape((bh / heads * n, heads * d))
}

/// softmax(q k^T / sqrt(d)) v; `q [b * heads, n, d]`, `k`, `v [b * heads, m, d]` -> `[b * n, heads * d]`.
/// `upcast` computes scores in float32 where the rest is narrower.
pub(super) fn attend(q: &Tensor, k: &Tensor, v: &Tensor, heads: usize, upcast: bool) -> Result<Tensor> {
    let (bh, n, d) = q.dims3()?;
    let row = 4 * k.dim(1)?;
    let scale = (d as f64).powf(-0.5);
    // Many small heads at once, or a slice of the queries of one large head.
    let (many, slice) = match SCORES / (row * n) {
        0 => (1, (SCORES_WIDE / row).clamp(MIN_ROWS, n.max(MIN_ROWS))),
        many => (many, n),
    };
    let jobs: Vec<(usize, usize)> =
        (0..bh).step_by(many).flat_map(|h| (0..n).step_by(slice).map(move |i| (h, i))).collect();
    let job = |&(h, i): &(usize, usize)| {
        let (heads, rows) = (many.min(bh - h), slice.min(n - i));
        let part = |x: &Tensor| x.narrow(0, h, heads);
        let q = part(q)?.narrow(1, i, rows)?.contiguous()?;
        scores(&q, &part(k)?, &part(v)?, scale, upcast)
    };
    let parts = if fast(q) {
        jobs.par_iter().map(job).collect::<Result<Vec<_>>>()?
    } else {
        jobs.iter().map(job).collect::<Result<Vec<_>>>()?
    };
    let all = if parts.len() == 1 { parts[0].clone() } else { Tensor::cat(&flat(&parts, d)?, 0)? };
    merge_heads(&all.reshape((bh, n, d))?, heads)
}

/// Parts `[heads, rows, d]` follow each other in memory whichever way they were cut.
fn flat(parts: &[Tensor], d: usize) -> Result<Vec<Tensor>> {
    parts.iter().map(|p| p.reshape(((), d))).collect()
}

fn scores(q: &Tensor, k: &Tensor, v: &Tensor, scale: f64, upcast: bool) -> Result<Tensor> {
    let rows = q.dim(1)?;
    let short = rows < MIN_ROWS && fast(q);
    let q = if short { q.pad_with_zeros(1, 0, MIN_ROWS - rows)? } else { q.clone() };
    let k = k.transpose(1, 2)?;
    let out = if fast(&q) {
        let s = q.matmul(&k)?;
        kernels::softmax(&s, scale as f32)?;
        s.matmul(v)?
    } else {
        let wide = if upcast { candle_core::DType::F32 } else { q.dtype() };
        let s = (q.to_dtype(wide)?.matmul(&k.to_dtype(wide)?.contiguous()?)? * scale)?;
        candle_nn::ops::softmax_last_dim(&s)?.to_dtype(v.dtype())?.matmul(&v.contiguous()?)?
    };
    if short { out.narrow(1, 0, rows)?.contiguous() } else { Ok(out) }
}
