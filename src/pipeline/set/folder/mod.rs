//! The distilled set: what `distill` writes, `evaluate` reads and people hand on. An ImageFolder with three extra files.

mod added;
#[cfg(test)]
mod tests;

use super::{
    card::CARD,
    export::{Form, picture},
    pair::DistilledPair,
};
use crate::{
    about,
    data::{ImageSource, build::stays_inside},
    door,
    error::{Error, Result},
    fingerprint::Fingerprint,
    fsio::{Claim, disk, printable, refusal, replace_folder, write_new},
    kernels::vectors,
    pipeline::{
        methods::Method,
        prototypes::Prototype,
        store::{arrays::Arrays, encode_png},
    },
};
use added::{card_is_ours, is_score, keep_scores};
use image::RgbImage;
use ndarray::{Array2, ArrayView1, Ix2};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, io::BufReader, path::Path};

/// The file that makes a folder ours.
pub const MANIFEST: &str = "manifest.json";
const METADATA: &str = "metadata.jsonl";
/// Largest list of pairs and largest arrays of a set, in bytes: a distilled set is small, whoever made it.
const LIST: u64 = 1 << 27;
const ARRAYS: u64 = 1 << 29;
/// Numbers of a prototype, at most.
const WIDEST: usize = 1 << 16;
const PROTOTYPES: &str = "prototypes.safetensors";
/// What `evaluate` adds to the folder.
pub const SCORES: &str = "recall.json";
/// Of the folder's layout.
const FORMAT: u32 = 1;

/// M synthetic pairs: pair `i` belongs to row `i` of both arrays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DistilledSet {
    /// How they were made: `pds`, `random` …
    pub method: String,
    /// The pairs, best match first.
    pub pairs: Vec<DistilledPair>,
    /// Raw image embeddings, `[M, d]`.
    pub image_prototypes: Array2<f32>,
    /// Raw text embeddings, `[M, d]`: the students' targets.
    pub text_prototypes: Array2<f32>,
    /// How far pair i's picture and pair j's target belong together, `[M, M]`, symmetric; none: each to its own alone.
    pub correspondence: Option<Array2<f32>>,
}

/// A set as read, and what the folder says about it.
#[derive(Clone, Debug)]
pub struct ReadSet {
    /// The set.
    pub set: DistilledSet,
    /// The whole `manifest.json`.
    pub manifest: Value,
    /// Files that differ from what was written: a user may retouch images and captions, and results should say so.
    pub edited: Vec<String>,
    /// Of everything in the folder that results depend on, as it is now.
    pub fingerprint: Fingerprint,
}

/// A line of `metadata.jsonl`, in Hugging Face's ImageFolder words.
#[derive(Serialize, Deserialize)]
struct Line {
    /// The picture; none where the source had only features of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file_name: Option<String>,
    /// What the source calls a picture that is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// DataComp's name of it, 32 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    uid: Option<String>,
    text: String,
    prototype: usize,
    support: u32,
    similarity: f32,
}

impl DistilledSet {
    /// Prototypes with the pictures drawn of them and their captions.
    ///
    /// # Errors
    /// [`Error::Shape`] if the prototypes' widths differ.
    pub fn drawn(pairs: Vec<(&Prototype, RgbImage, String)>) -> Result<Self> {
        let side = |of: fn(&Prototype) -> &[f32]| {
            let d = pairs.first().map_or(0, |(p, ..)| of(p).len());
            vectors::stack(pairs.iter().map(|(p, ..)| of(p)), d)
        };
        let (image_prototypes, text_prototypes) = (side(|p| &p.image)?, side(|p| &p.text)?);
        let pair = |(p, image, caption): (&Prototype, RgbImage, String)| DistilledPair {
            image: ImageSource::Memory(image),
            caption,
            support: p.support,
            similarity: p.similarity,
            uid: None,
        };
        let pairs = pairs.into_iter().map(pair).collect();
        let method = Method::Pds.name().to_owned();
        Ok(Self { method, pairs, image_prototypes, text_prototypes, correspondence: None })
    }

