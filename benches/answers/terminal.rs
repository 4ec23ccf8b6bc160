//! The program in a pseudo-terminal.

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use std::{
    io::{Read, Write},
    path::Path,
    sync::mpsc,
    time::{Duration, Instant},
};

pub struct Terminal {
    pub keys: Box<dyn Write + Send>,
    frames: mpsc::Receiver<(Instant, Vec<u8>)>,
    screen: vt100::Parser,
    started: Instant,
    child: Box<dyn Child + Send + Sync>,
    _master: Box<dyn MasterPty + Send>,
}

impl Terminal {
    pub fn start(home: &Path, (cols, rows): (u16, u16), args: &[&str]) -> Self {
        let size = PtySize { cols, rows, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_protostill"));
        command.args(args);
        command.env_clear();
        for (name, value) in [("TERM", "xterm-256color"), ("COLORTERM", "truecolor")] {
            command.env(name, value);
        }
        command.env("HOME", home);
        // Somebody who was shown around before.
        let state = home.join(".local/state/protostill");
        std::fs::create_dir_all(&state).unwrap();
        std::fs::write(state.join("toured"), "").unwrap();
        let started = Instant::now();
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let (mut out, keys) = (pair.master.try_clone_reader().unwrap(), pair.master.take_writer().unwrap());
        let (send, frames) = mpsc::channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 1 << 16];
            while let Ok(n @ 1..) = out.read(&mut bytes) {
                if send.send((Instant::now(), bytes[..n].to_vec())).is_err() {
                    break;
                }
            }
        });
        let screen = vt100::Parser::new(rows.try_into().unwrap(), cols.try_into().unwrap(), 0);
        Self { keys, frames, screen, started, child, _master: pair.master }
    }

    /// Waits until words are on screen; the time since the program was started.
    pub fn until(&mut self, words: &str) -> Duration {
        let mut at = Instant::now();
        // What is there already brings no frame any more.
        while !self.screen.screen().contents().contains(words) {
            let Ok((came, bytes)) = self.frames.recv_timeout(Duration::from_secs(300)) else {
                panic!("waited for {words}:\n{}", self.screen.screen().contents());
            };
            if bytes.windows(3).any(|w| w == b"\x1b[c") {
                self.keys.write_all(b"\x1b[?62c").unwrap();
            }
            self.screen.process(&bytes);
            at = came;
        }
        at - self.started
    }

    /// Time from a key to the words that answer it.
    pub fn press(&mut self, key: &str, words: &str) -> Duration {
        let start = self.started.elapsed();
        self.keys.write_all(key.as_bytes()).unwrap();
        self.until(words).saturating_sub(start)
    }

    /// Five seconds of nothing: what came to the screen, and what they cost.
    pub fn rest(&mut self) {
        std::thread::sleep(Duration::from_secs(2));
        while let Ok((_, bytes)) = self.frames.try_recv() {
            self.screen.process(&bytes);
        }
        let before = self.cpu();
        std::thread::sleep(Duration::from_secs(5));
        let frames: usize = self.frames.try_iter().map(|(_, bytes)| bytes.len()).sum();
        let share = (self.cpu() - before) / 5.0 * 100.0;
        println!("{:<44} {frames:6} bytes, {share:.2} % of a core", "five seconds at rest");
    }

    /// Seconds of processor time so far.
    fn cpu(&self) -> f64 {
        let stat = format!("/proc/{}/stat", self.child.process_id().unwrap());
        let text = std::fs::read_to_string(stat).unwrap_or_default();
        let ticks: f64 =
            text.rsplit(')').next().unwrap().split_whitespace().skip(11).take(2).flat_map(str::parse::<f64>).sum();
        ticks / 100.0
    }

    pub fn leave(mut self) {
        self.keys.write_all(b"q").unwrap();
        std::thread::sleep(Duration::from_millis(300));
        self.keys.write_all(b"y").unwrap();
        self.child.wait().unwrap();
    }
}
