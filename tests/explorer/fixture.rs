//! A made-up world: 40 pairs of 8 images, 6 prototypes. No pipeline is needed to test what keys do.

use image::{Rgb, RgbImage};
use protostill::{
    app::{
        Cloud, Compared, Draft, Effect, EncoderScore, Event, JobId, Key, Laid, Measured, Near, News, Outcome, Pane,
        Proto, Protos, Rows, Score, State, Summary, Twins, Work,
    },
    config::Config,
    fingerprint::Fingerprint,
};
use std::sync::Arc;

pub fn draft() -> Draft {
    let mut config = Config::default();
    (config.cluster.prototypes, config.synthesis.steps, config.synthesis.guidance) = (6, 50, 3.0);
    (config.evaluation.runs, config.evaluation.epochs) = (5, 60);
    config.evaluation.encoders = vec!["vit".into(), "nf_resnet".into()];
    Draft::new(config)
}

pub fn rows() -> Rows {
    let colour = ["red", "blue", "green", "white", "black"];
    let shape = ["circle", "square", "star", "house", "boat", "tree", "moon", "ring"];
    let caption = |i: usize| format!("a {} {} near a {}", colour[i % 5], shape[i / 5], shape[(i / 5 + 3) % 8]);
    Rows {
        captions: (0..40).map(caption).collect(),
        image_of: (0..40).map(|i| i / 5).collect(),
        images: 8,
        judged_on: (20, 100),
        named: Default::default(),
    }
}

pub fn measured() -> Measured {
    // Row 7 matches worst, then 14, 21 …: an order that is not the rows' own.
    Measured::new((0..40u32).map(|i| 0.1 + 0.02 * ((i * 23 + 39) % 40) as f32).collect(), None)
}

pub fn protos(name: &str, n: usize) -> Protos {
    let near = |row: usize, cosine: f32| Near { row: (row % 40) as u32, cosine };
    let proto = |i: usize| Proto {
        similarity: 0.9 - 0.05 * i as f32,
        support: 3 + (i * 7) % 5,
        tightness: 0.95 - 0.01 * ((i * 3) % 7) as f32,
        rows: (0..3 + (i * 7) % 5).map(|j| near(i * 6 + j * 5, 0.98 - 0.1 * j as f32)).collect(),
        nearest: (0..4).map(|j| near(i * 6 + j * 5, 0.98 - 0.1 * j as f32)).collect(),
        other: (n > 1).then_some(((i + 1) % n, 0.44)),
        candidates: (0..5).map(|j| near(i * 6 + j, 0.91 - 0.02 * j as f32)).collect(),
        chosen: 0,
        sure: Some((0.3, (i != 1).then_some(2))),
    };
    let table = (0..n).map(|i| (0..n).map(|j| if i == j { 5 } else { ((i + j) % 3) as u32 }).collect()).collect();
    Protos { list: (0..n).map(proto).collect(), empty: 0, basis: Fingerprint::of_bytes(name.as_bytes()), table }
}

pub fn summary() -> Summary {
    Summary {
        width: 128,
        norms: [17.7, 16.44],
        ranks: [18.9, 18.2],
        gap: 0.317,
        duplicates: (2, 8),
        doubtful: 0.112,
        cloud: cloud(),
    }
}

/// Images on a circle, their captions a little inside.
fn cloud() -> Arc<Cloud> {
    let at = |i: usize, far: f32| [(i as f32 * 0.8).cos() * far, (i as f32 * 0.8).sin() * far];
    let text = |i: usize| at(i / 5, 0.5 + 0.08 * (i % 5) as f32);
    Arc::new(Cloud { image: (0..8).map(|i| at(i, 1.0)).collect(), text: (0..40).map(text).collect() })
}

pub fn picture(tint: u8) -> Arc<RgbImage> {
    Arc::new(RgbImage::from_fn(16, 16, |x, y| Rgb([tint, x as u8 * 16, y as u8 * 16])))
}

pub fn score(method: &str, set: &Fingerprint) -> Score {
    let encoder = |name: &str, base: f64| EncoderScore {
        encoder: name.into(),
        runs: 5,
        mean: [base, base * 3.0, base * 4.5, base * 1.2, base * 3.2, base * 4.7],
        sd: [0.2, 0.3, 0.4, 0.5, 0.6, 1.2],
        r_mean: [base * 2.9, 0.41],
    };
    let encoders = vec![encoder("vit", 6.8), encoder("nf_resnet", 7.9)];
    Score {
        method: method.into(),
        set: set.clone(),
        pairs: 6,
        edited: 0,
        epochs: 60,
        protocol: None,
        after: None,
        encoders,
        curves: vec![],
    }
}

