//! Pointing: what lies under the mouse is what is drawn there.

use super::{fixture::*, view};
use protostill::{
    app::{Action, Effect, Event, Pane, State},
    ui::view::Drawn,
};
use ratatui::{buffer::Buffer, layout::Rect};

const SIZE: (u16, u16) = (120, 40);

fn drawn(state: &mut State) -> (Buffer, Drawn) {
    state.handle(Event::Resize(SIZE.0, SIZE.1));
    let mut buf = Buffer::empty(Rect::new(0, 0, SIZE.0, SIZE.1));
    let drawn = protostill::ui::view::draw(&mut buf, state, &view::look());
    (buf, drawn)
}

/// Points at the first place where these words stand.
fn point(state: &mut State, words: &str) -> Vec<Effect> {
    let (buf, drawn) = drawn(state);
    let lines = view::text(&buf);
    let (y, line) = lines.lines().enumerate().find(|(_, l)| l.contains(words)).unwrap_or_else(|| panic!("{lines}"));
    let x = line.split(words).next().unwrap().chars().count();
    let action = drawn.at(x as u16, y as u16).unwrap_or_else(|| panic!("nothing at {words}"));
    state.handle(Event::Do(action))
}

#[test]
fn tabs_lines_and_the_keys_at_the_foot_can_be_pointed_at() {
    let mut state = clustered();
    point(&mut state, "Prototypes");
    assert_eq!(state.pane, Pane::Prototypes);
    let third = state.pairs[2].caption.clone();
    point(&mut state, &third);
    assert_eq!(state.prototype, 2);
    point(&mut state, "? help");
    assert!(state.modal.is_some());
}

#[test]
fn nothing_under_a_dialog_can_be_pointed_at() {
    let mut state = clustered();
    keys(&mut state, "?");
    assert!(drawn(&mut state).1.hits.is_empty());
}

#[test]
fn a_slider_goes_where_it_is_pointed_at_and_a_drag_is_one_decision() {
    let mut state = clustered();
    let before = state.draft.config.prune.ratio;
    let (_, frame) = drawn(&mut state);
    let cells: Vec<Action> = frame.hits.iter().map(|h| h.1).filter(|a| matches!(a, Action::ThresholdAt(_))).collect();
    assert_eq!((cells[0], cells[cells.len() - 1]), (Action::ThresholdAt(0), Action::ThresholdAt(100)));
    for action in &cells[5..10] {
        state.handle(Event::Do(*action));
    }
    assert!((state.draft.config.prune.ratio - before).abs() > 0.01);
    keys(&mut state, "u");
    assert!((state.draft.config.prune.ratio - before).abs() < 1e-9);
}

#[test]
fn a_point_of_the_plane_selects_its_pair_and_a_filter_that_hides_it_goes() {
    let mut state = clustered();
    keys(&mut state, "/ b l u e Enter");
    let captions = state.rows.captions.clone();
    let pick = |a: &Action| match a {
        Action::PickRow(row) if !captions[*row as usize].contains("blue") => Some(*row),
        _ => None,
    };
    let (_, frame) = drawn(&mut state);
    let row = frame.hits.iter().find_map(|h| pick(&h.1)).unwrap();
    state.handle(Event::Do(Action::PickRow(row)));
    assert_eq!(state.selected_row(), Some(row));
    assert!(state.pair_filter.0.is_empty());
}

#[test]
fn the_mouse_can_be_left_to_the_terminal() {
    let mut state = clustered();
    assert_eq!(keys(&mut state, "M"), [Effect::Mouse(false)]);
    assert_eq!(keys(&mut state, "M"), [Effect::Mouse(true)]);
}
