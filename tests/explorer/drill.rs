//! Looking closer, and back; versions of a picture; asking in words; what is judged.

use super::{
    fixture::*,
    keys::{clusterings, decisions, typed, words},
};
use protostill::app::{Decision, Drill, Effect, Entry, Event, Found, News, Outcome, Pane, SortBy, State, Usage, Work};
use std::sync::Arc;

#[test]
fn enter_goes_from_a_prototype_to_a_row_behind_it_and_esc_back_level_by_level() {
    let mut state = clustered();
    let seen = |state: &State| (state.focus.drill, state.member_row().is_some());
    keys(&mut state, "2 Enter");
    assert_eq!(seen(&state), (Drill::Whole, true));
    keys(&mut state, "j Enter");
    assert_eq!(seen(&state), (Drill::Row, true));
    assert_eq!(state.member_row(), Some(state.members()[1].row));
    keys(&mut state, "Esc");
    assert_eq!(seen(&state), (Drill::Whole, true));
    keys(&mut state, "Esc");
    assert_eq!(seen(&state), (Drill::List, false));
    keys(&mut state, "Enter 3 2");
    assert_eq!(state.focus.drill, Drill::List, "another pane is shown as a whole");
}

#[test]
fn a_row_dropped_behind_a_prototype_makes_it_again_and_the_one_that_has_its_rows_stays_open() {
    let mut state = clustered();
    keys(&mut state, "2 j j Enter");
    let row = state.member_row().unwrap();
    let effects = keys(&mut state, "x");
    assert_eq!(decisions(&effects), [Decision::Hand { row, keep: Some(false) }]);
    assert_eq!(clusterings(&effects), 1);
    let id = state.latest(|w| matches!(w, Work::Prototypes(_))).unwrap().id;
    let mut newer = protos("without it", 6);
    newer.list.reverse();
    news(&mut state, id, News::Prototypes(Arc::new(newer)));
    assert_eq!((state.prototype, state.focus.drill), (3, Drill::Whole), "found again by its rows");
    keys(&mut state, "u");
    assert!(state.draft.by_hand.is_empty());
}

#[test]
fn in_an_opened_one_sliders_of_the_list_go_to_the_next() {
    let mut state = clustered();
    assert!(decisions(&keys(&mut state, "Enter l l h")).is_empty());
    assert_eq!(state.pair.0, 1);
    keys(&mut state, "2 Enter l");
    assert_eq!((state.prototype, state.draft.config.cluster.prototypes), (1, 6));
    keys(&mut state, "4 g Enter l");
    assert_eq!((state.prototype, state.focus.drill), (1, Drill::Whole));
}

#[test]
fn an_earlier_version_of_a_picture_is_named_and_shown_and_nothing_is_decided() {
    let mut state = synthesised();
    let first = state.pairs[0].key.clone();
    keys(&mut state, "b");
    assert!(words(&state).contains("no other version"), "{}", words(&state));
    keys(&mut state, "r");
    make(&mut state, "S");
    assert!(decisions(&keys(&mut state, "b")).is_empty());
    let (letter, version) = state.flipped(0).unwrap();
    assert_eq!((letter, &version.key), ('A', &first));
    assert!(words(&state).starts_with("version A: seed "), "{}", words(&state));
    keys(&mut state, "b");
    assert!(state.flipped(0).is_none() && words(&state) == "the newest version");
}

#[test]
fn pictures_go_back_to_how_they_formed() {
    let mut state = clustered();
    let id = job_of(&keys(&mut state, "4 S"), |w| matches!(w, Work::Synthesise { .. })).unwrap();
    news(&mut state, id, News::Started);
    keys(&mut state, "(");
    assert!(words(&state).contains("no picture"), "{}", words(&state));
    let key = state.pairs[0].key.clone();
    for step in [10, 20] {
        news(&mut state, id, News::Preview { key: key.clone(), step, picture: picture(step as u8) });
    }
    news(&mut state, id, News::Made { key, picture: picture(99) });
    let tint = |state: &State| state.shown_picture(0).unwrap().get_pixel(0, 0).0[0];
    assert_eq!(tint(&state), 99);
    keys(&mut state, "(");
    assert_eq!((state.focus.scrub, tint(&state)), (Some(20), 20));
    keys(&mut state, "(");
    assert_eq!(tint(&state), 10);
    keys(&mut state, ") )");
    assert_eq!((state.focus.scrub, tint(&state)), (None, 99));
}

