//! The layers that transformers and convolutional networks share, over rows: on a CPU on our own kernels, elsewhere on
//! candle's operations. With weights in half precision only what is multiplied is rounded (and, on other devices, its
//! product); what goes from layer to layer stays float32.

use crate::kernels::{
    bfloat16::Bfloat16,
    elementwise::{self, Curve},
    product::{Packed, read},
};
use candle_core::{DType, Device, Module, Result, Tensor};
use candle_nn::VarBuilder;
use rayon::prelude::*;
use std::sync::Arc;

#[cfg(test)]
thread_local! {
    /// Takes the way of other devices on the CPU, so that it is tested without them; set before loading.
    pub(super) static ELSEWHERE: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Whether `device` is the CPU, on which our own kernels compute.
pub(super) fn own(device: &Device) -> bool {
    #[cfg(test)]
    if ELSEWHERE.get() {
        return false;
    }
    device.is_cpu()
}

/// Whether our own kernels compute with `x`.
pub(super) fn fast(x: &Tensor) -> bool {
    own(x.device()) && x.dtype() == DType::F32
}

/// Whether weights of this type are multiplied in bfloat16 by our own kernels.
fn paired(device: &Device, dtype: DType) -> Option<Bfloat16> {
    if own(device) && dtype == DType::BF16 { Bfloat16::here() } else { None }
}

/// What `work(from, n)` makes of the items `0..b`: on a CPU `together` at a time, or as many as there are threads, which bounds
/// the memory, and of those a share on each thread, so that no thread waits for the others at every layer; elsewhere all at
/// once.
///
/// # Errors
/// One of `work`'s.
pub(super) fn shares<T: Send>(
    device: &Device,
    b: usize,
    together: usize,
    work: impl Fn(usize, usize) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    if !own(device) {
        return Ok(vec![work(0, b)?]);
    }
    let threads = rayon::current_num_threads();
    let share = together.min(b).div_ceil(threads).max(1);
    let mut made = Vec::new();
    for from in (0..b).step_by(share * threads) {
        let to = b.min(from + share * threads);
        let starts = (from..to).into_par_iter().step_by(share);
        made.extend(starts.map(|from| work(from, share.min(to - from))).collect::<Result<Vec<_>>>()?);
    }
    Ok(made)
}

/// The numbers of `x` in float32, wherever it is.
pub(super) fn host(x: &Tensor) -> Result<Vec<f32>> {
    x.to_dtype(DType::F32)?.flatten_all()?.to_vec1()
}

#[derive(Clone, Debug)]
enum Matrix {
    Packed(Arc<Packed>),
    /// `[in, out]`
    Plain(Tensor),
}

/// y = x W + b.
#[derive(Clone, Debug)]
pub(super) struct Linear {
    matrix: Matrix,
    bias: Option<Tensor>,
    host: Option<Vec<f32>>,
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
        let shift = |vb: &VarBuilder<'_>| vb.to_dtype(DType::F32).get(output, "bias");
        let biases = parts.iter().filter(|_| bias).map(shift).collect::<Result<Vec<_>>>()?;
        let weight = Tensor::cat(&weights, 0)?;
        Self::new(&weight, if bias { Some(Tensor::cat(&biases, 0)?) } else { None })
    }

    /// Of a weight `[out, in]` and a bias `[out]`.
    pub fn new(weight: &Tensor, bias: Option<Tensor>) -> Result<Self> {
        let (output, input) = weight.dims2()?;
        let pairs = paired(weight.device(), weight.dtype());
        let matrix = if fast(weight) || pairs.is_some() {
            let packed = |w: &[f32]| {
                let value = |k: usize, j: usize| w[j * input + k];
                Ok(match pairs {
                    None => Packed::new(input, output, value),
                    Some(pairs) => Packed::rounded(pairs, input, output, value),
                })
            };
            Matrix::Packed(Arc::new(read(&weight.to_dtype(DType::F32)?, packed)?))
        } else {
            Matrix::Plain(weight.t()?.contiguous()?)
        };
        let mut linear = Self { matrix, bias: None, host: None };
        linear.set_bias(bias)?;
        Ok(linear)
    }

    /// Of a packed matrix.
    pub fn packed(matrix: Packed, bias: Tensor) -> Result<Self> {
        let mut linear = Self { matrix: Matrix::Packed(Arc::new(matrix)), bias: None, host: None };
        linear.set_bias(Some(bias))?;
        Ok(linear)
    }

    fn set_bias(&mut self, bias: Option<Tensor>) -> Result<()> {
        self.host = bias.as_ref().map(host).transpose()?;
        self.bias = bias;
        Ok(())
    }

    /// `x [rows, in]` -> `[rows, out]` in float32, plus `residual` if given.
    pub fn run(&self, x: &Tensor, residual: Option<&Tensor>) -> Result<Tensor> {
        match &self.matrix {
            Matrix::Packed(m) => {
                let (rows, input) = x.dims2()?;
                let fill = |x: &[f32], i: usize, slot: &mut [f32]| slot.copy_from_slice(&x[i * input..][..input]);
                let out = read(x, |x| self.products(rows, |i, slot| fill(x, i, slot), residual))?;
                Tensor::from_vec(out, (rows, m.width), &Device::Cpu)
            }
            Matrix::Plain(w) => {
                let y = self.biased(x.to_dtype(w.dtype())?.matmul(w)?.to_dtype(DType::F32)?)?;
                residual.map_or(Ok(y.clone()), |r| &y + r)
            }
        }
    }

    /// [`Linear::run`] in the type that is multiplied, for what is multiplied next.
    pub fn narrow(&self, x: &Tensor) -> Result<Tensor> {
        match &self.matrix {
            Matrix::Packed(_) => self.run(x, None),
            Matrix::Plain(w) => self.biased(x.to_dtype(w.dtype())?.matmul(w)?),
        }
    }

    /// [`Linear::run`] of rows that `fill(row, slot)` writes, for a packed matrix.
    pub fn products<F>(&self, rows: usize, fill: F, residual: Option<&Tensor>) -> Result<Vec<f32>>
    where
        F: Fn(usize, &mut [f32]) + Sync,
    {
        let Matrix::Packed(m) = &self.matrix else { candle_core::bail!("a matrix that is not packed") };
        let mut out = vec![0f32; rows * m.width];
        match residual {
            None => self.each(m, rows, fill, &mut out, |_, sums, out| out.copy_from_slice(sums)),
            Some(residual) => read(residual, |residual| {
                self.each(m, rows, fill, &mut out, |i, sums, out| {
                    elementwise::add(sums, &residual[i * m.width..][..m.width]);
                    out.copy_from_slice(sums);
                });
                Ok(())
            })?,
        }
        Ok(out)
    }

    fn each<F, G>(&self, m: &Packed, rows: usize, fill: F, out: &mut [f32], finish: G)
    where
        F: Fn(usize, &mut [f32]) + Sync,
        G: Fn(usize, &mut [f32], &mut [f32]) + Sync,
    {
        m.each(rows, fill, out, |i, sums, out| {
            if let Some(bias) = &self.host {
                elementwise::add(sums, bias);
            }
            finish(i, sums, out);
        });
    }

    /// What `finish(sums, out)` makes of every row of [`Linear::run`]: `[rows, width]`; for a packed matrix.
    fn then(&self, x: &Tensor, width: usize, finish: impl Fn(&mut [f32], &mut [f32]) + Sync) -> Result<Tensor> {
        let Matrix::Packed(m) = &self.matrix else { candle_core::bail!("a matrix that is not packed") };
        let (rows, input) = x.dims2()?;
        let mut out = vec![0f32; rows * width];
        read(x, |x| {
            let fill = |i: usize, slot: &mut [f32]| slot.copy_from_slice(&x[i * input..][..input]);
            self.each(m, rows, fill, &mut out, |_, sums, out| finish(sums, out));
            Ok(())
        })?;
        Tensor::from_vec(out, (rows, width), &Device::Cpu)
    }

    /// [`Linear::run`], then `curve` on the CPU or `elsewhere`, which is the same.
    pub fn curved(&self, x: &Tensor, curve: Curve, elsewhere: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
        match &self.matrix {
            Matrix::Plain(_) => elsewhere(&self.narrow(x)?),
            Matrix::Packed(m) => self.then(x, m.width, |sums, out| {
                curve.apply(sums);
                out.copy_from_slice(sums);
            }),
        }
    }

    /// [`Linear::run`], then its first half times the GELU of its second.
    pub fn gated(&self, x: &Tensor) -> Result<Tensor> {
        match &self.matrix {
            Matrix::Packed(m) => self.then(x, m.width / 2, |sums, out| elementwise::geglu(sums, out)),
            Matrix::Plain(_) => {
                let halves = self.narrow(x)?.chunk(2, 1)?;
                &halves[0] * halves[1].gelu_erf()?
            }
        }
    }

    fn biased(&self, y: Tensor) -> Result<Tensor> {
        self.bias.as_ref().map_or(Ok(y.clone()), |b| y.broadcast_add(&b.to_dtype(y.dtype())?))
    }

    /// The bias handed out, to be added elsewhere.
    pub fn take_bias(&mut self) -> Option<Tensor> {
        self.host = None;
        self.bias.take()
    }

    /// Adds `more` to the bias.
    pub fn add_bias(&mut self, more: &Tensor) -> Result<()> {
        let sum = self.bias.as_ref().map_or(Ok(more.clone()), |b| b + more)?;
        self.set_bias(Some(sum))
    }
}

/// LayerNorm over the last of two dimensions.
#[derive(Clone, Debug)]
pub(super) struct LayerNorm {
    slow: candle_nn::LayerNorm,
    host: (Vec<f32>, Vec<f32>),
    eps: f32,
}

impl LayerNorm {
    /// Reads `weight` and `bias`.
    pub fn load(vb: &VarBuilder<'_>, width: usize, eps: f64) -> Result<Self> {
        let vb = vb.to_dtype(DType::F32);
        let slow = candle_nn::layer_norm(width, eps, vb.clone())?;
        let host = (host(&vb.get(width, "weight")?)?, host(&vb.get(width, "bias")?)?);
        Ok(Self { slow, host, eps: eps as f32 })
    }

    /// `x [rows, width]`.
    pub fn run(&self, x: &Tensor) -> Result<Tensor> {
        if fast(x) { elementwise::layer_norm(x, &self.host.0, &self.host.1, self.eps) } else { self.slow.forward(x) }
    }
}