    /// The training target of pair `i`, `[d]`.
    pub fn target(&self, i: usize) -> ArrayView1<'_, f32> {
        self.text_prototypes.row(i)
    }

    /// Checks that everything fits together.
    ///
    /// # Errors
    /// [`Error::Shape`] if rows or widths differ or there is no pair, [`Error::Input`] about `place` for numbers that are not finite.
    pub fn check(&self, place: &Path) -> Result<()> {
        let (m, d) = self.text_prototypes.dim();
        if m != self.pairs.len() || m == 0 || d == 0 || d > WIDEST {
            let expected = format!("[{}, d], d at most {WIDEST}, and at least one pair", self.pairs.len());
            return Err(Error::Shape { what: "text prototypes", expected, found: format!("[{m}, {d}]") });
        }
        let found = self.image_prototypes.dim();
        if found.0 != m || found.1 == 0 || found.1 > WIDEST {
            let expected = format!("[{m}, d], d at most {WIDEST}");
            return Err(Error::Shape { what: "image prototypes", expected, found: format!("{found:?}") });
        }
        let soft = self.correspondence.as_ref();
        if let Some(found) = soft.map(Array2::dim).filter(|&dim| dim != (m, m)) {
            let expected = format!("[{m}, {m}]");
            return Err(Error::Shape { what: "correspondence", expected, found: format!("{found:?}") });
        }
        if soft.is_some_and(|s| s.iter().any(|&v| v < 0.0) || s.rows().into_iter().any(|row| row.sum() <= 0.0)) {
            return Err(Error::input(place, "array \"correspondence\" has a negative number or a row of zeros"));
        }
        let both = [("image", &self.image_prototypes), ("text", &self.text_prototypes)];
        for (name, array) in both.into_iter().chain(soft.map(|s| ("correspondence", s))) {
            if let Some(((row, column), value)) = array.indexed_iter().find(|(_, v)| !v.is_finite()) {
                return Err(Error::input(place, format!("array \"{name}\", row {row}, column {column} is {value}")));
            }
        }
        match self.pairs.iter().position(|p| !p.similarity.is_finite()) {
            Some(i) => Err(Error::input(place, format!("the similarity of pair {i} is not a number"))),
            None => Ok(()),
        }
    }

    /// Writes the set as folder `dir`: `images/0000.png` …, `metadata.jsonl`, `prototypes.safetensors`, `manifest.json`,
    /// which is `manifest` (an object), the program and the files' hashes, and `README.md`. Equal sets and manifests give
    /// equal bytes.
    ///
    /// Everything is written beside `dir`, which it then takes the place of: a crash or a full disk leaves the old folder or
    /// the new one, whole. Scores of a set that is replaced stay, under its name.
    ///
    /// # Errors
    /// [`Error::Setting`] about `out` if `dir` holds anything that would be lost, as [`replaceable`]; [`Error::Io`] naming
    /// the path, such as for a full disk or a read-only place; [`Error::Shape`] and [`Error::Input`] as [`Self::check`].
    pub fn write(&self, dir: &Path, manifest: &Value) -> Result<()> {
        self.write_as(dir, manifest, &[], false)
    }

    /// As [`Self::write`], and beside it the same pairs in further `forms`; with `force` also over a set that was changed
    /// by hand.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn write_as(&self, dir: &Path, manifest: &Value, forms: &[Form], force: bool) -> Result<()> {
        self.check(dir)?;
        replaceable(dir, force)?;
        replace_folder(dir, |new| {
            let (ours, manifest) = self.write_files(new, manifest, forms)?;
            keep_scores(dir, new, &ours)?;
            put(&new.join(CARD), self.card(new, &manifest)?.as_bytes())
        })
    }

    /// Into an empty folder; returns what this program needs of the manifest, and all of it.
    fn write_files(&self, dir: &Path, manifest: &Value, forms: &[Form]) -> Result<(Ours, Value)> {
        let mut files = BTreeMap::new();
        let mut order = Vec::new();
        let mut put = |name: String, bytes: &[u8]| -> Result<()> {
            put(&dir.join(&name), bytes)?;
            order.push(name.clone());
            files.insert(name, Fingerprint::of_bytes(bytes));
            Ok(())
        };
        let (mut lines, mut pngs) = (String::new(), Vec::new());
        for (i, pair) in self.pairs.iter().enumerate() {
            let (file_name, key) = match &pair.image {
                ImageSource::Absent(name) => (None, Some(name.display().to_string())),
                image => {
                    let png = encode_png(&image.decode()?)?;
                    put(picture(i), &png)?;
                    pngs.push(png);
                    (Some(picture(i)), None)
                }
            };
            let (support, similarity, uid) = (pair.support, pair.similarity, pair.uid.map(|uid| format!("{uid:032x}")));
            let line = Line { file_name, key, uid, text: pair.caption.clone(), prototype: i, support, similarity };
            lines += &serde_json::to_string(&line).map_err(|e| Error::input(dir, e.to_string()))?;
            lines.push('\n');
        }
        put(METADATA.into(), lines.as_bytes())?;
        let arrays = Arrays::new().with_f32("image", &self.image_prototypes).with_f32("text", &self.text_prototypes);
        let arrays = match &self.correspondence {
            Some(soft) => arrays.with_f32("correspondence", soft),
            None => arrays,
        };
        put(PROTOTYPES.into(), &arrays.to_bytes()?)?;
        if pngs.len() < self.pairs.len() && forms.iter().any(|form| *form != Form::Datacomp) {
            return Err(Error::setting("format", "takes pictures, and the source has only features of them"));
        }
        for form in forms {
            for (name, bytes) in form.files(&self.pairs, &pngs)? {
                put(name.into(), &bytes)?;
            }
        }
        let mut whole = manifest.as_object().cloned().unwrap_or_default();
        let mut program = json!({ "format": FORMAT });
        program
            .as_object_mut()
            .into_iter()
            .for_each(|p| p.extend(about::json().as_object().cloned().unwrap_or_default()));
        whole.insert("protostill".into(), program);
        whole.insert("method".into(), json!(self.method));
        let hashes: Map<String, Value> = order.into_iter().map(|name| (name.clone(), json!(files[&name]))).collect();
        whole.insert("files".into(), Value::Object(hashes));
        let mut text = serde_json::to_vec_pretty(&whole).map_err(|e| Error::input(dir, e.to_string()))?;
        text.push(b'\n');
        super::folder::put(&dir.join(MANIFEST), &text)?;
        Ok((Ours { protostill: Format { format: FORMAT }, method: self.method.clone(), files }, Value::Object(whole)))
    }

    /// Reads folder `dir` and checks all of it: manifest, hashes, shapes, numbers, images there and as many as rows.
    ///
    /// `prototypes.safetensors` must be the one that was written, since nobody edits it by hand. Images and captions
    /// may be changed (that is what [`ReadSet::edited`] is for) but not added, removed or moved out of `dir`.
    /// Images are decoded later, by who needs them.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Input`] naming the file and what is wrong.
    pub fn read(dir: &Path) -> Result<ReadSet> {
        let (manifest, ours) = read_manifest(&dir.join(MANIFEST))?;
        let mut edited = Vec::new();
        let mut current = BTreeMap::new();
        for (name, written) in &ours.files {
            let path = dir.join(name);
            if !stays_inside(name) {
                let message = format!("the path \"{}\" leaves the folder", printable(name));
                return Err(Error::input(dir.join(MANIFEST), message));
            }
            let now = Fingerprint::of_file(&path)?;
            if *written != now && name == PROTOTYPES {
                return Err(Error::input(
                    path,
                    "is not the file that was written: its hash differs from manifest.json's",
                ));
            }
            if *written != now {
                edited.push(name.clone());
            }
            current.insert(name, now);
        }
        let fingerprint = Fingerprint::of_stage("distilled set", &(&ours.method, &current), &[]);
        let arrays = dir.join(PROTOTYPES);
        let mut found = read_arrays(&arrays)?;
        let soft = found.has("correspondence");
        let set = Self {
            method: ours.method,
            pairs: read_pairs(dir, &ours.files)?,
            image_prototypes: found.take::<Ix2>("image")?,
            text_prototypes: found.take::<Ix2>("text")?,
            correspondence: if soft { Some(found.take::<Ix2>("correspondence")?) } else { None },
        };
        let shape = |e: Error| match e {
            Error::Shape { .. } => Error::input(&arrays, e.to_string()),
            other => other,
        };
        set.check(&arrays).map_err(shape)?;
        Ok(ReadSet { set, manifest, edited, fingerprint })
    }
}

