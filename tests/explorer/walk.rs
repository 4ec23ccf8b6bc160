//! A walk through all of it in a real terminal, as somebody new would go: at the three sizes that people have.

use super::pty::Term;

/// The session of the walk that ended last, and how many there are.
fn sessions(home: &std::path::Path) -> Vec<std::path::PathBuf> {
    let files = std::fs::read_dir(home.join("state/protostill")).unwrap().map(|f| f.unwrap().path());
    let mut all: Vec<_> = files.filter(|p| p.extension().is_some_and(|e| e == "jsonl")).collect();
    all.sort();
    all
}

fn walk(home: &std::path::Path, (width, height): (u16, u16)) {
    let mut term = Term::start_over(super::sessions::TINY, home, &[], &[], b"");
    term.resize(width, height);
    // The threshold, and the number of prototypes.
    term.sees("by trust");
    term.press_until("l", "prune   1 %");
    term.press_until("u", "undone: prune");
    term.press_until("2", "prototypes     4");
    term.sees("Nearest real pairs");
    // In words, and back.
    term.press_until("f", "find by meaning");
    term.press_until("red circle\r", "nearest to \"red circle\"");
    term.press("\u{1b}");
    term.until("the usual order", |text| !text.contains("nearest to"));
    // One of them, a row behind it, and back.
    term.press_until("\r", "Rows behind it");
    term.press_until("j\r", "Captions of this image");
    term.press_until("\u{1b}", "Rows behind it");
    // What follows an escape at once is a key with Alt.
    term.press("\u{1b}");
    term.until("the list", |text| !text.contains("Rows behind it"));
    // A caption.
    term.press_until("3", "Candidates");
    term.press_until("i", "caption of prototype 1");
    term.press_until("\u{15}a red circle by hand\r", "edited a red circle");
    // Pictures, one of them large.
    term.press_until("4S", "all fresh");
    term.press_until("\r", " 1 of 4");
    term.press("\u{1b}");
    term.until("the tiles", |text| text.contains("4 ● fresh"));
    term.press_until("5", "Recall");
    // Judged, and a plot of it kept.
    term.press_until("E", "the set on screen");
    let plot = home.join("plot.svg");
    term.press_until(&format!(":save-plot {}\r", plot.display()), "written to");
    assert!(std::fs::read_to_string(&plot).unwrap().ends_with("</svg>\n"));
    // Left with something waiting, which goes on without the terminal.
    term.press("aq");
    term.sees("go on without a terminal");
    term.press("d");
    assert_eq!(term.left(), 0);
    assert!(term.is_restored());
    term.sees("it goes on without a terminal");
}

#[test]
fn a_walk_from_the_first_start_to_the_last_key_at_three_sizes() {
    let home = tempfile::tempdir().unwrap();
    for size in [(80, 24), (120, 40), (200, 60)] {
        walk(home.path(), size);
        // What waited is done, and the session is there again.
        let session = sessions(home.path()).pop().unwrap();
        let start = std::time::Instant::now();
        let judged = |path: &std::path::Path| {
            let held = protostill::journal::read(path).unwrap();
            held.entries.iter().filter(|e| matches!(e, protostill::app::Entry::Score(_))).count()
        };
        while judged(&session) < 2 {
            let said = std::fs::read_to_string(session.with_added_extension("out")).unwrap_or_default();
            assert!(start.elapsed().as_secs() < 120, "it did not go on: {said}");
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }
}
