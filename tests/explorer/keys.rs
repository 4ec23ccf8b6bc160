//! State, keys, state.

use super::fixture::*;
use protostill::app::{
    Asks, Decision, Effect, Entry, Event, ImageState, Modal, News, Pane, SortBy, Work, keeps, kept_count,
};

pub fn kept(state: &protostill::app::State) -> usize {
    kept_count(state.measured.as_ref().unwrap(), &state.draft)
}

pub fn decisions(effects: &[Effect]) -> Vec<Decision> {
    let decision = |e: &Effect| match e {
        Effect::Append(Entry::Do(d)) => Some(d.clone()),
        _ => None,
    };
    effects.iter().filter_map(decision).collect()
}

pub fn clusterings(effects: &[Effect]) -> usize {
    effects.iter().filter(|e| matches!(e, Effect::Start(_, Work::Prototypes(_)))).count()
}

/// A line typed after `:`.
pub fn typed(state: &mut protostill::app::State, line: &str) -> Vec<Effect> {
    let letters = line.chars().map(|c| if c == ' ' { "Space".into() } else { c.to_string() });
    keys(state, &format!(": {} Enter", letters.collect::<Vec<String>>().join(" ")))
}

pub fn words(state: &protostill::app::State) -> &str {
    state.notice.as_ref().map_or("", |n| n.1.as_str())
}

#[test]
fn digits_tab_and_brackets_move_between_panes_and_around_the_end() {
    let mut state = clustered();
    keys(&mut state, "3");
    assert_eq!(state.pane, Pane::Captions);
    keys(&mut state, "Tab ] ]");
    assert_eq!(state.pane, Pane::Log);
    keys(&mut state, "]");
    assert_eq!(state.pane, Pane::Data);
    keys(&mut state, "Shift-Tab");
    assert_eq!(state.pane, Pane::Log);
}

#[test]
fn the_threshold_moves_the_kept_rows_at_once_and_clusters_anew() {
    let mut state = clustered();
    assert_eq!(kept(&state), 32);
    let effects = keys(&mut state, "l l l l l");
    assert_eq!(kept(&state), 30);
    assert_eq!(decisions(&effects).last(), Some(&Decision::set("prune.ratio", 0.25)));
    assert!(state.behind && clusterings(&effects) == 5);
    keys(&mut state, "h");
    assert_eq!(state.draft.config.prune.ratio, 0.24);
}

#[test]
fn a_newer_clustering_stops_the_older_one() {
    let mut state = clustered();
    keys(&mut state, "2");
    let first = job_of(&keys(&mut state, "+"), |w| matches!(w, Work::Prototypes(_))).unwrap();
    assert!(keys(&mut state, "+").contains(&Effect::Cancel(first)));
    assert_eq!(state.jobs.iter().filter(|j| j.is_alive()).count(), 1);
}

#[test]
fn a_pair_dropped_by_hand_goes_and_comes_back_with_undo() {
    let mut state = clustered();
    keys(&mut state, "G");
    let row = state.selected_row().unwrap();
    let effects = keys(&mut state, "x");
    assert_eq!(decisions(&effects), [Decision::Hand { row, keep: Some(false) }]);
    assert_eq!(kept(&state), 31);
    keys(&mut state, "u");
    assert_eq!(kept(&state), 32);
    keys(&mut state, "Ctrl-R");
    assert!(!keeps(state.measured.as_ref().unwrap(), &state.draft, row));
    keys(&mut state, "x");
    assert!(state.draft.by_hand.is_empty(), "the same key again lets the threshold decide");
}

#[test]
fn a_pair_below_the_threshold_can_be_kept() {
    let mut state = clustered();
    keys(&mut state, "K");
    assert_eq!(kept(&state), 33);
    keys(&mut state, "x");
    assert_eq!(kept(&state), 32);
}

#[test]
fn the_number_of_prototypes_is_typed_over_the_old_one_and_one_out_of_bounds_is_refused_with_the_bounds() {
    let mut state = clustered();
    let effects = keys(&mut state, "2 m 7 Enter");
    assert_eq!(decisions(&effects), [Decision::set("cluster.prototypes", 7)], "typing replaces what was offered");
    keys(&mut state, "m Backspace 8 Enter");
    assert_eq!(state.draft.config.cluster.prototypes, 8);
    for (typed, why) in [("9 9 9", "between 1 and 8"), ("0", "between 1 and 8"), ("x", "not a number")] {
        assert!(decisions(&keys(&mut state, &format!("m {typed} Enter"))).is_empty());
        assert!(words(&state).contains(why), "{}", words(&state));
        assert_eq!(state.draft.config.cluster.prototypes, 8);
    }
    // The two best pairs of forty are of two images.
    typed(&mut state, "prune 95");
    assert!(decisions(&keys(&mut state, "m 3 Enter")).is_empty());
    assert!(words(&state).contains("between 1 and 2"), "{}", words(&state));
}

