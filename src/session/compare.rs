//! Two sets side by side: each is made again from its decisions, out of the store where that has it, and their prototypes
//! are matched by their image embeddings.

use super::{
    Shared,
    basis::{rebuilt, shown, yardstick},
    pictures,
};
use crate::{
    app::{Compared, Laid, Picture, Side, Twins},
    error::{Error, Result},
    journal,
    kernels::vectors::cosine,
    pipeline::{Ctx, prototypes::assign::best_assignment, recipe::Recipe},
};
use ndarray::Array2;
use std::sync::Arc;

/// A cosine in whole numbers, for the assignment.
const FINE: f64 = 1e6;

/// Lays `sides` side by side.
///
/// # Errors
/// Those of the stages, a journal that cannot be read; [`Error::Setting`] for sets in spaces of different widths.
pub fn compare(shared: &Arc<Shared>, sides: &[Side; 2], ctx: &Ctx) -> Result<Compared> {
    let [(a, rows_a), (b, rows_b)] = [laid(shared, &sides[0], ctx)?, laid(shared, &sides[1], ctx)?];
    if rows_a.ncols() != rows_b.ncols() {
        let why = format!("their embeddings are of widths {} and {}", rows_a.ncols(), rows_b.ncols());
        return Err(Error::setting("compare", why).or("compare sets of the same CLIP"));
    }
    let mut twins = matched(&rows_a, &rows_b, ctx)?;
    for twins in &mut twins {
        let [Some(i), Some(j)] = twins.of else { continue };
        let pictures = [&a.pictures[i], &b.pictures[j]].map(|p| p.as_ref().map(|p| p.as_raw()));
        let drawn = pictures.iter().all(Option::is_some);
        twins.same = [Some(a.captions[i] == b.captions[j]), drawn.then(|| pictures[0] == pictures[1])];
    }
    Ok(Compared { sides: [a, b], twins })
}

/// A set and the image embeddings of its prototypes, `[M, d]`.
fn laid(shared: &Arc<Shared>, side: &Side, ctx: &Ctx) -> Result<(Laid, Array2<f32>)> {
    let Some(path) = &side.session else { return of(shared, side, side.entries.clone(), ctx) };
    let held = journal::read(path)?;
    let other = Arc::new(Shared::new(held.header.config, shared.open.clone()));
    of(&other, side, held.entries, ctx)
}

fn of(shared: &Arc<Shared>, side: &Side, entries: Vec<crate::app::Entry>, ctx: &Ctx) -> Result<(Laid, Array2<f32>)> {
    let (state, found) = rebuilt(shared, entries, ctx)?;
    let name = side.name.clone();
    if let Some(method) = &side.method {
        let recipe = Recipe { method: method.parse()?, ..state.draft.config.recipe() };
        let set = yardstick(shared, &recipe, &state.draft, ctx)?;
        let picture = |p: &crate::data::ImageSource| Ok(Some(Arc::new(shown(p.decode()?))));
        let pictures = set.pairs.iter().map(|p| picture(&p.image)).collect::<Result<Vec<_>>>()?;
        let captions = set.pairs.iter().map(|p| p.caption.clone()).collect();
        return Ok((Laid { name, captions, pictures, encoders: side.encoders.clone() }, set.image_prototypes));
    }
    let made = pictures::made(shared, &found, &state.pairs)?;
    let mut pictures: Vec<Option<Picture>> = vec![None; state.pairs.len()];
    made.into_iter().for_each(|(w, picture)| pictures[w.prototype] = picture.map(Arc::new));
    let captions = state.pairs.iter().map(|p| p.caption.clone()).collect();
    let judged = state.set().and_then(|set| state.scores.iter().rev().find(|s| s.set == set));
    let encoders = if side.session.is_some() { judged.map(|s| s.encoders.clone()) } else { None };
    let encoders = encoders.unwrap_or_else(|| side.encoders.clone());
    let rows: Vec<&[f32]> = found.prototypes.list.iter().map(|p| p.image.as_slice()).collect();
    let width = rows.first().map_or(0, |row| row.len());
    let rows = crate::kernels::vectors::stack(rows.into_iter(), width)?;
    Ok((Laid { name, captions, pictures, encoders }, rows))
}

/// The one-to-one correspondence of largest total cosine; what is left over of the larger set stands alone.
fn matched(a: &Array2<f32>, b: &Array2<f32>, ctx: &Ctx) -> Result<Vec<Twins>> {
    let (m, n) = (a.nrows(), b.nrows());
    let near = Array2::from_shape_fn((m, n), |(i, j)| cosine(a.row(i), b.row(j)));
    let side = m.max(n);
    let gain = Array2::from_shape_fn((side, side), |at| near.get(at).map_or(0, |c| ((c + 1.0) * FINE).round() as i64));
    let mut twins: Vec<Twins> = Vec::with_capacity(side);
    for (i, j) in best_assignment(gain.view(), ctx)?.into_iter().enumerate() {
        let of = [(i < m).then_some(i), (j < n).then_some(j)];
        twins.push(Twins { of, cosine: near.get((i, j)).map(|c| *c as f32), same: [None; 2] });
    }
    twins.sort_by(|a, b| match (a.cosine, b.cosine) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        (a, b) => b.is_some().cmp(&a.is_some()),
    });
    Ok(twins)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ndarray::array;

    #[test]
    fn prototypes_correspond_so_that_all_together_are_nearest_and_what_is_left_over_stands_alone() {
        let a = array![[1.0f32, 0.0], [0.8, 0.6], [0.0, 1.0]];
        // Greedily 0 would take 1's only good counterpart.
        let b = array![[0.9f32, 0.43], [1.0, 0.1]];
        let twins = matched(&a, &b, &Ctx::quiet()).unwrap();
        let of: Vec<_> = twins.iter().map(|t| t.of).collect();
        assert_eq!(of, [[Some(1), Some(0)], [Some(0), Some(1)], [Some(2), None]]);
        assert!(twins[0].cosine < twins[1].cosine && twins[2].cosine.is_none());
        let back: Vec<_> = matched(&b, &a, &Ctx::quiet()).unwrap().iter().map(|t| [t.of[1], t.of[0]]).collect();
        assert_eq!(back, of);
    }

    #[test]
    fn opposite_prototypes_still_correspond_where_nothing_else_is_there() {
        let (a, b) = (array![[1.0f32, 0.0]], array![[-1.0f32, 0.0]]);
        assert_eq!(matched(&a, &b, &Ctx::quiet()).unwrap()[0].cosine, Some(-1.0));
    }
}
