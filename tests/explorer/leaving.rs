//! How the program leaves, where it does not even enter, and what holds where something is lacking.

use super::pty::Term;
use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use std::{
    io::Read,
    path::Path,
    time::{Duration, Instant},
};

fn reports(home: &Path) -> usize {
    let names = std::fs::read_dir(home.join("state/protostill")).unwrap().map(|e| e.unwrap().file_name());
    names.filter(|n| n.to_string_lossy().starts_with("crash")).count()
}

#[test]
fn the_terminal_is_given_back_whichever_signal_ends_the_program() {
    for signal in ["TERM", "HUP", "INT", "QUIT"] {
        let home = tempfile::tempdir().unwrap();
        let mut term = Term::start_as(home.path(), &[], &[], b"");
        term.sees("protostill");
        term.signal(signal);
        term.left();
        assert!(term.is_restored() && term.is_cooked(), "SIG{signal}");
        let raw = String::from_utf8_lossy(&term.raw.lock().unwrap()).into_owned();
        let order = ["\u{1b}[?1002l", "\u{1b}[?1049l", "\u{1b}[?25h"].map(|code| raw.rfind(code).unwrap());
        assert!(order.is_sorted(), "SIG{signal}: mouse off, alternate screen left, cursor on: {order:?}");
        assert_eq!(reports(home.path()), 0, "SIG{signal}");
    }
}

#[test]
fn a_lost_terminal_ends_quietly_with_the_journal_whole_and_no_report() {
    let home = tempfile::tempdir().unwrap();
    let journal = home.path().join("s.jsonl");
    std::fs::write(home.path().join("tiny.toml"), super::sessions::TINY).unwrap();
    let size = PtySize { cols: 100, rows: 30, pixel_width: 0, pixel_height: 0 };
    let pair = native_pty_system().openpty(size).unwrap();
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_protostill"));
    command.args(["explore", "--config", "tiny.toml", "--session", "s.jsonl"]);
    command.env("TERM", "xterm-256color");
    command.env("XDG_CACHE_HOME", home.path().join("cache"));
    command.env("XDG_STATE_HOME", home.path().join("state"));
    command.cwd(home.path());
    let mut child = pair.slave.spawn_command(command).unwrap();
    drop(pair.slave);
    let (mut out, mut keys) = (pair.master.try_clone_reader().unwrap(), pair.master.take_writer().unwrap());
    let (mut seen, mut bytes) = (String::new(), [0; 4096]);
    while !seen.contains("set ") {
        let n = out.read(&mut bytes).unwrap();
        seen.push_str(&String::from_utf8_lossy(&bytes[..n]));
    }
    std::io::Write::write_all(&mut keys, b"2+").unwrap();
    let start = Instant::now();
    let decided = || {
        let entries = protostill::journal::read(&journal).map_or_else(|_| Vec::new(), |read| read.entries);
        entries.iter().filter(|entry| matches!(entry, protostill::app::Entry::Do(_))).count()
    };
    while decided() == 0 {
        assert!(start.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(10));
    }
    drop((out, keys, pair.master));
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "still there without a terminal");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(status.success(), "{status:?}");
    std::fs::create_dir_all(home.path().join("state/protostill")).unwrap();
    assert_eq!(reports(home.path()), 0);
    assert_eq!(decided(), 1);
}

#[test]
fn a_dumb_terminal_gets_one_sentence_and_no_escapes() {
    let home = tempfile::tempdir().unwrap();
    for args in [&["explore"][..], &["info"]] {
        let mut term = Term::start_as(home.path(), args, &[("TERM", "dumb")], b"");
        assert_eq!(term.left(), if args == ["info"] { 0 } else { 2 });
        let said = String::from_utf8_lossy(&term.raw.lock().unwrap()).into_owned();
        assert!(!said.contains('\u{1b}') && said.contains("dumb"), "{said:?}");
        assert!(args == ["info"] || said.trim().lines().count() == 1, "{said}");
    }
    let kept = std::fs::read_dir(home.path().join("state/protostill")).unwrap();
    let sessions = kept.filter(|f| f.as_ref().unwrap().file_name().to_string_lossy().contains("jsonl"));
    assert_eq!(sessions.count(), 0, "a session was begun that nobody can see");
}

#[test]
fn a_system_that_gives_no_thread_is_told_as_that() {
    let home = tempfile::tempdir().unwrap();
    // More stack for each thread than there are addresses.
    let vars = [("RUST_MIN_STACK", "1000000000000000"), ("RAYON_NUM_THREADS", "1")];
    let mut term = Term::start_as(home.path(), &[], &vars, b"");
    assert_eq!(term.left(), 2);
    let said = String::from_utf8_lossy(&term.raw.lock().unwrap()).into_owned();
    assert!(!said.contains("panicked") && said.contains("protostill: "), "{said}");
}

