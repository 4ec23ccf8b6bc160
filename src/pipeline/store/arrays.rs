//! Named arrays in safetensors files: no pickle, and no trust in headers.

use crate::error::{Error, Result};
use ndarray::{Array, ArrayBase, ArrayD, ArrayView, ArrayViewD, Data, Dimension, IxDyn};
use safetensors::{
    Dtype,
    tensor::{Metadata, TensorInfo},
};
use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
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

    /// Adds or replaces an array of doubles, as their bits: two indices each.
    #[must_use]
    pub fn with_f64<D: Dimension>(mut self, name: &str, array: &Array<f64, D>) -> Self {
        let shape: Vec<usize> = array.shape().iter().copied().chain([2]).collect();
        let halves = array.iter().map(|v| v.to_bits()).flat_map(|v| [v as u32, (v >> 32) as u32]).collect();
        if let Ok(bits) = ArrayD::from_shape_vec(IxDyn(&shape), halves) {
            self.indices.insert(name.to_owned(), bits);
        }
        self
    }

    /// The array of doubles `name`.
    ///
    /// # Errors
    /// [`Error::Input`] naming the file if it is absent or of another shape.
    pub fn f64<D: Dimension>(&self, name: &str) -> Result<Array<f64, D>> {
        let bits = self.of_dimension::<_, D::Larger>(name, self.indices.get(name).map(ArrayD::view))?;
        let double = |half: ArrayView<u32, ndarray::Ix1>| f64::from_bits(u64::from(half[1]) << 32 | u64::from(half[0]));
        let (shape, flat) = (bits.shape().to_vec(), bits.to_shape((bits.len() / 2, 2)));
        let (Some((2, shape)), Ok(flat)) = (shape.split_last().map(|(last, rest)| (*last, rest)), flat) else {
            return Err(Error::input(&self.path, format!("array \"{name}\" has an unexpected shape {shape:?}")));
        };
        let doubles = ArrayD::from_shape_vec(IxDyn(shape), flat.outer_iter().map(double).collect());
        let wrong = |e: ndarray::ShapeError| Error::input(&self.path, e.to_string());
        doubles.and_then(ArrayBase::into_dimensionality).map_err(wrong)
    }

    /// Whether there is a float array of this name.
    pub fn has(&self, name: &str) -> bool {
        self.floats.contains_key(name)
    }

    /// The float array `name` with as many axes as `D`.
    ///
    /// # Errors
    /// [`Error::Input`] naming the file if it is absent or of another shape.
    pub fn f32<D: Dimension>(&self, name: &str) -> Result<Array<f32, D>> {
        self.of_dimension(name, self.floats.get(name).map(ArrayD::view)).map(|a| a.to_owned())
    }

    /// The index array `name` with as many axes as `D`.
    ///
    /// # Errors
    /// [`Error::Input`] naming the file if it is absent or of another shape.
    pub fn u32<D: Dimension>(&self, name: &str) -> Result<Array<u32, D>> {
        self.of_dimension(name, self.indices.get(name).map(ArrayD::view)).map(|a| a.to_owned())
    }

    fn of_dimension<'a, T, D: Dimension>(
        &self,
        name: &str,
        array: Option<ArrayViewD<'a, T>>,
    ) -> Result<ArrayView<'a, T, D>> {
        let array = array.ok_or_else(|| Error::input(&self.path, format!("holds no array \"{name}\" of that type")))?;
        let shape = array.shape().to_vec();
        let wrong = |_| Error::input(&self.path, format!("array \"{name}\" has an unexpected shape {shape:?}"));
        array.into_dimensionality().map_err(wrong)
    }

    /// Adds or replaces a float array, which is not copied.
    #[must_use]
    pub fn holding<D: Dimension>(mut self, name: &str, array: Array<f32, D>) -> Self {
        self.floats.insert(name.to_owned(), array.into_dyn());
        self
    }

    /// The float array `name`, taken out where [`Self::f32`] would copy it.
    ///
    /// # Errors
    /// As [`Self::f32`].
    pub fn take<D: Dimension>(&mut self, name: &str) -> Result<Array<f32, D>> {
        self.of_dimension::<f32, D>(name, self.floats.get(name).map(ArrayD::view))?;
        let taken = self.floats.remove(name).unwrap_or_default();
        taken.into_dimensionality().map_err(|e| Error::input(&self.path, e.to_string()))
    }

    /// Writes a safetensors file, array by array; equal arrays give equal bytes.
    ///
    /// # Errors
    /// [`Error::Input`] if they do not fit the format (a header of over 100 MB); [`Error::Io`].
    pub fn write(&self, to: &mut dyn Write) -> Result<()> {
        let failed = |e: &dyn std::fmt::Display| Error::input(&self.path, format!("cannot be written: {e}"));
        // The order of the format's own writer: wider types first, then by name.
        let floats = self.floats.iter().map(|(n, a)| (n, Dtype::F32, a.shape()));
        let indices = self.indices.iter().map(|(n, a)| (n, Dtype::U32, a.shape()));
        let mut at = 0;
        let about = floats.chain(indices).map(|(name, dtype, shape)| {
            let from = at;
            at += 4 * shape.iter().product::<usize>();
            (name.clone(), TensorInfo { dtype, shape: shape.to_vec(), data_offsets: (from, at) })
        });
        let about = Metadata::new(None, about.collect()).map_err(|e| failed(&e))?;
        let mut header = serde_json::to_vec(&about).map_err(|e| failed(&e))?;
        header.resize(header.len().next_multiple_of(8), b' ');
        if header.len() > MAX_HEADER {
            return Err(failed(&"its header is too long"));
        }
        let mut put = || -> io::Result<()> {
            to.write_all(&(header.len() as u64).to_le_bytes())?;
            to.write_all(&header)?;
            self.floats.values().try_for_each(|a| put_words(a, |v| v.to_le_bytes(), to))?;
            self.indices.values().try_for_each(|a| put_words(a, |v| v.to_le_bytes(), to))
        };
        put().map_err(Error::io(&self.path))
    }

    /// As [`Self::write`], in memory.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.write(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads a safetensors file in memory; `path` is for messages.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Self> {
        Self::read(path, &mut &*bytes, bytes.len() as u64)
    }

    /// Reads a safetensors file of `length` bytes, array by array; `path` is for messages.
    ///
    /// # Errors
    /// [`Error::Input`] naming `path` if the header lies about sizes or shapes, or an array is neither f32 nor u32;
    /// [`Error::Io`].
    pub fn read(path: &Path, from: &mut dyn Read, length: u64) -> Result<Self> {
        let broken = |what: &dyn std::fmt::Display| Error::input(path, format!("not a whole safetensors file: {what}"));
        let read = |e: io::Error| match e.kind() {
            io::ErrorKind::UnexpectedEof => broken(&"it ends too early"),
            _ => Error::io(path)(e),
        };
        let mut size = [0; 8];
        from.read_exact(&mut size).map_err(read)?;
        let size = u64::from_le_bytes(size);
        if size > (MAX_HEADER as u64).min(length.saturating_sub(8)) {
            return Err(broken(&format!("a header of {size} bytes in a file of {length}")));
        }
        let mut header = vec![0; size as usize];
        from.read_exact(&mut header).map_err(read)?;
        // This checks that offsets are ordered, without gaps and equal to shape times width.
        let about: Metadata = serde_json::from_slice(&header).map_err(|e| broken(&e))?;
        if about.data_len() as u64 != length - 8 - size {
            return Err(broken(&format!("its header speaks of {} bytes", about.data_len())));
        }
        let mut arrays = Self { path: path.to_owned(), ..Self::default() };
        for name in about.offset_keys() {
            let Some(info) = about.info(&name) else { continue };
            let shape = IxDyn(&info.shape);
            match info.dtype {
                Dtype::F32 => {
                    let array = take_words(shape, f32::from_le_bytes, from).map_err(read)?;
                    arrays.floats.insert(name, array);
                }
                Dtype::U32 => {
                    let array = take_words(shape, u32::from_le_bytes, from).map_err(read)?;
                    arrays.indices.insert(name, array);
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

/// Numbers turned to bytes, or back, at once.
const WORDS: usize = 1 << 16;
/// Longest header in bytes, as the format's own library has it.
const MAX_HEADER: usize = 100_000_000;

/// Writes the values in row order.
fn put_words<T: Copy>(array: &ArrayD<T>, bytes: impl Fn(T) -> [u8; 4], to: &mut dyn Write) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(4 * WORDS);
    let mut values = array.iter().copied().peekable();
    while values.peek().is_some() {
        buffer.clear();
        values.by_ref().take(WORDS).for_each(|v| buffer.extend_from_slice(&bytes(v)));
        to.write_all(&buffer)?;
    }
    Ok(())
}

/// Reads as many values as `shape` has; that the file is as long was checked.
fn take_words<T>(shape: IxDyn, value: impl Fn([u8; 4]) -> T, from: &mut dyn Read) -> io::Result<ArrayD<T>> {
    let mut left = shape.size();
    let mut values = Vec::with_capacity(left);
    let mut buffer = vec![0; 4 * left.min(WORDS)];
    while left > 0 {
        let some = &mut buffer[..4 * left.min(WORDS)];
        from.read_exact(some)?;
        values.extend(some.as_chunks::<4>().0.iter().map(|word| value(*word)));
        left -= some.len() / 4;
    }
    ArrayD::from_shape_vec(shape, values).map_err(io::Error::other)
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
        let view = |d, s: &[usize], b: &'static [u8]| safetensors::tensor::TensorView::new(d, s.to_vec(), b).unwrap();
        let theirs = [("b", view(Dtype::F32, &[1], &[0, 0, 0x80, 0x3f])), ("a", view(Dtype::U32, &[1], &[7, 0, 0, 0]))];
        let ours = Arrays::new().with_f32("b", &arr1(&[1.0])).with_u32("a", &arr1(&[7]));
        assert_eq!(ours.to_bytes().unwrap(), safetensors::serialize(theirs, None).unwrap());
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