#[test]
fn moves_of_one_slider_are_one_step_of_undo() {
    let mut state = clustered();
    keys(&mut state, "2 - - - - u");
    assert_eq!(state.draft.config.cluster.prototypes, 6);
    keys(&mut state, "- - 1 l 2 -");
    assert_eq!((state.draft.config.cluster.prototypes, state.draft.config.prune.ratio), (3, 0.21));
    keys(&mut state, "u");
    assert_eq!((state.draft.config.cluster.prototypes, state.draft.config.prune.ratio), (4, 0.21));
}

#[test]
fn undo_at_the_beginning_says_so_and_writes_nothing() {
    let mut state = clustered();
    assert!(keys(&mut state, "u").iter().all(|e| !matches!(e, Effect::Append(_))));
    assert_eq!(words(&state), "nothing to undo");
    keys(&mut state, "Ctrl-R");
    assert_eq!(words(&state), "nothing to redo");
}

#[test]
fn a_candidate_is_chosen_and_only_its_own_picture_goes_stale() {
    let mut state = synthesised();
    keys(&mut state, "3 j Enter j j Enter");
    assert_eq!(state.prototype, 1);
    assert_eq!(state.pairs[1].caption, state.rows.captions[8]);
    assert_eq!(state.image_state(1), ImageState::Stale);
    assert_eq!(state.outdated(), [1]);
    assert!(!state.inside, "choosing goes back to the list");
}

#[test]
fn undoing_a_caption_makes_its_picture_fresh_again() {
    let mut state = synthesised();
    keys(&mut state, "3 Enter j Enter");
    assert_eq!(state.outdated(), [0]);
    keys(&mut state, "u");
    assert_eq!(state.image_state(0), ImageState::Fresh);
}

#[test]
fn a_caption_is_edited_in_place_with_wide_characters() {
    let mut state = synthesised();
    keys(&mut state, "3 i Ctrl-U 赤 い 円 ← Backspace x Enter");
    assert_eq!(state.pairs[0].caption, "赤x円");
    assert_eq!(state.outdated(), [0]);
    keys(&mut state, "d");
    assert_eq!(state.outdated(), [0usize; 0], "d: automatic again");
}

#[test]
fn leaving_the_editor_changes_nothing_and_an_empty_caption_is_refused() {
    let mut state = synthesised();
    let before = state.pairs.clone();
    assert!(decisions(&keys(&mut state, "3 i x y Esc")).is_empty());
    assert!(decisions(&keys(&mut state, "i Enter")).is_empty(), "nothing was changed");
    assert!(decisions(&keys(&mut state, "i Ctrl-U Space Enter")).is_empty());
    assert_eq!(state.pairs, before);
}

#[test]
fn keys_go_to_the_editor_while_it_is_open() {
    let mut state = synthesised();
    keys(&mut state, "3 i q");
    assert_eq!(state.pane, Pane::Captions);
    assert!(matches!(&state.modal, Some(Modal::Ask(Asks::Caption(0), f)) if f.text().ends_with('q')));
}

#[test]
fn a_paste_goes_into_the_editor_and_nowhere_else() {
    let mut state = synthesised();
    state.handle(Event::Paste("qqq".into()));
    assert!(state.modal.is_none());
    keys(&mut state, "3 i Ctrl-U");
    state.handle(Event::Paste("two\nlines\u{1b}[2J".into()));
    keys(&mut state, "Enter");
    assert_eq!(state.pairs[0].caption, "two lines[2J");
}

#[test]
fn a_reroll_changes_one_seed_and_another_reroll_another() {
    let mut state = synthesised();
    let before = state.pairs.clone();
    keys(&mut state, "r");
    let once = state.pairs[0].seed;
    assert_ne!(once, before[0].seed);
    assert_eq!(state.outdated(), [0]);
    keys(&mut state, "r");
    assert_ne!(state.pairs[0].seed, once);
    keys(&mut state, "u u");
    assert_eq!(state.pairs, before);
}

