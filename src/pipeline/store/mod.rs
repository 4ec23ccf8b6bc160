//! Artefacts on disk, named by the fingerprint of what made them: finished stages are never computed twice.

mod alone;
pub mod arrays;
mod artefact;

use crate::{
    door,
    error::{Error, Result},
    fingerprint::Fingerprint,
    fsio::{disk, own_folder, sweep_litter, write_atomic, write_atomic_with},
};
pub use alone::Alone;
use artefact::Hashed;
pub use artefact::{Artefact, Json, encode_png};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::Instant,
};

/// A folder of artefacts. Several processes may use it at once.
#[derive(Clone, Debug)]
pub struct Store {
    dir: PathBuf,
}

/// What a stage left, and what it cost, whether it ran now or long ago.
#[derive(Clone, Debug, PartialEq)]
pub struct Staged<T> {
    /// The stage's result.
    pub value: T,
    /// Seconds that computing it took, when it was computed.
    pub seconds: f64,
    /// Whether it came from the store.
    pub cached: bool,
}

/// What a store holds: for `protostill info`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Usage {
    /// The folder.
    pub path: PathBuf,
    /// Bytes of all its files.
    pub bytes: u64,
    /// Artefacts.
    pub count: usize,
}

/// Stands beside each artefact as `FINGERPRINT.ENDING.cost`.
#[derive(Serialize, Deserialize)]
struct Cost {
    stage: String,
    seconds: f64,
    /// Of the artefact: tells a damaged file from a whole one.
    sha256: Fingerprint,
}

