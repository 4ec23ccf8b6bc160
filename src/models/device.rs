//! Where the big networks compute. (The evaluation encoders, small and asked once an image, stay on the CPU.)

use crate::{
    error::{Error, Result},
    fingerprint::Fingerprint,
};
use candle_core::{Device, DeviceLocation};

/// Opens `cpu`, `cuda` or `cuda:N`.
///
/// # Errors
/// [`Error::Setting`] for another name, a build without CUDA, or a device that is not there.
pub fn open(text: &str) -> Result<Device> {
    let no = |message: String| Error::setting("device", message);
    let number = match text {
        "cpu" => return Ok(Device::Cpu),
        "cuda" => Some(0),
        other => other.strip_prefix("cuda:").and_then(|n| n.parse().ok()),
    };
    let Some(number) = number else { return Err(no(format!("`{text}` is not cpu, cuda or cuda:N"))) };
    if !candle_core::utils::cuda_is_available() {
        let how = "cargo build --release --features cuda";
        return Err(no(format!("`{text}`: this build knows no CUDA; build it where CUDA is installed with: {how}")));
    }
    Device::new_cuda(number).map_err(|e| no(format!("`{text}` cannot be used: {e}")))
}

/// A device's name as [`open`] takes it.
pub fn name(device: &Device) -> String {
    match device.location() {
        DeviceLocation::Cpu => "cpu".into(),
        DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
        DeviceLocation::Metal { gpu_id } => format!("metal:{gpu_id}"),
    }
}

/// The name of what a network makes on `device`: other devices round otherwise, so that neither result may stand for the
/// other.
pub(crate) fn made_on(device: &Device, network: Fingerprint) -> Fingerprint {
    if device.is_cpu() { network } else { Fingerprint::of_stage("not on the CPU", &(), &[&network]) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn devices_have_names_and_others_are_refused_with_a_way_out() {
        assert_eq!(name(&open("cpu").unwrap()), "cpu");
        for bad in ["gpu", "cuda:", "cuda:x", "CUDA", ""] {
            assert!(open(bad).unwrap_err().to_string().contains("is not cpu, cuda or cuda:N"), "{bad}");
        }
        if !candle_core::utils::cuda_is_available() {
            assert!(open("cuda:1").unwrap_err().to_string().contains("--features cuda"));
        }
    }
}