#[test]
fn steps_guidance_and_noise_concern_every_picture() {
    let mut state = synthesised();
    keys(&mut state, "T W N");
    let s = &state.draft.config.synthesis;
    assert_eq!((s.steps, s.guidance, s.noise_level), (55, 3.5, 20));
    assert_eq!(state.outdated().len(), 6);
    keys(&mut state, "t w n");
    assert_eq!(state.outdated().len(), 0, "the old settings name the old pictures");
}

#[test]
fn filters_hide_and_esc_shows_all_again() {
    let mut state = clustered();
    keys(&mut state, "/ b l u e Enter");
    assert_eq!(state.pair_lines().len(), 8);
    let row = state.selected_row().unwrap();
    assert!(state.rows.captions[row as usize].contains("blue"));
    keys(&mut state, "Esc");
    assert_eq!((state.pair_lines().len(), state.selected_row()), (40, Some(row)), "the row stays selected");
    keys(&mut state, "2 / s t a r Enter");
    assert!(!state.arranged.is_empty() && state.arranged.contains(&state.prototype));
    keys(&mut state, "Esc");
    assert_eq!(state.arranged.len(), 6);
}

#[test]
fn sorting_keeps_the_selected_prototype() {
    let mut state = clustered();
    keys(&mut state, "2 j j o");
    assert_eq!((state.sort, state.prototype), (SortBy::Support, 2));
    keys(&mut state, "g");
    assert_eq!(state.prototype, state.arranged[0]);
}

#[test]
fn the_gallery_is_walked_in_two_directions() {
    let mut state = synthesised();
    state.handle(Event::Resize(80, 24));
    keys(&mut state, "g l");
    assert_eq!(state.prototype, 1);
    keys(&mut state, "j");
    assert_eq!(state.prototype, 3, "two pictures side by side at 80 columns");
    keys(&mut state, "k h h h");
    assert_eq!(state.prototype, 0);
}

#[test]
fn esc_goes_one_level_back_and_never_out() {
    let mut state = synthesised();
    keys(&mut state, "3 z Enter");
    assert!(state.inside && state.zoom);
    keys(&mut state, "Esc");
    assert!(!state.inside && state.zoom);
    let effects = keys(&mut state, "Esc Esc Esc Esc");
    assert!(!state.zoom && !effects.contains(&Effect::Quit));
}

#[test]
fn quitting_asks_only_while_something_runs() {
    assert_eq!(keys(&mut clustered(), "q"), [Effect::Quit]);
    let (mut state, _) = started();
    assert!(keys(&mut state, "q").is_empty());
    assert_eq!(state.modal, Some(Modal::Quit));
    assert!(keys(&mut state, "n").is_empty() && state.modal.is_none());
    assert_eq!(keys(&mut state, "q y"), [Effect::Quit]);
}

#[test]
fn the_palette_finds_and_does() {
    let mut state = clustered();
    keys(&mut state, "Ctrl-P g a l l e r y Enter");
    assert_eq!(state.pane, Pane::Gallery);
    keys(&mut state, "Ctrl-P z z z Enter");
    assert!(state.modal.is_none());
}

#[test]
fn help_closes_at_its_own_keys_and_no_key_acts_under_it() {
    for close in ["Esc", "Enter", "q", "?", "Space"] {
        let mut state = clustered();
        let before = state.draft.clone();
        keys(&mut state, "? j x l +");
        assert!(state.modal.is_some() && state.draft == before);
        assert!(keys(&mut state, close).is_empty() && state.modal.is_none(), "{close}");
    }
}

#[test]
fn help_scrolls_to_its_end_and_no_further() {
    let mut state = clustered();
    state.handle(Event::Resize(80, 24));
    keys(&mut state, "? G");
    let Some(Modal::Help(end)) = state.modal else { panic!() };
    keys(&mut state, "j j PgDn");
    assert_eq!(state.modal, Some(Modal::Help(end)));
    keys(&mut state, "k");
    assert_eq!(state.modal, Some(Modal::Help(end - 1)));
}

#[test]
fn cancelling_while_nothing_runs_does_not_leave() {
    let mut state = clustered();
    assert!(keys(&mut state, "Ctrl-C Ctrl-C").is_empty());
    assert_eq!(words(&state), "nothing runs; q leaves");
}

