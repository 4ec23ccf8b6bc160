#![allow(clippy::unwrap_used)]
use super::*;
use crate::{
    data::world::{WorldSpec, dataset},
    models::demo,
    pipeline::space::order::order,
};
use candle_core::Device;
use ndarray::s;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

#[test]
fn rows_move_to_where_they_belong_and_equal_ones_to_each_of_theirs() {
    let mut rows: Vec<f32> = (0..5).flat_map(|i| [i as f32, -(i as f32)]).chain([0.0; 6]).collect();
    spread(&mut rows, 2, &[vec![7, 1], vec![0], vec![2, 3], vec![6], vec![4, 5]]);
    let first: Vec<f32> = rows.iter().step_by(2).copied().collect();
    assert_eq!(first, [1.0, 0.0, 2.0, 2.0, 4.0, 4.0, 3.0, 0.0]);
    assert!(rows.chunks_exact(2).all(|row| row[1] == -row[0]));
}

#[test]
fn what_is_told_while_rows_arrive_is_true_of_those_that_are_there() {
    let data = dataset(&WorldSpec::new(150, 0.0, 7)).unwrap();
    let clip = Clip::load(&demo::clip(), DType::F32, &Device::Cpu).unwrap();
    let told = Arc::new(Mutex::new((Embedded::default(), Vec::new())));
    let sink = told.clone();
    let ctx = Ctx::new(Arc::default(), move |report| {
        if let Report::Embedded(more) = report {
            let (all, ranks) = &mut *sink.lock().unwrap();
            ranks.extend(more.ranks[0]);
            all.extend(more);
        }
    });
    let found = embed(&data.train, &clip, UNKEPT, &ctx).unwrap();
    let (told, ranks) = told.lock().unwrap().clone();
    assert_eq!((told.images.len(), told.texts.len(), told.cosines.len()), (150, found.pairs(), found.pairs()));
    let of = |n: usize| stats::effective_rank(found.image.view().slice(s![..n, ..]), &Ctx::quiet()).unwrap();
    assert_eq!(ranks, [(of(64), 64), (of(128), 128)]);
    let same =
        stats::duplicates(found.image.view().slice(s![..128, ..]), &StatsSettings::default(), &Ctx::quiet()).unwrap();
    assert_eq!(told.duplicates, Some((same.count, 128)));
    assert!(told.ranks[1].unwrap().0 > 1.0);
    let split = crate::pipeline::space::stats::similarities(&found, &Ctx::quiet()).unwrap();
    let sorted = |values: &[f32]| {
        let mut values = values.to_vec();
        values.sort_by(f32::total_cmp);
        values
    };
    let pairs = sorted(&told.cosines).into_iter().zip(sorted(&split));
    assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-5));
}

#[test]
fn parts_that_were_kept_before_an_end_are_not_made_again_and_change_no_bit() {
    let data = dataset(&WorldSpec::new(600, 0.0, 8)).unwrap();
    let clip = Clip::load(&demo::clip(), DType::F32, &Device::Cpu).unwrap();
    let kept: Mutex<HashMap<(Side, usize), Array2<f32>>> = Mutex::default();
    let made = Mutex::new(Vec::new());
    let run = |most: usize| {
        made.lock().unwrap().clear();
        let part = |side: Side, index: usize, make: &mut dyn FnMut() -> Result<Array2<f32>>| {
            if let Some(found) = kept.lock().unwrap().get(&(side, index)) {
                return Ok(found.clone());
            }
            if made.lock().unwrap().len() == most {
                return Err(Error::Cancelled);
            }
            let rows = make()?;
            made.lock().unwrap().push((side, index));
            kept.lock().unwrap().insert((side, index), rows.clone());
            Ok(rows)
        };
        embed(&data.train, &clip, &part, &Ctx::quiet())
    };
    assert!(matches!(run(3), Err(Error::Cancelled)));
    assert_eq!(*made.lock().unwrap(), [(Side::Images, 0), (Side::Images, 1), (Side::Captions, 0)]);
    let found = run(9).unwrap();
    assert!(made.lock().unwrap().iter().all(|part| part.0 == Side::Captions && part.1 > 0));
    assert_eq!(found.fingerprint, embed(&data.train, &clip, UNKEPT, &Ctx::quiet()).unwrap().fingerprint);
    // Made one by one, as others make them.
    let order = order(&data.train, &clip).unwrap();
    assert_eq!(parts(&data.train, &order), [2, kept.lock().unwrap().len() - 2]);
    for (&(side, index), rows) in kept.lock().unwrap().iter() {
        assert_eq!(part(&data.train, &order, &clip, (side, index), &Ctx::quiet()).unwrap(), rows);
    }
    assert!(part(&data.train, &order, &clip, (Side::Images, 2), &Ctx::quiet()).is_err());
    let wrong = |_: Side, _: usize, _: &mut dyn FnMut() -> Result<Array2<f32>>| Ok(Array2::zeros((3, 128)));
    assert!(embed(&data.train, &clip, &wrong, &Ctx::quiet()).unwrap_err().to_string().contains("512 of 128"));
}
