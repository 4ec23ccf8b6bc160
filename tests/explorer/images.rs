//! Real pixels, as a terminal of each kind gets them: what the program sent is decoded here, and held to the half-blocks
//! that stand in the same cells.

use super::{pty::Term, view::cells};
use base64::{Engine, engine::general_purpose::STANDARD};
use image::RgbImage;
use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

/// A picture on a terminal's screen: first column, first line, columns, lines.
type At = (u16, u16, u16, u16);

/// What a terminal would show: pictures by placement, and the bytes each cost.
#[derive(Default)]
struct Graphics {
    kitty: BTreeMap<u32, (RgbImage, usize)>,
    /// By picture and placement.
    placed: BTreeMap<(u32, u32), At>,
    /// Pictures that are painted into the cells: where, what, what it cost, and where in the stream.
    painted: Vec<(At, RgbImage, usize, usize)>,
    sent: usize,
}

fn fields(text: &str, between: char) -> BTreeMap<String, String> {
    text.split(between).filter_map(|f| f.split_once('=')).map(|(k, v)| (k.into(), v.into())).collect()
}

fn number(fields: &BTreeMap<String, String>, key: &str) -> u32 {
    fields.get(key).and_then(|v| v.parse().ok()).unwrap_or(0)
}

fn decoded(letters: &str) -> RgbImage {
    image::load_from_memory(&STANDARD.decode(letters).unwrap()).unwrap().to_rgb8()
}

/// The end of `needle`'s first occurrence from `at`.
fn after(bytes: &[u8], at: usize, needle: &[u8]) -> Option<usize> {
    bytes[at..].windows(needle.len()).position(|w| w == needle).map(|n| at + n + needle.len())
}

/// Reads a stream of bytes as a terminal does that knows all three protocols, with cells of 6 by 12 pixels.
fn graphics(bytes: &[u8]) -> Graphics {
    graphics_in((6, 12), bytes)
}

fn graphics_in(cell: (u32, u32), bytes: &[u8]) -> Graphics {
    let mut found = Graphics::default();
    let (mut at, mut cursor, mut partial) = (0, (0u16, 0u16), (String::new(), BTreeMap::new()));
    while at < bytes.len() {
        let rest = &bytes[at..];
        let end = |needle: &[u8]| after(bytes, at, needle);
        if rest.starts_with(b"\x1b[") {
            let Some(len) = rest[2..].iter().position(|b| (0x40..0x7f).contains(b)) else { break };
            let text = std::str::from_utf8(&rest[2..2 + len]).unwrap();
            if rest[2 + len] == b'H' {
                let (y, x) = text.split_once(';').unwrap_or(("1", "1"));
                cursor = (x.parse::<u16>().unwrap_or(1) - 1, y.parse::<u16>().unwrap_or(1) - 1);
            }
            at += len + 3;
        } else if rest.starts_with(b"\x1b_G") {
            let Some(to) = end(b"\x1b\\") else { break };
            found.code(std::str::from_utf8(&bytes[at + 3..to - 2]).unwrap(), cursor, &mut partial);
            at = to;
        } else if rest.starts_with(b"\x1b]1337;File=") {
            let Some(to) = end(b"\x07") else { break };
            let (head, letters) = std::str::from_utf8(&bytes[at + 12..to - 1]).unwrap().split_once(':').unwrap();
            let head = fields(head, ';');
            let area = (cursor.0, cursor.1, number(&head, "width") as u16, number(&head, "height") as u16);
            found.painted.push((area, decoded(letters), to - at, to));
            at = to;
        } else if rest.starts_with(b"\x1bP") {
            let Some(to) = end(b"\x1b\\") else { break };
            let picture = sixel(&bytes[at..to - 2]);
            let area = (cursor.0, cursor.1, (picture.width() / cell.0) as u16, (picture.height() / cell.1) as u16);
            found.painted.push((area, picture, to - at, to));
            at = to;
        } else {
            at += 1;
        }
    }
    found
}

