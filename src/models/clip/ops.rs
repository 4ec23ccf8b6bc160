//! Softmax attention over rows that hold queries, keys and values side by side.

use crate::{kernels::attention, models::layers::fast};
use candle_core::{DType, Result, Tensor};

/// `qkv [b * t, 3 w]` to `[b * t, w]`, within each of `b` sequences; `causal`: each token sees what is not after it. On the
/// CPU in float32 in one pass, elsewhere by candle's operations.
pub(super) fn attend(qkv: &Tensor, b: usize, heads: usize, causal: bool) -> Result<Tensor> {
    if fast(qkv) {
        return attention::within(qkv, b, heads, causal);
    }
    let (rows, w3) = qkv.dims2()?;
    let (t, d) = (rows / b, w3 / 3 / heads);
    let qkv = qkv.reshape((b, t, 3, heads, d))?.permute((2, 0, 3, 1, 4))?;
    let part = |i: usize| qkv.get(i)?.contiguous();
    let (q, k, v) = ((part(0)? * (d as f64).powf(-0.5))?, part(1)?, part(2)?);
    let mut scores = q.matmul(&k.t()?)?.to_dtype(DType::F32)?;
    if causal {
        let mask: Vec<f32> = (0..t * t).map(|i| if i % t > i / t { f32::NEG_INFINITY } else { 0.0 }).collect();
        scores = scores.broadcast_add(&Tensor::from_vec(mask, (t, t), qkv.device())?)?;
    }
    let weights = candle_nn::ops::softmax_last_dim(&scores)?.to_dtype(v.dtype())?;
    weights.matmul(&v)?.transpose(1, 2)?.reshape((rows, w3 / 3))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::models::{clip::Clip, demo, layers::ELSEWHERE};
    use candle_core::Device;

    #[test]
    fn the_one_pass_is_what_candles_operations_make_of_it() {
        let (b, t, heads, d) = (2, 101, 3, 20);
        let wave: Vec<f32> = (0..b * t * 3 * heads * d).map(|i| (i as f32 * 0.37).sin() * 2.0).collect();
        let qkv = Tensor::from_vec(wave, (b * t, 3 * heads * d), &Device::Cpu).unwrap();
        for causal in [false, true] {
            let ours = attend(&qkv, b, heads, causal).unwrap();
            ELSEWHERE.set(true);
            let theirs = attend(&qkv, b, heads, causal).unwrap();
            ELSEWHERE.set(false);
            let gap = (ours - theirs).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
            assert!(gap < 1e-5, "causal {causal}: {gap}");
        }
    }

    #[test]
    fn in_half_precision_other_devices_give_nearly_the_same_features() {
        let ids = vec![vec![5, 9, 7], vec![8, 3]];
        let wave = |n: usize| (0..n).map(|i| (i as f32 * 0.013).sin()).collect::<Vec<_>>();
        let encode = |dtype| {
            ELSEWHERE.set(dtype != DType::F32);
            let clip = Clip::load(&demo::clip(), dtype, &Device::Cpu).unwrap();
            let side = clip.image_size();
            let pixels = Tensor::from_vec(wave(6 * side * side), (2, 3, side, side), &Device::Cpu).unwrap();
            Tensor::cat(&[clip.encode_images(&pixels).unwrap(), clip.encode_texts(&ids).unwrap()], 0).unwrap()
        };
        let truth: Vec<Vec<f32>> = encode(DType::F32).to_vec2().unwrap();
        for (dtype, most) in [(DType::F16, 1e-3), (DType::BF16, 1e-2)] {
            for (found, truth) in encode(dtype).to_vec2::<f32>().unwrap().iter().zip(&truth) {
                let square = |v: &mut dyn Iterator<Item = f32>| v.map(|x| x * x).sum::<f32>();
                let gap = square(&mut found.iter().zip(truth).map(|(a, b)| a - b)) / square(&mut truth.iter().copied());
                assert!(gap > 0.0 && gap.sqrt() < most, "{dtype:?}: {}", gap.sqrt());
            }
        }
    }
}
