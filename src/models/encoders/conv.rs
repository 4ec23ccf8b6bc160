//! Convolution, activation and pooling of one image `[channels, height, width]`, convolution as im2col and a matrix
//! product.

use super::tensors::Tensors;
use crate::{error::Result, models::host};
use ndarray::{Array1, Array2, Array3, ArrayView3, Axis, CowArray, Ix2, s};

/// A convolution; what normalises it is worked into its weights once, at load.
#[derive(Debug)]
pub struct Conv {
    weight: Array2<f32>, // [out, in/groups · k · k]
    bias: Array1<f32>,
    kernel: usize,
    stride: usize,
    /// Zeros around the image.
    pad: usize,
    groups: usize,
}

impl Conv {
    /// timm's `ScaledConv2d`, `name.{weight, bias, gain}`, for `channels` inputs: per output channel
    /// `w = gain γ / √fan_in · (w - mean) / √(var + eps)`; `gamma` corrects for the activation before it.
    pub fn standardised(
        t: &Tensors,
        name: &str,
        channels: usize,
        stride: usize,
        (gamma, eps): (f64, f64),
    ) -> Result<Self> {
        let mut conv = Self::bare(t, name, channels, stride)?;
        let gain = t.vector(&format!("{name}.gain"), conv.out())?;
        for (mut row, &gain) in conv.weight.rows_mut().into_iter().zip(&gain) {
            let fan_in = row.len() as f64;
            let mean = row.iter().map(|&v| f64::from(v)).sum::<f64>() / fan_in;
            let var = row.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / fan_in;
            let scale = f64::from(gain) * gamma / fan_in.sqrt() / (var + eps).sqrt();
            row.mapv_inplace(|v| ((f64::from(v) - mean) * scale) as f32);
        }
        conv.bias = t.vector(&format!("{name}.bias"), conv.out())?;
        Ok(conv)
    }

    /// `name.{weight, bias}`, as they are.
    pub fn biased(t: &Tensors, name: &str, channels: usize, stride: usize) -> Result<Self> {
        let mut conv = Self::bare(t, name, channels, stride)?;
        conv.bias = t.vector(&format!("{name}.bias"), conv.out())?;
        Ok(conv)
    }

    /// The same over pieces beside each other, as large as its kernel; pixels beyond the last whole one are not seen.
    pub fn patches(t: &Tensors, name: &str, channels: usize) -> Result<Self> {
        let (shape, _) = t.get(&format!("{name}.weight"))?;
        Self::biased(t, name, channels, shape.last().copied().unwrap_or(1))
    }

    /// `name.weight` without a bias, followed by the batch norm `norm` (PyTorch's, eps 1e-5) with its running statistics.
    pub fn normed(t: &Tensors, name: &str, norm: &str, channels: usize, stride: usize) -> Result<Self> {
        let mut conv = Self::bare(t, name, channels, stride)?;
        let read = |what: &str| t.vector(&format!("{norm}.{what}"), conv.out());
        let (gain, bias, mean, var) = (read("weight")?, read("bias")?, read("running_mean")?, read("running_var")?);
        for (i, mut row) in conv.weight.rows_mut().into_iter().enumerate() {
            let scale = f64::from(gain[i]) / (f64::from(var[i]) + 1e-5).sqrt();
            row.mapv_inplace(|v| (f64::from(v) * scale) as f32);
            conv.bias[i] = (f64::from(bias[i]) - f64::from(mean[i]) * scale) as f32;
        }
        Ok(conv)
    }

    /// `name.weight` for `channels` inputs, as it is; its shape says how they are grouped.
    fn bare(t: &Tensors, name: &str, channels: usize, stride: usize) -> Result<Self> {
        let weight_name = format!("{name}.weight");
        let (shape, weight) = t.matrix(&weight_name)?;
        let [out, per_group, kernel, same] = shape[..] else {
            return Err(t.misfit(&weight_name, &shape, "[out, in, k, k]"));
        };
        let groups = channels / per_group;
        let pieces = kernel == stride;
        if kernel != same
            || (kernel % 2 == 0 && !pieces)
            || groups * per_group != channels
            || groups == 0
            || out % groups != 0
        {
            return Err(t.misfit(&weight_name, &shape, &format!("an odd square kernel over {channels} channels")));
        }
        let pad = if pieces { 0 } else { kernel / 2 };
        Ok(Self { weight, bias: Array1::zeros(out), kernel, stride, pad, groups })
    }

    /// Number of output channels.
    pub fn out(&self) -> usize {
        self.bias.len()
    }

    /// Kernel's side.
    pub fn kernel(&self) -> usize {
        self.kernel
    }

    /// `[in, h, w]` to `[out, h', w']`, padded by half the kernel, or not at all where it takes pieces.
    pub fn forward(&self, x: ArrayView3<'_, f32>) -> Array3<f32> {
        let (channels, height, width) = x.dim();
        let steps = |side: usize| (side + 2 * self.pad).saturating_sub(self.kernel) / self.stride + 1;
        let (h, w) = (steps(height), steps(width));
        let mut out = Array2::zeros((self.out(), h * w));
        let (each_in, each_out) = (channels / self.groups, self.out() / self.groups);
        for group in 0..self.groups {
            let (from, to) = (group * each_in, group * each_out);
            let columns = self.columns(x.slice_move(s![from..from + each_in, .., ..]), h, w);
            let weight = self.weight.slice(s![to..to + each_out, ..]);
            let mut rows = out.slice_mut(s![to..to + each_out, ..]);
            ndarray::linalg::general_mat_mul(1.0, &weight, &columns, 0.0, &mut rows);
        }
        out += &self.bias.view().insert_axis(Axis(1));
        shaped(out, h, w)
    }