impl Graphics {
    fn code(&mut self, code: &str, cursor: (u16, u16), partial: &mut (String, BTreeMap<String, String>)) {
        let (head, letters) = code.split_once(';').unwrap_or((code, ""));
        let head = fields(head, ',');
        let (id, place) = (number(&head, "i"), number(&head, "p"));
        match head.get("a").map(String::as_str) {
            Some("q") => {}
            Some("p") => {
                assert!(self.kitty.contains_key(&id), "picture {id} was never sent");
                let area = (cursor.0, cursor.1, number(&head, "c") as u16, number(&head, "r") as u16);
                self.placed.insert((id, place), area);
            }
            Some("d") if head["d"] == "A" => (self.kitty, self.placed) = Default::default(),
            Some("d") => {
                self.placed.remove(&(id, place));
                if head["d"] == "I" {
                    self.kitty.remove(&id);
                }
            }
            _ => {
                if head.contains_key("a") {
                    *partial = (String::new(), head.clone());
                }
                partial.0.push_str(letters);
                if number(&head, "m") == 0 {
                    self.sent += 1;
                    self.kitty.insert(number(&partial.1, "i"), (decoded(&partial.0), partial.0.len()));
                }
            }
        }
    }
}

/// A sixel picture (DEC STD 070): bands of six lines, one colour after the other.
fn sixel(code: &[u8]) -> RgbImage {
    let start = code.iter().position(|&b| b == b'q').unwrap() + 1;
    let (mut colours, mut colour) = (BTreeMap::<u32, [u8; 3]>::new(), [0; 3]);
    let (mut x, mut band, mut repeat, mut pixels) = (0u32, 0u32, 1u32, BTreeMap::new());
    let mut at = start;
    let numbers = |at: &mut usize| {
        let from = *at;
        while *at < code.len() && (code[*at].is_ascii_digit() || code[*at] == b';') {
            *at += 1;
        }
        let text = std::str::from_utf8(&code[from..*at]).unwrap();
        text.split(';').map(|n| n.parse().unwrap_or(0)).collect::<Vec<u32>>()
    };
    while at < code.len() {
        let byte = code[at];
        at += 1;
        match byte {
            b'"' => drop(numbers(&mut at)),
            b'#' => {
                let n = numbers(&mut at);
                if let [id, 2, r, g, b] = n[..] {
                    colours.insert(id, [r, g, b].map(|v| (v * 255 / 100) as u8));
                }
                colour = colours[&n[0]];
            }
            b'!' => repeat = numbers(&mut at)[0],
            b'$' => x = 0,
            b'-' => (x, band) = (0, band + 1),
            b'?'..=b'~' => {
                for _ in 0..repeat {
                    for bit in (0..6).filter(|bit| (byte - b'?') >> bit & 1 == 1) {
                        pixels.insert((x, band * 6 + bit), colour);
                    }
                    x += 1;
                }
                repeat = 1;
            }
            _ => {}
        }
    }
    let width = pixels.keys().map(|p| p.0).max().unwrap() + 1;
    let height = pixels.keys().map(|p| p.1).max().unwrap() + 1;
    RgbImage::from_fn(width, height, |x, y| image::Rgb(*pixels.get(&(x, y)).unwrap_or(&[0; 3])))
}

/// Mean difference of a picture and the half-blocks in its cells, in 1/255.
fn difference(term: &Term, at: At, picture: &RgbImage) -> f64 {
    let screen = term.screen.lock().unwrap();
    let small =
        image::imageops::resize(picture, at.2.into(), u32::from(at.3) * 2, image::imageops::FilterType::Triangle);
    let (mut sum, mut n) = (0.0, 0.0);
    for (x, y, pixel) in small.enumerate_pixels() {
        let cell = screen.screen().cell(at.1 + (y / 2) as u16, at.0 + x as u16).unwrap();
        assert_eq!(cell.contents(), "▀");
        let colour = if y % 2 == 0 { cell.fgcolor() } else { cell.bgcolor() };
        let vt100::Color::Rgb(r, g, b) = colour else { panic!("{colour:?}") };
        sum += [r, g, b].iter().zip(pixel.0).map(|(&a, b)| f64::from(a.abs_diff(b))).sum::<f64>();
        n += 3.0;
    }
    sum / n
}

