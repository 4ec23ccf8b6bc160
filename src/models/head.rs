//! The student: a projection head on frozen text embeddings, with its gradient written out.
//!
//! `p = W₁ t + b₁; y = LayerNorm(dropout(W₂ GELU(p) + b₂) + p)`, the projection head of CLIP-like retrieval models that
//! dataset distillation is evaluated with (MTT-VL, LoRS, PDS).

use super::host::{LayerNorm, Linear, gelu, gelu_slope};
use ndarray::{Array, Array1, Array2, ArrayView2, Axis, Dimension, Zip};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// The head's parameters; also the shape of their gradients and of the optimiser's velocity.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// `W₁ [c, d]`, `b₁ [c]`.
    pub projection: Linear,
    /// `W₂ [c, c]`, `b₂ [c]`.
    pub fc: Linear,
    /// Gain and bias `[c]`, eps 1e-5.
    pub layer_norm: LayerNorm,
}

/// What one training pass leaves for its gradient.
pub struct Tape {
    projected: Array2<f32>,      // p [b, c]
    activated: Array2<f32>,      // GELU(p) [b, c]
    kept: Option<Array2<f32>>,   // 0 or 1 / (1 - dropout) [b, c]
    standardised: Array2<f32>,   // [b, c]
    inverse_spread: Array1<f32>, // [b]
}

impl Head {
    /// A head from text width `text` to `classes`, initialised as PyTorch does: linear layers from `U(±1/√fan_in)`, for
    /// weight and bias, LayerNorm at one and zero.
    pub fn init(text: usize, classes: usize, rng: &mut ChaCha8Rng) -> Self {
        let mut linear = |fan_in: usize| {
            let bound = 1.0 / (fan_in.max(1) as f32).sqrt();
            let mut draw = |_| rng.random_range(-bound..=bound);
            let weight = Array2::from_shape_simple_fn((classes, fan_in), || draw(()));
            Linear { weight, bias: Array1::from_shape_simple_fn(classes, || draw(())) }
        };
        let (projection, fc) = (linear(text), linear(classes));
        let layer_norm = LayerNorm { gain: Array1::ones(classes), bias: Array1::zeros(classes), eps: 1e-5 };
        Self { projection, fc, layer_norm }
    }

    /// All zeros in the same shape.
    pub fn zeros_like(&self) -> Self {
        let linear =
            |l: &Linear| Linear { weight: Array2::zeros(l.weight.raw_dim()), bias: Array1::zeros(l.bias.raw_dim()) };
        let zeros = Array1::zeros(self.layer_norm.gain.raw_dim());
        let layer_norm = LayerNorm { gain: zeros.clone(), bias: zeros, eps: self.layer_norm.eps };
        Self { projection: linear(&self.projection), fc: linear(&self.fc), layer_norm }
    }

    /// Text embeddings `[n, d]` to the image features' space `[n, c]`, without dropout.
    pub fn forward(&self, text: ArrayView2<'_, f32>) -> Array2<f32> {
        let projected = self.projection.forward(text);
        let hidden = self.fc.forward(projected.mapv(gelu).view()) + &projected;
        self.layer_norm.forward(hidden.view())
    }

    /// The same for training: with dropout at rate `dropout` drawn from `rng`, and the tape for [`Head::backward`].
    pub fn forward_train(&self, text: ArrayView2<'_, f32>, dropout: f32, rng: &mut ChaCha8Rng) -> (Array2<f32>, Tape) {
        let projected = self.projection.forward(text);
        let activated = projected.mapv(gelu);
        let mut hidden = self.fc.forward(activated.view());
        let kept = (dropout > 0.0).then(|| {
            let keep = 1.0 - dropout;
            Array2::from_shape_simple_fn(hidden.raw_dim(), || if rng.random::<f32>() < keep { 1.0 / keep } else { 0.0 })
        });
        if let Some(kept) = &kept {
            hidden *= kept;
        }
        hidden += &projected;
        let (standardised, inverse_spread) = self.layer_norm.standardise(hidden.view());
        let y = &standardised * &self.layer_norm.gain + &self.layer_norm.bias;
        (y, Tape { projected, activated, kept, standardised, inverse_spread })
    }

