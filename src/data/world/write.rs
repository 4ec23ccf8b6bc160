//! A world on disk, in the flat Karpathy layout of BLIP's Flickr30k lists.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;

use image::ImageFormat;
use rayon::prelude::*;
use serde_json::{Value, json};

use super::scene::{BACKDROPS, COLOURS, Object, SHAPES, SIZES, SLOTS, Scene};
use super::{Part, World, WorldSpec};
use crate::fingerprint::Fingerprint;
use crate::fsio::{Claim, disk, refusal, replace_folder, write_new};
use crate::{
    door,
    error::{Error, Result},
};

/// Pictures drawn between two reports of progress.
const CHUNK: usize = 512;

/// What makes a folder a world of ours: the specification, and every file with its hash.
const MANIFEST: &str = "world.json";

/// Writes the world of `spec` as the folder `out`:
///
/// * `images/SPLIT/000000.png`: the pictures;
/// * `world_train.json`: one `{"image", "caption", "image_id"}` for each caption;
/// * `world_val.json`, `world_test.json`: one `{"image", "caption": [5]}` for each picture;
/// * `scenes.jsonl`: what each picture shows, by name and by class index;
/// * `truth.jsonl`, where there is noise: for each training row, in order, the picture it is shown with and the picture it
///   was written for;
/// * `world.json`: the specification, and the hash of every other file.
///
/// It is there as a whole or not at all. `progress` is told how many pictures are done and of how many; an error from it
/// ends the writing.
///
/// # Errors
/// [`Error::Setting`] for a spec that makes no sense, or if `out` holds anything but an unchanged world; [`Error::Io`] when a
/// file cannot be written, and whatever `progress` returns.
pub fn write(out: &Path, spec: &WorldSpec, progress: &mut dyn FnMut(usize, usize) -> Result<()>) -> Result<()> {
    spec.check()?;
    write_so_many(out, spec, Part::ALL.map(|part| spec.scenes_in(part)), progress)
}

/// The same with so many scenes in each split.
fn write_so_many(
    out: &Path,
    spec: &WorldSpec,
    sizes: [usize; 3],
    progress: &mut dyn FnMut(usize, usize) -> Result<()>,
) -> Result<()> {
    if let Some((why, _)) = refusal(out, || claim(out), false)? {
        return Err(Error::setting("out", format!("{}: {why}", out.display())).or("name another folder"));
    }
    replace_folder(out, |new| write_files(new, spec, sizes, progress))
}

/// What a world that lies in `out` says of itself.
fn claim(out: &Path) -> Option<Claim> {
    let whole: Value = serde_json::from_slice(&door::read(&out.join(MANIFEST), door::TABLE).ok()?).ok()?;
    let files = serde_json::from_value(whole.get("files")?.clone()).ok()?;
    Some(Claim { by: MANIFEST, files, later: |_| false })
}

fn write_files(
    out: &Path,
    spec: &WorldSpec,
    sizes: [usize; 3],
    progress: &mut dyn FnMut(usize, usize) -> Result<()>,
) -> Result<()> {
    let world = World::new(spec.seed);
    let total: usize = sizes.iter().sum();
    let mut done = 0;
    let (mut facts, mut files) = (Vec::new(), BTreeMap::new());
    for (part, scenes) in Part::ALL.into_iter().zip(sizes) {
        let folder = out.join("images").join(part.name());
        disk::create_folders(&folder).map_err(Error::io(&folder))?;
        for first in (0..scenes).step_by(CHUNK) {
            let last = (first + CHUNK).min(scenes);
            let lines = (first..last)
                .into_par_iter()
                .map(|index| picture(out, &world, part, index))
                .collect::<Result<Vec<_>>>()?;
            for (line, name, hash) in lines {
                push_line(&mut facts, &line);
                files.insert(name, hash);
            }
            done += last - first;
            progress(done, total)?;
        }
    }
    let mut all = lists(&world, spec, sizes);
    all.push(("scenes.jsonl".into(), facts));
    for (name, bytes) in all {
        put(&out.join(&name), &bytes)?;
        files.insert(name, Fingerprint::of_bytes(&bytes));
    }
    let manifest = json!({ "protostill": env!("CARGO_PKG_VERSION"), "world": spec, "files": files });
    put(&out.join(MANIFEST), format!("{manifest:#}\n").as_bytes())
}

fn put(path: &Path, bytes: &[u8]) -> Result<()> {
    write_new(path, |to| to.write_all(bytes)).map(drop).map_err(Error::io(path))
}

/// Where the picture of a scene lies, relative to the world's folder.
fn file(part: Part, index: usize) -> String {
    format!("images/{}/{index:06}.png", part.name())
}

