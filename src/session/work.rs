//! What each job does, in the pipeline's own functions.

use super::{
    Shared,
    basis::{clustered, open, shown, yardstick},
    child, compare, find, lock,
    pictures::{alike, distilled, recall, requests},
    translate,
};
use crate::{
    app::{Draft, News, Picture, Score, Synthesis, Wanted, Work, kept_rows, protocol_name},
    data::ImageSource,
    error::{Error, Result},
    fingerprint::Fingerprint,
    kernels::vectors::cosine,
    pipeline::{
        Ctx, Report,
        draw::synthesize,
        prototypes::caption::CaptionChoice,
        recipe::Recipe,
        score::evaluate,
        set::folder::DistilledSet,
        space::{embed, embeddings::Kept, stats},
        workbench::Prototyped,
    },
};
use ndarray::Array1;
use std::{
    path::Path,
    sync::{Arc, Mutex},
};

/// Passes news to whoever watches a job.
pub type Tell = Arc<dyn Fn(News) + Send + Sync>;

pub fn carry_out(shared: &Arc<Shared>, work: &Work, ctx: &Ctx, tell: &Tell) -> Result<()> {
    match work {
        Work::Embed => embed(shared, ctx, tell),
        Work::Describe => {
            let bench = shared.bench()?;
            let stats = bench.stats(&shared.config.prune, ctx)?;
            let plane = stats::plane(&bench.embeddings(ctx)?.0, ctx)?;
            tell(News::Described(translate::summary(&stats, plane)));
            Ok(())
        }
        Work::Prototypes(draft) => {
            let bench = shared.bench()?;
            let embedded = bench.embeddings(ctx)?;
            if let Some((found, looked_at)) = glimpse(shared, draft, ctx)? {
                let basis = found.fingerprint.clone();
                tell(News::Glimpse(Arc::new(translate::protos(&found, None, &embedded.0, basis)), looked_at));
            }
            let (basis, found) = prototypes(shared, draft, ctx)?;
            let sure = bench.certificates(&found, &shared.config.prune, ctx)?;
            tell(News::Prototypes(Arc::new(translate::protos(&found, sure.as_deref(), &embedded.0, basis))));
            Ok(())
        }
        Work::Synthesise { basis, wanted } => synthesise(shared, basis, wanted, ctx, tell),
        Work::Find { words, basis, pairs } => {
            tell(News::Found(Arc::new(find::find(shared, words, (basis.as_ref(), pairs), ctx)?)));
            Ok(())
        }
        Work::Look { basis, pairs } => {
            tell(News::Looked(look(shared, basis, pairs, ctx)?));
            Ok(())
        }
        Work::Evaluate { basis, set, pairs, edited, draft } => {
            let distilled = aimed(shared, basis, pairs, draft, ctx)?;
            let score =
                Score { edited: *edited, ..score(shared, &distilled, Some(set), &draft.config.evaluation, ctx)? };
            tell(News::Scored(score));
            Ok(())
        }
        Work::Yardstick { method, draft } => {
            let recipe = Recipe { method: method.parse()?, ..draft.config.recipe() };
            let distilled = yardstick(shared, &recipe, draft, ctx)?;
            tell(News::Scored(score(shared, &distilled, None, &draft.config.evaluation, ctx)?));
            Ok(())
        }
        Work::Compare(sides) => {
            tell(News::Compared(Arc::new(compare::compare(shared, sides, ctx)?)));
            Ok(())
        }
        Work::HandOff { set, to } => {
            tell(News::Answered(child::hand_off(shared, set, to, ctx)?));
            Ok(())
        }
        Work::Export { basis, pairs, draft, dir, .. } => {
            export(shared, basis, pairs, draft, dir, ctx)?;
            tell(News::Exported(dir.clone()));
            Ok(())
        }
    }
}

fn embed(shared: &Shared, ctx: &Ctx, tell: &Tell) -> Result<()> {
    let measured = open(shared, ctx, &|name, rows| tell(News::Opened { name, rows }))?;
    tell(News::Remarks(find::remarks(shared)?));
    tell(News::Measured(measured));
    Ok(())
}

