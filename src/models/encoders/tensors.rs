//! A checkpoint's tensors as arrays, with their shapes checked where they are read.

use crate::{
    error::{Error, Result, said},
    models::{
        files::MODEL,
        host::{LayerNorm, Linear},
        weights::Part,
    },
};
use candle_core::{DType, Device};
use candle_nn::VarBuilder;
use ndarray::{Array1, Array2};
use std::path::PathBuf;

/// Reads tensors by name, on the CPU and as f32.
pub struct Tensors {
    vars: VarBuilder<'static>,
    path: PathBuf,
}

impl Tensors {
    pub fn open(part: &Part<'_>) -> Result<Self> {
        let path = part.path(&part.weights_file(MODEL)?);
        Ok(Self { vars: part.weights(MODEL, DType::F32, &Device::Cpu)?, path })
    }

    pub fn has(&self, name: &str) -> bool {
        self.vars.contains_tensor(name)
    }

    pub fn wrong(&self, message: impl Into<String>) -> Error {
        Error::input(&self.path, message)
    }

    /// Shape and values.
    pub fn get(&self, name: &str) -> Result<(Vec<usize>, Vec<f32>)> {
        let wrong = |e: candle_core::Error| self.wrong(format!("tensor `{name}`: {}", said(&e)));
        if !self.has(name) {
            return Err(self.wrong(format!("tensor `{name}` is missing")));
        }
        let tensor = self.vars.get_unchecked(name).map_err(wrong)?;
        let values = tensor.flatten_all().and_then(|t| t.to_vec1()).map_err(wrong)?;
        if values.is_empty() {
            return Err(self.wrong(format!("tensor `{name}` is empty")));
        }
        Ok((tensor.dims().to_vec(), values))
    }

    /// The values of a tensor of as many elements as `length`.
    pub fn vector(&self, name: &str, length: usize) -> Result<Array1<f32>> {
        let (shape, values) = self.get(name)?;
        if values.len() != length {
            return Err(self.misfit(name, &shape, &format!("{length} elements")));
        }
        Ok(values.into())
    }

    /// A tensor as a matrix of its first axis by all others.
    pub fn matrix(&self, name: &str) -> Result<(Vec<usize>, Array2<f32>)> {
        let (shape, values) = self.get(name)?;
        let rows = shape.first().copied().unwrap_or(1);
        let matrix = Array2::from_shape_vec((rows, values.len() / rows), values);
        let matrix = matrix.map_err(|e| self.wrong(format!("tensor `{name}`: {e}")))?;
        Ok((shape, matrix))
    }

    /// `name.weight` `[any, fan_in]` with `name.bias`.
    pub fn linear(&self, name: &str, fan_in: usize) -> Result<Linear> {
        self.linear_of(name, fan_in, None)
    }

    /// The same with its number of outputs given.
    pub fn linear_to(&self, name: &str, fan_in: usize, out: usize) -> Result<Linear> {
        self.linear_of(name, fan_in, Some(out))
    }

    fn linear_of(&self, name: &str, fan_in: usize, out: Option<usize>) -> Result<Linear> {
        let weight_name = format!("{name}.weight");
        let (shape, weight) = self.matrix(&weight_name)?;
        // A convolution over single pixels is a linear layer, too.
        let flat = shape.len() >= 2 && shape[2..].iter().all(|n| *n == 1);
        if !flat || weight.dim() != (out.unwrap_or(weight.nrows()), fan_in) {
            let rows = out.map_or("_".into(), |n| n.to_string());
            return Err(self.misfit(&weight_name, &shape, &format!("[{rows}, {fan_in}]")));
        }
        let bias = self.vector(&format!("{name}.bias"), weight.nrows())?;
        Ok(Linear { weight, bias })
    }

    pub fn layer_norm(&self, name: &str, width: usize, eps: f32) -> Result<LayerNorm> {
        let gain = self.vector(&format!("{name}.weight"), width)?;
        Ok(LayerNorm { gain, bias: self.vector(&format!("{name}.bias"), width)?, eps })
    }

    pub fn misfit(&self, name: &str, found: &[usize], expected: &str) -> Error {
        self.wrong(format!("tensor `{name}` has shape {found:?}, expected {expected}"))
    }
}
