//! Checkpoints that come from the hub while the explorer is on screen.

use super::{
    pty::Term,
    server::{hub, plain},
    sessions::TINY,
};
use std::time::Duration;

#[test]
fn fetching_is_shown_can_be_cancelled_and_goes_on_at_the_next_start() {
    let home = tempfile::tempdir().unwrap();
    let (hub, store) = hub(|request, bytes| {
        std::thread::sleep(Duration::from_millis(800));
        plain(request, bytes)
    });
    let (url, cache) = (hub.url(), home.path().join("hub").display().to_string());
    let vars = [("HF_ENDPOINT", url.as_str()), ("HF_HUB_CACHE", cache.as_str())];
    let settings = TINY.replacen("clip = \"demo\"", "clip = \"org/clip\"", 1);
    let start = || Term::start_over(&settings, home.path(), &["explore"], &vars, b"\x1b[?62;22c");
    let mut term = start();
    term.sees("fetch, MB");
    term.press_until("\x03", "embedding was cancelled");
    term.press("q");
    assert_eq!(term.left(), 0);
    let mut term = start();
    term.sees("fetch, MB");
    term.sees("4 prototypes · set");
    assert!(!store.asked().is_empty());
    term.press("q");
    assert_eq!(term.left(), 0);
}