/// What this program needs of a manifest.
#[derive(PartialEq, Deserialize)]
struct Ours {
    protostill: Format,
    method: String,
    files: BTreeMap<String, Fingerprint>,
}

#[derive(PartialEq, Deserialize)]
struct Format {
    format: u32,
}

fn read_manifest(path: &Path) -> Result<(Value, Ours)> {
    let bytes = door::read(path, door::SETTINGS).map_err(Error::io(path))?;
    let wrong = |e: serde_json::Error| Error::input(path, format!("not a manifest of protostill: {e}"));
    let whole: Value = serde_json::from_slice(&bytes).map_err(wrong)?;
    let ours: Ours = serde_json::from_slice(&bytes).map_err(wrong)?;
    if ours.protostill.format != FORMAT {
        return Err(Error::input(path, format!("format {} is newer than this program", ours.protostill.format)));
    }
    for needed in [METADATA, PROTOTYPES] {
        if !ours.files.contains_key(needed) {
            return Err(Error::input(path, format!("lists no {needed}")));
        }
    }
    Ok((whole, ours))
}

/// Arrays of at most [`ARRAYS`] bytes, held once.
fn read_arrays(path: &Path) -> Result<Arrays> {
    let file = door::open(path).map_err(Error::io(path))?;
    let length = file.metadata().map_err(Error::io(path))?.len();
    if length > ARRAYS {
        return Err(Error::input(path, format!("{length} bytes, where a distilled set has at most {ARRAYS}")));
    }
    Arrays::read(path, &mut BufReader::with_capacity(1 << 20, file), length)
}

