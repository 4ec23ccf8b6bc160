//! What jobs say, and when it counts.

use super::fixture::*;
use protostill::app::{
    Decision, Effect, Entry, Event, ImageState, JobId, Level, News, Outcome, Score, State, Status, Work,
};
use std::sync::Arc;

#[test]
fn news_of_a_cancelled_clustering_is_ignored() {
    let (mut state, old) = measured_state();
    let new = job_of(&keys(&mut state, "2 +"), |w| matches!(w, Work::Prototypes(_))).unwrap();
    news(&mut state, old, News::Prototypes(Arc::new(protos("old", 6))));
    assert!(state.protos.is_none());
    news(&mut state, new, News::Prototypes(Arc::new(protos("new", 7))));
    assert_eq!(state.pairs.len(), 7);
}

#[test]
fn news_of_a_job_that_never_was_is_ignored() {
    let mut state = clustered();
    let set = state.set().unwrap();
    assert!(news(&mut state, JobId(999), News::Scored(score("pds", &set))).is_empty());
    assert!(state.scores.is_empty());
}

#[test]
fn a_late_score_from_a_cancelled_run_is_ignored() {
    let mut state = synthesised();
    let id = job_of(&keys(&mut state, "5 Enter"), |w| matches!(w, Work::Evaluate { .. })).unwrap();
    assert_eq!(keys(&mut state, "Ctrl-C"), [Effect::Cancel(id)]);
    let set = state.set().unwrap();
    news(&mut state, id, News::Scored(score("pds", &set)));
    assert!(state.scores.is_empty());
}

#[test]
fn evaluating_synthesises_what_is_stale_first() {
    let mut state = synthesised();
    keys(&mut state, "3 Enter j Enter");
    let effects = keys(&mut state, "E");
    let works: Vec<&Work> =
        effects.iter().filter_map(|e| if let Effect::Start(_, w) = e { Some(w) } else { None }).collect();
    assert!(matches!(works[0], Work::Synthesise { wanted, .. } if wanted.len() == 1));
    assert!(matches!(works[1], Work::Evaluate { pairs, .. } if pairs.len() == 6));
}

#[test]
fn a_picture_forms_then_is_fresh() {
    let mut state = clustered();
    let effects = keys(&mut state, "4 s");
    let id = job_of(&effects, |w| matches!(w, Work::Synthesise { .. })).unwrap();
    assert_eq!(state.image_state(0), ImageState::Queued);
    assert_eq!(state.image_state(1), ImageState::Missing);
    news(&mut state, id, News::Started);
    let key = state.pairs[0].key.clone();
    news(&mut state, id, News::Preview { key: key.clone(), step: 20, picture: picture(1) });
    assert_eq!(state.image_state(0), ImageState::Forming(20));
    assert!(state.picture(0).is_some(), "it is seen while it forms");
    news(&mut state, id, News::Made { key, picture: picture(2) });
    assert_eq!(state.image_state(0), ImageState::Fresh);
}

#[test]
fn a_caption_edited_while_its_picture_forms_is_stale_when_it_arrives() {
    let mut state = clustered();
    let id = job_of(&keys(&mut state, "4 s"), |w| matches!(w, Work::Synthesise { .. })).unwrap();
    news(&mut state, id, News::Started);
    let key = state.pairs[0].key.clone();
    keys(&mut state, "i x Enter");
    news(&mut state, id, News::Made { key, picture: picture(2) });
    assert_ne!(state.image_state(0), ImageState::Fresh);
    keys(&mut state, "u");
    assert_eq!(state.image_state(0), ImageState::Fresh);
}

#[test]
fn cancelling_leaves_no_half_made_picture() {
    let mut state = clustered();
    let id = job_of(&keys(&mut state, "4 S"), |w| matches!(w, Work::Synthesise { .. })).unwrap();
    news(&mut state, id, News::Started);
    let (done, half) = (state.pairs[0].key.clone(), state.pairs[1].key.clone());
    news(&mut state, id, News::Made { key: done, picture: picture(2) });
    news(&mut state, id, News::Preview { key: half, step: 9, picture: picture(3) });
    keys(&mut state, "Ctrl-C");
    assert_eq!((state.image_state(0), state.image_state(1)), (ImageState::Fresh, ImageState::Missing));
    assert!(state.picture(1).is_none());
}

#[test]
fn a_picture_that_is_on_its_way_is_not_asked_for_twice() {
    let mut state = clustered();
    keys(&mut state, "4 s");
    let effects = keys(&mut state, "S");
    let wanted = effects.iter().find_map(|e| {
        if let Effect::Start(_, Work::Synthesise { wanted, .. }) = e { Some(wanted.len()) } else { None }
    });
    assert_eq!(wanted, Some(5));
}