fn wait<T>(term: &Term, what: &str, such: impl Fn(&Graphics, usize) -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        let bytes = term.raw.lock().unwrap().clone();
        if let Some(found) = such(&graphics(&bytes), bytes.len()) {
            return found;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "waited for {what}:\n{}", term.text());
        std::thread::sleep(Duration::from_millis(30));
    }
}

/// Four photo-like pictures, 512 pixels square: five octaves of noise, each half as strong, as in nature.
fn photos(home: &Path) -> String {
    let folder = home.join("photos/train");
    std::fs::create_dir_all(&folder).unwrap();
    let mut lines = String::new();
    for n in 0..8u32 {
        let value = |x: u32, y: u32, c: u32| {
            let mut v =
                (x ^ y.wrapping_mul(0x9e37_79b9) ^ (c + 7 * n).wrapping_mul(0x85eb_ca6b)).wrapping_mul(0xc2b2_ae35);
            v ^= v >> 15;
            f64::from(v.wrapping_mul(0x27d4_eb2f) >> 8) / f64::from(1 << 24)
        };
        let smooth = |x: u32, y: u32, c: u32| {
            let octave = |o: u32| {
                let (step, s) = (128 >> o, f64::from(128u32 >> o));
                let (i, j, u, v) = (x / step, y / step, f64::from(x % step) / s, f64::from(y % step) / s);
                let at = |i, j| value(i + 1000 * o, j, c);
                let row = |j| at(i, j) * (1.0 - u) + at(i + 1, j) * u;
                (row(j) * (1.0 - v) + row(j + 1) * v) * 0.5f64.powi(o as i32)
            };
            ((0..5).map(octave).sum::<f64>() / 1.94 * 255.0) as u8
        };
        RgbImage::from_fn(512, 512, |x, y| image::Rgb([0, 1, 2].map(|c| smooth(x, y, c))))
            .save(folder.join(format!("{n}.png")))
            .unwrap();
        lines += &format!("{{\"file_name\": \"{n}.png\", \"text\": \"photo number {n}\"}}\n");
    }
    std::fs::write(folder.join("metadata.jsonl"), lines).unwrap();
    home.join("photos").to_str().unwrap().to_owned()
}

pub const KITTY: &[u8] = b"\x1b_Gi=31;OK\x1b\\\x1b[?62;22c";
pub const SIXEL: &[u8] = b"\x1b[?62;4;22c";
const PLAIN: &[u8] = b"\x1b[?62;22c";

/// A preview of 40 by 20 cells may cost so many bytes.
const MOST: usize = 80 * 1024;

fn opened(home: &Path, vars: &[(&str, &str)], answer: &'static [u8]) -> Term {
    let data = photos(home);
    let term = Term::start_as(home, &["explore", "--data", &data], vars, answer);
    term.resize(150, 48);
    term.sees("photo number");
    term
}

/// What a picture costs on 40 by 20 cells, by what it cost on these.
fn at_40_by_20(cost: usize, at: At) -> usize {
    assert!(at.2 >= 24 && at.3 >= 12, "a picture of {at:?} cells says little");
    cost * 800 / usize::from(at.2 * at.3)
}

