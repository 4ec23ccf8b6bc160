//! Where the big networks compute, and in what numbers. (The evaluation encoders, small and asked once an image, stay on
//! the CPU in float32.)

use crate::kernels::bfloat16::Bfloat16;
use crate::{
    error::{Error, Result, said},
    fingerprint::Fingerprint,
};
use candle_core::{DType, Device, DeviceLocation};

/// A device and the type of its matrix products' factors.
#[derive(Clone, Debug)]
pub struct Backend {
    device: Device,
    precision: DType,
}

impl Backend {
    /// The CPU in float32.
    pub const CPU: Self = Self { device: Device::Cpu, precision: DType::F32 };

    /// `device` is `cpu`, `cuda` or `cuda:N`; `precision` `float32`, `float16` or `bfloat16`.
    ///
    /// # Errors
    /// [`Error::Setting`] for another name, a build without CUDA, a device that is not there, or a precision it has not.
    pub fn open(device: &str, precision: &str) -> Result<Self> {
        let no = |message: String| Error::setting("precision", message);
        let device = open(device)?;
        let precision = match precision {
            "float32" => DType::F32,
            "bfloat16" if device.is_cpu() && Bfloat16::here().is_none() => {
                return Err(no("this CPU does not multiply bfloat16 (it takes AVX-512 BF16): use float32".into()));
            }
            "bfloat16" => DType::BF16,
            "float16" if device.is_cpu() => {
                return Err(no("a CPU computes in float32 or bfloat16; float16 is for GPUs".into()));
            }
            "float16" => DType::F16,
            other => return Err(no(format!("`{other}` is not float32, float16 or bfloat16"))),
        };
        Ok(Self { device, precision })
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// What CLIP computes in.
    pub fn clip(&self) -> DType {
        self.precision
    }

    /// What the decoder computes in: float16 where that is asked for, or else float32. In bfloat16 a step of Stable unCLIP's
    /// UNet is 1.1 % off by its roundings, and float16 is as fast.
    pub fn decoder(&self) -> DType {
        if self.precision == DType::F16 { DType::F16 } else { DType::F32 }
    }

    /// The device's name as [`Backend::open`] takes it.
    pub fn device_name(&self) -> String {
        match self.device.location() {
            DeviceLocation::Cpu => "cpu".into(),
            DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
            DeviceLocation::Metal { gpu_id } => format!("metal:{gpu_id}"),
        }
    }

    /// The precision's name as [`Backend::open`] takes it.
    pub fn precision_name(&self) -> &'static str {
        match self.precision {
            DType::BF16 => "bfloat16",
            DType::F16 => "float16",
            _ => "float32",
        }
    }
}

fn open(text: &str) -> Result<Device> {
    let no = |message: String| Error::setting("device", message);
    let number = match text {
        "cpu" => return Ok(Device::Cpu),
        "cuda" => Some(0),
        other => other.strip_prefix("cuda:").and_then(|n| n.parse().ok()),
    };
    let Some(number) = number else { return Err(no(format!("`{text}` is not cpu, cuda or cuda:N"))) };
    if !candle_core::utils::cuda_is_available() {
        let how = "cargo build --release --features cuda";
        let no = no(format!("`{text}`: this build knows no CUDA"));
        return Err(no.or(format!("build it where CUDA is installed with: {how}")));
    }
    Device::new_cuda(number).map_err(|e| no(format!("`{text}` cannot be used: {}", said(&e))))
}

/// The name of what a network makes: other devices and precisions round otherwise, so that no result may stand for
/// another.
pub(crate) fn made_on(device: &Device, precision: DType, network: Fingerprint) -> Fingerprint {
    if device.is_cpu() && precision == DType::F32 {
        return network;
    }
    Fingerprint::of_stage("otherwise", &(device.is_cpu(), precision.as_str()), &[&network])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn devices_have_names_and_others_are_refused_with_a_way_out() {
        let known = Backend::open("cpu", "float32").unwrap();
        assert_eq!((known.device_name().as_str(), known.precision_name()), ("cpu", "float32"));
        for bad in ["gpu", "cuda:", "cuda:x", "CUDA", ""] {
            assert!(open(bad).unwrap_err().to_string().contains("is not cpu, cuda or cuda:N"), "{bad}");
        }
        if !candle_core::utils::cuda_is_available() {
            assert!(open("cuda:1").unwrap_err().to_string().contains("--features cuda"));
        }
    }

    #[test]
    fn a_precision_the_device_has_not_is_refused_and_names_what_is_made_with_it() {
        for bad in ["float16", "half", ""] {
            assert!(Backend::open("cpu", bad).unwrap_err().to_string().contains("precision"), "{bad}");
        }
        match Backend::open("cpu", "bfloat16") {
            Ok(found) => assert_eq!((found.clip(), found.decoder()), (DType::BF16, DType::F32)),
            Err(e) => assert!(Bfloat16::here().is_none() && e.to_string().contains("AVX-512 BF16")),
        }
        let network = || Fingerprint::of_bytes(b"weights");
        assert_eq!(made_on(&Device::Cpu, DType::F32, network()), network());
        assert_ne!(made_on(&Device::Cpu, DType::BF16, network()), network());
    }
}
