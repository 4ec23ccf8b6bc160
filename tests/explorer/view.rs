//! Each pane in each of its states, as text at the sizes people have.

use super::fixture::*;
use protostill::{
    app::{Effect, Embedded, Event, HandOff, News, Outcome, Pane, State, Told, Work},
    ui::{
        canvas::Cells,
        theme::{Depth, Theme},
        view::{self, Look},
    },
};
use ratatui::{buffer::Buffer, layout::Rect};
use std::sync::Arc;

pub const SIZES: [(u16, u16); 4] = [(60, 24), (80, 24), (120, 40), (200, 60)];

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

/// All sizes of a screen in one file, and whether on a light ground every cell is as legible as on a dark one.
fn picture_of(name: &str, state: &mut State) {
    let mut all = String::new();
    for size in SIZES {
        let dark = draw(state, size, &look());
        let ground = Look { theme: Theme::new(Depth::True, true), ..look() };
        let light = draw(state, size, &ground);
        assert_eq!(text(&dark), text(&light), "{name}: the ground changes colours alone");
        all.push_str(&format!("== {}x{}\n{}\n", size.0, size.1, text(&dark)));
        all.push_str(&format!("== {}x{}, colours on dark and on light\n{}", size.0, size.1, colours(&dark, &light)));
    }
    insta::assert_snapshot!(name, all);
}

