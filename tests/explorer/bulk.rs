//! Marks, ranges, pins and the command line: state, keys, state.

use super::{
    fixture::*,
    keys::{clusterings, decisions, kept, typed, words},
};
use protostill::app::{Action, Decision, Effect, Event, Measured, News, Noise, Pane, Work};
use std::sync::Arc;

#[test]
fn a_range_and_single_marks_are_dropped_as_one_step_of_undo() {
    let mut state = clustered();
    keys(&mut state, "G v k k v g Space");
    assert_eq!(state.pair.0, 1, "Space goes on to the next line");
    let mut chosen = state.measured.as_ref().unwrap().order[37..].to_vec();
    chosen.push(state.measured.as_ref().unwrap().order[0]);
    chosen.sort_unstable();
    assert_eq!(state.chosen_rows(), chosen);
    let effects = keys(&mut state, "x");
    assert!(matches!(decisions(&effects).as_slice(), [Decision::Many(list)] if list.len() == 4));
    assert_eq!((kept(&state), clusterings(&effects)), (29, 1));
    assert_eq!(state.chosen_rows().len(), 1, "an edit uses the marks up");
    keys(&mut state, "u");
    assert_eq!(kept(&state), 32);
    assert!(words(&state).ends_with("and 3 more"));
}

#[test]
fn esc_takes_an_open_range_back_before_it_touches_the_filter() {
    let mut state = clustered();
    keys(&mut state, "/ b l u e Enter v j j Esc");
    assert_eq!((state.chosen_rows().len(), state.pair_lines().len()), (1, 8));
    keys(&mut state, "Esc");
    assert_eq!(state.pair_lines().len(), 40);
}

#[test]
fn marked_pictures_are_rerolled_and_synthesised_together() {
    let mut state = synthesised();
    keys(&mut state, "g Space Space r");
    assert_eq!(state.outdated(), [0, 1]);
    let effects = keys(&mut state, "s");
    assert!(job_of(&effects, |w| matches!(w, Work::Synthesise { wanted, .. } if wanted.len() == 2)).is_some());
    keys(&mut state, "u");
    assert!(state.outdated().is_empty(), "one step of undo");
}

#[test]
fn settings_of_marked_pictures_move_together_and_undo_in_one_step() {
    let mut state = synthesised();
    keys(&mut state, "g Space Space , T T W");
    let own =
        |state: &protostill::app::State, i: usize| (state.pairs[i].settings.steps, state.pairs[i].settings.guidance);
    assert_eq!([own(&state, 0), own(&state, 1), own(&state, 2)], [(60, 3.5), (60, 3.5), (50, 3.0)]);
    keys(&mut state, "u");
    assert!(state.outdated().is_empty());
}

#[test]
fn pinned_prototypes_stay_on_top_through_sort_and_filter_but_not_through_another_clustering() {
    let mut state = clustered();
    keys(&mut state, "2 G p o");
    assert_eq!((state.arranged[0], state.arranged.len()), (5, 6));
    keys(&mut state, "/ z z z Enter");
    assert_eq!(state.arranged, [5]);
    keys(&mut state, "Esc p");
    assert!(state.pins.is_empty());
    keys(&mut state, "p");
    let job = job_of(&keys(&mut state, "+"), |w| matches!(w, Work::Prototypes(_))).unwrap();
    news(&mut state, job, News::Started);
    news(&mut state, job, News::Prototypes(std::sync::Arc::new(protos("seven", 7))));
    assert!(state.pins.is_empty());
}

#[test]
fn the_next_line_goes_around_the_end() {
    let mut state = clustered();
    keys(&mut state, "/ b l u e Enter N");
    assert_eq!(state.pair.0, 7);
    keys(&mut state, "n n");
    assert_eq!(state.pair.0, 1);
}

