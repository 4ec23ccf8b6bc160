//! The layers of UNet and decoder, channels last. On a CPU in float32 on our own kernels; elsewhere on candle's operations.

use super::{gather::Windows, winograd::Winograd};
use crate::{
    kernels::{
        attention::{self, Memory},
        elementwise::{self, Group},
        product::{Packed, read},
    },
    models::layers::{Linear, fast, host},
};
use candle_core::{D, DType, Device, Result, Tensor};
use candle_nn::VarBuilder;
use std::sync::Arc;

/// A 3 x 3 convolution with one pixel of padding.
pub(super) struct Conv {
    weight: Weight,
    stride: usize,
}

enum Weight {
    /// A product with windows, `[9 in, out]`.
    Windows(Linear),
    /// A transformed kernel and the bias.
    Tiles(Winograd, Vec<f32>),
    /// `[out, in, 3, 3]` and the bias, for devices with convolutions of their own.
    Kernel(Tensor, Option<Tensor>),
}

impl Conv {
    /// Reads `weight` and `bias`.
    pub fn load(vb: &VarBuilder<'_>, input: usize, output: usize, stride: usize) -> Result<Self> {
        let kernel = vb.get((output, input, 3, 3), "weight")?;
        let bias = vb.to_dtype(DType::F32).get(output, "bias")?;
        if !fast(&kernel) {
            return Ok(Self { weight: Weight::Kernel(kernel, Some(bias)), stride });
        }
        if stride == 1 && Winograd::suits(input, output) {
            let tiles = read(&kernel, |w| Ok(Winograd::new(w, input, output)))?;
            return Ok(Self { weight: Weight::Tiles(tiles, host(&bias)?), stride });
        }
        let value = |w: &[f32], k: usize, j: usize| w[(j * input + k % input) * 9 + k / input];
        let packed = read(&kernel, |w| Ok(Packed::new(9 * input, output, |k, j| value(w, k, j))))?;
        Ok(Self { weight: Weight::Windows(Linear::packed(packed, bias)?), stride })
    }

    /// The bias handed out, to be added elsewhere.
    pub fn take_bias(&mut self) -> Result<Option<Tensor>> {
        Ok(match &mut self.weight {
            Weight::Windows(matrix) => matrix.take_bias(),
            Weight::Tiles(_, bias) => {
                let taken = std::mem::take(bias);
                let len = taken.len();
                (len > 0).then(|| Tensor::from_vec(taken, len, &Device::Cpu)).transpose()?
            }
            Weight::Kernel(_, bias) => bias.take(),
        })
    }

    /// `x [b, h, w, in]`, scaled to `size` first -> `[b, h', w', out]` in float32, plus `residual` if given.
    pub fn run(&self, x: &Tensor, size: Option<(usize, usize)>, residual: Option<&Tensor>) -> Result<Tensor> {
        let (b, h, w, c) = x.dims4()?;
        let at = Windows { stored: (h, w), size: size.unwrap_or((h, w)), stride: self.stride };
        match &self.weight {
            Weight::Kernel(kernel, bias) => self.generic(x, at, (kernel, bias.as_ref()), residual),
            Weight::Windows(matrix) => {
                let (oh, ow) = at.out();
                let out = read(x, |x| matrix.products(b * oh * ow, |row, slot| at.copy(x, c, row, slot), residual))?;
                let width = out.len() / (b * oh * ow).max(1);
                Tensor::from_vec(out, (b, oh, ow, width), &Device::Cpu)
            }
            Weight::Tiles(tiles, bias) => {
                let (oh, ow) = at.out();
                let mut out = vec![0f32; b * oh * ow * tiles.width()];
                let mut all = |residual: Option<&[f32]>| {
                    read(x, |x| {
                        tiles.run(x, at, &mut out, |pixel, row| {
                            elementwise::add(row, bias);
                            if let Some(residual) = residual {
                                elementwise::add(row, &residual[pixel * row.len()..][..row.len()]);
                            }
                        });
                        Ok(())
                    })
                };
                match residual {
                    None => all(None)?,
                    Some(residual) => read(residual, |residual| all(Some(residual)))?,
                }
                Tensor::from_vec(out, (b, oh, ow, tiles.width()), &Device::Cpu)
            }
        }
    }

