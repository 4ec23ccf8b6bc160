//! The real program in a real terminal.

use super::view::cells;
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use std::{
    io::{Read, Write},
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

pub struct Term {
    pub screen: Arc<Mutex<vt100::Parser>>,
    pub raw: Arc<Mutex<Vec<u8>>>,
    keys: Arc<Mutex<Box<dyn Write + Send>>>,
    master: Box<dyn MasterPty + Send>,
    child: Box<dyn Child + Send + Sync>,
}

fn size(cols: u16, rows: u16) -> PtySize {
    PtySize { cols, rows, pixel_width: 0, pixel_height: 0 }
}

impl Term {
    fn start(home: &Path, args: &[&str]) -> Self {
        Self::start_as(home, args, &[], b"")
    }

    /// In a terminal with these variables, which answers like this when it is asked for its attributes.
    pub fn start_as(home: &Path, args: &[&str], vars: &[(&str, &str)], answer: &'static [u8]) -> Self {
        Self::start_over(super::sessions::TINY, home, args, vars, answer)
    }

    /// With these settings.
    pub fn start_over(
        settings: &str,
        home: &Path,
        args: &[&str],
        vars: &[(&str, &str)],
        answer: &'static [u8],
    ) -> Self {
        let config = home.join("tiny.toml");
        std::fs::write(&config, settings).unwrap();
        // Somebody who was shown around before.
        std::fs::create_dir_all(home.join("state/protostill")).unwrap();
        std::fs::write(home.join("state/protostill/toured"), "").unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_protostill"));
        command.args(args);
        command.args(["--config".into(), config.into_os_string()]);
        Self::run(command, home, vars, answer)
    }

    fn run(mut command: CommandBuilder, home: &Path, vars: &[(&str, &str)], answer: &'static [u8]) -> Self {
        let pair = native_pty_system().openpty(size(100, 30)).unwrap();
        command.env_clear();
        command.env("HOME", home);
        command.env("XDG_CACHE_HOME", home.join("cache"));
        command.env("XDG_STATE_HOME", home.join("state"));
        for (name, value) in
            [("TERM", "xterm-256color"), ("COLORTERM", "truecolor"), ("LANG", "C.UTF-8")].iter().chain(vars)
        {
            command.env(name, value);
        }
        command.cwd(home);
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let screen = Arc::new(Mutex::new(super::view::terminal(100, 30)));
        let raw = Arc::new(Mutex::new(Vec::new()));
        let keys = Arc::new(Mutex::new(pair.master.take_writer().unwrap()));
        let (mut out, shown, kept) = (pair.master.try_clone_reader().unwrap(), screen.clone(), raw.clone());
        let replies = keys.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(n @ 1..) = out.read(&mut bytes) {
                shown.lock().unwrap().process(&bytes[..n]);
                kept.lock().unwrap().extend_from_slice(&bytes[..n]);
                if !answer.is_empty() && bytes[..n].windows(3).any(|w| w == b"\x1b[c") {
                    replies.lock().unwrap().write_all(answer).unwrap();
                }
            }
        });
        Self { screen, raw, keys, master: pair.master, child }
    }

    pub fn resize(&self, cols: u16, rows: u16) {
        self.resize_with_cells_of(cols, rows, (0, 0));
    }

    /// To so many cells of so many pixels.
    pub fn resize_with_cells_of(&self, cols: u16, rows: u16, (width, height): (u16, u16)) {
        self.screen.lock().unwrap().screen_mut().set_size(cells(rows), cells(cols));
        let (pixel_width, pixel_height) = (cols * width, rows * height);
        self.master.resize(PtySize { pixel_width, pixel_height, ..size(cols, rows) }).unwrap();
    }

    pub fn text(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    pub fn press(&mut self, keys: &str) {
        self.send(keys.as_bytes());
    }

    /// What no keyboard of a UTF-8 terminal sends, too.
    pub fn send(&mut self, bytes: &[u8]) {
        let mut to = self.keys.lock().unwrap();
        to.write_all(bytes).unwrap();
        to.flush().unwrap();
    }

    pub fn until(&self, what: &str, such: impl Fn(&str) -> bool) {
        let start = Instant::now();
        while !such(&self.text()) {
            assert!(start.elapsed() < Duration::from_secs(120), "waited for {what}:\n{}", self.text());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn sees(&self, words: &str) {
        self.until(words, |text| text.contains(words));
    }

    pub fn press_until(&mut self, keys: &str, words: &str) {
        self.press(keys);
        self.sees(words);
    }

    /// The exit status, once it has left.
    pub fn left(&mut self) -> u32 {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                // The reader needs a moment for the last bytes.
                std::thread::sleep(Duration::from_millis(100));
                return status.exit_code();
            }
            assert!(start.elapsed() < Duration::from_secs(30), "still there:\n{}", self.text());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn is_restored(&self) -> bool {
        let screen = self.screen.lock().unwrap();
        let screen = screen.screen();
        !screen.alternate_screen() && !screen.hide_cursor() && !screen.bracketed_paste()
    }

    /// Whether lines are edited by the terminal again.
    pub fn is_cooked(&self) -> bool {
        let name = self.master.tty_name().unwrap();
        let told = std::process::Command::new("stty").arg("-F").arg(name).arg("-a").output().unwrap();
        String::from_utf8_lossy(&told.stdout).split_whitespace().any(|word| word == "icanon")
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.process_id().unwrap().to_string();
        std::process::Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap();
    }
}

#[test]
fn a_first_run_needs_no_manual() {
    let home = tempfile::tempdir().unwrap();
    let mut term = Term::start(home.path(), &[]);
    term.sees("4 prototypes · set");
    term.sees("300 of 300 stay (100.0 %) by trust");
    term.press_until("llll", "prune   4 %");
    term.press_until("2", "prototypes     4");
    term.press_until("+", "prototypes     5");
    term.sees("5 prototypes · set");
    term.press_until("u", "undone: 5 prototypes");
    term.sees("4 prototypes · set");
    term.press_until("3", "Candidates");
    term.press_until("i", "caption of prototype 1");
    term.press("\u{15}猫 and a circle\r");
    term.sees("edited 猫 and a circle");
    term.press("u");
    term.until("the old caption", |text| !text.contains("猫"));
    // The fourth tab, by mouse.
    term.press_until("\u{1b}[<0;45;2M\u{1b}[<0;45;2m", "not synthesised");
    term.press_until("s", "1 ● fresh");
    term.press_until("?", "keys and words");
    term.press("\u{1b}");
    term.until("help is closed", |text| !text.contains("keys and words"));
    term.press("q");
    assert_eq!(term.left(), 0);
    assert!(term.is_restored());
    assert!(String::from_utf8_lossy(&term.raw.lock().unwrap()).contains("protostill explore --session"));
}

#[test]
fn a_letter_in_latin_1_costs_the_key_after_it_at_most_typed_early_or_late_or_pasted() {
    let home = tempfile::tempdir().unwrap();
    // Without an answer the first keys are read before events are.
    let mut term = Term::start_as(home.path(), &[], &[], b"");
    term.send(b"\xe9\xfc");
    term.press_until("2", "prototypes     4");
    for bytes in [&b"\xe9"[..], b"\xfc\xdf", b"\xf0", b"\x1b[200~caf\xe9\x1b[201~"] {
        term.send(bytes);
        term.press("  ");
        term.press_until("3", "Candidates");
        term.press_until("2", "prototypes     4");
    }
    term.press("qq");
    assert_eq!(term.left(), 0);
}

#[test]
fn recall_is_measured_from_inside() {
    let home = tempfile::tempdir().unwrap();
    let mut term = Term::start(home.path(), &[]);
    term.sees("4 prototypes · set");
    term.press_until("5", "nothing was judged yet");
    term.press_until("\r", "the set on screen");
    term.sees("vit × 2");
    term.press_until("a", "yardstick");
    term.press("q");
    assert_eq!(term.left(), 0);
}

#[test]
fn decisions_outlive_kill_9() {
    let home = tempfile::tempdir().unwrap();
    let journal = home.path().join("s.jsonl");
    let args = ["explore", "--session", journal.to_str().unwrap()];
    let mut term = Term::start(home.path(), &args);
    term.sees("4 prototypes · set");
    term.press_until("2++", "6 prototypes · set");
    term.signal("KILL");
    term.left();
    let mut term = Term::start(home.path(), &args);
    term.sees("6 prototypes · set");
    term.press_until("u", "4 prototypes · set");
    term.press("q");
    assert_eq!(term.left(), 0);
}

#[test]
fn a_storm_of_resizes_leaves_a_whole_screen() {
    let home = tempfile::tempdir().unwrap();
    let mut term = Term::start(home.path(), &[]);
    term.sees("4 prototypes · set");
    term.press("4");
    for i in 0..60u16 {
        let (cols, rows) = (40 + i * 37 % 120, 10 + i * 13 % 40);
        term.resize(cols, rows);
        std::thread::sleep(Duration::from_millis(5));
    }
    term.resize(52, 14);
    term.sees("60x16");
    term.resize(120, 40);
    term.press("\u{c}");
    term.sees("Nearest real pairs");
    term.press("q");
    assert_eq!(term.left(), 0);
}

#[test]
fn quitting_while_something_runs_asks_first() {
    let home = tempfile::tempdir().unwrap();
    let mut term = Term::start(home.path(), &[]);
    term.sees("4 prototypes · set");
    term.press("4TTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTT");
    term.press_until("S", "synthesise 4 pictures");
    term.press_until("q", "Still at work");
    term.press("y");
    assert_eq!(term.left(), 0);
    assert!(term.is_restored());
}

#[test]
fn pictures_form_while_they_denoise() {
    let home = tempfile::tempdir().unwrap();
    let mut term = Term::start(home.path(), &[]);
    term.sees("4 prototypes · set");
    term.press("4TTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTT");
    term.press_until("s", "forming, step");
    term.press("q");
    term.press_until("", "Still at work");
    term.press("y");
    assert_eq!(term.left(), 0);
}

#[test]
fn without_a_terminal_it_says_what_works_without_one() {
    let out = std::process::Command::new(env!("CARGO_BIN_EXE_protostill")).output().unwrap();
    assert_eq!(out.status.code(), Some(2));
    let words = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(words.contains("terminal") && words.contains("distill"), "{words}");
    assert!(!words.contains('\u{1b}') && out.stdout.is_empty());
}

#[test]
fn words_are_copied_to_the_terminal_and_to_a_file() {
    let home = tempfile::tempdir().unwrap();
    let mut term = Term::start(home.path(), &[]);
    term.sees("4 prototypes · set");
    term.press_until("3", "Candidates");
    term.press_until("y", "copied, also to");
    let copied = std::fs::read_to_string(home.path().join("state/protostill/copied.txt")).unwrap();
    let letters = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &copied);
    let sent = format!("\u{1b}]52;c;{letters}\u{7}");
    assert!(!copied.is_empty() && String::from_utf8_lossy(&term.raw.lock().unwrap()).contains(&sent));
    term.press("q");
    assert_eq!(term.left(), 0);
}

#[test]
fn suspending_gives_the_terminal_back_and_takes_it_again() {
    let home = tempfile::tempdir().unwrap();
    let mut term = Term::start(home.path(), &[]);
    term.sees("4 prototypes · set");
    term.press("\u{1a}");
    // Without a shell above it the program is not stopped: it goes on at once.
    let start = Instant::now();
    let left_and_back = |raw: &[u8]| {
        let text = String::from_utf8_lossy(raw).into_owned();
        text.rsplit_once("\u{1b}[?1049l").is_some_and(|(_, after)| after.contains("\u{1b}[?1049h"))
    };
    while !left_and_back(&term.raw.lock().unwrap()) {
        assert!(start.elapsed() < Duration::from_secs(20), "{}", term.text());
        std::thread::sleep(Duration::from_millis(20));
    }
    term.signal("CONT");
    term.sees("4 prototypes · set");
    term.press("q");
    assert_eq!(term.left(), 0);
    assert!(term.is_restored());
}

#[test]
fn keys_can_be_bound_and_a_wrong_binding_is_named_with_file_and_line() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join(".config/protostill/keys.toml");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "\"pane.log\" = [\"F6\"]\n").unwrap();
    let mut term = Term::start(home.path(), &[]);
    term.sees("4 prototypes · set");
    term.press_until("\u{1b}[17~", "pictures as half-blocks");
    term.press("q");
    assert_eq!(term.left(), 0);
    std::fs::write(&file, "\n\"no.such\" = [\"x\"]\n").unwrap();
    let mut term = Term::start(home.path(), &[]);
    assert_eq!(term.left(), 2);
    term.sees("keys.toml: line 2: no command is called `no.such`");
}

