//! k-means with its rounds done by others: each part of the rows is given its nearest centres by whoever takes it, and
//! leaves its labels and sums in the store.

use super::{Workbench, tasks::source_name};
use crate::{
    caught::lock,
    error::{Error, Result},
    fingerprint::Fingerprint,
    kernels::vectors,
    pipeline::{
        Ctx,
        cluster::{Assigned, ClusterSettings, Others, PART, Standing, Start},
        engine::{Engine, Task},
        space::embed::Side,
        store::arrays::Arrays,
    },
};
use ndarray::{Array2, ArrayView1, Axis, Ix1};

/// Where parts stood in the last round that was done here: they go on from there.
pub(super) type Stands = Vec<(Fingerprint, Standing)>;

/// The rounds of one clustering.
pub(super) struct Rounds<'a> {
    bench: &'a Workbench,
    engine: &'a dyn Engine,
    side: Side,
    /// Names of the parts' rows.
    parts: Vec<Fingerprint>,
    /// What goes when the clusters are there.
    left: Vec<Fingerprint>,
}

impl<'a> Rounds<'a> {
    pub fn new(bench: &'a Workbench, engine: &'a dyn Engine, side: Side) -> Self {
        Self { bench, engine, side, parts: Vec::new(), left: Vec::new() }
    }

    /// Clears the store of what a restart would have gone on from.
    pub fn end(self) {
        self.parts.iter().chain(&self.left).for_each(|name| self.bench.store.forget::<Arrays>(name));
    }

    fn keep(&self, name: &Fingerprint, arrays: &Arrays) -> Result<()> {
        match self.bench.store.cost::<Arrays>(name) {
            Some(_) => Ok(()),
            None => self.bench.store.put(name, "cluster round", arrays, 0.0),
        }
    }
}

impl Others for Rounds<'_> {
    fn begin(&mut self, index: &[u32], weights: &[u32], settings: &ClusterSettings) -> Result<bool> {
        if index.len() <= PART {
            return Ok(false);
        }
        let source = source_name(self.bench)?;
        for (number, (index, weights)) in index.chunks(PART).zip(weights.chunks(PART)).enumerate() {
            let of = (self.side.name(), number, index, weights, settings.normalise);
            let name = Fingerprint::of_stage("cluster rows", &of, &[&source]);
            let arrays = Arrays::new()
                .with_u32("index", &ArrayView1::from(index))
                .with_u32("weights", &ArrayView1::from(weights))
                .with_u32("directions", &ndarray::arr1(&[u32::from(settings.normalise)]));
            self.keep(&name, &arrays)?;
            self.parts.push(name);
        }
        Ok(true)
    }

    fn round(&mut self, from: &Start, wanted: bool, ctx: &Ctx) -> Result<Assigned> {
        let arrays = from.to_arrays();
        let start = Fingerprint::of_stage("cluster start", &"", &[&Fingerprint::of_bytes(&arrays.to_bytes()?)]);
        let parts: Vec<&Fingerprint> = self.parts.iter().collect();
        let whole = Fingerprint::of_stage("cluster round", &start, &parts);
        let done = if wanted { None } else { self.bench.store.get::<Arrays>(&whole)? };
        if let Some((arrays, _)) = done {
            self.left.push(whole);
            return Assigned::of_arrays(&arrays);
        }
        self.keep(&start, &arrays)?;
        let task = |rows: &Fingerprint| {
            let task = Task::Assign { side: self.side, rows: rows.clone(), start: start.clone() };
            (task, assigned_name(rows, &start))
        };
        let tasks: Vec<_> = self.parts.iter().map(task).collect();
        let names: Vec<_> = tasks.iter().map(|(_, name)| name.clone()).collect();
        // Of a round's parts nobody is told: there are many rounds.
        self.bench.elsewhere::<Arrays>(self.engine, "cluster", tasks, &ctx.watched(|_| {}))?;
        let mut all: Option<Assigned> = None;
        for name in &names {
            let Some((arrays, _)) = self.bench.store.get::<Arrays>(name)? else {
                return Err(Error::setting("executors", "left a round of the clustering unfinished").or("run it again"));
            };
            let part = Assigned::of_arrays(&arrays)?;
            all = Some(match all {
                Some(all) => all.and(part)?,
                None => part,
            });
        }
        let Some(all) = all else { return Err(vectors::shape("parts of a round", "at least one", 0)) };
        if !wanted && !all.has_empty() {
            self.keep(&whole, &all.sums().to_arrays())?;
            self.left.push(whole);
        }
        names.iter().chain([&start]).for_each(|name| self.bench.store.forget::<Arrays>(name));
        Ok(all)
    }
}

/// Names what giving these rows their nearest centres leaves.
fn assigned_name(rows: &Fingerprint, start: &Fingerprint) -> Fingerprint {
    Fingerprint::of_stage("cluster part", &"", &[rows, start])
}

impl Workbench {
    /// Does a part of a round.
    pub(super) fn assign(&self, side: Side, rows: &Fingerprint, start: &Fingerprint, ctx: &Ctx) -> Result<Fingerprint> {
        let name = assigned_name(rows, start);
        let _alone = self.store.alone(&name, ctx)?;
        if self.store.cost::<Arrays>(&name).is_some() {
            return Ok(name);
        }
        let read = |name: &Fingerprint| {
            let found = self.store.get::<Arrays>(name)?.map(|(arrays, _)| arrays);
            found.ok_or_else(|| Error::setting("executors", format!("the store has no {name}")).or("run it again"))
        };
        let (part, start) = (read(rows)?, Start::of_arrays(&read(start)?)?);
        let index = part.u32::<Ix1>("index")?;
        let weights = part.u32::<Ix1>("weights")?.to_vec();
        let directions = part.u32::<Ix1>("directions")?.iter().any(|&d| d > 0);
        let mut values = self.some_rows(side, &index.iter().map(|&i| i as usize).collect::<Vec<_>>(), ctx)?;
        if directions {
            values = vectors::unit(values.view());
        }
        self.store.stage("cluster round", &name, || {
            let taken = lock(&self.stands).iter().position(|(of, _)| of == rows);
            let mut standing = taken.map(|at| lock(&self.stands).remove(at).1);
            let found = start.assign(&values, &weights, &mut standing, ctx)?;
            if let Some(standing) = standing {
                self.stand(rows, standing);
            }
            Ok(found.to_arrays())
        })?;
        Ok(name)
    }

    /// Remembers where a part stands, within a quarter of the memory.
    fn stand(&self, rows: &Fingerprint, standing: Standing) {
        let mut stands = lock(&self.stands);
        stands.push((rows.clone(), standing));
        while stands.len() > 1 && stands.iter().map(|(_, s)| s.bytes()).sum::<u64>() > self.memory / 4 {
            stands.remove(0);
        }
    }

    /// Features of some rows of a side; ready ones are read from their file, the others are all in memory.
    fn some_rows(&self, side: Side, index: &[usize], ctx: &Ctx) -> Result<Array2<f32>> {
        match (&self.dataset.train.ready, side) {
            (Some(ready), Side::Images) => ready.images()?.some(index),
            (Some(ready), Side::Captions) => ready.texts().some(index),
            (None, _) => {
                let embedded = self.embeddings(ctx)?;
                let rows = if side == Side::Images { embedded.0.image.view() } else { embedded.0.text.view() };
                match index.iter().find(|&&i| i >= rows.nrows()) {
                    Some(row) => Err(vectors::shape("rows to cluster", format!("below {}", rows.nrows()), row)),
                    None => Ok(rows.select(Axis(0), index)),
                }
            }
        }
    }
}