#[test]
fn a_seed_is_copied_whole_and_set_by_its_number() {
    let mut state = synthesised();
    let seed = state.pairs[0].seed;
    assert_eq!(keys(&mut state, "Y"), [Effect::Copy(seed.to_string())]);
    assert_eq!(decisions(&typed(&mut state, "seed 7")).len(), 1);
    assert_eq!(state.pairs[0].seed, 7);
}

#[test]
fn the_gallery_sorts_by_what_clip_says_worst_first() {
    let mut state = synthesised();
    let pictures = state.pairs.iter().map(|p| p.key.clone()).enumerate();
    let fits = pictures.map(|(i, key)| (key, [0.9 - 0.1 * i as f32, 0.5])).collect();
    let id = job_of(&state.start(), |w| *w == Work::Embed).unwrap();
    news(&mut state, id, News::Looked(fits));
    keys(&mut state, "o o o");
    assert_eq!((state.sort, &state.arranged[..]), (SortBy::Fit, &[5, 4, 3, 2, 1, 0][..]));
}

fn found(state: &State, words: &str) -> News {
    News::Found(Arc::new(Found {
        words: words.into(),
        rows: vec![12, 3],
        cosines: [(12, 0.31), (3, 0.28)].into(),
        basis: state.protos.as_ref().map(|p| p.basis.clone()),
        prototypes: vec![0.1, 0.2, 0.6, 0.5, 0.3, 0.4],
        pictures: Default::default(),
    }))
}

#[test]
fn what_is_nearest_to_words_comes_first_until_esc_and_is_asked_again_of_other_prototypes() {
    let mut state = clustered();
    let asked = |e: &[Effect]| job_of(e, |w| matches!(w, Work::Find { words, .. } if words == "red"));
    let id = asked(&keys(&mut state, "f r e d Enter")).unwrap();
    let news_of = found(&state, "red");
    news(&mut state, id, news_of);
    end(&mut state, id, Outcome::Done);
    assert_eq!((state.pair_lines(), state.row_score(12)), (&[12, 3][..], 0.31));
    assert_eq!(state.arranged, [2, 3, 5, 4, 1, 0]);
    keys(&mut state, "/ b l a c k Enter");
    assert!(state.pair_lines().len() < 3, "words filter what was found");
    keys(&mut state, "Esc");
    let id = job_of(&keys(&mut state, "2 +"), |w| matches!(w, Work::Prototypes(_))).unwrap();
    assert!(asked(&news(&mut state, id, News::Prototypes(Arc::new(protos("seven", 7))))).is_some());
    keys(&mut state, "Esc");
    assert!(state.found.is_none() && state.pair_lines().len() == 40 && state.arranged[0] == 0);
}

#[test]
fn the_set_on_screen_comes_first_and_another_line_can_be_what_all_differ_from() {
    let mut state = judged();
    assert_eq!((state.run_order(), state.own_scores()), (vec![0, 1], 1));
    keys(&mut state, "4 r");
    make(&mut state, "S");
    keys(&mut state, "5");
    assert_eq!(state.own_scores(), 0, "the set has changed");
    keys(&mut state, "j p");
    assert_eq!(state.reading.pinned, Some(1));
    keys(&mut state, "p");
    assert_eq!(state.reading.pinned, None);
}

