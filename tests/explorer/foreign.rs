//! Captions are foreign text: whatever they hold, an independent terminal shows what was meant, where it was meant.

use super::{fixture::*, view};
use protostill::{
    app::{Event, News, Pane, State, Work},
    ui::painter::{Frame, Painter},
};
use ratatui::{
    backend::{Backend, CrosstermBackend},
    buffer::Buffer,
};
use std::sync::Arc;

fn nasty() -> Vec<String> {
    let mut list: Vec<String> = [
        "\u{1b}[2J\u{1b}[Hgone",
        "\u{1b}]0;title\u{7}\u{1b}P+q544e\u{1b}\\",
        "\u{9b}31mred \u{90}dcs\u{9c}",
        "right \u{202e}left\u{202c} \u{2067}isolate\u{2069}",
        "猫が赤い円の上に座っている、そして青い四角のとなりに緑の木がある",
        "cafe\u{301} na\u{308}ive \u{300}\u{301}\u{302}\u{303}\u{304}zalgo",
        "family 👩\u{200d}👩\u{200d}👧 thumbs 👍🏽 heart ❤\u{fe0f} flag 🇩🇪",
        "tab\there\r\nnewline\u{b}\u{c}\u{8}\u{8}\u{7f}",
        "zero\u{200b}width\u{feff}\u{ad}joiner\u{2060}",
        "\u{0}\u{1}\u{2}\u{1f}",
        "عربي و עברית mixed",
        "",
    ]
    .map(String::from)
    .into();
    list.push("megabyte ".repeat(1 << 17));
    list.push("\u{301}".repeat(1 << 19));
    list.push("猫".repeat(1 << 18));
    list
}

fn state_with(captions: &[String]) -> State {
    let (mut state, id) = started();
    let mut rows = rows();
    rows.captions.iter_mut().enumerate().for_each(|(i, c)| *c = captions[i % captions.len()].clone());
    news(&mut state, id, News::Opened { name: "w\u{1b}[2Jorld".into(), rows: Arc::new(rows) });
    let effects = news(&mut state, id, News::Measured(Arc::new(measured())));
    let clustering = job_of(&effects, |w| matches!(w, Work::Prototypes(_))).unwrap();
    news(&mut state, clustering, News::Prototypes(Arc::new(protos("nasty", 15))));
    (0..8).for_each(|i| drop(state.handle(Event::Picture(i, Ok(picture(9))))));
    state
}

/// What an independent terminal shows after the real bytes were written to it.
fn on_terminal(buf: &Buffer) -> vt100::Parser {
    let mut bytes = Vec::new();
    let blank = Buffer::empty(buf.area);
    CrosstermBackend::new(&mut bytes).draw(blank.diff(buf).into_iter()).unwrap();
    let mut screen = view::terminal(buf.area.width, buf.area.height);
    screen.process(&bytes);
    screen
}

fn lines(text: &str) -> Vec<String> {
    text.trim_end().lines().map(|l| l.trim_end().to_owned()).collect()
}

#[test]
fn a_terminal_shows_every_cell_as_it_was_drawn() {
    let mut state = state_with(&nasty());
    for pane in Pane::ALL {
        show(&mut state, pane);
        for size in view::SIZES {
            for press in ["g", "j", "j", "G"] {
                keys(&mut state, press);
                let buf = view::draw(&mut state, size, &view::look());
                let screen = on_terminal(&buf);
                assert_eq!(lines(&screen.screen().contents()), lines(&view::text(&buf)), "{pane:?} {size:?}");
            }
        }
    }
}

/// What an independent terminal shows after these panes were drawn on it, one after the other.
fn painted(state: &mut State, panes: &[Pane], (width, height): (u16, u16)) -> Vec<String> {
    let (mut bytes, mut screen) = (Vec::new(), view::terminal(width, height));
    let mut painter = Painter::new(&mut bytes);
    for &pane in panes {
        show(state, pane);
        let cells = view::draw(state, (width, height), &view::look());
        painter.draw(Frame { cells, again: Vec::new(), covered: Vec::new(), under: Vec::new(), cursor: None }).unwrap();
    }
    drop(painter);
    screen.process(&bytes);
    lines(&screen.screen().contents())
}

#[test]
fn letters_of_several_code_points_leave_nothing_behind_on_the_next_pane() {
    let writings = [
        "एक लड़की हिन्दी में लिखती है",
        "பூனை மரத்தின் கீழ் உறங்குகிறது",
        "น้ำตกสีฟ้าและเด็กกำลังเล่นน้ำ",
        "🇩🇪🇫🇷 flags 🇮🇳🇹🇭 1\u{20e3}",
        "ক্ষুধার্ত বিড়াল ☔ e\u{301}",
        "한국어와 中文 와 ไทย",
    ];
    let mut state = state_with(&writings.map(String::from));
    for size in view::SIZES {
        for next in Pane::ALL {
            let alone = painted(&mut state, &[next], size);
            for before in Pane::ALL {
                let after = painted(&mut state, &[before, next], size);
                assert_eq!(after, alone, "{before:?}, then {next:?} at {size:?}");
            }
        }
        let captions = painted(&mut state, &[Pane::Data, Pane::Log, Pane::Captions], size).join("\n");
        insta::assert_snapshot!(format!("writings_{}x{}", size.0, size.1), captions);
    }
}

#[test]
fn no_cell_holds_anything_that_acts() {
    let mut state = state_with(&nasty());
    for pane in Pane::ALL {
        show(&mut state, pane);
        let buf = view::draw(&mut state, (120, 40), &view::look());
        let acts = |c: char| {
            c.is_control()
                || "\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}\u{200d}".contains(c)
        };
        let bad: Vec<&str> = buf.content.iter().map(|c| c.symbol()).filter(|s| s.chars().any(acts)).collect();
        assert!(bad.is_empty(), "{pane:?}: {bad:?}");
    }
}

#[test]
fn the_editor_shows_foreign_text_harmlessly_and_keeps_its_cursor_in_view() {
    for caption in nasty() {
        let mut state = state_with(&[caption]);
        keys(&mut state, "3 i");
        for press in ["End", "Home", "→"] {
            keys(&mut state, press);
            state.handle(Event::Resize(80, 24));
            let mut buf = Buffer::empty(ratatui::layout::Rect::new(0, 0, 80, 24));
            let cursor = protostill::ui::view::draw(&mut buf, &state, &view::look()).cursor;
            let (x, y) = cursor.unwrap();
            assert!(x < 80 && y == 22);
            assert_eq!(lines(&on_terminal(&buf).screen().contents()), lines(&view::text(&buf)));
        }
    }
}

#[test]
fn megabyte_captions_cost_no_more_than_short_ones() {
    let mut state = state_with(&nasty()[12..]);
    let start = std::time::Instant::now();
    for pane in [Pane::Data, Pane::Prototypes, Pane::Captions, Pane::Gallery] {
        show(&mut state, pane);
        view::draw(&mut state, (120, 40), &view::look());
    }
    // A second for four frames on a busy machine; reading every caption to its end would take far longer.
    assert!(start.elapsed().as_millis() < 1000, "{:?}", start.elapsed());
}