#[test]
fn prototypes_that_come_again_bring_their_pictures_and_captions_back() {
    let mut state = synthesised();
    keys(&mut state, "3 Enter j Enter");
    let edited = state.pairs[0].caption.clone();
    for (key, name, n) in [("+", "seven", 7), ("-", "six", 6)] {
        let id = job_of(&keys(&mut state, &format!("2 {key}")), |w| matches!(w, Work::Prototypes(_))).unwrap();
        news(&mut state, id, News::Prototypes(Arc::new(protos(name, n))));
        if n == 7 {
            assert_ne!(state.pairs[0].caption, edited, "an edit belongs to the prototypes it was made for");
            assert_eq!(state.outdated().len(), 7);
        }
    }
    assert_eq!(state.pairs[0].caption, edited);
    assert_eq!(state.outdated(), [0], "only the edited one was never synthesised");
}

#[test]
fn failures_and_bugs_are_said_and_logged_and_the_program_goes_on() {
    let (mut state, id) = started();
    end(&mut state, id, Outcome::Failed("images/3.png: cut off".into()));
    assert_eq!(state.notice.as_ref().unwrap().0, Level::Error);
    assert!(state.log.back().unwrap().text.contains("images/3.png: cut off"));
    let mut state = clustered();
    let id = job_of(&keys(&mut state, "2 +"), |w| matches!(w, Work::Prototypes(_))).unwrap();
    end(&mut state, id, Outcome::Panicked("index out of bounds".into()));
    assert!(state.behind, "the old prototypes stay, marked");
    assert!(state.protos.is_some() && !state.is_busy());
}

#[test]
fn a_score_is_kept_in_the_journal_and_an_edit_makes_it_old() {
    let mut state = synthesised();
    let id = job_of(&keys(&mut state, "5 Enter"), |w| matches!(w, Work::Evaluate { .. })).unwrap();
    let found = score("pds", &state.set().unwrap());
    let effects = news(&mut state, id, News::Scored(found.clone()));
    assert_eq!(effects, [Effect::Append(Entry::Score(Score { after: Some(0), ..found.clone() }))]);
    assert_eq!(state.set().unwrap(), found.set);
    keys(&mut state, "3 Enter j Enter");
    assert_ne!(state.set().unwrap(), found.set);
}

#[test]
fn the_same_set_is_judged_once_and_so_is_the_same_yardstick() {
    let mut state = synthesised();
    let judge = |state: &mut State| job_of(&keys(state, "E"), |w| matches!(w, Work::Evaluate { .. }));
    let id = judge(&mut state).unwrap();
    assert_eq!(judge(&mut state), None, "about to be");
    let set = state.set().unwrap();
    news(&mut state, id, News::Scored(score("pds", &set)));
    end(&mut state, id, Outcome::Done);
    assert_eq!(judge(&mut state), None, "judged already");
    let yardstick = |state: &mut State| job_of(&keys(state, "5 a"), |w| matches!(w, Work::Yardstick { .. }));
    let first = yardstick(&mut state).unwrap();
    assert_eq!(yardstick(&mut state), None);
    for _ in 0..2 {
        let found = score("random", &protostill::fingerprint::Fingerprint::of_bytes(b"random"));
        news(&mut state, first, News::Scored(found));
    }
    assert_eq!(state.scores.len(), 2, "no row twice");
    keys(&mut state, "5 R");
    assert!(judge(&mut state).is_some(), "more runs are another judgement");
}

#[test]
fn edits_of_a_session_by_an_older_version_go_to_the_clustering_they_were_made_for() {
    let former = protostill::fingerprint::Fingerprint::of_bytes(b"named by 0.1.3");
    let words = protostill::app::Caption { text: "by hand".into(), row: None };
    let edit = Decision::Caption { basis: former, prototype: 0, caption: Some(words) };
    let mut state = State::new(draft());
    state.restore(vec![Entry::Do(edit), Entry::Do(Decision::set("prune.ratio", 0.3))]);
    state.start();
    // What holds now is not what the caption was written under: it waits.
    state = clustered_from(state, "other");
    assert_ne!(state.pairs[0].caption, "by hand");
    let id = job_of(&keys(&mut state, "u"), |w| matches!(w, Work::Prototypes(_))).unwrap();
    news(&mut state, id, News::Prototypes(Arc::new(protos("six", 6))));
    assert_eq!(state.pairs[0].caption, "by hand");
}

#[test]
fn a_session_opened_on_another_data_set_says_so() {
    let other = protostill::fingerprint::Fingerprint::of_bytes(b"other rows");
    let mut state = State::new(draft());
    state.restore(vec![Entry::Data { name: "flickr".into(), rows: other }]);
    state.start();
    let effects = news(&mut state, JobId(0), News::Opened { name: "world".into(), rows: Arc::new(rows()) });
    assert!(state.notice.as_ref().unwrap().1.contains("about another flickr"));
    assert!(matches!(&effects[..], [Effect::Append(Entry::Data { name, .. })] if name == "world"));
}

/// Takes a state that has started to where it shows prototypes of this name.
fn clustered_from(mut state: State, name: &str) -> State {
    news(&mut state, JobId(0), News::Opened { name: "world".into(), rows: Arc::new(rows()) });
    let effects = news(&mut state, JobId(0), News::Measured(Arc::new(measured())));
    end(&mut state, JobId(0), Outcome::Done);
    let id = job_of(&effects, |w| matches!(w, Work::Prototypes(_))).unwrap();
    news(&mut state, id, News::Prototypes(Arc::new(protos(name, 6))));
    end(&mut state, id, Outcome::Done);
    state
}