/// Takes the terminal, and loses it as the variable says.
#[test]
#[ignore = "run by the next test, in a terminal of its own"]
fn lose_the_terminal() {
    let _screen = protostill::ui::terminal::Screen::enter().unwrap();
    if std::env::var("BY").as_deref() == Ok("panic") {
        panic!("a bug in the loop");
    }
}

#[test]
fn the_terminal_is_given_back_after_a_panic_and_after_an_error_and_a_crash_leaves_a_report() {
    for by in ["panic", "error"] {
        let home = tempfile::tempdir().unwrap();
        let mut command = CommandBuilder::new(std::env::current_exe().unwrap());
        command.args(["--exact", "pty::lose_the_terminal", "--ignored", "--nocapture"]);
        let mut term = Term::run(command, home.path(), &[("BY", by)], b"");
        term.left();
        let raw = String::from_utf8_lossy(&term.raw.lock().unwrap()).into_owned();
        assert!(raw.contains("\u{1b}[?1049h") && term.is_restored(), "{by}: {raw}");
        let order = ["\u{1b}[?1002l", "\u{1b}[?1049l", "\u{1b}[?25h"].map(|code| raw.rfind(code).unwrap());
        assert!(order.is_sorted(), "{by}: mouse off, alternate screen left, cursor on: {order:?}");
        let reports = std::fs::read_dir(home.path().join("state/protostill")).map_or(0, Iterator::count);
        assert_eq!((reports, raw.contains("a report is in")), if by == "panic" { (1, true) } else { (0, false) });
    }
}