    /// Gradients of all parameters, given the loss's gradient `[b, c]` with respect to the output for `text` `[b, d]`.
    pub fn backward(&self, text: ArrayView2<'_, f32>, tape: &Tape, output: Array2<f32>) -> Self {
        let gain = (&output * &tape.standardised).sum_axis(Axis(0));
        let bias = output.sum_axis(Axis(0));
        let hidden = layer_norm_backward(output * &self.layer_norm.gain, tape); // [b, c]
        let inner = tape.kept.as_ref().map_or_else(|| hidden.clone(), |kept| &hidden * kept);
        let fc = Linear { weight: inner.t().dot(&tape.activated), bias: inner.sum_axis(Axis(0)) };
        let mut projected = inner.dot(&self.fc.weight);
        Zip::from(&mut projected).and(&tape.projected).and(&hidden).for_each(|g, &p, &h| *g = *g * gelu_slope(p) + h);
        let projection = Linear { weight: projected.t().dot(&text), bias: projected.sum_axis(Axis(0)) };
        Self { projection, fc, layer_norm: LayerNorm { gain, bias, eps: self.layer_norm.eps } }
    }

    /// One step of PyTorch's SGD on every parameter, biases and LayerNorm included:
    /// `v = momentum v + g + decay w; w = w - rate v`.
    pub fn descend(&mut self, gradient: &Self, velocity: &mut Self, sgd: Sgd) {
        let (g, v) = (gradient, velocity);
        sgd.step(&mut self.projection.weight, &g.projection.weight, &mut v.projection.weight);
        sgd.step(&mut self.projection.bias, &g.projection.bias, &mut v.projection.bias);
        sgd.step(&mut self.fc.weight, &g.fc.weight, &mut v.fc.weight);
        sgd.step(&mut self.fc.bias, &g.fc.bias, &mut v.fc.bias);
        sgd.step(&mut self.layer_norm.gain, &g.layer_norm.gain, &mut v.layer_norm.gain);
        sgd.step(&mut self.layer_norm.bias, &g.layer_norm.bias, &mut v.layer_norm.bias);
    }
}

/// Stochastic gradient descent with momentum, in PyTorch's convention.
#[derive(Clone, Copy, Debug)]
pub struct Sgd {
    /// Learning rate.
    pub rate: f32,
    /// Share of the velocity that stays.
    pub momentum: f32,
    /// Weight decay, added to the gradient.
    pub decay: f32,
}

impl Sgd {
    fn step<D: Dimension>(self, weight: &mut Array<f32, D>, gradient: &Array<f32, D>, velocity: &mut Array<f32, D>) {
        Zip::from(weight).and(gradient).and(velocity).for_each(|w, &g, v| {
            *v = self.momentum * *v + g + self.decay * *w;
            *w -= self.rate * *v;
        });
    }
}

