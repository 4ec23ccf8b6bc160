#![allow(clippy::unwrap_used, clippy::needless_range_loop)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::*;
use crate::data::ImageSource;
use crate::fingerprint::Fingerprint;

fn scenes(part: Part, count: usize) -> Vec<Scene> {
    let world = World::new(DEFAULT_SEED);
    (0..count).map(|index| world.scene(part, index)).collect()
}

fn spec(scenes: usize, noise: f32) -> WorldSpec {
    WorldSpec::new(scenes, noise, DEFAULT_SEED)
}

fn lone(backdrop: usize, shape: usize, colour: usize, size: usize) -> Scene {
    Scene { seed: 0, backdrop, horizon: 0, objects: vec![Object { shape, colour, size, slot: 1, jitter: (0, 0) }] }
}

/// The shipped checkpoints were trained on exactly this world: if the hash changes, they are no longer valid.
#[test]
fn scenes_and_captions_are_those_the_checkpoints_were_trained_on() {
    let told: String = Part::ALL
        .iter()
        .flat_map(|&part| scenes(part, 100))
        .map(|scene| {
            let objects: Vec<_> = scene.objects.iter().map(|o| (o.shape, o.colour, o.size, o.slot, o.jitter)).collect();
            format!("{} {} {} {objects:?} {:?}\n", scene.seed, scene.backdrop, scene.horizon, scene.captions())
        })
        .collect();
    assert_eq!(
        Fingerprint::of_bytes(told.as_bytes()).as_str(),
        "3fe8ba6946ff93de39d4501e8504c90b5536a718eb664a3c21f3a151d66fa176"
    );
}

/// As above, for the pictures. Floating point may round otherwise elsewhere, so only x86-64 (with and without AVX2 and FMA:
/// the same) is held to the bit.
#[cfg(target_arch = "x86_64")]
#[test]
fn pictures_are_those_the_checkpoints_were_trained_on() {
    let pixels: Vec<u8> =
        Part::ALL.iter().flat_map(|&part| scenes(part, 100)).flat_map(|scene| scene.render().into_raw()).collect();
    assert_eq!(
        Fingerprint::of_bytes(&pixels).as_str(),
        "9cf9b2b818023e3a2cc6511767c1a1159ace81bdcf2ca2715b5552dd6adb100b"
    );
}

#[test]
fn no_scene_seed_is_in_two_splits_or_two_worlds() {
    let mut seen = BTreeSet::new();
    for seed in 0..4 {
        for part in Part::ALL {
            for index in 0..5_000 {
                assert!(seen.insert(World::new(seed).scene_seed(part, index)), "{seed} {part:?} {index}");
            }
        }
    }
}

#[test]
fn objects_of_a_scene_share_neither_shape_nor_place_and_stand_in_order() {
    for scene in scenes(Part::Train, 5_000) {
        assert!((1..=3).contains(&scene.objects.len()));
        assert!(scene.objects.is_sorted_by(|a, b| a.slot < b.slot));
        let shapes: BTreeSet<_> = scene.objects.iter().map(|object| object.shape).collect();
        assert_eq!(shapes.len(), scene.objects.len());
    }
}

#[test]
fn frequencies_have_a_long_tail() {
    let mut pairs = BTreeMap::<(usize, usize), usize>::new();
    for scene in scenes(Part::Train, 20_000) {
        for object in &scene.objects {
            *pairs.entry((scene.backdrop, object.shape)).or_default() += 1;
        }
    }
    let mut counts: Vec<usize> = pairs.values().copied().collect();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let total: usize = counts.iter().sum();
    assert_eq!(counts.len(), BACKDROPS.len() * SHAPES.len(), "nothing is impossible");
    let head: usize = counts[..24].iter().sum();
    assert!(head * 2 > total, "a quarter of the pairs makes {head} of {total}");
    assert!(counts[0] > 25 * counts[counts.len() - 1], "{counts:?}");
    let (sea, boat) = (4, 7);
    assert!((0..BACKDROPS.len()).all(|other| pairs[&(other, boat)] <= pairs[&(sea, boat)]));
}

#[test]
fn captions_are_true_of_their_scene_and_differ() {
    for scene in scenes(Part::Train, 4_000) {
        let told = scene.described();
        assert!(told.iter().all(|caption| caption.claim.holds(&scene)), "{scene:?} {told:?}");
        let texts: BTreeSet<&str> = told.iter().map(|caption| caption.text.as_str()).collect();
        assert_eq!(texts.len(), CAPTIONS, "{texts:?}");
    }
}

