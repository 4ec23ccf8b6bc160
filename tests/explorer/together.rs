//! Sets side by side, sets handed on, and a session that another process works in.

use super::fixture::*;
use protostill::{
    app::{Decision, Effect, Entry, Event, HandOff, JobId, Key, Modal, News, Outcome, Pane, Side, State, Told, Work},
    fingerprint::Fingerprint,
};
use std::sync::Arc;

/// The comparison that was asked for.
fn asked(effects: &[Effect]) -> Option<(JobId, [Side; 2])> {
    effects.iter().find_map(|e| match e {
        Effect::Start(id, Work::Compare(sides)) => Some((*id, (**sides).clone())),
        _ => None,
    })
}

fn said(state: &State) -> String {
    state.notice.as_ref().map(|(_, words)| words.clone()).unwrap_or_default()
}

fn line(state: &mut State, line: &str) -> Vec<Effect> {
    state.handle(Event::Key(Key::Char(':')));
    state.handle(Event::Paste(line.into()));
    state.handle(Event::Key(Key::Enter))
}

#[test]
fn a_judged_set_is_laid_beside_what_the_decisions_came_to_since() {
    let mut state = judged();
    keys(&mut state, "3 i ! Enter 5 k k");
    let (id, [before, now]) = asked(&keys(&mut state, "=")).unwrap();
    assert!(before.name.starts_with("pds · 6 pairs · set ") && now.name.starts_with("on screen: pds"), "{before:?}");
    let edits = |side: &Side| side.entries.iter().filter(|e| matches!(e, Entry::Do(Decision::Caption { .. }))).count();
    assert_eq!((edits(&before), edits(&now)), (0, 1), "the set that was judged is that of then");
    assert_eq!((before.method, before.encoders.len(), now.encoders.len()), (None, 2, 0));
    news(&mut state, id, News::Compared(Arc::new(compared())));
    assert_eq!((state.pane, state.comparison().map(|c| c.counts())), (Pane::Runs, Some([5, 4, 2])));
    keys(&mut state, "j j G");
    assert_eq!(state.focus.member.0, 5);
    keys(&mut state, "Esc");
    assert_eq!((state.comparison(), state.pane), (None, Pane::Runs));
}

#[test]
fn a_comparison_takes_nobody_away_from_another_pane() {
    let mut state = judged();
    let (id, _) = asked(&keys(&mut state, "3 i ! Enter 5 k k =")).unwrap();
    keys(&mut state, "2");
    news(&mut state, id, News::Compared(Arc::new(compared())));
    assert!(state.pane == Pane::Prototypes && said(&state).contains("side by side"), "{}", said(&state));
    keys(&mut state, "5");
    assert!(state.comparison().is_some(), "it is the first thing seen there");
    keys(&mut state, "Esc 2 5");
    assert!(state.comparison().is_none(), "and only once");
}

#[test]
fn two_marked_lines_are_compared_whichever_is_selected_and_a_third_mark_takes_the_first_ones_place() {
    let mut state = judged();
    keys(&mut state, "g Space j Space");
    let (_, sides) = asked(&keys(&mut state, "g =")).unwrap();
    assert_eq!(sides.each_ref().map(|s| s.method.as_deref()), [None, Some("random")], "a yardstick is got anew");
    keys(&mut state, "Space");
    assert_eq!(state.reading.marked, [Some(1), None], "the same key takes a mark away");
    keys(&mut state, "Esc");
    assert_eq!(state.reading.marked, [None, None]);
}

#[test]
fn what_cannot_be_compared_is_told() {
    let mut state = clustered();
    assert!(asked(&keys(&mut state, "5 =")).is_none() && said(&state).contains("nothing was judged yet"));
    let mut state = judged();
    state.scores[1].after = None;
    assert!(asked(&keys(&mut state, "G =")).is_none() && said(&state).contains("judge it again"), "{}", said(&state));
    let (_, sides) = asked(&line(&mut state, "compare /elsewhere/other.jsonl")).unwrap();
    assert_eq!((sides[1].name.as_str(), sides[1].session.is_some()), ("other", true));
}

#[test]
fn a_report_is_of_the_set_on_screen_which_is_written_first() {
    let mut state = synthesised();
    let effects = line(&mut state, "report page.html");
    let (Some(Effect::Start(_, Work::Export { dir, .. })), Some(Effect::Start(_, Work::HandOff { set, to }))) =
        (effects.first(), effects.get(1))
    else {
        panic!("{effects:?}")
    };
    assert_eq!((dir, to), (set, &HandOff::Report("page.html".into())));
    assert!(dir.display().to_string().starts_with("distilled-"));
    // Written already, or about to be: not once more.
    let again = line(&mut state, "report");
    assert!(
        matches!(again.as_slice(), [Effect::Start(_, Work::HandOff { to: HandOff::Report(file), .. })] if file == std::path::Path::new("report.html"))
    );
    // One that is not whole is not handed on in its place without a word.
    keys(&mut state, "4 r");
    assert_eq!(line(&mut state, "report").len(), 1);
    assert!(said(&state).contains("is not whole"), "{}", said(&state));
}