/// Six prototypes beside five: one as it was, one with another caption, one drawn anew, one gone.
pub fn compared() -> Compared {
    let rows = rows();
    let laid = |name: &str, n: usize, base: f64| Laid {
        name: name.into(),
        captions: (0..n).map(|i| rows.captions[i * 6].clone()).collect(),
        pictures: (0..n).map(|i| (i != 3).then(|| picture(i as u8 * 40))).collect(),
        encoders: score("pds", &Fingerprint::of_bytes(&[base as u8])).encoders,
    };
    let twins = |of, cosine, same| Twins { of, cosine, same };
    let both = |a, b, cosine, same| twins([Some(a), Some(b)], Some(cosine), same);
    Compared {
        sides: [laid("pds · 6 pairs · set 3f2a91bc", 6, 6.8), laid("on screen: pds · 5 pairs", 5, 7.4)],
        twins: vec![
            both(4, 2, 0.412, [Some(false), Some(false)]),
            both(2, 4, 0.733, [Some(true), Some(false)]),
            both(3, 3, 0.951, [Some(true), None]),
            both(0, 0, 1.0, [Some(true), Some(true)]),
            both(1, 1, 1.0, [Some(true), Some(true)]),
            twins([Some(5), None], None, [None; 2]),
        ],
    }
}

pub fn job_of(effects: &[Effect], such: impl Fn(&Work) -> bool) -> Option<JobId> {
    effects.iter().rev().find_map(|e| match e {
        Effect::Start(id, work) if such(work) => Some(*id),
        _ => None,
    })
}

pub fn keys(state: &mut State, keys: &str) -> Vec<Effect> {
    let key = |k: &str| k.parse::<Key>().unwrap();
    keys.split(' ').flat_map(|k| state.handle(Event::Key(key(k)))).collect()
}

pub fn news(state: &mut State, id: JobId, news: News) -> Vec<Effect> {
    state.handle(Event::Job(id, news))
}

pub fn end(state: &mut State, id: JobId, outcome: Outcome) -> Vec<Effect> {
    news(state, id, News::Ended(outcome))
}

/// Just started; the embedding job waits.
pub fn started() -> (State, JobId) {
    let mut state = State::new(draft());
    let effects = state.start();
    let id = job_of(&effects, |w| *w == Work::Embed).unwrap();
    (state, id)
}

/// Embedded and measured; clustering was asked for.
pub fn measured_state() -> (State, JobId) {
    let (mut state, id) = started();
    news(&mut state, id, News::Started);
    news(&mut state, id, News::Opened { name: "world".into(), rows: Arc::new(rows()) });
    let effects = news(&mut state, id, News::Measured(Arc::new(measured())));
    end(&mut state, id, Outcome::Done);
    let describe = job_of(&effects, |w| *w == Work::Describe).unwrap();
    news(&mut state, describe, News::Described(summary()));
    end(&mut state, describe, Outcome::Done);
    let clustering = job_of(&effects, |w| matches!(w, Work::Prototypes(_))).unwrap();
    (state, clustering)
}

/// Clustered; real pictures are there, synthetic ones not yet.
pub fn clustered() -> State {
    let (mut state, id) = measured_state();
    news(&mut state, id, News::Started);
    news(&mut state, id, News::Prototypes(Arc::new(protos("six", 6))));
    end(&mut state, id, Outcome::Done);
    (0..8).for_each(|i| drop(state.handle(Event::Picture(i, Ok(picture(i as u8 * 30))))));
    state
}

/// Everything synthesised.
pub fn synthesised() -> State {
    let mut state = clustered();
    keys(&mut state, "4");
    make(&mut state, "S");
    state
}

/// Presses a key that synthesises, and finishes the job.
pub fn make(state: &mut State, key: &str) -> usize {
    let effects = keys(state, key);
    let Some(Effect::Start(id, Work::Synthesise { wanted, .. })) =
        effects.iter().find(|e| matches!(e, Effect::Start(_, Work::Synthesise { .. })))
    else {
        return 0;
    };
    news(state, *id, News::Started);
    for w in wanted {
        news(state, *id, News::Made { key: w.key.clone(), picture: picture(w.prototype as u8 * 40) });
    }
    let keys: Vec<Fingerprint> = wanted.iter().map(|w| w.key.clone()).collect();
    let effects = end(state, *id, Outcome::Done);
    if let Some(look) = job_of(&effects, |w| matches!(w, Work::Look { .. })) {
        news(state, look, News::Started);
        news(state, look, News::Looked(keys.into_iter().map(|k| (k, [0.83, 0.61])).collect()));
        end(state, look, Outcome::Done);
    }
    wanted.len()
}

/// Judged: the set itself and a yardstick.
pub fn judged() -> State {
    let mut state = synthesised();
    let set = state.set().unwrap();
    keys(&mut state, "5");
    for (key, method) in [("Enter", "pds"), ("a", "random")] {
        let effects = keys(&mut state, key);
        let id = job_of(&effects, |w| matches!(w, Work::Evaluate { .. } | Work::Yardstick { .. })).unwrap();
        news(&mut state, id, News::Started);
        for run in 1..=2 {
            for epoch in 0..20 {
                let y = 2.0 / (1.0 + f64::from(epoch)) + 0.1 * f64::from(run);
                news(&mut state, id, News::Point { series: format!("vit/run {run}/loss"), x: epoch.into(), y });
            }
            news(&mut state, id, News::Point { series: format!("vit/run {run}/R-mean"), x: 19.0, y: 20.0 });
        }
        let set = if method == "pds" { set.clone() } else { Fingerprint::of_bytes(method.as_bytes()) };
        news(&mut state, id, News::Scored(score(method, &set)));
        end(&mut state, id, Outcome::Done);
    }
    state
}

pub fn show(state: &mut State, pane: Pane) {
    keys(state, &(pane as usize + 1).to_string());
}
