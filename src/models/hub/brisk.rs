//! A body that has to come at some speed: a hub that lets it drip is as good as one that says nothing.

use std::{
    io::{self, Read},
    time::{Duration, Instant},
};

/// Bytes that must come in each second of a hub's patience.
const SPEED: f64 = 1024.0;

/// Reads `from`; an error once too little came for as long as `patience` lasts.
pub(super) struct Brisk<R> {
    from: R,
    patience: Duration,
    since: Instant,
    came: u64,
}

impl<R> Brisk<R> {
    pub fn new(from: R, patience: Duration) -> Self {
        Self { from, patience, since: Instant::now(), came: 0 }
    }
}

impl<R: Read> Read for Brisk<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(into)?;
        self.came += read as u64;
        if read > 0 && self.since.elapsed() >= self.patience {
            let (came, seconds) = (self.came, self.patience.as_secs_f64());
            if (came as f64) < SPEED * seconds {
                let message = format!("only {came} bytes came in {seconds:.0} s");
                return Err(io::Error::new(io::ErrorKind::TimedOut, message));
            }
            (self.since, self.came) = (Instant::now(), 0);
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Gives a byte at a time, 10 ms after each other.
    struct Dripping;

    impl Read for Dripping {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            std::thread::sleep(Duration::from_millis(10));
            into[0] = 7;
            Ok(1)
        }
    }

    #[test]
    fn what_drips_is_given_up_and_what_flows_comes_whole() {
        let patience = Duration::from_millis(50);
        let said = Brisk::new(Dripping, patience).read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(said.kind(), io::ErrorKind::TimedOut);
        let mut whole = Vec::new();
        Brisk::new(&[7; 1 << 20][..], patience).read_to_end(&mut whole).unwrap();
        assert_eq!(whole.len(), 1 << 20);
    }
}