#[test]
fn without_a_home_words_are_copied_to_the_terminal_and_the_lack_of_a_file_is_told() {
    let home = tempfile::tempdir().unwrap();
    let vars = [("HOME", ""), ("XDG_STATE_HOME", "")];
    let mut term = Term::start_as(home.path(), &["explore", "--session", "s.jsonl"], &vars, b"");
    term.sees("4 prototypes · set");
    term.press_until("3", "Candidates");
    term.press_until("y", "no file was written: HOME");
    assert!(String::from_utf8_lossy(&term.raw.lock().unwrap()).contains("\u{1b}]52;c;"));
    term.press("q");
    assert_eq!(term.left(), 0);
}

#[test]
fn a_session_refuses_flags_that_say_other_than_it_was_made_with() {
    let home = tempfile::tempdir().unwrap();
    let own = ["explore", "--session", "s.jsonl"];
    let mut term = Term::start_as(home.path(), &own, &[], b"");
    term.press_until("", "4 prototypes · set");
    term.press("q");
    assert_eq!(term.left(), 0);
    let kept = std::fs::read(home.path().join("s.jsonl")).unwrap();
    std::fs::create_dir(home.path().join("other")).unwrap();
    for (flags, said) in [
        (&["--seed", "8"][..], "--seed: says seed 8, but the session was made with 7"),
        (&["--data", "other"], "but the session was made with world"),
    ] {
        let mut term = Term::start_as(home.path(), &[&own, flags].concat(), &[], b"");
        assert_eq!(term.left(), 2);
        let raw = String::from_utf8_lossy(&term.raw.lock().unwrap()).into_owned();
        assert!(raw.contains(said) && !raw.contains('\u{1b}'), "{raw}");
    }
    let settings = super::sessions::TINY.replace("steps = 3", "steps = 5");
    let mut term = Term::start_over(&settings, home.path(), &own, &[], b"");
    assert_eq!(term.left(), 2);
    assert!(String::from_utf8_lossy(&term.raw.lock().unwrap()).contains("says synthesis.steps 5"));
    assert_eq!(std::fs::read(home.path().join("s.jsonl")).unwrap(), kept);
    let mut term = Term::start_as(home.path(), &[&own[..], &["--seed", "7"]].concat(), &[], b"");
    term.sees("4 prototypes · set");
    term.press("q");
    assert_eq!(term.left(), 0);
}

#[test]
fn the_other_backspace_erases_in_every_field() {
    let home = tempfile::tempdir().unwrap();
    let mut term = Term::start_as(home.path(), &[], &[], b"");
    term.sees("4 prototypes · set");
    for field in ["1/", "3i\u{15}"] {
        term.press(field);
        term.press_until("wxyz", "wxyz");
        term.press("\u{8}\u{8}");
        term.until("two letters less", |text| text.contains("wx") && !text.contains("wxy"));
        term.press("\u{1b}");
        term.until("the field is closed", |text| !text.contains("wx"));
    }
    // The command line and the palette show what fits the letters.
    for (field, words, nothing) in
        [(":", "prunwx", "nothing begins so"), ("\u{10}", "undowx", "no command has these words")]
    {
        term.press(field);
        term.press_until(words, nothing);
        term.press("\u{8}\u{8}");
        term.until("what fits two letters less", |text| !text.contains(nothing));
        term.press("\u{1b}");
        term.until("the dialog is closed", |text| !text.contains('╭'));
    }
    term.press("q");
    assert_eq!(term.left(), 0);
}

#[test]
fn why_pictures_are_no_pixels_is_said_as_it_is() {
    let home = tempfile::tempdir().unwrap();
    for (args, vars, said) in [
        (&["explore", "--image-protocol", "half"][..], &[][..], "half-blocks: --image-protocol half"),
        (&["explore", "--image-protocol", "ascii"], &[], "letters: --image-protocol ascii"),
        (&["explore", "--image-protocol", "off"], &[], "nothing: --image-protocol off"),
        (&["explore", "--ascii"], &[], "letters: --ascii"),
        (&["explore", "--color", "none"], &[], "letters: --color none"),
        (&["explore"], &[("NO_COLOR", "1")], "letters: NO_COLOR is set"),
    ] {
        let mut term = Term::start_as(home.path(), args, vars, b"");
        term.press_until("6", &format!("pictures as {said}"));
        assert!(!String::from_utf8_lossy(&term.raw.lock().unwrap()).contains("\u{1b}_G"), "it was asked for pixels");
        term.press("q");
        term.left();
    }
}

#[test]
fn a_link_that_drops_stops_nothing_that_was_asked_for() {
    let home = tempfile::tempdir().unwrap();
    let session = home.path().join("s.jsonl");
    let mut term = Term::start_as(home.path(), &["explore", "--session", "s.jsonl"], &[], b"");
    term.sees("4 prototypes · set");
    term.press_until("E", "more waiting");
    term.signal("HUP");
    assert_eq!(term.left(), 0);
    assert!(term.is_restored());
    let start = Instant::now();
    let judged = |entry: &protostill::app::Entry| matches!(entry, protostill::app::Entry::Score(_));
    while !protostill::journal::read(&session).unwrap().entries.iter().any(judged) {
        let said = std::fs::read_to_string(home.path().join("s.jsonl.out")).unwrap_or_default();
        assert!(start.elapsed() < Duration::from_secs(120), "it did not go on: {said}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