impl Store {
    /// The store in `dir`, created if need be. What crashed writers left there over a day ago is swept out.
    ///
    /// # Errors
    /// [`Error::Io`] naming `dir`.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self> {
        let dir = dir.into();
        disk::create_folders(&dir).map_err(Error::io(&dir))?;
        sweep_litter(&dir);
        Ok(Self { dir })
    }

    /// The store in `dir` for one who only looks: nothing is created.
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Whether it holds anything that `stage` left, however it was set.
    pub fn knows(&self, stage: &str) -> bool {
        let costs = fs::read_dir(&self.dir).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut costs = costs.filter(|path| path.extension().is_some_and(|e| e == "cost"));
        let of = |path: PathBuf| {
            serde_json::from_slice::<Cost>(&door::read(&path, door::SETTINGS).ok()?).ok().map(|c| c.stage)
        };
        costs.any(|path| of(path).is_some_and(|found| found == stage))
    }

    /// `$XDG_CACHE_HOME/protostill`, or `~/.cache/protostill`.
    ///
    /// # Errors
    /// [`Error::Setting`] if neither variable names an absolute path.
    pub fn default_dir() -> Result<PathBuf> {
        own_folder("XDG_CACHE_HOME", ".cache")
            .ok_or_else(|| Error::setting("store", "neither XDG_CACHE_HOME nor HOME is set").or("name a folder"))
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where the artefact of this fingerprint lies, or would.
    pub fn path<T: Artefact>(&self, fingerprint: &Fingerprint) -> PathBuf {
        self.dir.join(format!("{fingerprint}.{}", T::ENDING))
    }

    /// The artefact and the seconds it cost, if it is there and whole. A damaged one is deleted, with a warning.
    ///
    /// # Errors
    /// [`Error::Io`] if it is there but cannot be read.
    pub fn get<T: Artefact>(&self, fingerprint: &Fingerprint) -> Result<Option<(T, f64)>> {
        let path = self.path::<T>(fingerprint);
        let lock = self.lock(File::lock_shared);
        let (Some(file), Some(cost)) = (open_if_there(&path)?, read_if_there(&cost_path(&path))?) else {
            return Ok(None);
        };
        let found = checked(&path, &file, &cost);
        drop(lock);
        match found {
            Ok(found) => Ok(Some(found)),
            Err(Error::Io { path, source }) => Err(Error::Io { path, source }),
            Err(e) => {
                tracing::warn!(error = %e, "a damaged artefact is deleted; it will be computed again");
                let _lock = self.lock(File::lock);
                remove_if_there(&path)?;
                remove_if_there(&cost_path(&path))?;
                Ok(None)
            }
        }
    }

    /// Keeps `value`, which `stage` took `seconds` to compute.
    ///
    /// # Errors
    /// [`Error::Io`] naming the file, such as for a full disk; nothing is left half-written.
    pub fn put<T: Artefact>(&self, fingerprint: &Fingerprint, stage: &str, value: &T, seconds: f64) -> Result<()> {
        let path = self.path::<T>(fingerprint);
        // The two files belong together: without the lock another writer's could come between.
        let _lock = self.lock(File::lock);
        let mut hash = Sha256::new();
        write_atomic_with(&path, |to| {
            let written = value.write(&mut Hashed { inner: to, hash: &mut hash });
            written.map_err(|e| match e {
                Error::Io { source, .. } => source,
                other => io::Error::other(other),
            })
        })?;
        let cost = Cost { stage: stage.to_owned(), seconds, sha256: Fingerprint::of_hash(hash) };
        let cost = serde_json::to_vec(&cost).map_err(|e| Error::input(&path, e.to_string()))?;
        write_atomic(&cost_path(&path), &cost)
    }

    /// Deletes what is no longer of use; left where that cannot be.
    pub fn forget<T: Artefact>(&self, fingerprint: &Fingerprint) {
        let path = self.path::<T>(fingerprint);
        let _lock = self.lock(File::lock);
        for path in [cost_path(&path), path] {
            if let Err(e) = remove_if_there(&path) {
                tracing::debug!(error = %e, "left in the store");
            }
        }
    }

    /// What the artefact of `fingerprint` cost in seconds, if the store has it; it is not read, nor checked.
    pub fn cost<T: Artefact>(&self, fingerprint: &Fingerprint) -> Option<f64> {
        let path = self.path::<T>(fingerprint);
        let cost: Cost = serde_json::from_slice(&door::read(&cost_path(&path), door::SETTINGS).ok()?).ok()?;
        path.is_file().then_some(cost.seconds)
    }

    /// The artefact of `fingerprint`: from the store, or from `compute`, then kept. `stage` names it in the files.
    ///
    /// What is returned went through its file format either way, so a resumed run sees the very same numbers.
    ///
    /// # Errors
    /// Those of `compute`, and [`Error::Io`] if the result cannot be kept.
    pub fn stage<T: Artefact>(
        &self,
        stage: &str,
        fingerprint: &Fingerprint,
        compute: impl FnOnce() -> Result<T>,
    ) -> Result<Staged<T>> {
        if let Some((value, seconds)) = self.get(fingerprint)? {
            return Ok(Staged { value, seconds, cached: true });
        }
        let start = Instant::now();
        let value = compute()?;
        let seconds = start.elapsed().as_secs_f64();
        self.put(fingerprint, stage, &value, seconds)?;
        drop(value);
        let gone = || Error::input(self.path::<T>(fingerprint), "was removed, or damaged, as soon as it was written");
        let (value, _) = self.get(fingerprint)?.ok_or_else(gone)?;
        Ok(Staged { value, seconds, cached: false })
    }

    /// How much is kept.
    ///
    /// # Errors
    /// [`Error::Io`] naming the folder.
    pub fn usage(&self) -> Result<Usage> {
        let mut usage = Usage { path: self.dir.clone(), bytes: 0, count: 0 };
        for entry in fs::read_dir(&self.dir).map_err(Error::io(&self.dir))?.flatten() {
            let Ok(about) = entry.metadata() else { continue }; // deleted meanwhile
            let name = entry.file_name();
            usage.bytes += about.len();
            usage.count += usize::from(name.to_string_lossy().ends_with(".cost"));
        }
        Ok(usage)
    }

    /// Held while two files that belong together are written or read. Where locks are not to be had (some network
    /// file systems, read-only stores) work goes on: the hash beside each artefact still tells a mixture from a match.
    fn lock(&self, take: impl Fn(&File) -> std::io::Result<()>) -> Option<File> {
        let file = self.lock_file(".lock")?;
        take(&file).ok().map(|()| file)
    }

    /// A file to be locked, where one can be made.
    fn lock_file(&self, name: &str) -> Option<File> {
        door::patiently(File::options().create(true).append(true), &self.dir.join(name)).ok()
    }
}

fn cost_path(path: &Path) -> PathBuf {
    path.with_added_extension("cost")
}

fn checked<T: Artefact>(path: &Path, file: &File, cost: &[u8]) -> Result<(T, f64)> {
    let cost: Cost = serde_json::from_slice(cost).map_err(|e| Error::input(cost_path(path), e.to_string()))?;
    let length = file.metadata().map_err(Error::io(path))?.len();
    let mut hash = Sha256::new();
    let mut from = Hashed { inner: io::BufReader::with_capacity(1 << 20, file), hash: &mut hash };
    let value = T::read(path, &mut from, length)?;
    io::copy(&mut from, &mut io::sink()).map_err(Error::io(path))?;
    if cost.sha256 != Fingerprint::of_hash(hash) {
        return Err(Error::input(path, "is damaged: its hash is not the one it was written with"));
    }
    Ok((value, cost.seconds))
}

