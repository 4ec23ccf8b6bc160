//! Commands of this program on a set that was written, each in a process of its own: what they check, ask and say is theirs.

use super::Shared;
use crate::{
    app::HandOff,
    error::{Error, Result},
    pipeline::Ctx,
};
use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{ChildStderr, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

/// Between two looks whether the job was cancelled.
const LOOK: Duration = Duration::from_millis(100);

/// Carries out what becomes of `set`; returns what the command said.
///
/// # Errors
/// What the command says is wrong, [`Error::Cancelled`].
pub fn hand_off(shared: &Shared, set: &Path, to: &HandOff, ctx: &Ctx) -> Result<String> {
    let program = std::env::current_exe().map_err(Error::io("protostill"))?;
    let mut command = Command::new(program);
    command.args(&shared.open.flags).args(["--progress", "json"]);
    let stage = match to {
        HandOff::Report(file) => {
            command.arg("report").arg(set).arg("--out").arg(file);
            "report"
        }
        HandOff::Preview(name) => {
            command.args(["push", "--dry-run", name]).arg(set);
            "files"
        }
        HandOff::Push(name) => {
            command.args(["push", "--yes", name]).arg(set);
            "upload, kB"
        }
    };
    carry_out(command, stage, ctx)
}

fn carry_out(mut command: Command, stage: &'static str, ctx: &Ctx) -> Result<String> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(Error::io("protostill"))?;
    let (lines, out) = (child.stderr.take().map(lines), child.stdout.take());
    let out = thread::spawn(move || {
        let mut text = String::new();
        out.map_or(Ok(0), |mut out| out.read_to_string(&mut text)).map(|_| text)
    });
    let mut wrong = String::new();
    loop {
        match lines.as_ref().map(|l| l.recv_timeout(LOOK)) {
            Some(Ok(line)) => match progress(&line) {
                Some((done, total)) => drop(ctx.step(stage, done, total)),
                None => wrong = line,
            },
            Some(Err(mpsc::RecvTimeoutError::Timeout)) => {}
            Some(Err(mpsc::RecvTimeoutError::Disconnected)) | None => break,
        }
        if let Err(cancelled) = ctx.check() {
            let _ = child.kill();
            let _ = child.wait();
            return Err(cancelled);
        }
    }
    let status = child.wait().map_err(Error::io("protostill"))?;
    let said = out.join().ok().and_then(std::io::Result::ok).unwrap_or_default();
    let why = wrong.strip_prefix("protostill: ").unwrap_or(&wrong);
    if status.success() { Ok(said) } else { Err(Error::setting("command", why)) }
}

/// Lines of what a process says beside its result, as they come.
fn lines(from: ChildStderr) -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        BufReader::new(from).lines().map_while(std::result::Result::ok).try_for_each(|l| sender.send(l))
    });
    lines
}

/// Units done and in all, of a line of progress.
fn progress(line: &str) -> Option<(usize, usize)> {
    let value: serde_json::Value = serde_json::from_str(line).ok()?;
    let whole = |key: &str| value.get(key)?.as_u64().and_then(|n| usize::try_from(n).ok());
    Some((whole("done")?, whole("total")?))
}