#[test]
fn kitty_gets_each_picture_once_and_loses_it_under_dialogs_and_on_quitting() {
    let home = tempfile::tempdir().unwrap();
    let mut term = opened(home.path(), &[], KITTY);
    let (at, picture, cost) = wait(&term, "a picture", |g, _| {
        let (&(id, _), &at) = g.placed.iter().next()?;
        Some((at, g.kitty[&id].0.clone(), g.kitty[&id].1))
    });
    // A photograph's half-blocks are told in fewer colours than it has.
    assert!(difference(&term, at, &picture) < 12.0, "{}", difference(&term, at, &picture));
    assert!(at_40_by_20(cost, at) <= MOST, "{cost} bytes for {at:?}");
    let sent = |term: &Term| graphics(&term.raw.lock().unwrap()).sent;
    let before = sent(&term);
    term.press_until("?", "keys and words");
    let dialog = dialog(&term);
    wait(&term, "the dialog to be free", |g, _| g.placed.values().all(|at| !meets(*at, dialog)).then_some(()));
    term.press("\x1b");
    term.until("no dialog", |text| !text.contains("keys and words"));
    wait(&term, "the picture again", |g, _| (g.placed.len() == 1).then_some(()));
    assert_eq!(sent(&term), before, "an unchanged picture went over the wire twice");
    term.press("j");
    wait(&term, "the next picture", |g, _| (g.sent > before && g.placed.len() == 1).then_some(()));
    term.press("6");
    wait(&term, "no picture", |g, _| g.placed.is_empty().then_some(()));
    term.press("1");
    wait(&term, "a picture", |g, _| (g.placed.len() == 1).then_some(()));
    term.press("q");
    assert_eq!(term.left(), 0);
    let end = graphics(&term.raw.lock().unwrap());
    assert!(end.placed.is_empty() && end.kitty.is_empty());
}

/// The cells of the dialog on screen.
fn dialog(term: &Term) -> At {
    term.sees("╯");
    let text = term.text();
    let lines: Vec<Vec<char>> = text.lines().map(|l| l.chars().collect()).collect();
    let place = |corner: char| {
        let y = lines.iter().position(|l| l.contains(&corner)).unwrap();
        (lines[y].iter().position(|c| *c == corner).unwrap() as u16, y as u16)
    };
    let ((left, top), (right, bottom)) = (place('╭'), place('╯'));
    (left, top, right - left + 1, bottom - top + 1)
}

fn meets(a: At, b: At) -> bool {
    a.0 < b.0 + b.2 && b.0 < a.0 + a.2 && a.1 < b.1 + b.3 && b.1 < a.1 + a.3
}

fn painted(vars: &[(&str, &str)], answer: &'static [u8], exactness: f64) {
    let home = tempfile::tempdir().unwrap();
    let mut term = opened(home.path(), vars, answer);
    let (at, picture, cost) =
        wait(&term, "a picture", |g, _| g.painted.last().map(|(at, picture, cost, _)| (*at, picture.clone(), *cost)));
    let far = difference(&term, at, &picture);
    assert!(far < exactness, "{far}");
    assert!(at_40_by_20(cost, at) <= MOST, "{cost} bytes for {at:?}");
    for (leave, back) in [("6", "1"), ("?", "\x1b"), ("j", "k")] {
        let (from, n) = wait(&term, "a picture", |g, _| g.painted.last().map(|p| (p.3, g.painted.len())));
        term.press(leave);
        let over = (leave == "?").then(|| {
            term.sees("keys and words");
            dialog(&term)
        });
        // Every cell under the picture must be written again, whatever it holds now.
        wait(&term, "the cells to be written again", |_, _| {
            let mut screen = super::view::terminal(150, 48);
            screen.screen_mut().set_size(cells(48), cells(150));
            screen.process("\x1b[H".as_bytes());
            screen.process("#".repeat(150 * 48).as_bytes());
            screen.process(&term.raw.lock().unwrap()[from..]);
            let held = |x, y| screen.screen().cell(y, x).unwrap().contents() == "#";
            // Beside a dialog pixels stay.
            let gone = |x, y| over.is_none_or(|over| meets((x, y, 1, 1), over));
            let left = (at.1..at.1 + at.3).any(|y| (at.0..at.0 + at.2).any(|x| gone(x, y) && held(x, y)));
            (!left).then_some(())
        });
        term.press(back);
        wait(&term, "the picture to come back", |g, _| (g.painted.len() > n).then_some(()));
    }
    term.press("q");
    assert_eq!(term.left(), 0);
}

#[test]
fn iterm2_gets_pictures_as_files_and_has_its_cells_written_again_when_they_go() {
    painted(&[("TERM_PROGRAM", "iTerm.app")], PLAIN, 12.0);
}

#[test]
fn a_sixel_terminal_gets_sixels_and_has_its_cells_written_again_when_they_go() {
    painted(&[], SIXEL, 12.0);
}

