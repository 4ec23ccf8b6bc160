//! The two inner loops that candle's tensor ops would run in several passes over memory, fused for the CPU.

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor};
use ndarray::{ArrayView2, ArrayViewMut2, ShapeBuilder, linalg::general_mat_mul};
use rayon::prelude::*;

/// `x sigmoid(1.702 x)` in one pass.
struct QuickGelu;

/// `x sigmoid(1.702 x)`: fused on the CPU in float32, candle's ops elsewhere.
pub(super) fn quick_gelu(x: &Tensor) -> Result<Tensor> {
    if x.device().is_cpu() && x.dtype() == DType::F32 {
        return x.contiguous()?.apply_op1_no_bwd(&QuickGelu);
    }
    x * candle_nn::ops::sigmoid(&(x * 1.702)?)?
}

/// `e^x` to 2e-7 relative, without branches, so that the compiler vectorises loops over it (Cephes' `expf`).
#[inline(always)]
fn exp(x: f32) -> f32 {
    let x = x.clamp(-87.0, 88.0);
    // Adding and subtracting 1.5 * 2^23 rounds to the nearest integer.
    let n = (x * std::f32::consts::LOG2_E + 12_582_912.0) - 12_582_912.0;
    let r = (x - n * 0.693_359_4) - n * -2.121_944_4e-4;
    let p = ((((1.987_569_1e-4 * r + 1.398_199_9e-3) * r + 8.333_452e-3) * r + 4.166_579_6e-2) * r + 0.166_666_65) * r
        + 0.5;
    let mantissa = p * r * r + r + 1.0;
    mantissa * f32::from_bits(((n as i32 + 127) << 23) as u32)
}

impl CustomOp1 for QuickGelu {
    fn name(&self) -> &'static str {
        "quick_gelu"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = contiguous(storage, layout)?;
        let mut y = vec![0f32; x.len()];
        y.par_chunks_mut(1 << 14).zip(x.par_chunks(1 << 14)).for_each(|(y, x)| {
            for (y, x) in y.iter_mut().zip(x) {
                *y = x / (1.0 + exp(-1.702 * x));
            }
        });
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }
}

/// Softmax attention over `[b, t, 3 w]` (queries, keys, values side by side) to `[b, t, w]`. One head's `t x t` weights
/// exist at a time and thread.
pub(super) struct Attention {
    pub heads: usize,
    pub causal: bool,
}

impl Attention {
    /// On the CPU in float32 the fused loop, elsewhere candle's ops.
    pub fn forward(&self, qkv: &Tensor) -> Result<Tensor> {
        if qkv.device().is_cpu() && qkv.dtype() == DType::F32 {
            return qkv.contiguous()?.apply_op1_no_bwd(self);
        }
        let (b, t, w3) = qkv.dims3()?;
        let d = w3 / 3 / self.heads;
        let qkv = qkv.reshape((b, t, 3, self.heads, d))?.permute((2, 0, 3, 1, 4))?;
        let part = |i: usize| qkv.get(i)?.contiguous();
        let (q, k, v) = ((part(0)? * (d as f64).powf(-0.5))?, part(1)?, part(2)?);
        let mut scores = q.matmul(&k.t()?)?.to_dtype(DType::F32)?;
        if self.causal {
            let mask: Vec<f32> = (0..t * t).map(|i| if i % t > i / t { f32::NEG_INFINITY } else { 0.0 }).collect();
            scores = scores.broadcast_add(&Tensor::from_vec(mask, (t, t), qkv.device())?)?;
        }
        let weights = candle_nn::ops::softmax_last_dim(&scores)?.to_dtype(v.dtype())?;
        weights.matmul(&v)?.transpose(1, 2)?.reshape((b, t, w3 / 3))
    }

    /// One sequence: `qkv` is `[t, 3 w]`, `out` is `[t, w]`.
    fn sequence(&self, qkv: &[f32], out: &mut [f32], t: usize, w: usize) {
        let d = w / self.heads;
        let mut scores = ndarray::Array2::<f32>::zeros((t, t));
        for head in 0..self.heads {
            let view = |i: usize| ArrayView2::from_shape((t, d).strides((3 * w, 1)), &qkv[i * w + head * d..]);
            let target = ArrayViewMut2::from_shape((t, d).strides((w, 1)), &mut out[head * d..]);
            // The strides fit by construction: `t` rows of `3 w` in `qkv`, of `w` in `out`.
            let (Ok(q), Ok(k), Ok(v), Ok(mut target)) = (view(0), view(1), view(2), target) else { return };
            general_mat_mul((d as f32).powf(-0.5), &q, &k.t(), 0.0, &mut scores);
            for (i, mut row) in scores.rows_mut().into_iter().enumerate() {
                if let Some(row) = row.as_slice_mut() {
                    let seen = if self.causal { i + 1 } else { t };
                    softmax(&mut row[..seen]);
                    row[seen..].fill(0.0);
                }
            }
            general_mat_mul(1.0, &scores, &v, 0.0, &mut target);
        }
    }
}

fn softmax(row: &mut [f32]) {
    let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    row.iter_mut().for_each(|x| *x = exp(*x - max));
    let sum: f32 = row.iter().sum();
    row.iter_mut().for_each(|x| *x /= sum);
}

impl CustomOp1 for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (b, t, w3) = layout.shape().dims3()?;
        let w = w3 / 3;
        let qkv = contiguous(storage, layout)?;
        let mut out = vec![0f32; b * t * w];
        out.par_chunks_mut(t * w).zip(qkv.par_chunks(t * w3)).for_each(|(out, qkv)| self.sequence(qkv, out, t, w));
        Ok((CpuStorage::F32(out), (b, t, w).into()))
    }
}

fn contiguous<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let (start, end) = layout.contiguous_offsets().ok_or_else(|| candle_core::Error::Msg("not contiguous".into()))?;
    Ok(&storage.as_slice::<f32>()?[start..end])
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
    fn the_exponential_of_nan_is_nan_so_broken_weights_show() {
        assert!(exp(f32::NAN).is_nan());
    }
}