/// Through the standardisation: `(g - mean g - x̂ mean(g x̂)) / spread`, row by row.
fn layer_norm_backward(mut gradient: Array2<f32>, tape: &Tape) -> Array2<f32> {
    let width = gradient.ncols() as f32;
    for (i, mut row) in gradient.rows_mut().into_iter().enumerate() {
        let unit = tape.standardised.row(i);
        let mean = row.sum() / width;
        let along = row.dot(&unit) / width;
        let scale = tape.inverse_spread[i];
        Zip::from(&mut row).and(unit).for_each(|g, &x| *g = (*g - mean - x * along) * scale);
    }
    gradient
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{host::normalise_rows, loss::symmetric_info_nce};
    use rand::SeedableRng;

    fn rng(seed: u64) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(seed)
    }

    /// Every parameter, one after the other.
    fn flat(head: &Head) -> Vec<f32> {
        let linear = |l: &Linear| l.weight.iter().chain(&l.bias).copied().collect::<Vec<_>>();
        let norm = head.layer_norm.gain.iter().chain(&head.layer_norm.bias).copied();
        linear(&head.projection).into_iter().chain(linear(&head.fc)).chain(norm).collect()
    }

    fn nth(head: &mut Head, index: usize) -> Option<&mut f32> {
        let Head { projection, fc, layer_norm } = head;
        let all = projection.weight.iter_mut().chain(&mut projection.bias).chain(&mut fc.weight).chain(&mut fc.bias);
        all.chain(&mut layer_norm.gain).chain(&mut layer_norm.bias).nth(index)
    }

    #[test]
    fn every_gradient_is_the_difference_quotient_with_and_without_dropout() {
        let (b, d, c) = (6, 5, 4);
        let mut draws = rng(1);
        let mut draw = || draws.random_range(-1.0f32..1.0);
        let text = Array2::from_shape_simple_fn((b, d), &mut draw);
        let mut image = Array2::from_shape_simple_fn((b, c), &mut draw);
        normalise_rows(&mut image);
        let mut head = Head::init(d, c, &mut rng(2));
        head.layer_norm.gain.mapv_inplace(|g| g + 0.3 * draw());
        head.layer_norm.bias.mapv_inplace(|_| 0.3 * draw());
        for dropout in [0.0, 0.4] {
            let loss = |head: &Head| {
                let (y, tape) = head.forward_train(text.view(), dropout, &mut rng(7));
                let (loss, slope) = symmetric_info_nce(image.view(), y, 0.5, None);
                (loss, tape, slope)
            };
            let (_, tape, slope) = loss(&head);
            let gradient = flat(&head.backward(text.view(), &tape, slope));
            for (i, &g) in gradient.iter().enumerate() {
                let at = |by: f32| {
                    let mut moved = head.clone();
                    if let Some(w) = nth(&mut moved, i) {
                        *w += by;
                    }
                    loss(&moved).0
                };
                let slope = (at(2e-3) - at(-2e-3)) / 4e-3;
                assert!(
                    (f64::from(g) - slope).abs() < 1e-3 + 0.01 * slope.abs(),
                    "dropout {dropout}, {i}: {g} {slope}"
                );
            }
        }
    }

    #[test]
    fn initial_weights_fill_the_range_of_their_fan_in_and_no_more() {
        let head = Head::init(64, 100, &mut rng(4));
        for (layer, bound) in [(&head.projection, 0.125f32), (&head.fc, 0.1)] {
            let largest = layer.weight.iter().chain(&layer.bias).fold(0f32, |a, b| a.max(b.abs()));
            assert!(largest <= bound && largest > 0.99 * bound, "{largest} of {bound}");
            assert!(layer.weight.iter().sum::<f32>().abs() / (layer.weight.len() as f32) < 0.02 * bound);
        }
        assert_ne!(head.projection, Head::init(64, 100, &mut rng(5)).projection);
        assert_eq!(head, Head::init(64, 100, &mut rng(4)));
    }

    #[test]
    fn dropout_keeps_the_mean_and_drops_its_share() {
        let head = Head::init(8, 50, &mut rng(4));
        let (_, tape) = head.forward_train(Array2::zeros((400, 8)).view(), 0.1, &mut rng(1));
        let kept = tape.kept.as_ref().map_or(0.0, |k| k.mean().unwrap_or(0.0));
        let zeros = tape.kept.as_ref().map_or(0, |k| k.iter().filter(|&&v| v == 0.0).count());
        assert!((kept - 1.0).abs() < 0.02, "{kept}");
        assert!((1_800..2_200).contains(&zeros), "{zeros}");
    }
}
