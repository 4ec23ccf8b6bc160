//! Scheduler, executors and commands as processes on one machine: what they make, and what is lost when they die.
#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};
use tempfile::TempDir;

const SOON: Duration = Duration::from_millis(50);

/// A process that ends with the test.
struct Running(Child);

impl Running {
    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A scheduler and its executors, and folders for the commands.
struct Loopback {
    home: TempDir,
    address: SocketAddr,
    scheduler: Running,
    executors: Vec<Running>,
}

impl Loopback {
    fn new(executors: usize, flags: &[&str]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let scheduler = scheduler(home.path(), address, &[]);
        let mut all = Self { home, address, scheduler, executors: Vec::new() };
        (0..executors).for_each(|_| all.join(flags));
        all
    }

    fn join(&mut self, flags: &[&str]) {
        let address = self.address.to_string();
        let args = [&["executor", "--scheduler", &address, "--threads", "1"], flags].concat();
        let mut child = program(self.home.path(), &args).stdout(Stdio::piped()).spawn().unwrap();
        // It says so once it can be given tasks.
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        self.executors.push(Running(child));
    }

    /// A small set drawn on the demo.
    fn distil(&self, store: &str, out: &str) -> Command {
        let on = format!("df://{}", self.address);
        self.run(&["--on", &on], store, out)
    }

    fn run(&self, flags: &[&str], store: &str, out: &str) -> Command {
        let (store, out) = (self.home.path().join(store), self.home.path().join(out));
        let set = ["distill", "--pairs", "6", "--candidates", "1", "--steps", "4", "--progress", "json", "--out"];
        let mut command = program(self.home.path(), flags);
        command.arg("--store").arg(store).args(set).arg(out).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// What a set has beside pictures.
    fn lists(&self, out: &str) -> BTreeMap<PathBuf, Vec<u8>> {
        let read = |name: &str| (name.into(), fs::read(self.home.path().join(out).join(name)).unwrap());
        ["metadata.jsonl", "prototypes.safetensors"].map(read).into()
    }

    fn set(&self, out: &str) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = self.lists(out);
        for image in fs::read_dir(self.home.path().join(out).join("images")).unwrap() {
            let path = image.unwrap().path();
            found.insert(path.file_name().unwrap().into(), fs::read(path).unwrap());
        }
        found
    }

    /// Parts and pictures that are in a store.
    fn made(&self, store: &str) -> usize {
        let entries = fs::read_dir(self.home.path().join(store)).into_iter().flatten();
        entries.filter(|e| e.as_ref().unwrap().path().extension().is_some_and(|e| e == "cost")).count()
    }

    fn until_made(&self, store: &str, n: usize) {
        let start = Instant::now();
        while self.made(store) < n {
            assert!(start.elapsed() < Duration::from_secs(120), "{} of {n} are made", self.made(store));
            sleep(SOON);
        }
    }
}

fn scheduler(home: &Path, address: SocketAddr, flags: &[&str]) -> Running {
    let bind = address.to_string();
    let args = [&["scheduler", "--bind", &bind], flags].concat();
    let running = Running(program(home, &args).spawn().unwrap());
    let start = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(start.elapsed() < Duration::from_secs(30));
        sleep(SOON);
    }
    running
}

fn program(home: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_protostill-cluster"));
    command.args(args).env_clear().env("HOME", home).stdin(Stdio::null());
    command
}

fn fine(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn three_executors_make_the_bytes_of_one_process() {
    let all = Loopback::new(3, &[]);
    fine(&all.run(&["--threads", "2"], "one", "one-set").output().unwrap());
    let output = all.distil("three", "three-set").output().unwrap();
    fine(&output);
    assert_eq!(all.set("one-set"), all.set("three-set"));
    let told = String::from_utf8(output.stderr).unwrap();
    for stage in ["embed images", "embed captions", "synthesise"] {
        let steps = told.lines().filter(|line| line.contains(stage) && line.contains("\"done\"")).count();
        assert!(steps > 1, "{stage} is seen while it goes on: {told}");
    }
    let names: Vec<_> = fs::read_dir(all.home.path().join("three")).unwrap().map(|e| e.unwrap().file_name()).collect();
    let half = |name: &str| name.contains("tmp") || name.ends_with(".making") || name.starts_with(".tasks");
    assert!(!names.iter().any(|name| half(&name.to_string_lossy())), "{names:?}");
}

#[test]
fn executors_that_are_killed_and_one_that_joins_late_change_no_byte() {
    let mut all = Loopback::new(3, &[]);
    fine(&all.run(&[], "one", "one-set").output().unwrap());
    let command = all.distil("three", "three-set").spawn().unwrap();
    all.until_made("three", 3);
    all.executors[0].kill();
    all.until_made("three", 6);
    all.executors.iter_mut().skip(1).for_each(Running::kill);
    all.join(&[]);
    fine(&command.wait_with_output().unwrap());
    assert_eq!(all.set("one-set"), all.set("three-set"));
}

/// Ready features of three parts of a clustering.
fn features(dir: &Path) {
    const ROWS: usize = 150_000;
    fs::create_dir(dir).unwrap();
    let value = |i: usize, j: usize| ((i * 37 + j * 101 + i * i % 89 * j) % 97) as f32 / 9.0 + (i % 11) as f32;
    for (name, j) in [("image", 0), ("text", 1)] {
        let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({ROWS}, 6), }}");
        let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
        bytes.extend(format!("{header:<117}\n").bytes());
        bytes.extend((0..ROWS).flat_map(|i| (0..6).flat_map(move |k| value(i, 7 * j + k).to_le_bytes())));
        fs::write(dir.join(format!("{name}_embeddings.npy")), bytes).unwrap();
    }
    let captions: String = (0..ROWS).map(|i| format!("picture {i}\n")).collect();
    fs::write(dir.join("captions.txt"), captions).unwrap();
}

