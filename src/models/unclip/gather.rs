//! Moving numbers to where a matrix product wants them, on one CPU, in float32, channels last.

use super::kernels::{floats, unary};
use candle_core::{Device, Result, Storage, Tensor, bail};
use rayon::prelude::*;

/// `x [b, n, parts * heads * d]` -> `parts` tensors `[b * heads, n, d]`.
pub(super) fn split_heads(x: &Tensor, parts: usize, heads: usize) -> Result<Vec<Tensor>> {
    let (b, n, wide) = x.dims3()?;
    let d = wide / parts / heads;
    let x = x.contiguous()?;
    let part = |p: usize| {
        unary(&x, |x, out| {
            out.resize(b * heads * n * d, 0.);
            out.par_chunks_mut(n * d).enumerate().for_each(|(i, out)| {
                let from = i / heads * n * wide + (p * heads + i % heads) * d;
                for (t, out) in out.chunks_exact_mut(d).enumerate() {
                    out.copy_from_slice(&x[from + t * wide..][..d]);
                }
            });
            (b * heads, n, d).into()
        })
    };
    (0..parts).map(part).collect()
}

/// `[b * heads, n, d]` -> `[b * n, heads * d]`.
pub(super) fn merge_heads(x: &Tensor, heads: usize) -> Result<Tensor> {
    let (bh, n, d) = x.dims3()?;
    let (b, c) = (bh / heads, heads * d);
    unary(x, |x, out| {
        out.resize(x.len(), 0.);
        out.par_chunks_mut(n * c).enumerate().for_each(|(i, out)| {
            for (t, row) in out.chunks_exact_mut(c).enumerate() {
                for (h, o) in row.chunks_exact_mut(d).enumerate() {
                    o.copy_from_slice(&x[((i * heads + h) * n + t) * d..][..d]);
                }
            }
        });
        (b * n, c).into()
    })
}

/// How a convolution's windows lie: 3 x 3 with one pixel of zeros around, over the image scaled to `size` by nearest
/// neighbours (as it is, or twice as large before an upsampler's convolution).
#[derive(Clone, Copy, Debug)]
pub(super) struct Windows {
    /// The image as stored: height, width.
    pub stored: (usize, usize),
    /// The image as seen: height, width.
    pub size: (usize, usize),
    /// 1, or 2 to halve it.
    pub stride: usize,
}

impl Windows {
    /// Height and width of what comes out.
    pub fn out(&self) -> (usize, usize) {
        ((self.size.0 - 1) / self.stride + 1, (self.size.1 - 1) / self.stride + 1)
    }
}

/// The windows of output pixels `rows` of `x [b, h, w, c]`: `[rows, 9 c]`, taps in row-major order.
pub(super) fn windows(x: &Tensor, w: Windows, rows: std::ops::Range<usize>) -> Result<Tensor> {
    let c = x.dim(3)?;
    let ((sh, sw), (vh, vw), (_, ow)) = (w.stored, w.size, w.out());
    let per_image = w.out().0 * ow;
    let plain = w.stored == w.size;
    let zeros = vec![0f32; c];
    unary(x, |x, out| {
        out.reserve_exact(rows.len() * 9 * c);
        for row in rows.clone() {
            let (image, p) = (row / per_image, row % per_image);
            let (y0, x0) = (p / ow * w.stride, p % ow * w.stride);
            let base = image * sh * sw;
            for dy in 0..3 {
                let y = (y0 + dy).wrapping_sub(1);
                let inside = y < vh;
                let line = base + if inside { y * sh / vh * sw } else { 0 };
                if inside && plain && x0 > 0 && x0 + 1 < vw {
                    out.extend_from_slice(&x[(line + x0 - 1) * c..][..3 * c]);
                    continue;
                }
                for dx in 0..3 {
                    let col = (x0 + dx).wrapping_sub(1);
                    if inside && col < vw {
                        out.extend_from_slice(&x[(line + col * sw / vw) * c..][..c]);
                    } else {
                        out.extend_from_slice(&zeros);
                    }
                }
            }
        }
        (rows.len(), 9 * c).into()
    })
}

/// Puts chunks of rows together, adding bias and residual on the way: `[rows, c]`.
pub(super) fn join(parts: &[Tensor], bias: Option<&[f32]>, residual: Option<&Tensor>) -> Result<Tensor> {
    let c = parts[0].dim(1)?;
    let rows = parts.iter().map(|p| p.dim(0)).sum::<Result<usize>>()?;
    let step = parts[0].elem_count();
    let guards: Vec<_> = parts.iter().map(|p| p.storage_and_layout()).collect();
    let mut slices = Vec::with_capacity(parts.len());
    for (storage, layout) in &guards {
        match &**storage {
            Storage::Cpu(s) => slices.push(floats(s, layout)?),
            _ => bail!("join works on the CPU"),
        }
    }
    let residual = residual.map(Tensor::contiguous).transpose()?;
    let held = residual.as_ref().map(Tensor::storage_and_layout);
    let residual = match held.as_ref().map(|(s, l)| (&**s, l)) {
        Some((Storage::Cpu(s), l)) => Some(floats(s, l)?),
        _ => None,
    };
    let mut out = vec![0f32; rows * c];
    out.par_chunks_mut(step).zip(&slices).enumerate().for_each(|(i, (out, part))| {
        out.copy_from_slice(part);
        for (j, out) in out.chunks_exact_mut(c).enumerate() {
            if let Some(bias) = bias {
                out.iter_mut().zip(bias).for_each(|(o, b)| *o += b);
            }
            if let Some(residual) = residual {
                out.iter_mut().zip(&residual[i * step + j * c..]).for_each(|(o, r)| *o += r);
            }
        }
    });
    drop((guards, held));
    Tensor::from_vec(out, (rows, c), &Device::Cpu)
}
