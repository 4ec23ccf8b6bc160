//! Each pane in each of its states, as text at the two sizes people have.

use super::fixture::*;
use protostill::{
    app::{Embedded, Event, News, Outcome, Pane, State, Work},
    ui::{
        canvas::Cells,
        theme::{Depth, Theme},
        view::{self, Look},
    },
};
use ratatui::{buffer::Buffer, layout::Rect};
use std::sync::Arc;

pub const SIZES: [(u16, u16); 2] = [(80, 24), (120, 40)];

pub fn look() -> Look {
    Look { theme: Theme::new(Depth::True, false), cells: Cells::Half, ascii: false }
}

pub fn draw(state: &mut State, (width, height): (u16, u16), look: &Look) -> Buffer {
    state.handle(Event::Resize(width, height));
    let mut buf = Buffer::empty(Rect::new(0, 0, width, height));
    view::draw(&mut buf, state, look);
    buf
}

pub fn cells(n: u16) -> std::num::NonZeroU16 {
    std::num::NonZeroU16::new(n).unwrap()
}

/// An independent terminal.
pub fn terminal(width: u16, height: u16) -> vt100::Parser {
    vt100::Parser::new(cells(height), cells(width), 0)
}

/// The characters of a buffer, line by line; the second cell of a wide character is left out.
pub fn text(buf: &Buffer) -> String {
    let line = |y| {
        let (mut line, mut skip) = (String::new(), 0);
        for x in 0..buf.area.width {
            let symbol = buf.cell((x, y)).unwrap().symbol();
            if skip == 0 {
                line.push_str(symbol);
            }
            skip = if skip > 0 { skip - 1 } else { unicode_width::UnicodeWidthStr::width(symbol).saturating_sub(1) };
        }
        line.trim_end().to_owned()
    };
    (0..buf.area.height).map(line).collect::<Vec<_>>().join("\n")
}

fn picture_of(name: &str, state: &mut State) {
    for size in SIZES {
        let drawn = text(&draw(state, size, &look()));
        insta::assert_snapshot!(format!("{name}_{}x{}", size.0, size.1), drawn);
    }
}

fn running() -> State {
    let (mut state, id) = started();
    news(&mut state, id, News::Started);
    news(&mut state, id, News::Opened { name: "world".into(), rows: Arc::new(rows()) });
    news(&mut state, id, News::Step { stage: "embed images", done: 0, total: 8 });
    state.handle(Event::Tick(3_000));
    news(&mut state, id, News::Step { stage: "embed images", done: 3, total: 8 });
    state
}

#[test]
fn every_pane_is_calm_before_there_is_anything() {
    for pane in Pane::ALL {
        let (mut state, _) = started();
        show(&mut state, pane);
        picture_of(&format!("empty_{}", pane.title()), &mut state);
    }
}

#[test]
fn data_while_embedding_and_after() {
    let mut state = running();
    let id = state.latest(|w| *w == Work::Embed).unwrap().id;
    let cosines = (0..30).map(|i| 0.2 + 0.01 * (i % 11 * (i % 7)) as f32).collect();
    let (images, ranks) = (vec![17.0, 18.0, 16.5], [Some((21.5, 1024)), None]);
    news(
        &mut state,
        id,
        News::Embedded(Embedded { images, ranks, duplicates: Some((3, 1024)), ..Embedded::default() }),
    );
    let (texts, ranks) = (vec![16.0; 30], [None, Some((12.25, 64))]);
    news(&mut state, id, News::Embedded(Embedded { texts, cosines, gap: Some(0.25), ranks, ..Embedded::default() }));
    picture_of("data_running", &mut state);
    let mut state = clustered();
    keys(&mut state, "j j x k K");
    picture_of("data_done", &mut state);
    keys(&mut state, "/ b l u e");
    picture_of("data_filtering", &mut state);
    keys(&mut state, "Enter s");
    picture_of("data_plane", &mut state);
    keys(&mut state, "Esc g Space v j j");
    picture_of("data_marked", &mut state);
}

#[test]
fn data_that_cannot_be_embedded_says_why() {
    let (mut state, id) = started();
    end(&mut state, id, Outcome::Failed("images/3.png: cut off after 17 bytes".into()));
    picture_of("data_failed", &mut state);
}

#[test]
fn prototypes_while_clustering_and_after() {
    let mut state = clustered();
    show(&mut state, Pane::Prototypes);
    picture_of("prototypes_done", &mut state);
    keys(&mut state, "j p j Space Space");
    picture_of("prototypes_marked", &mut state);
    keys(&mut state, "+");
    picture_of("prototypes_running", &mut state);
    let id = state.latest(|w| matches!(w, Work::Prototypes(_))).unwrap().id;
    end(&mut state, id, Outcome::Failed("prototypes: too few rows".into()));
    picture_of("prototypes_failed", &mut state);
}