#[test]
fn what_a_caption_claims_is_what_it_says() {
    for caption in scenes(Part::Val, 500).iter().flat_map(Scene::described) {
        let words: Vec<&str> = caption.text.split([' ', ',']).collect();
        let said: Vec<usize> =
            words.iter().filter_map(|word| COLOURS.iter().position(|colour| colour == word)).collect();
        let claimed: Vec<usize> = caption.claim.mentions.iter().filter_map(|mention| mention.colour).collect();
        assert_eq!(said, claimed, "{}", caption.text);
        let sizes = words.iter().filter(|word| ["big", "large", "small", "little"].contains(*word)).count();
        assert_eq!(sizes, caption.claim.mentions.iter().flat_map(|mention| mention.size).count(), "{}", caption.text);
    }
}

#[test]
fn a_claim_fails_when_any_part_of_it_does() {
    let object = |shape, slot| Object { shape, colour: shape, size: 0, slot, jitter: (0, 0) };
    let scene = Scene { seed: 0, backdrop: 2, horizon: 0, objects: vec![object(0, 0), object(1, 1), object(2, 2)] };
    let mention = |shape| Mention { shape, colour: Some(shape), size: Some(0), slot: None };
    let claim = |relation| Claim {
        backdrop: Some(2),
        mentions: vec![mention(0), mention(1), mention(2)],
        relations: vec![relation],
    };
    assert!(claim(Relation::LeftOf(0, 2)).holds(&scene));
    assert!(!claim(Relation::LeftOf(2, 0)).holds(&scene));
    assert!(claim(Relation::Between(1, 2, 0)).holds(&scene));
    assert!(!claim(Relation::Between(0, 1, 2)).holds(&scene));
    let wrong = |change: &dyn Fn(&mut Claim)| {
        let mut claim = claim(Relation::LeftOf(0, 1));
        change(&mut claim);
        !claim.holds(&scene)
    };
    assert!(!wrong(&|_| ()));
    assert!(wrong(&|claim| claim.backdrop = Some(3)));
    assert!(wrong(&|claim| claim.mentions[1].colour = Some(7)));
    assert!(wrong(&|claim| claim.mentions[1].size = Some(1)));
    assert!(wrong(&|claim| claim.mentions[1].slot = Some(0)));
    assert!(wrong(&|claim| claim.mentions[1].shape = 9));
}

/// What a perfect model would reach: a caption that fits `n` test scenes finds its own first once in `n` times.
#[test]
fn captions_tell_the_test_scenes_apart() {
    let scenes = scenes(Part::Test, TEST_SCENES);
    let mut found = 0.0;
    for caption in scenes.iter().flat_map(Scene::described) {
        found += 1.0 / scenes.iter().filter(|scene| caption.claim.holds(scene)).count() as f64;
    }
    let recall = found / (CAPTIONS * TEST_SCENES) as f64;
    assert!((0.80..0.95).contains(&recall), "image R@1 of a perfect model: {recall:.4}");
}

#[test]
fn captions_are_short_plain_english_of_few_words() {
    let mut vocabulary = BTreeSet::new();
    for caption in scenes(Part::Train, 4_000).iter().flat_map(Scene::captions) {
        assert!(caption.chars().all(|c| c.is_ascii_lowercase() || c == ' ' || c == ','), "{caption}");
        assert!(!caption.contains("a orange") && !caption.contains("  "), "{caption}");
        let words: Vec<String> = caption.split(' ').map(|word| word.trim_end_matches(',').to_owned()).collect();
        assert!(words.len() <= 24, "{caption}");
        vocabulary.extend(words);
    }
    assert!(vocabulary.len() < 120, "{}", vocabulary.len());
}

#[test]
fn every_object_stands_out_from_every_backdrop() {
    for backdrop in 0..BACKDROPS.len() {
        let empty = Scene { objects: Vec::new(), ..lone(backdrop, 0, 0, 0) }.render();
        for shape in 0..SHAPES.len() {
            for colour in 0..COLOURS.len() {
                let seen = lone(backdrop, shape, colour, 0).render();
                let changed = seen
                    .pixels()
                    .zip(empty.pixels())
                    .filter(|(a, b)| a.0.iter().zip(b.0).map(|(&a, b)| a.abs_diff(b) as u32).sum::<u32>() > 60)
                    .count();
                let what = (BACKDROPS[backdrop], COLOURS[colour], SHAPES[shape]);
                assert!(changed >= 40, "{what:?} changes {changed} pixels");
            }
        }
    }
}