#[test]
fn a_sixel_picture_fills_its_cells_whatever_their_size_and_costs_no_more_on_a_large_screen() {
    for (told, answer) in [((10, 20), SIXEL), ((0, 0), b"\x1b[6;20;10t\x1b[?62;4;22c")] {
        let home = tempfile::tempdir().unwrap();
        let data = photos(home.path());
        let mut term = Term::start_as(home.path(), &["explore", "--data", &data], &[], answer);
        term.resize_with_cells_of(200, 60, told);
        term.sees("photo number");
        let half_blocks = |term: &Term, at: At| {
            let screen = term.screen.lock().unwrap();
            let is = |x, y| screen.screen().cell(y, x).is_some_and(|c| c.contents() == "▀");
            (at.0..at.0 + at.2).all(|x| is(x, at.1)) && !is(at.0 + at.2, at.1) && !is(at.0, at.1 + at.3)
        };
        let start = Instant::now();
        loop {
            let found = graphics_in((10, 20), &term.raw.lock().unwrap());
            let fits = found.painted.iter().rev().find(|p| p.0.2 > 24 && half_blocks(&term, p.0));
            if let Some((at, picture, cost, _)) = fits {
                assert!(*cost <= MOST, "{cost} bytes for {at:?}");
                assert!(difference(&term, *at, picture) < 16.0, "{}", difference(&term, *at, picture));
                break;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "{:?}:\n{}", told, term.text());
            std::thread::sleep(Duration::from_millis(50));
        }
        term.press("q");
        assert_eq!(term.left(), 0);
    }
}

#[test]
fn a_protocol_that_is_asked_for_is_spoken_whatever_the_terminal_answers() {
    for (name, answer) in [("sixel", PLAIN), ("sixel", b""), ("iterm2", PLAIN), ("kitty", PLAIN), ("kitty", b"")] {
        let home = tempfile::tempdir().unwrap();
        let data = photos(home.path());
        let args = ["explore", "--data", &data, "--image-protocol", name];
        let mut term = Term::start_as(home.path(), &args, &[], answer);
        term.sees("photo number");
        wait(&term, name, |g, _| (g.painted.len() + g.placed.len() > 0).then_some(()));
        term.press_until("6", "as asked, although");
        term.press("q");
        assert_eq!(term.left(), 0);
    }
}

#[test]
fn a_terminal_that_knows_no_pictures_is_sent_none() {
    let home = tempfile::tempdir().unwrap();
    let mut term = opened(home.path(), &[], PLAIN);
    std::thread::sleep(Duration::from_millis(600));
    let raw = term.raw.lock().unwrap().clone();
    let found = graphics(&raw);
    assert!(found.painted.is_empty() && found.kitty.is_empty());
    term.sees("half-blocks: the terminal names no picture protocol");
    term.press_until("6", "pictures as half-blocks: the terminal names no picture protocol");
    term.press("q");
    assert_eq!(term.left(), 0);
}

#[test]
fn what_is_typed_while_the_terminal_is_asked_is_not_lost() {
    let home = tempfile::tempdir().unwrap();
    let data = photos(home.path());
    let mut term = Term::start_as(home.path(), &["explore", "--data", &data], &[], b"6\x1b[?62;22c");
    term.sees("half-blocks: the terminal names");
    term.press("q");
    assert_eq!(term.left(), 0);
}

#[test]
fn a_terminal_that_answers_late_is_believed_and_its_answer_is_no_keys() {
    for typed in ["", "j"] {
        let home = tempfile::tempdir().unwrap();
        let mut term = opened(home.path(), &[], b"");
        std::thread::sleep(Duration::from_millis(400));
        term.press(typed);
        std::thread::sleep(Duration::from_millis(200));
        term.press(std::str::from_utf8(KITTY).unwrap());
        wait(&term, "a picture", |g, _| (g.placed.len() == 1).then_some(()));
        term.sees("kitty graphics: the terminal says that it knows them");
        term.sees("Pairs, worst first");
        term.press("q");
        assert_eq!(term.left(), 0);
    }
}