#[test]
fn rounds_of_clustering_survive_the_executors_that_do_them() {
    let mut all = Loopback::new(3, &[]);
    let data = all.home.path().join("data");
    features(&data);
    let distil = |all: &Loopback, flags: &[&str], store: &str, out: &str| {
        let mut command = program(all.home.path(), flags);
        let (store, out) = (all.home.path().join(store), all.home.path().join(out));
        command.arg("--store").arg(store).arg("distill").arg("--data").arg(&data).arg("--out").arg(out);
        command.args(["--method", "nearest-image", "--prune", "clip-score", "--pairs", "40"]);
        command
            .args(["--set", "cluster.tolerance=0", "--progress", "json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    };
    fine(&distil(&all, &[], "one", "one-set").output().unwrap());
    let on = format!("df://{}", all.address);
    let command = distil(&all, &["--on", &on], "three", "three-set").spawn().unwrap();
    // Three parts' rows, and then a round.
    all.until_made("three", 6);
    all.executors[0].kill();
    all.until_made("three", 8);
    all.executors.iter_mut().skip(1).for_each(Running::kill);
    all.join(&[]);
    fine(&command.wait_with_output().unwrap());
    assert_eq!(all.lists("one-set"), all.lists("three-set"));
}

#[test]
fn a_command_whose_scheduler_died_ends_soon_and_goes_on_when_run_again() {
    let mut all = Loopback::new(1, &[]);
    let command = all.distil("three", "three-set").spawn().unwrap();
    all.until_made("three", 3);
    all.scheduler.kill();
    let start = Instant::now();
    let output = command.wait_with_output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(start.elapsed() < Duration::from_secs(10) && output.status.code() == Some(2), "{told}");
    let said = told.lines().filter(|line| !line.starts_with('{')).collect::<Vec<_>>();
    assert!(said.len() == 1 && said[0].contains("run it again"), "{said:?}");
    let made = all.made("three");
    all.executors.clear();
    all.scheduler = scheduler(all.home.path(), all.address, &[]);
    all.join(&[]);
    fine(&all.distil("three", "three-set").output().unwrap());
    assert!(made > 2);
    fine(&all.run(&[], "one", "one-set").output().unwrap());
    assert_eq!(all.set("one-set"), all.set("three-set"));
}

#[test]
fn who_does_not_know_the_secret_gets_nothing_done_and_no_task() {
    let home = tempfile::tempdir().unwrap();
    let secret = home.path().join("secret");
    fs::write(&secret, "known to all who belong here").unwrap();
    let known = ["--secret", secret.to_str().unwrap()];
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let scheduler = scheduler(home.path(), address, &known);
    let mut all = Loopback { home, address, scheduler, executors: Vec::new() };
    // It asks for tasks, and is given none.
    all.join(&[]);
    let on = format!("df://{address}");
    let output = all.run(&["--on", &on], "store", "set").output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && told.contains("the secret is another one, or none was given"), "{told}");
    let mut waiting = all.run(&["--on", &on, known[0], known[1]], "store", "set").spawn().unwrap();
    sleep(Duration::from_secs(5));
    assert!(all.made("store") == 0 && waiting.try_wait().unwrap().is_none(), "nobody works for it");
    all.join(&known);
    fine(&waiting.wait_with_output().unwrap());
    let output = program(all.home.path(), &["scheduler", "--bind", "0.0.0.0:0"]).output().unwrap();
    assert!(output.status.code() == Some(2) && String::from_utf8_lossy(&output.stderr).contains("--secret FILE"));
}

#[test]
fn tasks_past_their_deadline_are_given_up_and_listed() {
    let all = Loopback::new(1, &["--deadline", "0"]);
    let output = all.distil("three", "three-set").output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("images, part 0: given up after 0 s") && told.contains("tasks failed"), "{told}");
}
