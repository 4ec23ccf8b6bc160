//! Rows of lists and tables to what is listed.

use super::{
    fields::{Names, Row, UID, uid},
    listing::{Listed, Listing, Origin, Problem},
    splits::{Part, split_of},
};
use crate::{
    error::{Error, Result},
    fsio::printable,
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// What the cells of a column hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text, or a list of texts.
    Text,
    /// The bytes of a picture, and perhaps its name.
    Picture,
    Other,
}

/// Texts of a cell; none where it is null.
pub(super) type Texts = Vec<Vec<String>>;

/// A picture in a cell: its name, if it has one, and where it lies; of one that lies nowhere the name is a path.
pub(super) type Picture = (Option<String>, Option<Origin>);

/// A table with named columns.
pub(super) trait Columns {
    /// Its columns in order.
    fn columns(&self) -> &[(String, Kind)];

    /// Number of rows.
    fn rows(&self) -> usize;

    /// Row by row the texts of column `at`.
    ///
    /// # Errors
    /// [`Error::Input`] naming file and place.
    fn texts(&self, at: usize) -> Result<Texts>;

    /// Row by row the pictures of column `at`.
    ///
    /// # Errors
    /// [`Error::Input`] naming file and place.
    fn pictures(&self, at: usize) -> Result<Vec<Option<Picture>>>;

    /// What a row is called in messages, from 0.
    fn place(&self, row: usize) -> String {
        format!("row {}", row + 1)
    }
}

/// Columns that name the picture of a row where it is another column's.
const NAMES: [&str; 8] = ["file_name", "filename", "image_name", "filepath", "image_path", "image_id", "img_id", "key"];

/// The rows of a table of pictures, or of their paths below `roots`, with the split that each says itself.
///
/// # Errors
/// [`Error::Input`] if there is no such column, with those that there are; the table's own.
pub(super) fn of_table(
    table: &dyn Columns,
    file: &Path,
    names: &Names,
    roots: &Arc<Vec<PathBuf>>,
    listing: &mut Listing,
) -> Result<Vec<(Option<Part>, Listed)>> {
    let (image, captions) = choose(table, file, names)?;
    let mut pictures = images(table, image, roots)?;
    let texts = captions.iter().map(|&(rank, at)| Ok((rank, table.texts(at)?))).collect::<Result<Vec<_>>>()?;
    let (splits, uids) = (splits(table)?, uids(table)?);
    let (list, mut rows): (Arc<Path>, _) = (file.into(), Vec::with_capacity(table.rows()));
    let (mut texts, mut twice, mut lacking) = (texts, 0, 0);
    for row in 0..table.rows() {
        let given = texts.iter_mut().map(|(rank, texts)| (*rank, std::mem::take(&mut texts[row]))).collect();
        let (captions, both) = Names::choose(given);
        twice += usize::from(both);
        match pictures[row].take() {
            Some((image, origin)) if !captions.is_empty() => {
                let place = table.place(row);
                let (list, uid) = (list.clone(), uids.get(row).copied().flatten());
                rows.push((splits.get(row).copied(), Listed { image, captions, list, place, origin, uid }));
            }
            _ => lacking += 1,
        }
    }
    listing.note(Problem::SaidTwice, file, twice);
    listing.note(Problem::IncompleteSample, file, lacking);
    Ok(rows)
}

/// Whether a table has a column of pictures by these names, or, where `paths` do, of their paths, and one of captions.
pub(super) fn has_both(table: &dyn Columns, names: &Names, paths: bool) -> bool {
    choose(table, Path::new(""), names).is_ok_and(|(image, _)| paths || table.columns()[image].1 == Kind::Picture)
}