#[test]
fn the_command_line_sets_values_runs_commands_and_completes() {
    let mut state = synthesised();
    let line = |text: &str| {
        format!(
            ": {} Enter",
            text.split("")
                .filter(|c| !c.is_empty())
                .map(|c| if c == " " { "Space" } else { c })
                .collect::<Vec<_>>()
                .join(" ")
        )
    };
    assert_eq!(decisions(&keys(&mut state, &line("guidance 2.25"))), [Decision::set("synthesis.guidance", 2.25)]);
    assert_eq!(decisions(&keys(&mut state, &line("steps 1000"))), [Decision::set("synthesis.steps", 1000)]);
    assert_eq!(decisions(&keys(&mut state, &line("prune 30%"))), [Decision::set("prune.ratio", 0.3)]);
    assert!(decisions(&keys(&mut state, &line("guidance much"))).is_empty() && words(&state).contains("`much`"));
    assert!(decisions(&keys(&mut state, &line("guidance"))).is_empty() && words(&state).contains("takes a value"));
    assert!(keys(&mut state, &line("explode")).is_empty() && words(&state).contains("`explode`"));
    keys(&mut state, &line("go 3"));
    assert_eq!(state.prototype, 2);
    keys(&mut state, &line("pane.data"));
    assert_eq!(state.pane, Pane::Data);
    keys(&mut state, ": f i l Tab b l u e Enter");
    assert_eq!(state.pair_lines().len(), 8);
    keys(&mut state, ": Esc");
    assert!(state.modal.is_none());
}

#[test]
fn export_by_the_command_line_refuses_stale_pictures_as_its_key_does() {
    let mut state = clustered();
    assert!(keys(&mut state, ": e x p o r t Space o u t Enter").is_empty());
    assert!(words(&state).contains("6 pictures are missing or stale"));
    let effects = keys(&mut synthesised(), ": e x p o r t Space o u t Enter");
    assert!(job_of(&effects, |w| matches!(w, Work::Export { dir, .. } if dir.ends_with("out"))).is_some());
}

#[test]
fn settings_out_of_their_bounds_are_refused_with_the_bounds_and_q_leaves() {
    let mut state = clustered();
    let before = state.draft.clone();
    let refused =
        ["prototypes 0", "prune 150", "steps 0", "steps 5000", "guidance -1", "noise 1000", "runs 0", "epochs 0"];
    for line in refused {
        assert!(decisions(&typed(&mut state, line)).is_empty(), "{line}");
        assert!(words(&state).contains(" between "), "{line}: {}", words(&state));
    }
    assert_eq!(state.draft, before);
    assert_eq!(typed(&mut state, "q"), [Effect::Quit]);
}

#[test]
fn every_reroll_reaches_a_picture_not_seen_before_whatever_the_prototype() {
    let mut state = synthesised();
    let mut seen = std::collections::BTreeSet::new();
    for prototype in 0..6 {
        seen.insert(state.pairs[prototype].seed);
        for _ in 0..200 {
            keys(&mut state, "r");
            assert!(seen.insert(state.pairs[prototype].seed), "prototype {prototype}");
        }
        state.handle(Event::Do(Action::PickPrototype((prototype + 1).min(5))));
    }
}

#[test]
fn another_method_makes_other_prototypes_and_other_targets_make_another_set_of_the_same_pictures() {
    let mut state = synthesised();
    let set = state.set().unwrap();
    assert_eq!(clusterings(&keys(&mut state, "2 B")), 0);
    assert!(state.outdated().is_empty() && state.set().unwrap() != set);
    keys(&mut state, "u");
    assert_eq!(state.set().unwrap(), set);
    let effects = keys(&mut state, "A");
    assert_eq!(decisions(&effects), [Decision::set("method", "need")]);
    assert_eq!(clusterings(&effects), 1);
    for refused in ["method random", "method need+real", "method x"] {
        assert!(decisions(&typed(&mut state, refused)).is_empty(), "{refused}");
    }
    let wanted = Decision::set("method", "joint+caption");
    assert_eq!(decisions(&typed(&mut state, "method joint+caption")), [wanted]);
}

#[test]
fn the_threshold_starts_where_trust_proposes_and_stops_there_on_its_way() {
    let (mut state, id) = started();
    news(&mut state, id, News::Opened { name: "world".into(), rows: Arc::new(rows()) });
    let scores: Vec<f32> = (0..40).map(|i| i as f32 - 8.0).collect();
    let noise = Noise { trust: vec![1.0; 40], proposed: 8.5 / 40.0, share: 0.2, upper: 0.3, ..Noise::default() };
    news(&mut state, id, News::Measured(Arc::new(Measured::new(vec![0.5; 40], Some((scores, noise))))));
    assert_eq!((state.draft.config.prune.ratio, kept(&state)), (8.5 / 40.0, 32));
    let mut seen = Vec::new();
    for key in ["l", "h", "h", "l", "l", "l"] {
        keys(&mut state, key);
        seen.push(state.draft.config.prune.ratio);
    }
    assert_eq!(seen, [0.22, 8.5 / 40.0, 0.2, 0.21, 8.5 / 40.0, 0.22]);
}
