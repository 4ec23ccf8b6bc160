//! Softmax attention in float32 on one CPU: a few queries at a time against packed keys and values, so that scores stay in
//! the cache and no head is ever copied out of its row.

use super::{
    elementwise::softmax,
    product::{Packed, apart, read, scratch},
};
use candle_core::{Device, Result, Tensor};
use rayon::prelude::*;
use std::sync::Arc;

/// Scores of a chunk of queries.
const SCORES: usize = 1 << 17;

/// Keys and values of one sequence, head by head.
#[derive(Debug)]
pub(crate) struct Memory {
    heads: Vec<[Packed; 2]>,
    keys: usize,
    d: usize,
}

impl Memory {
    /// Of rows `x [n, line]` whose keys start at column `at` and whose values follow them, `width` each.
    fn new(x: &[f32], line: usize, at: usize, width: usize, heads: usize) -> Self {
        let (n, d) = (x.len() / line, width / heads);
        let head = |h: usize| {
            let keys = Packed::new(d, n, |k, j| x[j * line + at + h * d + k]);
            [keys, Packed::new(n, d, |k, j| x[k * line + at + width + h * d + j])]
        };
        Self { heads: (0..heads).into_par_iter().map(head).collect(), keys: n, d }
    }

    /// Queries at the start of rows `x [n, line]` -> `out [n, heads * d]`. `causal`: each sees what is not after it.
    fn attend(&self, x: &[f32], line: usize, causal: bool, out: &mut [f32]) {
        let (d, width) = (self.d, self.heads.len() * self.d);
        let (near, far) = (apart(d), apart(self.keys));
        let many = (SCORES / far).clamp(6, 96) / 6 * 6;
        out.par_chunks_mut(many * width).enumerate().for_each(|(chunk, out)| {
            let (first, rows) = (chunk * many, out.len() / width);
            scratch(rows * (2 * near + far), |memory| {
                let (queries, memory) = memory.split_at_mut(rows * near);
                let (scores, mixed) = memory.split_at_mut(rows * far);
                for (h, [keys, values]) in self.heads.iter().enumerate() {
                    for (i, slot) in queries.chunks_exact_mut(near).enumerate() {
                        slot[..d].copy_from_slice(&x[(first + i) * line + h * d..][..d]);
                    }
                    keys.times(queries, near, scores, far);
                    for (i, row) in scores.chunks_exact_mut(far).enumerate() {
                        let seen = if causal { (first + i + 1).min(self.keys) } else { self.keys };
                        softmax(&mut row[..seen], (d as f32).powf(-0.5));
                        row[seen..].fill(0.0);
                    }
                    values.times(scores, far, mixed, near);
                    for (out, row) in out.chunks_exact_mut(width).zip(mixed.chunks_exact(near)) {
                        out[h * d..][..d].copy_from_slice(&row[..d]);
                    }
                }
            });
        });
    }
}

/// Attention within each of `b` sequences: `qkv [b * n, 3 w]` (queries, keys, values side by side) -> `[b * n, w]`.
pub(crate) fn within(qkv: &Tensor, b: usize, heads: usize, causal: bool) -> Result<Tensor> {
    let (rows, line) = qkv.dims2()?;
    let (n, w) = (rows / b, line / 3);
    let out = read(qkv, |x| {
        let mut out = vec![0f32; rows * w];
        out.par_chunks_mut(n * w).zip(x.par_chunks(n * line)).for_each(|(out, x)| {
            Memory::new(x, line, w, w, heads).attend(x, line, causal, out);
        });
        Ok(out)
    })?;
    Tensor::from_vec(out, (rows, w), &Device::Cpu)
}

/// What each of `b` sequences `kv [b * n, 2 w]` (keys and values side by side) offers to queries.
pub(crate) fn memories(kv: &Tensor, b: usize, heads: usize) -> Result<Vec<Arc<Memory>>> {
    let (rows, line) = kv.dims2()?;
    let one = |x: &[f32]| Arc::new(Memory::new(x, line, 0, line / 2, heads));
    read(kv, |x| Ok(x.chunks_exact(rows / b * line).map(one).collect()))
}

/// Queries `[b * n, w]` to the memories of their `b` sequences -> `[b * n, w]`.
pub(crate) fn across(q: &Tensor, memories: &[Arc<Memory>]) -> Result<Tensor> {
    let (rows, w) = q.dims2()?;
    let part = rows / memories.len() * w;
    let out = read(q, |q| {
        let mut out = vec![0f32; rows * w];
        let parts = out.par_chunks_mut(part).zip(q.par_chunks(part)).zip(memories);
        parts.for_each(|((out, q), memory)| memory.attend(q, w, false, out));
        Ok(out)
    })?;
    Tensor::from_vec(out, (rows, w), &Device::Cpu)
}