    /// im2col: `[in · k · k, h · w]`, zero outside the image.
    fn columns<'a>(&self, x: ArrayView3<'a, f32>, h: usize, w: usize) -> CowArray<'a, f32, Ix2> {
        let (channels, height, width) = x.dim();
        if (self.kernel, self.stride) == (1, 1) {
            return flat(x);
        }
        let (k, pad) = (self.kernel, self.pad);
        let mut columns = Array2::zeros((channels * k * k, h * w));
        for (row, mut column) in columns.rows_mut().into_iter().enumerate() {
            let (plane, dy, dx) = (x.index_axis(Axis(0), row / (k * k)), row / k % k, row % k);
            for oy in 0..h {
                let Some(y) = (oy * self.stride + dy).checked_sub(pad).filter(|&y| y < height) else { continue };
                // The outputs whose input column lies inside the image.
                let first = pad.saturating_sub(dx).div_ceil(self.stride);
                let last = (width + pad).saturating_sub(dx).div_ceil(self.stride).min(w);
                if first < last {
                    let start = first * self.stride + dx - pad;
                    let source = plane.slice(s![y, start..;self.stride]);
                    let source = source.slice(s![..last - first]);
                    column.slice_mut(s![oy * w + first..oy * w + last]).assign(&source);
                }
            }
        }
        columns.into()
    }
}

/// `[channels, h, w]` as `[channels, h · w]`, without a copy where it lies in one piece.
fn flat(x: ArrayView3<'_, f32>) -> CowArray<'_, f32, Ix2> {
    let (channels, h, w) = x.dim();
    match x.into_shape_with_order((channels, h * w)) {
        Ok(flat) => flat.into(),
        Err(_) => Array2::from_shape_fn((channels, h * w), |(c, i)| x[[c, i / w, i % w]]).into(),
    }
}

/// `[channels, h · w]` as `[channels, h, w]`; the sizes are the caller's own.
fn shaped(x: Array2<f32>, h: usize, w: usize) -> Array3<f32> {
    let channels = x.nrows();
    let shaped = x.into_shape_with_order((channels, h, w));
    shaped.unwrap_or_else(|_| unreachable!("{channels} planes of {h} x {w}"))
}

/// `[channels, h, w]` as a row for each pixel, `[h · w, channels]`.
pub fn rows(x: ArrayView3<'_, f32>) -> Array2<f32> {
    flat(x).t().as_standard_layout().into_owned()
}

/// The way back from [`rows`].
pub fn planes(rows: Array2<f32>, h: usize, w: usize) -> Array3<f32> {
    shaped(rows.t().as_standard_layout().into_owned(), h, w)
}

/// `MaxPool2d(3, stride=2, padding=1)`.
pub fn max_pool_3(x: ArrayView3<'_, f32>) -> Array3<f32> {
    pool(
        x,
        |y, x, height, width| (y.saturating_sub(1)..(y + 2).min(height), x.saturating_sub(1)..(x + 2).min(width)),
        |window| window.fold(f32::NEG_INFINITY, f32::max),
    )
}

/// `AvgPool2d(2, stride=2, ceil_mode=True, count_include_pad=False)`: a window over the edge averages what it has.
pub fn avg_pool_2(x: ArrayView3<'_, f32>) -> Array3<f32> {
    pool(
        x,
        |y, x, height, width| (y..(y + 2).min(height), x..(x + 2).min(width)),
        |window| {
            let (mut sum, mut count) = (0.0, 0.0);
            window.for_each(|v| (sum, count) = (sum + v, count + 1.0));
            sum / count
        },
    )
}

type Range = std::ops::Range<usize>;

/// Stride 2; `window` gives the rows and columns around `(2 oy, 2 ox)`.
fn pool(
    x: ArrayView3<'_, f32>,
    window: impl Fn(usize, usize, usize, usize) -> (Range, Range),
    reduce: impl Fn(&mut dyn Iterator<Item = f32>) -> f32,
) -> Array3<f32> {
    let (channels, height, width) = x.dim();
    Array3::from_shape_fn((channels, height.div_ceil(2), width.div_ceil(2)), |(c, oy, ox)| {
        let (rows, columns) = window(2 * oy, 2 * ox, height, width);
        reduce(&mut rows.flat_map(|y| columns.clone().map(move |x| (y, x))).map(|(y, at)| x[[c, y, at]]))
    })
}

/// Mean over the image, `[channels]`.
pub fn average(x: ArrayView3<'_, f32>) -> Array1<f32> {
    let pixels = (x.dim().1 * x.dim().2) as f32;
    x.sum_axis(Axis(2)).sum_axis(Axis(1)) / pixels
}

/// What stands between two convolutions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `max(x, 0)`
    Relu,
    /// `min(max(x, 0), 6)`
    Relu6,
    /// `x sigmoid(x)`
    Silu,
    /// `x hard_sigmoid(x)`
    HardSwish,
    /// The exact one, with erf.
    Gelu,
}

impl Activation {
    /// Element by element.
    pub fn apply(self, x: &mut Array3<f32>) {
        match self {
            Self::Relu => x.mapv_inplace(|v| v.max(0.0)),
            Self::Relu6 => x.mapv_inplace(|v| v.clamp(0.0, 6.0)),
            Self::Silu => x.mapv_inplace(|v| v * sigmoid(v)),
            Self::HardSwish => x.mapv_inplace(|v| v * hard_sigmoid(v)),
            Self::Gelu => x.mapv_inplace(host::gelu),
        }
    }
}

/// `min(max(x + 3, 0), 6) / 6`
pub fn hard_sigmoid(x: f32) -> f32 {
    (x + 3.0).clamp(0.0, 6.0) / 6.0
}

/// `1 / (1 + e^-x)`
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}
