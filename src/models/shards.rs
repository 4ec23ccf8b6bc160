//! Safetensors files read tensor by tensor, as they are asked for. They are not mapped: who cuts a file while it is read gets
//! an error with its name, where a map would end the program.

use crate::{caught::lock, door};
use candle_core::{DType, Device, Error, Result, Shape, Tensor, safetensors::Load};
use candle_nn::{Init, var_builder::SimpleBackend};
use safetensors::tensor::{Metadata, TensorInfo, TensorView};
use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::Mutex,
};

/// Longest header, in bytes: a hundred thousand tensors, and what is made of a hostile one fits in memory.
const LONGEST: u64 = 1 << 24;

/// The tensors of one or more files; of a name that several have, the last counts.
pub struct Shards {
    files: Vec<Shard>,
    /// Which file has a tensor.
    of: HashMap<String, usize>,
}

struct Shard {
    path: PathBuf,
    file: Mutex<File>,
    about: Metadata,
    /// First byte after the header.
    begins: u64,
}

impl Shards {
    /// Reads the headers; they must say of all that follows what it is.
    ///
    /// # Errors
    /// candle's, naming the file.
    pub fn open(paths: &[PathBuf]) -> Result<Self> {
        let files = paths.iter().map(|path| Shard::open(path).map_err(|e| e.with_path(path)));
        let files = files.collect::<Result<Vec<_>>>()?;
        let mut of = HashMap::new();
        for (i, shard) in files.iter().enumerate() {
            of.extend(shard.about.tensors().into_keys().map(|name| (name, i)));
        }
        Ok(Self { files, of })
    }
}

impl Shard {
    fn open(path: &Path) -> Result<Self> {
        let mut file = door::open(path)?;
        let length = file.metadata()?.len();
        let mut size = [0; 8];
        file.read_exact(&mut size).map_err(|_| Error::Msg("header too small".into()))?;
        let size = u64::from_le_bytes(size);
        if size > LONGEST {
            return Err(Error::Msg("header too large".into()));
        }
        if size.saturating_add(8) > length {
            return Err(Error::Msg("invalid header length".into()));
        }
        let mut header = vec![0; size as usize];
        file.read_exact(&mut header)?;
        let about: Metadata =
            serde_json::from_slice(&header).map_err(|e| Error::Msg(format!("invalid header: {e}")))?;
        let begins = 8 + size;
        if begins.checked_add(about.data_len() as u64) != Some(length) {
            let message = format!("the header tells of {} bytes, {} follow it", about.data_len(), length - begins);
            return Err(Error::Msg(message));
        }
        Ok(Self { path: path.to_owned(), file: Mutex::new(file), about, begins })
    }

    fn bytes(&self, about: &TensorInfo) -> io::Result<Vec<u8>> {
        let (from, to) = about.data_offsets;
        let mut bytes = vec![0; to - from];
        let mut file = lock(&self.file);
        file.seek(SeekFrom::Start(self.begins + from as u64))?;
        file.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn tensor(&self, about: &TensorInfo, device: &Device) -> Result<Tensor> {
        let bytes = self.bytes(about)?;
        TensorView::new(about.dtype, about.shape.clone(), &bytes)?.load(device)
    }
}

impl SimpleBackend for Shards {
    fn get(&self, shape: Shape, name: &str, _: Init, dtype: DType, device: &Device) -> Result<Tensor> {
        let found = self.get_unchecked(name, dtype, device)?;
        if found.shape() == &shape {
            return Ok(found);
        }
        let (msg, got) = (format!("shape mismatch for {name}"), found.shape().clone());
        Err(Error::UnexpectedShape { msg, expected: shape, got }.bt())
    }

    fn get_unchecked(&self, name: &str, dtype: DType, device: &Device) -> Result<Tensor> {
        let missing = || Error::CannotFindTensor { path: name.to_owned() }.bt();
        let shard = self.of.get(name).and_then(|&i| self.files.get(i)).ok_or_else(missing)?;
        let about = shard.about.info(name).ok_or_else(missing)?;
        shard.tensor(about, device).map_err(|e| e.with_path(&shard.path))?.to_dtype(dtype)
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.of.contains_key(name)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Three tensors in a file.
    fn some(path: &Path) {
        let tensor = |from: f32| Tensor::arange(from, from + 4.0, &Device::Cpu).unwrap();
        let all = HashMap::from([("a", tensor(0.0)), ("b", tensor(4.0)), ("c", tensor(8.0))]);
        candle_core::safetensors::save(&all, path).unwrap();
    }

    #[test]
    fn a_file_cut_while_it_is_read_is_an_error_with_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.safetensors");
        some(&path);
        let shards = Shards::open(std::slice::from_ref(&path)).unwrap();
        let read = |name: &str| shards.get_unchecked(name, DType::F32, &Device::Cpu);
        assert_eq!(read("b").unwrap().to_vec1::<f32>().unwrap(), [4.0, 5.0, 6.0, 7.0]);
        File::options().write(true).open(&path).unwrap().set_len(shards.files[0].begins + 40).unwrap();
        assert_eq!(read("b").unwrap().to_vec1::<f32>().unwrap(), [4.0, 5.0, 6.0, 7.0]);
        let said = crate::error::said(&read("c").unwrap_err());
        assert!(said.contains("model.safetensors"), "{said}");
    }

    #[test]
    fn a_header_that_lies_is_refused_before_anything_is_made_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.safetensors");
        some(&path);
        let whole = std::fs::read(&path).unwrap();
        let said = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            let error = Shards::open(std::slice::from_ref(&path)).err().unwrap();
            crate::error::said(&error)
        };
        assert!(said(&whole[..whole.len() - 1]).contains("the header tells of 48 bytes, 47 follow it"));
        assert!(said(&[&whole[..], &[0]].concat()).contains("49 follow it"));
        assert!(said(&whole[..5]).contains("header too small"));
        assert!(said(&u64::MAX.to_le_bytes()).contains("header too large"));
        assert!(said(&(1u64 << 24).to_le_bytes()).contains("invalid header length"));
        let far = br#"{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,16]}}"#;
        let text = [&(far.len() as u64).to_le_bytes()[..], far, &[0; 16]].concat();
        assert!(said(&text).contains("invalid header"));
    }
}
