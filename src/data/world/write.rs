//! A world on disk, in the flat Karpathy layout of BLIP's Flickr30k lists.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use image::ImageFormat;
use rayon::prelude::*;
use serde_json::{Value, json};

use super::scene::{BACKDROPS, COLOURS, Object, SHAPES, SIZES, SLOTS, Scene};
use super::{Part, World, WorldSpec, shown_with};
use crate::error::{Error, Result};
use crate::fsio::write_atomic;

/// Pictures drawn between two reports of progress.
const CHUNK: usize = 512;

/// Writes the world of `spec` into the folder `out`, which is made where it is missing:
///
/// * `images/SPLIT/000000.png`: the pictures;
/// * `world_train.json`: one `{"image", "caption", "image_id"}` for each caption;
/// * `world_val.json`, `world_test.json`: one `{"image", "caption": [5]}` for each picture;
/// * `scenes.jsonl`: what each picture shows, by name and by class index;
/// * `truth.jsonl`, where there is noise: for each training row, in order, the picture it is shown with and the picture it
///   was written for.
///
/// The lists come last and each at once, so a folder that has `world_test.json` is complete. `progress` is told how many
/// pictures are done and of how many; an error from it ends the writing.
///
/// # Errors
/// [`Error::Setting`] for a spec that makes no sense, [`Error::Io`] when a file cannot be written, and whatever `progress`
/// returns.
pub fn write(out: &Path, spec: &WorldSpec, progress: &mut dyn FnMut(usize, usize) -> Result<()>) -> Result<()> {
    spec.check()?;
    let world = World::new(spec.seed);
    let total: usize = Part::ALL.iter().map(|&part| spec.scenes_in(part)).sum();
    for name in ["world_train.json", "world_val.json", "world_test.json", "scenes.jsonl", "truth.jsonl"] {
        remove(&out.join(name))?;
    }
    let mut done = 0;
    let mut facts = Vec::new();
    for part in Part::ALL {
        let folder = out.join("images").join(part.name());
        fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        for first in (0..spec.scenes_in(part)).step_by(CHUNK) {
            let last = (first + CHUNK).min(spec.scenes_in(part));
            let lines = (first..last)
                .into_par_iter()
                .map(|index| picture(out, &world, part, index))
                .collect::<Result<Vec<_>>>()?;
            lines.iter().for_each(|line| push_line(&mut facts, line));
            done += last - first;
            progress(done, total)?;
        }
    }
    write_atomic(&out.join("scenes.jsonl"), &facts)?;
    write_lists(out, &world, spec)
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(Error::io(path)(source)),
        _ => Ok(()),
    }
}

/// Where the picture of a scene lies, relative to the world's folder.
fn file(part: Part, index: usize) -> String {
    format!("images/{}/{index:06}.png", part.name())
}

fn picture(out: &Path, world: &World, part: Part, index: usize) -> Result<Value> {
    let scene = world.scene(part, index);
    let name = file(part, index);
    let path = out.join(&name);
    let mut bytes = Cursor::new(Vec::new());
    scene.render().write_to(&mut bytes, ImageFormat::Png).map_err(std::io::Error::other).map_err(Error::io(&path))?;
    fs::write(&path, bytes.into_inner()).map_err(Error::io(&path))?;
    Ok(fact(&scene, &name, part, index))
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

fn write_lists(out: &Path, world: &World, spec: &WorldSpec) -> Result<()> {
    let shown = shown_with(spec.scenes, spec.noise, spec.seed);
    let mut rows = Vec::with_capacity(shown.len());
    let mut truth = Vec::new();
    let captions = world.captions(Part::Train, spec.scenes);
    for (row, ((written_for, caption), &scene)) in captions.zip(&shown).enumerate() {
        let (image, own) = (file(Part::Train, scene), file(Part::Train, written_for));
        push_line(&mut truth, &json!({ "row": row, "image": image, "written_for": own }));
        rows.push(json!({ "image": image, "caption": caption, "image_id": scene.to_string() }));
    }
    if spec.noise > 0.0 {
        write_atomic(&out.join("truth.jsonl"), &truth)?;
    }
    write_atomic(&out.join("world_train.json"), &list(&rows))?;
    for part in [Part::Val, Part::Test] {
        let rows: Vec<Value> = (0..spec.scenes_in(part))
            .map(|index| json!({ "image": file(part, index), "caption": world.scene(part, index).captions() }))
            .collect();
        write_atomic(&out.join(format!("world_{}.json", part.name())), &list(&rows))?;
    }
    Ok(())
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