    fn generic(
        &self,
        x: &Tensor,
        at: Windows,
        (kernel, bias): (&Tensor, Option<&Tensor>),
        residual: Option<&Tensor>,
    ) -> Result<Tensor> {
        let mut x = x.to_dtype(kernel.dtype())?.permute((0, 3, 1, 2))?.contiguous()?;
        if at.size != at.stored {
            x = x.upsample_nearest2d(at.size.0, at.size.1)?;
        }
        let y = x.conv2d(kernel, 1, self.stride, 1, 1)?.permute((0, 2, 3, 1))?.contiguous()?.to_dtype(DType::F32)?;
        let y = bias.map_or(Ok(y.clone()), |b| y.broadcast_add(b))?;
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
        let vb = vb.to_dtype(DType::F32);
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
            return elementwise::group_norm(&flat, shift, &g)?.reshape(x.shape());
        }
        let flat = shift.map_or(Ok(flat.clone()), |s| flat.broadcast_add(&s.unsqueeze(1)?))?;
        let y = flat.reshape((b, (), self.groups, c / self.groups))?;
        let y = y.broadcast_sub(&y.mean_keepdim((1, 3))?)?;
        let scale = (y.sqr()?.mean_keepdim((1, 3))? + self.eps)?.sqrt()?;
        let y = y.broadcast_div(&scale)?.reshape((b, (), c))?;
        let y = y.broadcast_mul(&self.gain)?.broadcast_add(&self.bias)?;
        if silu { y.silu()? } else { y }.reshape(x.shape())
    }
}

/// x * sigmoid(x).
pub(super) fn silu(x: &Tensor) -> Result<Tensor> {
    if fast(x) { elementwise::silu_of(x) } else { x.silu() }
}

/// Keys and values that queries come to.
#[derive(Clone)]
pub(super) enum Memories {
    /// One for each sequence.
    Packed(Vec<Arc<Memory>>),
    /// `[b, heads, n, d]` each.
    Plain(Tensor, Tensor),
}

/// `x [b * n, parts * heads * d]` -> `parts` tensors `[b, heads, n, d]`.
fn split(x: &Tensor, b: usize, parts: usize, heads: usize) -> Result<Vec<Tensor>> {
    let (rows, wide) = x.dims2()?;
    let d = wide / parts / heads;
    let x = x.reshape((b, rows / b, parts, heads, d))?.permute((2, 0, 3, 1, 4))?.contiguous()?;
    (0..parts).map(|p| x.get(p)).collect()
}

impl Memories {
    /// Of keys and values side by side, `kv [b * n, 2 w]`.
    pub fn new(kv: &Tensor, b: usize, heads: usize) -> Result<Self> {
        if fast(kv) {
            return Ok(Self::Packed(attention::memories(kv, b, heads)?));
        }
        let parts = split(kv, b, 2, heads)?;
        Ok(Self::Plain(parts[0].clone(), parts[1].clone()))
    }

    /// Those of the sequences `from..from + len`.
    pub fn narrow(&self, from: usize, len: usize) -> Result<Self> {
        Ok(match self {
            Self::Packed(all) => Self::Packed(all[from..from + len].to_vec()),
            Self::Plain(k, v) => Self::Plain(k.narrow(0, from, len)?, v.narrow(0, from, len)?),
        })
    }

    /// What queries `[b * n, w]` find there: `[b * n, w]`. `upcast` computes scores in float32 where the rest is narrower.
    pub fn ask(&self, q: &Tensor, heads: usize, upcast: bool) -> Result<Tensor> {
        match self {
            Self::Packed(all) => attention::across(q, all),
            Self::Plain(k, v) => plain(&split(q, k.dim(0)?, 1, heads)?[0], k, v, upcast),
        }
    }
}

/// Attention within each of `b` sequences, `qkv [b * n, 3 w]` -> `[b * n, w]`.
pub(super) fn attend(qkv: &Tensor, b: usize, heads: usize, upcast: bool) -> Result<Tensor> {
    if fast(qkv) {
        return attention::within(qkv, b, heads, false);
    }
    let parts = split(qkv, b, 3, heads)?;
    plain(&parts[0], &parts[1], &parts[2], upcast)
}

/// Attention scores held at once on another device.
const SCORES: usize = 1 << 26;

/// softmax(q k^T / sqrt(d)) v, as many images or a slice of one's queries at a time as [`SCORES`] allow.
fn plain(q: &Tensor, k: &Tensor, v: &Tensor, upcast: bool) -> Result<Tensor> {
    let (b, heads, n, d) = q.dims4()?;
    let wide = if upcast { DType::F32 } else { q.dtype() };
    let line = heads * k.dim(2)?;
    let (many, slice) = match SCORES / (line * n) {
        0 => (1, (SCORES / line).clamp(1, n)),
        many => (many.min(b), n),
    };
    let mut parts = Vec::new();
    for i in (0..b).step_by(many) {
        let part = |x: &Tensor| x.narrow(0, i, many.min(b - i));
        let (keys, values) = (part(k)?.to_dtype(wide)?.t()?.contiguous()?, part(v)?.contiguous()?);
        for from in (0..n).step_by(slice) {
            let q = part(q)?.narrow(2, from, slice.min(n - from))?.contiguous()?.to_dtype(wide)?;
            let scores = (q.matmul(&keys)? * (d as f64).powf(-0.5))?;
            let found = candle_nn::ops::softmax_last_dim(&scores)?.to_dtype(v.dtype())?.matmul(&values)?;
            parts.push(found.transpose(1, 2)?.reshape(((), heads * d))?);
        }
    }
    Tensor::cat(&parts, 0)
}
