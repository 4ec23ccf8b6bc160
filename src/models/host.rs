//! What the frozen encoders and the projection head share: rows through linear layers, LayerNorm and GELU, in f32 on
//! the CPU. Each call is single-threaded, so its bytes do not depend on how many threads run beside it.

use ndarray::{Array1, Array2, ArrayView2, Axis, Zip};

/// `y = x Wᵀ + b`, as PyTorch stores it.
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    /// `[out, in]`
    pub weight: Array2<f32>,
    /// `[out]`
    pub bias: Array1<f32>,
}

impl Linear {
    /// `[n, in]` to `[n, out]`.
    pub fn forward(&self, x: ArrayView2<'_, f32>) -> Array2<f32> {
        x.dot(&self.weight.t()) + &self.bias
    }
}

/// LayerNorm over the last axis with gain and bias.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerNorm {
    /// `[width]`
    pub gain: Array1<f32>,
    /// `[width]`
    pub bias: Array1<f32>,
    /// Added to the variance: 1e-5 in PyTorch, 1e-6 in timm's vision transformers.
    pub eps: f32,
}

impl LayerNorm {
    /// `[n, width]` to `[n, width]`.
    pub fn forward(&self, x: ArrayView2<'_, f32>) -> Array2<f32> {
        let (mut y, _) = self.standardise(x);
        for mut row in y.rows_mut() {
            Zip::from(&mut row).and(&self.gain).and(&self.bias).for_each(|y, &g, &b| *y = *y * g + b);
        }
        y
    }

    /// Rows of mean 0 and variance 1, and the factor `1 / sqrt(var + eps)` of each: what the gradient needs.
    pub fn standardise(&self, x: ArrayView2<'_, f32>) -> (Array2<f32>, Array1<f32>) {
        let mut y = x.to_owned();
        let width = x.ncols() as f64;
        let scale = y
            .rows_mut()
            .into_iter()
            .map(|mut row| {
                let mean = row.iter().map(|&v| f64::from(v)).sum::<f64>() / width;
                let var = row.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / width;
                let scale = (1.0 / (var + f64::from(self.eps)).sqrt()) as f32;
                row.mapv_inplace(|v| (v - mean as f32) * scale);
                scale
            })
            .collect();
        (y, scale)
    }
}

/// `x · Φ(x)` with the exact Φ (PyTorch's default GELU, not the tanh form).
pub fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2))
}

/// Derivative of [`gelu`]: `Φ(x) + x φ(x)`.
pub fn gelu_slope(x: f32) -> f32 {
    const INV_SQRT_TAU: f32 = 0.398_942_3;
    0.5 * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2)) + x * INV_SQRT_TAU * (-0.5 * x * x).exp()
}

/// erf to 5e-7: the rational minimax approximation of Eigen and XLA, which vectorises.
#[allow(clippy::excessive_precision)]
fn erf(x: f32) -> f32 {
    const P: [f32; 7] = [
        -2.726_142_258_013_06e-10,
        2.770_681_424_959_02e-08,
        -2.101_024_020_825_08e-06,
        -5.692_506_394_623_46e-05,
        -7.349_906_303_268_55e-04,
        -2.954_599_808_540_25e-03,
        -1.609_603_332_624_15e-02,
    ];
    const Q: [f32; 5] = [
        -1.456_607_184_649_96e-05,
        -2.133_740_552_789_05e-04,
        -1.682_826_974_382_03e-03,
        -7.373_329_167_204_68e-03,
        -1.426_473_905_141_89e-02,
    ];
    let x = x.clamp(-4.0, 4.0);
    let z = x * x;
    let horner = |c: &[f32]| c[1..].iter().fold(c[0], |sum, &c| sum * z + c);
    x * horner(&P) / horner(&Q)
}

/// Rows scaled to length 1; a row of zeros stays one (`F.normalize`, eps 1e-12). Also their lengths.
pub fn normalise_rows(x: &mut Array2<f32>) -> Array1<f32> {
    let length = |row: ndarray::ArrayView1<'_, f32>| row.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
    let lengths = x.map_axis(Axis(1), |row| length(row).max(1e-12) as f32);
    for (mut row, &length) in x.rows_mut().into_iter().zip(&lengths) {
        row /= length;
    }
    lengths
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ndarray::array;

    #[test]
    fn gelu_is_the_erf_form_and_not_the_tanh_form() {
        for i in -600..=600 {
            let x = i as f32 / 100.0;
            let exact = candle_core::cpu::erf::erf_f64(f64::from(x));
            assert!((f64::from(erf(x)) - exact).abs() < 5e-7, "erf({x})");
        }
        // torch.nn.functional.gelu(torch.tensor([1., -0.5, 2.])); the tanh form gives 0.8411920.
        for (x, y) in [(1.0, 0.841_344_7), (-0.5, -0.154_268_77), (2.0, 1.954_499_7)] {
            assert!((gelu(x) - y).abs() < 1e-6, "{x}: {}", gelu(x));
        }
    }

    #[test]
    fn the_slope_of_gelu_is_its_difference_quotient() {
        for i in -40..=40 {
            let x = i as f32 / 10.0;
            let slope = (gelu(x + 0.01) - gelu(x - 0.01)) / 0.02;
            assert!((gelu_slope(x) - slope).abs() < 1e-4, "{x}: {} {slope}", gelu_slope(x));
        }
    }

    #[test]
    fn a_row_of_zeros_has_a_direction_without_nan() {
        let mut x = array![[3.0, 4.0], [0.0, 0.0]];
        normalise_rows(&mut x);
        assert_eq!(x, array![[0.6, 0.8], [0.0, 0.0]]);
    }
}