#[test]
fn a_sweep_judges_each_size_once_and_refuses_what_is_no_size() {
    let mut state = synthesised();
    let sizes = |effects: &[Effect]| -> Vec<usize> {
        let size = |e: &Effect| match e {
            Effect::Start(_, Work::Yardstick { method, draft }) if method == "pds" => {
                Some(draft.config.cluster.prototypes)
            }
            _ => None,
        };
        effects.iter().filter_map(size).collect()
    };
    assert_eq!(sizes(&typed(&mut state, "sweep prototypes 2 4 8")), [2, 4, 8]);
    assert_eq!(sizes(&typed(&mut state, "sweep 4 5")), [5], "what waits is not asked for again");
    assert!(state.reading.by_pairs);
    for (line, why) in [("sweep 0", "between 1 and 8"), ("sweep x", "between 1 and 8"), ("sweep 999", "between")] {
        assert!(sizes(&typed(&mut state, line)).is_empty() && words(&state).contains(why), "{}", words(&state));
    }
}

#[test]
fn a_curve_stays_with_its_score_and_in_the_journal() {
    let mut state = judged();
    let effects = {
        let id = job_of(&keys(&mut state, "c"), |w| matches!(w, Work::Yardstick { .. })).unwrap();
        news(&mut state, id, News::Started);
        for epoch in 0..3 {
            news(&mut state, id, News::Point { series: "vit/run 1/loss".into(), x: epoch.into(), y: 0.5 });
        }
        news(&mut state, id, News::Scored(score("kcenter", &protostill::fingerprint::Fingerprint::of_bytes(b"k"))))
    };
    let kept =
        effects.iter().find_map(|e| if let Effect::Append(Entry::Score(s)) = e { Some(s) } else { None }).unwrap();
    assert_eq!((kept.curves.len(), kept.curves[0].points.len()), (1, 3));
    let line = serde_json::to_string(&Entry::Score(kept.clone())).unwrap();
    assert_eq!(serde_json::from_str::<Entry>(&line).unwrap(), Entry::Score(kept.clone()));
    assert_eq!(state.plot().unwrap().lines[0].points.len(), 3);
    keys(&mut state, "l l");
    assert_eq!(state.reading.at, Some(1));
    keys(&mut state, "Esc");
    assert_eq!(state.reading.at, None);
}

#[test]
fn what_waits_can_be_said_in_command_lines_and_go_on_without_a_terminal() {
    let mut state = synthesised();
    keys(&mut state, "5 a");
    typed(&mut state, "sweep 2");
    keys(&mut state, "E e o u t Enter q");
    let lines = ["judge random", "sweep 2", "runs.evaluate", "export distilledout"];
    assert_eq!(state.lines_of_queue(), lines);
    assert_eq!(keys(&mut state, "d"), [Effect::Detach(lines.map(String::from).to_vec())]);
    assert!(state.carry_out("judge nonsense").is_empty() && words(&state).contains("nonsense"));
    assert_eq!(typed(&mut state, "save-plot x.svg"), [Effect::SavePlot("x.svg".into())]);
    assert!(typed(&mut state, "save-plot x.png").is_empty() && words(&state).contains(".svg"));
}

#[test]
fn a_tour_goes_on_by_tab_and_any_other_key_ends_it_and_acts() {
    let (mut state, _) = started();
    state.guide();
    keys(&mut state, "Tab Tab");
    assert_eq!(state.pane, Pane::Captions);
    keys(&mut state, "6");
    assert!(state.modal.is_none() && state.pane == Pane::Log);
    state.guide();
    keys(&mut state, "Tab Tab Tab Tab Tab");
    assert!(state.modal.is_none() && state.pane == Pane::Runs);
}

#[test]
fn what_the_machine_does_is_told_and_forgotten() {
    let mut state = clustered();
    let usage = Usage { cpu: 187.0, memory: 412_000_000, gpu: None };
    state.handle(Event::Usage(Some(usage)));
    assert_eq!(state.usage, Some(usage));
    state.handle(Event::Usage(None));
    assert_eq!(state.usage, None);
}
