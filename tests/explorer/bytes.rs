//! What frames cost on the wire, through a real terminal: a remote link has a megabit a second or so.
#![allow(clippy::print_stdout)]

use super::pty::Term;
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// Pictures enough to fill the gallery, with all that a restless picture has.
const FULL: &str = r#"
seed = 7
method = "pds"
[data]
source = "world"
scenes = 200
[models]
clip = "demo"
decoder = "demo"
encoders = "demo"
[cluster]
prototypes = 50
[synthesis]
steps = 2
candidates = 1
guidance = 3.0
preview_every = 0
"#;

/// Bytes that went out until the screen was still.
fn spent(term: &Term, from: usize) -> usize {
    let (mut last, mut since) = (0, Instant::now());
    while since.elapsed() < Duration::from_millis(700) {
        let now = term.raw.lock().unwrap().len();
        if now != last {
            (last, since) = (now, Instant::now());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    last - from
}

/// Bytes that keys cost.
fn cost(term: &mut Term, keys: &str) -> usize {
    let before = term.raw.lock().unwrap().len();
    term.press(keys);
    spent(term, before)
}

/// Costs of entering the gallery, of a step in it, of the help over it and of closing that.
fn costs(home: &Path, size: (u16, u16), answer: &'static [u8], pixels: bool) -> [usize; 4] {
    let mut term = Term::start_over(FULL, home, &[], &[], answer);
    term.resize_with_cells_of(size.0, size.1, if pixels { (8, 16) } else { (0, 0) });
    term.sees("50 prototypes · set");
    term.press_until("4S", "all fresh");
    // CLIP looks at the pictures; nothing moves after that.
    term.until("rest", |text| text.contains("E measures recall") || text.contains("on its way already"));
    spent(&term, 0);
    cost(&mut term, "1");
    let all = ["4", "l", "?", "\u{1b}"].map(|keys| cost(&mut term, keys));
    term.press("q");
    assert_eq!(term.left(), 0);
    println!("{size:?} {:?}: gallery {}, step {}, help {}, closed {}", answer.len(), all[0], all[1], all[2], all[3]);
    all
}

#[test]
fn a_remote_link_is_not_flooded_by_the_gallery_a_step_in_it_or_a_dialog_over_it() {
    let home = tempfile::tempdir().unwrap();
    let kinds: [(&'static [u8], bool); 3] = [(b"", false), (super::images::KITTY, true), (super::images::SIXEL, true)];
    for (answer, pixels) in kinds {
        for size in [(120, 40), (200, 60)] {
            let [gallery, step, help, closed] = costs(home.path(), size, answer, pixels);
            assert!(help < 10_000, "a dialog costs {help} bytes at {size:?}");
            if answer == super::images::SIXEL {
                // Its pixels come when the cells stand, and cannot be kept by the terminal.
                continue;
            }
            assert!(step < 40_000, "a step costs {step} bytes at {size:?}");
            assert!(size != (120, 40) || gallery < 125_000, "a second at a megabit, not {gallery} bytes");
            assert!(answer.is_empty() || closed < 10_000, "kitty has the pictures, and is sent {closed} bytes");
        }
    }
}