#[test]
fn nothing_is_uploaded_before_it_was_told_what_and_somebody_agreed() {
    for (key, uploads) in [("n", false), ("Esc", false), ("x", false), ("y", true)] {
        let mut state = synthesised();
        assert!(line(&mut state, "push nowhere").is_empty() && said(&state).contains("is not org/name"));
        let effects = line(&mut state, "push org/set");
        let preview = job_of(&effects, |w| matches!(w, Work::HandOff { to: HandOff::Preview(_), .. })).unwrap();
        news(&mut state, preview, News::Answered("6 files, 0.1 MB".into()));
        assert!(matches!(&state.modal, Some(Modal::Upload { said, .. }) if said[0].contains("6 files")));
        let pushed = job_of(&keys(&mut state, key), |w| matches!(w, Work::HandOff { to: HandOff::Push(_), .. }));
        assert_eq!(pushed.is_some(), uploads, "{key}");
    }
}

/// Looking on at a session that another process works in.
fn looking_on() -> State {
    let mut state = judged();
    state.elsewhere = Some(Default::default());
    state.handle(Event::Elsewhere(Told::Jobs(vec!["evaluate 6 pairs".into(), "export to x".into()])));
    state.handle(Event::Elsewhere(Told::Step("evaluate".into(), 3, 9)));
    state
}

#[test]
fn whoever_looks_on_may_look_at_everything_and_is_asked_before_anything_changes() {
    let mut state = looking_on();
    assert!(keys(&mut state, "1 j 2 j Enter Esc 4 l z z 5 j ? Esc").iter().all(|e| !matches!(e, Effect::Append(_))));
    for act in ["1 x", "2 +", "3 i ! Enter", "4 r", "5 T", "5 c"] {
        let before = (state.history.clone(), state.jobs.len(), state.draft.clone());
        keys(&mut state, act);
        assert_eq!(state.modal, Some(Modal::TakeOver), "{act}");
        assert_eq!((state.history.clone(), state.jobs.len(), state.draft.clone()), before, "{act}");
        assert!(keys(&mut state, "n").is_empty() && state.modal.is_none());
    }
    keys(&mut state, "4 r");
    assert_eq!(keys(&mut state, "y"), [Effect::TakeOver]);
    assert!(state.elsewhere.is_some(), "only once the other one has ended");
}

#[test]
fn what_the_owner_decides_is_followed_and_what_it_leaves_undone_goes_on_here() {
    let mut state = looking_on();
    let effects = state.handle(Event::Followed(vec![Entry::Do(Decision::set("cluster.prototypes", 4))]));
    assert_eq!(state.draft.config.cluster.prototypes, 4);
    let id = job_of(&effects, |w| matches!(w, Work::Prototypes(_))).unwrap();
    assert!(effects.iter().all(|e| !matches!(e, Effect::Append(_))), "it is in the journal already");
    state.handle(Event::Elsewhere(Told::Left(vec!["judge kcenter".into()])));
    state.handle(Event::Elsewhere(Told::Gone));
    assert!(state.elsewhere.as_ref().is_some_and(|there| there.gone));
    state.handle(Event::Owned);
    assert_eq!((state.elsewhere.is_none(), state.todo.len()), (true, 1), "it waits for what is at work");
    let effects = end(&mut state, id, Outcome::Done);
    assert!(job_of(&effects, |w| matches!(w, Work::Yardstick { method, .. } if method == "kcenter")).is_some());
    // And whoever wants it next gets what is undone now.
    state.todo.push_back("report".into());
    let left = state.handle(Event::HandOver);
    assert_eq!(left, [Effect::HandOver(vec!["judge kcenter".into(), "report".into()])]);
}

#[test]
fn a_score_knows_the_decisions_that_led_to_its_set() {
    let mut state = judged();
    assert!(state.scores.iter().all(|s| s.after == Some(0)));
    keys(&mut state, "2 +");
    let id = state.latest(|w| matches!(w, Work::Prototypes(_))).unwrap().id;
    news(&mut state, id, News::Prototypes(Arc::new(protos("seven", 7))));
    end(&mut state, id, Outcome::Done);
    let id = job_of(&keys(&mut state, "5 c"), |w| matches!(w, Work::Yardstick { .. })).unwrap();
    keys(&mut state, "T T u");
    news(&mut state, id, News::Scored(score("kcenter", &Fingerprint::of_bytes(b"k"))));
    assert_eq!(state.scores.last().unwrap().after, Some(1), "when it was asked for, not when it was there");
}