/// Writes a picture; returns what it shows, its name and hash.
fn picture(out: &Path, world: &World, part: Part, index: usize) -> Result<(Value, String, Fingerprint)> {
    let scene = world.scene(part, index);
    let name = file(part, index);
    let path = out.join(&name);
    let mut bytes = Cursor::new(Vec::new());
    scene.render().write_to(&mut bytes, ImageFormat::Png).map_err(std::io::Error::other).map_err(Error::io(&path))?;
    let bytes = bytes.into_inner();
    put(&path, &bytes)?;
    Ok((fact(&scene, &name, part, index), name, Fingerprint::of_bytes(&bytes)))
}

fn fact(scene: &Scene, name: &str, part: Part, index: usize) -> Value {
    json!({
        "file": name, "split": part.name(), "index": index, "seed": scene.seed,
        "backdrop": BACKDROPS[scene.backdrop], "backdrop_index": scene.backdrop,
        "objects": scene.objects.iter().map(object_fact).collect::<Vec<_>>(),
    })
}

fn object_fact(object: &Object) -> Value {
    json!({
        "shape": SHAPES[object.shape], "shape_index": object.shape,
        "colour": COLOURS[object.colour], "colour_index": object.colour,
        "size": SIZES[object.size], "size_index": object.size,
        "slot": SLOTS[object.slot], "slot_index": object.slot,
    })
}

/// The lists by their names.
fn lists(world: &World, spec: &WorldSpec, sizes: [usize; 3]) -> Vec<(String, Vec<u8>)> {
    let shown = spec.shown();
    let mut rows = Vec::with_capacity(shown.len());
    let mut truth = Vec::new();
    let captions = world.captions(Part::Train, spec.scenes);
    for (row, ((written_for, caption), &scene)) in captions.zip(&shown).enumerate() {
        let (image, own) = (file(Part::Train, scene), file(Part::Train, written_for));
        push_line(&mut truth, &json!({ "row": row, "image": image, "written_for": own }));
        rows.push(json!({ "image": image, "caption": caption, "image_id": scene.to_string() }));
    }
    let mut lists = vec![("world_train.json".to_owned(), list(&rows))];
    if spec.noise > 0.0 {
        lists.push(("truth.jsonl".into(), truth));
    }
    for part in [Part::Val, Part::Test] {
        let rows: Vec<Value> = (0..sizes[part as usize])
            .map(|index| json!({ "image": file(part, index), "caption": world.scene(part, index).captions() }))
            .collect();
        lists.push((format!("world_{}.json", part.name()), list(&rows)));
    }
    lists
}

/// A JSON array, one element a line.
fn list(rows: &[Value]) -> Vec<u8> {
    let mut bytes = b"[\n".to_vec();
    for (index, row) in rows.iter().enumerate() {
        if index > 0 {
            bytes.extend_from_slice(b",\n");
        }
        bytes.extend_from_slice(row.to_string().as_bytes());
    }
    bytes.extend_from_slice(b"\n]\n");
    bytes
}

fn push_line(bytes: &mut Vec<u8>, line: &Value) {
    bytes.extend_from_slice(line.to_string().as_bytes());
    bytes.push(b'\n');
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::fsio::crash::{Kept, Recorder};
    use std::fs;

    /// A picture for each split, of a world of its own.
    fn written(out: &Path, seed: u64) -> Result<()> {
        let spec = WorldSpec::new(1, 0.5, seed);
        write_so_many(out, &spec, [1; 3], &mut |_, _| Ok(()))
    }

    /// The seed of the world that lies there, of which every file must be as it says; none if there is no folder.
    fn found(out: &Path) -> Option<u64> {
        if !out.exists() {
            return None;
        }
        let claim = claim(out).expect("half a folder");
        for (name, hash) in &claim.files {
            assert_eq!(Fingerprint::of_file(&out.join(name)).ok().as_ref(), Some(hash), "{name}");
        }
        assert_eq!(refusal(out, || Some(claim), false).unwrap(), None);
        let whole: Value = serde_json::from_slice(&fs::read(out.join(MANIFEST)).unwrap()).unwrap();
        whole["world"]["seed"].as_u64()
    }

    #[test]
    fn whatever_crash_or_failing_call_a_world_is_the_old_one_or_the_new_one() {
        let before = |root: &Path| written(&root.join("w"), 1).unwrap();
        let disk = Recorder::over(before);
        written(&disk.root().join("w"), 2).unwrap();
        disk.promise(Kept::PowerCut, 1);
        let (calls, states) = disk.states_torn(4, |root, promised| {
            let found = found(&root.join("w"));
            assert!(found == Some(2) || (promised == 0 && found == Some(1)), "{found:?}");
        });
        assert!(calls > 30 && states > 100, "{calls} calls, {states} states");
        for call in 0..calls {
            let disk = Recorder::over(before);
            let out = disk.root().join("w");
            disk.fail(call, call.is_multiple_of(2));
            let done = written(&out, 2);
            let seed = found(&out);
            assert!(seed == Some(2) || (done.is_err() && seed == Some(1)), "call {call}: {seed:?}");
        }
    }
}