/// A first look at other prototypes, and how many pairs were looked at if not all; none if these are known already.
fn glimpse(shared: &Shared, draft: &Draft, ctx: &Ctx) -> Result<Option<(Prototyped, Option<usize>)>> {
    let (bench, measured) = (shared.bench()?, lock(&shared.measured).clone().ok_or(Error::Cancelled)?);
    let (kept, recipe) = (Kept(kept_rows(&measured, draft)), draft.config.recipe());
    let before = {
        let all = lock(&shared.found);
        let many = |f: &Prototyped| f.clusters.as_ref().map(|c| c.images.0.centroids.nrows());
        let known = |f: &Prototyped| f.kept == kept && many(f) == Some(draft.config.cluster.prototypes);
        if all.iter().any(|(_, f)| known(f)) {
            return Ok(None);
        }
        all.back().map(|(_, f)| f.clone())
    };
    bench.glimpse(kept, before.as_deref(), &recipe, ctx)
}

/// The same, kept for what is made of them.
fn prototypes(shared: &Shared, draft: &Draft, ctx: &Ctx) -> Result<(Fingerprint, Arc<Prototyped>)> {
    let (basis, found) = clustered(shared, draft, ctx)?;
    shared.remember(basis.clone(), found.clone());
    Ok((basis, found))
}

/// Synthesises what the store does not have, telling every picture as it is there and how it forms.
pub fn synthesise(shared: &Arc<Shared>, basis: &Fingerprint, wanted: &[Wanted], ctx: &Ctx, tell: &Tell) -> Result<()> {
    let known = Mutex::new(std::collections::BTreeSet::new());
    recall(shared, basis, wanted, &|key, picture| {
        lock(&known).insert(key.clone());
        tell(News::Made { key, picture });
    })?;
    let known = lock(&known).clone();
    let wanted: Vec<Wanted> = wanted.iter().filter(|w| !known.contains(&w.key)).cloned().collect();
    let found = shared.found(basis)?;
    alike(&wanted).into_iter().try_for_each(|(asked, wanted)| decode(shared, &found, &wanted, asked, ctx, tell))
}

/// Decodes pictures that are made alike.
fn decode(
    shared: &Shared,
    found: &Prototyped,
    wanted: &[Wanted],
    asked: synthesize::Settings,
    ctx: &Ctx,
    tell: &Tell,
) -> Result<()> {
    let requests = requests(found, wanted, shared.bench()?.dataset().train.pre_caption)?;
    let (keys, news) = (wanted.iter().map(|w| w.key.clone()).collect::<Vec<_>>(), tell.clone());
    let stop = ctx.clone();
    let ctx = ctx.watched(move |report| {
        let Report::Preview { index, step, pixels } = report else { return stop.report(report) };
        if let Some(key) = keys.get(index) {
            news(News::Preview { key: key.clone(), step, picture: Arc::new(pixels) });
        }
    });
    shared.bench()?.synthesise(&requests, &asked, &ctx, &mut |i, picture| {
        tell(News::Made { key: wanted[i].key.clone(), picture: Arc::new(picture) });
        Ok(())
    })
}

/// The set of these pairs with the targets that the draft asks for.
fn aimed(shared: &Shared, basis: &Fingerprint, pairs: &[Wanted], draft: &Draft, ctx: &Ctx) -> Result<DistilledSet> {
    let (set, found) = (distilled(shared, basis, pairs)?, shared.found(basis)?);
    let rows = |w: &Wanted| match draft.captions.get(&(basis.clone(), w.prototype)) {
        Some(own) => own.row,
        None if !draft.prefix.is_empty() => None,
        None if draft.rank == 0 => found.captions.get(w.prototype).and_then(CaptionChoice::row),
        None => found.captions.get(w.prototype).and_then(|c| c.candidates.get(draft.rank)).map(|c| c.row),
    };
    let rows: Vec<Option<u32>> = pairs.iter().map(rows).collect();
    shared.bench()?.aim(set, rows, &found, &draft.config.recipe(), ctx)
}