#[test]
fn sizes_are_clearly_different() {
    for shape in 0..SHAPES.len() {
        let empty = Scene { objects: Vec::new(), ..lone(0, 0, 0, 0) }.render();
        let area = |size| lone(0, shape, 0, size).render().pixels().zip(empty.pixels()).filter(|(a, b)| a != b).count();
        assert!(area(1) * 10 > area(0) * 19, "{}: {} and {}", SHAPES[shape], area(0), area(1));
    }
}

#[test]
fn noise_moves_the_share_asked_for_and_no_chosen_caption_keeps_its_scene() {
    for noise in [0.0_f32, 0.1, 0.4, 1.0] {
        let shown = WorldSpec::new(400, noise, 7).shown();
        let moved = shown.iter().enumerate().filter(|&(row, &scene)| row / CAPTIONS != scene).count();
        assert_eq!(moved, (noise * 2_000.0).round() as usize, "noise {noise}");
        for scene in 0..400 {
            assert_eq!(shown.iter().filter(|&&s| s == scene).count(), CAPTIONS, "scene {scene}");
        }
    }
}

#[test]
fn noise_among_neighbours_trades_captions_between_scenes_that_share_most() {
    let (world, spec) = (World::new(3), WorldSpec::new(400, 0.6, 3));
    let near = WorldSpec { among: Among::Neighbours, ..spec };
    let shared = |spec: &WorldSpec| {
        let shown = spec.shown();
        let moved: Vec<(usize, usize)> =
            shown.iter().enumerate().map(|(row, &s)| (row / CAPTIONS, s)).filter(|(own, s)| own != s).collect();
        let shapes = |i: usize| world.scene(Part::Train, i).objects.iter().map(|o| o.shape).collect::<BTreeSet<_>>();
        let like = moved.iter().filter(|&&(a, b)| !shapes(a).is_disjoint(&shapes(b))).count();
        for scene in 0..400 {
            assert_eq!(shown.iter().filter(|&&s| s == scene).count(), CAPTIONS, "scene {scene}");
        }
        (moved.len(), like as f64 / moved.len() as f64)
    };
    let ((far_moved, far), (moved, like)) = (shared(&spec), shared(&near));
    assert!(far_moved == 1_200 && (1_120..=1_200).contains(&moved), "{moved}");
    assert!(like > 0.98 && far < 0.6, "{like} {far}");
    assert_ne!(near.shown(), WorldSpec { noise_seed: Some(4), ..near }.shown());
}

#[test]
fn noise_scatters_the_captions_of_a_scene() {
    let shown = WorldSpec::new(400, 1.0, 7).shown();
    let together = shown.chunks_exact(CAPTIONS).filter(|row| row.iter().collect::<BTreeSet<_>>().len() < 4).count();
    assert!(together < 8, "{together} of 400 scenes had their captions moved together");
}

#[test]
fn noise_that_cannot_swap_leaves_the_captions_where_they_are() {
    assert_eq!(WorldSpec::new(1, 1.0, 7).shown(), [0; CAPTIONS]);
}

fn bytes_of(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            files.extend(bytes_of(&path).into_iter().map(|(inner, bytes)| (format!("{name}/{inner}"), bytes)));
        } else {
            files.insert(name, fs::read(path).unwrap());
        }
    }
    files
}

#[test]
fn a_world_on_disk_does_not_depend_on_the_number_of_threads() {
    let written = |threads| {
        let folder = tempfile::tempdir().unwrap();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| write(folder.path(), &spec(30, 0.4), &mut |_, _| Ok(()))).unwrap();
        bytes_of(folder.path())
    };
    let (one, three) = (written(1), written(3));
    assert_eq!(one.len(), 30 + VAL_SCENES + TEST_SCENES + 6);
    assert!(one == three);
}

