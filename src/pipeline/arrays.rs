//! Named arrays in safetensors files: no pickle, and no trust in headers.

use crate::error::{Error, Result};
use ndarray::{Array, ArrayBase, ArrayD, Data, Dimension, IxDyn};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// Float and index arrays by name, in the order of their names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Arrays {
    /// Where they were read from, for messages; empty if they were made here.
    path: PathBuf,
    floats: BTreeMap<String, ArrayD<f32>>,
    indices: BTreeMap<String, ArrayD<u32>>,
}

impl Arrays {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds or replaces a float array.
    #[must_use]
    pub fn with_f32<S: Data<Elem = f32>, D: Dimension>(mut self, name: &str, array: &ArrayBase<S, D>) -> Self {
        self.floats.insert(name.to_owned(), array.to_owned().into_dyn());
        self
    }

    /// Adds or replaces an index array.
    #[must_use]
    pub fn with_u32<S: Data<Elem = u32>, D: Dimension>(mut self, name: &str, array: &ArrayBase<S, D>) -> Self {
        self.indices.insert(name.to_owned(), array.to_owned().into_dyn());
        self
    }

    /// The float array `name` with as many axes as `D`.
    ///
    /// # Errors
    /// [`Error::Input`] naming the file if it is absent or of another shape.
    pub fn f32<D: Dimension>(&self, name: &str) -> Result<Array<f32, D>> {
        self.of_dimension(name, self.floats.get(name))
    }

    /// The index array `name` with as many axes as `D`.
    ///
    /// # Errors
    /// [`Error::Input`] naming the file if it is absent or of another shape.
    pub fn u32<D: Dimension>(&self, name: &str) -> Result<Array<u32, D>> {
        self.of_dimension(name, self.indices.get(name))
    }

    fn of_dimension<T: Clone, D: Dimension>(&self, name: &str, array: Option<&ArrayD<T>>) -> Result<Array<T, D>> {
        let array = array.ok_or_else(|| Error::input(&self.path, format!("holds no array \"{name}\" of that type")))?;
        let shape = array.shape().to_vec();
        let wrong = |_| Error::input(&self.path, format!("array \"{name}\" has an unexpected shape {shape:?}"));
        array.clone().into_dimensionality().map_err(wrong)
    }

