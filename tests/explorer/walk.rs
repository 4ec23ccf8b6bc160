//! A walk through all of it in a real terminal, as somebody new would go: at the three sizes that people have.

use super::{pty::Term, sessions::TINY};
use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// The session of the walk.
fn session(home: &Path) -> PathBuf {
    let files = std::fs::read_dir(home.join("state/protostill")).unwrap().map(|f| f.unwrap().path());
    files.filter(|p| p.extension().is_some_and(|e| e == "jsonl")).max().unwrap()
}

/// Esc, and until `words` are gone: what follows at once would be a key with Alt.
fn back(term: &mut Term, words: &str) {
    term.press("\u{1b}");
    term.until(words, |text| !text.contains(words));
}

/// From the first start over the threshold and the number of prototypes to words, rows and captions.
fn look_around(term: &mut Term) {
    term.sees("by trust");
    term.sees("4 prototypes · set");
    term.press_until("l", "prune   1 %");
    term.press_until("u", "undone: prune");
    term.press_until("2", "prototypes     4");
    term.sees("4 prototypes · set");
    term.press_until("f", "find by meaning");
    term.press_until("red circle\r", "nearest to \"red circle\"");
    back(term, "nearest to");
    term.press_until("\r", "Rows behind it");
    term.press_until("j\r", "Captions of this image");
    term.press_until("\u{1b}", "Rows behind it");
    back(term, "Rows behind it");
    term.press_until("3", "Candidates");
    term.press_until("i", "caption of prototype");
    term.press_until("\u{15}a red circle by hand\r", "edited a red circle");
}

/// Pictures, one of them large; recall, and a plot of it kept.
fn draw_and_judge(term: &mut Term, home: &Path) {
    term.press_until("4S", "all fresh");
    term.press_until("\r", "h/l next");
    back(term, "h/l next");
    term.press_until("5", "Recall");
    term.press_until("E", "the set on screen");
    let plot = home.join("plot.svg");
    term.press_until(&format!(":save-plot {}\r", plot.display()), "written to");
    assert!(std::fs::read_to_string(&plot).unwrap().ends_with("</svg>\n"));
    let page = home.join("page.html");
    term.press_until(&format!(":report {}\r", page.display()), "a browser opens it");
    assert!(std::fs::read_to_string(&page).unwrap().contains("a red circle by hand"));
}

fn walk(home: &Path, (width, height): (u16, u16)) {
    let mut term = Term::start_over(TINY, home, &[], &[], b"");
    term.resize(width, height);
    look_around(&mut term);
    draw_and_judge(&mut term, home);
    // Real pairs beside the set, in two ways.
    term.press_until("a", "yardstick");
    term.press_until("=", "Side by side");
    term.sees("that correspond");
    back(&mut term, "Side by side");
    // Left with something waiting, which goes on without the terminal.
    term.press(":epochs 40000\r");
    term.press_until("E", "evaluate 4 pairs");
    term.press_until("q", "go on without a terminal");
    term.press("d");
    assert_eq!(term.left(), 0);
    assert!(term.is_restored());
    term.sees("it goes on without a terminal");
    attach(home, (width, height));
}

/// Looks on, and takes the session over.
fn attach(home: &Path, (width, height): (u16, u16)) {
    let session = session(home);
    let start = std::time::Instant::now();
    let live = home.join("state/protostill/live");
    while std::fs::read_dir(&live).map_or(0, Iterator::count) == 0 {
        assert!(start.elapsed().as_secs() < 30, "nobody lets look on");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    // Nobody else may look on.
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let socket = std::fs::read_dir(&live).unwrap().next().unwrap().unwrap().path();
    assert_eq!((mode(&live), mode(&socket)), (0o700, 0o600));
    let args = ["explore", "--session", session.to_str().unwrap()];
    let mut term = Term::start_over(TINY, home, &args, &[], b"");
    term.resize(width, height);
    term.sees("looking on · 4 prototypes · set");
    term.sees("elsewhere: evaluate 4 pairs");
    term.press_until("4", "Prototype");
    // To act it must be had; then what was left undone goes on here.
    term.press_until("r", "another process works in this session");
    term.press("y");
    term.until("the session is ours", |text| !text.contains("looking on"));
    term.press_until("5", "evaluate 4 pairs");
    term.press_until("q", "Still at work");
    term.press("y");
    assert_eq!(term.left(), 0);
    assert!(term.is_restored());
    term.sees("the session is kept");
}

#[test]
fn a_walk_from_the_first_start_to_the_last_key_at_three_sizes() {
    let home = tempfile::tempdir().unwrap();
    for size in [(80, 24), (120, 40), (200, 60)] {
        walk(home.path(), size);
    }
}