fn open_if_there(path: &Path) -> Result<Option<File>> {
    match door::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io(path)(e)),
    }
}

fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>> {
    match door::read(path, door::SETTINGS) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io(path)(e)),
    }
}

fn remove_if_there(path: &Path) -> Result<()> {
    match disk::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io(path)(e)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::arrays::Arrays;
    use super::*;
    use image::RgbImage;
    use ndarray::{Ix1, arr1};

    fn store() -> (tempfile::TempDir, Store, Fingerprint) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("store")).unwrap();
        (dir, store, Fingerprint::of_bytes(b"key"))
    }

    #[test]
    fn a_finished_stage_is_not_computed_again_and_remembers_its_cost() {
        let (_dir, store, key) = store();
        let first = store.stage("count", &key, || Ok(Json(vec![0.1f64, 2.0]))).unwrap();
        let again = store.stage::<Json<Vec<f64>>>("count", &key, || panic!("computed twice")).unwrap();
        assert_eq!((again.value, again.seconds), (first.value, first.seconds));
        assert!(!first.cached && again.cached);
        assert_eq!(store.usage().unwrap().count, 1);
    }

    #[test]
    fn a_failed_stage_leaves_nothing() {
        let (_dir, store, key) = store();
        assert!(store.stage::<Json<u8>>("x", &key, || Err(Error::Cancelled)).is_err());
        assert!(store.get::<Json<u8>>(&key).unwrap().is_none());
        assert_eq!(store.usage().unwrap().count, 0);
    }

    #[test]
    fn a_damaged_artefact_is_computed_again() {
        let (_dir, store, key) = store();
        let value = || Arrays::new().with_f32("a", &arr1(&[1.0, 2.0]));
        store.put(&key, "x", &value(), 1.0).unwrap();
        let path = store.path::<Arrays>(&key);
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1; // a bit of a number: the format alone would not notice
        fs::write(&path, bytes).unwrap();
        assert!(store.get::<Arrays>(&key).unwrap().is_none());
        assert!(!path.exists());
        let again = store.stage("x", &key, || Ok(value())).unwrap();
        assert!(!again.cached);
        assert_eq!(again.value.f32::<Ix1>("a").unwrap(), arr1(&[1.0, 2.0]));
    }

    #[test]
    fn an_artefact_whose_writer_was_killed_before_its_cost_is_computed_again() {
        let (_dir, store, key) = store();
        store.put(&key, "x", &Json(1u8), 1.0).unwrap();
        fs::remove_file(cost_path(&store.path::<Json<u8>>(&key))).unwrap();
        assert!(store.get::<Json<u8>>(&key).unwrap().is_none());
    }

    #[test]
    fn images_come_back_pixel_for_pixel() {
        let (_dir, store, key) = store();
        let image = RgbImage::from_fn(5, 3, |x, y| image::Rgb([x as u8, y as u8, 77]));
        store.put(&key, "draw", &image, 0.5).unwrap();
        assert_eq!(store.get::<RgbImage>(&key).unwrap(), Some((image, 0.5)));
    }

    #[test]
    fn writers_that_disagree_never_leave_a_mixture() {
        let (_dir, store, key) = store();
        std::thread::scope(|scope| {
            for writer in 0u32..4 {
                let (store, key) = (Store::open(store.dir()).unwrap(), key.clone());
                scope.spawn(move || {
                    for _ in 0..25 {
                        store.put(&key, "x", &Json(vec![writer; 500]), f64::from(writer)).unwrap();
                        let (Json(read), seconds) = store.get::<Json<Vec<u32>>>(&key).unwrap().unwrap();
                        assert!(read.iter().all(|&v| f64::from(v) == seconds) && read.len() == 500);
                    }
                });
            }
        });
    }

    #[test]
    fn whatever_crash_an_artefact_is_what_was_put_or_absent() {
        use crate::fsio::crash::{Kept, Recorder};
        let (disk, key) = (Recorder::over(|_| {}), Fingerprint::of_bytes(b"key"));
        let store = Store::open(disk.root().join("store")).unwrap();
        for n in 1..3usize {
            store.put(&key, "x", &Json(vec![n; 20]), 1.0).unwrap();
            disk.promise(Kept::PowerCut, n);
        }
        disk.states(|root, promised| {
            let found = Store::open(root.join("store")).unwrap().get::<Json<Vec<usize>>>(&key).unwrap();
            assert!(found.map_or(promised < 2, |(Json(found), _)| found.len() == 20 && found[0] >= promised));
        });
    }
}
