//! What the machine has: memory and disk, as far as the system says.

use std::path::Path;

/// Memory in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// In all.
    pub total: u64,
    /// To be had without swapping.
    pub available: u64,
}

/// The machine's memory, or what a control group leaves of it (Linux: proc_meminfo(5), cgroup-v2's memory controller).
pub fn memory() -> Option<Memory> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let machine = Memory { total: kilobytes(&text, "MemTotal:")?, available: kilobytes(&text, "MemAvailable:")? };
    let number =
        |file: &str| std::fs::read_to_string(format!("/sys/fs/cgroup/{file}")).ok()?.trim().parse::<u64>().ok();
    let limit = number("memory.max").unwrap_or(u64::MAX);
    // What a group has read of files counts as used, but is given back when it is needed.
    let stat = std::fs::read_to_string("/sys/fs/cgroup/memory.stat").unwrap_or_default();
    let files = stat.lines().find_map(|l| l.strip_prefix("inactive_file ")?.parse().ok()).unwrap_or(0);
    let left = limit.saturating_sub(number("memory.current").unwrap_or(0)).saturating_add(files);
    Some(Memory { total: machine.total.min(limit), available: machine.available.min(left) })
}

/// The most memory that this process has held so far, in bytes (Linux: proc_pid_status(5)).
pub fn peak() -> Option<u64> {
    kilobytes(&std::fs::read_to_string("/proc/self/status").ok()?, "VmHWM:")
}

/// The memory that this process holds, in bytes.
pub fn resident() -> Option<u64> {
    kilobytes(&std::fs::read_to_string("/proc/self/status").ok()?, "VmRSS:")
}

/// Processor seconds that this process has used so far (Linux: proc_pid_stat(5), in hundredths).
pub fn cpu_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name may hold anything, and ends with the last parenthesis.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some((next()? + next()?) as f64 / 100.0)
}

/// What NVIDIA's own program says of the first GPU: percent at work, bytes held, bytes in all; none where there is no such
/// device. Takes a moment.
pub fn gpu() -> Option<(u8, u64, u64)> {
    if !Path::new("/dev/nvidiactl").exists() {
        return None;
    }
    let asked = ["--query-gpu=utilization.gpu,memory.used,memory.total", "--format=csv,noheader,nounits", "--id=0"];
    let told = std::process::Command::new("nvidia-smi").args(asked).output().ok()?;
    let text = String::from_utf8(told.stdout).ok()?;
    let mut numbers = text.lines().next()?.split(',').map(|n| n.trim().parse::<u64>().ok());
    let mut next = || numbers.next().flatten();
    Some((u8::try_from(next()?).ok()?, next()? << 20, next()? << 20))
}

/// From here on [`peak`] counts anew, where the system can (proc_pid_clear_refs(5)); what is held now.
pub fn reset_peak() -> Option<u64> {
    std::fs::write("/proc/self/clear_refs", "5").ok()?;
    resident()
}

/// Columns of the terminal that stderr is, if it is one and says so.
pub fn columns() -> Option<usize> {
    #[cfg(unix)]
    {
        let size = rustix::termios::tcgetwinsize(std::io::stderr()).ok()?;
        Some(usize::from(size.ws_col)).filter(|&columns| columns > 0)
    }
    #[cfg(not(unix))]
    None
}

/// Bytes that may still be written where `path` lies, or will lie.
pub fn disk(path: &Path) -> Option<u64> {
    let path = std::path::absolute(path).ok()?;
    let there = path.ancestors().find(|p| p.exists())?;
    #[cfg(unix)]
    {
        let about = rustix::fs::statvfs(there).ok()?;
        Some(about.f_bavail.saturating_mul(about.f_frsize))
    }
    #[cfg(not(unix))]
    {
        let _ = there;
        None
    }
}

/// The number after `name`, which is in KiB.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn memory_and_disk_are_what_the_system_says() {
        let found = memory().unwrap();
        assert!(found.available > 0 && found.available <= found.total, "{found:?}");
        assert!(peak().unwrap() > 1 << 20 && peak().unwrap() < found.total);
        assert!(disk(Path::new("not/there/yet")).unwrap() > 0);
        assert_eq!(kilobytes("A: 1 kB\nVmHWM:\t  12 kB\n", "VmHWM:"), Some(12 * 1024));
    }
}