#[test]
fn export_asks_for_a_folder_and_refuses_stale_pictures() {
    let mut state = clustered();
    keys(&mut state, "e");
    assert!(state.modal.is_none() && words(&state).contains("6 pictures are missing or stale"));
    let mut state = synthesised();
    let effects = keys(&mut state, "e Ctrl-U o u t Enter");
    assert!(job_of(&effects, |w| matches!(w, Work::Export { dir, .. } if dir.ends_with("out"))).is_some());
}

#[test]
fn the_protocol_is_a_decision_and_goes_with_every_run() {
    let mut state = synthesised();
    let effects = keys(&mut state, "5 R R t o Enter");
    let works = effects.iter().filter_map(|e| if let Effect::Start(_, w) = e { Some(w) } else { None });
    let judged: Vec<_> = works
        .filter_map(|w| if let Work::Evaluate { draft, .. } = w { Some(&draft.config.evaluation) } else { None })
        .collect();
    assert_eq!((judged[0].runs, judged[0].epochs, judged[0].encoders.as_slice()), (7, 50, &["vit".to_owned()][..]));
    keys(&mut state, "o");
    assert_eq!(state.draft.config.evaluation.encoders, ["nf_resnet"]);
    keys(&mut state, "o u");
    assert_eq!(state.draft.config.evaluation.encoders, ["vit", "nf_resnet"], "moves of one setting are one decision");
    assert_eq!(state.draft.config.evaluation.epochs, 50);
}

#[test]
fn waiting_jobs_change_places_and_the_selected_one_is_stopped() {
    let mut state = synthesised();
    let ids: Vec<_> = ["5 a", "c", "n"].iter().map(|k| job_of(&keys(&mut state, k), |_| true).unwrap()).collect();
    news(&mut state, ids[0], News::Started);
    assert_eq!(keys(&mut state, "J J >"), [Effect::Before(ids[2], ids[1])]);
    assert!(keys(&mut state, ">").is_empty(), "the one at work keeps its place");
    assert_eq!(keys(&mut state, "<"), [Effect::Before(ids[1], ids[2])]);
    assert_eq!(keys(&mut state, "x"), [Effect::Cancel(ids[2])]);
    assert_eq!(state.jobs.iter().filter(|j| j.is_alive()).count(), 2);
}

#[test]
fn settings_of_one_picture_leave_the_others_alone() {
    let mut state = synthesised();
    keys(&mut state, "4 , T W");
    let own = state.pairs[0].settings.clone();
    assert_eq!((own.steps, own.guidance), (55, 3.5));
    assert_eq!(state.pairs[1].settings, state.draft.config.synthesis);
    assert_eq!(state.outdated(), [0]);
    let effects = keys(&mut state, "S");
    assert!(job_of(&effects, |w| matches!(w, Work::Synthesise { wanted, .. } if wanted.len() == 1)).is_some());
    keys(&mut state, "u");
    assert!(state.outdated().is_empty(), "one undo takes the whole adjustment back");
}

#[test]
fn rules_for_captions_change_automatic_ones_and_spare_those_by_hand() {
    let mut state = synthesised();
    keys(&mut state, "3 i ! Enter");
    let (by_hand, before) = (state.pairs[0].caption.clone(), state.pairs[1].caption.clone());
    keys(&mut state, "P a Space p h o t o Space o f Enter");
    assert_eq!(state.pairs[0].caption, by_hand);
    assert_eq!(state.pairs[1].caption, format!("a photo of {before}"));
    assert_eq!(state.outdated().len(), 6);
    keys(&mut state, "u >");
    let second = state.protos.as_ref().unwrap().list[1].candidates[1].row as usize;
    assert_eq!(state.pairs[1].caption, state.rows.captions[second]);
    keys(&mut state, "<");
    assert_eq!((&state.pairs[0].caption, &state.pairs[1].caption), (&by_hand, &before));
}

#[test]
fn what_is_copied_is_what_is_selected() {
    let mut state = judged();
    let caption = state.pairs[0].caption.clone();
    assert_eq!(keys(&mut state, "3 y"), [Effect::Copy(caption)]);
    let effects = keys(&mut state, "5 y");
    let Some(Effect::Copy(table)) = effects.first() else { panic!("{effects:?}") };
    assert_eq!((table.lines().count(), table.lines().next().unwrap().matches('\t').count()), (3, 11));
    assert!(table.lines().all(|l| l.matches('\t').count() == 11));
}
