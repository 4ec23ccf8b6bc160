//! A set that any crash or failing call may interrupt, on its way to the place of an older one.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::fsio::crash::{Kept, Recorder};
use std::fs;

fn set(tint: u8) -> DistilledSet {
    let pair = |i: u8| DistilledPair {
        image: ImageSource::Memory(RgbImage::from_pixel(3, 2, image::Rgb([tint, i, 0]))),
        caption: format!("caption {tint} {i}"),
        support: 1,
        similarity: 0.5,
        uid: None,
    };
    let rows = || Array2::from_elem((2, 2), f32::from(tint));
    let pairs = vec![pair(0), pair(1)];
    DistilledSet {
        method: "pds".into(),
        pairs,
        image_prototypes: rows(),
        text_prototypes: rows(),
        correspondence: None,
    }
}

fn write(dir: &Path, tint: u8) -> Result<()> {
    set(tint).write_as(dir, &json!({}), &[Form::Webdataset, Form::Parquet], false)
}

/// Which of the sets lies in `dir`, whole and with the older one's scores.
fn found(dir: &Path) -> Option<u8> {
    if !dir.exists() {
        return None;
    }
    let read = DistilledSet::read(dir).unwrap();
    assert!(read.edited.is_empty());
    let tint = read.set.text_prototypes[[0, 0]] as u8;
    assert_eq!(read.set.pairs.len(), 2);
    for (i, pair) in read.set.pairs.iter().enumerate() {
        assert_eq!(pair.caption, format!("caption {tint} {i}"));
        assert_eq!(pair.image.decode().unwrap().get_pixel(0, 0).0, [tint, i as u8, 0]);
    }
    let scores = fs::read_dir(dir).unwrap().flatten().filter(|e| is_score(e.file_name().to_str().unwrap()));
    let scores: Vec<_> = scores.map(|e| fs::read(e.path()).unwrap()).collect();
    assert!(scores.is_empty() || scores == [b"{}"], "an older set's scores stay");
    Some(tint)
}

#[test]
fn whatever_crash_or_failing_call_there_is_the_older_set_or_the_newer_one() {
    for old in [None, Some(1)] {
        let before = |root: &Path| {
            if let Some(tint) = old {
                write(&root.join("out"), tint).unwrap();
                fs::write(root.join("out").join(SCORES), "{}").unwrap();
            }
        };
        let disk = Recorder::over(before);
        write(&disk.root().join("out"), 2).unwrap();
        disk.promise(Kept::PowerCut, 1);
        let (calls, states) = disk.states(|root, promised| {
            let found = found(&root.join("out"));
            assert!(found == Some(2) || (promised == 0 && found == old), "{found:?}");
        });
        assert!(calls > 25 && states > 1000, "{calls} calls, {states} states");
        for (call, ever) in (0..calls).flat_map(|call| [(call, false), (call, true)]) {
            let disk = Recorder::over(before);
            let out = disk.root().join("out");
            disk.fail(call, ever);
            let done = write(&out, 2);
            let left = found(&out);
            assert!(left == Some(2) || (done.is_err() && left == old), "call {call}: {left:?}");
            disk.heal();
            write(&out, 3).unwrap();
            assert_eq!(found(&out), Some(3), "call {call}");
        }
    }
}

#[test]
fn what_is_larger_than_any_distilled_set_is_refused_before_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let grown = |name: &str, length: u64| {
        let out = dir.path().join(name);
        write(&out, 1).unwrap();
        fs::File::options().write(true).open(out.join(name)).unwrap().set_len(length).unwrap();
        out
    };
    let refused = DistilledSet::read(&grown(METADATA, LIST + 1)).unwrap_err().to_string();
    assert!(refused.contains(METADATA) && refused.contains("at most"), "{refused}");
    let refused = read_arrays(&grown(PROTOTYPES, ARRAYS + 1).join(PROTOTYPES)).unwrap_err().to_string();
    assert!(refused.contains(PROTOTYPES) && refused.contains("at most"), "{refused}");
    let wide = DistilledSet { text_prototypes: Array2::zeros((2, WIDEST + 1)), ..set(1) };
    assert!(wide.check(dir.path()).unwrap_err().to_string().contains("d at most"));
}