/// The colours of words and grounds on a dark screen, and what they are on a light one; pictures apart.
fn colours(dark: &Buffer, light: &Buffer) -> String {
    let of = |cell: &ratatui::buffer::Cell| format!("{} on {} {:?}", cell.fg, cell.bg, cell.modifier);
    let cells = dark.content.iter().zip(&light.content).filter(|(a, _)| a.symbol() != "▀");
    let all: std::collections::BTreeSet<String> = cells.map(|(a, b)| format!("{:<34} {}\n", of(a), of(b))).collect();
    all.into_iter().collect()
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
fn one_pair_one_prototype_one_row_and_one_picture_in_the_whole_pane() {
    let mut state = synthesised();
    state.handle(Event::Named(2, "images/world_2.png".into()));
    keys(&mut state, "1 j Enter");
    picture_of("whole_pair", &mut state);
    keys(&mut state, "2 Enter j");
    picture_of("whole_prototype", &mut state);
    keys(&mut state, "x Enter");
    picture_of("whole_row", &mut state);
    let mut state = synthesised();
    keys(&mut state, "r");
    make(&mut state, "S");
    keys(&mut state, "Enter b");
    picture_of("whole_picture", &mut state);
}

#[test]
fn runs_filling_pinned_read_and_swept() {
    let mut state = judged();
    let id = job_of(&keys(&mut state, "c"), |w| matches!(w, Work::Yardstick { .. })).unwrap();
    news(&mut state, id, News::Started);
    news(&mut state, id, News::Step { stage: "evaluate", done: 30, total: 120 });
    news(&mut state, id, News::Point { series: "vit/run 1/R-mean".into(), x: 59.0, y: 14.2 });
    picture_of("runs_filling", &mut state);
    end(&mut state, id, Outcome::Cancelled);
    keys(&mut state, "j k p l l");
    picture_of("runs_pinned", &mut state);
    keys(&mut state, "Esc L");
    picture_of("runs_log", &mut state);
    for (pairs, base) in [(2, 2.0), (4, 5.0), (8, 7.5)] {
        let id = job_of(&keys(&mut state, &format!(": s w e e p Space {pairs} Enter")), |_| true).unwrap();
        let of = protostill::fingerprint::Fingerprint::of_bytes(&[pairs]);
        let mut found = score("pds", &of);
        found.pairs = pairs.into();
        found.encoders.iter_mut().for_each(|e| e.r_mean[0] = base * 3.0);
        news(&mut state, id, News::Started);
        news(&mut state, id, News::Scored(found));
        end(&mut state, id, Outcome::Done);
    }
    picture_of("runs_swept", &mut state);
    keys(&mut state, "z");
    picture_of("runs_plot_alone", &mut state);
}

#[test]
fn two_sets_side_by_side() {
    let mut state = judged();
    let id = job_of(&keys(&mut state, "="), |w| matches!(w, Work::Compare(_))).unwrap();
    news(&mut state, id, News::Started);
    news(&mut state, id, News::Compared(Arc::new(compared())));
    end(&mut state, id, Outcome::Done);
    picture_of("compared", &mut state);
    keys(&mut state, "G");
    picture_of("compared_alone", &mut state);
}

#[test]
fn a_session_that_another_process_works_in() {
    let mut state = judged();
    state.elsewhere = Some(Default::default());
    state.handle(Event::Elsewhere(Told::Jobs(vec!["evaluate 6 pairs 3f2a91bc".into(), "evaluate 6 × kcenter".into()])));
    state.handle(Event::Elsewhere(Told::Step("evaluate".into(), 30, 120)));
    picture_of("looking_on", &mut state);
    keys(&mut state, "c");
    picture_of("take_over", &mut state);
}

#[test]
fn found_by_meaning_in_every_list() {
    let mut state = synthesised();
    let id = job_of(&keys(&mut state, "1 f r e d Enter"), |w| matches!(w, Work::Find { .. })).unwrap();
    let basis = state.protos.as_ref().map(|p| p.basis.clone());
    let found = protostill::app::Found {
        words: "red".into(),
        rows: vec![12, 3, 30],
        cosines: [(12, 0.31), (3, 0.28), (30, 0.11)].into(),
        basis,
        prototypes: vec![0.1, 0.2, 0.6, 0.5, 0.3, 0.4],
        pictures: state.pairs.iter().map(|p| (p.key.clone(), 0.1 * p.prototype as f32)).collect(),
    };
    news(&mut state, id, News::Found(Arc::new(found)));
    end(&mut state, id, Outcome::Done);
    picture_of("found_data", &mut state);
    keys(&mut state, "2");
    picture_of("found_prototypes", &mut state);
    keys(&mut state, "4");
    picture_of("found_gallery", &mut state);
}

#[test]
fn what_is_amiss_stands_on_the_data_pane_with_the_setting_to_change() {
    let mut state = clustered();
    let id = state.start().iter().find_map(|e| if let Effect::Start(id, _) = e { Some(*id) } else { None }).unwrap();
    news(&mut state, id, News::Remarks(vec!["the demo's CLIP knows only the drawn world: set `models.clip`".into()]));
    keys(&mut state, "2 m 8 Enter 1 G K : p r u n e Space 9 0 Enter");
    picture_of("data_warned", &mut state);
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
    for (name, press) in [("help", "?"), ("words", "F2"), ("palette", "Ctrl-P s y n"), ("line", ": p r")] {
        let mut state = synthesised();
        keys(&mut state, press);
        picture_of(name, &mut state);
    }
    let mut state = running();
    keys(&mut state, "q");
    picture_of("quit", &mut state);
    let mut state = synthesised();
    let effects = keys(&mut state, ": p u s h Space o / s Enter");
    let id = job_of(&effects, |w| matches!(w, Work::HandOff { to: HandOff::Preview(_), .. })).unwrap();
    let said = "to https://huggingface.co/datasets/o/s (private, if it is not there yet):\n  README.md\n  images/, 6 files\n\
                9 files, 0.1 MB. manifest.json and README.md name your data as \"world\".\n";
    news(&mut state, id, News::Answered(said.into()));
    picture_of("upload", &mut state);
    let mut state = running();
    state.guide();
    picture_of("tour", &mut state);
    keys(&mut state, "Tab Tab");
    picture_of("tour_on", &mut state);
}

#[test]
fn a_terminal_that_is_too_small_says_what_it_needs_and_has() {
    let said = |size| text(&draw(&mut judged(), size, &look())).trim().to_owned();
    assert_eq!(said((59, 20)), "needs 60x16, has 59x20");
    assert_eq!(said((80, 15)), "needs 60x16, has 80x15");
    assert_eq!((said((20, 3)), said((8, 3)), said((3, 1))), ("needs 60x16".into(), "60x16".into(), String::new()));
    assert!(said((60, 16)).contains("Recall"));
}

#[test]
fn every_size_is_drawn_without_a_panic() {
    let states: [fn() -> State; 4] = [|| started().0, clustered, synthesised, judged];
    for make in states {
        let mut state = make();
        for pane in Pane::ALL {
            show(&mut state, pane);
            for width in [1, 60, 80, 100, 250] {
                for height in [1, 16, 24, 50] {
                    for press in ["z", "z", "Enter", "Enter", "?", "Esc", "Esc", "Esc", ":", "Esc", "Ctrl-P", "Esc"] {
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

#[test]
fn no_word_is_drawn_in_the_colour_of_rules() {
    for light in [false, true] {
        let look = Look { theme: Theme::new(Depth::True, light), ..look() };
        let faint = look.theme.faint.fg.unwrap();
        let mut state = judged();
        for (pane, press) in Pane::ALL.into_iter().flat_map(|pane| [(pane, "Esc"), (pane, "Enter"), (pane, "?")]) {
            show(&mut state, pane);
            keys(&mut state, press);
            let buf = draw(&mut state, (120, 40), &look);
            let word = |c: &&ratatui::buffer::Cell| c.symbol().chars().all(char::is_alphanumeric) && c.fg == faint;
            assert_eq!(buf.content.iter().filter(word).map(|c| c.symbol()).collect::<String>(), "", "{pane:?} {press}");
            keys(&mut state, "Esc");
        }
    }
}
