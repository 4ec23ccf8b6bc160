//! Dense products for the numeric stages. Work is cut into blocks of [`BLOCK`] rows whatever the number of threads,
//! and partial sums are added in block order: the same input gives the same bytes on every machine width.

use crate::error::{Error, Result};
use candle_core::{Device, Tensor};
use ndarray::{Array2, ArrayView1, ArrayView2, Axis, CowArray, Ix2, s};
use rayon::prelude::*;

/// Rows of a block: 1.5 MB at 768 columns, so a block and its products stay in cache.
pub(crate) const BLOCK: usize = 512;

/// A matrix as a tensor: one copy, then candle's GEMM (ndarray's own is half as fast here).
pub(crate) fn tensor(rows: ArrayView2<f32>) -> Result<Tensor> {
    let values = rows.as_slice().map_or_else(|| rows.iter().copied().collect(), <[f32]>::to_vec);
    Tensor::from_vec(values, rows.dim(), &Device::Cpu).map_err(Error::tensor("copy a block"))
}

/// `a · bᵀ`, row by row: `[n, d] · [m, d]ᵀ -> n·m` values.
pub(crate) fn product(a: &Tensor, b: &Tensor) -> Result<Vec<f32>> {
    let run = || a.matmul(&b.t()?)?.flatten_all()?.to_vec1::<f32>();
    run().map_err(Error::tensor("multiply blocks"))
}

/// The inner product in eight partial sums, which the compiler turns into vector instructions.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0f32; 8];
    let (a8, b8) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = a8.remainder().iter().zip(b8.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a8.zip(b8) {
        for ((s, x), y) in sums.iter_mut().zip(x).zip(y) {
            *s += x * y;
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// Rows of `d` numbers as one array, `[n, d]`.
pub(crate) fn stack<'a>(rows: impl Iterator<Item = &'a [f32]>, d: usize) -> Result<Array2<f32>> {
    let mut out = Array2::zeros((0, d));
    for row in rows {
        out.push_row(ArrayView1::from(row)).map_err(|_| shape("width of the prototypes", d, row.len()))?;
    }
    Ok(out)
}

/// Squared length in double precision.
pub(crate) fn square(row: ArrayView1<f32>) -> f64 {
    row.iter().map(|&v| f64::from(v) * f64::from(v)).sum()
}

/// Cosine of two rows in double precision; 0 when one of them has no direction.
pub fn cosine(a: ArrayView1<f32>, b: ArrayView1<f32>) -> f64 {
    let dot: f64 = a.iter().zip(b).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum();
    let length = (square(a) * square(b)).sqrt();
    if length > 0.0 { dot / length } else { 0.0 }
}

/// Length of a row.
pub fn norm(a: ArrayView1<f32>) -> f64 {
    square(a).sqrt()
}

/// Rows scaled to length 1; a zero row stays zero.
pub(crate) fn unit(rows: ArrayView2<f32>) -> Array2<f32> {
    let mut out = rows.as_standard_layout().into_owned();
    out.axis_iter_mut(Axis(0)).into_par_iter().for_each(|mut row| {
        let length = square(row.view()).sqrt();
        if length > 0.0 {
            row.mapv_inplace(|v| (f64::from(v) / length) as f32);
        }
    });
    out
}

/// Column means in double precision, each row counted `weight(row)` times; zeros for no rows.
pub(crate) fn mean(rows: ArrayView2<f32>, weight: impl Fn(usize) -> f64 + Sync) -> Vec<f64> {
    mean_by(rows, weight, |block| block.into())
}

/// The same of the rows scaled to length 1.
pub(crate) fn mean_direction(rows: ArrayView2<f32>, weight: impl Fn(usize) -> f64 + Sync) -> Vec<f64> {
    mean_by(rows, weight, |block| unit(block).into())
}

fn mean_by<'a>(
    rows: ArrayView2<'a, f32>,
    weight: impl Fn(usize) -> f64 + Sync,
    prepared: impl Fn(ArrayView2<'a, f32>) -> CowArray<'a, f32, Ix2> + Sync,
) -> Vec<f64> {
    let starts: Vec<usize> = (0..rows.nrows()).step_by(BLOCK * 8).collect();
    let parts: Vec<(f64, Vec<f64>)> = starts
        .into_par_iter()
        .map(|from| {
            let (mut total, mut sum) = (0.0, vec![0.0; rows.ncols()]);
            let block = prepared(rows.slice_move(s![from..(from + BLOCK * 8).min(rows.nrows()), ..]));
            for (i, row) in block.outer_iter().enumerate() {
                let w = weight(from + i);
                total += w;
                sum.iter_mut().zip(row).for_each(|(s, &v)| *s += w * f64::from(v));
            }
            (total, sum)
        })
        .collect();
    let total: f64 = parts.iter().map(|p| p.0).sum();
    let mut sum = vec![0.0; rows.ncols()];
    parts.iter().for_each(|p| sum.iter_mut().zip(&p.1).for_each(|(s, v)| *s += v));
    sum.iter_mut().for_each(|s| *s = if total > 0.0 { *s / total } else { 0.0 });
    sum
}

/// An error unless every value is a number: one NaN would spread into every result.
pub(crate) fn finite(what: &'static str, rows: ArrayView2<f32>) -> Result<()> {
    let bad = rows.outer_iter().position(|row| row.iter().any(|v| !v.is_finite()));
    bad.map_or(Ok(()), |row| Err(shape(what, "finite numbers", format!("NaN or infinity in row {row}"))))
}

/// An [`Error::Shape`].
pub(crate) fn shape(what: &'static str, expected: impl ToString, found: impl ToString) -> Error {
    Error::Shape { what, expected: expected.to_string(), found: found.to_string() }
}