#[test]
fn a_world_on_disk_is_the_world_in_memory_and_its_truth_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &spec(40, 0.4), &mut |_, _| Ok(())).unwrap();
    let memory = dataset(&spec(40, 0.4)).unwrap();
    let clean = dataset(&spec(40, 0.0)).unwrap();
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let rows: Vec<Value> = serde_json::from_str(&read("world_train.json")).unwrap();
    let truth: Vec<Value> = read("truth.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((rows.len(), truth.len(), memory.train.pairs.len()), (200, 200, 200));
    let image = |index: usize| format!("images/train/{index:06}.png");
    for (index, (row, fact)) in rows.iter().zip(&truth).enumerate() {
        let (pair, own) = (&memory.train.pairs[index], &clean.train.pairs[index]);
        assert_eq!((row["caption"].as_str().unwrap(), &pair.caption), (own.caption.as_str(), &own.caption));
        assert_eq!(row["image"], image(pair.image.index()));
        assert_eq!(row["image_id"], pair.image.0.to_string());
        assert_eq!((&fact["row"], &fact["image"]), (&index.into(), &row["image"]));
        assert_eq!(fact["written_for"], image(own.image.index()));
    }
    let swapped = truth.iter().filter(|fact| fact["image"] != fact["written_for"]).count();
    assert_eq!(swapped, 80);
    let test: Vec<Value> = serde_json::from_str(&read("world_test.json")).unwrap();
    assert_eq!(test.len(), TEST_SCENES);
    assert_eq!(test[3]["caption"][4], memory.test.pairs[19].caption.as_str());
    let png = image::open(folder.path().join(test[3]["image"].as_str().unwrap())).unwrap().into_rgb8();
    assert_eq!(ImageSource::Memory(png), memory.test.images[3]);
    let fact: Value = serde_json::from_str(read("scenes.jsonl").lines().next().unwrap()).unwrap();
    let scene = World::new(DEFAULT_SEED).scene(Part::Train, 0);
    assert_eq!(fact["backdrop"], BACKDROPS[scene.backdrop]);
    assert_eq!(fact["objects"][0]["colour_index"], scene.objects[0].colour);
    assert_eq!(fact["objects"].as_array().unwrap().len(), scene.objects.len());
}

#[test]
fn a_world_whose_writing_was_cancelled_leaves_the_older_one_whole() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &spec(2, 0.5), &mut |_, _| Ok(())).unwrap();
    let before = bytes_of(folder.path());
    let cancelled = write(folder.path(), &spec(2, 0.0), &mut |_, _| Err(Error::Cancelled));
    assert!(matches!(cancelled, Err(Error::Cancelled)));
    assert!(bytes_of(folder.path()) == before);
}

#[test]
fn a_world_replaces_nothing_but_an_unchanged_world() {
    let folder = tempfile::tempdir().unwrap();
    let again = || write(folder.path(), &spec(2, 0.0), &mut |_, _| Ok(())).map_err(|e| e.to_string());
    fs::write(folder.path().join("notes"), "mine").unwrap();
    assert!(again().unwrap_err().contains("holds files"));
    fs::remove_file(folder.path().join("notes")).unwrap();
    again().unwrap();
    again().unwrap();
    fs::write(folder.path().join("images/train/000001.png"), "retouched").unwrap();
    assert!(again().unwrap_err().contains("000001.png\" changed"));
    let beyond = tempfile::tempdir().unwrap();
    fs::write(beyond.path().join("kept"), "theirs").unwrap();
    fs::remove_dir_all(folder.path().join("images/train")).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(beyond.path(), folder.path().join("images/train")).unwrap();
    assert!(again().unwrap_err().contains("also holds \"images/train\""));
    assert_eq!(fs::read(beyond.path().join("kept")).unwrap(), b"theirs");
}

#[test]
fn progress_counts_every_picture() {
    let folder = tempfile::tempdir().unwrap();
    let mut last = (0, 0);
    let mut report = |done, total| {
        assert!(done > last.0);
        last = (done, total);
        Ok(())
    };
    write(folder.path(), &spec(3, 0.0), &mut report).unwrap();
    assert_eq!(last, (1_503, 1_503));
    assert!(!folder.path().join("truth.jsonl").exists());
}

#[test]
fn a_spec_that_makes_no_sense_is_refused_by_name() {
    for (bad, name) in [(spec(0, 0.0), "scenes"), (spec(5, 1.5), "noise"), (spec(5, f32::NAN), "noise")] {
        let refused = dataset(&bad).err().map(|error| error.to_string());
        assert!(refused.as_ref().is_some_and(|message| message.starts_with(name)), "{refused:?}");
    }
}