#[test]
fn captions_chosen_edited_and_being_typed() {
    let mut state = synthesised();
    keys(&mut state, "3 Enter j Enter j i ! Enter");
    picture_of("captions_done", &mut state);
    keys(&mut state, "Enter j");
    picture_of("captions_choosing", &mut state);
    keys(&mut state, "Esc i");
    picture_of("captions_typing", &mut state);
}

#[test]
fn gallery_empty_forming_stale_and_done() {
    let mut state = clustered();
    show(&mut state, Pane::Gallery);
    let id = job_of(&keys(&mut state, "s"), |w| matches!(w, Work::Synthesise { .. })).unwrap();
    news(&mut state, id, News::Started);
    let key = state.pairs[0].key.clone();
    news(&mut state, id, News::Preview { key, step: 20, picture: picture(90) });
    picture_of("gallery_running", &mut state);
    let mut state = synthesised();
    picture_of("gallery_done", &mut state);
    keys(&mut state, "r");
    picture_of("gallery_stale", &mut state);
}

#[test]
fn runs_judged_running_and_failed() {
    let mut state = judged();
    picture_of("runs_done", &mut state);
    keys(&mut state, "v");
    picture_of("runs_by_pairs", &mut state);
    keys(&mut state, "v");
    keys(&mut state, "4 r 5");
    let id = job_of(&keys(&mut state, "c"), |w| matches!(w, Work::Yardstick { .. })).unwrap();
    picture_of("runs_running", &mut state);
    end(&mut state, id, Outcome::Failed("data.source: has no test split".into()));
    picture_of("runs_failed", &mut state);
}

#[test]
fn the_log_tells_what_happened() {
    let mut state = judged();
    keys(&mut state, "2 +");
    let id = state.latest(|w| matches!(w, Work::Prototypes(_))).unwrap().id;
    end(&mut state, id, Outcome::Panicked("index out of bounds".into()));
    show(&mut state, Pane::Log);
    picture_of("log", &mut state);
}

#[test]
fn what_lies_on_top() {
    for (name, press) in [("help", "?"), ("palette", "Ctrl-P s y n"), ("line", ": p r")] {
        let mut state = synthesised();
        keys(&mut state, press);
        picture_of(name, &mut state);
    }
    let mut state = running();
    keys(&mut state, "q");
    picture_of("quit", &mut state);
}

#[test]
fn a_terminal_that_is_too_small_says_what_it_needs_and_has() {
    for size in [(62, 20), (79, 24), (80, 23), (20, 3), (1, 1)] {
        let words = text(&draw(&mut judged(), size, &look()));
        if size.0 >= 27 {
            assert!(words.contains(&format!("needs 80x24, has {}x{}", size.0, size.1)), "{words}");
        }
    }
}

#[test]
fn every_size_is_drawn_without_a_panic() {
    let states: [fn() -> State; 4] = [|| started().0, clustered, synthesised, judged];
    for make in states {
        let mut state = make();
        for pane in Pane::ALL {
            show(&mut state, pane);
            for width in [1, 79, 80, 81, 99, 100, 119, 160, 250] {
                for height in [1, 24, 25, 31, 40, 80] {
                    for press in ["z", "z", "?", "Esc", ":", "Esc", "Ctrl-P", "Esc"] {
                        keys(&mut state, press);
                        draw(&mut state, (width, height), &look());
                    }
                }
            }
        }
    }
}

#[test]
fn ascii_means_ascii() {
    let ascii = Look { theme: Theme::new(Depth::None, false), cells: Cells::Ascii, ascii: true };
    let mut state = judged();
    for pane in [Pane::Data, Pane::Prototypes, Pane::Captions, Pane::Gallery, Pane::Log] {
        show(&mut state, pane);
        let words = text(&draw(&mut state, (120, 40), &ascii));
        let odd: Vec<char> = words.chars().filter(|c| !c.is_ascii() && !"…·›±×←→↑↓".contains(*c)).collect();
        assert!(odd.is_empty(), "{pane:?}: {odd:?}");
    }
}

#[test]
fn without_colour_nothing_is_coloured() {
    let plain = Look { theme: Theme::new(Depth::None, false), cells: Cells::Ascii, ascii: false };
    let mut state = judged();
    for pane in Pane::ALL {
        show(&mut state, pane);
        let buf = draw(&mut state, (120, 40), &plain);
        let reset = ratatui::style::Color::Reset;
        assert!(buf.content.iter().all(|c| c.fg == reset && c.bg == reset), "{pane:?}");
    }
}
