#![allow(clippy::unwrap_used)]
use super::*;
use crate::data::{Dataset, ImageSource, open};
use std::{fs, io::Cursor};

fn png(n: u8) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image::RgbImage::from_pixel(3, 2, image::Rgb([n, 0, 9])).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// Content by extension: pictures are drawn, everything else is the text.
fn shard(path: &Path, members: &[(&str, &str)]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut to = tar::Builder::new(Vec::new());
    for (n, (name, text)) in members.iter().enumerate() {
        let picture = [".png", ".jpg", ".webp", ".JPEG"].iter().any(|e| name.ends_with(e));
        let bytes = if picture { png(n as u8) } else { text.as_bytes().to_vec() };
        let mut header = tar::Header::new_gnu();
        // Hostile names are what tars of strangers hold; the crate itself would refuse to write them.
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        to.append(&header, bytes.as_slice()).unwrap();
    }
    fs::write(path, to.into_inner().unwrap()).unwrap();
}

fn listing(dir: &Path) -> Listing {
    read(&Place::open(dir, false).unwrap(), &Names::default()).unwrap()
}

fn captions(set: &Dataset) -> Vec<(u32, &str)> {
    set.train.pairs.iter().map(|p| (p.image.0, p.caption.as_str())).collect()
}

#[test]
fn captions_come_as_lines_or_as_any_usual_json() {
    let dir = tempfile::tempdir().unwrap();
    let members = [
        ("0.png", ""),
        ("0.txt", "One.\n\nTwo!\n"),
        ("1.json", r#""three""#),
        ("1.jpg", ""),
        ("2.webp", ""),
        ("2.json", r#"{"url":"x","text":["four","five"],"n":1}"#),
        ("3.JPEG", ""),
        ("3.json", r#"{"caption":"six"}"#),
        ("3.txt", "the text is preferred"),
        ("4.png", ""),
        ("5.txt", "no image"),
        ("6.cls", "7"),
    ];
    shard(&dir.path().join("a.tar"), &members);
    let set = open(dir.path()).unwrap();
    let expected = [(0, "One."), (0, "Two!"), (1, "three"), (2, "four"), (2, "five"), (3, "the text is preferred")];
    assert_eq!(captions(&set), expected);
    let first = |i: usize| set.train.images[i].decode().unwrap().get_pixel(0, 0).0[0];
    assert_eq!([first(0), first(1), first(2), first(3)], [0, 3, 4, 6]);
}

#[test]
fn shards_are_told_apart_by_folder_by_name_and_by_pattern() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["x-train-00.tar", "x-train-01.tar", "val/00.tar", "test/00.tar", "x_test_9.tar"] {
        shard(&dir.path().join(name), &[("0.png", ""), ("0.txt", "same key in every shard")]);
    }
    let sizes = |s: &Dataset| [s.train.images.len(), s.val.images.len(), s.test.images.len()];
    assert_eq!(sizes(&open(dir.path()).unwrap()), [2, 1, 2]);
    assert_eq!(sizes(&open(&dir.path().join("x-train-{00..01}.tar")).unwrap()), [2, 0, 0]);
    assert_eq!(sizes(&open(&dir.path().join("{val,test}/{00..00}.tar")).unwrap()), [0, 1, 1]);
    assert_eq!(sizes(&open(&dir.path().join("x-train-00.tar")).unwrap()), [1, 0, 0]);
    let text = open(&dir.path().join("x-train-{00..02}.tar")).unwrap_err().to_string();
    assert!(text.contains("x-train-02.tar: there is no such shard"), "{text}");
}

#[test]
fn patterns_keep_their_width_and_nonsense_is_refused() {
    let text = |p: &str| expand(Path::new(p)).map(|v| v.iter().map(|p| p.display().to_string()).collect::<Vec<_>>());
    assert_eq!(text("a/{008..010}.tar").unwrap(), ["a/008.tar", "a/009.tar", "a/010.tar"]);
    assert_eq!(text("{a,b}{1..2}").unwrap(), ["a1", "a2", "b1", "b2"]);
    for bad in ["{3..1}", "{x..y}", "{}", "{one}", "{0..999999999}", "{0..9999}{0..9999}", "{1..2", "{-1..2}"] {
        assert!(text(bad).is_err(), "{bad}");
    }
}

#[test]
fn names_that_climb_out_are_only_keys() {
    let dir = tempfile::tempdir().unwrap();
    shard(
        &dir.path().join("a.tar"),
        &[("../../etc/x.png", ""), ("../../etc/x.txt", "hi"), ("/abs.png", ""), ("/abs.txt", "ho")],
    );
    let set = open(dir.path()).unwrap();
    assert_eq!(captions(&set), [(0, "hi"), (1, "ho")]);
    assert_eq!(set.train.images[0].decode().unwrap().dimensions(), (3, 2));
    assert!(matches!(&set.train.images[0], ImageSource::Member { shard, .. } if shard.path.ends_with("a.tar")));
}

#[test]
fn of_two_pictures_of_a_sample_the_first_counts_and_the_other_is_noted() {
    let dir = tempfile::tempdir().unwrap();
    shard(
        &dir.path().join("a.tar"),
        &[("0.png", ""), ("0.txt", "x"), ("1.png", ""), ("0.jpg", ""), ("1.json", "null")],
    );
    let set = open(dir.path()).unwrap();
    assert_eq!(captions(&set), [(0, "x")]);
    assert_eq!(set.train.images[0].decode().unwrap().get_pixel(0, 0).0[0], 0);
    let listing = listing(dir.path());
    assert_eq!(listing.noted, [(Problem::SaidTwice, dir.path().join("a.tar").display().to_string(), 1)]);
}

#[test]
fn shards_go_by_the_words_of_datasets_and_not_by_what_the_whole_folder_is_called() {
    let home = tempfile::tempdir().unwrap();
    let sample = [("0.png", ""), ("0.txt", "x")];
    let sizes = |s: &Dataset| [s.train.images.len(), s.val.images.len(), s.test.images.len()];
    shard(&home.path().join("test/000.tar"), &sample);
    assert_eq!(sizes(&open(&home.path().join("test")).unwrap()), [1, 0, 0]);
    for name in ["train2017-0.tar", "val2017-0.tar", "dev/0.tar", "x-eval-0.tar", "extra-0.tar"] {
        shard(&home.path().join("all").join(name), &sample);
    }
    let all = home.path().join("all");
    assert_eq!(sizes(&open(&all).unwrap()), [1, 2, 1]);
    let listing = listing(&all);
    assert_eq!(listing.noted, [(Problem::LeftOut, all.join("extra-0.tar").display().to_string(), 1)]);
}

#[test]
fn captions_of_another_encoding_are_refused_with_shard_member_and_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tar");
    let put = |text: &[u8]| {
        let mut to = tar::Builder::new(Vec::new());
        for (name, bytes) in [("0.png", png(0)), ("0.txt", text.to_vec())] {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            to.append_data(&mut header, name, bytes.as_slice()).unwrap();
        }
        fs::write(&path, to.into_inner().unwrap()).unwrap();
        open(dir.path())
    };
    let text = put(b"un chat\nun caf\xe9").unwrap_err().to_string();
    assert!(text.contains("a.tar: byte ") && text.contains("\"0.txt\": line 2, column 7: byte 0xe9"), "{text}");
    assert_eq!(captions(&put(b"\xef\xbb\xbfa cat").unwrap()), [(0, "a cat")]);
    assert_eq!(captions(&put(b"\xff\xfea\0 \0\xe9\0").unwrap()), [(0, "a é")]);
}

#[test]
fn broken_json_and_broken_images_name_shard_and_member() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tar");
    shard(&path, &[("0.png", ""), ("0.json", "{\"caption\":7}")]);
    let text = open(dir.path()).unwrap_err().to_string();
    assert!(
        text.contains("a.tar: byte ") && text.contains("\"0.json\"") && text.contains("a caption or a list"),
        "{text}"
    );
    shard(&path, &[("0.png", ""), ("0.txt", "x")]);
    let mut bytes = fs::read(&path).unwrap();
    bytes[530] ^= 0xff;
    fs::write(&path, bytes).unwrap();
    let text = open(dir.path()).unwrap().train.images[0].decode().unwrap_err().to_string();
    assert!(text.contains("a.tar/0.png: not a readable image"), "{text}");
}

#[test]
fn packed_shards_are_read_wherever_they_lie_and_half_a_one_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let plain = dir.path().join("plain");
    shard(&plain, &[("0.png", ""), ("0.txt", "zero"), ("1.jpg", ""), ("1.gif", ""), ("1.txt", "one")]);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, &fs::read(&plain).unwrap()).unwrap();
    let packed = packed.finish().unwrap();
    let path = dir.path().join("set/data/train-0.tar.gz");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, &packed).unwrap();
    let set = open(&dir.path().join("set")).unwrap();
    assert_eq!(captions(&set), [(0, "zero"), (1, "one")]);
    let first = |i: usize| set.train.images[i].decode().unwrap().get_pixel(0, 0).0[0];
    assert_eq!((first(0), first(1)), (0, 2));
    fs::write(&path, &packed[..packed.len() / 2]).unwrap();
    let said = open(&path).unwrap_err().to_string();
    assert!(said.contains("train-0.tar.gz: not a readable gzip file"), "{said}");
}