fn read_pairs(dir: &Path, files: &BTreeMap<String, Fingerprint>) -> Result<Vec<DistilledPair>> {
    let path = dir.join(METADATA);
    let text = door::read_to_string(&path, LIST).map_err(Error::io(&path))?;
    let (mut pairs, mut shown) = (Vec::new(), 0);
    for (i, line) in text.lines().enumerate() {
        let wrong = |what: String| Error::input(&path, format!("line {}: {}", i + 1, printable(&what)));
        let line: Line = serde_json::from_str(line).map_err(|e| wrong(e.to_string()))?;
        if line.prototype != i {
            return Err(wrong(format!("prototype {} where {i} belongs", line.prototype)));
        }
        let image = match (&line.file_name, &line.key) {
            (Some(name), _) if files.contains_key(name) => ImageSource::File(dir.join(name)),
            (Some(name), _) => return Err(wrong(format!("\"{name}\" is not among the files of {MANIFEST}"))),
            (None, Some(key)) => ImageSource::Absent(key.into()),
            (None, None) => return Err(wrong("neither file_name nor key".into())),
        };
        shown += usize::from(line.file_name.is_some());
        let caption = printable(&line.text);
        if caption.trim().is_empty() {
            return Err(wrong("the caption is empty".into()));
        }
        let uid = line.uid.and_then(|uid| u128::from_str_radix(&uid, 16).ok());
        pairs.push(DistilledPair { image, caption, support: line.support, similarity: line.similarity, uid });
    }
    let images = files.keys().filter(|name| name.starts_with("images/")).count();
    if images == shown {
        Ok(pairs)
    } else {
        Err(Error::input(&path, format!("{shown} lines with a picture, but {MANIFEST} lists {images} images")))
    }
}

/// Whether a set may be written as folder `dir`: it is absent, empty, or holds nothing but a distilled set, with captions and
/// pictures as they were written unless `force`.
///
/// # Errors
/// [`Error::Setting`] about `out` if not; [`Error::Io`] if the folder cannot be read.
pub fn replaceable(dir: &Path, force: bool) -> Result<()> {
    let claim = || {
        let (_, ours) = read_manifest(&dir.join(MANIFEST)).ok()?;
        Some(Claim { by: MANIFEST, files: ours.files, later: |name| name == CARD || is_score(name) })
    };
    let way = |edited| if edited { "`--force` replaces them; or name another folder" } else { "name another folder" };
    let why = match refusal(dir, claim, force)? {
        None if !force && !card_is_ours(dir)? => Some((format!("\"{CARD}\" changed since it was written"), true)),
        other => other,
    };
    match why {
        Some((why, edited)) => Err(Error::setting("out", format!("{}: {why}", dir.display())).or(way(edited))),
        None => Ok(()),
    }
}

fn put(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = disk::parent(path);
    disk::create_folders(folder).map_err(Error::io(folder))?;
    write_new(path, |to| to.write_all(bytes)).map(drop).map_err(Error::io(path))
}