/// The column of the picture, bytes before paths, and those of captions with their ranks.
fn choose(table: &dyn Columns, file: &Path, names: &Names) -> Result<(usize, Vec<(usize, usize)>)> {
    let columns = table.columns();
    let of = |kind: Kind, rank: &dyn Fn(&str) -> Option<usize>| -> Vec<(usize, usize)> {
        let known = |(at, (name, is)): (usize, &(String, Kind))| Some((rank(name).filter(|_| *is == kind)?, at));
        columns.iter().enumerate().filter_map(known).collect()
    };
    let best = |kind| of(kind, &|name| names.image(name)).into_iter().min();
    // A lone picture may be called anything.
    let mut any = (0..columns.len()).filter(|&at| columns[at].1 == Kind::Picture && names.image.is_none());
    let lone = any.next().filter(|_| any.next().is_none());
    let image = best(Kind::Picture).map(|(_, at)| at).or(lone).or(best(Kind::Text).map(|(_, at)| at));
    let mut captions = of(Kind::Text, &|name| names.caption(name));
    captions.retain(|(_, at)| Some(*at) != image);
    let lacks = |what: &str, setting: &str| {
        let found: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
        let found = printable(&found.join(", "));
        let message =
            format!("has no column of {what} by a name that is known (`{setting}` names it); there are: {found}");
        Error::input(file, message)
    };
    let image = image.ok_or_else(|| lacks("pictures", "data.image"))?;
    if captions.is_empty() { Err(lacks("captions", "data.caption")) } else { Ok((image, captions)) }
}

/// The name and the place of every row's image.
fn images(table: &dyn Columns, at: usize, roots: &Arc<Vec<PathBuf>>) -> Result<Vec<Option<(String, Origin)>>> {
    if table.columns()[at].1 == Kind::Text {
        let paths = table.texts(at)?.into_iter().map(|mut cell| cell.drain(..).next().filter(|path| !path.is_empty()));
        let origin = |path: &str| match Path::new(path).is_absolute() {
            true => Origin::Ends(roots.clone()),
            false => Origin::Below(roots.clone()),
        };
        return Ok(paths.map(|path| path.map(|path| (path.clone(), origin(&path)))).collect());
    }
    // Rows of one name are one image: only a column of its own may say so. The name within a picture need not be its alone.
    let named = NAMES.iter().find_map(|n| table.columns().iter().position(|(c, kind)| c == n && *kind == Kind::Text));
    let mut own = named.map(|at| table.texts(at)).transpose()?;
    let name = |(row, picture): (usize, Option<Picture>)| {
        let (inner, origin) = picture?;
        let origin = match (origin, &inner) {
            (Some(origin), _) => origin,
            (None, Some(path)) => return Some((path.clone(), Origin::Ends(roots.clone()))),
            (None, None) => return None,
        };
        let own = own.as_mut().and_then(|own| own[row].drain(..).next()).filter(|name| !name.is_empty());
        let place = table.place(row);
        Some((own.unwrap_or_else(|| inner.map_or(place.clone(), |inner| format!("{inner} ({place})"))), origin))
    };
    Ok(table.pictures(at)?.into_iter().enumerate().map(name).collect())
}

/// The split of every row, if a column says it for all of them.
fn splits(table: &dyn Columns) -> Result<Vec<Part>> {
    let Some(at) = table.columns().iter().position(|(name, kind)| name == "split" && *kind == Kind::Text) else {
        return Ok(Vec::new());
    };
    let part = |cell: Vec<String>| match cell.first()?.as_str() {
        "restval" => Some(Part::Train),
        word => split_of(word),
    };
    Ok(table.texts(at)?.into_iter().map(part).collect::<Option<_>>().unwrap_or_default())
}

/// DataComp's name of every row, if a column has them.
fn uids(table: &dyn Columns) -> Result<Vec<Option<u128>>> {
    let Some(at) = table.columns().iter().position(|(name, kind)| name == UID && *kind == Kind::Text) else {
        return Ok(Vec::new());
    };
    Ok(table.texts(at)?.into_iter().map(|cell| cell.first().and_then(|text| uid(text))).collect())
}

/// A row of a list of paths.
pub(super) fn listed(list: &Arc<Path>, place: String, row: Row, roots: &Arc<Vec<PathBuf>>) -> Listed {
    let origin = Origin::Below(roots.clone());
    Listed { image: row.image, captions: row.caption, list: list.clone(), place, origin, uid: row.uid }
}

/// Notes what rows of a list say twice, and how many numbers in it are none.
pub(super) fn note(listing: &mut Listing, list: &Path, rows: &[Row], odd: usize) {
    listing.note(Problem::SaidTwice, list, rows.iter().filter(|row| row.twice).count());
    listing.note(Problem::NotANumber, list, odd);
}