    /// As a safetensors file; equal arrays give equal bytes.
    ///
    /// # Errors
    /// [`Error::Input`] if they do not fit the format (a header of over 100 MB).
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let failed = |e: safetensors::SafeTensorError| Error::input(&self.path, format!("cannot be written: {e}"));
        let float = |(n, a): (&String, &ArrayD<f32>)| {
            (n.clone(), Dtype::F32, a.shape().to_vec(), a.iter().flat_map(|v| v.to_le_bytes()).collect())
        };
        let index = |(n, a): (&String, &ArrayD<u32>)| {
            (n.clone(), Dtype::U32, a.shape().to_vec(), a.iter().flat_map(|v| v.to_le_bytes()).collect())
        };
        let raw: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> =
            self.floats.iter().map(float).chain(self.indices.iter().map(index)).collect();
        let views = raw
            .iter()
            .map(|(name, dtype, shape, bytes)| Ok((name, TensorView::new(*dtype, shape.clone(), bytes)?)))
            .collect::<std::result::Result<Vec<_>, safetensors::SafeTensorError>>()
            .map_err(failed)?;
        safetensors::serialize(views, None).map_err(failed)
    }

    /// Reads a safetensors file in memory; `path` is for messages.
    ///
    /// # Errors
    /// [`Error::Input`] naming `path` if the header lies about sizes or shapes, or an array is neither f32 nor u32.
    pub fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Self> {
        // `deserialize` checks that offsets are ordered, without gaps, inside the file and equal to shape times width.
        let file = SafeTensors::deserialize(bytes)
            .map_err(|e| Error::input(path, format!("not a whole safetensors file: {e}")))?;
        let mut arrays = Self { path: path.to_owned(), ..Self::default() };
        for (name, view) in file.iter() {
            let (words, rest) = view.data().as_chunks::<4>();
            let shape = IxDyn(view.shape());
            let wrong = || Error::input(path, format!("array \"{}\": shape and data differ", name.escape_debug()));
            if !rest.is_empty() {
                return Err(wrong());
            }
            match view.dtype() {
                Dtype::F32 => {
                    let values = words.iter().map(|w| f32::from_le_bytes(*w)).collect();
                    arrays.floats.insert(name.to_owned(), ArrayD::from_shape_vec(shape, values).map_err(|_| wrong())?);
                }
                Dtype::U32 => {
                    let values = words.iter().map(|w| u32::from_le_bytes(*w)).collect();
                    arrays.indices.insert(name.to_owned(), ArrayD::from_shape_vec(shape, values).map_err(|_| wrong())?);
                }
                other => {
                    let message = format!("array \"{}\" is of type {other}; f32 and u32 are read", name.escape_debug());
                    return Err(Error::input(path, message));
                }
            }
        }
        Ok(arrays)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ndarray::{Array1, Array2, Ix1, Ix2, arr1, arr2};
    use proptest::prelude::*;

    fn some() -> Arrays {
        Arrays::new().with_f32("b", &arr2(&[[1.0, f32::NAN], [-0.0, 4.0]])).with_u32("a", &arr1(&[7, 8, 9]))
    }

    #[test]
    fn arrays_come_back_bit_for_bit_also_from_views_in_another_order() {
        let bytes = some().to_bytes().unwrap();
        assert_eq!(bytes, some().to_bytes().unwrap());
        let read = Arrays::from_bytes(Path::new("x"), &bytes).unwrap();
        let b: Array2<f32> = read.f32::<Ix2>("b").unwrap();
        assert!(b[[0, 1]].is_nan() && b[[1, 0]].is_sign_negative());
        assert_eq!(read.u32::<Ix1>("a").unwrap(), Array1::from(vec![7, 8, 9]));
        let turned = arr2(&[[1.0f32, 2.0], [3.0, 4.0]]);
        let written = Arrays::new().with_f32("t", &turned.t()).to_bytes().unwrap();
        let read = Arrays::from_bytes(Path::new("x"), &written).unwrap();
        assert_eq!(read.f32::<Ix2>("t").unwrap(), turned.t());
    }

    #[test]
    fn a_lying_header_is_an_error_that_names_the_file() {
        let header = |h: &str, data: usize| {
            [&(h.len() as u64).to_le_bytes()[..], h.as_bytes(), vec![0; data].as_slice()].concat()
        };
        let lies = [
            header(r#"{"a":{"dtype":"F32","shape":[1000000,1000000],"data_offsets":[0,16]}}"#, 16),
            header(r#"{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,999999]}}"#, 16),
            header(r#"{"a":{"dtype":"F32","shape":[18446744073709551615,2],"data_offsets":[0,16]}}"#, 16),
            header(r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[16,8]}}"#, 16),
            [u64::MAX.to_le_bytes().as_slice(), b"{}"].concat(),
            vec![1, 2, 3],
        ];
        for lie in lies {
            let text = Arrays::from_bytes(Path::new("p.safetensors"), &lie).unwrap_err().to_string();
            assert!(text.starts_with("p.safetensors: "), "{text}");
        }
    }

    #[test]
    fn an_absent_array_or_a_wrong_rank_is_named() {
        let read = Arrays::from_bytes(Path::new("p"), &some().to_bytes().unwrap()).unwrap();
        assert!(read.f32::<Ix2>("c").unwrap_err().to_string().contains("\"c\""));
        assert!(read.f32::<Ix1>("b").unwrap_err().to_string().contains("[2, 2]"));
    }

    proptest! {
        #[test]
        fn damaged_files_never_panic(at in 0usize..1000, to in any::<u8>(), cut in 0usize..1000) {
            let mut bytes = some().to_bytes().unwrap();
            let at = at % bytes.len();
            bytes[at] = to;
            let _ = Arrays::from_bytes(Path::new("x"), &bytes);
            bytes.truncate(cut % bytes.len());
            prop_assert!(Arrays::from_bytes(Path::new("x"), &bytes).is_err());
        }
    }
}