/// CLIP's cosine of each picture to its image prototype and to its caption.
fn look(shared: &Shared, basis: &Fingerprint, pairs: &[Wanted], ctx: &Ctx) -> Result<Vec<(Fingerprint, [f32; 2])>> {
    let set = distilled(shared, basis, pairs)?;
    let clip = shared.bench()?.clip()?;
    let rule = shared.bench()?.dataset().train.pre_caption;
    let captions: Vec<_> = set.pairs.iter().map(|p| rule.read(&p.caption)).collect();
    let captions: Vec<&str> = captions.iter().map(AsRef::as_ref).collect();
    let (seen, read) = (find::seen(shared, basis, pairs, ctx)?, embed::embed_captions(&captions, &clip, ctx)?);
    let fit = |(i, (key, picture)): (usize, (Fingerprint, Array1<f32>))| {
        let to = |other| cosine(picture.view(), other) as f32;
        (key, [to(set.image_prototypes.row(i)), to(read.row(i))])
    };
    Ok(seen.into_iter().enumerate().map(fit).collect())
}

fn score(
    shared: &Shared,
    set: &DistilledSet,
    name: Option<&Fingerprint>,
    protocol: &evaluate::Settings,
    ctx: &Ctx,
) -> Result<Score> {
    let bench = shared.bench()?;
    let recalls = bench.evaluate(set, protocol, shared.config.seed, ctx)?;
    let by = Some(protocol_name(protocol));
    Ok(Score { epochs: protocol.epochs, protocol: by, ..translate::score(set, name, bench.dataset(), &recalls) })
}

/// Writes the set as `distill` does, with the decisions in the manifest.
pub fn export(
    shared: &Shared,
    basis: &Fingerprint,
    pairs: &[Wanted],
    draft: &Draft,
    dir: &Path,
    ctx: &Ctx,
) -> Result<()> {
    let (set, bench) = (aimed(shared, basis, pairs, draft, ctx)?, shared.bench()?);
    let mut config = draft.config.clone();
    // As `distill` writes it: how often one looked makes no set.
    config.synthesis.preview_every = 0;
    let hand = |keep: bool| draft.by_hand.iter().filter(|(_, k)| **k == keep).map(|(row, _)| *row).collect::<Vec<_>>();
    let mut manifest = bench.manifest(&config, config.method.draws())?;
    manifest["by_hand"] = serde_json::json!({
        "kept": hand(true),
        "dropped": hand(false),
        "captions": pairs.iter().filter(|w| draft.captions.contains_key(&(basis.clone(), w.prototype)))
            .map(|w| w.prototype).collect::<Vec<_>>(),
        "prefix": draft.prefix,
        "rank": draft.rank,
        "settings": pairs.iter().filter(|w| w.settings != draft.config.synthesis)
            .map(|w| (w.prototype, Synthesis::of(&w.settings))).collect::<Vec<_>>(),
        "seeds": pairs.iter().filter(|w| draft.seeds.contains_key(&(basis.clone(), w.prototype)))
            .map(|w| w.prototype).collect::<Vec<_>>(),
    });
    set.write(dir, &manifest)
}

/// What the file of a real picture is called; none if it was drawn here.
pub fn picture_name(shared: &Shared, image: u32) -> Option<String> {
    fn name(source: &ImageSource) -> Option<String> {
        match source {
            ImageSource::File(path) | ImageSource::Absent(path) => Some(path.display().to_string()),
            ImageSource::Member { shard, name, .. } => Some(format!("{} in {}", name.display(), shard.path.display())),
            ImageSource::Cell { name, .. } => Some(name.display().to_string()),
            ImageSource::AsStored(of) => name(of),
            ImageSource::Memory(_) => None,
        }
    }
    name(shared.bench().ok()?.dataset().train.images.get(image as usize)?)
}

/// A real picture, no larger than a screen needs.
pub fn real_picture(shared: &Shared, image: u32) -> Result<Picture> {
    let bench = shared.bench()?;
    let source = bench.dataset().train.images.get(image as usize);
    let picture = source.ok_or_else(|| Error::setting("image", format!("there is no image {image}")))?.decode()?;
    Ok(Arc::new(shown(picture)))
}