#[test]
fn a_journal_read_back_is_the_state_it_was_written_from() {
    let mut state = synthesised();
    let mut effects = keys(&mut state, "3 Enter j Enter j i x Enter 2 + + 1 l x u 4 T r");
    effects.extend(keys(&mut state, "u Ctrl-R"));
    let entries: Vec<Entry> =
        effects.into_iter().filter_map(|e| if let Effect::Append(e) = e { Some(e) } else { None }).collect();
    let lines: Vec<String> = entries.iter().map(|e| serde_json::to_string(e).unwrap()).collect();
    let read = lines.iter().map(|l| serde_json::from_str(l).unwrap()).collect();
    let mut again = State::new(draft());
    again.restore(read);
    assert_eq!(again.history, state.history);
    assert_eq!(again.draft, state.draft);
}

#[test]
fn time_left_is_judged_by_the_stage_at_work() {
    let (mut state, id) = started();
    news(&mut state, id, News::Started);
    news(&mut state, id, News::Step { stage: "a", done: 0, total: 10 });
    state.handle(Event::Tick(10_000));
    news(&mut state, id, News::Step { stage: "b", done: 0, total: 100 });
    state.handle(Event::Tick(12_000));
    news(&mut state, id, News::Step { stage: "b", done: 20, total: 100 });
    assert_eq!(state.jobs[0].status, Status::Running);
    assert_eq!(state.jobs[0].eta(12_000), Some(8_000));
}

#[test]
fn ended_jobs_do_not_pile_up_and_living_ones_are_never_forgotten() {
    let mut state = clustered();
    let alive = job_of(&keys(&mut state, "4 s"), |w| matches!(w, Work::Synthesise { .. })).unwrap();
    keys(&mut state, "2");
    (0..300).for_each(|i| drop(keys(&mut state, if i % 2 == 0 { "+" } else { "-" })));
    assert!(state.jobs.len() < 80, "{}", state.jobs.len());
    assert!(state.jobs.iter().any(|j| j.id == alive && j.is_alive()));
}

#[test]
fn clip_looks_at_new_pictures_once_and_only_in_the_gallery() {
    let mut state = clustered();
    let id = job_of(&keys(&mut state, "3 S"), |w| matches!(w, Work::Synthesise { .. })).unwrap();
    news(&mut state, id, News::Started);
    let key = state.pairs[2].key.clone();
    news(&mut state, id, News::Made { key: key.clone(), picture: picture(2) });
    let look = |effects: &[Effect]| job_of(effects, |w| matches!(w, Work::Look { pairs, .. } if pairs.len() == 1));
    assert!(look(&end(&mut state, id, Outcome::Done)).is_none());
    let first = look(&keys(&mut state, "4")).unwrap();
    news(&mut state, first, News::Looked(vec![(key, [0.9, 0.8])]));
    end(&mut state, first, Outcome::Done);
    assert!(look(&keys(&mut state, "3 4")).is_none());
}

#[test]
fn clip_that_cannot_look_is_not_asked_again_and_again() {
    let mut state = clustered();
    let id = job_of(&keys(&mut state, "4 s"), |w| matches!(w, Work::Synthesise { .. })).unwrap();
    let key = state.pairs[0].key.clone();
    news(&mut state, id, News::Made { key, picture: picture(2) });
    let look = job_of(&end(&mut state, id, Outcome::Done), |w| matches!(w, Work::Look { .. })).unwrap();
    assert!(end(&mut state, look, Outcome::Failed("no weights".into())).is_empty());
    assert!(keys(&mut state, "3 4").is_empty());
}

#[test]
fn whoever_waits_to_leave_leaves_when_the_last_job_is_over() {
    let mut state = clustered();
    let id = job_of(&keys(&mut state, "4 s q"), |w| matches!(w, Work::Synthesise { .. })).unwrap();
    assert_eq!(news(&mut state, id, News::Started), []);
    assert_eq!(news(&mut state, id, News::Ended(Outcome::Done)), [Effect::Quit]);
}

#[test]
fn a_first_look_is_shown_and_nothing_is_made_of_it() {
    let mut state = clustered();
    let id = job_of(&keys(&mut state, "2 +"), |w| matches!(w, Work::Prototypes(_))).unwrap();
    news(&mut state, id, News::Started);
    news(&mut state, id, News::Glimpse(Arc::new(protos("look", 7)), None));
    assert!(state.pairs.len() == 7 && state.behind);
    for press in ["s", "S", "E", "d", "3 Enter Enter", "i ! Enter"] {
        assert!(!keys(&mut state, press).iter().any(|e| matches!(e, Effect::Start(..) | Effect::Append(_))), "{press}");
    }
    news(&mut state, id, News::Prototypes(Arc::new(protos("found", 7))));
    assert!(!state.behind && keys(&mut state, "s").iter().any(|e| matches!(e, Effect::Start(..))));
}
